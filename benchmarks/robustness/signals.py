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

import numpy as np

from benchmarks.robustness.runs import (
    Process,
    Rows,
    differences,
    environment,
    finished,
    last_saved,
    outcome,
    teacher_options,
)
from benchmarks.robustness.warm import Server

STAGES = ("start", "steps", "evaluation")
COUNT = 200


def signals(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """Signals to train.py by turns in each stage, each run typed again until it is finished.

    A start is everything before the first chunk of steps, Python's own included. The processes of
    the other stages come from a `Server`. SIGTERM to this command itself ends it early, with what
    it has.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wanted, epochs = (6, 2) if quick else (COUNT, 20)
    flags, rows = few_windows(folder, epochs), Rows(folder / "signals.jsonl")
    rng = random.Random(f"{seed} {len(rows.found)}")
    finished(folder / "first", folder, *flags)  # makes the data and the programs
    shutil.rmtree(folder / "whole", ignore_errors=True)
    server = Server(folder, environment(folder))
    whole, seconds = stages(folder, flags, server)
    trained = folder / "trained"
    if not trained.exists():
        shutil.copytree(folder / "whole", trained)
    try:
        while (sent := sum(row["signalled"] for row in rows.found)) < wanted:
            stage = STAGES[sent % len(STAGES)]
            signum = (signal.SIGTERM, signal.SIGINT)[sent // len(STAGES) % 2]
            workdir = trained if stage == "evaluation" else folder / stage
            (workdir / "result.json").unlink(missing_ok=True)
            if stage == "steps" and last_saved(workdir)[1] >= last_saved(folder / "whole")[1]:
                shutil.rmtree(workdir)  # trained to its end: another one
            process = Process(workdir, folder, *flags, server=None if stage == "start" else server)
            rows.add(send(process, stage, signum, rng.uniform(0, seconds[stage])))
            print(sent + 1, rows.found[-1], flush=True)
    except KeyboardInterrupt:
        print(f"ended after {len(rows.found)}", file=sys.stderr)
    differ, failed = [], []
    for workdir in (folder / "start", folder / "steps", trained):
        last = Process(workdir, folder, *flags)
        if last.finish():
            failed.append("\n".join(last.lines[-3:]))
        else:
            differ += differences(whole, outcome(workdir))
    return {
        "signals": sum(row["signalled"] for row in rows.found),
        "epochs": epochs,
        "stages": [summary(rows.found, stage) for stage in STAGES],
        "strange": [row for row in rows.found if row["strange"]],
        "ended_otherwise": differ,
        "failed_to_resume": failed,
    }


def few_windows(folder: Path, epochs: int) -> list[str]:
    """The flags of a teacher of so few windows that most of its time is not arithmetic."""
    from kdjax import datasets

    rng, time = np.random.default_rng(0), np.arange(64)
    label = np.arange(300) % 6 == 5
    x = np.sin(time * np.where(label, 0.5, 0.2)[:, None]) + rng.normal(0, 0.1, (300, 64))
    file, group = folder / "windows.npz", np.arange(300) // 50
    np.savez(file, x=x[:, :, None], label=label.astype(int), group=group)
    datasets.prepare_windows(file, "windows", folder / "data")
    first, *others = teacher_options(epochs, batch=16)
    return [f"{first}:windows", *others]


def stages(
    folder: Path, flags: list[str], server: Server
) -> tuple[dict[str, Any], dict[str, float]]:
    """The outcome of a run that nothing disturbs, and the seconds that each stage takes."""
    began, workdir = time.perf_counter(), folder / "whole"
    process = Process(workdir, folder, *flags)
    process.wait_for("^Epoch: ")
    first = time.perf_counter()
    process.finish()
    trained = time.perf_counter()
    whole = outcome(workdir)
    (workdir / "result.json").unlink()
    process = Process(workdir, folder, *flags, server=server)
    process.wait_for("goes on from")
    evaluating = time.perf_counter()
    if process.finish():
        sys.exit("\n".join([*process.lines[-5:], "the run itself fails"]))
    evaluation = time.perf_counter() - evaluating
    steps = trained - first - evaluation
    return whole, {"start": first - began, "steps": max(steps, 2.0) / 2, "evaluation": evaluation}


def send(process: Process, stage: str, signum: signal.Signals, pause: float) -> dict[str, Any]:
    """One signal so long after a stage's beginning, and how the process ended."""
    try:
        return _sent(process, stage, signum, pause)
    finally:
        process.process.kill()  # where this command itself is ended early


def _sent(process: Process, stage: str, signum: signal.Signals, pause: float) -> dict[str, Any]:
    if stage == "steps":
        process.wait_for("^Epoch: ")
    elif stage == "evaluation":
        process.wait_for("goes on from")
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
    # A negative status is the signal's too: Python's own way, before the first line of train.py.
    if signalled and status not in (128 + signum, -signum):
        strange.append("swallowed" if status == 0 else f"status {status}")
    if re.search("Traceback", said) and status != -signum:
        strange.append("traceback")
    if list(process.workdir.rglob("*.unfinished")):
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
        "left_by_python_itself": sum(row["status"] < 0 for row in of),
        "otherwise": sum(bool(row["strange"]) for row in of),
        "seconds_median": seconds[len(seconds) // 2] if seconds else None,
        "seconds_most": seconds[-1] if seconds else None,
    }
