"""Does anything get lost, or silently wrong? Kills, flipped bits, damaged files, a long run.

python -m benchmarks.robustness.reliability processes  # two processes, one of them killed
python -m benchmarks.robustness.reliability signals  # 200 of them, over a run: an hour
python -m benchmarks.robustness.reliability failing  # every call to the disk fails once
python -m benchmarks.robustness.reliability power  # the power goes before every flush
python -m benchmarks.robustness.reliability branches  # those that the tests take
python -m benchmarks.robustness.reliability kills  # 50 kills at random moments: 15 minutes
python -m benchmarks.robustness.reliability flips  # single bits of every kind of file
python -m benchmarks.robustness.reliability fuzz  # damaged recordings
python -m benchmarks.robustness.reliability same_as_wfdb  # valid records, read by wfdb too
python -m benchmarks.robustness.reliability soak  # 400 short epochs: memory, files, threads
python -m benchmarks.robustness.mutation                 # and whether the tests notice a wrong line
python -m benchmarks.pages.reliability         # docs/evidence/reliability.md

Each part takes --quick, a rehearsal. `signals` and `failing` go on from what they have found in
--folder. The commands run train.py as a user does.
"""

import argparse
import datetime
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.robustness.branches import branches
from benchmarks.robustness.failing import failing
from benchmarks.robustness.power import power
from benchmarks.robustness.runs import (
    ROOT,
    Process,
    differences,
    environment,
    finished,
    last_saved,
    on_few_windows,
    options,
    outcome,
)
from benchmarks.robustness.same_as_wfdb import same_as_wfdb
from benchmarks.robustness.signals import signals
from benchmarks.robustness.soak import soak
from benchmarks.robustness.warm import Server

FILE = ROOT / "docs/results/reliability.json"


def main() -> None:
    """Runs one part and keeps what it found beside that of the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--out", type=Path, default=FILE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a rehearsal: small and few")
    parser.add_argument("--folder", type=Path, help="where to work, if not in a temporary folder")
    args = parser.parse_args()
    if args.folder is None:
        with TemporaryDirectory(prefix="kdjax-") as folder:
            found = PARTS[args.part](Path(folder), args.seed, args.quick)
    else:
        args.folder.mkdir(parents=True, exist_ok=True)
        found = PARTS[args.part](args.folder.resolve(), args.seed, args.quick)
    command = f"reliability {args.part}" + (" --quick" if args.quick else "")
    keep(args.out, args.part, command, found=found)


# What saves and loads: when it changes, what was tried before is of earlier code.
SAVING = (
    "files.py",
    "signals.py",
    "datasets/storage.py",
    *(f"runs/{name}.py" for name in ("checkpoints", "claim", "directory", "evaluation")),
    *(f"training/{name}.py" for name in ("epochs", "loop", "processes", "progress")),
)


def keep(path: Path, part: str, command: str, *, found: dict[str, Any]) -> None:
    """Writes one part's findings into the common file, as its last, with what made them."""
    from benchmarks.shared import write_rows
    from kdjax.runs import provenance

    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    head = {
        "command": f"python -m benchmarks.robustness.{command}",
        "date": date,
        "load": round(os.getloadavg()[2], 1),
    }
    made_by = provenance.made_by() | {"saving": saving_code()}
    everything = json.loads(path.read_text()) if path.exists() else {}
    everything.pop(part, None)
    write_rows(path, everything | {part: head | found | made_by})
    print(f"{path}: {part}", flush=True)


def saving_code() -> str:
    """SHA-256 over the files named in `SAVING`."""
    digest = hashlib.sha256()
    for name in SAVING:
        digest.update((ROOT / "kdjax" / name).read_bytes())
    return digest.hexdigest()


# --- kills -------------------------------------------------------------------------------------


