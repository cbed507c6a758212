"""Seconds from the start of a process to its first training step, with and without kept programs.

python -m benchmarks.speed.startup --out docs/results/perf-startup.json
"""

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.speed.measure import Contestant, out_argument, spread, without_torch, write


def main() -> None:
    """Writes the times of first starts, each with an empty folder, and of second ones."""
    args = out_argument(__doc__.splitlines()[0]).parse_args()
    width, rounds = (8, 1) if args.quick else (32, 3)
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "true"
    starts: dict[str, list[dict[str, Any]]] = {"first": [], "second": []}
    kept = 0.0
    for _ in range(rounds):
        with TemporaryDirectory() as folder:
            os.environ["XDG_CACHE_HOME"] = folder
            for found in starts.values():
                contestant = Contestant(prepare, width, time.time())
                contestant.close()
                found.append(contestant.facts)
            kept = (
                sum(p.stat().st_size for p in (Path(folder) / "kdjax").rglob("*") if p.is_file())
                / 2**20
            )
    rows = {
        name: {part: spread([f[part] for f in found]) for part in found[0]}
        for name, found in starts.items()
    }
    write(args.out, "startup", {"width": width, "rounds": rounds, "rows": rows, "kept_mib": kept})


def prepare(width: int, started: float) -> tuple[None, dict[str, float]]:
    """What train.py does before and in its first step, and the seconds since `started`."""
    without_torch()
    import jax

    from benchmarks.speed import chunks
    from configs import teacher
    from kdjax.training import assemble, compilation, parallel
    from kdjax.training.step import init_state

    imported = time.time()
    compilation.keep_programs()
    config: Any = teacher.get_config("mitbih")
    config.model.width = width
    trainer = assemble.make_trainer(config, (320, 1), parallel.AXIS)
    x = chunks.noise(3200)
    state = jax.device_get(init_state(trainer, jax.random.key(0), x.mean(axis=(0, 1))))
    chunks.turns(trainer, state, x, order=chunks.batches(3200, 1, 64))(0, 1)
    now = time.time()
    return None, {"imports": imported - started, "first_step": now - started}


if __name__ == "__main__":
    main()
