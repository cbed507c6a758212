"""The loss terms, one pure function each. Every one rejects shapes that do not agree.

Means and sums run over the arrays given: a caller on several devices averages the means and gathers
the scores first, so that each statistic is over the global batch.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from kdjax.models.networks import anomaly_score

# Below this |d| exp(-d) - 1 + d is summed as its power series, to the last digit of float64.
_SERIES_RADIUS = 0.5
_SERIES_TERMS = 14

# The smallest squared norm that is divided by; its power -3/2 is still a float32.
_SMALLEST_SQUARE = 1e-24
# A score below this, a beat reconstructed to about six digits, has the logarithm of this.
_SMALLEST_SCORE = 1e-12


def reconstruction(x_hat: jax.Array, x: jax.Array) -> jax.Array:
    """Mean (x_hat - x)^2 of [B, T, C] (Zhou et al. 2019, eq. 6, as a mean)."""
    return _mean_squared_difference(x_hat, x)


def feature_matching(features_fake: jax.Array, features_real: jax.Array) -> jax.Array:
    """Mean (f(x_hat) - f(x))^2 over discriminator features (Zhou et al. 2019, eq. 5, as a mean)."""
    return _mean_squared_difference(features_fake, features_real)


def discriminator_bce(logit_real: jax.Array, logit_fake: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Binary cross-entropies of logits [B]: (real against 1, fake against 0), each a mean."""
    _same_shape(logit_fake, logit_real)
    return jnp.mean(jax.nn.softplus(-logit_real)), jnp.mean(jax.nn.softplus(logit_fake))


def adversarial_bce(logit_fake: jax.Array) -> jax.Array:
    """The generator's alternative to feature matching: mean cross-entropy of the fake against 1."""
    return jnp.mean(jax.nn.softplus(-logit_fake))


def response_kl(
    score_student: jax.Array,
    score_teacher: jax.Array,
    temperature: float,
    *,
    weight: jax.Array | None = None,
) -> jax.Array:
    """T^2 KL(softmax(a_t / T) || softmax(a_s / T)) over a batch's scores [B] (Hinton et al. 2015).

    `weight` [B] >= 0 multiplies the terms of both softmaxes: 0 takes a beat out of the batch; with
    no beat left the loss is 0.

    With d = (a_t - a_s) / T and c = d - E_p[d] under the teacher's distribution p it is
    log E_p[exp(-c)] = log1p(E_p[exp(-c) - 1 + c]): it adds terms of the answer's size, where the
    textbook form subtracts two nearly equal logarithms and loses every digit on flat scores.
    Raises ValueError when shapes differ or the temperature is not positive.
    """
    _check_scores(score_student, score_teacher)
    if temperature <= 0:
        raise ValueError(f"temperature {temperature}: it must be above 0")
    weight = jnp.ones_like(score_teacher) if weight is None else weight
    _same_shape(weight, score_teacher)
    kept = weight > 0
    highest = jnp.max(score_teacher, where=kept, initial=-jnp.inf)
    exponent = jnp.where(kept, (score_teacher - highest) / temperature, 0)
    mass = weight * jnp.exp(exponent)
    p = mass / jnp.maximum(jnp.sum(mass), jnp.finfo(mass.dtype).tiny)
    d = jnp.where(kept, (score_teacher - score_student) / temperature, 0)
    return temperature**2 * jnp.log1p(jnp.sum(p * _exp_remainder(d - jnp.sum(p * d))))


def distilled_reconstruction(
    x_hat_student: jax.Array, x_hat_teacher: jax.Array, weight: jax.Array | None = None
) -> jax.Array:
    """Mean squared distance to the teacher's reconstruction [B, T, C], weighted by beat [B]."""
    return _weighted_mean(anomaly_score(x_hat_student, x_hat_teacher), weight)


def log_ratio(
    score_student: jax.Array, score_teacher: jax.Array, weight: jax.Array | None = None
) -> jax.Array:
    """Mean (log a_s - log a_t)^2 over scores [B]: the same relative error on every beat.

    The regression of a teacher's logits by squared error (Ba & Caruana 2014, eq. 1), on the
    logarithm, since scores span decades. `weight` [B] weighs beats. Raises ValueError when shapes
    differ or are not [B].
    """
    _check_scores(score_student, score_teacher)
    log_student, log_teacher = (
        jnp.log(jnp.maximum(score, _SMALLEST_SCORE)) for score in (score_student, score_teacher)
    )
    return _weighted_mean(jnp.square(log_student - log_teacher), weight)


def attention_transfer(
    student: Sequence[jax.Array], teacher: Sequence[jax.Array], weight: jax.Array | None = None
) -> jax.Array:
    """Sum over layers of mean (A_s - A_t)^2 of `attention` maps [B, T] (Zagoruyko & Komodakis 2017,
    section 3.1).

    `weight` [B] weighs beats. Raises ValueError when the numbers of layers or the shapes differ.
    """
    if len(student) != len(teacher):
        raise ValueError(f"{len(student)} student layers against {len(teacher)} of the teacher")
    total = jnp.zeros((), student[0].dtype)
    for a_s, a_t in zip(student, teacher, strict=True):
        _same_shape(a_s, a_t)
        total += _weighted_mean(jnp.mean(jnp.square(a_s - a_t), axis=1), weight)
    return total


