"""Which seconds of a signal can be judged, why the others cannot, and an index of each beat.

`lost` marks samples that are missing, stand still or meet the limits of the converter. `judge`
marks seconds of noise above the ECG's band (muscle, mains hum) and inside it (motion), and gives
each beat a signal quality index: the probability that it is a beat. Logistic regression, as in
Clifford et al., Physiological Measurement 33 (2012) 1419-1433, makes it from five measures: what
lies between the QRS complexes against their height, at the beat and around it; how unlike the beat
is to others around it (template matching: Orphanidou et al., 'Signal-quality indices for the
electrocardiogram and photoplethysmogram', IEEE J Biomed Health Inform 19 (2015) 832-838); its
height; its sharpness.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from kdjax import beats, filters, rpeaks

QUALITIES = ("good", "gap", "flat", "clipped", "hum", "muscle", "motion", "edge")
GAP, FLAT, CLIPPED, HUM, MUSCLE, MOTION, EDGE = range(1, len(QUALITIES))

_STILL = 1e-3  # mV from sample to sample: a converter that stands still
_FLAT_FOR = 2.0  # s that a lead may stand still: the lead is off, or the heart stands still
_CLIPPED_SAMPLES, _CLIPPED_FOR = 5, 0.015  # and s, at an end of the range, one after the other

# A beat's height is eight times the root mean square of noise from 45 to 180 Hz, or as much a Hz:
# more are noisy. Seven seconds in 10,000 of 15 records of MIT-BIH at 360 Hz, 60 at 128 Hz.
_FAST_SHARE, _FAST_BAND = 1 / 8, 135.0  # of a height, Hz
SEEN_ABOVE_BAND = 10.0  # Hz above 45 Hz that a recording must hold for its noise to be judged
_ARTEFACT = 5.0  # heights of a beat; beats of MIT-BIH reach 3.4

_MAINS = (50.0, 60.0)  # Hz
_HUM_SEEN = 0.02  # of a beat's height, root mean square
_HUM_NARROW = 4.0  # times the noise beside the line, in amplitude
_LEAST_REPEATING = 5.0  # s of a lead in which repetition is looked for
_REPEATS = 0.4  # autocorrelation of a lead that repeats itself
_NOTCH = 30.0  # quality factor

_MOST_UNLIKE = 0.5
_AROUND = 12.0  # s before or after a beat over which noise is averaged


class Weights(NamedTuple):
    """What the measures of a beat add to the log odds that it is one."""

    bias: float
    noise: float
    unlike: float
    low: float
    sharp: float
    around: float


# Fitted on DS1 of MIT-BIH with motion added (benchmarks/robustness/fit_quality.py):
SQI = Weights(1.08, -3.82, -11.6, 3.75, 8.54, -1.8)
LEAST = 0.913  # a beat whose index is lower is not good
_MOVING = 1 / 3  # more of the beats around a second that are not good make it one of motion
_MOVING_IN = 3.0  # s


class Judged(NamedTuple):
    """What noise does to a signal.

    quality: int8 [n] of each sample at the recording's rate. sqi: float32 [P], 0 to 1, of each
    R-peak; below LEAST it is not good, whatever its second is.
    """

    quality: np.ndarray
    sqi: np.ndarray


def lost(signal: np.ndarray, fs: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`signal` [n, C] with what is missing bridged by straight lines, its quality int8 [n], and
    bool [n] where a sample was bridged that lies in no gap.

    Long gaps, leads that stand still and clipping are marked.
    """
    missing = ~np.isfinite(signal)
    bridged, gap = beats.bridge(np.where(missing, np.nan, signal), fs)
    clipped, flat = np.zeros_like(gap), np.zeros_like(gap)
    for value, absent in zip(bridged.T, missing.T, strict=True):
        still = np.concatenate([[False], np.abs(np.diff(value)) < _STILL]) & ~absent
        at_end = (value == value.max()) | (value == value.min())
        least = max(_CLIPPED_SAMPLES, _CLIPPED_FOR * fs) - 1
        clipped |= beats.long_runs(still & at_end, least)
        flat |= beats.long_runs(still, _FLAT_FOR * fs)
    quality = np.zeros(len(signal), np.int8)
    for code, marked in ((CLIPPED, clipped), (FLAT, flat), (GAP, gap)):  # the last one counts
        quality[marked] = code
    return bridged, quality, missing.any(axis=1) & ~gap


