"""An encoder alone: what it regresses, and that its scores come from the running statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.quality.regression import Regression, predict
from kdjax.models.networks import Encoder
from kdjax.training.step import adam

REGRESSION = Regression(Encoder(2, 1), adam(1e-2))


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).uniform(-1, 1, (96, 32, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def learnt(x):
    """What an encoder makes of beats after regressing their mean, and the loss along the way."""
    target = jnp.asarray(x.mean(axis=1))
    rng = np.random.default_rng(1)
    state = REGRESSION.fresh(jax.random.key(0), jnp.asarray(x))
    steps, losses = jax.jit(REGRESSION.steps), []
    for _ in range(12):
        order = np.stack([rng.permutation(len(x))[:32] for _ in range(40)])
        state, loss = steps(state, x, target, order)
        losses.append(float(loss))
    return state, losses


@pytest.mark.slow
def test_the_loss_falls_and_new_outputs_follow_the_target(x, learnt):
    state, losses = learnt
    assert losses[-1] < 0.2 * losses[0]
    output = predict(REGRESSION.encoder, state.variables, x)
    assert np.corrcoef(output[:, 0], x.mean(axis=(1, 2)))[0, 1] > 0.9


@pytest.mark.slow
def test_a_beats_output_does_not_depend_on_its_neighbours(x, learnt):
    variables = learnt[0].variables
    together = predict(REGRESSION.encoder, variables, x)
    np.testing.assert_allclose(
        predict(REGRESSION.encoder, variables, x[5:7]), together[5:7], rtol=1e-4, atol=1e-6
    )


def test_steps_take_the_targets_of_the_batch(x):
    """One step on a batch equals one on the same beats in another place of the data set."""
    target = jnp.asarray(x.mean(axis=1))
    state = REGRESSION.fresh(jax.random.key(0), jnp.asarray(x))
    batch = jnp.array([[3, 9, 4, 11]])
    here, loss = REGRESSION.steps(state, jnp.asarray(x), target, batch)
    picked, same = REGRESSION.steps(
        state, jnp.asarray(x[batch[0]]), target[batch[0]], jnp.arange(4)[None]
    )
    assert float(loss) == pytest.approx(float(same))
    for a, b in zip(jax.tree.leaves(here), jax.tree.leaves(picked), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
