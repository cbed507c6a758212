"""SIGTERM and SIGINT at random moments of a run, from its first line to its last."""

import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.robustness.runs import Process, finished, flat, options, outcome

STAGES = ("start", "steps", "evaluation")
COUNT = 200


def signals(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """Signals to train.py by turns in each stage, each run typed again until it is finished.

    A start is everything before the first chunk of steps. Ctrl-C ends the part early.
    """
    wanted, epochs = (6, 2) if quick else (COUNT, 6)
    flags, rng = options(epochs, batch=32), random.Random(seed)
    finished(folder / "first", folder, *flags)  # makes the data and the programs
    whole, seconds = stages(folder / "whole", folder, flags)
    trained = shutil.copytree(folder / "whole", folder / "trained")
    (trained / "result.json").unlink()
    rows: list[dict[str, Any]] = []
    try:
        while len(rows) < wanted:
            stage = STAGES[len(rows) % len(STAGES)]
            signum = (signal.SIGTERM, signal.SIGINT)[len(rows) // len(STAGES) % 2]
            workdir = trained if stage == "evaluation" else folder / stage
            rows.append(send(workdir, folder, flags, stage, signum, seconds[stage], rng))
            print(len(rows), rows[-1], flush=True)
    except KeyboardInterrupt:
        print(f"ended after {len(rows)}", file=sys.stderr)
    differ, failed = [], []
    for workdir in (folder / "start", folder / "steps", trained):
        last = Process(workdir, folder, *flags)
        if last.finish():
            failed.append("\n".join(last.lines[-3:]))
        else:
            now = flat(outcome(workdir))
            differ += [n for n in sorted(whole | now) if whole.get(n) != now.get(n)]
    return {
        "signals": len(rows),
        "epochs_of_each_network": epochs,
        "stages": [summary(rows, stage) for stage in STAGES],
        "strange": [row for row in rows if row["strange"]],
        "ended_otherwise": differ,
        "failed_to_resume": failed,
    }


def stages(workdir: Path, home: Path, flags: list[str]) -> tuple[dict[str, Any], dict[str, float]]:
    """The outcome of a run that nothing disturbs, and the seconds from the first line of a stage.

    A start is timed from the process's first moment, an evaluation from that of a trained run.
    """
    began = time.perf_counter()
    process = Process(workdir, home, *flags)
    process.wait_for("^Epoch: ")
    first = time.perf_counter() - began
    process.wait_for("^Student: ")
    process.wait_for("^Epoch: ")
    student = time.perf_counter()
    process.wait_for("^Avg one epoch time: .*")
    if process.finish():
        sys.exit("\n".join([*process.lines[-5:], "the run itself fails"]))
    steps = time.perf_counter() - student
    return flat(outcome(workdir)), {"start": first, "steps": steps / 2, "evaluation": first + 2}


def send(
    workdir: Path,
    home: Path,
    flags: list[str],
    stage: str,
    signum: signal.Signals,
    seconds: float,
    rng: random.Random,
) -> dict[str, Any]:
    """One signal within `seconds` of a stage's beginning, and how the process ended."""
    if (workdir / "result.json").exists():
        shutil.rmtree(workdir)
    process = Process(workdir, home, *flags)
    if stage == "steps":
        process.wait_for("^Epoch: ")
    elif stage == "evaluation":
        process.wait_for("goes on from")
    pause = rng.uniform(0, seconds)
    row: dict[str, Any] = {"stage": stage, "signal": signum.name, "after": round(pause, 2)}
    try:
        process.process.wait(pause)
        signalled = False
    except subprocess.TimeoutExpired:
        process.process.send_signal(signum)
        signalled = True
    since = time.perf_counter()
    status = process.finish()
    said = "\n".join(process.lines)
    strange = []
    # A negative status is the signal's too: it came before the first line, from Python's own way.
    if signalled and status not in (128 + signum, -signum):
        strange.append("swallowed" if status == 0 else f"status {status}")
    if re.search("Traceback", said) and status != -signum:
        strange.append("traceback")
    if list(workdir.rglob("*.unfinished")):
        strange.append("half-written")
    return row | {
        "signalled": signalled,
        "status": status,
        "seconds": round(time.perf_counter() - since, 2),
        "strange": ", ".join(strange),
    }


def summary(rows: list[dict[str, Any]], stage: str) -> dict[str, Any]:
    """Counts of one stage."""
    of = [row for row in rows if row["stage"] == stage and row["signalled"]]
    seconds = sorted(row["seconds"] for row in of)
    return {
        "stage": stage,
        "signals": len(of),
        "left_with_128_and_the_signal": sum(row["status"] > 128 for row in of),
        "before_the_first_line": sum(row["status"] < 0 for row in of),
        "otherwise": sum(bool(row["strange"]) for row in of),
        "seconds_median": seconds[len(seconds) // 2] if seconds else None,
        "seconds_most": seconds[-1] if seconds else None,
    }
