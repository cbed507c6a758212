"""Every kind of call to the disk fails once with every error, under a whole run of train.

Calls are of one kind when they do the same to the same file, whatever its numbers and digests: the
forty writes of a checkpoint's arrays are of one, since the same line of one library makes them. Of
a kind one call, drawn at random, fails with each error in turn; then others, drawn from all.
"""

import errno
import faulthandler
import json
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.robustness.disk import Disk, begin, config_file, holds, inside, train
from benchmarks.robustness.runs import Rows, differences

SHORT, FULL = -1, -2  # a write that writes half, a disk that is full from a call on: see disk.c
ERRORS = {
    errno.ENOSPC: "ENOSPC",
    errno.EIO: "EIO",
    errno.EACCES: "EACCES",
    SHORT: "a short write",
    FULL: "ENOSPC from then on",
}
NEEDS_ROOM = ("write ", "open to write ", "mkdir ")
HANGS = 600  # seconds after which a run that does not end is shown, and ends all
ABSENT = "did not come"  # threads make a few calls more or less each time
MORE = 3600  # seconds for calls that are drawn from all, after one of each kind

QUOTES = "'\""
LINE = "\\n"  # in what `repr` makes of several

Try = tuple[str, str, int, int]  # life, kind, how many of the kind come before it, error


