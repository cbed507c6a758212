"""Networks with random variables, drawn by NumPy: compiling an initialisation takes seconds."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kdjax.models.distillation import Teacher
from kdjax.training.step import Trainer, TrainState, fresh_state


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


@functools.cache
def shapes(module: Any, beat: tuple[int, int]) -> Any:
    """What `module.init` would make for beats [T, C], as shapes."""
    return jax.eval_shape(
        lambda x: module.init(jax.random.key(0), x, train=False),
        jax.ShapeDtypeStruct((1, *beat), module.param_dtype),
    )


def fresh(
    trainer: Trainer, mean: Any = None, teacher: Teacher | None = None, seed: int = 0
) -> TrainState:
    """What `fresh_state` makes, on the host; the networks are `drawn`, but near BeatGAN's scales.

    The generator's output bias starts at the mean beat [C], as there.
    """
    teacher = teacher and teacher.replace(variables=None, lesson=None)
    start = None if mean is None else tuple(np.asarray(mean).tolist())
    # Copies: a training may give its state's memory to the next step.
    return jax.tree.map(np.copy, _fresh(trainer, start, teacher, seed))


@functools.cache
def _fresh(
    trainer: Trainer, mean: tuple[float, ...] | None, teacher: Teacher | None, seed: int
) -> TrainState:
    like = _like(trainer, mean is not None, teacher)
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
    beat = trainer.generator.length, trainer.generator.channels

    def network(module, seed):
        variables = jax.device_get(drawn(module, beat, seed))
        return jax.tree_util.tree_map_with_path(_near_the_start, variables)

    generator = network(trainer.generator, 2 * seed)
    if trainer.generator.output_bias:
        like = generator["params"]["decoder"]["bias"]
        generator["params"]["decoder"]["bias"] = np.arctanh(np.asarray(mean)).astype(like.dtype)
    kernels = np.random.default_rng(seed)
    return state.replace(
        generator=generator,
        discriminator=network(trainer.discriminator, 2 * seed + 1),
        projection=jax.tree.map(
            lambda a: kernels.normal(0, len(a) ** -0.5, a.shape).astype(a.dtype), state.projection
        ),
        average=generator if trainer.average_decay else {},
    )


@functools.cache
def _like(trainer: Trainer, at_mean: bool, teacher: Teacher | None) -> TrainState:
    g = trainer.generator
    mean = jnp.zeros(g.channels, g.param_dtype) if at_mean else None
    return jax.eval_shape(
        lambda key: fresh_state(trainer, key, mean, teacher=teacher), jax.random.key(0)
    )


def _near_the_start(path: Any, leaf: np.ndarray) -> np.ndarray:
    """Statistics and BatchNorm's parameters as at the start; scales differ a little."""
    name = path[-1].key
    if name in ("mean", "bias"):
        return np.zeros_like(leaf)
    if name == "var":
        return np.ones_like(leaf)
    return 1 + (leaf - 1) / 25 if name == "scale" else leaf


def settled(variables: dict[str, Any], x: np.ndarray) -> dict[str, Any]:
    """A drawn generator's variables with the statistics that beats [B, T, C] have in every layer.

    As drawn, its answer hardly depends on the beat; with these it does, as a trained one's.
    """
    params = jax.tree.map(np.asarray, variables["params"])
    stats = {"encoder": {}, "decoder": {}}

    def normalise(network, name, h):
        mean, var = h.mean(axis=(0, 1)), h.var(axis=(0, 1))
        stats[network][name] = {"mean": mean, "var": var}
        norm = params[network][name]
        return (h - mean) / np.sqrt(var + 1e-5) * norm["scale"] + norm["bias"]

    h = np.asarray(x, np.float64)
    for stage in range(5):
        padded = np.pad(h, ((0, 0), (1, 1), (0, 0)))
        kernel = params["encoder"][f"conv{stage}"]
        h = sum(padded[:, k : k + h.shape[1] : 2] @ kernel[k] for k in range(4))
        h = normalise("encoder", f"norm{stage}", h) if stage else h
        h = np.where(h > 0, h, 0.2 * h)
    z = np.einsum("btc,tcl->bl", h, params["encoder"]["head"])
    h = np.einsum("bl,tlc->btc", z, params["decoder"]["tail"])
    for stage in range(5):
        h = np.maximum(normalise("decoder", f"norm{stage}", h), 0)
        kernel = params["decoder"][f"conv{stage}"]
        out = np.zeros((len(h), 2 * h.shape[1] + 2, kernel.shape[2]))
        for k in range(4):
            out[:, k : k + 2 * h.shape[1] : 2] += h @ kernel[k]
        h = out[:, 1:-1]
    like = variables["batch_stats"]
    return variables | {"batch_stats": jax.tree.map(lambda a, b: b.astype(a.dtype), like, stats)}
