"""What a student learns from its frozen teacher: targets, transformed scores, selected beats.

The terms themselves are in `losses`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from kdjax.models import losses
from kdjax.models.augmentation import perturb
from kdjax.models.networks import Discriminator, Generator, GeneratorOutput, anomaly_score
from kdjax.models.objective import SCORE_TRANSFORMS, SELECTIONS, Distillation

# Scores that differ by less are one score; gradients stay finite.
_SMALLEST_SPREAD = 1e-12

_TRANSFER_SEED = 0
_TARGETS_AT_ONCE = 512  # beats


class Targets(NamedTuple):
    """A teacher's outputs for beats, without gradient; None where no term needs them.

    score: [B]; x_hat: [B, T, C]; attention: maps [B, T_l] of the encoder's and the decoder's
    stages; z: [B, L]; features: its discriminator's, of x_hat.
    """

    score: jax.Array
    x_hat: jax.Array | None = None
    attention: tuple[jax.Array, ...] | None = None
    z: jax.Array | None = None
    features: jax.Array | None = None


class Lesson(NamedTuple):
    """Everything that the distillation terms take from the teacher's side.

    targets: of the training beats; transfer, transfer_targets: perturbed beats [B, T, C] and the
    teacher's outputs for them. `lesson.at(index)` picks beats out of a whole data set's.
    """

    targets: Targets
    transfer: jax.Array | None = None
    transfer_targets: Targets | None = None

    def at(self, index: jax.Array) -> "Lesson":
        """The part of the beats numbered [B]."""
        return jax.tree.map(lambda leaf: leaf[index], self)


class Teacher(flax.struct.PyTreeNode):
    """The frozen teacher, one argument of every function that needs it.

    generator, discriminator: its networks, static; None for a scorer that is not a network.
    variables: theirs, {'generator', 'discriminator'}. lesson: its outputs for all training
    beats; None if it is run at every step, which only a network can be.
    """

    generator: Generator | None = flax.struct.field(pytree_node=False, default=None)
    discriminator: Discriminator | None = flax.struct.field(pytree_node=False, default=None)
    variables: Any = None
    lesson: Lesson | None = None

    def at(self, index: jax.Array) -> "Teacher":
        """The same teacher with the lesson of the training beats numbered [B]."""
        return self if self.lesson is None else self.replace(lesson=self.lesson.at(index))

    def teach(self, x: jax.Array, kd: Distillation) -> Lesson:
        """The lesson that it holds for beats x [B, T, C], or its outputs for them.

        Raises ValueError when it holds none and has no networks to run.
        """
        if self.lesson is not None:
            return self.lesson
        if kd.transfer != "none":
            raise ValueError("the teacher of a transfer set needs a lesson, which holds its beats")
        return Lesson(self.targets(x, kd))

    def targets(self, x: jax.Array, kd: Distillation) -> Targets:
        """Its outputs for beats [B, T, C] in inference mode, for the terms that are on.

        Each beat's targets are its own: computed beforehand for a whole data set they are the same.
        Raises ValueError when the teacher has no networks.
        """
        if self.generator is None:
            raise ValueError("a teacher without networks needs a lesson")
        frozen = jax.lax.stop_gradient(self.variables["generator"])
        output = self.generator.apply(frozen, x, train=False)
        assert isinstance(output, GeneratorOutput)
        on = kd.weights()
        return Targets(
            score=anomaly_score(output.x_hat, x),
            x_hat=output.x_hat if "kd_reconstruction" in on else None,
            attention=attention_maps(output) if "kd_feature" in on else None,
            z=output.z if on.keys() & {"kd_latent", "kd_relation"} else None,
            features=self.features(output.x_hat) if "kd_discriminator_features" in on else None,
        )

    def features(self, x: jax.Array) -> jax.Array:
        """Its discriminator's features of beats [B, T, C]; a gradient flows to x alone."""
        if self.discriminator is None:
            raise ValueError("a teacher without networks has no features")
        frozen = jax.lax.stop_gradient(self.variables["discriminator"])
        return self.discriminator.apply(frozen, x, train=False).features  # type: ignore[union-attr]


def attention_maps(output: GeneratorOutput) -> tuple[jax.Array, ...]:
    """Where each stage of the encoder and the decoder is active: [B, T_l] each."""
    return tuple(losses.attention(f) for f in output.encoder + output.decoder)


@partial(jax.jit, static_argnames="kd")
def all_targets(teacher: Teacher, x: jax.Array, kd: Distillation) -> Targets:
    """`teacher.targets` of a whole data set [N, T, C], a part at a time."""
    return jax.lax.map(
        lambda beat: jax.tree.map(lambda leaf: leaf[0], teacher.targets(beat[None], kd)),
        x,
        batch_size=_TARGETS_AT_ONCE,
    )


def transfer_beats(x: jax.Array) -> jax.Array:
    """The transfer set: a perturbed copy of each training beat, the same for every seed."""
    return perturb(jax.random.key(_TRANSFER_SEED), x)


