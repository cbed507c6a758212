"""SIGTERM and SIGINT at random moments of a run, from its first line to its last."""

import random
import re
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.robustness.runs import (
    Process,
    Rows,
    differences,
    environment,
    finished,
    last_saved,
    on_few_windows,
    outcome,
    teacher_options,
)
from benchmarks.robustness.warm import Server

COUNT = 200
EPOCHS_BEFORE = 4  # at most so many before a signal among the steps: a run has several signals
LONGER = 1.02  # a stage's seconds grow so with each signal in it: the machine may slow down

STEPS, RESUMED = "^Epoch: ", "continues from"


@dataclass(kw_only=True)
class Stage:
    """A part of a run: the lines with which it begins and ends, and the seconds between them.

    begins: None where that is the process's start. ends: None where that is the process's end.
    """

    begins: str | None
    ends: str | None
    seconds: float


def signals(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """Signals to train.py by turns in each stage, each run typed again until it is finished.

    A start is everything before the first chunk of steps, Python's own included. The processes of
    the other stages come from a `Server`. SIGTERM to this command itself ends it early, with what
    it has.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wanted, epochs = (6, 4) if quick else (COUNT, 20)
    flags = on_few_windows(folder, teacher_options(epochs, batch=16))
    rows = Rows(folder / "signals.jsonl")
    rng = random.Random(f"{seed} {len(rows.found)}")
    finished(folder / "first", folder, *flags)  # makes the data and the programs
    shutil.rmtree(folder / "whole", ignore_errors=True)
    server = Server(folder, environment(folder))
    whole, stages = undisturbed(folder, flags, server, epochs=epochs)
    names, trained = list(stages), folder / "trained"
    if not trained.exists():
        shutil.copytree(folder / "whole", trained)
    try:
        while (sent := sum(map(tried, rows.found))) < wanted:
            stage = names[sent % len(names)]
            signum = (signal.SIGTERM, signal.SIGINT)[sent // len(names) % 2]
            workdir = trained if stage == "evaluation" else folder / stage
            (workdir / "result.json").unlink(missing_ok=True)
            before = 1
            if stage == "steps":
                left = epochs_left(workdir, epochs, last_saved(folder / "whole")[1])
                if left < 2:
                    shutil.rmtree(workdir)  # trained to its end: another one
                before = rng.randint(1, min(EPOCHS_BEFORE, (left if left > 1 else epochs) - 1))
            process = Process(workdir, folder, *flags, server=None if stage == "start" else server)
            ended = send(process, stages[stage], signum, rng=rng, times=before)
            rows.add({"stage": stage, "signal": signum.name} | ended)
            print(sent + 1, rows.found[-1], flush=True)
    except KeyboardInterrupt:
        print(f"ended after {len(rows.found)}", file=sys.stderr)
    server.close()
    differ, failed = [], []
    for workdir in (folder / "start", folder / "steps", trained):
        last = Process(workdir, folder, *flags)
        if last.finish():
            failed.append("\n".join(last.lines[-3:]))
        else:
            differ += differences(whole, outcome(workdir))
    return {
        "signals": sum(row["signalled"] for row in rows.found),
        "too_late": sum(not tried(row) for row in rows.found),
        "epochs": epochs,
        "stages": [summary(rows.found, stage) for stage in names],
        "strange": [row for row in rows.found if row["strange"]],
        "ended_otherwise": differ,
        "failed_to_resume": failed,
    }


def tried(row: dict[str, Any]) -> bool:
    """Whether a try counts: a signal came, or the process ended by itself when it should not."""
    return row["signalled"] or bool(row["strange"])


def epochs_left(workdir: Path, epochs: int, last_step: int) -> int:
    """How many epochs of a run are not saved; last_step: that of a finished one."""
    return epochs - max(last_saved(workdir)[1], 0) * epochs // last_step


def undisturbed(
    folder: Path, flags: list[str], server: Server, *, epochs: int
) -> tuple[dict[str, Any], dict[str, Stage]]:
    """The outcome of a run that nothing disturbs, and its stages. That of steps is one epoch."""
    began, workdir = time.perf_counter(), folder / "whole"
    process = Process(workdir, folder, *flags)
    process.wait_for(STEPS)
    first = time.perf_counter()
    process.wait_for(STEPS, times=epochs)
    last = time.perf_counter()
    process.finish()
    whole = outcome(workdir)
    (workdir / "result.json").unlink()
    process = Process(workdir, folder, *flags, server=server)
    process.wait_for(RESUMED)
    evaluating = time.perf_counter()
    if process.finish():
        sys.exit("\n".join([*process.lines[-5:], "the run itself fails"]))
    evaluation = time.perf_counter() - evaluating
    epoch = (last - first) / (epochs - 1)
    return whole, {
        "start": Stage(begins=None, ends=STEPS, seconds=first - began),
        "steps": Stage(begins=STEPS, ends=STEPS, seconds=epoch),
        "evaluation": Stage(begins=RESUMED, ends=None, seconds=evaluation),
    }


def send(
    process: Process, stage: Stage, signum: signal.Signals, *, rng: random.Random, times: int
) -> dict[str, Any]:
    """A signal at a random moment after the stage has begun so many times, and what came of it.

    No signal where the stage is over before; `stage` then takes the seconds that it took. A process
    that ends by itself before its stage is over is strange, whatever its status.
    """
    try:
        return _sent(process, stage, signum, rng=rng, times=times)
    finally:
        process.process.kill()  # where this command itself is ended early


def _sent(
    process: Process, stage: Stage, signum: signal.Signals, *, rng: random.Random, times: int
) -> dict[str, Any]:
    began = stage.begins is None or process.wait_for(stage.begins, times=times)
    since = time.perf_counter()
    pause = rng.uniform(0, stage.seconds)
    again = stage.ends == stage.begins
    over = process.wait_for(stage.ends, times=times + 1 if again else 1, within=pause)
    by_itself = process.ended()
    signalled = not over and not by_itself
    took = time.perf_counter() - since
    if signalled:
        stage.seconds *= LONGER
        process.process.send_signal(signum)
    else:
        stage.seconds = took
        process.process.kill()
    since = time.perf_counter()
    status = process.finish()
    said = "\n".join(process.lines)
    strange = []
    if by_itself and (status or not began or not (over or stage.ends is None)):
        strange.append(f"ended by itself with status {status}")
    # A negative status is the signal's too: Python's own way, before the first line of train.py.
    if signalled and status not in (128 + signum, -signum):
        strange.append("swallowed" if status == 0 else f"status {status}")
    if signalled and re.search("Traceback", said) and status != -signum:
        strange.append("traceback")
    if signalled and list(process.workdir.rglob("*.unfinished")):
        strange.append("half-written")
    return {
        "after": round(took, 2),
        "signalled": signalled,
        "status": status,
        "seconds": round(time.perf_counter() - since, 2),
        "strange": ", ".join(strange),
    }


def summary(rows: list[dict[str, Any]], stage: str) -> dict[str, Any]:
    """Counts of one stage."""
    all_of_it = [row for row in rows if row["stage"] == stage]
    of = [row for row in all_of_it if row["signalled"]]
    seconds = sorted(row["seconds"] for row in of)
    return {
        "stage": stage,
        "signals": len(of),
        "left_with_128_and_the_signal": sum(row["status"] > 128 for row in of),
        "left_by_python_itself": sum(row["status"] < 0 for row in of),
        "otherwise": sum(bool(row["strange"]) for row in all_of_it),
        "seconds_median": seconds[len(seconds) // 2] if seconds else None,
        "seconds_most": seconds[-1] if seconds else None,
    }
