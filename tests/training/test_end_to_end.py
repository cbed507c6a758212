"""The command as it is typed, in processes of its own, with nothing switched off."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kdjax.runs import directory

ROOT = Path(__file__).parents[2]
SMALL = ("--config.epochs=2", "--config.model.width=4", "--config.batch_size=32")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    data = tmp_path_factory.mktemp("data")
    return os.environ | {"TFDS_DATA_DIR": str(data), "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def start(workdir, environment):
    command = [sys.executable, "-u", "train.py", "--config=configs/teacher.py", *SMALL]
    return subprocess.Popen(
        [*command, f"--workdir={workdir}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_run_stopped_by_sigterm_ends_bit_for_bit_like_one_left_alone(tmp_path, environment):
    alone = start(tmp_path / "alone", environment)
    output, errors = alone.communicate(timeout=600)
    assert alone.returncode == 0, errors
    assert "Result" in output

    stopped = start(tmp_path / "stopped", environment)
    for line in stopped.stdout:
        if line.startswith("Epoch: [2] [ 100/"):
            stopped.send_signal(signal.SIGTERM)
            break
    _, errors = stopped.communicate(timeout=600)
    assert stopped.returncode == 128 + signal.SIGTERM
    assert "run the same command again to continue" in errors
    assert "Traceback" not in errors

    resumed = start(tmp_path / "stopped", environment)
    output, errors = resumed.communicate(timeout=600)
    assert resumed.returncode == 0, errors
    assert "continues from" in output
    models = [directory.load_model(tmp_path / name) for name in ("alone", "stopped")]
    assert models[0].fingerprint == models[1].fingerprint
    results = [directory.read_result(tmp_path / name) for name in ("alone", "stopped")]
    assert results[0]["device"].startswith("2 x")
    assert results[0]["auc"] == results[1]["auc"]
