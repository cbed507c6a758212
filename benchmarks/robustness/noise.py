"""Noise as ambulatory recordings have it, made up, and added at a signal-to-noise ratio.

The recipe is that of Moody, Muldrow and Mark, 'A noise stress test for arrhythmia detectors',
Computers in Cardiology 11 (1984) 381-384, and of `nst` in the WFDB Applications Guide. Their noise
was recorded; this one is generated, so that every run of a benchmark can make it again.
"""

import numpy as np
import scipy.signal

KINDS = ("motion", "muscle", "wander", "hum")
SNRS = (24, 18, 12, 6, 0, -6)  # dB
CLEAN, NOISY = 120.0, 120.0  # s, in turn, from START on
START = 300.0  # s

_SHOTS = 1.5  # a second: movements of an electrode
_RISE, _FALL = (0.01, 0.12), (0.05, 0.8)  # s, of a movement's time constants
_HUM = 50.0  # Hz


def noise(kind: str, length: int, fs: float, *, seed: int) -> np.ndarray:
    """Noise float64 [length] of one of KINDS at `fs` Hz, its root mean square about 1.

    motion: an electrode that shifts on the skin: bursts of deflections that rise within 10 to
    120 ms and fall within 50 to 800 ms, on slow Gaussian noise, as much inside the band of the QRS
    complex as below it. muscle: Gaussian noise above 20 Hz whose strength varies. wander: Gaussian
    noise of 0.05 to 0.6 Hz. hum: 50 Hz with a third harmonic, both varying.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    time = np.arange(length) / fs
    strength = np.exp(0.5 * _slow(rng, length, fs, cutoff=0.2))
    match kind:
        case "motion":
            moved = 0.8 * _movements(rng, length, fs) + 0.4 * _slow(rng, length, fs, cutoff=8.0)
            made = _passed("highpass", 0.3, fs, signal=moved * strength)
        case "muscle":
            made = _passed("highpass", 20.0, fs, signal=strength * rng.normal(size=length))
        case "wander":
            made = _slow(rng, length, fs, cutoff=0.6)
        case "hum":
            phase = 2 * np.pi * _HUM * time + 0.5 * _slow(rng, length, fs, cutoff=0.1)
            made = np.exp(0.2 * _slow(rng, length, fs, cutoff=0.1)) * (
                np.sin(phase) + 0.15 * np.sin(3 * phase)
            )
        case _:
            raise ValueError(f"no noise {kind}; one of {', '.join(KINDS)}")
    return made / np.sqrt(np.mean(np.square(made)))


def _movements(rng: np.random.Generator, length: int, fs: float) -> np.ndarray:
    """Deflections at random times, of heavy-tailed heights and either sign, of variance 1."""
    out = np.zeros(length)
    count = rng.poisson(_SHOTS * length / fs)
    places = rng.integers(0, length, count)
    for place, height in zip(places.tolist(), rng.standard_t(3, count), strict=True):
        rise, fall = np.exp(rng.uniform(*np.log([_RISE, _FALL]).T))
        time = np.arange(min(length - place, int(6 * (rise + fall) * fs))) / fs
        shape = (1 - np.exp(-time / rise)) * np.exp(-time / fall)
        out[place : place + len(time)] += height * shape / max(shape.max(initial=0), 1e-9)
    return out / out.std() if out.any() else out


def _slow(rng: np.random.Generator, length: int, fs: float, *, cutoff: float) -> np.ndarray:
    """Gaussian noise below `cutoff` Hz, of variance 1."""
    margin = round(3 * fs / cutoff)  # for the filter to settle
    white = rng.normal(size=length + 2 * margin)
    made = _passed("lowpass", cutoff, fs, signal=white)[margin:-margin]
    return (made - made.mean()) / made.std()


def _passed(kind: str, hertz: float, fs: float, *, signal: np.ndarray) -> np.ndarray:
    sos = scipy.signal.butter(2, hertz, kind, fs=fs, output="sos")
    return np.asarray(scipy.signal.sosfiltfilt(sos, signal))


def signal_power(signal: np.ndarray, beats: np.ndarray, fs: float) -> float:
    """The power of an ECG [T] for the ratio to noise: (a / 2)^2 / 2 in mV^2.

    a is the mean height, peak to peak, of the QRS complexes at the normal `beats` within 50 ms,
    without the lowest and the highest twentieth: the power of a sine of that height.
    """
    reach = round(0.05 * fs)
    beats = beats[(beats >= reach) & (beats < len(signal) - reach)]
    heights = np.sort(np.ptp(signal[beats[:, None] + np.arange(-reach, reach + 1)], axis=1))
    middle = heights[len(heights) // 20 : len(heights) - len(heights) // 20]
    return float(np.square(middle.mean() / 2) / 2)


def noisy(length: int, fs: float) -> np.ndarray:
    """Which samples get noise, bool [length]: two minutes in turn from minute 5 on."""
    time = np.arange(length) / fs - START
    return (time >= 0) & (np.mod(time, NOISY + CLEAN) < NOISY)


def stressed(
    signal: np.ndarray, beats: np.ndarray, fs: float, *, kind: str, snr: float, seed: int
) -> np.ndarray:
    """`signal` [T] with noise of a kind at `snr` dB where `noisy` says."""
    added = noise(kind, len(signal), fs, seed=seed)
    power = np.mean(np.square(added))
    gain = np.sqrt(signal_power(signal, beats, fs) / power / 10 ** (snr / 10))
    return signal + gain * added * noisy(len(signal), fs)
