"""What distilling and augmenting add to training a student alone, and what asking costs once.

python -m benchmarks.speed.additions --out docs/results/perf-additions.json
"""

import time
from functools import partial
from typing import Any

from benchmarks.speed.measure import contestants, out_argument, ratios, spread, write

ALONE: dict[str, Any] = {"kd.response": 0.0}
WARPED = {"data.augment": "time_warp"}
VARIANTS: dict[str, dict[str, Any]] = {
    "alone": ALONE,
    "configs/student_small.py": {},
    "the study's choice": ALONE
    | {"kd.reconstruction": 80.0, "kd.select": "quantile", "kd.select_quantile": 0.5},
    "alone, time_warp": ALONE | WARPED,
    "configs/student_small.py, time_warp": WARPED,
}


def main() -> None:
    """Writes the seconds a step of each variant, its ratio to the student alone, and of asking."""
    args = out_argument(__doc__.splitlines()[0]).parse_args()
    wide, beats, steps, rounds = (16, 3200, 10, 3) if args.quick else (32, 62400, 100, 9)
    ready, failed = contestants(
        {
            name: (partial(prepare, steps=steps), changes, wide, beats)
            for name, changes in VARIANTS.items()
        }
    )
    times: dict[str, list[float]] = {name: [] for name in ready}
    for name, contestant in list(ready.items()) * rounds:
        times[name].append(contestant.turn(0, steps)[0] / steps)
    for contestant in ready.values():
        contestant.close()
    rows = {
        name: {
            "seconds_a_step": spread(times[name]),
            "costs": ratios(times[name], times["alone"]),
            **ready[name].facts,
        }
        for name in ready
    }
    about = {
        "width": 8,
        "teacher_width": wide,
        "batch": 64,
        "beats": beats,
        "steps": steps,
        "rounds": rounds,
        "variants": VARIANTS,
    }
    write(args.out, "additions", about | {"rows": rows, "failed": failed})


def prepare(
    changes: dict[str, Any], wide: int, beats: int, *, steps: int
) -> tuple[Any, dict[str, Any]]:
    """A width-8 student; its teacher asked about the whole data set, or at every step."""
    from benchmarks.speed import chunks
    from configs import student_small
    from kdjax.runs import config as configs
    from kdjax.runs import directory
    from kdjax.training import assemble, parallel

    config: Any = student_small.get_config("mitbih")
    config.update_from_flattened_dict(changes)
    teacher_config = configs.teacher_config(config)
    teacher_config.model.width = wide
    x = chunks.noise(beats)
    teacher, told = None, {}
    if configs.distils(config):
        of_teacher = assemble.make_trainer(teacher_config, (320, 1))
        state = chunks.drawn_state(of_teacher, seed=1)
        variables = {"generator": state.generator, "discriminator": state.discriminator}
        teacher = directory.Model(of_teacher.generator, of_teacher.discriminator, variables, {}, "")
    started = time.perf_counter()
    frozen = assemble.make_teacher(config, x, teacher)
    if frozen is not None and frozen.lesson is not None:
        told = {"asking_once_seconds": time.perf_counter() - started}
    trainer = assemble.make_trainer(config, (320, 1), parallel.AXIS)
    order = chunks.batches(beats, steps, 64)
    state = chunks.drawn_state(trainer, teacher=frozen)
    chunk = chunks.turns(trainer, state, x, order=order, teacher=frozen)
    return chunk, {"first_call_seconds": chunk(0, 1)[0]} | told


if __name__ == "__main__":
    main()
