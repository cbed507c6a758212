"""The compiled chunk of steps that train.py runs, as a contestant whose turns are timed."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from kdjax.models.distillation import Teacher
from kdjax.training import parallel
from kdjax.training.step import Trainer, TrainState, fresh_state


def noise(beats: int, length: int = 320, channels: int = 1) -> np.ndarray:
    """Uniform beats [N, T, C]: the time of a step does not depend on them."""
    x = np.random.default_rng(0).random((beats, length, channels), np.float32)
    x *= 2
    x -= 1
    return x


def batches(beats: int, steps: int, batch: int) -> np.ndarray:
    """Which beats make each batch: [steps, batch]."""
    return np.random.default_rng(1).integers(0, beats, (steps, batch), np.int32)


def drawn_state(trainer: Trainer, seed: int = 0, teacher: Teacher | None = None) -> TrainState:
    """A state with weights drawn by NumPy, which saves compiling their initialisation."""
    rng = np.random.default_rng(seed)
    mean = np.zeros(trainer.generator.channels, np.float32)
    shapes = jax.eval_shape(partial(fresh_state, trainer), jax.random.key(0), mean, teacher=teacher)

    def draw(leaf: Any) -> np.ndarray:
        if leaf.ndim < 2:
            return np.ones(leaf.shape, leaf.dtype)
        fans = np.prod(leaf.shape[:-2]) * sum(leaf.shape[-2:])
        return rng.normal(0, (2 / fans) ** 0.5, leaf.shape).astype(leaf.dtype)

    networks = jax.tree.map(draw, (shapes.generator, shapes.discriminator, shapes.projection))
    optimizer = trainer.optimizer
    starts = [optimizer.init(part.get("params", part)) for part in networks]
    return TrainState(np.zeros((), np.int32), *networks, *starts)


def turns(
    trainer: Trainer,
    state: TrainState,
    x: np.ndarray,
    *,
    order: np.ndarray,
    teacher: Teacher | None = None,
) -> Callable[[int, int], tuple[float, dict[str, float]]]:
    """A turn trains from one step to another on all devices: (its seconds, the mean metrics)."""
    devices = jax.local_devices()
    put = partial(parallel.replicate, devices=devices)
    state = put(state)
    beats, teacher = parallel.broadcast((x, teacher), devices)
    orders = parallel.shard_order(order, devices)
    key = put(jax.random.key_data(jax.random.key(0)))
    compiled = parallel.compile_steps(trainer, devices)

    def turn(start: int, stop: int) -> tuple[float, dict[str, float]]:
        nonlocal state
        started = time.perf_counter()
        bounds = put(np.array([start, stop], np.int32))
        with jax.default_matmul_precision("float32"):  # the configs' precision
            state, means = compiled(state, teacher, beats, orders, bounds, key)
        means = {name: float(v) for name, v in parallel.unreplicate(means).items()}
        return time.perf_counter() - started, means

    return turn


def seed_turns(trainer: Trainer, seeds: int, x: np.ndarray, *, order: np.ndarray) -> Callable:
    """A turn trains so many seeds together under vmap on one device."""
    drawn = [drawn_state(trainer, seed) for seed in range(seeds)]
    state = jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)
    beats = jax.device_put(x)
    orders = jax.device_put(np.stack([np.roll(order, seed) for seed in range(seeds)]))
    keys = jax.random.split(jax.random.key(0), seeds)
    compiled = parallel.compile_seeds(trainer, None)

    def turn(start: int, stop: int) -> tuple[float, dict[str, Any]]:
        nonlocal state
        started = time.perf_counter()
        bounds = np.array([start, stop], np.int32)
        with jax.default_matmul_precision("float32"):
            state, means = compiled(state, None, beats, orders, bounds, keys)
        means = jax.device_get(means)
        return time.perf_counter() - started, means

    return turn
