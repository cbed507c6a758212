"""Targets, score transforms, selection, and gradients through small networks, in float64."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import drawn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kdjax import losses
from kdjax.distillation import (
    SCORE_TRANSFORMS,
    SELECTIONS,
    Distillation,
    TeacherTargets,
    distillation_terms,
    selection,
    teacher_targets,
    transform_scores,
)
from kdjax.models import Generator, GeneratorOutput, anomaly_score

# x64 stays on for all examples of a test, as it should.
few = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
BEATS = 8
scores = hnp.arrays(np.int64, BEATS, elements=st.integers(1, 4000)).map(lambda a: a / 1000)
transform = jax.jit(transform_scores, static_argnums=1)
select = jax.jit(selection, static_argnums=2)

EVERY_TERM = Distillation(response=1.0, reconstruction=1.0, feature=1.0)
# Compiling attention transfer costs most, so two objectives have it.
OBJECTIVES = {
    f"{kind} scores": Distillation(response=1.0, response_scores=kind)
    for kind in ("raw", "minmax", "log")
} | {
    "all selected": EVERY_TERM,
    "teacher_better selected": Distillation(
        response=1.0, reconstruction=1.0, select="teacher_better"
    ),
    "quantile selected": replace(EVERY_TERM, select="quantile"),
}


@pytest.fixture(autouse=True)
def _float64(x64):
    pass


# --- scores ------------------------------------------------------------------------------------


@few
@given(scores)
def test_transforms_are_their_formulas(score):
    spread = np.ptp(score)
    np.testing.assert_array_equal(transform(score, "raw"), score)
    np.testing.assert_allclose(transform(score, "log"), np.log(score), rtol=1e-12, atol=1e-15)
    if spread:
        np.testing.assert_allclose(transform(score, "minmax"), (score - score.min()) / spread)
        standard = (score - score.mean()) / score.std()
        np.testing.assert_allclose(transform(score, "standardised"), standard, atol=1e-9)


@few
@given(scores, st.floats(0.1, 10), st.floats(-1, 1))
def test_what_each_transform_does_not_see(score, factor, shift):
    """minmax and standardised: the level and the unit; log: the unit, up to a shift."""
    if np.ptp(score):
        for kind in ("minmax", "standardised"):
            other = transform(factor * score + shift, kind)
            np.testing.assert_allclose(other, transform(score, kind), atol=1e-9)
    moved = np.asarray(transform(factor * score, "log")) - np.asarray(transform(score, "log"))
    np.testing.assert_allclose(moved, np.log(factor), atol=1e-12)


def test_transforms_by_hand():
    score = jnp.asarray([1.0, 2.0, 5.0, 4.0])
    np.testing.assert_allclose(transform_scores(score, "minmax"), [0, 0.25, 1, 0.75])
    expected = np.array([-2, -1, 2, 1]) / 2.5**0.5
    np.testing.assert_allclose(transform_scores(score, "standardised"), expected)
    np.testing.assert_allclose(transform_scores(score, "log"), np.log([1, 2, 5, 4]))


@pytest.mark.parametrize("kind", SCORE_TRANSFORMS)
def test_scores_that_are_all_equal_give_finite_gradients(kind):
    """In float32, whose range is the smaller."""
    teacher = jnp.arange(BEATS).astype(jnp.float32)
    loss = jax.jit(
        jax.value_and_grad(lambda s: losses.response_kl(transform_scores(s, kind), teacher, 4.0))
    )
    for level in (0.0, 0.02):
        value, gradient = loss(jnp.full(BEATS, level, jnp.float32))
        assert value.dtype == jnp.float32
        assert jnp.isfinite(value)
        assert jnp.isfinite(gradient).all()


def test_unknown_transforms_and_selections_are_named():
    with pytest.raises(ValueError, match=r"'logit'.*raw, minmax, standardised, log"):
        transform_scores(jnp.ones(3), "logit")
    with pytest.raises(ValueError, match=r"'best'.*all, teacher_better, quantile"):
        selection(jnp.ones(3), jnp.ones(3), "best", 0.5)


# --- selection ---------------------------------------------------------------------------------


@few
@given(scores, scores, st.sampled_from([0.1, 0.25, 0.5, 0.9, 1.0]))
def test_selections_are_their_definitions(student, teacher, quantile):
    assert (select(student, teacher, "all", quantile) == 1).all()
    better = select(student, teacher, "teacher_better", quantile)
    np.testing.assert_array_equal(better, teacher < student)
    below = np.asarray(select(student, teacher, "quantile", quantile))
    # At least that share, and no beat left out has less error than one that is chosen.
    assert below.mean() >= quantile - 1 / BEATS
    assert below.any()
    if not below.all():
        assert teacher[below == 1].max() < teacher[below == 0].min()
    # Without ties one of `quantile` (B - 1) beats more is chosen at most.
    if len(np.unique(teacher)) == BEATS:
        assert below.sum() == np.floor(quantile * (BEATS - 1) + 1e-9) + 1


@pytest.mark.parametrize("kind", SELECTIONS)
def test_no_gradient_flows_through_a_selection(kind):
    student, teacher = jnp.asarray([0.1, 0.4, 0.3]), jnp.asarray([0.2, 0.3, 0.4])

    def chosen(s, t):
        return selection(s, t, kind, 0.5) @ jnp.asarray([1.0, 2.0, 3.0])

    for gradient in jax.grad(chosen, argnums=(0, 1))(student, teacher):
        np.testing.assert_array_equal(gradient, 0)
    _, tangent = jax.jvp(chosen, (student, teacher), (jnp.ones(3), jnp.ones(3)))
    assert tangent == 0


# --- terms -------------------------------------------------------------------------------------


def network_output(seed, width=4, beats=BEATS):
    """A GeneratorOutput of random numbers: terms need no network."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return jnp.asarray(rng.standard_normal((beats, *shape)) / 4)

    stages = [(32 // 2 ** (s + 1), width * 2**s) for s in range(5)]
    return GeneratorOutput(
        draw(32, 2),
        draw(6),
        tuple(draw(*stage) for stage in stages),
        tuple(draw(*stage) for stage in stages[::-1]),
    )


@pytest.fixture
def batch():
    """Student, beats and targets; the teacher is twice as wide and its error half as large."""
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (BEATS, 32, 2)))
    teacher = network_output(2, width=8)
    teacher = teacher._replace(x_hat=x + teacher.x_hat * 2)
    student = network_output(1)
    student = student._replace(x_hat=x + student.x_hat * 2)
    return student, x, targets_of(teacher, x)


