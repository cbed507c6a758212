"""Networks with random variables, drawn by NumPy: compiling an initialisation takes seconds."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def drawn(module: Any, beat: tuple[int, int], seed: int = 0) -> dict[str, Any]:
    """{'params', 'batch_stats'} of a network for beats [T, C], none of them 0 or 1.

    Kernels are normal, of Xavier's deviation; everything else lies between 0.5 and 1.5.
    """
    rng = np.random.default_rng(seed)

    def draw(leaf):
        if leaf.ndim == 3:
            taps, into, out = leaf.shape
            values = rng.normal(0, (2 / (taps * (into + out))) ** 0.5, leaf.shape)
        else:
            values = rng.uniform(0.5, 1.5, leaf.shape)
        return jnp.asarray(values, leaf.dtype)

    return dict(jax.tree.map(draw, shapes(module, beat)))


def shapes(module: Any, beat: tuple[int, int]) -> Any:
    """What `module.init` would make for beats [T, C], as shapes."""
    return jax.eval_shape(
        lambda x: module.init(jax.random.key(0), x, train=False),
        jax.ShapeDtypeStruct((1, *beat), module.param_dtype),
    )


def settled(module: Any, variables: dict[str, Any], x: Any) -> dict[str, Any]:
    """Drawn variables with the statistics that beats [B, T, C] have in every layer.

    As drawn, a network's answer hardly depends on the beat; with these it does, as a trained one's.
    """
    old = variables["batch_stats"]
    new = module.apply(variables, jnp.asarray(x), train=True, mutable=["batch_stats"])[1]
    stats = jax.tree.map(lambda after, before: 10 * after - 9 * before, new["batch_stats"], old)
    return variables | {"batch_stats": stats}
