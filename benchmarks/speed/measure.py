"""What the comparisons share: contestants in processes of their own, timed in turn."""

import argparse
import datetime
import multiprocessing
import os
import platform
import resource
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import write_rows
from kdjax.runs import provenance

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# Every library gets all cores, and none a program that another start has compiled. What is timed is
# timed in processes that are started from here on and inherit it.
os.environ["OMP_NUM_THREADS"] = str(CORES)
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"

JAX_NAMES = {"cpu": "cpu", "cuda": "gpu"}  # PyTorch's devices


class Contestant:
    """A process that prepares something to be timed and then waits for its turns.

    Processes keep thread pools and memory apart; one that waits for its turn uses no core.
    `prepare(*args)` runs there and returns what a turn does and `facts`, plain data. Raises
    RuntimeError with the reason when it fails.
    """

    def __init__(self, prepare: Callable, *args: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, prepare, args), daemon=True)
        self._process.start()
        theirs.close()
        self.facts: dict[str, Any] = self._answer()

    def turn(self, *request: Any) -> Any:
        """What the contestant answers to one request."""
        self._ours.send(request)
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        self._ours.send(None)
        self._process.join()

    def _answer(self) -> Any:
        try:
            answer, failure = self._ours.recv()
        except EOFError:
            raise RuntimeError("the process ended without an answer") from None
        if failure:
            raise RuntimeError(failure)
        return answer


def _serve(connection: Any, prepare: Callable, args: tuple) -> None:
    try:
        act, facts = prepare(*args)
        connection.send((facts, None))
        while (request := connection.recv()) is not None:
            connection.send((act(*request), None))
    except Exception as error:  # whatever it is, the other process has to be told
        traceback.print_exc()
        lines = str(error).strip().splitlines()
        connection.send((None, f"{type(error).__name__}: {lines[0] if lines else ''}"))


def contestants(wanted: dict[str, tuple]) -> tuple[dict[str, Contestant], dict[str, str]]:
    """Those that could be prepared, by name, and why the others could not; the first one must."""
    ready, failed = {}, {}
    for name, (prepare, *args) in wanted.items():
        print(f"  preparing {name}", flush=True)
        try:
            ready[name] = Contestant(prepare, *args)
        except RuntimeError as error:
            if not ready:
                sys.exit(f"{name}: {error}")
            failed[name] = str(error)
            print(f"  {name}: {error}", flush=True)
    return ready, failed


def same_device(ready: Mapping[str, Contestant]) -> None:
    """Ends the program unless all run on one kind of device: no ratio across devices."""
    kinds = {name: contestant.facts["device"] for name, contestant in ready.items()}
    if len(set(kinds.values())) > 1:
        sys.exit(f"no common device: {kinds}; install PyTorch and JAX both for the GPU, or neither")


def without_torch() -> None:
    """Imports no torch in this process: tensorboardX takes it wherever it is installed."""
    modules: dict[str, Any] = sys.modules
    modules["torch"] = None


def seconds(function: Callable, *args: Any) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    function(*args)
    return time.perf_counter() - started


def peak_mib() -> float:
    """The largest resident size of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def part(weights: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): a for name, a in weights.items() if name.startswith(prefix)}


def processor() -> str:
    """What the system calls its CPU."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"median": float(np.median(values)), "low": min(values), "high": max(values)}


def ratios(numerator: Sequence[float], denominator: Sequence[float]) -> dict[str, float]:
    """The spread of the ratio over rounds, each of which measured both."""
    return spread([a / b for a, b in zip(numerator, denominator, strict=True)])


def out_argument(description: str) -> argparse.ArgumentParser:
    """A parser with --out, and --quick to see that everything runs."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="a rehearsal: small and few")
    return parser


def write(path: Path, command: str, found: dict[str, Any], **versions: str) -> None:
    """The result with what made it; `versions` are of software besides kdjax's own."""
    made = provenance.made_by()
    made["versions"] |= versions
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    quick = " --quick" if "--quick" in sys.argv else ""
    head = {"command": f"python -m benchmarks.speed.{command}{quick}", "threads": CORES}
    about = {"processor": processor(), "date": date}
    write_rows(path, head | found | made | about)
    print(path, flush=True)
