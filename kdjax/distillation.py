"""What a student learns from its frozen teacher: targets, transformed scores, selected beats."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kdjax import losses
from kdjax.models import Generator, GeneratorOutput, anomaly_score

SCORE_TRANSFORMS = ("raw", "minmax", "standardised", "log")
# Scores that differ by less are one score; gradients stay finite.
_SMALLEST_SPREAD = 1e-12

SELECTIONS = ("all", "teacher_better", "quantile")


@dataclass(frozen=True)
class Distillation:
    """Weights of the distillation terms (0 is off) and how scores and beats are treated.

    response: KL between softmaxes over the batch's scores, after `response_scores`, at
    `temperature`. reconstruction: distance to the teacher's reconstruction. feature: attention
    transfer over the encoder's and the decoder's stages. select: which beats the terms see.
    """

    response: float = 0.0
    response_scores: str = "standardised"
    temperature: float = 4.0
    reconstruction: float = 0.0
    feature: float = 0.0
    select: str = "all"
    select_quantile: float = 0.5

    def weights(self) -> dict[str, float]:
        """The terms that are on, by the name they are logged under."""
        every = {
            "kd_response": self.response,
            "kd_reconstruction": self.reconstruction,
            "kd_feature": self.feature,
        }
        return {name: weight for name, weight in every.items() if weight}


class TeacherTargets(NamedTuple):
    """The teacher on one batch: score [B] and the generator's output, without gradient."""

    score: jax.Array
    output: GeneratorOutput


def teacher_targets(teacher: Generator, variables: Any, x: jax.Array) -> TeacherTargets:
    """Runs the frozen teacher in inference mode on the very beats [B, T, C] of this batch."""
    output = teacher.apply(jax.lax.stop_gradient(variables), x, train=False)
    assert isinstance(output, GeneratorOutput)
    return TeacherTargets(anomaly_score(output.x_hat, x), output)


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
    score_student: jax.Array, score_teacher: jax.Array, kind: str, quantile: float
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
        limit = jnp.quantile(score_teacher, quantile)
        return (score_teacher <= limit).astype(score_teacher.dtype)
    raise ValueError(f"select {kind!r}: choose one of {', '.join(SELECTIONS)}")


def distillation_terms(
    student: GeneratorOutput,
    x: jax.Array,
    targets: TeacherTargets,
    kd: Distillation,
    axis_name: str | None = None,
) -> tuple[dict[str, jax.Array], jax.Array]:
    """The terms of `kd` that are on, unweighted, and the share of beats selected.

    Batches are this device's [B / n, T, C]; with `axis_name` the scores of all devices are gathered
    before any statistic is taken. Means over beats are this device's, to be averaged by the caller.
    """
    score = anomaly_score(student.x_hat, x)
    all_student, all_teacher = gather(score, axis_name), gather(targets.score, axis_name)
    chosen = selection(all_student, all_teacher, kd.select, kd.select_quantile)
    local = _own_shard(chosen, score.shape[0], axis_name)
    on = kd.weights()
    terms = {}
    if "kd_response" in on:
        terms["kd_response"] = losses.response_kl(
            transform_scores(all_student, kd.response_scores),
            transform_scores(all_teacher, kd.response_scores),
            kd.temperature,
            chosen,
        )
    if "kd_reconstruction" in on:
        terms["kd_reconstruction"] = losses.distilled_reconstruction(
            student.x_hat, targets.output.x_hat, local
        )
    if "kd_feature" in on:
        terms["kd_feature"] = losses.attention_transfer(
            student.encoder + student.decoder,
            targets.output.encoder + targets.output.decoder,
            local,
        )
    return terms, jnp.mean(chosen)


def gather(per_beat: jax.Array, axis_name: str | None) -> jax.Array:
    """[B / n] of each device -> [B] of all, in the order of the devices."""
    if axis_name is None:
        return per_beat
    return jax.lax.all_gather(per_beat, axis_name, tiled=True)


def _own_shard(per_beat: jax.Array, size: int, axis_name: str | None) -> jax.Array:
    if axis_name is None:
        return per_beat
    return jax.lax.dynamic_slice_in_dim(per_beat, jax.lax.axis_index(axis_name) * size, size)
