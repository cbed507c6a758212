"""Numbers of a small BeatGAN computed in float64 with PyTorch 2.13 (`tests/data/`), reproduced.

KDJAX_GOLDEN names another file of the same layout; every size is inferred from it.
"""

import os
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.models import losses
from kdjax.models.networks import anomaly_score
from kdjax.runs.interop import convert_beatgan, from_beatgan
from kdjax.training.step import Trainer, TrainState, adam, train_step

GOLDEN = Path(os.environ.get("KDJAX_GOLDEN", Path(__file__).parents[1] / "data/beatgan_w4_c2.npz"))
FLOAT64 = 1e-6
FLOAT32 = 1e-5


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return dict(file)


def part(golden, prefix):
    return {k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}


def networks(golden, step, dtype):
    found = convert_beatgan(part(golden, f"G{step}/"), part(golden, f"D{step}/"))

    def cast(tree):
        return jax.tree.map(lambda a: jnp.asarray(a, dtype), tree)

    return (
        found.generator.clone(param_dtype=dtype),
        cast(found.generator_variables),
        found.discriminator.clone(param_dtype=dtype),
        cast(found.discriminator_variables),
    )


def started(golden, dtype):
    generator, g, discriminator, d = networks(golden, 0, dtype)
    optimizer = adam(1e-4)
    trainer = Trainer(
        generator=generator,
        discriminator=discriminator,
        optimizer=optimizer,
        weights=(("reconstruction", 1.0), ("feature_matching", 1.0)),
    )
    started = (optimizer.init(g["params"]), optimizer.init(d["params"]), optimizer.init({}))
    state = TrainState(jnp.zeros((), jnp.int32), g, d, {}, *started)
    x = jnp.asarray(golden["x"].transpose(0, 2, 1), dtype)
    return trainer, state, x


def assert_close(actual, expected, tolerance):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.max(np.abs(actual - expected)) <= tolerance * np.max(np.abs(expected))


def assert_trees_close(actual, expected, tolerance):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert_close(a, b, tolerance)


@pytest.fixture(scope="module")
def three_steps(golden):
    """State and metrics after each step in float64."""
    with jax.enable_x64():
        trainer, state, x = started(golden, jnp.float64)
        step = jax.jit(lambda state: train_step(trainer, state, None, x=x, key=jax.random.key(0)))
        steps = [step(state)]
        while len(steps) < len(golden["losses"]):
            steps.append(step(steps[-1][0]))
    return steps


def forward(golden, dtype):
    trainer, state, x = started(golden, dtype)
    return jax.jit(partial(networks_in_training, trainer))(state, x)


def networks_in_training(trainer, state, x):
    output, _ = trainer.generator.apply(state.generator, x, train=True, mutable=["batch_stats"])
    real, _ = trainer.discriminator.apply(
        state.discriminator, x, train=True, mutable=["batch_stats"]
    )
    fake, _ = trainer.discriminator.apply(
        state.discriminator, output.x_hat, train=True, mutable=["batch_stats"]
    )
    return output, real, fake


@pytest.fixture(scope="module")
def in_float32(golden):
    return forward(golden, jnp.float32)


def check_forward(golden, found, tolerance):
    output, real, fake = found
    assert_close(
        output.x_hat, part(golden, "train_forward/")["reconstruction"].transpose(0, 2, 1), tolerance
    )
    assert_close(output.z, golden["train_forward/latent"][..., 0], tolerance)
    assert_close(jax.nn.sigmoid(real.logit), golden["train_forward/prob_real"], tolerance)
    assert_close(jax.nn.sigmoid(fake.logit), golden["train_forward/prob_fake"], tolerance)
    assert_close(real.features, golden["train_forward/features_real"].transpose(0, 2, 1), tolerance)


def step_losses(metrics):
    names = ("D_real", "D_fake", "reconstruction", "feature_matching")
    return [float(metrics[name]) for name in names]


