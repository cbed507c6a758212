"""Targets, score transforms, selection, and gradients through small networks, in float64."""

from dataclasses import fields, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import drawn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax.test_util import check_grads

from kdjax.models import distillation, losses
from kdjax.models.distillation import (
    SCORE_TRANSFORMS,
    SELECTIONS,
    Distillation,
    Lesson,
    Targets,
    Teacher,
    all_targets,
    attention_maps,
    distillation_terms,
    selection,
    transfer_beats,
    transform_scores,
)
from kdjax.models.networks import Discriminator, Generator, GeneratorOutput, anomaly_score

# x64 stays on for all examples of a test, as it should.
few = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
BEATS = 8
scores = hnp.arrays(np.int64, BEATS, elements=st.integers(1, 4000)).map(lambda a: a / 1000)
transform = jax.jit(transform_scores, static_argnums=1)
select = jax.jit(selection, static_argnames="kind")

WEIGHTS = [f.name for f in fields(Distillation) if f.default == 0.0]
EVERY_TERM = Distillation(**dict.fromkeys(WEIGHTS, 1.0))
# Compiling every term costs most, so one objective has them all.
OBJECTIVES = (
    {
        f"{kind} scores": Distillation(response=1.0, response_scores=kind)
        for kind in ("raw", "minmax", "log")
    }
    | {
        f"{kind} selected": Distillation(response=1.0, reconstruction=1.0, select=kind)
        for kind in ("all", "teacher_better")
    }
    | {
        "quantile selected": replace(EVERY_TERM, select="quantile"),
    }
)


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


@pytest.mark.parametrize("kind", SCORE_TRANSFORMS)
def test_the_response_to_scores_has_the_gradient_of_finite_differences(kind):
    """In the student's beats, whose error its score is; the selection changes at none of them."""
    rng = np.random.default_rng(6)
    x, x_hat, of_teacher = (jnp.asarray(rng.standard_normal((BEATS, 5, 1))) for _ in range(3))
    student = network_output(1)
    targets = Targets(anomaly_score(of_teacher, x))
    kd = Distillation(response=1.0, response_scores=kind, select="teacher_better")

    @jax.jit
    def response(x_hat):
        return distillation_terms(student._replace(x_hat=x_hat), x, targets, kd=kd)[0]

    check_grads(response, (x_hat,), order=1, modes=["rev"])
    assert jax.grad(lambda x_hat: response(x_hat)["kd_response"])(x_hat).any()


def test_unknown_transforms_and_selections_are_named():
    with pytest.raises(ValueError, match=r"'logit'.*raw, minmax, standardised, log"):
        transform_scores(jnp.ones(3), "logit")
    with pytest.raises(ValueError, match=r"'best'.*all, teacher_better, quantile"):
        selection(jnp.ones(3), jnp.ones(3), kind="best", quantile=0.5)


# --- selection ---------------------------------------------------------------------------------


@few
@given(scores, scores, st.sampled_from([0.1, 0.25, 0.5, 0.9, 1.0]))
def test_selections_are_their_definitions(student, teacher, quantile):
    assert (select(student, teacher, kind="all", quantile=quantile) == 1).all()
    better = select(student, teacher, kind="teacher_better", quantile=quantile)
    np.testing.assert_array_equal(better, teacher < student)
    below = np.asarray(select(student, teacher, kind="quantile", quantile=quantile))
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
        return selection(s, t, kind=kind, quantile=0.5) @ jnp.asarray([1.0, 2.0, 3.0])

    for gradient in jax.grad(chosen, argnums=(0, 1))(student, teacher):
        np.testing.assert_array_equal(gradient, 0)
    _, tangent = jax.jvp(chosen, (student, teacher), (jnp.ones(3), jnp.ones(3)))
    assert tangent == 0


# --- terms -------------------------------------------------------------------------------------


