"""The wheel is whole: the commands work from it, in an empty folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kdjax.datasets.synthetic_beats import generator

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel's files, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = folder.glob("*.whl")
    unpacked = folder / "unpacked"
    with zipfile.ZipFile(file) as archive:
        archive.extractall(unpacked)
    return unpacked


def run(wheel, folder, *args):
    """A command of the wheel's kdjax in `folder`; what it prints."""
    done = subprocess.run(
        [sys.executable, *args],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": str(wheel), "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_the_wheel_that_runs_and_it_holds_what_is_not_code(wheel, tmp_path):
    code = "import kdjax; print(kdjax.__file__)"
    assert run(wheel, tmp_path, "-c", code).strip() == str(wheel / "kdjax/__init__.py")
    assert (wheel / "kdjax/py.typed").exists()
    assert {path.name for path in wheel.iterdir()} == {"kdjax", "kdjax-0.1.0.dist-info"}
    tracked = subprocess.run(
        ["git", "ls-files", "kdjax"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert [name for name in tracked if not (wheel / name).exists()] == []


def test_a_recording_is_read_by_the_shipped_detector(wheel, tmp_path):
    np.save(tmp_path / "mine.npy", generator.recording(0).signal)
    options = ["mine.npy", "--fs", "360", "--units", "mV"]
    out = run(wheel, tmp_path, "-m", "kdjax", "detect", "mitbih-w8", *options)
    assert "detections/mine/report.html" in out
    assert (tmp_path / "detections/mine/report.html").stat().st_size > 10_000


def test_a_shipped_config_is_trained_by_its_name(wheel, tmp_path):
    small = ["epochs=1", "teacher.epochs=1", "model.width=4", "teacher.model.width=4"]
    settings = [part for setting in small for part in ("--set", setting)]
    run(wheel, tmp_path, "-m", "kdjax", "train", "student", *settings)
    assert (tmp_path / "runs/student-synthetic/result.json").exists()


def test_a_shipped_study_is_found_by_its_name(wheel, tmp_path):
    code = "from kdjax.runs import config_file; print(config_file.load('study:confirm').seeds)"
    assert run(wheel, tmp_path, "-c", code).startswith("(10, 11")
