"""Scores of one beat and of many, against PyTorch and ONNX Runtime: the same weights and scores.

python -m benchmarks.speed.inference --out docs/results/perf-inference.json

ONNX Runtime runs the graph that PyTorch exports of the peer and its score, with its own
optimisations, on the CPU: on all cores, and on one thread, which may be faster at one beat. Every
contestant is a process of its own; they take turns.
On a GPU machine kdjax and PyTorch run on its GPU.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

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
from kdjax.models.sizes import GeneratorSizes, multiply_accumulates

WIDTHS = (32, 8)
LATENT, LENGTH, CHANNELS = 50, 320, 1
SECONDS = 0.5  # of calls in one turn, and at least MINIMUM of them
MINIMUM = 2
TOLERANCE = 1e-4  # of the scores, before anything is timed


def main() -> None:
    """Writes the times of a call by width, batch and contestant."""
    args = out_argument(__doc__.splitlines()[0]).parse_args()
    batches, rounds = ((1, 16), 2) if args.quick else ((1, 16, 256, 4096), 5)
    rows: list[dict[str, Any]] = []
    versions: dict[str, str] = {}
    for width in WIDTHS:
        with TemporaryDirectory() as folder:
            drawn = Contestant(draw_weights, folder, width)
            drawn.close()
            found = compare(folder, width, batches, rounds=rounds)
        versions |= drawn.facts
        rows += found
    about = {"length": LENGTH, "channels": CHANNELS, "rounds": rounds, "tolerance": TOLERANCE}
    about["load"] = round(os.getloadavg()[2], 1)
    write(args.out, "inference", about | {"rows": rows}, **versions)


def compare(
    folder: str, width: int, batches: tuple[int, ...], *, rounds: int
) -> list[dict[str, Any]]:
    """A row a batch: the spread of every contestant's call, and its ratio to kdjax's."""
    ready, failed = contestants(
        {
            "kdjax": (kdjax, folder),
            "torch eager": (torch_peer, folder, width, False),
            "torch.compile": (torch_peer, folder, width, True),
            "onnxruntime": (onnx_runtime, folder, CORES),
            "onnxruntime, one thread": (onnx_runtime, folder, 1),
        }
    )
    same_device({name: c for name, c in ready.items() if "onnxruntime" not in name})
    sizes = GeneratorSizes(width=width, latent_dim=LATENT, length=LENGTH, channels=CHANNELS)
    rows = []
    for batch in batches:
        # A call of each, which may compile; the scores must agree.
        first = {name: c.turn(batch, None) for name, c in ready.items()}
        scores = {name: found[0] for name, found in first.items()}
        for name, found in scores.items():
            np.testing.assert_allclose(found, scores["kdjax"], TOLERANCE, err_msg=name)
        times: dict[str, list[list[float]]] = {name: [] for name in ready}
        for _ in range(rounds):
            for name, contestant in ready.items():
                times[name].append(contestant.turn(batch, SECONDS)[1])
        medians = {name: [float(np.median(t)) for t in found] for name, found in times.items()}
        for name in ready:
            every = np.concatenate(times[name])
            row = {
                "width": width,
                "batch": batch,
                "software": name,
                "seconds": spread(medians[name]),
                "beats_a_second": batch / float(np.median(medians[name])),
                "flops_a_beat": 2 * multiply_accumulates(sizes),
                "kdjax_is_faster_by": ratios(medians[name], medians["kdjax"]),
                "calls": len(every),
                "first_call_seconds": first[name][1][0],
            }
            if batch == 1:
                p50, p99 = np.percentile(every, [50, 99])
                row |= {"p50": float(p50), "p99": float(p99)}
            rows.append(row)
            print("  ", width, batch, name, row["seconds"]["median"], flush=True)
    for contestant in ready.values():
        contestant.close()
    return rows + [{"width": width, "software": n, "failed": why} for n, why in failed.items()]


def draw_weights(folder: str, width: int) -> tuple[None, dict[str, str]]:
    """Writes the weights and the ONNX graph of the peer, its running statistics made unequal."""
    import onnx
    import onnxruntime
    import torch

    from benchmarks.speed import torch_peer as peer

    weights = peer.draw(0, width, LATENT, length=LENGTH, channels=CHANNELS)
    rng = np.random.default_rng(0)
    for name, array in weights.items():
        if name.endswith("running_mean"):
            weights[name] = rng.normal(0, 0.3, array.shape).astype(np.float32)
        if name.endswith("running_var"):
            weights[name] = rng.uniform(0.5, 2, array.shape).astype(np.float32)
    np.savez(Path(folder) / "weights.npz", **weights)
    generator = peer.load(
        peer.Generator(width, LATENT, LENGTH, channels=CHANNELS), part(weights, "G/")
    ).eval()
    torch.onnx.export(
        peer.Scorer(generator).cpu(),
        (torch.zeros(1, CHANNELS, LENGTH),),
        str(Path(folder) / "scorer.onnx"),
        input_names=["x"],
        output_names=["score"],
        dynamic_axes={"x": {0: "beats"}, "score": {0: "beats"}},
        dynamo=False,
    )
    versions = {m.__name__: m.__version__ for m in (torch, onnx, onnxruntime)}
    return None, versions


def kdjax(folder: str) -> tuple[Any, dict[str, Any]]:
    """`Detector.score`, what a user calls."""
    import jax

    from kdjax.runs.interop import from_beatgan

    weights = dict(np.load(Path(folder) / "weights.npz"))
    detector = from_beatgan(part(weights, "G/"), part(weights, "D/"))
    return _turns(lambda x: x, detector.score), {"device": jax.default_backend()}


def torch_peer(folder: str, width: int, compiled: bool) -> tuple[Any, dict[str, Any]]:
    """The peer in inference mode, from NumPy to NumPy."""
    import torch

    from benchmarks.speed import torch_peer as peer

    torch.set_num_threads(CORES)
    weights = dict(np.load(Path(folder) / "weights.npz"))
    scorer: Any = peer.Scorer(
        peer.load(
            peer.Generator(width, LATENT, LENGTH, channels=CHANNELS), part(weights, "G/")
        ).eval()
    )
    if compiled:
        torch._inductor.config.freezing = True  # weights are constants, BatchNorm is folded
        scorer = torch.compile(scorer, dynamic=False)  # a program for each batch, as kdjax has

    @torch.inference_mode()
    def score(x: np.ndarray) -> np.ndarray:
        return scorer(torch.from_numpy(x).to(peer.DEVICE)).cpu().numpy()

    return _turns(_channels_first, score), {"device": JAX_NAMES[peer.DEVICE]}


def onnx_runtime(folder: str, threads: int) -> tuple[Any, dict[str, Any]]:
    """The exported graph on so many threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(Path(folder) / "scorer.onnx"), options, providers=["CPUExecutionProvider"]
    )

    def score(x: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(None, {"x": x})[0])

    return _turns(_channels_first, score), {}


def _channels_first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 2, 1))


def _turns(layout: Callable, score: Callable) -> Callable:
    """A turn scores a batch again and again for so many seconds, or once: (scores, their times)."""

    def turn(batch: int, limit: float | None) -> tuple[np.ndarray, list[float]]:
        rng = np.random.default_rng(batch)
        x = layout(rng.uniform(-1, 1, (batch, LENGTH, CHANNELS)).astype(np.float32))
        times: list[float] = []
        while True:
            started = time.perf_counter()
            scores = score(x)
            times.append(time.perf_counter() - started)
            if limit is None or (len(times) >= MINIMUM and sum(times) >= limit):
                return scores, times

    return turn


if __name__ == "__main__":
    main()
