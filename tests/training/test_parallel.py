"""The same training on one device, on several, and of many seeds together, in float64."""

from dataclasses import fields
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import drawn, fresh
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from kdjax.errors import InputError
from kdjax.models.distillation import (
    Distillation,
    Lesson,
    Targets,
    Teacher,
    all_targets,
    transfer_beats,
)
from kdjax.models.networks import Discriminator, Generator
from kdjax.training import parallel
from kdjax.training.step import Trainer, adam, run_steps

pytestmark = pytest.mark.usefixtures("float64")

BATCH, STEPS, LENGTH, BEATS = 8, 3, 32, 20
WEIGHTS = [f.name for f in fields(Distillation) if f.default == 0.0]
SIZES = {"width": 4, "length": LENGTH, "channels": 2, "output_bias": True}
TEACHER = Teacher(
    Generator(latent_dim=6, **SIZES, param_dtype=jnp.float64),
    Discriminator(4, param_dtype=jnp.float64),
)
# What is taught and by whom: networks, or a scorer of beats that is none.
OBJECTIVES = {
    "every term, of beats below a quantile": (
        Distillation(**dict.fromkeys(WEIGHTS, 1.0), select="quantile", select_quantile=0.6),
        TEACHER,
    ),
    "min-max scores where the scorer is better": (
        Distillation(
            response=1.0, log_ratio=1.0, response_scores="minmax", select="teacher_better"
        ),
        Teacher(),
    ),
}
OPTIMIZER = adam(1e-3)
BOUNDS = np.array([0, STEPS], np.int32)


@cache
def make_trainer(axis_name, kd):
    return Trainer(
        generator=Generator(latent_dim=5, **SIZES, axis_name=axis_name, param_dtype=jnp.float64),
        discriminator=Discriminator(4, axis_name, jnp.float64),
        optimizer=OPTIMIZER,
        weights=(("reconstruction", 1.0), ("feature_matching", 1.0)),
        kd=kd,
    )


@cache
def compiled(n, kd):
    """`run_steps` on n devices."""
    trainer = make_trainer(parallel.AXIS, kd)
    return parallel.compile_steps(trainer, jax.local_devices()[:n])


def some_beats():
    rng = np.random.default_rng(5)
    time = np.arange(LENGTH)[None, :, None] / LENGTH
    rate, phase = rng.uniform(1, 3, (BEATS, 1, 2)), rng.uniform(size=(BEATS, 1, 2))
    waves = np.sin(2 * np.pi * (rate * time + phase))
    return waves * rng.uniform(0.2, 0.9, (BEATS, 1, 2))


@pytest.fixture(scope="module")
def beats():
    return some_beats()


def order(seed=0):
    rng = np.random.default_rng((6, seed))
    return rng.permuted(np.tile(np.arange(BEATS), (STEPS, 1)), axis=1)[:, :BATCH].astype(np.int32)


def key(seed=0):
    return jax.random.key_data(jax.random.key(seed))


def started(kd, teacher, beats, seed=0):
    """A student's state and its teacher, with a lesson of a transfer set; on the host."""
    trainer = make_trainer(None, kd)
    state = fresh(trainer, beats.mean(axis=(0, 1)), teacher, seed)
    # As bad as the teacher below: from the usual start a student is better everywhere.
    state = state.replace(generator=drawn(trainer.generator, (LENGTH, 2), seed=30 + seed))
    asked = [jnp.asarray(beats), transfer_beats(jnp.asarray(beats))]
    if teacher.generator is None:
        # On some beats better than the student, on others worse.
        quality = jnp.linspace(0.2, 8, BEATS)
        said = [Targets(jnp.mean(jnp.square(x), axis=(1, 2)) * quality) for x in asked]
    else:
        variables = {
            "generator": drawn(teacher.generator, (LENGTH, 2), seed=10 + seed),
            "discriminator": drawn(teacher.discriminator, (LENGTH, 2), seed=20 + seed),
        }
        teacher = teacher.replace(variables=variables)
        said = [all_targets(teacher, x, kd) for x in asked]
    return jax.device_get((state, teacher.replace(lesson=Lesson(said[0], asked[1], said[1]))))


def run_from(state, teacher, beats, *, kd, n, seed=0, bounds=BOUNDS):
    """State, with the device axis kept, and metrics after those steps under pmap on n devices."""
    devices = jax.local_devices()[:n]
    put = partial(parallel.replicate, devices=devices)
    return compiled(n, kd)(
        put(state),
        parallel.broadcast(teacher, devices),
        parallel.broadcast(beats, devices),
        parallel.shard_order(order(seed), devices),
        put(bounds),
        put(key(seed)),
    )


def on_devices(n, kd, teacher, beats, seed=0):
    return run_from(*started(kd, teacher, beats, seed), beats, kd=kd, n=n, seed=seed)


def assert_same(a, b, tolerance=1e-9):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow) for name in OBJECTIVES],
)
def objective(request):
    return OBJECTIVES[request.param]


@pytest.fixture(scope="module")
def single(objective, beats):
    return on_devices(1, *objective, beats)


def test_two_devices_share_a_batch_without_changing_the_run(objective, single, beats):
    both = on_devices(2, *objective, beats)
    assert_same(parallel.unreplicate(both), parallel.unreplicate(single))