def targets_of(teacher, x):
    return TeacherTargets(anomaly_score(teacher.x_hat, x), teacher)


terms_of = jax.jit(distillation_terms, static_argnums=(3, 4))


@pytest.mark.parametrize("on", [(), ("response",), ("reconstruction",), ("feature", "response")])
def test_only_the_terms_that_are_on_are_there(batch, on):
    kd = Distillation(**dict.fromkeys(on, 0.5))
    assert kd.weights() == {f"kd_{name}": 0.5 for name in on}
    terms, _ = jax.eval_shape(lambda *b: distillation_terms(*b, kd), *batch)
    assert terms.keys() == kd.weights().keys()


@pytest.mark.parametrize("kind", SELECTIONS)
def test_terms_are_the_losses_of_the_selected_beats(batch, kind):
    """Each term from its own function, with NumPy's selection."""
    student, x, targets = batch
    terms, share = terms_of(student, x, targets, OBJECTIVES[f"{kind} selected"])
    own = np.square(student.x_hat - x).mean((1, 2))
    of_teacher = np.square(targets.output.x_hat - x).mean((1, 2))
    chosen = {
        "all": np.ones(BEATS, bool),
        "teacher_better": of_teacher < own,
        "quantile": of_teacher <= np.median(of_teacher),
    }[kind]
    assert chosen.sum() > 0
    assert chosen.all() == (kind == "all")
    assert share == chosen.mean()
    scaled = [(s - s.mean()) / s.std() for s in (own, of_teacher)]
    expected = losses.response_kl(*(jnp.asarray(s[chosen]) for s in scaled), 4.0)
    np.testing.assert_allclose(terms["kd_response"], expected, rtol=1e-10)
    distance = np.square(student.x_hat - targets.output.x_hat).mean((1, 2))
    np.testing.assert_allclose(terms["kd_reconstruction"], (distance * chosen).mean())
    if "kd_feature" in terms:
        expected = losses.attention_transfer(
            student.encoder + student.decoder,
            targets.output.encoder + targets.output.decoder,
            jnp.asarray(chosen, jnp.float64),
        )
        np.testing.assert_allclose(terms["kd_feature"], expected)


def shuffle(tree, order):
    return jax.tree.map(lambda a: a[np.array(order)], tree)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_terms_know_which_target_belongs_to_which_beat(batch, objective):
    """The batch's order is nothing to them; targets of other beats are another loss."""
    order = np.random.default_rng(5).permutation(BEATS)
    kd = OBJECTIVES[objective]
    terms, share = terms_of(*batch, kd)
    shuffled, same_share = terms_of(*shuffle(batch, order), kd)
    assert share == same_share
    student, x, targets = batch
    astray, _ = terms_of(student, x, shuffle(targets, order), kd)
    for name in terms:
        np.testing.assert_allclose(shuffled[name], terms[name], rtol=1e-12)
        assert abs(float(astray[name] / terms[name]) - 1) > 1e-3


