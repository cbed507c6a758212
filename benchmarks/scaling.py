"""How a training step grows: batch, width, leads, length, data set, devices, seeds.

python -m benchmarks.scaling --out docs/results/perf-scaling.json

Each case is a process of its own: its peak memory includes compiling, and is given beside what the
process held before anything was compiled.
"""

from typing import Any, NamedTuple

import numpy as np

from benchmarks.measure import Contestant, out_argument, peak_mib, spread, write


class Case(NamedTuple):
    """One training step's sizes."""

    width: int = 8
    batch: int = 64
    leads: int = 1
    length: int = 320
    beats: int = 3200
    devices: int = 1  # virtual ones, which share the cores
    seeds: int = 1  # together under vmap


SWEEPS = {
    "width": [Case(width=n) for n in (4, 8, 16, 32)],
    "batch": [Case(width=32, batch=n) for n in (16, 64, 256, 1024)],
    "leads": [Case(leads=n) for n in (1, 2, 12)],
    "length": [Case(length=n) for n in (160, 320, 640)],
    "beats": [Case(beats=n) for n in (3200, 62400, 500000)],
    "devices": [Case(devices=n) for n in (1, 2, 4)],
    "seeds": [Case(seeds=n) for n in (1, 2, 4, 8)],
}
SECONDS = 1.0  # of steps in a round, about


def main() -> None:
    """Writes a row a case: seconds a step, peak memory, seconds of the first call."""
    args = out_argument(__doc__.splitlines()[0]).parse_args()
    rounds = 2 if args.quick else 3
    sweeps = {"seeds": [Case(width=4, seeds=2)]} if args.quick else SWEEPS
    measured: dict[Case, dict[str, Any]] = {}
    for case in dict.fromkeys(case for cases in sweeps.values() for case in cases):
        measured[case] = measure(case, rounds)
        print("  ", case, measured[case]["seconds_a_step"]["median"], flush=True)
    rows = {
        name: [case._asdict() | measured[case] for case in cases] for name, cases in sweeps.items()
    }
    write(args.out, "scaling", {"rounds": rounds, "sweeps": rows})


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Seconds a step over the rounds, and what memory the process took."""
    contestant = Contestant(prepare, case)
    once = contestant.turn(2)[0] / 2
    steps = int(np.clip(SECONDS / once, 1, 100))
    found = [contestant.turn(steps) for _ in range(rounds)]
    contestant.close()
    return contestant.facts | {
        "seconds_a_step": spread([taken / steps for taken, _ in found]),
        "peak_mib": found[-1][1],
    }


def prepare(case: Case) -> tuple[Any, dict[str, Any]]:
    """A turn runs so many steps: (seconds, peak MiB)."""
    import jax

    jax.config.update("jax_num_cpu_devices", case.devices)
    from dataclasses import replace

    from benchmarks import chunks
    from configs import teacher
    from kdjax import parallel, training

    config: Any = teacher.get_config("mitbih")
    config.model.width = case.width
    axis = parallel.AXIS if case.seeds == 1 else None
    trainer = training.make_trainer(config, case.leads, None, axis)
    trainer = replace(trainer, generator=trainer.generator.clone(length=case.length))
    jax.local_devices()
    before = peak_mib()
    x = chunks.noise(case.beats, case.length, case.leads)
    order = chunks.batches(case.beats, 100, case.batch)
    if case.seeds == 1:
        chunk = chunks.turns(trainer, chunks.drawn_state(trainer), x, order)
    else:
        chunk = chunks.seed_turns(trainer, case.seeds, x, order)

    def turn(steps: int) -> tuple[float, float]:
        return chunk(0, steps)[0], peak_mib()

    return turn, {"before_mib": before, "first_call_seconds": chunk(0, 0)[0]}


if __name__ == "__main__":
    main()