def failing(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """One call of every kind fails with every error, and then as many others as time allows."""
    return inside(__name__, folder, seed, quick=quick)


class Life(NamedTuple):
    """A run of train: its config, what it begins with, what it comes to, and its calls by kind."""

    config: Path
    start: Path | None
    wanted: dict[str, Any]
    calls: Counter


def work(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """See `failing`. SIGTERM to this process ends it after the next call, with what it has."""
    disk, began, ended_early = Disk(), time.monotonic(), []
    signal.signal(signal.SIGTERM, lambda *_: ended_early.append(True))
    lives = led(disk, folder)
    calls = {name: life.calls for name, life in lives.items()}
    rows, judge = Rows(folder / "failing.jsonl"), Judge()
    earlier = [row for row in rows.earlier if ":" not in row["ended"]]  # others are tried again
    came = {
        (row["try"][1], row["try"][3]) for row in [*earlier, *rows.found] if row["ended"] != ABSENT
    }
    each = one_of_each(calls, seed)
    first = [trial for trial in each if (trial[1], trial[3]) not in came]
    rest = others(calls, random.Random(f"{seed} {len(rows.found)}"))
    print(f"{len(first)} of {len(each)} kinds and errors are left", flush=True)
    for number, trial in enumerate([*first, *rest][: 12 if quick else None]):
        if ended_early or (number >= len(first) and time.monotonic() - began > MORE):
            break
        name, kind, _, error = trial
        faulthandler.dump_traceback_later(HANGS, exit=True)
        status, said, failed = fail_once(disk, folder / "run", lives[name], trial=trial)
        ended = ABSENT
        if failed:
            ended = judge.ended(folder / "run", lives[name], trial, status=status, said=said)
        faulthandler.cancel_dump_traceback_later()
        rows.add({"try": trial, "drawn_from_all": number >= len(first), "ended": ended})
        if ":" in ended:
            print(f"{kind}, {ERRORS[error]}, {name}: {ended}", flush=True)
        if number % 25 == 0:
            print(number, f"{time.monotonic() - began:.0f} s", flush=True)
    return summary([*earlier, *rows.found], calls, len(each)) | {
        "of_earlier_code": len(earlier),
        "mended": [told(row) for row in rows.earlier if ":" in row["ended"]],
    }


def led(disk: Disk, folder: Path) -> dict[str, Life]:
    """A run of one epoch, and one of two that goes on after its first."""
    one, two = (config_file(folder, epochs) for epochs in (1, 2))
    begun = folder / "begun"
    shutil.rmtree(begun, ignore_errors=True)
    begin(begun, two)
    lives = {}
    for name, config, start in (("a whole run", one, None), ("a resumed run", two, begun)):
        file, run = folder / "calls", folder / "run"
        disk.list(file)
        status, said, _ = fail_once(
            disk, run, Life(config, start, {}, Counter()), trial=("", "", 0, 0)
        )
        disk.list(None)
        if status:
            sys.exit(f"the run itself fails: {said}")
        lives[name] = Life(config, start, holds(run), Counter(file.read_text().splitlines()))
    return lives


def one_of_each(calls: dict[str, Counter], seed: int) -> list[Try]:
    """A call of every kind in some life with every error that it can have.

    Every kind comes once before any comes a second time.
    """
    tries = []
    for kind in sorted(set().union(*calls.values())):
        rng = random.Random(f"{seed} {kind}")
        places = [(life, n) for life, of in calls.items() for n in range(of[kind])]
        errors = possible(kind)
        rng.shuffle(errors)
        for turn, error in enumerate(errors):
            life, place = rng.choice(places)
            tries.append((turn, rng.random(), (life, kind, place, error)))
    return [trial for _, _, trial in sorted(tries)]


def others(calls: dict[str, Counter], rng: random.Random) -> list[Try]:
    """All calls, each with one of its errors, in a random order."""
    tries = [
        (life, kind, place, rng.choice(possible(kind)))
        for life, of in calls.items()
        for kind in sorted(of)
        for place in range(of[kind])
    ]
    rng.shuffle(tries)
    return tries


def possible(kind: str) -> list[int]:
    """The errors that a call of a kind can have."""
    errors = [errno.ENOSPC, errno.EIO, errno.EACCES]
    errors += [FULL] if kind.startswith(NEEDS_ROOM) else []
    return errors + ([SHORT] if kind.startswith("write ") else [])


def fail_once(disk: Disk, run: Path, life: Life, *, trial: Try) -> tuple[int, str, str]:
    """The status of a run in which a call fails, what it said, and what call that was."""
    shutil.rmtree(run, ignore_errors=True)
    if life.start:
        shutil.copytree(life.start, run)
    disk.watch(run)
    disk.fail(*trial[1:])
    status, said = train(run, life.config)
    failed = disk.failed
    disk.watch(None)
    return status, said, failed


class Judge:
    """Says what came of a failure; a colon is in what should not be.

    The same command is typed again on every disk that is left, but once on those that hold the
    same. A run that has noticed the one call that failed has written its earlier checkpoints in
    peace, so that their arrays are not looked at; those of a run that goes on are.
    """

    def __init__(self) -> None:
        self.resumed: dict[tuple[Path, str], str] = {}

    def ended(self, run: Path, life: Life, trial: Try, *, status: int, said: str) -> str:
        said = "\n".join(line for line in said.splitlines() if line.strip())
        if status not in (0, 2) or "Traceback" in said or (status == 2 and "\n" in said):
            return f"status {status}: {said[-600:]!r}"
        if left := [path.name for path in run.rglob("*.unfinished")]:
            return f"half-written: {left}"
        if status == 0:
            return compared("went on", life.wanted, holds(run))
        held = holds(run, arrays=trial[-1] == FULL)  # more than one call has failed then
        disk = life.config, json.dumps(held, sort_keys=True)
        if disk not in self.resumed:
            again, said = train(run, life.config)
            self.resumed[disk] = (
                f"not resumed: {said[-300:]!r}"
                if again
                else compared("one line", life.wanted, holds(run))
            )
        return self.resumed[disk]


def compared(first: str, wanted: dict[str, Any], now: dict[str, Any]) -> str:
    """`first` where a run has come to what the undisturbed one has."""
    differ = differences(wanted, now)
    if differ and all(name.startswith("/result.json/oracle/") for name in differ):
        said = "note" in now["result.json"]["oracle"]  # the best epoch could not be read
        return f"{first} without the oracle, said" if said else "no oracle: and not said"
    return f"ended otherwise: {differ[:3]}" if differ else first


def summary(rows: list[dict[str, Any]], calls: dict[str, Counter], each: int) -> dict[str, Any]:
    """Counts by what is called, error and end."""
    came = [row for row in rows if row["ended"] != ABSENT]
    table, kinds = Counter(), Counter()
    for row in came:
        _, kind, _, error = row["try"]
        table[kind.partition(" /")[0].strip(), ERRORS[error], row["ended"].split(":")[0]] += 1
        kinds[kind] += 1
    every = set().union(*calls.values())
    return {
        "calls": {life: of.total() for life, of in calls.items()},
        "kinds": len(every),
        "kinds_tried": len(every & set(kinds)),
        "kinds_and_errors": each,
        "kinds_and_errors_tried": len({(r["try"][1], r["try"][3]) for r in came}),
        "tried": len(came),
        "drawn_from_all": sum(row.get("drawn_from_all", False) for row in came),
        "did_not_come": len(rows) - len(came),
        "rows": [
            {"call": call, "error": error, "ended": ended, "times": times}
            for (call, error, ended), times in sorted(table.items())
        ],
        "strange": [told(row) for row in came if ":" in row["ended"]],
    }


def told(row: dict[str, Any]) -> str:
    """A try and how it ended, of what was said its last line."""
    life, kind, _, error = row["try"]
    ended, _, said = row["ended"].partition(": ")
    return f"{kind}, {ERRORS[error]}, {life}: {ended}: {said.split(LINE)[-1].strip(QUOTES)}"


if __name__ == "__main__":
    sys.exit("python -m benchmarks.robustness.reliability failing")
