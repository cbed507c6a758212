"""Detector: a generator with what it takes to use it: beats -> reconstructions and scores.

Evidence of a small network is computed in NumPy, anything else by JAX. JAX is imported where it is
used, so that a recording's beats through a shipped detector do not wait for it.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from kdjax.errors import InputError
from kdjax.models import folded
from kdjax.models.folded import Folded
from kdjax.models.sizes import Sizes, multiply_accumulates
from kdjax.scores.calibration import Calibration
from kdjax.scores.fitted import Evidence

# Beats are computed in batches of these sizes, filled up where need be: any number of beats takes a
# handful of programs, which detectors of one size share, and less than twice the work. Beyond 256 a
# CPU gains nothing.
BUCKETS = (1, 4, 16, 64, 256)
# A recording gives some eighty beats at a time: 32 are the fewest that cost little more a beat than
# many do, so one program serves, and little is filled up.
_OF_RECORDINGS = (32,)
_IN_CACHE = 24  # beats whose values a processor's cache holds, in NumPy
_SMALL = 6_000_000  # multiply-accumulates a beat up to which no program is worth its start


@dataclass(frozen=True, eq=False)
class Detector:
    """A trained generator in inference mode.

    Attributes:
        variables: {'params', 'batch_stats'}.
        threshold: a beat with a higher plain score is abnormal; None if none was fitted.
        calibration: what `kdjax.detect` decides with; None if none was fitted.
        ecg: whether it was trained on heartbeats; if not, it only scores windows.
        name: the name or path that it was loaded by.
    """

    generator: Sizes
    variables: Any = field(repr=False)
    threshold: float | None = None
    calibration: Calibration | None = None
    _: KW_ONLY
    ecg: bool = True
    name: str = ""

    def score(self, x: np.ndarray) -> np.ndarray:
        """Anomaly scores [B] of beats [B, T, C] scaled to [-1, 1]: mean squared error of each.

        A beat that holds NaN or infinity scores infinity, which is abnormal at any threshold.
        One beat at a time has a faster program, compiled for this detector at its first call; the
        calling thread waits for it without sleeping, which keeps a core busy.
        """
        from kdjax.models import inference

        x = self._checked(x)
        one = len(x) == 1
        score = (
            _at_once(self._score_one(x))
            if one
            else _run(inference.scores, self, x, shapes=((),))[0]
        )
        return np.where(np.isnan(score), np.array(np.inf, score.dtype), score)

    def reconstruct(self, x: np.ndarray) -> np.ndarray:
        """Reconstructions [B, T, C] of beats [B, T, C] scaled to [-1, 1]."""
        from kdjax.models import inference

        x = self._checked(x)
        return _run(inference.reconstructions, self, x, shapes=(x.shape[1:],))[0]

    def evidence(
        self,
        x: np.ndarray,
        rhythm: np.ndarray,
        record: np.ndarray,
        *,
        sample: np.ndarray,
        fs: float,
    ) -> Evidence:
        """The evidence of beats [B, T, C] from which `scores.fitted` fits and computes its scores.

        rhythm [B, 2] is that of `fitted.rhythm`, record [B] the record of each beat, sample [B] its
        place in the recording, fs in Hz. The discriminator-feature error is NaN, because a Detector
        has no discriminator. A fitted score takes the adaptation to the person as an option:

            normal = detector.evidence(...)  # of held-out normal beats
            fitted.fit(normal, "fusion", "first_5_minutes").score(detector.evidence(...))
        """
        x = self._checked(x)
        residual, z = self._residuals_and_latents(x)
        error = np.full(len(residual), np.nan, residual.dtype)
        return Evidence(residual, z, error, rhythm, record, sample, fs)

    @property
    def small(self) -> bool:
        """Whether evidence is computed in NumPy."""
        return multiply_accumulates(self.generator) <= _SMALL

    def _residuals_and_latents(self, x: np.ndarray) -> Sequence[np.ndarray]:
        if self.small:
            starts = range(0, max(len(x), 1), _IN_CACHE)
            found = [folded.forward(self._folded, x[n : n + _IN_CACHE]) for n in starts]
            x_hat, z = map(np.concatenate, zip(*found, strict=True))
            return x_hat - x, z
        from kdjax.models import inference

        shapes = (x.shape[1:], (self.generator.latent_dim,))
        return _run(inference.residuals_and_latents, self, x, shapes=shapes, buckets=_OF_RECORDINGS)

    def _checked(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, self._folded.head.kernel.dtype)
        beat = (self.generator.length, self.generator.channels)
        if x.ndim != 3 or x.shape[1:] != beat:
            raise InputError(f"beats of shape {x.shape}; [B, {beat[0]}, {beat[1]}] needed")
        return x

    @cached_property
    def _folded(self) -> Folded:
        return folded.fold(self.variables)

    @cached_property
    def _on_device(self) -> Folded:
        import jax

        return jax.device_put(self._folded)

    @cached_property
    def _score_one(self) -> Callable:
        """For one beat: the weights are constants of the program, no call has to hand them over."""
        import jax

        from kdjax.models import inference

        return jax.jit(lambda x: inference.scores(self._folded, x)[0])


def float32_threshold(detector: Detector) -> np.float32:
    """The largest float32 up to the threshold: a float32 is above the one when above the other."""
    assert detector.threshold is not None
    rounded = np.float32(detector.threshold)
    below = np.nextafter(rounded, np.float32(-np.inf))
    return rounded if float(rounded) <= detector.threshold else below


def _run(
    function: Any,
    detector: Detector,
    x: np.ndarray,
    *,
    shapes: tuple[tuple[int, ...], ...],
    buckets: tuple[int, ...] = BUCKETS,
) -> list[np.ndarray]:
    """The function's results for all beats; `shapes` are those of each result for one beat."""
    whole = [np.empty((len(x), *shape), x.dtype) for shape in shapes]
    parts = list(_parts(len(x), buckets))
    pending = [function(detector._on_device, _padded(x[part], size)) for part, size in parts]
    for (part, _), results in zip(parts, pending, strict=True):
        for out, result in zip(whole, results, strict=True):
            out[part] = np.asarray(result)[: part.stop - part.start]
    return whole


def _at_once(result: Any) -> np.ndarray:
    """The result when it is there: to sleep and be woken is long beside a small network's beat.

    What computes has the core first. Where a thread cannot give way it sleeps.
    """
    if hasattr(os, "sched_yield"):
        while not result.is_ready():
            os.sched_yield()
    return np.array(result)


def _parts(beats: int, buckets: tuple[int, ...]) -> Iterator[tuple[slice, int]]:
    """Cuts so many beats into parts, each with the largest bucket that it more than half fills.

    What fills no bucket by half takes the smallest one.
    """
    start = 0
    while start < beats:
        size = max((b for b in buckets if b < 2 * (beats - start)), default=buckets[0])
        stop = min(start + size, beats)
        yield slice(start, stop), size
        start = stop


def _padded(x: np.ndarray, size: int) -> np.ndarray:
    """Beats [B, T, C] filled up with zeros to [size, T, C]."""
    if len(x) == size:
        return x
    padded = np.zeros((size, *x.shape[1:]), x.dtype)
    padded[: len(x)] = x
    return padded