@pytest.mark.usefixtures("x64")
def test_forward_in_float64(golden):
    check_forward(golden, forward(golden, jnp.float64), FLOAT64)


def test_forward_in_float32(golden, in_float32):
    check_forward(golden, in_float32, FLOAT32)


def test_losses_before_the_first_update_in_float32(golden, in_float32):
    output, real, fake = in_float32
    x = jnp.asarray(golden["x"].transpose(0, 2, 1), jnp.float32)
    found = [
        *losses.discriminator_bce(real.logit, fake.logit),
        losses.reconstruction(output.x_hat, x),
    ]
    assert_close(found, golden["losses"][0][:3], FLOAT32)


@pytest.mark.usefixtures("x64")
def test_losses_and_parameters_over_three_steps(golden, three_steps):
    compared = []
    for i, (state, metrics) in enumerate(three_steps, start=1):
        assert_close(step_losses(metrics), golden["losses"][i - 1], FLOAT64)
        if part(golden, f"G{i}/"):
            compared.append(i)
            _, g, _, d = networks(golden, i, jnp.float64)
            assert_trees_close(state.generator["params"], g["params"], FLOAT64)
            assert_trees_close(state.discriminator["params"], d["params"], FLOAT64)
    assert compared == [1, 3]


@pytest.mark.usefixtures("x64")
def test_gradients_of_the_generator_against_the_updated_discriminator(golden, three_steps):
    """Adam's first moment after one step is (1 - b1) times the gradient."""
    state, _ = three_steps[0]
    gradients = part(golden, "grad_G/")
    initial = part(golden, "G0/")
    converted = convert_beatgan(initial | gradients, part(golden, "D0/")).generator_variables
    mu = jax.tree.map(lambda m: m / 0.5, state.generator_opt[0].mu)
    assert_trees_close(mu, converted["params"], FLOAT64)


@pytest.mark.usefixtures("x64")
def test_inference_with_the_trained_state_loaded(golden):
    generator, g, discriminator, d = networks(golden, 3, jnp.float64)
    x = jnp.asarray(golden["x"].transpose(0, 2, 1), jnp.float64)
    output = jax.jit(partial(generator.apply, train=False))(g, x)
    assert_close(output.x_hat, golden["eval/reconstruction"].transpose(0, 2, 1), FLOAT64)
    assert_close(anomaly_score(output.x_hat, x), golden["eval/score"], FLOAT64)
    logit = jax.jit(partial(discriminator.apply, train=False))(d, x).logit
    assert_close(jax.nn.sigmoid(logit), golden["eval/prob"], FLOAT64)


def test_a_detector_made_of_pytorch_weights_gives_their_scores(golden):
    detector = from_beatgan(part(golden, "G3/"), part(golden, "D3/"))
    x = golden["x"].transpose(0, 2, 1)
    assert_close(detector.score(x), golden["eval/score"], FLOAT32)
    assert_close(detector.reconstruct(x), golden["eval/reconstruction"].transpose(0, 2, 1), FLOAT32)


@pytest.mark.usefixtures("x64")
def test_distillation_of_scores_and_its_gradient(golden):
    student = jnp.asarray(golden["kd/student_scores"], jnp.float64)
    teacher = jnp.asarray(golden["kd/teacher_scores"], jnp.float64)
    value, gradient = jax.value_and_grad(losses.response_kl)(student, teacher, 4.0)
    assert_close(value, golden["kd/kl_T4"], FLOAT64)
    assert_close(gradient, golden["kd/kl_T4_grad_student"], FLOAT64)


@pytest.mark.usefixtures("x64")
def test_attention_transfer(golden):
    layers = range(sum(name.startswith("kd/student_features_") for name in golden))

    def maps(who):
        features = (golden[f"kd/{who}_features_{i}"].transpose(0, 2, 1) for i in layers)
        return [losses.attention(jnp.asarray(f, jnp.float64)) for f in features]

    value = losses.attention_transfer(maps("student"), maps("teacher"))
    assert_close(value, golden["kd/attention_transfer"], FLOAT64)