def test_pmap_equals_jit_with_named_sharding(objective, single, beats):
    mesh = Mesh(np.array(jax.local_devices()), ("batch",))
    everywhere = NamedSharding(mesh, PartitionSpec())
    split = NamedSharding(mesh, PartitionSpec(None, "batch"))
    state, teacher = started(*objective, beats)
    steps = jax.jit(partial(run_steps, make_trainer(None, objective[0])))
    put = partial(jax.device_put, device=everywhere)
    state, metrics = steps(
        put(state),
        put(teacher),
        put(beats),
        jax.device_put(order(), split),
        put(BOUNDS),
        put(key()),
    )
    assert_same(metrics, parallel.unreplicate(single[1]))
    assert_same(state, parallel.unreplicate(single[0]))


def test_a_chunk_moves_nothing_between_host_and_device(objective, beats):
    devices = jax.local_devices()[:4]
    state, teacher = started(*objective, beats)
    steps = compiled(4, objective[0])
    put = partial(parallel.replicate, devices=devices)
    share = partial(parallel.broadcast, devices=devices)
    constant = (share(teacher), share(beats), parallel.shard_order(order(), devices))
    bounds = [put(np.array(b, np.int32)) for b in ([0, 1], [1, 3])]
    of_run = put(key())
    state, _ = steps(put(state), *constant, bounds[0], of_run)
    with jax.transfer_guard("disallow"):
        state, _ = steps(state, *constant, bounds[1], of_run)
    assert int(parallel.unreplicate(state.step)) == STEPS


def test_transfer_beats_teach_the_generator_and_nothing_else(objective, beats):
    """One step with either of two transfer sets: all else ends the same, to the last bit."""
    state, teacher = started(*objective, beats)
    lesson = teacher.lesson
    other = teacher.replace(lesson=lesson._replace(transfer=-lesson.transfer))
    one_step = {"kd": objective[0], "n": 4, "bounds": np.array([0, 1], np.int32)}
    (a, of_a), (b, of_b) = (
        parallel.unreplicate(run_from(state, given, beats, **one_step))
        for given in (teacher, other)
    )

    def equal(a, b):
        leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
        return [np.array_equal(x, y) for x, y in leaves]

    assert all(equal(a.generator["batch_stats"], b.generator["batch_stats"]))
    assert all(equal(a.discriminator, b.discriminator))
    assert not any(equal(a.generator["params"], b.generator["params"]))
    for name in of_a.keys() - {"selected"}:
        of_these_beats = name.startswith("kd_") or name == "G_loss"
        assert (of_a[name] != of_b[name]) == of_these_beats, name


# --- many seeds together -----------------------------------------------------------------------


def stacked(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def together(kd, teacher, beats, seeds):
    """State and metrics after STEPS steps, each with an axis of seeds."""
    states, teachers = zip(*(started(kd, teacher, beats, s) for s in seeds), strict=True)
    together = parallel.stack_teachers(teachers)
    run = parallel.compile_seeds(make_trainer(None, kd), together)
    return run(
        stacked(states),
        together,
        beats,
        stacked([order(s) for s in seeds]),
        BOUNDS,
        stacked([key(s) for s in seeds]),
    )


@pytest.mark.parametrize("n", [4, 1])
def test_seeds_trained_together_on_one_device_end_as_each_alone_on_several(n, objective, beats):
    """Other weights, orders, keys and teachers; the same beats. Each device ends the same."""
    seeds = (0, 1, 2)
    every = together(*objective, beats, seeds)
    ends = []
    for i, seed in enumerate(seeds):
        alone = on_devices(n, *objective, beats, seed)
        assert 0 < alone[1]["selected"][0] < 1
        for leaf in map(np.asarray, jax.tree.leaves(alone)):
            np.testing.assert_array_equal(leaf, np.broadcast_to(leaf[:1], leaf.shape))
        alone = parallel.unreplicate(alone)
        assert_same(jax.tree.map(lambda a, i=i: a[i], every), alone)
        ends.append(alone[0].generator["params"]["decoder"]["bias"])
    assert len(np.unique(np.round(ends, 9), axis=0)) == len(seeds)


def test_each_seed_keeps_its_own_teacher_and_lesson():
    """Weights and answers differ between seeds; transfer beats are shared."""
    transfer, index = np.linspace(0, 1, 24).reshape(3, 8, 1), np.array([2, 0])
    teachers = [
        TEACHER.replace(
            variables={"generator": np.array([seed]), "discriminator": np.array([-seed])},
            lesson=Lesson(Targets(np.arange(3.0) + seed), transfer, Targets(np.arange(3.0) - seed)),
        )
        for seed in (10.0, 20.0)
    ]
    together = parallel.stack_teachers(teachers)
    axes = parallel._seed_axes(together)
    seen = jax.vmap(lambda teacher: teacher.at(index), in_axes=(axes,))(together)
    for i, teacher in enumerate(teachers):
        own = jax.tree.map(lambda leaf, i=i: leaf[i], seen)
        assert_same(own, teacher.at(index), 0)


# --- batches ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch", "devices"), [(10, 4), (4, 4), (64, 3), (1, 1)])
def test_a_batch_that_devices_cannot_share_is_refused(batch, devices):
    with pytest.raises(InputError, match=f"batch_size is {batch}.*multiple of {devices}"):
        parallel.check_batch(batch, devices)


@pytest.mark.parametrize(("batch", "devices"), [(64, 1), (64, 4), (8, 4)])
def test_a_batch_that_devices_can_share_is_taken(batch, devices):
    parallel.check_batch(batch, devices)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_every_beat_of_a_batch_goes_to_one_device(n):
    batches = order()
    shares = parallel.split_order(batches, n)
    assert shares.shape == (n, STEPS, BATCH // n)
    for step in range(STEPS):
        np.testing.assert_array_equal(shares[:, step].ravel(), batches[step])
