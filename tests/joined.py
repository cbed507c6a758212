"""One process of several, for test_processes.py: python joined.py KIND DEVICES argument...

steps OUT.npz COORDINATOR PROCESSES PROCESS runs test_parallel's steps on its share of a batch;
train FLAG... is train.py in the small world of tiny.py; wait COORDINATOR PROCESSES PROCESS SILENCE
waits for ever for what process 0 would tell.
"""

import sys
import time
from pathlib import Path

import conftest
import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).with_name("training")))

from kdjax.training import processes


def steps(out: str, coordinator: str, n: str, process: str) -> None:
    jax.config.update("jax_enable_x64", True)
    processes.join(coordinator, int(n), int(process), cluster=False)
    import test_parallel

    objective = test_parallel.OBJECTIVES["every term, of beats below a quantile"]
    state, metrics = test_parallel.on_devices(
        len(jax.local_devices()), *objective, test_parallel.some_beats()
    )
    assert int(state.step[0]) == test_parallel.STEPS
    leaves = jax.tree.leaves(jax.device_get((state, metrics)))
    np.savez(out, *leaves)
    processes.leave(0)


def wait(coordinator: str, n: str, process: str, silence: str) -> None:
    processes.SILENCE = float(silence)
    processes.join(coordinator, int(n), int(process), cluster=False)
    processes.check_alike({})
    sys.stderr.write("all are here\n")
    sys.stderr.flush()
    processes.told(lambda: time.sleep(3600))


def train(*flags: str) -> None:
    import tiny

    from kdjax import arguments, cli

    # Nobody asks for a device before the processes have joined.
    devices, jax.local_devices = jax.local_devices, list
    with tiny.small_world() as patch:
        patch.setattr(jax, "local_devices", devices)
        sys.exit(cli.main(["train", *arguments.of_flags(flags)], program="train.py"))


if __name__ == "__main__":
    kind, devices, *arguments = sys.argv[1:]
    assert conftest  # strict arithmetic, short compilations
    jax.config.update("jax_num_cpu_devices", int(devices))
    {"steps": steps, "train": train, "wait": wait}[kind](*arguments)
