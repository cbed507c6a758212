"""One step in float64: who is updated, who is not, and what starts where."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from drawn import drawn, fresh

from kdjax.models import losses
from kdjax.models.distillation import Distillation, Lesson, Targets, Teacher, all_targets
from kdjax.models.networks import Discriminator, Generator
from kdjax.training import parallel
from kdjax.training import step as of_step
from kdjax.training.step import (
    Trainer,
    TrainState,
    adam,
    averaged,
    fresh_state,
    gradient_norms,
    init_state,
    run_steps,
    train_step,
)

pytestmark = pytest.mark.usefixtures("float64")

# One term of each thing that a student gives: scores, beats, activations, latent. Every other term
# takes the same way through the step; test_distillation.py has the gradients of all.
TERMS = ("response", "reconstruction", "feature", "latent", "discriminator_features")
KD = Distillation(**dict.fromkeys(TERMS, 0.5))
SIZES = {"width": 4, "length": 32, "channels": 2, "param_dtype": jnp.float64}
TEACHER = Teacher(Generator(latent_dim=6, **SIZES), Discriminator(4, param_dtype=jnp.float64))
STUDENT = Trainer(
    generator=Generator(latent_dim=5, output_bias=True, **SIZES),
    discriminator=Discriminator(4, param_dtype=jnp.float64),
    optimizer=adam(1e-3),
    weights=(("reconstruction", 1.0), ("feature_matching", 1.0), ("adversarial", 0.1)),
    kd=KD,
)
MEAN = np.array([-0.4, 0.2])
KEY = jax.random.key(3)

step = jax.jit(partial(train_step, STUDENT))


@pytest.fixture(scope="module")
def x():
    return jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (8, 32, 2)))


@pytest.fixture(scope="module")
def state():
    return fresh(STUDENT, MEAN, TEACHER)


@pytest.fixture(scope="module")
def teacher():
    return TEACHER.replace(
        variables={
            "generator": drawn(TEACHER.generator, (32, 2), seed=1),
            "discriminator": drawn(TEACHER.discriminator, (32, 2), seed=2),
        }
    )


@pytest.fixture(scope="module")
def stepped(state, teacher, x):
    return step(state, teacher, x=x, key=KEY)


@jax.jit
def seen(state, x):
    """The first reconstructions, and the discriminator's features of beats and reconstructions."""
    trained = {"train": True, "mutable": ["batch_stats"]}
    x_hat = STUDENT.generator.apply(state.generator, x, **trained)[0].x_hat
    features = [
        STUDENT.discriminator.apply(state.discriminator, beats, **trained)[0].features
        for beats in (x, x_hat)
    ]
    return x_hat, features


def moved(a, b):
    """For each array by name, whether it changed."""
    flat = zip(jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True)
    return {jax.tree_util.keystr(path): not np.array_equal(old, new) for (path, old), new in flat}


def test_every_parameter_and_statistic_of_both_networks_moves(state, stepped):
    new, _ = stepped
    assert all(moved(state.generator, new.generator).values())
    assert all(moved(state.discriminator, new.discriminator).values())
    assert all(moved(state.projection, new.projection).values())
    assert int(new.step) == 1


def test_the_teacher_is_in_no_part_of_the_state(state, teacher):
    shapes = {leaf.shape for leaf in jax.tree.leaves(teacher)}
    latent = [shape for shape in shapes if 6 in shape]
    assert latent, "the teacher's latent size tells its arrays from the student's"
    held = {leaf.shape for leaf in jax.tree.leaves(state.replace(projection={}, projection_opt=()))}
    assert not held & set(latent)


# --- the teacher's lesson ----------------------------------------------------------------------


def test_a_latent_of_another_size_is_projected_and_the_projection_learns(state, stepped):
    new, _ = stepped
    assert state.projection["kernel"].shape == (5, 6)
    before, after = state.projection_opt[0], new.projection_opt[0]
    assert int(before.count) == 0
    assert int(after.count) == 1
    for moment in (after.mu, after.nu):
        assert (moment["kernel"] != 0).all()
    # Adam's first step is the rate, against the gradient that its first moment holds half of.
    rate = -1e-3 * np.sign(after.mu["kernel"])
    step = new.projection["kernel"] - state.projection["kernel"]
    np.testing.assert_allclose(step, rate, rtol=1e-3)


