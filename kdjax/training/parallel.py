"""Devices: the pmap wrapper around the pure steps, and what it needs copied, split and checked.

`devices` are always this process's own. Where several processes train together each one copies and
splits for its own devices, and a compiled program runs on those of all.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from kdjax.errors import InputError
from kdjax.models.distillation import Lesson, Teacher
from kdjax.training.step import Metrics, Trainer, TrainState, gradient_norms, run_steps

AXIS = "batch"

Devices: TypeAlias = Sequence[Any]  # of jax.Device, which is not a static type


def check_batch(batch_size: int, devices: int) -> None:
    """Raises InputError unless every device gets the same number of beats, at least two.

    BatchNorm of a single beat at the network's narrowest is not a statistic.
    """
    if batch_size % devices or batch_size < 2 * devices:
        raise InputError(
            f"batch_size is {batch_size}, which {devices} devices cannot share evenly with two "
            f"beats or more each; use a multiple of {devices}"
        )


def everywhere(devices: Devices) -> Devices:
    """The devices of all processes, in one order for all; `devices` where there is one process."""
    if jax.process_count() == 1:
        return devices
    return sorted(jax.devices(), key=lambda device: (device.process_index, device.id))


def replicate(tree: Any, devices: Devices) -> Any:
    """A copy of every array on every device: leaves [...] -> [n, ...]."""
    n = len(devices)
    sharding = _sharding(devices)
    return jax.tree.map(
        lambda leaf: jax.device_put(np.broadcast_to(leaf, (n, *np.shape(leaf))), sharding), tree
    )


def broadcast(tree: Any, devices: Devices) -> Any:
    """Every array on every device, to be read alone: without the axis of devices, [...] -> [...].

    That axis would cost a copy of the data set at every call.
    """
    return jax.device_put(tree, NamedSharding(_mesh(devices), PartitionSpec()))


def unreplicate(tree: Any) -> Any:
    """The first device's copy, on the host: leaves [n, ...] -> NumPy [...]."""
    return jax.tree.map(lambda leaf: np.asarray(leaf[0]), tree)


def shard_order(order: np.ndarray, devices: Devices) -> jax.Array:
    """Batches of beat numbers [steps, B] -> [n, steps, B / N], one part on each of n devices.

    N counts the devices of all processes.
    """
    everyone = list(everywhere(devices))
    own = split_order(order, len(everyone))[[everyone.index(device) for device in devices]]
    return jax.device_put(np.ascontiguousarray(own, np.int32), _sharding(devices))


def split_order(order: np.ndarray, n: int) -> np.ndarray:
    """Batches [steps, B] -> [n, steps, B / n]: neighbouring columns, one part for each device."""
    steps, batch = order.shape
    return order.reshape(steps, n, batch // n).swapaxes(0, 1)


def compile_steps(trainer: Trainer, devices: Devices) -> Callable:
    """`run_steps` on all devices: beats and teacher are shared, all else is replicated or sharded.

    The state is donated: use the one returned.
    """
    return jax.pmap(
        partial(run_steps, trainer),
        axis_name=AXIS,
        in_axes=(0, None, None, 0, 0, 0),
        devices=everywhere(devices),
        donate_argnums=(0,),
    )


def compile_gradient_norms(trainer: Trainer, devices: Devices) -> Callable:
    """`gradient_norms`, likewise on all devices, of beats [n, B / N] by number, not augmented."""
    return jax.pmap(
        partial(_norms, trainer),
        axis_name=AXIS,
        in_axes=(0, None, None, 0),
        devices=everywhere(devices),
    )


def compile_seeds(trainer: Trainer, teacher: Teacher | None) -> Callable:
    """`run_steps` for many seeds together on one device: vmap over a first axis of seeds.

    state, order and key have that axis, and the teacher as `stack_teachers` gives it; beats and
    bounds are shared. The state is donated.
    """
    axes = (0, _seed_axes(teacher), None, 0, None, 0)
    return jax.jit(jax.vmap(partial(run_steps, trainer), in_axes=axes), donate_argnums=(0,))


def compile_seed_norms(trainer: Trainer, teacher: Teacher | None) -> Callable:
    """`gradient_norms` for many seeds together, of beats [seeds, B] by number, not augmented."""
    axes = (0, _seed_axes(teacher), None, 0)
    return jax.jit(jax.vmap(partial(_norms, trainer), in_axes=axes))


def stack(trees: Sequence[Any]) -> Any:
    """Trees of equal structure as one, with a first axis of seeds."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def stack_teachers(teachers: Sequence[Teacher]) -> Teacher:
    """The teachers of all seeds as one, with a first axis of seeds in what differs.

    Transfer beats are the same for all, and so is everything that a scorer says.
    """
    first = teachers[0]
    if first.generator is None:
        return first
    lesson = first.lesson
    if lesson is not None:
        lesson = stack([teacher.lesson for teacher in teachers])._replace(transfer=lesson.transfer)
    return first.replace(variables=stack([t.variables for t in teachers]), lesson=lesson)


def _seed_axes(teacher: Teacher | None) -> Teacher | None:
    """Where a teacher made by `stack_teachers` has its axis of seeds, part by part."""
    if teacher is None or teacher.generator is None:
        return None
    return teacher.replace(variables=0, lesson=teacher.lesson and Lesson(0, None, 0))  # type: ignore[arg-type]


def _norms(
    trainer: Trainer,
    state: TrainState,
    teacher: Teacher | None,
    beats: jax.Array,
    index: jax.Array,
) -> Metrics:
    part = None if teacher is None else teacher.at(index)
    return gradient_norms(trainer, state, part, x=beats[index])


def _sharding(devices: Devices) -> NamedSharding:
    return NamedSharding(_mesh(devices), PartitionSpec(AXIS))


def _mesh(devices: Devices) -> Mesh:
    return Mesh(np.array(devices), (AXIS,))
