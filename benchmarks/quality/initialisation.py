"""How much the first draw of the weights matters, with and without `model.output_bias`.

python -m benchmarks.quality.initialisation --out docs/results/initialisation.json

Short teacher runs at full size on MIT-BIH, the same seeds and batches for both arms, scored on
validation beats: choosing an initialisation must not look at test beats.
"""

import argparse
import datetime
import functools
import itertools
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.shared import write_rows
from configs import teacher
from kdjax.detection.detector import Detector
from kdjax.runs import evaluation, provenance
from kdjax.scores import metrics
from kdjax.training import assemble, loop, parallel
from kdjax.training.step import init_state

ARMS = {"published": False, "output_bias": True}
MARKS = (0, 30, 150)  # losses are averaged between these steps, and from the last to the end


def main() -> None:
    """Runs every seed of both arms and writes the JSON after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    config: Any = teacher.get_config("mitbih")
    config.data.dir = args.data_dir
    beats, parts = evaluation.load_data(config)
    rows = []
    for arm, output_bias in ARMS.items():
        config.model.output_bias = output_bias
        trainer = assemble.make_trainer(config, beats.x.shape[1:], parallel.AXIS)
        compiled = parallel.compile_steps(trainer, jax.local_devices())
        for seed in range(args.seeds):
            config.seed = seed
            run = loop.Run(
                config=config,
                workdir=Path(),
                trainer=trainer,
                teacher=None,
                beats=beats,
                parts=parts,
                devices=jax.local_devices(),
            )
            with assemble.products(config):
                row = {"arm": arm, "seed": seed, **short_run(run, compiled, args.steps)}
            print(row, flush=True)
            rows.append(row)
            write_rows(args.out, summary(rows, args.steps, beats.fingerprint, config=config))


def short_run(run: loop.Run, compiled: Any, steps: int) -> dict[str, Any]:
    """Mean losses between the marks and the validation AUC after `steps` updates."""
    put = functools.partial(parallel.replicate, devices=run.devices)
    train = run.beats.x[run.parts.train]
    state = put(jax.device_get(init_state(run.trainer, run.key, train.mean(axis=(0, 1)))))
    key = put(jax.random.key_data(run.key))
    train = parallel.broadcast(train, run.devices)
    order = parallel.shard_order(run.order(1), run.devices)
    losses = {}
    marks = [*MARKS, steps]
    for start, stop in itertools.pairwise(marks):
        bounds = put(np.array([start, stop], np.int32))
        state, means = compiled(state, None, train, order, bounds, key)
        means = parallel.unreplicate(means)
        losses[f"{start}-{stop}"] = {
            "reconstruction": float(means["reconstruction"]),
            "discriminator": float(means["D_real"] + means["D_fake"]),
        }
    detector = Detector(
        run.trainer.generator.clone(axis_name=None), parallel.unreplicate(state.generator)
    )
    score = detector.score(run.beats.x[run.parts.validation])
    abnormal = run.beats.label[run.parts.validation] > 0
    return {"losses": losses, "validation_auc": metrics.auc(abnormal, score)}


def summary(rows: list[dict], steps: int, data: str, *, config: Any) -> dict[str, Any]:
    """What the JSON holds: worst and median of each arm, the rows, and what made them."""
    arms = {}
    for arm in ARMS:
        found = [row["validation_auc"] for row in rows if row["arm"] == arm]
        if found:
            arms[arm] = {
                "worst": min(found),
                "median": float(np.median(found)),
                "best": max(found),
                "seeds": len(found),
            }
    return {
        "command": "python -m benchmarks.quality.initialisation "
        f"--seeds {len(rows) // 2} --steps {steps}",
        "oracle": "validation AUC needs labelled anomalies",
        "dataset": config.data.dataset,
        "protocol": config.data.protocol,
        "fold": config.data.fold,
        "width": config.model.width,
        "steps": steps,
        "arms": arms,
        "rows": rows,
        "fingerprints": {"data": data},
        **provenance.made_by(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


if __name__ == "__main__":
    main()
