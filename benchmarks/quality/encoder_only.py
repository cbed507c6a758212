"""A student that is an encoder alone and regresses what a teacher says of beats.

python -m benchmarks.quality.encoder_only --cells runs/narrow/interpatient-0/teacher-8 \
    --out docs/results/encoder-only.json

The teachers are the cells of one variant of a study, a seed each; another is the nearest neighbour
among the training beats. Students see training beats and perturbed copies of them, and no label.
Their widths, epochs and learning rate were set beforehand.
"""

import argparse
import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.quality.headline import COMPONENTS, Beats, fused, network_beats, raw_beats
from benchmarks.quality.regression import Regression, predict
from benchmarks.shared import write_rows
from kdjax.datasets.protocols import Split
from kdjax.datasets.storage import CLASSES, BeatSet
from kdjax.detection.detector import Detector
from kdjax.models.distillation import transfer_beats
from kdjax.models.networks import Encoder
from kdjax.models.sizes import encoder_multiply_accumulates, multiply_accumulates
from kdjax.runs import directory, evaluation, provenance
from kdjax.scores import baselines, fitted, metrics
from kdjax.scores.fitted import Evidence
from kdjax.training.step import adam

WIDTH = 6
EPOCHS = 3  # over the training beats and as many perturbed ones
BATCH = 128
LEARNING_RATE = 1e-3
_SMALLEST = 1e-12
_KEY = 1  # folded into a seed's key: not the numbers of its teacher


@dataclass(frozen=True)
class Data:
    """The beats, who of them does what, and their rhythm [N, 2]."""

    beats: BeatSet
    parts: Split
    rhythm: np.ndarray

    def evidence(self, index: np.ndarray, z: np.ndarray) -> Evidence:
        """The evidence of the beats numbered [B] of which only a latent [B, L] is known."""
        b, nothing = self.beats, np.zeros((len(index), 1, 1), np.float32)
        place = b.record[index], b.sample[index], b.fs
        return Evidence(nothing, z, nothing[:, 0, 0], self.rhythm[index], *place)

    def quality(self, score: np.ndarray) -> dict[str, float]:
        """AUC, AP and each class's AUC of the test beats' scores [B]."""
        label = self.beats.label[self.parts.test]
        classes = metrics.per_class(label, score, CLASSES)
        return {
            "auc": metrics.auc(label > 0, score),
            "ap": metrics.average_precision(label > 0, score),
        } | {name: classes[name]["auc"] for name in ("S", "V", "F")}