@pytest.mark.parametrize("objective", ["minmax scores", "quantile selected"])
def test_statistics_of_several_devices_are_over_the_whole_batch(batch, objective):
    """Two halves on two devices: the same scores' loss on each, means that average to the whole."""
    kd = OBJECTIVES[objective]
    whole, share = terms_of(*batch, kd)
    halves = jax.tree.map(lambda a: a.reshape(2, BEATS // 2, *a.shape[1:]), batch)
    on_each = jax.vmap(
        lambda s, x, t: distillation_terms(s, x, t, kd, "device"), axis_name="device"
    )
    parts, shares = jax.jit(on_each)(*halves)
    np.testing.assert_allclose(shares, [share, share])
    np.testing.assert_allclose(parts["kd_response"], [whole["kd_response"]] * 2, rtol=1e-12)
    for name in whole.keys() - {"kd_response"}:
        np.testing.assert_allclose(parts[name].mean(), whole[name], rtol=1e-12)


# --- through real networks ---------------------------------------------------------------------

STUDENT = Generator(4, 6, 32, 2, param_dtype=jnp.float64)
TEACHER = Generator(8, 6, 32, 2, param_dtype=jnp.float64)


@jax.jit
def targets_from(teacher, x):
    return teacher_targets(TEACHER, teacher, x)


@jax.jit
def reconstruct(student, x):
    """The student in training mode."""
    return STUDENT.apply(student, x, train=True, mutable=["batch_stats"])[0]


@jax.jit
def gradients(student, x, targets):
    """Of every term of every objective, in the student's parameters."""
    output, pull_back = jax.vjp(
        lambda params: reconstruct(student | {"params": params}, x), student["params"]
    )
    cotangents = [
        jax.jacrev(lambda output, kd=kd: distillation_terms(output, x, targets, kd)[0])(output)
        for kd in OBJECTIVES.values()
    ]
    flat, structure = jax.tree.flatten(
        cotangents, is_leaf=lambda node: isinstance(node, GeneratorOutput)
    )
    stacked = jax.vmap(pull_back)(jax.tree.map(lambda *c: jnp.stack(c), *flat))
    each = [jax.tree.map(lambda g, i=i: g[i], stacked[0]) for i in range(len(flat))]
    return jax.tree.unflatten(structure, each)


@pytest.fixture
def networks():
    """Variables of student and teacher, of different widths, and beats."""
    x = jnp.asarray(np.random.default_rng(3).uniform(-1, 1, (BEATS, 32, 2)))
    return drawn(STUDENT, (32, 2), seed=1), drawn(TEACHER, (32, 2), seed=2), x


def test_gradient_of_every_term_is_not_zero_and_is_that_of_finite_differences(networks):
    """Along a random direction in all the student's parameters."""
    student, teacher, x = networks
    targets = targets_from(teacher, x)
    rng, step = np.random.default_rng(4), 1e-6
    direction = jax.tree.map(lambda p: rng.standard_normal(p.shape), student["params"])

    def moved(by):
        params = jax.tree.map(lambda p, d: p + by * d, student["params"], direction)
        return reconstruct(student | {"params": params}, x)

    ahead, behind = moved(step), moved(-step)
    analytic = gradients(student, x, targets)
    for kd, terms in zip(OBJECTIVES.values(), analytic, strict=True):
        assert terms.keys() == kd.weights().keys()
        above, below = (terms_of(output, x, targets, kd)[0] for output in (ahead, behind))
        for name, gradient in terms.items():
            measured = float(above[name] - below[name]) / (2 * step)
            slopes = jax.tree.map(lambda g, d: float((g * d).sum()), gradient, direction)
            slope = sum(jax.tree.leaves(slopes))
            assert slope == pytest.approx(measured, rel=1e-5), (kd, name)
            if name == "kd_feature":  # stages end before the last kernel
                assert not gradient["decoder"].pop("conv4").any()
            assert all(g.any() for g in jax.tree.leaves(gradient)), (kd, name)


def test_the_teacher_gets_no_gradient(networks):
    _, teacher, x = networks

    def total(v):
        return sum(leaf.sum() for leaf in jax.tree.leaves(targets_from(v, x)))

    for gradient in jax.tree.leaves(jax.grad(total)(teacher)):
        np.testing.assert_array_equal(gradient, 0)


def test_targets_belong_to_the_same_beats(networks):
    """A shuffled batch has shuffled targets: the teacher sees each beat by itself."""
    _, teacher, x = networks
    order = np.random.default_rng(5).permutation(BEATS)
    straight, shuffled = targets_from(teacher, x), targets_from(teacher, x[order])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[order], b, rtol=1e-12, atol=1e-15),
        straight,
        shuffled,
    )
    own = np.square(straight.output.x_hat - x).mean((1, 2))
    np.testing.assert_allclose(straight.score, own, rtol=1e-12)
    assert len(np.unique(np.asarray(straight.score))) == BEATS
