"""Detector: a generator with what it takes to use it: beats -> reconstructions and scores."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import numpy as np

from kdjax.models import Generator, anomaly_score

# A batch is padded to the next of these: any number of beats takes a handful of programs.
BUCKETS = (1, 16, 128, 1024)


@dataclass(frozen=True, eq=False)
class Detector:
    """A trained generator in inference mode.

    variables: {'params', 'batch_stats'}. threshold: a beat whose score is above it is abnormal;
    None when none was fitted.
    """

    generator: Generator
    variables: Any = field(repr=False)
    threshold: float | None = None

    def score(self, x: np.ndarray) -> np.ndarray:
        """Anomaly scores [B] of beats [B, T, C] scaled to [-1, 1]: mean squared error of each."""
        return _run(_scores, self, x, ())

    def reconstruct(self, x: np.ndarray) -> np.ndarray:
        """Reconstructions [B, T, C] of beats [B, T, C] scaled to [-1, 1]."""
        return _run(_reconstructions, self, x, np.shape(x)[1:])


@partial(jax.jit, static_argnums=0)
def _scores(generator: Generator, variables: Any, x: jax.Array) -> jax.Array:
    return anomaly_score(generator.apply(variables, x, train=False).x_hat, x)  # type: ignore[union-attr]


@partial(jax.jit, static_argnums=0)
def _reconstructions(generator: Generator, variables: Any, x: jax.Array) -> jax.Array:
    return generator.apply(variables, x, train=False).x_hat  # type: ignore[union-attr]


def _run(function: Any, detector: Detector, x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    x = np.asarray(x, detector.generator.param_dtype)
    beat = (detector.generator.length, detector.generator.channels)
    if x.ndim != 3 or x.shape[1:] != beat:
        raise ValueError(f"beats of shape {x.shape}; [B, {beat[0]}, {beat[1]}] needed")
    out = np.empty((len(x), *shape), x.dtype)
    # Everywhere the same, since thresholds come from one run of it and are used in another.
    with jax.default_matmul_precision("float32"):
        pending = [
            (part, function(detector.generator, detector.variables, padded))
            for part, padded in _padded(x)
        ]
    for part, result in pending:
        out[part] = np.asarray(result)[: part.stop - part.start]
    return out


def _padded(x: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Cuts [B, T, C] into batches of the bucket sizes; the last is filled up with zeros."""
    for start in range(0, len(x), BUCKETS[-1]):
        part = slice(start, min(start + BUCKETS[-1], len(x)))
        size = next(b for b in BUCKETS if b >= part.stop - part.start)
        padded = np.zeros((size, *x.shape[1:]), x.dtype)
        padded[: part.stop - part.start] = x[part]
        yield part, padded
