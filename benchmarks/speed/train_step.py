"""A training step and a stretch of an epoch, against PyTorch: the same weights, beats and losses.

python -m benchmarks.speed.train_step --out docs/results/perf-train_step.json

PyTorch runs eagerly and with both networks compiled, as the published code computes a step (a pass
of the generator for each update, gradients of all that takes part, the teacher asked at every step)
and with kdjax's savings (one pass, a fused Adam, no gradient that is not used, the teacher asked
beforehand). On a GPU machine both run on its GPU.
Every contestant is a process of its own with all cores; they take turns, round by round.
"""

import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from benchmarks.speed import chunks
from benchmarks.speed.measure import (
    CORES,
    JAX_NAMES,
    Contestant,
    contestants,
    out_argument,
    part,
    ratios,
    same_device,
    spread,
    write,
)

# Of the losses of the first steps, before anything is timed. The second step comes after both
# updates: Adam's first moves each weight by its gradient's sign, that of a rounding error as well.
TOLERANCES = (1e-4, 1e-3)


class Case(NamedTuple):
    """What is trained: a student of configs/student.py, or the teacher."""

    student: bool
    width: int
    weights: str  # of both networks, and of the teacher's, in this .npz
    batch: int = 64
    beats: int = 3200
    length: int = 320
    channels: int = 1

    def x(self) -> np.ndarray:
        """Beats [N, T, C]."""
        return chunks.noise(self.beats, self.length, self.channels)

    def order(self, steps: int) -> np.ndarray:
        """Which beats make each batch: [steps, batch]."""
        return chunks.batches(self.beats, steps, self.batch)


def main() -> None:
    """Writes the times of the teacher's and of the student's step."""
    args = out_argument(__doc__.splitlines()[0]).parse_args()
    width, steps, rounds = (8, 4, 2) if args.quick else (32, 30, 4)
    with TemporaryDirectory() as folder:
        weights = str(Path(folder) / "weights.npz")
        drawn = Contestant(draw_weights, weights, width)
        drawn.close()
        cases = {name: Case(name == "student", width, weights) for name in ("teacher", "student")}
        found = {name: compare(case, steps, rounds) for name, case in cases.items()}
    about = {
        "width": width,
        "batch": 64,
        "steps": steps,
        "rounds": rounds,
        "tolerances": TOLERANCES,
    }
    write(args.out, "train_step", about | found, **drawn.facts)


def compare(case: Case, steps: int, rounds: int) -> dict[str, Any]:
    """Every contestant's times and its ratio to kdjax, once their losses are equal."""
    wanted: dict[str, tuple] = {"kdjax": (kdjax, case, steps)}
    for compiled in (False, True):
        # Compiling takes minutes: what the teacher's case says of it is not asked again.
        for savings in (True,) if case.student and compiled else (False, True):
            name = ("torch.compile" if compiled else "eager") + (", savings" if savings else "")
            wanted[name] = (partial(torch_peer, savings=savings), case, steps, compiled)
    ready, failed = contestants(wanted)
    same_device(ready)
    losses = {
        name: [c.turn(i, i + 1)[1] for i in range(len(TOLERANCES))] for name, c in ready.items()
    }
    for name, found in losses.items():
        for step, tolerance in enumerate(TOLERANCES):
            ours, theirs = losses["kdjax"][step], found[step]
            for term in ours:
                np.testing.assert_allclose(
                    theirs[term], ours[term], tolerance, err_msg=f"{name}, step {step}, {term}"
                )
    times: dict[str, list[float]] = {name: [] for name in ready}
    for contestant in ready.values():
        contestant.turn(0, 2)
    for _ in range(rounds):
        for name, contestant in ready.items():
            times[name].append(contestant.turn(0, steps)[0] / steps)
    for contestant in ready.values():
        contestant.close()
    rows = {
        name: {
            "first_call_seconds": ready[name].facts["first_call_seconds"],
            "seconds_a_step": spread(times[name]),
            "beats_a_second": case.batch / float(np.median(times[name])),
            "kdjax_is_faster_by": ratios(times[name], times["kdjax"]),
            "losses": losses[name],
        }
        for name in ready
    }
    return {"rows": rows, "failed": failed}


def draw_weights(path: str, width: int) -> tuple[Any, dict[str, str]]:
    """Writes both networks' weights (G/, D/) and a teacher's of full width (TG/, TD/)."""
    import torch

    from benchmarks.speed import torch_peer as peer

    ours, teachers = (
        peer.draw(0, width, 50, length=320, channels=1),
        peer.draw(1, width, 50, length=320, channels=1),
    )
    np.savez(path, **ours, **{f"T{name}": a for name, a in teachers.items()})
    return None, {"torch": torch.__version__}


