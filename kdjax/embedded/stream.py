"""A signal's decisions, sample by sample, with the integers of the C library."""

from dataclasses import dataclass

import numpy as np

from kdjax.embedded import fixed, frontend, quantise
from kdjax.embedded.quantise import Network
from kdjax.embedded.score import Person, Score, kind

_BATCH = 256


@dataclass(frozen=True, eq=False)
class Integers:
    """A detector in integers: its network and its score."""

    network: Network
    score: Score


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the C library says of a beat: the fields of `kdjax_beat` in kdjax.h.

    trace: a hash of the latent and the residual, which `check` computes as well. decided: the
    sample with which the decision came.
    """

    sample: int
    rr: int
    score: int
    shape: int
    timing: int
    error: int
    kind: str
    scored: bool
    learning: bool
    trace: int
    decided: int

    def line(self) -> str:
        """As the program `check` prints it."""
        numbers = (self.sample, self.rr, self.score, self.shape, self.timing, self.error)
        flags = f"{self.kind} {self.scored:d} {self.learning:d} {self.trace}"
        return " ".join(map(str, numbers)) + " " + flags


def reconstruct(network: Network, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Residuals [B, T], in units of 2^-14, and latents [B, L] of scaled beats [B, T]."""
    residuals, latents = [], []
    for start in range(0, len(x), _BATCH):
        part = x[start : start + _BATCH]
        z, before_tanh = quantise.forward(network, part)
        residuals.append(np.clip(fixed.tanh(before_tanh) - part, -quantise.WORD, quantise.WORD))
        latents.append(z)
    return np.concatenate(residuals), np.concatenate(latents)


def decide(detector: Integers, signal: np.ndarray) -> list[Decision]:
    """The decisions on a signal int [T] in microvolts at 360 Hz."""
    found = list(frontend.find_beats(signal))
    windows = [beat.window for beat in found if beat.window is not None]
    if not windows:
        return [_undecided(beat, True) for beat in found]
    network = detector.network
    made = iter(zip(*reconstruct(network, frontend.scale(np.array(windows))), strict=True))
    person, decisions = Person(detector.score, frontend.FS), []
    for beat in found:
        if beat.window is None:
            decisions.append(_undecided(beat, person.learning))
        else:
            residual, latent = next(made)
            decisions.append(_decided(detector, person, beat, residual=residual, latent=latent))
    return decisions


def _undecided(beat: frontend.Beat, learning: bool) -> Decision:
    return Decision(
        sample=beat.sample,
        rr=beat.rr,
        score=0,
        shape=0,
        timing=0,
        error=0,
        kind="Q",
        scored=False,
        learning=learning,
        trace=0,
        decided=beat.decided,
    )


def _decided(
    detector: Integers,
    person: Person,
    beat: frontend.Beat,
    *,
    residual: np.ndarray,
    latent: np.ndarray,
) -> Decision:
    opinion = person.push(residual, latent, sample=beat.sample, rr=beat.rr)
    return Decision(
        sample=beat.sample,
        rr=beat.rr,
        score=opinion.score,
        shape=opinion.shape,
        timing=opinion.timing,
        error=int(np.square(residual).sum()) // len(residual),
        kind=kind(detector.score, opinion),
        scored=True,
        learning=opinion.learning,
        trace=trace(np.concatenate([latent, residual])),
        decided=beat.decided,
    )


def trace(values: np.ndarray) -> int:
    """The FNV-1a hash (32 bits) of int16 values, low byte first."""
    found = 2166136261
    for byte in np.asarray(values, "<i2").tobytes():
        found = (found ^ byte) * 16777619 & 0xFFFFFFFF
    return found
