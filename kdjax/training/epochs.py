"""An epoch of training in chunks of steps: of one network, or of several seeds together.

Means and gradient norms are NumPy arrays [seeds]; a run is one seed.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from kdjax.errors import InputError
from kdjax.models.distillation import Teacher
from kdjax.runs import checkpoints
from kdjax.training import parallel
from kdjax.training.progress import Progress
from kdjax.training.step import Trainer, TrainState

CHUNK = 100  # steps between two looks at the metrics, the signals and the clock

Figures = dict[str, np.ndarray]


class Program(NamedTuple):
    """Compiled training; whatever no step changes is bound to it and lies on the devices.

    place: batches of beat numbers [seeds, steps, B] -> the same on the devices. steps: a state,
    such an order and the bounds of a chunk -> the new state and the mean metrics. norms: a state
    and an order -> the norm of each term's gradient on its first batch. host: a state -> NumPy
    arrays.
    """

    place: Callable[[np.ndarray], jax.Array]
    steps: Callable[[TrainState, jax.Array, int, int], tuple[TrainState, Figures]]
    norms: Callable[[TrainState, jax.Array], Figures]
    host: Callable[[TrainState], TrainState]


def on_devices(
    trainer: Trainer,
    teacher: Teacher | None,
    x: np.ndarray,
    *,
    key: jax.Array,
    devices: parallel.Devices,
) -> Program:
    """One network on all devices, with training beats x [N, T, C]; its state is replicated."""
    compiled = parallel.compile_steps(trainer, devices)
    gradients = parallel.compile_gradient_norms(trainer, devices)
    teacher, beats = parallel.broadcast((teacher, x), devices)
    key = parallel.replicate(jax.random.key_data(key), devices)

    def figures(metrics: Mapping[str, jax.Array]) -> Figures:
        return {name: v[None] for name, v in _exact(parallel.unreplicate(metrics)).items()}

    def steps(
        state: TrainState, order: jax.Array, start: int, stop: int
    ) -> tuple[TrainState, Figures]:
        bounds = parallel.replicate(np.array([start, stop], np.int32), devices)
        state, means = compiled(state, teacher, beats, order, bounds, key)
        return state, figures(means)

    return Program(
        lambda order: parallel.shard_order(order[0], devices),
        steps,
        lambda state, order: figures(gradients(state, teacher, beats, order[:, 0])),
        parallel.unreplicate,
    )


def of_seeds(
    trainer: Trainer, teacher: Teacher | None, x: np.ndarray, *, keys: Sequence[jax.Array]
) -> Program:
    """A network for each key on one device, with training beats x [N, T, C] for all.

    The state has a first axis of seeds, the teacher as `parallel.stack_teachers` gives it.
    """
    compiled = parallel.compile_seeds(trainer, teacher)
    gradients = parallel.compile_seed_norms(trainer, teacher)
    teacher, beats = jax.tree.map(jax.numpy.asarray, (teacher, x))
    stacked = parallel.stack(keys)

    def steps(
        state: TrainState, order: jax.Array, start: int, stop: int
    ) -> tuple[TrainState, Figures]:
        bounds = np.array([start, stop], np.int32)
        state, means = compiled(state, teacher, beats, order, bounds, stacked)
        return state, _exact(means)

    return Program(
        jax.numpy.asarray,
        steps,
        lambda state, order: _exact(gradients(state, teacher, beats, order[:, 0])),
        jax.device_get,
    )


def train_epoch(
    program: Program,
    state: TrainState,
    every: Sequence[Progress],
    *,
    order: np.ndarray,
    saved: Path,
) -> Iterator[tuple[TrainState, Figures]]:
    """Trains to the end of the epoch; gives the state and the mean metrics of each chunk.

    Begins where the seeds' progress stands, and has brought that up to date when it gives a chunk.
    A state is gone once the next chunk begins.

    Args:
        order: beats of every batch of the epoch, [seeds, steps, B].
        saved: the folder of the training's checkpoints, which errors name.

    Raises:
        InputError: a figure is not finite.
    """
    steps, placed = order.shape[1], program.place(order)
    while (start := every[0].done) < steps:
        started = time.perf_counter()
        stop = min(start + CHUNK, steps)
        state, means = program.steps(state, placed, start, stop)
        check_finite(saved, means, every[0].epoch * steps + stop)
        seconds = (time.perf_counter() - started) / len(every)
        for i, progress in enumerate(every):
            progress.add({name: float(v[i]) for name, v in means.items()}, stop - start, seconds)
        yield state, means


def saveable(program: Program, state: TrainState, saved: Path) -> TrainState:
    """The state on the host. Raises InputError, as `train_epoch` does, unless it is finite."""
    host = program.host(state)
    leaves = jax.tree_util.tree_leaves_with_path(host)
    step = int(np.max(host.step))
    check_finite(saved, {jax.tree_util.keystr(path): leaf for path, leaf in leaves}, step)
    return host


def check_finite(saved: Path, values: Mapping[str, Any], step: int) -> None:
    """Raises InputError that names the first value that is not finite and the last checkpoint."""
    bad = []
    for name, value in values.items():
        array = np.asarray(value)
        wrong = array[~np.isfinite(array)]
        bad += [f"{name} is {wrong[0]}"] if len(wrong) else []
    if not bad:
        return
    others = f" and so are {len(bad) - 1} more" if bad[1:] else ""
    good = checkpoints.steps(saved)
    last = (
        f"{saved / str(good[0])} is the last good checkpoint" if good else f"{saved} is empty yet"
    )
    raise InputError(
        f"{bad[0]} in the steps up to {step}{others}; {last}. Lower learning_rate or set grad_clip "
        "in a new --workdir"
    )


def _exact(metrics: Mapping[str, jax.Array]) -> Figures:
    return {name: np.asarray(value, np.float64) for name, value in metrics.items()}
