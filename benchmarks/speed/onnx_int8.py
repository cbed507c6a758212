"""The shipped detector in ONNX Runtime, float32 and int8 (QDQ): time of a call, and AUC.

python -m benchmarks.speed.onnx_int8 --out docs/results/perf-onnx_int8.json --data-dir DIR

Both files are those of `kdjax export mitbih-w8 --format onnx`, the second with --int8. They run on
all cores and on one thread, which a small network at one beat is often faster on; beside them
stands `Detector.score`. Every contestant is a process of its own; they take turns. AUC: of the
plain score on the beats of DS2, cut around their annotations; DIR holds the prepared beats.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.speed.measure import CORES, contestants, out_argument, ratios, spread, write

NAME = "mitbih-w8"
SECONDS = 0.5  # of calls in one turn
FILES = {"float32": "float.onnx", "int8": "int8.onnx"}


def main() -> None:
    """Writes times of a call by batch and contestant, and AUC by file."""
    parser = out_argument(__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="where mitbih is prepared")
    args = parser.parse_args()
    batches, rounds = ((1,), 1) if args.quick else ((1, 16, 256), 5)
    with TemporaryDirectory() as folder:
        sizes = export(Path(folder))
        result = {
            "detector": NAME,
            "rounds": rounds,
            "load": round(os.getloadavg()[1], 1),
            "rows": times(folder, batches, rounds),
            "bytes": sizes,
            "auc": auc(Path(folder), args.data_dir),
        }
    import onnxruntime

    write(args.out, "onnx_int8", result, onnxruntime=onnxruntime.__version__)


def export(folder: Path) -> dict[str, int]:
    """Writes both files and gives their sizes in bytes."""
    from kdjax.runs import export as exporting

    for form, name in FILES.items():
        exporting.export(NAME, "onnx", folder / name, int8=form == "int8")
    return {form: (folder / name).stat().st_size for form, name in FILES.items()}


def times(folder: str, batches: tuple[int, ...], rounds: int) -> list[dict[str, Any]]:
    """A row for each batch and contestant: the spread of its calls, and its ratio to float32's."""
    wanted: dict[str, tuple] = {"Detector.score": (kdjax,)}
    for form, name in FILES.items():
        wanted |= {
            f"onnxruntime {form}": (onnx_runtime, str(Path(folder, name)), CORES),
            f"onnxruntime {form}, one thread": (onnx_runtime, str(Path(folder, name)), 1),
        }
    ready, failed = contestants(wanted)
    if failed:
        raise SystemExit(f"contestants failed: {failed}")
    rows = []
    for batch in batches:
        found: dict[str, list[float]] = {name: [] for name in ready}
        for contestant in ready.values():
            contestant.turn(batch, 0.0)  # may compile
        for _ in range(rounds):
            for name, contestant in ready.items():
                found[name].append(contestant.turn(batch, SECONDS))
        base = found["onnxruntime float32"]
        rows += [
            {
                "batch": batch,
                "software": name,
                "seconds": spread(calls),
                "faster_than_onnxruntime_float32_by": ratios(base, calls),
            }
            for name, calls in found.items()
        ]
    for contestant in ready.values():
        contestant.close()
    return rows


def kdjax() -> tuple[Callable, dict[str, Any]]:
    """`Detector.score` on scaled beats."""
    from kdjax.runs import directory

    return _turns(directory.load_run(NAME).score), {}


def onnx_runtime(path: str, threads: int) -> tuple[Callable, dict[str, Any]]:
    """A file in ONNX Runtime with so many intra-op threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return _turns(lambda x: session.run(["score"], {"windows": x})), {}


def _turns(score: Callable[[np.ndarray], Any]) -> Callable[[int, float], float]:
    """A turn calls for so many seconds, at least twice, and gives the median call's seconds."""

    def turn(batch: int, limit: float) -> float:
        from kdjax import beats

        rng = np.random.default_rng(batch)
        x = beats.scale(rng.uniform(-1, 1, (batch, beats.WINDOW, 1)).astype(np.float32))
        calls: list[float] = []
        while len(calls) < 2 or sum(calls) < limit:
            started = time.perf_counter()
            score(x)
            calls.append(time.perf_counter() - started)
        return float(np.median(calls))

    return turn


def auc(folder: Path, data_dir: Path | None) -> dict[str, Any]:
    """AUC of both files' scores on the test beats, and the share of decisions that differ."""
    from kdjax import datasets
    from kdjax.datasets.protocols import split
    from kdjax.runs import onnx_model
    from kdjax.scores import metrics

    beats = datasets.load("mitbih", data_dir)
    index = split(beats, "interpatient", 0, split_seed=0).test
    abnormal = beats.label[index] > 0
    found = {}
    for form, name in FILES.items():
        call = onnx_model.read_onnx((folder / name).read_bytes())
        parts = [call(part) for part in np.array_split(beats.x[index], len(index) // 1000)]
        found[form] = {
            key: np.concatenate([np.asarray(part[key]) for part in parts])
            for key in ("score", "abnormal")
        }
    differ = found["float32"]["abnormal"] != found["int8"]["abnormal"]
    return {form: metrics.auc(abnormal, found[form]["score"]) for form in FILES} | {
        "beats": len(index),
        "decisions_that_differ": float(differ.mean()),
    }


if __name__ == "__main__":
    main()