@pytest.mark.parametrize(
    ("changes", "teacher"),
    [
        ({"generator": STUDENT.generator.clone(latent_dim=6)}, TEACHER),
        ({"kd": replace(KD, latent=0.0)}, TEACHER),
        ({"kd": None}, None),
        ({"kd": Distillation(response=1.0)}, Teacher(lesson=Lesson(Targets(jnp.ones(8))))),
    ],
    ids=["of one size", "not compared", "alone", "of a scorer"],
)
def test_no_other_latent_is_projected(changes, teacher):
    trainer = replace(STUDENT, **changes)
    start = partial(fresh_state, trainer)
    state = jax.eval_shape(start, jax.random.key(0), jnp.asarray(MEAN), teacher=teacher)
    assert state.projection == {}


def test_a_scorers_answers_are_a_lesson(state, x):
    """No network is there to be run, nor needed."""
    scorer = replace(STUDENT, kd=Distillation(response=1.0, log_ratio=1.0))
    scores = Teacher(lesson=Lesson(Targets(jnp.ones(8)), x, Targets(jnp.ones(8))))
    state = state.replace(projection={}, projection_opt=scorer.optimizer.init({}))

    def metrics(trainer, teacher):
        return jax.eval_shape(partial(train_step, trainer), state, teacher, x=x, key=KEY)[1]

    assert {"kd_response", "kd_log_ratio", "selected"} < set(metrics(scorer, scores))
    with pytest.raises(ValueError, match="without networks needs a lesson"):
        metrics(scorer, Teacher())
    with pytest.raises(ValueError, match="needs what this teacher"):
        metrics(replace(scorer, kd=replace(scorer.kd, relation=1.0)), scores)


# --- the objective -----------------------------------------------------------------------------


def test_metrics_name_every_term_and_add_up(stepped):
    _, metrics = stepped
    weights = STUDENT.term_weights()
    assert set(metrics) == {*weights, "D_real", "D_fake", "G_loss", "selected"}
    total = sum(weight * float(metrics[name]) for name, weight in weights.items())
    assert float(metrics["G_loss"]) == pytest.approx(total, rel=1e-5)
    assert float(metrics["selected"]) == 1


def test_a_term_of_weight_zero_is_neither_computed_nor_logged(state, x):
    plain = Trainer(
        generator=STUDENT.generator,
        discriminator=STUDENT.discriminator,
        optimizer=STUDENT.optimizer,
        weights=(("reconstruction", 1.0), ("feature_matching", 0.0), ("adversarial", 0.0)),
    )
    state = state.replace(projection={}, projection_opt=plain.optimizer.init({}))
    metrics = jax.eval_shape(partial(train_step, plain), state, None, x=x, key=KEY)[1]
    assert set(metrics) == {"reconstruction", "D_real", "D_fake", "G_loss"}


def test_a_student_that_distils_needs_a_teacher_and_for_transfer_beats_its_lesson(
    state, teacher, x
):
    with pytest.raises(ValueError, match="needs a teacher"):
        jax.eval_shape(partial(train_step, STUDENT), state, None, x=x, key=KEY)
    transfer = replace(STUDENT, kd=replace(KD, transfer="perturbed"))
    with pytest.raises(ValueError, match="transfer set needs a lesson"):
        jax.eval_shape(partial(train_step, transfer), state, teacher, x=x, key=KEY)


