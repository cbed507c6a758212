"""A short run of train.py, as a user starts it, and all that it comes to."""

import json
import math
import os
import re
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.robustness.warm import Server

ROOT = Path(__file__).parents[2]


class Process:
    """train.py at work: a student of width 2 and its teacher.

    The lines that it prints are read as they come: `lines`.
    """

    def __init__(
        self,
        workdir: Path,
        home: Path,
        *options: str,
        devices: int = 1,
        server: Server | None = None,
    ) -> None:
        self.workdir = workdir
        self.lines: list[str] = []
        command = [str(ROOT / "train.py"), f"--workdir={workdir}", *options]
        self.process = (
            server.start(command)
            if server
            else subprocess.Popen(
                [sys.executable, *command],
                env=environment(home, devices),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as said:
            for line in said:
                self.lines.append(line.rstrip("\n"))

    def wait_for(self, pattern: str | None, times: int = 1, within: float = math.inf) -> bool:
        """Whether so many lines that match come before the process ends and the seconds are over.

        None waits for the process's end.
        """
        until = time.monotonic() + within
        while True:
            ended = self.ended()
            matching = (pattern and re.search(pattern, line) for line in list(self.lines))
            if sum(map(bool, matching)) >= times:
                return True
            left = until - time.monotonic()
            if ended or left <= 0:
                return False
            time.sleep(min(left, 0.01))

    def ended(self) -> bool:
        """Whether the process is over."""
        return self.process.poll() is not None

    def finish(self) -> int:
        """The exit status; every line has been read."""
        status = self.process.wait()
        self._reader.join()
        return status

    def kill(self) -> str:
        """SIGKILL, and what the process was at."""
        doing = self.doing()
        self.process.kill()
        self.finish()
        return doing

    def doing(self) -> str:
        """What its last line and its files say that it does."""
        if list(self.workdir.rglob("*.unfinished")):
            return "saving"
        step = r"^Epoch: \[\d+\] \[ *(\d+)/ *(\d+)\]"
        said = [
            line for line in self.lines if re.match(step + r"|^\[\d+\] |^Teacher:|^Student:", line)
        ]
        if not said or said[-1].startswith(("Teacher:", "Student:")):
            return "starting"
        found = re.match(step, said[-1])
        return "validation or saving" if found and found[1] == found[2] else "steps"


def environment(home: Path, devices: int = 1) -> dict[str, str]:
    """That of train.py, with its programs and data in `home`."""
    found = os.environ | {
        "XDG_CACHE_HOME": str(home),  # compiled programs are kept there
        "TFDS_DATA_DIR": str(home / "data"),
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(devices),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    found.pop("JAX_ENABLE_COMPILATION_CACHE", None)
    return found


class Rows:
    """Rows of JSON that outlive the process: an experiment that was ended goes on from them.

    found: those of this code of kdjax; earlier: those of other code.
    """

    def __init__(self, path: Path) -> None:
        from kdjax.runs import provenance

        self._path, self._code = path, provenance.made_by()["code"]
        lines = path.read_text().splitlines() if path.exists() else []
        kept = [json.loads(line) for line in lines]
        self.found: list[dict[str, Any]] = [k["row"] for k in kept if k["code"] == self._code]
        self.earlier: list[dict[str, Any]] = [k["row"] for k in kept if k["code"] != self._code]

    def add(self, row: dict[str, Any]) -> None:
        self.found.append(row)
        with self._path.open("a") as file:
            file.write(json.dumps({"code": self._code, "row": row}) + "\n")


def options(epochs: int, batch: int = 64) -> list[str]:
    """The flags of a short run; its teacher trains as long as it does."""
    fields = {
        "epochs": epochs,
        "teacher.epochs": epochs,
        "model.width": 2,
        "teacher.model.width": 2,
        "batch_size": batch,
        "learning_rate": 1e-3,
    }
    flags = [f"--config.{name}={value}" for name, value in fields.items()]
    return [f"--config={ROOT / 'configs/student.py'}", *flags]


def teacher_options(epochs: int, batch: int) -> list[str]:
    """The flags of a short run of a teacher alone."""
    flags = [flag for flag in options(epochs, batch) if "teacher" not in flag]
    return [f"--config={ROOT / 'configs/teacher.py'}", *flags[1:]]


def on_few_windows(folder: Path, flags: list[str]) -> list[str]:
    """The flags of a run, but of so few windows that most of its time is not arithmetic."""
    import numpy as np

    from kdjax import datasets

    rng, time = np.random.default_rng(0), np.arange(64)
    label = np.arange(300) % 6 == 5
    x = np.sin(time * np.where(label, 0.5, 0.2)[:, None]) + rng.normal(0, 0.1, (300, 64))
    file, group = folder / "windows.npz", np.arange(300) // 50
    np.savez(file, x=x[:, :, None], label=label.astype(int), group=group)
    datasets.prepare_windows(file, "windows", folder / "data")
    return [f"{flags[0]}:windows", *flags[1:]]


def finished(workdir: Path, home: Path, *flags: str, devices: int = 1) -> Process:
    """A run that nothing disturbs."""
    process = Process(workdir, home, *flags, devices=devices)
    if process.finish():
        sys.exit("\n".join([*process.lines[-20:], "the run itself fails"]))
    return process


CLOCK = ("seconds", "epoch_seconds", "date", "sha256_of_the_rest", "made_by")


def without_clock(value: Any) -> Any:
    """JSON without what a clock says, and without what is made of that."""
    if isinstance(value, dict):
        return {k: without_clock(v) for k, v in value.items() if k not in CLOCK}
    return [without_clock(v) for v in value] if isinstance(value, list) else value


def outcome(workdir: Path) -> dict[str, Any]:
    """All of a finished run, and of its teacher where it has one, but for what a clock says."""
    from kdjax.runs import checkpoints, directory

    found: dict[str, Any] = {}
    for name, run in (("teacher", workdir / "teacher"), ("run", workdir)):
        if not run.exists():
            continue
        result = directory.read_result(run)
        for timed in ("epoch_seconds", "date", "sha256_of_the_rest"):
            del result[timed]
        rows = [json.loads(line) for line in (run / directory.METRICS).read_text().splitlines()]
        model = directory.load_model(run)
        last = run / checkpoints.LAST / str(checkpoints.steps(run / checkpoints.LAST)[0])
        found[name] = {
            "model": model.fingerprint,
            "state": whole_state(run, last, model),
            "rows": [{k: v for k, v in row.items() if k != "seconds"} for row in rows],
            "result": result,
        }
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The names of what is not the same in two outcomes."""
    a, b = flat(one), flat(other)
    return [name for name in sorted(a | b) if a.get(name) != b.get(name)]


def flat(tree: Any, name: str = "") -> dict[str, Any]:
    """The leaves of nested JSON by their paths."""
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {k: v for key, value in items for k, v in flat(value, f"{name}/{key}").items()}
    return {name: tree}


def whole_state(run: Path, checkpoint: Path, model: Any) -> str:
    """Fingerprint of all that training goes on from, Adam's moments among it."""
    import jax
    import numpy as np
    from ml_collections import ConfigDict

    from kdjax.models.distillation import Teacher
    from kdjax.runs import directory
    from kdjax.runs.config import distils
    from kdjax.training import assemble
    from kdjax.training.progress import read_state
    from kdjax.training.step import fresh_state

    config: Any = ConfigDict(directory.read_config(run))
    teacher = directory.load_model(run / "teacher") if distils(config) else None
    trainer = assemble.make_trainer(config, (model.generator.length, model.generator.channels))
    frozen = Teacher(teacher.generator) if teacher else None
    mean = np.zeros(model.generator.channels, np.float32)
    start = jax.eval_shape(partial(fresh_state, trainer), jax.random.key(0), mean, teacher=frozen)
    return directory.fingerprint(read_state(checkpoint, start))


def last_saved(workdir: Path) -> tuple[int, int]:
    """The last step saved of the teacher and of the student."""
    from kdjax.runs import checkpoints

    of = [checkpoints.steps(run / checkpoints.LAST) for run in (workdir / "teacher", workdir)]
    return of[0][0] if of[0] else -1, of[1][0] if of[1] else -1
