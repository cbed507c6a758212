"""What runs cost in use, side by side: size, work, latency, throughput, beside their AUC."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from kdjax.detection.detector import Detector
from kdjax.errors import InputError
from kdjax.models.networks import count_parameters
from kdjax.models.sizes import Sizes, multiply_accumulates
from kdjax.runs import directory, provenance

THROUGHPUT_BATCH = 256
LATENCY_CALLS = 200  # in a round
THROUGHPUT_CALLS = 3
ROUNDS = 5  # of all runs in turn, so that what else the machine does falls on all alike


def benchmark(paths: Sequence[Path], say: Callable[[str], None] = print) -> dict[str, Any]:
    """A row a run, measured by turns, with what made it; `say` gets what is being done.

    latency_p50, latency_p99: seconds of `Detector.score` of one beat; beats_a_second: in batches of
    THROUGHPUT_BATCH; compile_seconds: of the first call for one beat, less the median of later
    ones; params, macs, bytes: of the generator; auc: None where the run has no result. Raises
    InputError when a run is missing or damaged, or named twice.
    """
    for i, path in enumerate(paths):
        if path in paths[:i]:
            raise InputError(f"{path}: named twice; name each run once")
    detectors = {str(path): _detector(path) for path in paths}
    aucs = {str(path): _auc(path) for path in paths}
    compiling = {}
    for name, detector in detectors.items():
        say(f"{name}: compiling")
        compiling[name] = _seconds(detector, 1, 1)[0]
    one: dict[str, list[float]] = {name: [] for name in detectors}
    many: dict[str, list[float]] = {name: [] for name in detectors}
    for detector in detectors.values():
        _seconds(detector, 1, 1)
        _seconds(detector, THROUGHPUT_BATCH, 1)
    for number in range(ROUNDS):
        say(f"round {number + 1} of {ROUNDS}")
        for name, detector in detectors.items():
            one[name] += _seconds(detector, 1, LATENCY_CALLS)
            many[name] += _seconds(detector, THROUGHPUT_BATCH, THROUGHPUT_CALLS)
    rows = []
    for name, detector in detectors.items():
        p50, p99 = np.percentile(one[name], [50, 99])
        rows.append(
            {
                "run": name,
                **of_generator(detector.generator, detector.variables),
                "latency_p50": float(p50),
                "latency_p99": float(p99),
                "beats_a_second": THROUGHPUT_BATCH / float(np.median(many[name])),
                "compile_seconds": max(compiling[name] - float(p50), 0.0),
                "auc": aucs[name],
            }
        )
    return {"rounds": ROUNDS, "calls": ROUNDS * LATENCY_CALLS, "rows": rows, **provenance.made_by()}


def of_generator(generator: Sizes, variables: Any) -> dict[str, int]:
    """Parameters, multiply-accumulates of a beat, and bytes, running statistics among them."""
    return {
        "params": count_parameters(variables["params"]),
        "macs": multiply_accumulates(generator),
        "bytes": sum(leaf.nbytes for leaf in jax.tree.leaves(variables)),
    }


def panels(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """What `plots.bars` shows of the rows: quantity -> run -> value."""
    shown = {
        "one beat, median (ms)": ("latency_p50", 1e3),
        "one beat, 99th percentile (ms)": ("latency_p99", 1e3),
        f"beats a second, {THROUGHPUT_BATCH} together": ("beats_a_second", 1.0),
        "multiply-accumulates a beat (million)": ("macs", 1e-6),
        "weights (kB)": ("bytes", 1e-3),
        "AUC (0 to 1)": ("auc", 1.0),
    }
    return {
        title: {row["run"]: unit * row[name] for row in rows if row[name] is not None}
        for title, (name, unit) in shown.items()
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as text, a line a run."""
    names = ("run", "parameters", "MACs", "kB", "p50 ms", "p99 ms", "beats/s", "compile s", "AUC")
    cells = [
        (
            row["run"],
            f"{row['params']:,}",
            f"{row['macs'] / 1e6:.2f} M",
            f"{row['bytes'] / 1e3:,.0f}",
            f"{1e3 * row['latency_p50']:.3f}",
            f"{1e3 * row['latency_p99']:.3f}",
            f"{row['beats_a_second']:,.0f}",
            f"{row['compile_seconds']:.2f}",
            "" if row["auc"] is None else f"{row['auc']:.4f}",
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in (names, *cells)) for i in range(len(names))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in (names, *cells)
    )


def _detector(path: Path) -> Detector:
    """A run's, also before it has a result, or a shipped one."""
    if not path.exists():
        return directory.load_run(path)
    finished = (path / directory.RESULT).exists()
    model = directory.load_finished(path).model if finished else directory.load_model(path)
    return Detector(model.generator, model.variables["generator"])


def _seconds(detector: Detector, batch: int, calls: int) -> list[float]:
    """Wall times of scoring one batch of noise again and again."""
    g = detector.generator
    shape = (batch, g.length, g.channels)
    x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        detector.score(x)
        times.append(time.perf_counter() - started)
    return times


def _auc(run: Path) -> float | None:
    return directory.read_result(run)["auc"] if (run / directory.RESULT).exists() else None