def test_every_weighted_term_has_a_gradient(state, teacher, x):
    """Whose norm is that of the weighted term."""
    weights = (("reconstruction", 3.0), *STUDENT.weights[1:])
    trainer = replace(STUDENT, kd=Distillation(latent=0.5), weights=weights)
    norms = jax.jit(partial(gradient_norms, trainer))(state, teacher, x=x)
    assert set(norms) == set(trainer.term_weights())
    assert all(float(norm) > 1e-6 for norm in norms.values())

    def reconstruction(params):
        variables = state.generator | {"params": params}
        output, _ = STUDENT.generator.apply(variables, x, train=True, mutable=["batch_stats"])
        return losses.reconstruction(output.x_hat, x)

    by_itself = optax.tree.norm(jax.jit(jax.grad(reconstruction))(state.generator["params"]))
    assert float(norms["reconstruction"]) == pytest.approx(3 * float(by_itself), rel=1e-9)


def test_a_collapsed_discriminator_gets_new_weights_and_keeps_the_rest(state, stepped, teacher, x):
    """As the published code does below 5e-6 of both cross-entropies together."""
    assert float(stepped[1]["D_real"] + stepped[1]["D_fake"]) > 5e-6
    sure = certain_discriminator(state, x)
    revived, metrics = step(sure, teacher, x=x, key=KEY)
    assert float(metrics["D_real"] + metrics["D_fake"]) < 5e-6
    before = sure.discriminator["params"]["encoder"]
    after = revived.discriminator["params"]["encoder"]
    for name in ("conv0", "conv4", "head"):
        fan = after[name].shape[0] * sum(after[name].shape[1:])
        assert np.std(after[name]) == pytest.approx(np.sqrt(2 / fan), rel=0.5)  # Xavier's
        assert np.corrcoef(np.ravel(before[name]), np.ravel(after[name]))[0, 1] < 0.5
    assert int(revived.discriminator_opt[0].count) == 1  # Adam's state stays
    kept = sure.discriminator["batch_stats"]["encoder"]["norm4"]["mean"]
    mean = revived.discriminator["batch_stats"]["encoder"]["norm4"]["mean"]
    assert np.abs(mean).max() > 0  # moved on from its start, not drawn again
    assert not np.array_equal(kept, mean)


def certain_discriminator(state, x):
    """A discriminator so steep along the difference of real and fake features that BCE is 0."""
    variables, params = state.discriminator, state.discriminator["params"]
    _, features = seen(state, x)
    real, fake = (np.asarray(f).reshape(len(f), -1) for f in features)
    both = np.concatenate([real, fake])
    sign = np.repeat([1.0, -1.0], len(real))
    head = np.linalg.lstsq(both, 40 * sign, rcond=None)[0]  # logits of about +40 and -40
    shaped = jnp.asarray(head.reshape(params["encoder"]["head"].shape))
    encoder = params["encoder"] | {"head": shaped}
    return state.replace(discriminator=variables | {"params": params | {"encoder": encoder}})


def test_a_chunk_with_a_lesson_equals_its_steps_with_the_teacher_run_live(state, teacher, x):
    """Targets known beforehand are those of the batch's very beats, in whatever order."""
    order = np.random.default_rng(1).integers(0, 8, (3, 8)).astype(np.int32)
    chunk = jax.jit(partial(run_steps, STUDENT))
    prepared = teacher.replace(lesson=Lesson(all_targets(teacher, x, KD)))
    whole, means = chunk(state, prepared, x, order, np.array([1, 3], np.int32), KEY)
    one_by_one, logged = state, []
    for i in (1, 2):
        one_by_one, metrics = step(one_by_one, teacher, x=x[order[i]], key=KEY)
        logged.append(metrics)
    assert int(whole.step) == 2
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(one_by_one), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    for name, mean in means.items():
        expected = (float(logged[0][name]) + float(logged[1][name])) / 2
        assert float(mean) == pytest.approx(expected, rel=1e-12), name


def test_an_average_weighs_weights_by_their_age():
    decay, rng = 0.6, np.random.default_rng(0)
    seen = [{"w": jnp.asarray(rng.normal(size=3))} for _ in range(4)]
    average = {"w": jnp.full(3, 100.0)}  # forgotten at the first step
    for step, new in enumerate(seen, start=1):
        average = averaged(average, new, jnp.asarray(step), decay=decay)
    age = decay ** np.arange(4)[::-1]
    expected = sum(a * np.asarray(new["w"]) for a, new in zip(age, seen, strict=True)) / age.sum()
    np.testing.assert_allclose(average["w"], expected, rtol=1e-12)