def kdjax(case: Case, steps: int) -> tuple[Any, dict[str, Any]]:
    """The compiled chunk of steps that train.py runs."""
    import jax

    from configs import student, teacher
    from kdjax.runs import directory
    from kdjax.runs.interop import convert_beatgan
    from kdjax.training import assemble, parallel
    from kdjax.training.step import TrainState

    weights = dict(np.load(case.weights))

    def networks(prefix: str) -> Any:
        return convert_beatgan(part(weights, f"{prefix}G/"), part(weights, f"{prefix}D/"))

    config: Any = (student if case.student else teacher).get_config("mitbih")
    config.model.output_bias = False
    config.model.width = case.width
    x = case.x()
    teachers = None
    if case.student:
        found = networks("T")
        variables = {
            "generator": found.generator_variables,
            "discriminator": found.discriminator_variables,
        }
        teachers = directory.Model(found.generator, found.discriminator, variables, {}, "")
    trainer = assemble.make_trainer(config, (case.length, case.channels), parallel.AXIS)
    found = networks("")
    start = trainer.optimizer.init
    state = TrainState(
        np.zeros((), np.int32),
        found.generator_variables,
        found.discriminator_variables,
        {},
        start(found.generator_variables["params"]),
        start(found.discriminator_variables["params"]),
        start({}),
    )
    frozen = assemble.make_teacher(config, x, teachers)
    chunk = chunks.turns(trainer, state, x, order=case.order(steps), teacher=frozen)

    def turn(start: int, stop: int) -> tuple[float, dict[str, float]]:
        taken, means = chunk(start, stop)
        return taken, {k: v for k, v in means.items() if k not in ("G_loss", "selected")}

    # A chunk of no steps compiles all the same and changes nothing.
    return turn, {"first_call_seconds": chunk(0, 0)[0], "device": jax.default_backend()}


def torch_peer(
    case: Case, steps: int, compiled: bool, *, savings: bool
) -> tuple[Any, dict[str, Any]]:
    """The peer's loop over batches."""
    import torch

    from benchmarks.speed import torch_peer as peer
    from configs import student

    torch.set_num_threads(CORES)
    weights = dict(np.load(case.weights))

    def networks(prefix: str) -> Any:
        generator = peer.load(
            peer.Generator(case.width, 50, case.length, channels=case.channels),
            part(weights, f"{prefix}G/"),
        )
        discriminator = peer.Discriminator(case.width, case.length, case.channels)
        return generator, peer.load(discriminator, part(weights, f"{prefix}D/"))

    x = torch.as_tensor(np.ascontiguousarray(case.x().transpose(0, 2, 1))).to(peer.DEVICE)
    order = torch.as_tensor(case.order(steps).astype(np.int64)).to(peer.DEVICE)
    generator, discriminator = plain = networks("")
    optimizers = [
        torch.optim.Adam(network.parameters(), fused=savings or None, **peer.ADAM)
        for network in (generator, discriminator)
    ]
    teacher = networks("T")[0].eval() if case.student else None

    def teachers_score(beats: Any) -> Any:
        assert teacher is not None
        with torch.no_grad():
            return peer.score(teacher(beats), beats)

    known = torch.cat([teachers_score(few) for few in x.split(256)]) if case.student else None
    kd: Any = student.get_config("mitbih").kd

    def response(target: Any, score: Any) -> tuple[Any, float]:
        return peer.response_kl(score, target, kd.temperature), kd.response

    if compiled:
        generator, discriminator = torch.compile(generator), torch.compile(discriminator)
    step = peer.step_with_savings if savings else peer.step_as_published

    def turn(start: int, stop: int) -> tuple[float, dict[str, float]]:
        started = time.perf_counter()
        sums: dict[str, Any] = {}
        for index in order[start:stop]:
            beats = x[index]
            distil = None
            if known is not None:
                distil = partial(response, known[index] if savings else teachers_score(beats))
            terms = step(generator, discriminator, optimizers, x=beats, distil=distil)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value.detach()
        means = {name: float(value) / (stop - start) for name, value in sums.items()}
        return time.perf_counter() - started, means

    # The first step compiles; afterwards everything starts again from the same weights.
    first = turn(0, 1)[0]
    for network, prefix in zip(plain, ("G/", "D/"), strict=True):
        peer.load(network, part(weights, prefix))
    for optimizer in optimizers:
        optimizer.state.clear()
    return turn, {"first_call_seconds": first, "device": JAX_NAMES[peer.DEVICE]}


if __name__ == "__main__":
    main()