def attention(features: jax.Array) -> jax.Array:
    """Where a layer is active: [B, T, C] -> [B, T], of unit length for each beat."""
    energy = jnp.mean(jnp.square(features), axis=2)
    square = jnp.sum(jnp.square(energy), axis=1, keepdims=True)
    return energy * jax.lax.rsqrt(jnp.maximum(square, _SMALLEST_SQUARE))


def latent(
    z_student: jax.Array, z_teacher: jax.Array, weight: jax.Array | None = None
) -> jax.Array:
    """Mean (z_s - z_t)^2 of latents [B, L]: a hint (Romero et al. 2015, FitNets, eq. 3).

    A student's latent of another size is projected to the teacher's first. `weight` [B] weighs
    beats. Raises ValueError when shapes differ.
    """
    _same_shape(z_student, z_teacher)
    return _weighted_mean(jnp.mean(jnp.square(z_student - z_teacher), axis=1), weight)


def relation(
    z_student: jax.Array, z_teacher: jax.Array, weight: jax.Array | None = None
) -> jax.Array:
    """The geometry of a batch: distances, and twice the angles (Park et al. 2019, RKD-DA).

    Latents are [B, L_s] and [B, L_t]. Distances between two beats are divided by their mean over
    the batch, angles are cosines at the middle one of three (section 3.2 there); the Huber loss of
    both is averaged over all pairs and triples. `weight` [B] weighs beats: a pair or triple by
    the product. Raises ValueError when the batches differ.
    """
    if z_student.ndim != 2 or z_teacher.ndim != 2 or len(z_student) != len(z_teacher):
        raise ValueError(f"latents {z_student.shape} and {z_teacher.shape}: two [B, L] needed")
    b = len(z_student)
    weight = jnp.ones((b,), z_student.dtype) if weight is None else weight
    _same_shape(weight, z_student[:, 0])
    other = 1 - jnp.eye(b, dtype=weight.dtype)
    pair = weight[:, None] * weight[None, :] * other
    triple = pair[:, :, None] * weight[None, None, :] * other[None, :, :] * other[:, None, :]
    distance_s, direction_s = _relations(z_student, pair)
    distance_t, direction_t = _relations(z_teacher, pair)
    by_distance = _huber(distance_s - distance_t)
    by_angle = _huber(_angles(direction_s) - _angles(direction_t))
    return _mean_of(by_distance, pair) + 2 * _mean_of(by_angle, triple)


def _relations(z: jax.Array, pair: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Distances [B, B] over their mean, and unit vectors [B, B, L] from one beat to another.

    Beats in one place have no direction to each other: 0, without gradient.
    """
    difference = z[None, :, :] - z[:, None, :]
    square = jnp.sum(jnp.square(difference), axis=2)
    apart = square > _SMALLEST_SQUARE
    length = jnp.sqrt(jnp.where(apart, square, 1))
    distance = jnp.where(apart, length, 0)
    direction = jnp.where(apart[:, :, None], difference / length[:, :, None], 0)
    mean = _mean_of(distance, pair)
    return distance / jnp.maximum(mean, jnp.sqrt(jnp.asarray(_SMALLEST_SQUARE, z.dtype))), direction


def _angles(direction: jax.Array) -> jax.Array:
    """Cosine [i, j, k] of the angle at j between beats i and k."""
    return jnp.einsum("jil,jkl->ijk", direction, direction)


def _huber(d: jax.Array) -> jax.Array:
    return jnp.where(jnp.abs(d) <= 1, jnp.square(d) / 2, jnp.abs(d) - 0.5)


def _mean_of(values: jax.Array, weight: jax.Array) -> jax.Array:
    """The weighted mean; 0 where nothing has a weight."""
    return jnp.sum(weight * values) / jnp.maximum(jnp.sum(weight), jnp.finfo(weight.dtype).tiny)


def _exp_remainder(d: jax.Array) -> jax.Array:
    """exp(-d) - 1 + d >= 0 without cancellation near 0; its derivative 1 - exp(-d) likewise."""
    near = jnp.abs(d) < _SERIES_RADIUS
    small = jnp.where(near, d, 0)
    series = jnp.zeros_like(d)
    for n in range(_SERIES_TERMS + 1, 1, -1):  # d^2/2 (1 - d/3 (1 - d/4 (...)))
        series = small / n * (1 - series) if n > 2 else small * small / 2 * (1 - series)
    return jnp.where(near, series, jnp.expm1(-d) + d)


def _mean_squared_difference(a: jax.Array, b: jax.Array) -> jax.Array:
    _same_shape(a, b)
    return jnp.mean(jnp.square(a - b))


def _weighted_mean(per_beat: jax.Array, weight: jax.Array | None) -> jax.Array:
    """Mean of [B] with weights [B] that average to at most 1: the sum is divided by B."""
    if weight is None:
        return jnp.mean(per_beat)
    _same_shape(per_beat, weight)
    return jnp.mean(weight * per_beat)


def _check_scores(score_student: jax.Array, score_teacher: jax.Array) -> None:
    _same_shape(score_student, score_teacher)
    if score_student.ndim != 1:
        raise ValueError(f"scores of shape {score_student.shape}: one number a beat is needed")


def _same_shape(a: jax.Array, b: jax.Array) -> None:
    if a.shape != b.shape:
        raise ValueError(f"shapes {a.shape} and {b.shape} must agree")
