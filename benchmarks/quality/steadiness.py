"""How far AUC jumps from epoch to epoch: what steadies it.

python -m benchmarks.quality.steadiness --width 8 --epochs 20 --out docs/results/steadiness.json

Two ways of training: as published, and with a learning rate that falls to 0 as half a cosine
(Loshchilov & Hutter 2017, without restarts). Averages of the weights do not change training, so
several of `config.average_decay` are kept beside each. The one to use is the one with the least
reconstruction error of held-out normal beats.
"""

import argparse
import dataclasses
import datetime
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.shared import write_rows
from configs import teacher
from kdjax.datasets.protocols import Split
from kdjax.datasets.storage import BeatSet
from kdjax.detection.detector import Detector
from kdjax.runs import config as configs
from kdjax.runs import evaluation, provenance
from kdjax.scores import metrics
from kdjax.training import assemble
from kdjax.training.step import (
    COLLAPSED_DISCRIMINATOR,
    Trainer,
    TrainState,
    Variables,
    adam,
    averaged,
    init_state,
    train_step,
)

AS_PUBLISHED = "as published"
FALLING = "learning rate falls to 0"
DECAYS = (0.99, 0.998, 0.9995)  # over about 100, 500 and 2,000 steps
LAST = "last weights"

Averages = Mapping[float, Variables]