def network_output(seed, width=4, latent=6, beats=BEATS):
    """A GeneratorOutput of random numbers: terms need no network."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return jnp.asarray(rng.standard_normal((beats, *shape)) / 4)

    stages = [(32 // 2 ** (s + 1), width * 2**s) for s in range(5)]
    return GeneratorOutput(
        draw(32, 2),
        draw(latent),
        tuple(draw(*stage) for stage in stages),
        tuple(draw(*stage) for stage in stages[::-1]),
    )


@pytest.fixture
def batch():
    """Student, beats and targets; the teacher is wider, its latent larger, its error no less."""
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (BEATS, 32, 2)))
    teacher = network_output(2, width=8, latent=7)
    teacher = teacher._replace(x_hat=x + teacher.x_hat * 2)
    student = network_output(1)
    student = student._replace(x_hat=x + student.x_hat * 2)
    return student, x, targets_of(teacher, x)


def targets_of(teacher, x):
    score, maps = anomaly_score(teacher.x_hat, x), attention_maps(teacher)
    return Targets(score, teacher.x_hat, maps, teacher.z, critic(teacher.x_hat))


PROJECTION = jnp.asarray(np.random.default_rng(7).standard_normal((6, 7)), jnp.float32)
CRITIC = jnp.asarray(np.random.default_rng(8).standard_normal((2, 3)), jnp.float32)


def critic(x):
    """[B, 32, 2] -> [B, 16, 6], in place of a discriminator's features."""
    return jnp.tanh(x @ CRITIC.astype(x.dtype)).reshape(len(x), 16, 6)


def terms_from(student, x, targets, kd, axis_name=None):
    return distillation_terms(
        student,
        x,
        targets,
        kd=kd,
        axis_name=axis_name,
        projection=PROJECTION.astype(x.dtype),
        features=critic,
    )


terms_of = jax.jit(terms_from, static_argnums=(3, 4))


@pytest.mark.parametrize("on", [(), *((name,) for name in WEIGHTS), ("feature", "response")])
def test_only_the_terms_that_are_on_are_there(batch, on):
    kd = Distillation(**dict.fromkeys(on, 0.5))
    assert kd.weights() == {f"kd_{name}": 0.5 for name in on}
    terms, _ = jax.eval_shape(lambda *b: terms_from(*b, kd), *batch)
    assert terms.keys() == kd.weights().keys()


@pytest.mark.parametrize("kind", SELECTIONS)
def test_terms_are_the_losses_of_the_selected_beats(batch, kind):
    """Each term from its own function, with NumPy's selection."""
    student, x, targets = batch
    terms, share = terms_of(student, x, targets, OBJECTIVES[f"{kind} selected"])
    own = np.square(student.x_hat - x).mean((1, 2))
    of_teacher = np.square(targets.x_hat - x).mean((1, 2))
    chosen = {
        "all": np.ones(BEATS, bool),
        "teacher_better": of_teacher < own,
        "quantile": of_teacher <= np.median(of_teacher),
    }[kind]
    assert chosen.sum() > 0
    assert chosen.all() == (kind == "all")
    assert share == chosen.mean()
    scaled = [(s - s.mean()) / s.std() for s in (own, of_teacher)]
    expected = losses.response_kl(*(jnp.asarray(s[chosen]) for s in scaled), temperature=4.0)
    np.testing.assert_allclose(terms["kd_response"], expected, rtol=1e-10)
    distance = np.square(student.x_hat - targets.x_hat).mean((1, 2))
    np.testing.assert_allclose(terms["kd_reconstruction"], (distance * chosen).mean())
    if kind != "quantile":
        return
    weight = jnp.asarray(chosen, jnp.float64)
    z = student.z @ PROJECTION.astype(jnp.float64)
    features = np.square(critic(student.x_hat) - critic(targets.x_hat)).mean((1, 2))
    for name, expected in {
        "kd_log_ratio": (np.square(np.log(own / of_teacher)) * chosen).mean(),
        "kd_feature": losses.attention_transfer(attention_maps(student), targets.attention, weight),
        "kd_latent": (np.square(z - targets.z).mean(1) * chosen).mean(),
        "kd_relation": losses.relation(student.z[chosen], targets.z[chosen]),
        "kd_discriminator_features": (features * chosen).mean(),
    }.items():
        np.testing.assert_allclose(terms[name], expected, err_msg=name)


