"""Beats and signals made of what a calibration knows of normal beats: nobody's data is needed."""

import numpy as np

from kdjax import beats
from kdjax.embedded.quantise import float_activations
from kdjax.models.folded import Folded
from kdjax.scores.calibration import Calibration

MICROVOLTS = 500  # that a scaled beat of 1 stands for in a signal
_BEFORE, _AFTER = 120, 170  # samples of a beat that a signal holds
_RAMP = 40  # samples over which it comes and goes
_USUAL_RR = 300  # samples


def normal_beats(
    calibration: Calibration, folded: Folded, *, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Beats float64 [B, T, 1], scaled to [-1, 1], with normal beats' latents and residuals.

    Both are drawn from the normal distributions that the calibration's distances stand for; a beat
    is what the decoder makes of its latent, less its residual.
    """
    arrays = {name: np.asarray(a, np.float64) for name, a in calibration.score.arrays.items()}
    residual, z = (
        arrays[f"{name}.centre"]
        + rng.normal(size=(count, len(arrays[f"{name}.centre"])))
        @ np.linalg.inv(arrays[f"{name}.whiten"])
        for name in ("mahalanobis", "latent")
    )
    decoded = np.tanh(float_activations(folded, z=z)["decoder4"])
    return beats.scale(decoded - residual.reshape(decoded.shape))


def signal(x: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """A lead int64 [T] in microvolts at 360 Hz with the beats x [B, T, 1] one after the other.

    The rhythm breathes; from the 400th beat on every 12th comes early, and every 17th is turned
    upside down, large and broad. A slow drift and noise of 5 microvolts are added.
    """
    number = np.arange(len(x))
    rr = _USUAL_RR * (1 + 0.05 * np.sin(number / 5) + rng.normal(0, 0.02, len(x)))
    late = number >= 400
    early, odd = late & (number % 12 == 0), late & (number % 17 == 0)
    rr[early] *= 0.5
    places = beats.BEFORE + np.cumsum(np.rint(rr).astype(np.int64))
    out = np.zeros(places[-1] + beats.WINDOW)
    ramp = np.minimum(np.arange(1, _BEFORE + _AFTER + 1) / _RAMP, 1)
    shape = ramp * ramp[::-1]
    for place, beat, is_odd in zip(places, x[:, :, 0], odd, strict=True):
        part = beat[beats.BEFORE - _BEFORE : beats.BEFORE + _AFTER]
        if is_odd:
            around = np.arange(-_BEFORE, _AFTER)
            part = -1.5 * np.interp(around / 4, around, part)
        out[place - _BEFORE : place + _AFTER] += shape * (part - np.median(part))
    time = np.arange(len(out)) / beats.FS
    drift = 200 * np.sin(2 * np.pi * 0.2 * time)
    return np.rint(MICROVOLTS * out + drift + rng.normal(0, 5, len(out))).astype(np.int64)