def main() -> None:
    """Trains the students of every target, all seeds together, and writes the JSON after each."""
    parser = argparse.ArgumentParser(description="An encoder alone regresses a teacher's answers")
    parser.add_argument("--cells", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cells = sorted(args.cells.glob("seed*"), key=lambda path: int(path.name[4:]))[: args.seeds]
    seeds = [int(cell.name[4:]) for cell in cells]
    config = directory.read_config(cells[0])
    config["data"]["dir"] = args.data_dir
    beats, parts = evaluation.load_data(config)
    data = Data(beats, parts, fitted.rhythm(beats.record, beats.sample, beats.rr_before))
    teachers = [directory.load_model(cell) for cell in cells]
    for cell, teacher in zip(cells, teachers, strict=True):
        evaluation.check_fingerprints(cell, teacher.progress["fingerprints"], beats, parts=parts)
    reference, found = of_teachers(teachers, data), {}
    without = _of_latent(raw_beats(beats, parts, data.rhythm), data)
    train = beats.x[parts.train]
    x = np.concatenate([train, np.asarray(transfer_beats(jnp.asarray(train)))])
    for name in ("teacher score", "teacher latent", "memory score"):
        target = targets(name, x, len(train), teachers=teachers)
        students = train_students(x, target, seeds)
        of_seeds = [qualities(name, *student, data=data) for student in students]
        found[name] = summary(of_seeds, reference, target.shape[2], beat=beats.x.shape[1:])
        print(name, found[name]["scores"], flush=True)
        out = {
            "command": "python -m benchmarks.quality.encoder_only",
            "protocol": parts.protocol,
            "seeds": seeds,
            "width": WIDTH,
            "epochs": EPOCHS,
            "batch_size": BATCH,
            "learning_rate": LEARNING_RATE,
            "n_test": len(parts.test),
            "teacher": {
                "width": config["model"]["width"],
                "epochs": config["epochs"],
                "macs": multiply_accumulates(teachers[0].generator),
                "scores": over_seeds(reference),
            },
            "no network": {
                "macs": COMPONENTS * math.prod(beats.x.shape[1:]),
                "scores": without,
            },
            "students": found,
            "fingerprints": {"data": beats.fingerprint, "split": parts.fingerprint},
            **provenance.made_by(),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        }
        write_rows(args.out, out)


def of_teachers(
    teachers: Sequence[directory.Model], data: Data
) -> list[dict[str, dict[str, float]]]:
    """The teachers' own scores of the test beats; their latent is the work of an encoder alone."""
    found = []
    for teacher in teachers:
        form = network_beats(teacher, data.beats, data.parts, rhythm=data.rhythm)
        found.append(
            {"plain": data.quality(form.score("mse", "none"))}
            | _of_latent(form, data)
            | {"in use": data.quality(form.score("fusion", "first_5_minutes"))}
        )
    return found


def _of_latent(form: Beats, data: Data) -> dict[str, dict[str, float]]:
    in_use = fused([form.distance("latent", "first_5_minutes")], form.prematurity)
    return {
        "latent": data.quality(form.score("latent", "none")),
        "latent in use": data.quality(in_use),
    }


def targets(
    name: str, x: np.ndarray, remembered: int, *, teachers: Sequence[directory.Model]
) -> np.ndarray:
    """What each seed's student regresses of beats x [N, T, C]: float32 [seeds, N, out].

    The first `remembered` beats are the training beats, the rest their copies in the same order.
    """
    if name == "memory score":
        scores = memory_score(x[:remembered], x[remembered:])
        return normalised(np.broadcast_to(scores, (len(teachers), *scores.shape)))
    of = {"teacher score": _teacher_score, "teacher latent": _teacher_latent}[name]
    detectors = [Detector(t.generator, t.variables["generator"]) for t in teachers]
    return normalised(np.stack([of(detector, x) for detector in detectors]))


def memory_score(x: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Log squared distance [2 N, 1] of beats and of their copies to the nearest other beat."""
    memory = baselines.NearestNeighbour.fit(x)
    distance = np.concatenate([memory.leave_one_out(), memory.score_copies(copies)])
    return _log(np.square(distance))


def normalised(found: np.ndarray) -> np.ndarray:
    """Targets [seeds, N, out] of zero mean in every output, and of unit variance in all."""
    centred = found - found.mean(axis=1, keepdims=True)
    return (centred / np.sqrt(np.square(centred).mean(axis=(1, 2), keepdims=True))).astype("f4")


def _teacher_score(teacher: Detector, x: np.ndarray) -> np.ndarray:
    return _log(teacher.score(x))


def _teacher_latent(teacher: Detector, x: np.ndarray) -> np.ndarray:
    b = len(x)
    return teacher.evidence(x, np.zeros((b, 2)), record=np.zeros(b), sample=np.zeros(b), fs=1.0).z


def _log(score: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(score, _SMALLEST))[:, None]


def train_students(
    x: np.ndarray, target: np.ndarray, seeds: Sequence[int]
) -> list[tuple[Encoder, Any]]:
    """The encoder and its variables of every seed, trained together."""
    regression = Regression(Encoder(WIDTH, target.shape[2]), adam(LEARNING_RATE))
    keys = [jax.random.fold_in(jax.random.key(seed), _KEY) for seed in seeds]
    on_device, wanted = jnp.asarray(x), jnp.asarray(target)
    state = jax.vmap(lambda key: regression.fresh(key, on_device))(jnp.stack(keys))
    steps = jax.jit(jax.vmap(regression.steps, in_axes=(0, None, 0, 0)))
    for epoch in range(EPOCHS):
        order = np.stack([batches(len(x), seed, epoch) for seed in seeds])
        state, loss = steps(state, on_device, wanted, order)
        print(f"epoch {epoch + 1}: loss {np.asarray(loss).round(4)}", flush=True)
    return [
        (regression.encoder, jax.tree.map(lambda leaf, i=i: leaf[i], state.variables))
        for i in range(len(seeds))
    ]


def batches(n: int, seed: int, epoch: int) -> np.ndarray:
    """Which of n beats make each batch of an epoch: int32 [steps, BATCH]."""
    order = np.random.default_rng((seed, _KEY, epoch)).permutation(n)
    return order[: n - n % BATCH].reshape(-1, BATCH).astype(np.int32)


def qualities(
    name: str, encoder: Encoder, variables: Any, *, data: Data
) -> dict[str, dict[str, float]]:
    """What a student's scores of the test beats are worth."""
    output = partial(predict, encoder, variables)
    if name.endswith("score"):
        return {"plain": data.quality(output(data.beats.x[data.parts.test])[:, 0])}
    form = Beats(
        *(
            data.evidence(index, output(data.beats.x[index]))
            for index in (data.parts.calibrate, data.parts.test)
        )
    )
    return _of_latent(form, data)


def summary(
    students: Sequence[Mapping[str, Mapping[str, float]]],
    teachers: Sequence[Mapping[str, Mapping[str, float]]],
    outputs: int,
    *,
    beat: tuple[int, ...],
) -> dict[str, Any]:
    """A target's students: cost, scores over seeds, and AUC less the teacher's plain score.

    What is in use is compared with what the teacher reaches in use.
    """
    length, channels = beat
    less = {}
    for name in students[0]:
        other = "in use" if name.endswith("in use") else "plain"
        less[name] = metrics.paired_difference(
            [found[name]["auc"] for found in students], [found[other]["auc"] for found in teachers]
        ) | {"against": other}
    return {
        "macs": encoder_multiply_accumulates(WIDTH, outputs, length, channels=channels),
        "scores": over_seeds(students),
        "less teacher": less,
    }


def over_seeds(found: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    """Each figure of each score over the seeds."""
    return {
        name: {
            figure: metrics.t_interval([of_seed[name][figure] for of_seed in found])
            for figure in found[0][name]
        }
        for name in found[0]
    }


if __name__ == "__main__":
    main()
