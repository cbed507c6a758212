"""An encoder alone that learns by regression what a teacher says of beats.

It reconstructs nothing, which is half of an autoencoder's work. What it regresses is a score, or a
latent that a score is fitted to afterwards.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from kdjax.models.networks import Encoder
from kdjax.training.step import Variables

_AT_ONCE = 1024  # beats


class RegressionState(NamedTuple):
    """What training changes: the encoder's {'params', 'batch_stats'} and Optax's state."""

    variables: Variables
    opt: optax.OptState


@dataclass(frozen=True)
class Regression:
    """An encoder and its optimiser."""

    encoder: Encoder
    optimizer: optax.GradientTransformation

    def fresh(self, key: jax.Array, x: jax.Array) -> RegressionState:
        """A fresh state for beats like x [B, T, C]; a pure function of `key`."""
        variables = dict(self.encoder.init(key, x[:2], train=False))
        return RegressionState(variables, self.optimizer.init(variables["params"]))

    def steps(
        self, state: RegressionState, x: jax.Array, target: jax.Array, order: jax.Array
    ) -> tuple[RegressionState, jax.Array]:
        """One update a row of order [steps, B]; returns the state and the mean loss.

        The loss is the mean squared difference of the outputs to target [N, out], whose rows
        belong to beats x [N, T, C]. Pure.
        """

        def step(state: RegressionState, batch: jax.Array) -> tuple[RegressionState, jax.Array]:
            def loss(params):
                current = {**state.variables, "params": params}
                (output, _), stats = self.encoder.apply(
                    current, x[batch], train=True, mutable=["batch_stats"]
                )
                return jnp.mean(jnp.square(output - target[batch])), stats

            (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(
                state.variables["params"]
            )
            with jax.numpy_dtype_promotion("standard"):  # Optax raises b1 to an integer count
                updates, opt = self.optimizer.update(grads, state.opt, state.variables["params"])
            params = optax.apply_updates(state.variables["params"], updates)
            return RegressionState({"params": params, **stats}, opt), value

        state, losses = jax.lax.scan(step, state, order)
        return state, jnp.mean(losses)


def predict(encoder: Encoder, variables: Variables, x: np.ndarray) -> np.ndarray:
    """The encoder's outputs [B, out] for beats [B, T, C], by the running statistics."""
    parts = [x[start : start + _AT_ONCE] for start in range(0, len(x), _AT_ONCE)]
    return np.concatenate([np.asarray(_outputs(encoder, variables, part)) for part in parts])


@partial(jax.jit, static_argnums=0)
def _outputs(encoder: Encoder, variables: Variables, x: jax.Array) -> jax.Array:
    return encoder.apply(variables, x, train=False)[0]  # type: ignore[index]
