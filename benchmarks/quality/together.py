"""Trains the seeds of one trial together, as one program."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from configs import student, teacher
from kdjax.models.distillation import Teacher
from kdjax.training import assemble
from kdjax.training.step import Trainer, Variables, init_state, run_steps

WIDTH, EPOCHS = 8, 3  # as the students of the study


def cells_of(seeds: Sequence[int], data_dir: Path | None, **kd: float) -> list[Any]:
    """A config for each seed: width 8 on `interpatient`.

    Given weights of terms of distillation it is a student's, whose own terms are off: it learns
    from its teacher alone.
    """
    cells = []
    for seed in seeds:
        config: Any = (student if kd else teacher).get_config("mitbih")
        config.seed, config.data.dir = seed, None if data_dir is None else str(data_dir)
        config.data.protocol, config.model.width, config.epochs = "interpatient", WIDTH, EPOCHS
        if kd:
            config.kd.response = 0.0
            config.kd.update(kd)
            config.loss.update(dict.fromkeys(config.loss, 0.0))
        cells.append(config)
    return cells


def train(
    cells: Sequence[Any], x: np.ndarray, frozen: Teacher | None = None
) -> tuple[Trainer, list[Variables]]:
    """The generator's variables of every cell, trained on beats x [N, T, C].

    The variables of `frozen`, the teacher, have a first axis of cells.
    """
    trainer = assemble.make_trainer(cells[0], x.shape[1:])
    keys = jnp.stack([assemble.run_key(cell) for cell in cells])
    on_device, mean = jnp.asarray(x), jnp.asarray(x.mean(axis=(0, 1)))
    state = stacked([init_state(trainer, key, mean) for key in keys])
    epoch_of = jax.jit(jax.vmap(partial(run_steps, trainer), in_axes=(0, 0, None, 0, None, 0)))
    for epoch in range(1, cells[0].epochs + 1):
        order = np.stack([assemble.batch_order(cell, len(x), epoch) for cell in cells])
        bounds = jnp.asarray([0, order.shape[1]])
        state, metrics = epoch_of(state, frozen, on_device, order, bounds, keys)
        print(f"epoch {epoch}: loss {np.asarray(metrics['G_loss']).round(4)}", flush=True)
    found = jax.device_get(state.trained)
    return trainer, [jax.tree.map(lambda leaf, i=i: leaf[i], found) for i in range(len(cells))]


def stacked(trees: Sequence[Any]) -> Any:
    """Trees of arrays as one tree with a first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
