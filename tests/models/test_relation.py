"""The relations between a batch's latents: values, limits and gradients, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdjax.models import losses

pytestmark = pytest.mark.usefixtures("x64")

BEATS = 8

relation = jax.jit(losses.relation)
gradient_relation = jax.jit(jax.grad(losses.relation))


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


def huber(d):
    return d * d / 2 if abs(d) <= 1 else abs(d) - 0.5


def loops_relation(student, teacher, weight):
    """RKD-D + 2 RKD-A over every ordered pair and triple of different beats, one at a time."""
    beats = range(len(student))
    pairs = [(i, j) for i in beats for j in beats if i != j]
    of_pair = {(i, j): weight[i] * weight[j] for i, j in pairs}

    def distances(z):
        apart = {(i, j): np.linalg.norm(z[i] - z[j]) for i, j in pairs}
        mean = sum(of_pair[p] * apart[p] for p in pairs) / sum(of_pair.values())
        return {p: apart[p] / mean for p in pairs}

    def cosine(z, i, j, k):
        a, b = z[i] - z[j], z[k] - z[j]
        size = np.linalg.norm(a) * np.linalg.norm(b)
        return a @ b / size if size else 0.0  # no direction, no cosine

    of_student, of_teacher = distances(student), distances(teacher)
    by_distance = sum(of_pair[p] * huber(of_student[p] - of_teacher[p]) for p in pairs)
    by_angle = total = 0.0
    for i, j in pairs:
        for k in beats:
            if k not in (i, j):
                of_triple = weight[i] * weight[j] * weight[k]
                by_angle += of_triple * huber(cosine(student, i, j, k) - cosine(teacher, i, j, k))
                total += of_triple
    return by_distance / sum(of_pair.values()) + 2 * by_angle / total


@pytest.mark.parametrize("twins", [False, True])
@pytest.mark.parametrize("weight", [[1, 1, 1, 1, 1], [1, 0, 1, 1, 1], [2, 1, 0.5, 3, 1]])
def test_relation_is_park_and_others_formula(weight, twins):
    """Park et al. 2019, equations 3 to 10 with the weights 1 and 2 of their section 4.1.

    With twins two of the student's beats lie in one place.
    """
    student, teacher, weight = draw(0, 5, 3), 3 * draw(1, 5, 4), np.array(weight, float)
    student = student.at[3].set(student[2]) if twins else student
    expected = loops_relation(np.asarray(student), np.asarray(teacher), weight)
    assert float(relation(student, teacher, jnp.asarray(weight))) == pytest.approx(expected)
    if (weight == 1).all():
        assert float(relation(student, teacher)) == pytest.approx(expected)


def test_relation_by_hand():
    """Three beats in a row; the student has another one in the middle.

    Distances are 3/4, 3/2, 3/4 of their mean against 3/4, 3/4, 3/2; cosines 1, -1, 1 against
    -1, 1, 1, so that two lie where the Huber loss is linear.
    """
    student = jnp.asarray([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    teacher = jnp.asarray([[0.0], [7.0], [-7.0]])
    distances, angles = 2 * (0.75**2 / 2) / 3, 2 * (2 - 0.5) / 3
    assert float(relation(student, teacher)) == pytest.approx(distances + 2 * angles)


# x64 stays on for all examples, as it should.
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 99), st.floats(0.1, 10), st.floats(-5, 5), st.permutations(range(BEATS)))
def test_relation_knows_neither_direction_nor_scale_nor_place_nor_order(seed, scale, shift, order):
    student, teacher = draw(seed, BEATS, 3), draw(seed + 1, BEATS, 4)
    turned, _ = np.linalg.qr(draw(seed + 2, 3, 3))
    moved = scale * student @ turned + shift
    order = np.array(order)
    value = float(relation(student, teacher))
    assert float(relation(moved, teacher)) == pytest.approx(value)
    assert float(relation(student[order], teacher[order])) == pytest.approx(value)
    assert float(relation(moved, student)) == pytest.approx(0, abs=1e-12)
    assert value > 1e-3


@pytest.mark.parametrize("shapes", [((4, 3), (5, 3)), ((4,), (4,)), ((4, 3), (4, 3, 1))])
def test_relations_need_two_batches_of_as_many_latents(shapes):
    a, b = shapes
    for student, teacher in ((a, b), (b, a)):
        with pytest.raises(ValueError, match=r"two \[B, L\] needed"):
            losses.relation(jnp.ones(student), jnp.ones(teacher))


def test_equal_latents_have_no_direction_and_no_gradient_of_one():
    """Two beats in one place, of the student or of the teacher: gradients of the usual size."""
    apart, teacher = (draw(seed, 5, 3).astype(jnp.float32) for seed in (0, 1))
    together = apart.at[1].set(apart[0])
    usual = jnp.abs(gradient_relation(apart, teacher)).max()
    for z_s, z_t in ((together, teacher), (apart, together), (together, together)):
        gradient = gradient_relation(z_s, z_t)
        assert jnp.isfinite(relation(z_s, z_t))
        assert jnp.abs(gradient).max() < 100 * usual
    everyone = jnp.ones_like(apart)
    assert jnp.isfinite(relation(everyone, teacher))
    assert jnp.isfinite(gradient_relation(everyone, teacher)).all()


@pytest.mark.parametrize(("distance", "aligned"), [(1e-12, 0), (1.001e-12, 1)])
def test_beats_have_a_direction_above_the_smallest_distance(distance, aligned):
    """The teacher's three beats lie in a row; the student's first two are all but one.

    With a direction from the first to the second all six cosines agree; without one four are 0.
    """
    teacher = jnp.asarray([[0.0], [1e-9], [1.0]])
    student = jnp.asarray([[0.0], [distance], [1.0]])
    expected = 0 if aligned else 2 * 4 * (1 / 2) / 6
    assert float(relation(student, teacher)) == pytest.approx(expected, abs=1e-8)