def transform_scores(score: jax.Array, kind: str) -> jax.Array:
    """Scores [B] of a whole batch on the scale that the softmax sees.

    raw: as they are. minmax: to [0, 1] over the batch, as the published code does. standardised:
    zero mean, unit deviation over the batch (Sun et al., CVPR 2024, eq. 9), which lets a student
    keep its own level of error. log: natural logarithm. Raises ValueError for another kind.
    """
    if kind == "raw":
        return score
    if kind == "minmax":
        low, high = jnp.min(score), jnp.max(score)
        return (score - low) / jnp.maximum(high - low, _SMALLEST_SPREAD)
    if kind == "standardised":
        centred = score - jnp.mean(score)
        return centred * jax.lax.rsqrt(
            jnp.maximum(jnp.mean(jnp.square(centred)), _SMALLEST_SPREAD**2)
        )
    if kind == "log":
        return jnp.log(jnp.maximum(score, _SMALLEST_SPREAD))
    raise ValueError(f"response_scores {kind!r}: choose one of {', '.join(SCORE_TRANSFORMS)}")


def selection(
    score_student: jax.Array, score_teacher: jax.Array, *, kind: str, quantile: float
) -> jax.Array:
    """A weight of 0 or 1 for each beat of a whole batch, from the scores [B] of both networks.

    all: every beat. teacher_better: where the teacher reconstructs better than the student.
    quantile: where the teacher's error is at most its `quantile` in the batch. No gradient flows.
    Raises ValueError for another kind.
    """
    score_student, score_teacher = jax.lax.stop_gradient((score_student, score_teacher))
    if kind == "all":
        return jnp.ones_like(score_teacher)
    if kind == "teacher_better":
        return (score_teacher < score_student).astype(score_teacher.dtype)
    if kind == "quantile":
        # One of the scores: what is interpolated may round to less than scores that are all equal.
        limit = jnp.quantile(score_teacher, quantile, method="lower")
        return (score_teacher <= limit).astype(score_teacher.dtype)
    raise ValueError(f"select {kind!r}: choose one of {', '.join(SELECTIONS)}")


def distillation_terms(
    student: GeneratorOutput,
    x: jax.Array,
    targets: Targets,
    *,
    kd: Distillation,
    axis_name: str | None = None,
    projection: jax.Array | None = None,
    features: Callable[[jax.Array], jax.Array] | None = None,
) -> tuple[dict[str, jax.Array], jax.Array]:
    """The terms of `kd` that are on, unweighted, and the share of beats selected.

    Batches are this device's [B / n, T, C]; with `axis_name` whatever a statistic is taken of is
    gathered from all devices first. Means over beats are this device's, to be averaged by the
    caller. `projection` [L_s, L_t] brings the student's latent to the teacher's size. `features`
    are those of the teacher's discriminator.
    """
    score = anomaly_score(student.x_hat, x)
    all_student, all_teacher = gather(score, axis_name), gather(targets.score, axis_name)
    chosen = selection(all_student, all_teacher, kind=kd.select, quantile=kd.select_quantile)
    local = _own_shard(chosen, score.shape[0], axis_name)
    on = kd.weights()
    terms = {}
    if "kd_response" in on:
        terms["kd_response"] = losses.response_kl(
            transform_scores(all_student, kd.response_scores),
            transform_scores(all_teacher, kd.response_scores),
            kd.temperature,
            weight=chosen,
        )
    if "kd_log_ratio" in on:
        terms["kd_log_ratio"] = losses.log_ratio(score, targets.score, local)
    if "kd_reconstruction" in on:
        terms["kd_reconstruction"] = losses.distilled_reconstruction(
            student.x_hat, _asked(targets.x_hat), local
        )
    if "kd_feature" in on:
        terms["kd_feature"] = losses.attention_transfer(
            attention_maps(student), _asked(targets.attention), local
        )
    if "kd_latent" in on:
        z = student.z if projection is None else student.z @ projection
        terms["kd_latent"] = losses.latent(z, _asked(targets.z), local)
    if "kd_relation" in on:
        terms["kd_relation"] = losses.relation(
            gather(student.z, axis_name), gather(_asked(targets.z), axis_name), chosen
        )
    if "kd_discriminator_features" in on:
        of_student = _asked(features)(student.x_hat)
        of_teacher = _asked(targets.features)
        terms["kd_discriminator_features"] = losses.distilled_reconstruction(
            of_student, of_teacher, local
        )
    return terms, jnp.mean(chosen)


def _asked(target: Any) -> Any:
    """A target that a term needs; only a network has more to say of a beat than a score."""
    if target is None:
        raise ValueError("a distillation term needs what this teacher, or its targets, do not give")
    return target


def gather(per_beat: jax.Array, axis_name: str | None) -> jax.Array:
    """[B / n] of each device -> [B] of all, in the order of the devices."""
    if axis_name is None:
        return per_beat
    return jax.lax.all_gather(per_beat, axis_name, tiled=True)


def _own_shard(per_beat: jax.Array, size: int, axis_name: str | None) -> jax.Array:
    if axis_name is None:
        return per_beat
    return jax.lax.dynamic_slice_in_dim(per_beat, jax.lax.axis_index(axis_name) * size, size)
