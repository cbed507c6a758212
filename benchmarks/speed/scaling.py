"""How a training step grows: batch, width, leads, length, data set, devices, seeds.

python -m benchmarks.speed.scaling --out docs/results/perf-scaling.json

Each case is a process of its own, those of a sweep take turns. Peak memory includes compiling.
"""

from typing import Any, NamedTuple

import numpy as np

from benchmarks.speed.measure import Contestant, out_argument, peak_mib, spread, write


class Case(NamedTuple):
    """One training step's sizes."""

    width: int = 8
    batch: int = 64
    leads: int = 1
    length: int = 320
    beats: int = 3200
    devices: int = 1  # virtual ones, which share the cores
    seeds: int = 0  # together under vmap; 0: one, as train.py runs it


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
    rounds = 2 if args.quick else 5
    sweeps = {"seeds": [Case(width=4, seeds=n) for n in (1, 2)]} if args.quick else SWEEPS
    rows = {name: measure(cases, rounds) for name, cases in sweeps.items()}
    write(args.out, "scaling", {"rounds": rounds, "sweeps": rows})


def measure(cases: list[Case], rounds: int) -> list[dict[str, Any]]:
    """A row a case: seconds a step over the rounds, and what memory its process took."""
    ready = [Contestant(prepare, case) for case in cases]
    steps = [int(np.clip(SECONDS * 2 / c.turn(2)[0], 1, 100)) for c in ready]
    found = [[c.turn(n) for c, n in zip(ready, steps, strict=True)] for _ in range(rounds)]
    for contestant in ready:
        contestant.close()
    rows, turns_by_case = [], zip(*found, strict=True)
    for case, contestant, n, turns in zip(cases, ready, steps, turns_by_case, strict=True):
        taken = spread([seconds / n for seconds, _ in turns])
        peak = {"seconds_a_step": taken, "peak_mib": turns[-1][1]}
        rows.append(case._asdict() | contestant.facts | peak)
        print("  ", case, taken["median"], flush=True)
    return rows


def prepare(case: Case) -> tuple[Any, dict[str, Any]]:
    """A turn runs so many steps: (seconds, peak MiB)."""
    import jax

    jax.config.update("jax_num_cpu_devices", case.devices)

    from benchmarks.speed import chunks
    from configs import teacher
    from kdjax.training import assemble, parallel

    config: Any = teacher.get_config("mitbih")
    config.model.width = case.width
    axis = None if case.seeds else parallel.AXIS
    trainer = assemble.make_trainer(config, (case.length, case.leads), axis)
    x = chunks.noise(case.beats, case.length, case.leads)
    order = chunks.batches(case.beats, 100, case.batch)
    if case.seeds:
        chunk = chunks.seed_turns(trainer, case.seeds, x, order=order)
    else:
        chunk = chunks.turns(trainer, chunks.drawn_state(trainer), x, order=order)

    def turn(steps: int) -> tuple[float, float]:
        return chunk(0, steps)[0], peak_mib()

    return turn, {"first_call_seconds": chunk(0, 0)[0]}


if __name__ == "__main__":
    main()
