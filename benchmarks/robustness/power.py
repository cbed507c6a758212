"""The power goes before every flush of a run of train: what is on the disk then must resume."""

import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.robustness.disk import Disk, config_file, holds, inside, state, train
from benchmarks.robustness.runs import differences

LAST = "checkpoints/last"


def power(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """Simulates a power failure before each flush, and types the same command again."""
    return inside(__name__, folder, seed, quick=quick)


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

    def follow(self, what: str, handle: int, offset: int, *, path: str, data: bytes) -> None:
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
            self._name(what, handle, path, data=data)

    def _name(self, what: str, handle: int, path: str, *, data: bytes) -> None:
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


def work(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """See `power`. The points come in a random order.

    SIGTERM to this process ends it after the next point, with what it has.
    """
    ended_early: list[bool] = []
    signal.signal(signal.SIGTERM, lambda *_: ended_early.append(True))
    disk, top, log, config = Disk(), folder / "disk", folder / "log", config_file(folder, 2)
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir()
    disk.record(log)
    disk.watch(top)
    train(top / "run", config)
    disk.watch(None)
    disk.record(None)
    wanted = holds(top / "run")
    every = list(entries(log))
    points = [i for i, entry in enumerate(every) if entry[0] == "fsync"] + [len(every)]
    random.Random(seed).shuffle(points)
    counts, strange, seen = Counter(), [], {}
    for number, point in enumerate(points[: 4 if quick else None]):
        if ended_early:
            break
        memory, saved = replayed(top, every[:point])
        for survive in (False, True):
            place = folder / "after"
            shutil.rmtree(place, ignore_errors=True)
            memory.write(memory.root, place, survive)
            kind = "every name, what was flushed of files" if survive else "what was flushed"
            known = state(place)
            now = seen.get(known) or resumed(place / "run", saved, config, wanted=wanted)
            seen[known] = now
            counts[kind, now.split(":")[0]] += 1
            if ":" in now:
                strange.append(f"{kind}, before entry {point} of {len(every)}: {now}")
                print(strange[-1], flush=True)
        if number % 20 == 0:
            print(number, len(seen), flush=True)
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
        what, handle, offset, path, data = entry
        memory.follow(what, handle, offset, path=path, data=data)
        if what == "fsync" and path == str(top / "run" / LAST):
            saved = max(map(int, filter(str.isdigit, memory.open[handle].now)), default=0)
    return memory, saved


def resumed(run: Path, saved: int, config: Path, *, wanted: dict) -> str:
    """What the same command makes of a disk after a power loss."""
    if saved and not (run / LAST / str(saved)).exists():
        return f"a finished save is lost: of step {saved}"
    status, said = train(run, config)
    if status:
        return f"not resumed: {said[-400:]!r}"
    differ = differences(wanted, holds(run))
    return f"ended otherwise: {differ[:3]}" if differ else "resumed to the same bits"
