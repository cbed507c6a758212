"""Four virtual CPU devices, strict arithmetic and one folder of programs for every test."""

import functools
import importlib.metadata
import os
import tempfile
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")
# What one process of the tests has compiled the others read; the user's cache folder has no part.
if "KDJAX_TESTS_PROGRAMS" not in os.environ:
    _programs = tempfile.TemporaryDirectory(prefix="kdjax-programs-")
    os.environ["KDJAX_TESTS_PROGRAMS"] = _programs.name
# So that a run that many tests look at is trained once; see `tiny.trained`.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _shared = tempfile.TemporaryDirectory(prefix="kdjax-tests-")
    os.environ["KDJAX_TESTS_SHARED"] = _shared.name
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ["KDJAX_TESTS_PROGRAMS"]
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
# XLA's older emitters compile a training step in a third of the time. Later ones have none, and
# end a process that asks for a flag they do not know.
if importlib.metadata.version("jaxlib").startswith("0.10."):
    # Parts that are compiled side by side take longer together, and the other core has its tests.
    os.environ["XLA_FLAGS"] = (
        os.environ.get("XLA_FLAGS", "")
        + " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    ).strip()

import hypothesis
import jax
import pytest
from xdist.scheduler import LoadFileScheduling

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)  # halves the time to compile

# A busy machine may take any time for an example. x64 stays on for all examples of a test.
hypothesis.settings.register_profile(
    "kdjax",
    max_examples=40,
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
    ],
)
hypothesis.settings.load_profile("kdjax")


@functools.cache
def _shares_programs(file: str) -> bool:
    return "\nimport tiny\n" in (Path(__file__).parents[1] / file).read_text()


class _Scheduling(LoadFileScheduling):
    """A file's tests in one process, and in one process all files that train tiny networks.

    They share traced and compiled steps, which each process would have to make for itself.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "tiny" if _shares_programs(file) else file


def pytest_xdist_make_scheduler(config, log):
    return _Scheduling(config, log)


@pytest.fixture
def x64():
    """Runs a test in float64 and goes back to float32 after it."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture(scope="module")
def float64():
    """Runs a whole file, and what its tests share, in float64."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)
