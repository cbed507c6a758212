"""From a config to what a step needs: trainer, lesson, keys and the order of batches."""

import math
from contextlib import AbstractContextManager

import jax
import jax.numpy as jnp
import numpy as np

from kdjax.datasets.protocols import Split
from kdjax.datasets.storage import BeatSet
from kdjax.models.distillation import (
    Distillation,
    Lesson,
    Targets,
    Teacher,
    all_targets,
    transfer_beats,
)
from kdjax.runs import config as configs
from kdjax.runs import directory
from kdjax.scores import baselines
from kdjax.training.step import Trainer, adam


def run_key(config: configs.Config) -> jax.Array:
    """A run's key. A student draws other numbers than its teacher of the same seed."""
    return jax.random.fold_in(jax.random.key(config.seed), int(configs.is_student(config)))


def batch_order(config: configs.Config, n: int, epoch: int) -> np.ndarray:
    """Which of n training beats make each batch of an epoch: int32 [steps, batch]."""
    rng = np.random.default_rng((config.seed, int(configs.is_student(config)), epoch))
    steps, batch = n // config.batch_size, config.batch_size
    return rng.permutation(n)[: steps * batch].reshape(steps, batch).astype(np.int32)


def products(config: configs.Config) -> AbstractContextManager[None]:
    """Matrix products of the config's precision in whatever is traced inside."""
    return jax.default_matmul_precision(configs.PRECISIONS[config.precision])


def make_trainer(
    config: configs.Config, shape: tuple[int, int], axis_name: str | None = None
) -> Trainer:
    """The training step's constant parts for a config and beats of `shape`: samples, leads.

    axis_name: what the devices share that train together.
    """
    generator, discriminator = directory.networks(config.model, shape)
    return Trainer(
        generator=generator.clone(axis_name=axis_name),
        discriminator=discriminator.clone(axis_name=axis_name),
        optimizer=adam(config.learning_rate, config.grad_clip),
        weights=tuple(config.loss.items()),
        kd=Distillation(**config.kd) if configs.distils(config) else None,
        augment=config.data.augment == "time_warp",
        average_decay=config.average_decay,
    )


def make_teacher(
    config: configs.Config, x: np.ndarray, model: directory.Model | None
) -> Teacher | None:
    """The frozen teacher that a config asks for, on the host; None for a network without one.

    `model` holds its networks; None for the nearest neighbour among the training beats x [N, T, C].
    The teacher is asked about all of them here, once. Augmented beats are new at every step: then
    it holds no lesson.
    """
    if not configs.distils(config):
        return None
    kd = Distillation(**config.kd)
    teacher = Teacher()
    if model is not None:
        teacher = Teacher(model.generator, model.discriminator, model.variables)
    if config.data.augment != "none":
        return teacher
    transfer = transfer_beats(jnp.asarray(x)) if kd.transfer == "perturbed" else None
    if model is None:
        targets = _neighbour_targets(x, transfer)
    else:
        asked = [jnp.asarray(x)] + ([] if transfer is None else [transfer])
        targets = [all_targets(teacher, beats, kd) for beats in asked]
    lesson = Lesson(targets[0], transfer, None if transfer is None else targets[1])
    return teacher.replace(lesson=jax.device_get(lesson))


def _neighbour_targets(x: np.ndarray, transfer: jax.Array | None) -> list[Targets]:
    """Scores of the training beats x [N, T, C], and of their copies, by the nearest neighbour.

    As a mean squared error of the beat, the scale on which students score.
    """
    memory = baselines.NearestNeighbour.fit(x)
    distances = [memory.leave_one_out()]
    distances += [] if transfer is None else [memory.score_copies(np.asarray(transfer))]
    size = math.prod(x.shape[1:])
    return [Targets(jnp.asarray(np.square(d) / size, x.dtype)) for d in distances]


def fingerprints(config: configs.Config, beats: BeatSet, parts: Split) -> dict[str, str]:
    """What a checkpoint says it was trained by and on."""
    return {
        "config": configs.fingerprint(config),
        "data": beats.fingerprint,
        "split": parts.fingerprint,
    }
