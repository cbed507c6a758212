"""A disk that fails at one call, or tells what is done to it, under a whole run of train.

The run is the tiny teacher of the tests, in a process whose calls to the disk go through disk.c:
those of Python, of Orbax and of every other library. That process is kept for all runs, so each
takes a second: what is compiled stays, and `remembered` computes some things once.
"""

import contextlib
import ctypes
import functools
import hashlib
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.robustness.runs import ROOT, without_clock

SOURCE = Path(__file__).with_name("disk.c")


def inside(module: str, folder: Path, seed: int, *, quick: bool) -> dict[str, Any]:
    """What `work` of a module finds in a process of its own, behind disk.c."""
    library, out = folder / "disk.so", folder / "found.json"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    environment = os.environ | {
        "LD_PRELOAD": str(library),
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "MPLBACKEND": "Agg",
    }
    command = [sys.executable, "-m", __spec__.name, module, out, str(seed), str(quick)]
    subprocess.run(command, env=environment, cwd=ROOT, check=True)
    return json.loads(out.read_text())


# --- in that process ---------------------------------------------------------------------------


class Disk:
    """What disk.c offers."""

    def __init__(self) -> None:
        self._c = ctypes.CDLL(None)
        self._c.disk_failed.restype = ctypes.c_char_p

    def watch(self, folder: Path | None) -> None:
        self._c.disk_watch(str(folder or "").encode())

    def fail(self, kind: str, others: int, error: int) -> None:
        self._c.disk_fail(kind.encode(), ctypes.c_long(others), error)

    def list(self, file: Path | None) -> None:
        self._c.disk_list(str(file).encode() if file else None)

    def record(self, file: Path | None) -> None:
        self._c.disk_record(str(file).encode() if file else None)

    @property
    def failed(self) -> str:
        return self._c.disk_failed().decode()


def train(workdir: Path, config: Path) -> tuple[int, str]:
    """`kdjax train`: its status and all that it says on stderr, other threads' lines too."""
    from kdjax import cli

    with tempfile.TemporaryFile() as said, contextlib.redirect_stdout(io.StringIO()):
        kept = os.dup(2)
        os.dup2(said.fileno(), 2)
        handle = sys.stderr
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
        try:
            status = cli.main(["train", str(config), "--workdir", str(workdir)])
        except Exception as error:  # whatever it is, it is counted
            status = 1
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            sys.stderr.close()
            sys.stderr = handle
            os.dup2(kept, 2)
            os.close(kept)
        said.seek(0)
        return status, said.read().decode(errors="replace")


def begin(run: Path, config: Path) -> None:
    """A run that was stopped after its first epoch."""
    from kdjax.training import loop

    finish = loop._finish_epoch

    def then_stop(*args: Any, **named: Any) -> None:
        finish(*args, **named)
        raise KeyboardInterrupt

    loop._finish_epoch = then_stop
    try:
        train(run, config)
    finally:
        loop._finish_epoch = finish


# --- what a run directory holds ----------------------------------------------------------------


def holds(run: Path, arrays: bool = True) -> dict[str, Any]:
    """All that a run directory holds, but for what a clock says and for TensorBoard's events.

    Checkpoints that are whole count by their arrays, or without `arrays` by being whole and of what
    step; anything that is damaged counts by its bytes.
    """
    from kdjax.runs import checkpoints, directory

    found: dict[str, Any] = {}
    for part in (checkpoints.LAST, checkpoints.BEST):
        for step in checkpoints.steps(run / part):
            found[f"{part}/{step}"] = _checkpoint(run / part / str(step), arrays)
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if not path.is_file() or name.startswith("tensorboard/") or _is_of_a_step(name):
            continue
        if path.name == directory.RESULT:
            found[name] = without_clock(json.loads(path.read_text()))
        elif path.name == directory.METRICS:
            lines = path.read_text().splitlines()
            found[name] = [without_clock(json.loads(line)) for line in lines]
        elif path.name != directory.REPORT:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _is_of_a_step(name: str) -> bool:
    head, _, rest = name.partition("/")
    return head == "checkpoints" and rest.split("/")[1].isdigit()


def _checkpoint(folder: Path, arrays: bool) -> dict[str, Any]:
    from kdjax.errors import InputError
    from kdjax.runs import checkpoints

    try:
        checkpoints.verify(folder)
    except InputError:
        return {"damaged": state(folder)}
    found = {"progress": without_clock(checkpoints.read_progress(folder))}
    if not arrays:
        return found
    # The manifest has the checksums of all other files.
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    return found | {"arrays": _arrays(digest, folder)}


_known: dict[str, str] = {}


def _arrays(digest: str, folder: Path) -> str:
    """The fingerprint of a checkpoint's arrays, of one manifest read once."""
    import numpy as np
    import orbax.checkpoint as ocp

    from kdjax.runs import directory

    if digest not in _known:
        with ocp.StandardCheckpointer() as reader:
            trees = [
                reader.restore(tree.absolute())
                for tree in sorted(folder.iterdir())
                if tree.is_dir()
            ]
        import jax

        _known[digest] = directory.fingerprint(jax.tree.map(np.asarray, trees))
    return _known[digest]


def state(place: Path) -> str:
    """A fingerprint of all bytes and names in a folder."""
    digest = hashlib.sha256()
    for path in sorted(place.rglob("*")):
        digest.update(str(path.relative_to(place)).encode() + b"\0")
        digest.update(path.read_bytes() if path.is_file() else b"/")
    return digest.hexdigest()


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Computes once what depends on nothing but its arguments: shapes, and figures of scores."""
    import pytest

    from kdjax.runs import directory, evaluation

    quality, known = evaluation.quality, {}

    def remember(label: Any, record: Any, score: Any, **rest: Any) -> dict[str, Any]:
        key = label.tobytes(), record.tobytes(), score.tobytes(), repr(rest)
        if key not in known:
            known[key] = quality(label, record, score, **rest)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory, "empty_model", functools.cache(directory.empty_model))
        patch.setattr(evaluation, "quality", remember)
        yield


CONFIG = """import tiny


def get_config():
    return tiny.teacher_config(epochs={epochs})
"""


def config_file(folder: Path, epochs: int) -> Path:
    """A config of the tiny teacher, for `train`."""
    file = folder / f"tiny_{epochs}.py"
    file.write_text(CONFIG.format(epochs=epochs))
    return file


def main() -> None:
    importlib.import_module("conftest")  # four virtual devices, one folder of programs
    import tiny

    from kdjax import signals

    signals.Hold.begin = lambda _: None  # a signal ends the experiment, not the run that it makes
    _, module, out, seed, quick = sys.argv
    work = importlib.import_module(module).work
    with tiny.small_world(), remembered():
        found = work(Path(out).parent, int(seed), quick == "True")
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
