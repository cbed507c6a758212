"""Detector: a generator with what it takes to use it: beats -> reconstructions and scores."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import numpy as np

from kdjax.models import Generator, GeneratorOutput, anomaly_score
from kdjax.scoring import Evidence

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
        return _run(_scores, self, x, ((),))[0]

    def reconstruct(self, x: np.ndarray) -> np.ndarray:
        """Reconstructions [B, T, C] of beats [B, T, C] scaled to [-1, 1]."""
        return _run(_reconstructions, self, x, (np.shape(x)[1:],))[0]

    def evidence(
        self,
        x: np.ndarray,
        rhythm: np.ndarray,
        record: np.ndarray,
        sample: np.ndarray,
        fs: float,
    ) -> Evidence:
        """What the scores of `scoring` are fitted on and computed from, of beats [B, T, C].

        rhythm [B, 2]: of `scoring.rhythm`; record [B]: whose beat it is; sample [B]: where in the
        recording; fs in Hz. The discriminator-feature error is NaN: a Detector has no
        discriminator. A fitted score takes the adaptation to the person as an option:

            normal = detector.evidence(...)  # of held-out normal beats
            scoring.fit(normal, "fusion", "first_5_minutes").score(detector.evidence(...))
        """
        shapes = (np.shape(x)[1:], (self.generator.latent_dim,))
        residual, z = _run(_residuals_and_latents, self, x, shapes)
        error = np.full(len(residual), np.nan, residual.dtype)
        return Evidence(residual, z, error, rhythm, record, sample, fs)


@partial(jax.jit, static_argnums=0)
def _scores(generator: Generator, variables: Any, x: jax.Array) -> tuple[jax.Array]:
    return (anomaly_score(_apply(generator, variables, x).x_hat, x),)


@partial(jax.jit, static_argnums=0)
def _reconstructions(generator: Generator, variables: Any, x: jax.Array) -> tuple[jax.Array]:
    return (_apply(generator, variables, x).x_hat,)


@partial(jax.jit, static_argnums=0)
def _residuals_and_latents(
    generator: Generator, variables: Any, x: jax.Array
) -> tuple[jax.Array, jax.Array]:
    output = _apply(generator, variables, x)
    return output.x_hat - x, output.z


def _apply(generator: Generator, variables: Any, x: jax.Array) -> GeneratorOutput:
    output = generator.apply(variables, x, train=False)
    assert isinstance(output, GeneratorOutput)
    return output


def _run(
    function: Any, detector: Detector, x: np.ndarray, shapes: tuple[tuple[int, ...], ...]
) -> list[np.ndarray]:
    """The function's results for all beats; `shapes` are those of each result for one beat."""
    x = np.asarray(x, detector.generator.param_dtype)
    beat = (detector.generator.length, detector.generator.channels)
    if x.ndim != 3 or x.shape[1:] != beat:
        raise ValueError(f"beats of shape {x.shape}; [B, {beat[0]}, {beat[1]}] needed")
    whole = [np.empty((len(x), *shape), x.dtype) for shape in shapes]
    # Everywhere the same, since thresholds come from one run of it and are used in another.
    with jax.default_matmul_precision("float32"):
        pending = [
            (part, function(detector.generator, detector.variables, padded))
            for part, padded in _padded(x)
        ]
    for part, results in pending:
        for out, result in zip(whole, results, strict=True):
            out[part] = np.asarray(result)[: part.stop - part.start]
    return whole


def _padded(x: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Cuts [B, T, C] into batches of the bucket sizes; the last is filled up with zeros."""
    for start in range(0, len(x), BUCKETS[-1]):
        part = slice(start, min(start + BUCKETS[-1], len(x)))
        size = next(b for b in BUCKETS if b >= part.stop - part.start)
        padded = np.zeros((size, *x.shape[1:]), x.dtype)
        padded[: part.stop - part.start] = x[part]
        yield part, padded