def mains(signal: np.ndarray, fs: float) -> float:
    """The mains frequency, 50 or 60 Hz, that stands out of `signal` [n, C] at FS; 0 without.

    A line stands out when its root mean square is 2 % of the height of a usual second and four
    times that of the noise beside it. `fs`: the rate of the recording, which must hold the line.
    """
    if len(signal) < 4 * beats.FS:
        return 0.0
    signal = signal.astype(np.float64)
    hertz, power = _spectrum(signal)
    seconds = signal[: len(signal) // beats.FS * beats.FS].reshape(-1, beats.FS, signal.shape[1])
    height = np.median(np.ptp(seconds, axis=1), axis=0)
    strongest, line = 0.0, 0.0
    for mains in _MAINS:
        if mains > 0.45 * fs:
            continue
        away = np.abs(hertz - mains)
        around = power[(away > 2) & (away <= 5)].mean(axis=0)
        level = np.sqrt((power[away <= 1] - around).clip(0).sum(axis=0) * hertz[1])
        stands_out = power[away <= 1].max(axis=0) > _HUM_NARROW**2 * around
        share = np.where(stands_out, level / np.maximum(height, 1e-9), 0).max()
        if share > max(strongest, _HUM_SEEN):
            strongest, line = share, mains
    return line


def _spectrum(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies [F] in Hz and the power density [F, C] of `signal` [n, C] at FS.

    Welch's method: Hann windows of 2 s, each half over the one before, without their mean.
    `scipy.signal.welch` gives the same and takes six times as long, since it goes by windows.
    """
    length = 2 * beats.FS
    parts = sliding_window_view(signal, length, axis=0)[:: length // 2]  # [K, C, length]
    window = np.hanning(length + 1)[:-1]
    parts = (parts - parts.mean(axis=-1, keepdims=True)) * window
    power = np.square(np.abs(np.fft.rfft(parts, axis=-1))).mean(axis=0).T
    power[1:-1] *= 2  # those of negative frequencies
    return np.fft.rfftfreq(length, 1 / beats.FS), power / (beats.FS * np.square(window).sum())


def notched(signal: np.ndarray, hertz: float) -> np.ndarray:
    """`signal` [n, C] at FS without the mains frequency and its harmonics, without phase."""
    for line in np.arange(hertz, beats.FS / 2, hertz):
        response = filters.notch(line, _NOTCH * line / hertz, beats.FS)
        signal = filters.without_phase(response, signal, min(beats.FS, len(signal) - 1))
    return signal


def repeats(lead: np.ndarray) -> float:
    """How often a minute a band-passed `lead` [m] repeats itself, as a mouse's heart does, if that
    is faster than beats can be told apart; 0 where it does not.

    The highest peak of the autocorrelation at lags up to 0.2 s counts, if it and the value at twice
    its lag are high.
    """
    if len(lead) < _LEAST_REPEATING * beats.FS:
        return 0.0
    lead = lead - np.median(lead)  # the band-pass leaves 4 % of a constant offset
    longest = round(rpeaks.REFRACTORY * beats.FS)
    length = 1 << (len(lead) + 2 * longest).bit_length()  # a power of two
    power = np.square(np.abs(np.fft.rfft(lead, length)))
    alike = np.fft.irfft(power, length)[: 2 * longest + 1]
    inner = alike[1:longest]
    peaks = 1 + np.flatnonzero((inner >= alike[: longest - 1]) & (inner > alike[2 : longest + 1]))
    if not len(peaks):
        return 0.0
    lag = int(peaks[np.argmax(alike[peaks])])
    return 60 * beats.FS / lag if min(alike[lag], alike[2 * lag]) > _REPEATS * alike[0] else 0.0


def judge(
    quality: np.ndarray,
    signal: np.ndarray,
    leads: Sequence[rpeaks.Lead],
    *,
    hum: np.ndarray,
    peaks: np.ndarray,
    fs: float,
) -> Judged:
    """Marks seconds of noise and gives each R-peak its signal quality index.

    Args:
        quality: int8 [n] of `lost`, at the recording's rate `fs`.
        signal: [m, C] in mV at FS, without hum.
        leads: its C leads, band-passed.
        hum: [m, C], what was taken out of the signal.
        peaks: int64 [P], the R-peaks.
    """
    if not len(peaks):
        return Judged(quality, np.empty(0, np.float32))
    of_leads = [index(measures(lead, peaks)) for lead in leads]
    lowest = np.min(of_leads, axis=0)
    filtered = np.stack([lead.filtered for lead in leads], axis=1)
    range_of = np.ptp(by_second(filtered), axis=1)  # [S, C]
    seconds = peaks // beats.FS
    height = np.stack(
        [
            np.median(own[calm] if (calm := of >= LEAST).any() else own)
            for own, of in zip(range_of[seconds].T, of_leads, strict=True)
        ]
    )
    fast = _rms(filters.without_phase(_ABOVE_THE_BAND, signal, 0))
    judged = noise_band(fs) >= SEEN_ABOVE_BAND
    held = np.sqrt(noise_band(fs) / _FAST_BAND) if judged else 1.0  # of white noise, in amplitude
    limit = height * _FAST_SHARE * held if judged else np.inf
    noisy = fast > limit
    artefact = (range_of > height * _ARTEFACT).any(axis=1)
    marks = np.zeros(len(range_of), np.int8)
    moving = mean_around(lowest < LEAST, peaks, len(marks)) > _MOVING
    marks[artefact | moving | noisy.any(axis=1)] = MOTION
    above = noisy & (fast > held * _rms(filtered) / 2)  # more above the band than inside it
    marks[above.any(axis=1)] = MUSCLE
    marks[(above & (_rms(hum) > fast)).any(axis=1)] = HUM
    place = (np.arange(len(quality)) / fs).astype(int)
    by_sample = marks[np.minimum(place, len(marks) - 1)]
    return Judged(np.where(quality == 0, by_sample, quality), lowest.astype(np.float32))


_ABOVE_THE_BAND = filters.butterworth(4, 45, beats.FS / 2, fs=beats.FS)


def noise_band(fs: float) -> float:
    """How many Hz above 45 Hz a recording at `fs` Hz holds, of those up to 180 Hz."""
    return min(0.45 * fs, 180.0) - 45.0


def by_second(signal: np.ndarray) -> np.ndarray:
    """`signal` [m, C] at FS as [S, FS, C]; the last second is filled up with its last sample."""
    fill = -len(signal) % beats.FS
    return np.pad(signal, ((0, fill), (0, 0)), mode="edge").reshape(-1, beats.FS, signal.shape[1])


def _rms(signal: np.ndarray) -> np.ndarray:
    """Root mean square [S, C] of each second of `signal` [m, C]."""
    return np.sqrt(np.square(by_second(signal)).mean(axis=1))


def index(measures: np.ndarray, weights: Weights = SQI) -> np.ndarray:
    """The signal quality index [P] of R-peaks of which `measures` [P, 5] are known."""
    odds = weights.bias + measures @ np.array(weights[1:])
    return 1 / (1 + np.exp(-odds))


def measures(lead: rpeaks.Lead, peaks: np.ndarray) -> np.ndarray:
    """What the index is made from, float64 [P, 5] in the order of `Weights`.

    The log of `rpeaks.noise_ratio` in the beat's second; `rpeaks.unlikeness`, at most 0.5: a
    ventricular beat may differ from all others; the log of its energy over the usual one, where it
    is lower; the log of its sharpness; the mean of the first over the beats
    of the 12 s before it or after it, whichever is lower: noise that is over says nothing.
    """
    time, log = peaks / beats.FS, np.log(lead.energy[peaks])
    noise = np.log(rpeaks.noise_ratio(lead.energy, peaks))[peaks // beats.FS]
    low = np.minimum(log - rpeaks.usual(time, time, log), 0)
    sharp = np.log(lead.sharp[peaks]) - log
    unlike = np.minimum(rpeaks.unlikeness(lead.filtered, peaks, peaks), _MOST_UNLIKE)
    ends = np.searchsorted(time, time - _AROUND), np.searchsorted(time, time + _AROUND)
    own = np.arange(len(time))
    around = np.minimum(_means(noise, ends[0], own + 1), _means(noise, own, ends[1]))
    return np.stack([noise, unlike, low, sharp, around], axis=1)


def mean_around(values: np.ndarray, peaks: np.ndarray, seconds: int) -> np.ndarray:
    """The mean [S] of the beats' values [P] over the 3 s around each second; 0 without beats."""
    middles = np.arange(seconds) + 0.5
    edges = middles - _MOVING_IN / 2, middles + _MOVING_IN / 2
    return _means(values, *(np.searchsorted(peaks / beats.FS, edge) for edge in edges))


def _means(values: np.ndarray, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The means [N] of the values [P] from first to end, int64 [N]; 0 where there are none."""
    sums = np.concatenate([[0], np.cumsum(values)])
    return (sums[end] - sums[first]) / np.maximum(end - first, 1)


def worst(quality: np.ndarray, peak: np.ndarray, fs: float) -> np.ndarray:
    """The quality of each beat [B]: the first of QUALITIES, good apart, anywhere in its window."""
    first = np.clip(np.floor(peak - beats.BEFORE * fs / beats.FS).astype(int), 0, None)
    end = np.ceil(peak + beats.AFTER * fs / beats.FS).astype(int)
    end = np.minimum(end, len(quality))
    worst = np.zeros(len(peak), np.int8)
    for code in np.flatnonzero(np.bincount(quality))[::-1]:
        if not code:
            break  # good
        count = np.concatenate([[0], np.cumsum(quality == code)])
        worst[count[end] > count[first]] = code
    return worst
