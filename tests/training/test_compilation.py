"""Compiled programs are kept where the user's cache is, unless that or JAX says no."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from kdjax.training import compilation

ROOT = Path(__file__).parents[2]

# Compiles one program that takes longer than the threshold, and prints where programs are kept.
START = """
import jax
from kdjax.training import compilation
compilation._WORTH_KEEPING = 0.0
compilation.keep_programs()
jax.jit(lambda x: x @ x.T)(jax.numpy.ones((3, 4)))
print(jax.config.jax_compilation_cache_dir)
"""


def start(**env):
    """What a fresh process says of its folder; it must end well, without a word on stderr."""
    plain = {k: v for k, v in os.environ.items() if "COMPILATION_CACHE" not in k}
    done = subprocess.run(
        [sys.executable, "-c", START],
        cwd=ROOT,
        env=plain | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)} | env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


NAMES = (
    "jax_enable_compilation_cache",
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
)


@pytest.fixture
def told(monkeypatch):
    """Where programs are kept after `keep_programs` with these settings, in this process."""
    before = {name: jax.config.values[name] for name in NAMES}

    def keep(*, enable=True, folder=None, **env):
        jax.config.update("jax_enable_compilation_cache", enable)
        jax.config.update("jax_compilation_cache_dir", folder)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        compilation.keep_programs()
        return jax.config.values["jax_compilation_cache_dir"]

    yield keep
    for name, value in before.items():
        jax.config.update(name, value)


def programs(folder):
    return {path.name for path in folder.rglob("*-cache")}


def test_a_second_start_finds_what_the_first_compiled(tmp_path):
    folder = tmp_path / "kdjax"
    assert start(XDG_CACHE_HOME=str(tmp_path)) == str(folder)
    kept = programs(folder)
    assert any("lambda" in name for name in kept)
    assert start(XDG_CACHE_HOME=str(tmp_path)) == str(folder)
    assert programs(folder) == kept


def test_without_xdg_the_folder_is_in_the_home(tmp_path, told):
    assert told(HOME=str(tmp_path), XDG_CACHE_HOME="") == str(tmp_path / ".cache/kdjax")


def test_where_no_folder_can_be_made_nothing_is_kept(tmp_path, told):
    (tmp_path / "file").write_text("")
    assert told(XDG_CACHE_HOME=str(tmp_path / "file")) is None


def test_a_folder_named_to_jax_goes_first(tmp_path, told):
    elsewhere = str(tmp_path / "elsewhere")
    assert told(folder=elsewhere, XDG_CACHE_HOME=str(tmp_path / "cache")) == elsewhere
    assert not (tmp_path / "cache").exists()


def test_jax_told_to_keep_nothing_keeps_nothing(tmp_path, told):
    assert told(enable=False, XDG_CACHE_HOME=str(tmp_path / "cache")) is None
    assert not (tmp_path / "cache").exists()
