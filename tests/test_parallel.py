"""The same training on one device and on several: statistics are over the global batch."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from kdjax import parallel
from kdjax.distillation import Distillation
from kdjax.errors import InputError
from kdjax.models import Discriminator, Generator
from kdjax.train_step import Trainer, adam, init_state, run_steps

pytestmark = pytest.mark.usefixtures("x64")

BATCH, STEPS, LENGTH = 8, 3, 32
OBJECTIVES = {
    "standardised scores of the beats below a quantile": Distillation(
        response=1.0, reconstruction=1.0, feature=1.0, select="quantile", select_quantile=0.6
    ),
    "min-max scores where the teacher is better": Distillation(
        response=1.0, response_scores="minmax", select="teacher_better"
    ),
}


def make_trainer(axis_name, kd):
    sizes = {"width": 4, "length": LENGTH, "channels": 2, "output_bias": True}
    teacher = Generator(latent_dim=6, **sizes, param_dtype=jnp.float64)
    return Trainer(
        Generator(latent_dim=5, **sizes, axis_name=axis_name, param_dtype=jnp.float64),
        Discriminator(4, axis_name, jnp.float64),
        adam(1e-3),
        (("reconstruction", 1.0), ("feature_matching", 1.0)),
        teacher,
        kd,
    )


@pytest.fixture(scope="module")
def beats():
    rng = np.random.default_rng(5)
    time = np.arange(LENGTH)[None, :, None] / LENGTH
    rate, phase = rng.uniform(1, 3, (20, 1, 2)), rng.uniform(size=(20, 1, 2))
    waves = np.sin(2 * np.pi * (rate * time + phase))
    return waves * rng.uniform(0.2, 0.9, (20, 1, 2))


@pytest.fixture(scope="module")
def order():
    return np.random.default_rng(6).permuted(np.tile(np.arange(20), (STEPS, 1)), axis=1)[:, :BATCH]


def started(kd, beats):
    trainer = make_trainer(None, kd)
    mean = jnp.asarray(beats.mean(axis=(0, 1)))
    state = jax.device_get(init_state(trainer, jax.random.key(0), mean))
    sizes = {"width": 4, "length": LENGTH, "channels": 2, "output_bias": True}
    teacher = Trainer(
        Generator(latent_dim=6, **sizes, param_dtype=jnp.float64),
        trainer.discriminator,
        trainer.optimizer,
        trainer.weights,
    )
    variables = jax.device_get(init_state(teacher, jax.random.key(1), mean)).generator
    return state, variables


def on_devices(n, kd, beats, order):
    """State, with the device axis kept, and metrics after STEPS steps under pmap."""
    devices = jax.local_devices()[:n]
    state, teacher = started(kd, beats)
    steps = parallel.compile_steps(make_trainer(parallel.AXIS, kd), devices)
    put = partial(parallel.replicate, devices=devices)
    return steps(
        put(state),
        put(teacher),
        put(beats),
        parallel.shard_order(order, devices),
        put(np.array([0, STEPS], np.int32)),
        put(jax.random.key_data(jax.random.key(2))),
    )


def assert_same(a, b, tolerance=1e-9):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


@pytest.fixture(
    scope="module",
    params=[
        "standardised scores of the beats below a quantile",
        pytest.param("min-max scores where the teacher is better", marks=pytest.mark.slow),
    ],
)
def objective(request):
    return OBJECTIVES[request.param]


@pytest.fixture(scope="module")
def single(objective, beats, order):
    jax.config.update("jax_enable_x64", True)
    return on_devices(1, objective, beats, order)


@pytest.mark.parametrize("n", [2, 4])
def test_devices_share_a_batch_without_changing_the_run(n, objective, single, beats, order):
    state, metrics = on_devices(n, objective, beats, order)
    assert 0 < metrics["selected"][0] < 1
    for leaf in jax.tree.leaves((state, metrics)):
        leaf = np.asarray(leaf)
        for device in range(1, n):
            np.testing.assert_array_equal(leaf[device], leaf[0])
    assert_same(parallel.unreplicate(metrics), parallel.unreplicate(single[1]))
    assert_same(parallel.unreplicate(state), parallel.unreplicate(single[0]))


def test_pmap_equals_jit_with_named_sharding(objective, single, beats, order):
    mesh = Mesh(np.array(jax.local_devices()), ("batch",))
    everywhere = NamedSharding(mesh, PartitionSpec())
    split = NamedSharding(mesh, PartitionSpec(None, "batch"))
    state, teacher = started(objective, beats)
    steps = jax.jit(partial(run_steps, make_trainer(None, objective)))
    put = partial(jax.device_put, device=everywhere)
    state, metrics = steps(
        put(state),
        put(teacher),
        put(beats),
        jax.device_put(order, split),
        put(np.array([0, STEPS], np.int32)),
        put(jax.random.key_data(jax.random.key(2))),
    )
    assert_same(metrics, parallel.unreplicate(single[1]))
    assert_same(state, parallel.unreplicate(single[0]))


def test_a_chunk_moves_nothing_between_host_and_device(objective, beats, order):
    devices = jax.local_devices()[:2]
    state, teacher = started(objective, beats)
    steps = parallel.compile_steps(make_trainer(parallel.AXIS, objective), devices)
    put = partial(parallel.replicate, devices=devices)
    constant = (put(teacher), put(beats), parallel.shard_order(order, devices))
    bounds = [put(np.array(b, np.int32)) for b in ([0, 1], [1, 3])]
    key = put(jax.random.key_data(jax.random.key(2)))
    state, _ = steps(put(state), *constant, bounds[0], key)
    with jax.transfer_guard("disallow"):
        state, _ = steps(state, *constant, bounds[1], key)
    assert int(parallel.unreplicate(state.step)) == STEPS


@pytest.mark.parametrize(("batch", "devices"), [(10, 4), (4, 4), (64, 3), (1, 1)])
def test_a_batch_that_devices_cannot_share_is_refused(batch, devices):
    with pytest.raises(InputError, match=f"batch_size is {batch}.*multiple of {devices}"):
        parallel.check_batch(batch, devices)


@pytest.mark.parametrize(("batch", "devices"), [(64, 1), (64, 4), (8, 4)])
def test_a_batch_that_devices_can_share_is_taken(batch, devices):
    parallel.check_batch(batch, devices)