def kills(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """SIGKILL at random moments of a run, each resumed: the end must be the undisturbed one's.

    The processes that are killed after their start come from a `Server`. SIGTERM to this command
    itself ends it early, with what it has.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wanted, epochs = (3, 2) if quick else (50, 8)
    flags, rng = on_few_windows(folder, options(epochs, batch=16)), random.Random(seed)
    finished(folder / "first", folder, *flags)  # makes the programs
    started = time.perf_counter()
    finished(folder / "whole", folder, *flags)
    seconds = time.perf_counter() - started
    whole, server = outcome(folder / "whole"), Server(folder, environment(folder))
    where: Counter[str] = Counter()
    differ, failed, runs_made, lost, ended_early = [], [], 0, 0, False
    while where.total() < wanted and not ended_early:
        runs_made += 1
        workdir = folder / f"run{runs_made}"
        try:
            while where.total() < wanted:
                # A fifth of the kills come at any time of a start, the others while it works.
                starting, done = rng.random() < 0.2, last_saved(workdir)
                process = Process(workdir, folder, *flags, server=None if starting else server)
                if not (doing := killed(process, starting, rng, seconds=seconds)):
                    if process.finish():  # it ended by itself, before it was killed
                        failed.append("\n".join(process.lines[-3:]))
                    break
                where[doing] += 1
                lost += done > last_saved(workdir)
                print(f"{where.total()}: {dict(where)}", flush=True)
        except KeyboardInterrupt:
            ended_early = True
        last = Process(workdir, folder, *flags)
        if last.finish():
            failed.append("\n".join(last.lines[-3:]))
            print(f"FAILED: {failed[-1]}", flush=True)
        else:
            differ += differences(whole, outcome(workdir))
            print(f"run {runs_made} ended otherwise in: {differ}", flush=True)
        shutil.rmtree(workdir)
    server.close()
    return {
        "kills": where.total(),
        "where": dict(where),
        "runs": runs_made,
        "epochs_of_each_network": epochs,
        "data": "300 windows",
        "seconds_undisturbed": seconds,
        "ended_otherwise": differ,
        "failed_to_resume": failed,
        "saves_lost": lost,
    }


def killed(process: Process, starting: bool, rng: random.Random, *, seconds: float) -> str | None:
    """What a process was at when it was killed; None where it ended before."""
    try:
        if not starting:
            process.wait_for("^Epoch: ")
        process.wait_for(None, within=rng.uniform(0, seconds / (2 if starting else 5)))
        return None if process.ended() else process.kill()
    finally:
        process.process.kill()  # where this command itself is ended early


# --- several processes -------------------------------------------------------------------------


def processes(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """Two processes of two devices: equal to one of four, and what is left when one is killed."""
    wanted, epochs = (2, 2) if quick else (6, 2)
    flags, rng = options(epochs, batch=256), random.Random(seed)
    finished(folder / "first", folder, *flags, devices=4)  # makes the data
    two = pair(folder / "whole", folder, flags)
    if [process.finish() for process in two] != [0, 0]:
        sys.exit("\n".join([*two[0].lines[-20:], "the run itself fails"]))
    whole = outcome(folder / "whole")
    rows, differ, runs_made, unresumed = [], [], 0, []
    while len(rows) < wanted:
        runs_made += 1
        workdir = folder / f"run{runs_made}"
        while True:
            two, victim = pair(workdir, folder, flags), len(rows) % 2
            if len(rows) < wanted and two[0].wait_for("^Epoch: "):
                time.sleep(rng.uniform(0, 1))
                if all(process.process.poll() is None for process in two):
                    rows.append(abandoned(two, victim))
                    print(rows[-1], flush=True)
                    continue
            if [process.finish() for process in two] != [0, 0]:
                unresumed.append("\n".join(two[0].lines[-3:]))
                break
            differ += differences(whole, outcome(workdir))
            break
        print(f"run {runs_made} ended otherwise in: {differ}", flush=True)
    return {
        "largest_difference_in_float64": difference(folder),
        "kills": rows,
        "runs": runs_made,
        "epochs_of_each_network": epochs,
        "ended_otherwise": differ,
        "failed_to_resume": unresumed,
    }


def pair(workdir: Path, home: Path, flags: list[str]) -> list[Process]:
    """One training in two processes of two devices each."""
    meet = [f"--coordinator=127.0.0.1:{free_port()}", "--processes=2"]
    return [Process(workdir, home, *flags, *meet, f"--process={i}", devices=2) for i in range(2)]


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def abandoned(two: list[Process], victim: int) -> dict[str, Any]:
    """What the other process does when the victim is killed."""
    other = 1 - victim
    two[victim].kill()
    since = time.perf_counter()
    status = two[other].finish()
    line = f"train.py: process {other} stops: process {victim} of 2 "
    return {
        "killed": victim,
        "seconds": time.perf_counter() - since,
        "status": status,
        "says_so": any(said.startswith(line) for said in two[other].lines),
    }


def difference(folder: Path) -> float:
    """Of two processes of two devices and one of four after three steps in float64, all terms on.

    Of states and metrics, each relative to its own size where that is above 1.
    """
    import numpy as np

    def steps(name: str, devices: int, count: int) -> None:
        address = f"127.0.0.1:{free_port()}"
        command = [sys.executable, str(ROOT / "tests/joined.py"), "steps", str(devices)]
        started = [
            subprocess.Popen(
                [*command, str(folder / f"{name}{i}.npz"), address, str(count), str(i)]
            )
            for i in range(count)
        ]
        if max(process.wait() for process in started):
            sys.exit(f"{name}: the steps fail")

    steps("of-two-", 2, 2)
    steps("of-one-", 4, 1)
    largest = 0.0
    with np.load(folder / "of-one-0.npz") as one:
        for i in range(2):
            with np.load(folder / f"of-two-{i}.npz") as half:
                for leaf in one.files:
                    a, b = one[leaf][2 * i : 2 * i + 2], half[leaf]
                    largest = max(largest, float(np.max(abs(a - b) / np.maximum(abs(a), 1))))
    return largest


# --- flipped bits ------------------------------------------------------------------------------


def flips(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """One bit of one file at a time, at random places: refused, or to the last bit without effect.

    'not read' are files of which the command that reads their kind makes no use.
    """
    from kdjax import datasets
    from kdjax.detection import detector_files
    from kdjax.files import write_sealed
    from kdjax.runs import checkpoints, directory
    from kdjax.study import grid

    each = 5 if quick else 150
    finished(folder / "run", folder, *options(1))
    run, data = folder / "run", folder / "data"
    last, best = (
        run / part / str(checkpoints.steps(run / part)[0])
        for part in (checkpoints.LAST, checkpoints.BEST)
    )
    shipped = shutil.copytree(next(iter(detector_files.shipped().values())), folder / "shipped")
    alone = folder / "calibration.npz"
    shutil.copy(shipped / detector_files.CALIBRATION, alone)
    cell = folder / grid.CELL
    write_sealed(cell, {"scores": [0.125], "fingerprints": {"model": "a"}, "teacher": None})

    def detector() -> str:
        return told(directory.load_run(run))

    kinds: dict[str, tuple[list[Path], Callable[[], str]]] = {
        "checkpoint": (files(last), detector),
        "checkpoint of the best epoch": (
            files(best),
            lambda: told(directory.load_model(run, checkpoints.BEST)),
        ),
        "config.json": ([run / directory.CONFIG], detector),
        "result.json": ([run / directory.RESULT], detector),
        "calibration.npz of the run": ([run / directory.CALIBRATION], detector),
        "calibration.npz by itself": (
            [alone],
            lambda: told(detector_files.read_calibration(alone)),
        ),
        "prepared data": (files(data), lambda: told(datasets.load("synthetic", data))),
        "shipped detector": (files(shipped), lambda: told(detector_files.read(shipped))),
        "cell.json of a study": ([cell], lambda: told(grid.read_cell(cell))),
    }
    rng, table = random.Random(seed), {}
    for kind, (paths, read) in kinds.items():
        there = [path for path in paths if path.exists() and path.stat().st_size]
        if not there:
            print(f"{kind}: none", flush=True)
            continue
        table[kind] = flip_each(there, read, each, rng=rng)
        print(f"{kind}: {table[kind]}", flush=True)
    return {"kinds": table}


def flip_each(
    paths: list[Path], read: Callable[[], str], count: int, *, rng: random.Random
) -> dict:
    """Flips `count` bits, spread over the files, and counts what `read` says of each."""
    whole, counts = read(), Counter()
    strange: list[str] = []
    for number in range(max(count, len(paths))):
        path = paths[number % len(paths)]
        content = bytearray(path.read_bytes())
        place, bit = rng.randrange(len(content)), rng.randrange(8)
        content[place] ^= 1 << bit
        path.write_bytes(content)
        now = verdict(lambda: "without effect" if read() == whole else "silently other")
        counts[now] += 1
        if now not in ("refused", "without effect"):
            strange.append(f"{path.name}, byte {place}, bit {bit}: {now}")
        content[place] ^= 1 << bit
        path.write_bytes(content)
    if read() != whole:
        raise RuntimeError("the files are not what they were")
    return {
        "files": len(paths),
        "tried": sum(counts.values()),
        "refused": counts["refused"],
        "without_effect": counts["without effect"],
        "strange": strange,
    }


def verdict(read: Callable[[], str]) -> str:
    """What came of reading a damaged file: what `read` says, or how it failed."""
    from kdjax.errors import InputError

    try:
        return read()
    except InputError as error:
        return "refused" if "\n" not in str(error) else "refused in several lines"
    except Exception as error:  # any other kind is a defect: it is counted, by its name
        return f"crash: {type(error).__name__}"


def files(folder: Path) -> list[Path]:
    """All files below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def told(thing: Any) -> str:
    """SHA-256 over all that was read: arrays by their bytes, the rest by its text."""
    digest = hashlib.sha256()
    for name, value in sorted(leaves(thing), key=lambda leaf: leaf[0]):
        content = value.tobytes() if hasattr(value, "tobytes") else repr(value).encode()
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()


def leaves(thing: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """(path, leaf) of nested mappings, tuples and plain objects."""
    if hasattr(thing, "_asdict"):
        thing = thing._asdict()
    elif type(thing).__module__.startswith("kdjax.") and not hasattr(thing, "apply"):
        thing = vars(thing)
    if isinstance(thing, dict):
        for key, value in thing.items():
            if not key.startswith("_"):
                yield from leaves(value, f"{name}/{key}")
    elif hasattr(thing, "dtype"):
        import numpy as np

        array = np.asarray(thing)
        yield f"{name} {array.dtype} {array.shape}", array
    else:
        yield name, thing


# --- damaged recordings ------------------------------------------------------------------------


def fuzz(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """Recordings that are damaged, false or strange, read to their end, with several seeds."""
    sys.path.insert(0, str(ROOT / "tests"))
    from malformed import malformed

    from kdjax.recordings import open_source

    counts: Counter[str] = Counter()
    strange: list[str] = []
    seeds = range(seed, seed + (1 if quick else 20))
    for number in seeds:
        place = folder / str(number)
        place.mkdir()
        for name, path, given in malformed(place, number):

            def to_the_end(path: Path = path, given: dict[str, Any] = given) -> str:
                source = open_source(path, **given)
                read = sum(len(block) for block in source.blocks(range(len(source.leads))))
                return "read" if read == source.length else "read in part"

            now = verdict(to_the_end)
            counts[now] += 1
            if now not in ("read", "refused"):
                strange.append(f"{name}, seed {number}: {now}")
        shutil.rmtree(place)
        print(f"seed {number}: {dict(counts)}", flush=True)
    return {
        "seeds": len(seeds),
        "tried": sum(counts.values()),
        "read": counts["read"],
        "refused": counts["refused"],
        "strange": strange[:20],
    }


PARTS: dict[str, Callable[[Path, int, bool], dict[str, Any]]] = {
    "processes": processes,
    "kills": kills,
    "signals": signals,
    "failing": failing,
    "power": power,
    "branches": branches,
    "flips": flips,
    "fuzz": fuzz,
    "same_as_wfdb": same_as_wfdb,
    "soak": soak,
}

if __name__ == "__main__":
    main()