def test_latents_of_one_size_are_compared_as_they_are(batch):
    student, x, targets = batch
    targets = targets._replace(z=targets.z[:, :6])
    terms, _ = distillation_terms(student, x, targets, kd=Distillation(latent=1.0))
    np.testing.assert_allclose(terms["kd_latent"], np.square(student.z - targets.z).mean())


@pytest.mark.parametrize("term", WEIGHTS)
def test_scores_alone_teach_scores_alone(batch, term):
    """Whoever gave them: a term that asks for more says so."""
    student, x, targets = batch
    kd = Distillation(**{term: 1.0})
    assert kd.needs_only_scores() == (term in ("response", "log_ratio"))
    scores = Targets(targets.score)
    terms = partial(distillation_terms, kd=kd)
    if kd.needs_only_scores():
        terms, _ = terms(student, x, scores)
        np.testing.assert_allclose(terms[f"kd_{term}"], terms_of(*batch, kd)[0][f"kd_{term}"])
    else:
        with pytest.raises(ValueError, match="needs what this teacher"):
            jax.eval_shape(terms, student, x, scores)


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
    on_each = jax.vmap(lambda s, x, t: terms_from(s, x, t, kd, "device"), axis_name="device")
    parts, shares = jax.jit(on_each)(*halves)
    np.testing.assert_allclose(shares, [share, share])
    of_the_batch = {"kd_response", "kd_relation"} & whole.keys()
    for name in of_the_batch:
        np.testing.assert_allclose(parts[name], [whole[name]] * 2, rtol=1e-12)
    for name in whole.keys() - of_the_batch:
        np.testing.assert_allclose(parts[name].mean(), whole[name], rtol=1e-12)


# --- through real networks ---------------------------------------------------------------------

STUDENT = Generator(4, 6, 32, 2, param_dtype=jnp.float64)
TEACHER = Teacher(
    Generator(8, 7, 32, 2, param_dtype=jnp.float64), Discriminator(4, param_dtype=jnp.float64)
)
CODES = {"kd_latent", "kd_relation"}  # terms of the latent: the decoder has no part in them


@partial(jax.jit, static_argnums=2)
def targets_from(teacher, x, kd=EVERY_TERM):
    return teacher.targets(x, kd)


@jax.jit
def reconstruct(student, x):
    """The student in training mode."""
    return STUDENT.apply(student, x, train=True, mutable=["batch_stats"])[0]


@jax.jit
def taught(output, teacher, x, targets):
    """Every term of a student's output, with the teacher's own discriminator."""
    projection, features = PROJECTION.astype(x.dtype), teacher.features
    kd = OBJECTIVES["quantile selected"]
    return distillation_terms(
        output, x, targets, kd=kd, axis_name=None, projection=projection, features=features
    )[0]


@jax.jit
def gradients(student, teacher, x, targets):
    """Of every term in the student's parameters."""
    output, pull_back = jax.vjp(
        lambda params: reconstruct(student | {"params": params}, x), student["params"]
    )
    of_output = jax.jacrev(lambda output: taught(output, teacher, x, targets))(output)
    stacked = jax.tree.map(lambda *terms: jnp.stack(terms), *of_output.values())
    (of_params,) = jax.vmap(pull_back)(stacked)
    return {name: jax.tree.map(lambda g, i=i: g[i], of_params) for i, name in enumerate(of_output)}


@pytest.fixture
def networks():
    """Variables of student and teacher, of different sizes, and beats."""
    x = jnp.asarray(np.random.default_rng(3).uniform(-1, 1, (BEATS, 32, 2)))
    variables = {
        "generator": drawn(TEACHER.generator, (32, 2), seed=2),
        "discriminator": drawn(TEACHER.discriminator, (32, 2), seed=3),
    }
    return drawn(STUDENT, (32, 2), seed=1), TEACHER.replace(variables=variables), x


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
    analytic = gradients(student, teacher, x, targets)
    assert analytic.keys() == EVERY_TERM.weights().keys()
    above, below = (taught(output, teacher, x, targets) for output in (ahead, behind))
    for name, gradient in analytic.items():
        measured = float(above[name] - below[name]) / (2 * step)
        slopes = jax.tree.map(lambda g, d: float((g * d).sum()), gradient, direction)
        slope = sum(jax.tree.leaves(slopes))
        assert slope == pytest.approx(measured, rel=1e-5), name
        if name == "kd_feature":  # stages end before the last kernel
            assert not gradient["decoder"].pop("conv4").any()
        if name in CODES:
            assert not any(g.any() for g in jax.tree.leaves(gradient.pop("decoder")))
        assert all(g.any() for g in jax.tree.leaves(gradient)), name


