"""A disk that fails at one call, or forgets what was not flushed, under a whole run of train.

The run is the tiny teacher of the tests, in a process whose calls to the disk go through disk.c:
those of Python, of Orbax and of every other library.
"""

import contextlib
import ctypes
import errno
import importlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.robustness.runs import ROOT, differences, outcome

SOURCE = Path(__file__).with_name("disk.c")
SHORT, FULL = -1, -2  # a write that writes half, a disk that is full from a call on: see disk.c
ERRORS = {
    errno.ENOSPC: "ENOSPC",
    errno.EIO: "EIO",
    errno.EACCES: "EACCES",
    SHORT: "a short write",
    FULL: "ENOSPC from then on",
}
LAST = "checkpoints/last"
BUDGET = 300  # seconds of each part


def failing(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """Every call below the run directory fails in turn, each with one of its errors."""
    return _inside("failing", folder, seed, quick)


def power(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """The power goes before every flush: what is on the disk then must resume."""
    return _inside("power", folder, seed, quick)


def _inside(part: str, folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """Runs a part in a process of its own, behind disk.c."""
    library, out = folder / "disk.so", folder / "found.json"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    environment = os.environ | {
        "LD_PRELOAD": str(library),
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "MPLBACKEND": "Agg",
    }
    command = [sys.executable, "-m", "benchmarks.robustness.disk", part, out, str(seed), str(quick)]
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

    def fail(self, call: int, error: int) -> None:
        self._c.disk_fail(ctypes.c_long(call), error)

    def record(self, file: Path | None) -> None:
        self._c.disk_record(str(file).encode() if file else None)

    @property
    def calls(self) -> int:
        return self._c.disk_calls()

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


def fail_each(folder: Path, config: Path, seed: int, quick: bool) -> dict[str, Any]:
    """See `failing`. A run begins in an empty folder, or goes on from its first epoch.

    The calls come in a random order, so that what `BUDGET` leaves out is like the rest.
    """
    disk, whole, begun, began = Disk(), folder / "whole", folder / "begun", time.monotonic()
    train(whole, config)
    wanted = outcome(whole)
    begin(begun, config)
    lives = {"a whole run": None, "a resumed run": begun}
    calls = {life: count(disk, folder / "run", config, start) for life, start in lives.items()}
    every = [(life, call) for life, n in calls.items() for call in range(n)]
    rng, table = random.Random(seed), Counter()
    rng.shuffle(every)
    strange: list[str] = []
    for life, call in every[: 12 if quick else None]:
        error = rng.choice(list(ERRORS))
        status, said, failed = fail_once(disk, folder / "run", config, lives[life], call, error)
        # Threads make a few calls more or less each time, and only a write can be short.
        if not failed or (error == SHORT and not failed.startswith("write")):
            continue
        now = judge(folder / "run", config, wanted, status, said)
        kind = failed[: failed.find(" /")]
        table[kind, ERRORS[error], now.split(":")[0]] += 1
        if ":" in now:
            strange.append(f"{failed.replace(str(folder), '')}, {ERRORS[error]}, {life}: {now}")
            print(strange[-1], flush=True)
        if table.total() % 25 == 0:
            print(dict(Counter(k[2] for k in table.elements())), flush=True)
        if time.monotonic() - began > BUDGET:
            break
    rows = [
        {"call": kind, "error": error, "ended": ended, "times": times}
        for (kind, error, ended), times in sorted(table.items())
    ]
    return {"calls": calls, "tried": table.total(), "rows": rows, "strange": strange}


def count(disk: Disk, run: Path, config: Path, start: Path | None) -> int:
    """The calls of a run that nothing disturbs."""
    fail_once(disk, run, config, start, -1, 0)
    return disk.calls


def fail_once(
    disk: Disk, run: Path, config: Path, start: Path | None, call: int, error: int
) -> tuple[int, str, str]:
    """The status of a run whose n-th call fails, what it said, and what call that was."""
    shutil.rmtree(run, ignore_errors=True)
    if start:
        shutil.copytree(start, run)
    disk.watch(run)
    disk.fail(call, error)
    status, said = train(run, config)
    failed = disk.failed
    disk.fail(-1, 0)
    return status, said, failed


def begin(run: Path, config: Path) -> None:
    """A run that was stopped after its first epoch."""
    from kdjax.training import loop

    finish = loop._finish_epoch

    def then_stop(*args: Any) -> None:
        finish(*args)
        raise KeyboardInterrupt

    loop._finish_epoch = then_stop
    try:
        train(run, config)
    finally:
        loop._finish_epoch = finish


def judge(run: Path, config: Path, wanted: dict, status: int, said: str) -> str:
    """What came of a failure; a colon is in what should not be."""
    first = "went on" if status == 0 else "one line"
    said = "\n".join(line for line in said.splitlines() if line.strip())
    if status not in (0, 2) or "Traceback" in said or (status == 2 and "\n" in said):
        return f"status {status}: {said[-600:]!r}"
    if list(run.rglob("*.unfinished")):
        return f"half-written: {[p.name for p in run.rglob('*.unfinished')]}"
    again, said = train(run, config)
    if again:
        return f"not resumed: {said[-300:]!r}"
    now = outcome(run)
    differ = differences(wanted, now)
    if differ and all(name.startswith("/run/result/oracle/") for name in differ):
        said = "note" in now["run"]["result"]["oracle"]  # the best epoch could not be read
        return f"{first} without the oracle, said" if said else "no oracle: and not said"
    return f"ended otherwise: {differ[:3]}" if differ else first


# --- power loss --------------------------------------------------------------------------------


class Node:
    """A file or a folder: what it is, and what of it the disk holds."""

    def __init__(self, is_folder: bool) -> None:
        self.is_folder = is_folder
        self.now: Any = {} if is_folder else bytearray()
        self.flushed: Any = {} if is_folder else b""

    def flush(self) -> None:
        self.flushed = dict(self.now) if self.is_folder else bytes(self.now)


class Memory:
    """A tree of nodes that follows a log of disk.c."""

    def __init__(self, top: Path) -> None:
        self.top, self.root = top, Node(True)
        self.open: dict[int, Node] = {}

    def _place(self, path: str) -> tuple[Node, str]:
        node = self.root
        *way, name = Path(path).relative_to(self.top).parts
        for part in way:
            node = node.now[part]
        return node, name

    def follow(self, what: str, handle: int, offset: int, path: str, data: bytes) -> None:
        """Does what an entry of the log says."""
        if what == "write":
            content = self.open[handle].now
            content.extend(bytes(max(offset - len(content), 0)))
            content[offset : offset + len(data)] = data
        elif what == "fsync":
            self.open[handle].flush()
        elif what == "shorten":
            content = self.open[handle].now
            del content[offset:]
            content.extend(bytes(offset - len(content)))
        elif Path(path) == self.top:
            self.open[handle] = self.root
        else:
            self._name(what, handle, path, data)

    def _name(self, what: str, handle: int, path: str, data: bytes) -> None:
        folder, name = self._place(path)
        if what in ("open", "truncate", "look"):
            node = folder.now.setdefault(name, Node(False))
            if what == "truncate":
                node.now.clear()
            self.open[handle] = node
        elif what == "mkdir":
            folder.now[name] = Node(True)
        elif what == "remove":
            del folder.now[name]
        elif what == "rename":
            other, target = self._place(data.decode())
            other.now[target] = folder.now.pop(name)

    def write(self, node: Node, place: Path, names_survive: bool) -> None:
        """Makes of a folder what is on the disk.

        Only what was flushed; with names_survive every name, with the content that was flushed.
        """
        place.mkdir(parents=True)
        for name, child in (node.now if names_survive else node.flushed).items():
            if child.is_folder:
                self.write(child, place / name, names_survive)
            else:
                (place / name).write_bytes(child.flushed)


def entries(log: Path) -> Iterator[tuple[str, int, int, str, bytes]]:
    """The entries of a log of disk.c."""
    with log.open("rb") as file:
        while head := file.readline():
            what, handle, offset, length, path = head.decode().rstrip("\n").split("\t")
            yield what, int(handle), int(offset), path, file.read(int(length))


def lose_power(folder: Path, config: Path, seed: int, quick: bool) -> dict[str, Any]:
    """See `power`. The points come in a random order, as in `fail_each`."""
    disk, top, log, began = Disk(), folder / "disk", folder / "log", time.monotonic()
    top.mkdir()
    disk.record(log)
    disk.watch(top)
    train(top / "run", config)
    disk.watch(None)
    disk.record(None)
    wanted = outcome(top / "run")
    every = list(entries(log))
    points = [i for i, entry in enumerate(every) if entry[0] == "fsync"] + [len(every)]
    random.Random(seed).shuffle(points)
    counts, strange, seen = Counter(), [], {}
    for point in points[: 4 if quick else None]:
        memory, saved = replayed(top, every[:point])
        for survive in (False, True):
            place = folder / "after"
            shutil.rmtree(place, ignore_errors=True)
            memory.write(memory.root, place, survive)
            kind = "every name, what was flushed of files" if survive else "what was flushed"
            known = state(place)
            now = seen.get(known) or resumed(place / "run", saved, config, wanted)
            seen[known] = now
            counts[kind, now.split(":")[0]] += 1
            if ":" in now:
                strange.append(f"{kind}, before entry {point} of {len(every)}: {now}")
                print(strange[-1], flush=True)
        if time.monotonic() - began > BUDGET:
            break
    return {
        "entries": len(every),
        "flushes": len(points) - 1,
        "states": len(seen),
        "rows": [{"disk": k, "ended": e, "times": n} for (k, e), n in sorted(counts.items())],
        "strange": strange,
    }


def replayed(top: Path, log: list[tuple[str, int, int, str, bytes]]) -> tuple[Memory, int]:
    """What a log makes of a disk, and the step of the last save that it finished."""
    memory, saved = Memory(top), 0
    for entry in log:
        memory.follow(*entry)
        what, handle, _, path, _ = entry
        if what == "fsync" and path == str(top / "run" / LAST):
            saved = max(map(int, filter(str.isdigit, memory.open[handle].now)), default=0)
    return memory, saved


def state(place: Path) -> str:
    """A fingerprint of a folder: many flushes leave the same on the disk."""
    import hashlib

    digest = hashlib.sha256()
    for path in sorted(place.rglob("*")):
        digest.update(str(path.relative_to(place)).encode() + b"\0")
        digest.update(path.read_bytes() if path.is_file() else b"/")
    return digest.hexdigest()


def resumed(run: Path, saved: int, config: Path, wanted: dict) -> str:
    """What the same command makes of a disk after a power loss."""
    if saved and not (run / LAST / str(saved)).exists():
        return f"a finished save is lost: of step {saved}"
    status, said = train(run, config)
    if status:
        return f"not resumed: {said[-400:]!r}"
    differ = differences(wanted, outcome(run))
    return f"ended otherwise: {differ[:3]}" if differ else "resumed to the same bits"


CONFIG = """import tiny


def get_config():
    return tiny.teacher_config()
"""

if __name__ == "__main__":
    importlib.import_module("conftest")  # four virtual devices, one folder of programs
    import tiny

    _, part, out, seed, quick = sys.argv
    with tempfile.TemporaryDirectory(prefix="kdjax-") as name, tiny.small_world():
        folder = Path(name)
        (folder / "tiny_teacher.py").write_text(CONFIG)
        work = {"failing": fail_each, "power": lose_power}[part]
        found = work(folder, folder / "tiny_teacher.py", int(seed), quick == "True")
    Path(out).write_text(json.dumps(found))
