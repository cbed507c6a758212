"""Seeds together under vmap against one after another: the same steps, side by side in one run.

python -m benchmarks.speed.study_cost --out docs/results/study_cost.json
"""

import argparse
import datetime
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.shared import write_rows
from configs import study as configs_study
from kdjax.runs import provenance
from kdjax.training import assemble, parallel
from kdjax.training.step import init_state, run_steps

STEPS = 50
REPEATS = 5
BEATS = 3200  # uniform noise: the time of a step does not depend on its beats


def main() -> None:
    """Writes the median seconds of both ways for several numbers of seeds."""
    parser = argparse.ArgumentParser(description="Seeds together against one after another.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 5, 8])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    config: Any = configs_study.get_config().base
    rows = [compare(config, n) for n in args.seeds]
    out = {
        "command": "python -m benchmarks.speed.study_cost",
        "width": config.model.width,
        "batch_size": config.batch_size,
        "steps": STEPS,
        "repeats": REPEATS,
        "rows": rows,
        **provenance.made_by(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    write_rows(args.out, out)
    for row in rows:
        print(row)


def compare(config: Any, seeds: int) -> dict[str, float]:
    """Median seconds of STEPS steps of all seeds, together and one after another, interleaved."""
    rng = np.random.default_rng(0)
    x = jax.numpy.asarray(rng.uniform(-1, 1, (BEATS, 320, 1)).astype(np.float32))
    trainer = assemble.make_trainer(config, (320, 1))
    keys = jax.random.split(jax.random.key(0), seeds)
    states = [init_state(trainer, key, x.mean(axis=(0, 1))) for key in keys]
    order = rng.integers(0, BEATS, (seeds, STEPS, config.batch_size)).astype(np.int32)
    bounds = np.array([0, STEPS], np.int32)
    together = parallel.compile_seeds(trainer, None)
    alone = jax.jit(partial(run_steps, trainer), donate_argnums=(0,))

    def all_together() -> Any:
        state = jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *states)
        return together(state, None, x, order, bounds, keys)

    def in_turn() -> Any:
        copies = jax.tree.map(jax.numpy.array, states)
        return [alone(state, None, x, order[i], bounds, keys[i]) for i, state in enumerate(copies)]

    times: dict[str, list[float]] = {"together": [], "in_turn": []}
    with assemble.products(config):
        for _ in range(REPEATS + 1):  # the first compiles
            times["together"].append(seconds(all_together))
            times["in_turn"].append(seconds(in_turn))
    medians = {name: float(np.median(values[1:])) for name, values in times.items()}
    return {"seeds": seeds} | medians | {"ratio": medians["together"] / medians["in_turn"]}


def seconds(function: Callable[[], Any]) -> float:
    """Wall time of a call, its arrays ready."""
    started = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