def test_the_teacher_gets_no_gradient(networks):
    """Neither through its targets nor through its discriminator's look at the student's beats."""
    _, teacher, x = networks

    def total(teacher):
        return sum(leaf.sum() for leaf in jax.tree.leaves(targets_from(teacher, x)))

    def look(teacher, x):
        return teacher.features(x).sum()

    by_targets = jax.jit(jax.grad(total))(teacher)
    by_look, of_beats = jax.jit(jax.grad(look, argnums=(0, 1)))(teacher, x)
    for gradient in jax.tree.leaves((by_targets, by_look)):
        np.testing.assert_array_equal(gradient, 0)
    assert all(beat.any() for beat in of_beats)


@pytest.mark.parametrize("term", [None, *WEIGHTS])
def test_targets_are_those_that_the_terms_ask_for(networks, term):
    _, teacher, x = networks
    kd = Distillation(**{term: 1.0}) if term else Distillation()
    targets = jax.eval_shape(partial(type(teacher).targets, kd=kd), teacher, x)
    there = {name for name, target in targets._asdict().items() if target is not None}
    asked = {
        "reconstruction": {"x_hat"},
        "feature": {"attention"},
        "latent": {"z"},
        "relation": {"z"},
        "discriminator_features": {"features"},
    }
    assert there == {"score"} | asked.get(term, set())


def assert_same(a, b):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15), a, b)


def test_targets_belong_to_the_same_beats(networks):
    """A shuffled batch has shuffled targets: the teacher sees each beat by itself."""
    _, teacher, x = networks
    order = np.random.default_rng(5).permutation(BEATS)
    straight, shuffled = targets_from(teacher, x), targets_from(teacher, x[order])
    assert_same(shuffle(straight, order), shuffled)
    own = np.square(straight.x_hat - x).mean((1, 2))
    np.testing.assert_allclose(straight.score, own, rtol=1e-12)
    assert len(np.unique(np.asarray(straight.score))) == BEATS


# --- lessons -----------------------------------------------------------------------------------


def test_targets_of_a_whole_data_set_are_those_of_its_beats(networks, monkeypatch):
    """Three at a time, and the two that are left."""
    _, teacher, x = networks
    monkeypatch.setattr(distillation, "_TARGETS_AT_ONCE", 3)
    whole = all_targets(teacher, x, Distillation(reconstruction=1.0, latent=1.0))
    some = targets_from(teacher, x)
    assert_same(whole, Targets(some.score, some.x_hat, z=some.z))


def test_a_part_of_a_lesson_is_of_the_beats_asked_for(batch):
    _, x, targets = batch
    index = jnp.asarray([5, 0, 5])
    for lesson in (Lesson(targets), Lesson(targets, x + 1, targets)):
        part = lesson.at(index)
        assert isinstance(part, Lesson)
        np.testing.assert_array_equal(part.targets.score, targets.score[index])
        for a, b in zip(jax.tree.leaves(part), jax.tree.leaves(lesson), strict=True):
            np.testing.assert_array_equal(a, b[index])


def test_the_transfer_set_is_one_perturbed_copy_of_each_beat_whoever_asks():
    x = jnp.asarray(np.random.default_rng(3).uniform(-1, 1, (BEATS, 32, 2)), jnp.float32)
    beats = transfer_beats(x)
    assert beats.shape == x.shape
    assert beats.dtype == x.dtype
    np.testing.assert_array_equal(beats, transfer_beats(x))
    assert np.any(np.asarray(beats != x), axis=(1, 2)).mean() > 0.5
