"""Resident memory of a whole training run, on about as many beats as `beatgan` has of MIT-BIH.

python -m benchmarks.speed.memory --out docs/results/perf-memory.json

The beats are noise of MIT-BIH's numbers by class, since size is all that matters here; everything
else is what train.py does: validation, checkpoints, the final evaluation.
"""

import contextlib
import io
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.speed.measure import Contestant, out_argument, peak_mib, without_torch, write

NUMBERS = {"N": 86666, "S": 3026, "V": 7008, "F": 802, "Q": 15}  # beats by class, R-peak rule
EVERY = 0.1  # seconds between two looks


def main() -> None:
    """Writes what was resident in each epoch, and the highest of all."""
    args = out_argument(__doc__.splitlines()[0]).parse_args()
    width, epochs, share = (4, 3, 0.01) if args.quick else (4, 8, 1.0)
    contestant = Contestant(prepare, width, epochs, share)
    rows, peak = contestant.turn()
    contestant.close()
    about = {"width": width, "epochs": epochs, "beats": contestant.facts["beats"]}
    write(
        args.out,
        "memory",
        about | {"before_mib": contestant.facts["before_mib"], "rows": rows, "peak_mib": peak},
        psutil=contestant.facts["psutil"],
    )


def prepare(width: int, epochs: int, share: float) -> tuple[Any, dict[str, Any]]:
    """A turn trains and gives, by epoch, the highest and the last resident size in MiB."""
    without_torch()
    import psutil

    from configs import teacher
    from kdjax import datasets
    from kdjax.training import loop

    beats = stand_in(share)
    datasets.load = lambda name, data_dir=None: beats
    config: Any = teacher.get_config("mitbih")
    config.model.width = width
    config.epochs = epochs
    process = psutil.Process()

    def turn() -> tuple[list[dict[str, float]], float]:
        with TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            seen: list[tuple[int, float]] = []
            done = threading.Event()

            def look() -> None:
                lines = run / "metrics.jsonl"
                while not done.wait(EVERY):
                    finished = len(lines.read_text().splitlines()) if lines.exists() else 0
                    seen.append((finished, process.memory_info().rss / 2**20))

            watcher = threading.Thread(target=look)
            watcher.start()
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    loop.train(config, run)
            finally:
                done.set()
                watcher.join()
        rows = []
        for epoch in range(epochs + 1):
            sizes = [size for finished, size in seen if finished == epoch]
            name = f"epoch {epoch + 1}" if epoch < epochs else "evaluation"
            if sizes:  # none in an epoch that is over between two looks
                rows.append({"part": name, "highest_mib": max(sizes), "last_mib": sizes[-1]})
        return rows, peak_mib()

    facts = {
        "beats": len(beats.x),
        "before_mib": process.memory_info().rss / 2**20,
        "psutil": psutil.__version__,
    }
    return turn, facts


def stand_in(share: float) -> Any:
    """Noise in the place of MIT-BIH's beats, or of a share of them."""
    from benchmarks.speed import chunks
    from kdjax.datasets.storage import CLASSES, BeatSet

    counts = [int(NUMBERS[name] * share) + 1 for name in CLASSES]
    n = sum(counts)
    label = np.repeat(np.arange(len(CLASSES)), counts).astype(np.int8)
    seconds = np.full(n, 0.8, np.float32)
    return BeatSet(
        name="mitbih",
        version="noise",
        fs=360.0,
        x=chunks.noise(n),
        label=label,
        symbol=np.array(list("NAVF/"))[label],
        record=(100 + np.arange(n) % 44).astype("<U16"),
        sample=np.arange(n, dtype=np.int64) * 300,
        rr_before=seconds,
        rr_after=seconds,
        rr_median=seconds,
        near_peak=np.ones(n, bool),
        fingerprint="noise",
    )


if __name__ == "__main__":
    main()
