"""How far AUC jumps from epoch to epoch, with the last weights and with averages of them.

python -m benchmarks.quality.averaging --width 8 --epochs 20 --out docs/results/averaging.json

One training per seed; averages do not change it, so all of `config.average_decay` are kept beside
it. The decay to use is the one with the least reconstruction error of held-out normal beats.
"""

import argparse
import datetime
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.shared import write_rows
from configs import teacher
from kdjax.datasets.protocols import Split
from kdjax.datasets.storage import BeatSet
from kdjax.detection.detector import Detector
from kdjax.runs import evaluation, provenance
from kdjax.scores import metrics
from kdjax.training import assemble
from kdjax.training.step import Trainer, TrainState, Variables, averaged, init_state, train_step

DECAYS = (0.99, 0.998, 0.9995)  # over about 100, 500 and 2,000 steps
LAST = "last weights"

Averages = Mapping[float, Variables]


def main() -> None:
    """Trains all seeds together and writes the JSON after each epoch."""
    parser = argparse.ArgumentParser(description="AUC by epoch, with and without averaging")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[40, 41, 42])
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cells = [config_of(seed, args) for seed in args.seeds]
    beats, parts = evaluation.load_data(cells[0])
    x = beats.x[parts.train]
    trainer = assemble.make_trainer(cells[0], x.shape[1:])
    keys = [assemble.run_key(cell) for cell in cells]
    mean = jnp.asarray(x.mean(axis=(0, 1)))
    state = stacked([init_state(trainer, key, mean) for key in keys])
    averages: Averages = dict.fromkeys(DECAYS, state.generator)
    steps = jax.jit(jax.vmap(partial(epoch_of, trainer), in_axes=(0, 0, None, 0, 0)))
    rows = []
    for epoch in range(1, args.epochs + 1):
        order = np.stack([assemble.batch_order(cell, len(x), epoch) for cell in cells])
        state, averages = steps(state, averages, jnp.asarray(x), order, jnp.stack(keys))
        for name, variables in {LAST: state.generator, **averages}.items():
            for i, seed in enumerate(args.seeds):
                own = jax.tree.map(lambda leaf, i=i: leaf[i], variables)
                detector = Detector(trainer.generator, own)
                found = qualities(detector, beats, parts)
                rows.append({"weights": str(name), "epoch": epoch, "seed": seed} | found)
        print(f"epoch {epoch}: AUC", [row["auc"] for row in rows[-len(args.seeds) :]], flush=True)
        out = {
            "command": f"python -m benchmarks.quality.averaging --width {args.width}",
            "protocol": parts.protocol,
            "fold": parts.fold,
            "width": args.width,
            "seeds": args.seeds,
            "epochs": epoch,
            **summary(rows),
            "rows": rows,
            "fingerprints": {"data": beats.fingerprint, "split": parts.fingerprint},
            **provenance.made_by(),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        }
        write_rows(args.out, out)


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
) -> tuple[TrainState, Averages]:
    """One seed's steps over order [steps, B] of beats [N, T, C], and the averages after them."""

    def step(
        carry: tuple[TrainState, Averages], batch: jax.Array
    ) -> tuple[tuple[TrainState, Averages], None]:
        state, averages = carry
        state, _ = train_step(trainer, state, None, x=beats[batch], key=key)
        averages = {
            decay: averaged(average, state.generator, state.step, decay=decay)
            for decay, average in averages.items()
        }
        return (state, averages), None

    return jax.lax.scan(step, (state, averages), order)[0]


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
    """Every kind of weights over the second half of the epochs; the kind with the least error.

    spread: from the lowest to the highest AUC of a seed in those epochs. jump: the mean change
    from one epoch to the next.
    """
    last = max(row["epoch"] for row in rows)
    late = [row for row in rows if row["epoch"] > last // 2]
    kinds = list(dict.fromkeys(row["weights"] for row in rows))
    found = {kind: _late(late, kind) for kind in kinds}
    return {
        "from_epoch": last // 2 + 1,
        "weights": found,
        "chosen": min(kinds, key=lambda kind: found[kind]["normal_error"]["mean"]),
    }


def _late(late: Sequence[Mapping[str, Any]], kind: str) -> dict[str, Any]:
    seeds = list(dict.fromkeys(row["seed"] for row in late))
    own = {s: [r for r in late if (r["weights"], r["seed"]) == (kind, s)] for s in seeds}
    auc = {seed: np.array([row["auc"] for row in own[seed]]) for seed in seeds}
    found = {
        "normal_error": [np.mean([row["normal_error"] for row in own[s]]) for s in seeds],
        "auc": [auc[seed].mean() for seed in seeds],
        "auc_of_last_epoch": [auc[seed][-1] for seed in seeds],
        "spread": [np.ptp(auc[seed]) for seed in seeds],
        "jump": [
            np.abs(np.diff(auc[seed])).mean() if len(auc[seed]) > 1 else 0.0 for seed in seeds
        ],
    }
    return {name: metrics.t_interval([float(v) for v in values]) for name, values in found.items()}


def stacked(trees: Sequence[Any]) -> Any:
    """Trees of arrays as one tree with a first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


if __name__ == "__main__":
    main()