def main() -> None:
    """Trains every way, all seeds together, and writes the JSON after each way."""
    parser = argparse.ArgumentParser(description="AUC by epoch, by training and average")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[40, 41, 42, 43, 44])
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cells = [config_of(seed, args) for seed in args.seeds]
    beats, parts = evaluation.load_data(cells[0])
    trainer = assemble.make_trainer(cells[0], beats.x.shape[1:])
    total = args.epochs * (len(parts.train) // cells[0].batch_size)
    rows = []
    for training, changed in trainings(trainer, cells[0].learning_rate, total).items():
        for of_epoch in epochs_of(changed, cells, beats, parts=parts, epochs=args.epochs):
            rows += [{"training": training} | row for row in of_epoch]
            print(training, *(row["auc"] for row in rows[-len(args.seeds) :]), flush=True)
        out = {
            "command": f"python -m benchmarks.quality.steadiness --width {args.width}",
            "protocol": parts.protocol,
            "fold": parts.fold,
            "width": args.width,
            "seeds": args.seeds,
            "epochs": args.epochs,
            **summary(rows),
            "rows": rows,
            "fingerprints": {"data": beats.fingerprint, "split": parts.fingerprint},
            **provenance.made_by(),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        }
        write_rows(args.out, out)


def trainings(trainer: Trainer, learning_rate: float, steps: int) -> dict[str, Trainer]:
    """The ways to train that are compared, over so many steps."""
    falling = adam(optax.cosine_decay_schedule(learning_rate, steps))
    return {
        AS_PUBLISHED: trainer,
        FALLING: dataclasses.replace(trainer, optimizer=falling),
    }


def epochs_of(
    trainer: Trainer,
    cells: Sequence[configs.Config],
    beats: BeatSet,
    *,
    parts: Split,
    epochs: int,
) -> Iterator[list[dict[str, Any]]]:
    """Trains all seeds together; after each late epoch, rows by weights and seed."""
    x = beats.x[parts.train]
    keys = [assemble.run_key(cell) for cell in cells]
    mean = jnp.asarray(x.mean(axis=(0, 1)))
    state = stacked([init_state(trainer, key, mean) for key in keys])
    averages: Averages = dict.fromkeys(DECAYS, state.generator)
    steps = jax.jit(jax.vmap(partial(epoch_of, trainer), in_axes=(0, 0, None, 0, 0)))
    collapsed = np.zeros(len(cells), int)
    for epoch in range(1, epochs + 1):
        order = np.stack([assemble.batch_order(cell, len(x), epoch) for cell in cells])
        state, averages, found = steps(state, averages, jnp.asarray(x), order, jnp.stack(keys))
        collapsed += found
        if epoch <= epochs // 2:
            continue
        rows = []
        for name, variables in {LAST: state.generator, **averages}.items():
            for i, cell in enumerate(cells):
                own = jax.tree.map(lambda leaf, i=i: leaf[i], variables)
                row = {"weights": str(name), "epoch": epoch, "seed": cell.seed}
                row["collapsed"] = int(collapsed[i])
                rows.append(row | qualities(Detector(trainer.generator, own), beats, parts))
        yield rows


def config_of(seed: int, args: argparse.Namespace) -> Any:
    """The shipped teacher's config at this width, fold 0 of `beatgan`."""
    config: Any = teacher.get_config("mitbih")
    config.seed, config.data.dir, config.model.width = seed, args.data_dir, args.width
    return config


def epoch_of(
    trainer: Trainer,
    state: TrainState,
    averages: Averages,
    beats: jax.Array,
    order: jax.Array,
    key: jax.Array,
) -> tuple[TrainState, Averages, jax.Array]:
    """One seed's steps over order [steps, B] of beats [N, T, C], and the averages after them.

    Also the number of steps in which the discriminator was found collapsed.
    """

    def step(
        carry: tuple[TrainState, Averages], batch: jax.Array
    ) -> tuple[tuple[TrainState, Averages], jax.Array]:
        state, averages = carry
        state, metrics = train_step(trainer, state, None, x=beats[batch], key=key)
        averages = {
            decay: averaged(average, state.generator, state.step, decay=decay)
            for decay, average in averages.items()
        }
        return (state, averages), metrics["D_real"] + metrics["D_fake"] < COLLAPSED_DISCRIMINATOR

    (state, averages), collapsed = jax.lax.scan(step, (state, averages), order)
    return state, averages, collapsed.sum()


def qualities(detector: Detector, beats: BeatSet, parts: Split) -> dict[str, float]:
    """Error of held-out normal beats, which may choose, and AUC of validation and test beats."""
    validation, test = beats.label[parts.validation], beats.label[parts.test]
    score = detector.score(beats.x[parts.validation])
    return {
        "normal_error": float(score[validation == 0].mean()),
        "validation_auc": metrics.auc(validation > 0, score),
        "auc": metrics.auc(test > 0, detector.score(beats.x[parts.test])),
    }


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Every training and kind of weights over the late epochs; the one with the least error.

    spread: from the lowest to the highest AUC of a seed in those epochs; spread_change: less that
    of the first training and weights, by seed. jump: the mean change of AUC from one epoch to the
    next. collapsed: how many steps of each seed's training, from the first, found the discriminator
    collapsed.
    """
    found = []
    for training, weights in dict.fromkeys((row["training"], row["weights"]) for row in rows):
        of = {"training": training, "weights": weights}
        found.append(of | _of_seeds([row for row in rows if of.items() <= row.items()]))
    published = found[0]["spread_of_seeds"]
    for row in found[1:]:
        changes = np.subtract(row["spread_of_seeds"], published).tolist()
        row["spread_change"] = metrics.t_interval(changes)
    chosen = min(found, key=lambda row: row["normal_error"]["mean"])
    return {
        "from_epoch": min(row["epoch"] for row in rows),
        "compared": found,
        "chosen": {name: chosen[name] for name in ("training", "weights")},
    }


def _of_seeds(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    own = [[r for r in rows if r["seed"] == s] for s in dict.fromkeys(r["seed"] for r in rows)]
    auc = [np.array([row["auc"] for row in of_seed]) for of_seed in own]
    found = {
        "normal_error": [np.mean([row["normal_error"] for row in of_seed]) for of_seed in own],
        "auc": [values.mean() for values in auc],
        "auc_of_last_epoch": [values[-1] for values in auc],
        "spread": [np.ptp(values) for values in auc],
        "jump": [np.abs(np.diff(values)).mean() if len(values) > 1 else 0.0 for values in auc],
    }
    of_seeds = {name: metrics.t_interval([float(v) for v in found[name]]) for name in found}
    return of_seeds | {
        "spread_of_seeds": [float(value) for value in found["spread"]],
        "collapsed": [of_seed[-1]["collapsed"] for of_seed in own],
    }


def stacked(trees: Sequence[Any]) -> Any:
    """Trees of arrays as one tree with a first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


if __name__ == "__main__":
    main()