@pytest.mark.slow
def test_averaging_weighs_steps_by_their_age_and_trains_the_same(state, teacher, x):
    decay, n = 0.6, 3
    trainer = replace(STUDENT, average_decay=decay)
    averaging = jax.jit(partial(train_step, trainer))
    plain = state
    mine = state.replace(average=jax.tree.map(lambda leaf: leaf + 100, state.generator))
    seen = []
    for _ in range(n):
        plain, _ = step(plain, teacher, x=x, key=KEY)
        mine, _ = averaging(mine, teacher, x=x, key=KEY)
        seen.append(plain.generator)
    age = decay ** np.arange(n)[::-1]
    expected = jax.tree.map(lambda *leaves: sum(map(jnp.multiply, age, leaves)), *seen)
    for a, b in zip(jax.tree.leaves(mine.trained), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b / age.sum(), rtol=1e-12, atol=1e-14)
    for a, b in zip(jax.tree.leaves(mine.generator), jax.tree.leaves(plain.generator), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_without_averaging_the_generator_itself_is_what_training_gives(stepped):
    assert stepped[0].average == {}
    assert stepped[0].trained is stepped[0].generator


def test_an_average_starts_as_the_generator():
    trainer = replace(STUDENT, average_decay=0.9)

    def same_arrays():
        fresh = fresh_state(trainer, jax.random.key(0), jnp.asarray(MEAN))
        pairs = zip(jax.tree.leaves(fresh.average), jax.tree.leaves(fresh.generator), strict=True)
        same.extend(a is b for a, b in pairs)

    same: list[bool] = []
    jax.eval_shape(same_arrays)
    assert same
    assert all(same)


def test_training_starts_at_the_mean_beat(monkeypatch):
    """With the networks' own initial weights but for that; here NumPy draws them.

    That such a bias puts reconstructions there is tested with the networks.
    """
    own, keys = {n: drawn(n, (32, 2)) for n in (STUDENT.generator, STUDENT.discriminator)}, []

    def init(module, key, beat, train):
        keys.append(np.asarray(jax.random.key_data(key)).tolist())
        return jax.tree.map(jnp.asarray, own[module])

    for network in (Generator, Discriminator):
        monkeypatch.setattr(network, "init", init)
    trainer = replace(STUDENT, average_decay=0.9)
    found = fresh_state(trainer, jax.random.key(0), jnp.asarray(MEAN), teacher=TEACHER)
    assert keys[0] != keys[1]
    assert found.average is found.generator
    bias = found.generator["params"]["decoder"].pop("bias")
    np.testing.assert_allclose(np.tanh(bias), MEAN, rtol=1e-6)
    own[STUDENT.generator]["params"]["decoder"].pop("bias")
    jax.tree.map(np.testing.assert_array_equal, found.generator, own[STUDENT.generator])
    jax.tree.map(np.testing.assert_array_equal, found.discriminator, own[STUDENT.discriminator])


def test_an_output_bias_asks_for_the_mean_beat():
    with pytest.raises(ValueError, match="mean beat"):
        init_state(STUDENT, jax.random.key(0))


@jax.numpy_dtype_promotion("standard")  # Optax raises b1 to an integer count
def test_adam_is_beatgans_and_clips_when_asked():
    params, grads = {"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([30.0, 40.0])}
    plain = adam(1e-4)
    updates, _ = plain.update(grads, plain.init(params), params)
    np.testing.assert_allclose(updates["w"], -1e-4, rtol=1e-5)  # the first step is the rate
    clipped = adam(1e-4, grad_clip=5.0)
    _, opt = clipped.update(grads, clipped.init(params), params)
    (mu,) = (leaf for leaf in jax.tree.leaves(opt) if leaf.shape == (2,) and leaf[0] > 1)
    np.testing.assert_allclose(mu, [1.5, 2.0], rtol=1e-6)  # (1 - 0.5) of a gradient of norm 5
    assert optax.tree.norm(grads) == 50


def test_a_chunk_traces_its_step_once(monkeypatch):
    """Its metrics have any name and shape; a second trace would cost a second of each start."""
    traced = []

    def note(trainer, state, teacher, x, key):
        traced.append(x.shape)
        return state.replace(step=state.step + 1), {"sum": x.sum(), "x": x}

    monkeypatch.setattr(of_step, "train_step", note)
    nothing: dict = {}
    state = TrainState(np.zeros((), np.int32), *([nothing] * 6))
    beats, order = np.zeros((4, 8, 1), np.float32), np.zeros((3, 2), np.int32)
    run = partial(of_step.run_steps, replace(STUDENT, augment=False))
    bounds = np.array([0, 3], np.int32)
    _, means = jax.eval_shape(run, state, None, beats, order, bounds, jax.random.key_data(KEY))
    assert {name: mean.shape for name, mean in means.items()} == {"sum": (), "x": (2, 8, 1)}
    assert traced == [(2, 8, 1)]


class TestAugmentation:
    """What the networks see of beats that are warped in time; the step itself only notes it."""

    BEATS, BATCH, STEPS, CHANNELS = 12, 8, 4, 2  # steps: a power of two, their mean is exact

    @pytest.fixture
    def seen(self, monkeypatch):
        """`run_steps` of some devices, which returns every step's beats [n, steps, B / n, T, C]."""

        def note(trainer, state, teacher, x, key):
            steps = jnp.arange(self.STEPS, dtype=jnp.int32) == state.step
            return state.replace(step=state.step + 1), {
                "x": jnp.where(steps[:, None, None, None], x[None], 0)
            }

        monkeypatch.setattr(of_step, "train_step", note)
        trainer = replace(STUDENT, augment=True)

        def run(beats, order, key, devices=1):
            devices = jax.local_devices()[:devices]
            put = partial(parallel.replicate, devices=devices)
            nothing: dict = {}
            state = TrainState(np.zeros((), np.int32), *([nothing] * 6))
            means = parallel.compile_steps(trainer, devices)(
                put(state),
                None,
                parallel.broadcast(beats, devices),
                parallel.shard_order(order, devices),
                put(np.array([0, self.STEPS], np.int32)),
                put(jax.random.key_data(key)),
            )[1]
            return np.asarray(means["x"]) * self.STEPS

        return run

    @pytest.fixture
    def beats(self):
        return np.random.default_rng(1).uniform(-1, 1, (self.BEATS, 320, self.CHANNELS))

    @pytest.fixture
    def order(self):
        rng = np.random.default_rng(2)
        return np.stack(
            [rng.permutation(self.BEATS)[: self.BATCH] for _ in range(self.STEPS)]
        ).astype(np.int32)

    def test_every_step_warps_anew_and_no_beat_becomes_another(self, seen, beats, order):
        beats[order[0, 0]] = beats[order[0, 1]]  # one beat under two numbers: two warpings
        found = seen(beats, order, KEY)[0]
        assert np.abs(found[0, 0] - found[0, 1]).max() > 0.1
        peaks = beats[order][:, :, 140]
        np.testing.assert_allclose(found[:, :, 140], peaks, rtol=1e-12)
        for step, batch in zip(found, order, strict=True):
            for beat, number in zip(step, batch, strict=True):
                kept = np.isin(beat, beats[number]).mean()
                assert 1 - 30 / 320 < kept < 1
        again = seen(beats, np.stack([order[0]] * self.STEPS), KEY)[0]
        np.testing.assert_allclose(again[0], found[0], rtol=1e-12)
        assert np.abs(again[1] - again[0]).max() > 0.1
        assert np.abs(seen(beats, order, jax.random.key(4))[0] - found).max() > 0.1

    def test_the_number_of_devices_changes_nothing(self, seen, beats, order):
        one, two = seen(beats, order, KEY)[0], seen(beats, order, KEY, devices=2)
        np.testing.assert_allclose(np.concatenate(list(two), axis=1), one, rtol=1e-12)
