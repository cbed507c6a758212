"""From a recording to beats: band-pass, RR intervals, windows, scaling.

Every step is one pure NumPy function, the same for training data and for use. Time is in samples
unless a name says seconds; signals are in mV.
"""

import math
from fractions import Fraction

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from kdjax import filters
from kdjax.errors import InputError

FS = 360  # Hz: the rate at which windows are cut
BEFORE, AFTER = 140, 180  # a window is samples [centre - BEFORE, centre + AFTER)
WINDOW = BEFORE + AFTER
MULTIPLE = 32  # samples of a window: the networks halve it five times
NEAR = 10  # a centre lies near an R-peak when it is less than this many samples away from it
MEDIAN_INTERVALS = 16  # intervals in the running median
# Raise it whenever a change below alters a single value: the data sets carry it as their version,
# so that beats of two pipelines are never taken for each other.
PIPELINE = 1

BAND = (3.0, 45.0)  # Hz
_GRID = 2.0**-14  # mV
_OWN = 0.15  # s
_BRIDGED = 0.1  # s
_LOBES = 20  # of the resampling filter on each side, in periods of the lower of the two rates


def rate_ratio(fs: float) -> Fraction:
    """FS / fs: sample n at `fs` Hz stands at n times that of what `resample` makes.

    A fraction of whole numbers up to about a thousand, as usual rates have; any other rate is taken
    for the nearest that has one, less than a thousandth away. InputError up to 90 Hz.
    """
    _check_rate(fs)
    return 1 / Fraction(fs / FS).limit_denominator(1000)


def resample(signal: np.ndarray, fs: float) -> np.ndarray:
    """`signal` [T] or [T, C], finite, at `fs` Hz, as float32 at FS Hz from its first sample on.

    A polyphase FIR (Kaiser window, 20 periods of the lower rate on each side; Oppenheim & Schafer,
    Discrete-Time Signal Processing, chapters 4 and 7) cuts off at the lower Nyquist frequency, so
    that nothing folds into the band of beats. From 100 Hz on, sines of 3 to 45 Hz are wrong by at
    most 0.1 % of their amplitude. Beyond its ends the signal is continued point-symmetrically: in
    the first and last hundredths of a second a 10 Hz sine may be wrong by 3 %, one of 40 Hz by a
    third. What is flat stays flat. InputError up to 90 Hz.
    """
    ratio = rate_ratio(fs)
    signal = np.asarray(signal)
    if ratio == 1:
        return signal.astype(np.float32, copy=False)
    up, down = ratio.numerator, ratio.denominator
    reach = _LOBES * max(up, down)
    taps = filters.resampling(up, down, _LOBES, beta=6.0)
    pad = down * (reach // (up * down) + 1)  # a whole number of results
    first, last = pad * up // down, (pad + len(signal) - 1) * up // down
    level = np.asarray(signal[0], np.float64)
    ends = ((pad, pad), *[(0, 0)] * (signal.ndim - 1))
    signal = np.pad(signal - level, ends, mode="reflect", reflect_type="odd")
    found = filters.resample(signal, up, down, taps=taps)[first : last + 1] + level
    return found.astype(np.float32)


def bridge(signal: np.ndarray, fs: float) -> tuple[np.ndarray, np.ndarray]:
    """`signal` [T, C] without its NaN, each lead's bridged by straight lines; gap bool [T].

    A gap is where a lead lacks more than 0.1 s on end. A lead of nothing but NaN becomes 0.
    """
    bridged, gap = np.array(signal), np.zeros(len(signal), bool)
    place = np.arange(len(signal))
    for lead, missing in enumerate(np.isnan(bridged).T):
        if not missing.any():
            continue
        there = place[~missing]
        bridged[missing, lead] = (
            np.interp(place[missing], there, bridged[there, lead]) if len(there) else 0
        )
        gap |= long_runs(missing, math.floor(_BRIDGED * fs) + 1)
    return bridged, gap


def runs_of(mask: np.ndarray) -> np.ndarray:
    """First and end index int64 [K, 2] of each run of True in bool [T]."""
    edges = np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8))
    return np.flatnonzero(edges).reshape(-1, 2)


def long_runs(mask: np.ndarray, least: float) -> np.ndarray:
    """Those runs of True in bool [T] that have `least` samples or more, bool [T]."""
    runs = runs_of(mask)
    long = np.zeros(len(mask), bool)
    for first, end in runs[runs[:, 1] - runs[:, 0] >= least]:
        long[first:end] = True
    return long


def _check_rate(fs: float) -> None:
    if not 2 * BAND[1] < fs < math.inf:
        raise InputError(
            f"a signal at {fs:g} Hz cannot hold the band 3-45 Hz; record it above 90 Hz"
        )


def bandpass(signal: np.ndarray, fs: float) -> np.ndarray:
    """`signal` [T] or [T, C] in mV, band-passed 3-45 Hz without phase, float32 of that shape.

    A windowed-sinc FIR (`band_taps`), run forwards and backwards. The result stands
    on a grid of 2^-14 mV, a hundredth of a usual converter's step: so that machines agree bit for
    bit, and rounding errors make no signal of a flat lead. InputError below 90 Hz.
    """
    _check_rate(fs)
    taps = band_taps(fs)
    filtered = filters.without_phase(taps, signal, min(3 * len(taps), len(signal) - 1))
    return (np.round(filtered / _GRID) * _GRID).astype(np.float32)


def band_taps(fs: float) -> np.ndarray:
    """The windowed sinc of `bandpass`, whose order is 0.3 fs made even."""
    low, high = (2 * edge / fs for edge in BAND)
    return filters.windowed_sinc(np.hamming(int(0.3 * fs) | 1), low, high)


def distance_to_peak(centres: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Samples from each of `centres` [B] to the nearest of the ascending `peaks`, float64 [B]."""
    edges = np.concatenate([[-np.inf], peaks, [np.inf]])
    after = np.searchsorted(edges, centres, side="right")
    return np.minimum(centres - edges[after - 1], edges[after] - centres)


def rr_intervals(
    centres: np.ndarray, peaks: np.ndarray, fs: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`(rr_before, rr_after, rr_median)` float32 [B] in seconds, NaN where there is none.

    A beat stands at the nearest of `peaks` (int [P], ascending) within 150 ms of its centre, or
    at the centre where no peak is that near; the intervals go to the peaks on either side.
    `rr_median` is causal: the median of the last 16 intervals (or as many as there are) between
    peaks that come before the beat, so its own interval is not among them.
    """
    peaks = np.asarray(peaks, np.float64)
    edges = np.concatenate([[np.nan], peaks, [np.nan]])  # edges[i] is the peak before peaks[i]
    after = np.searchsorted(peaks, centres)  # the first peak at or after the centre
    to_previous = np.nan_to_num(centres - edges[after], nan=np.inf)
    to_next = np.nan_to_num(edges[after + 1] - centres, nan=np.inf)
    has_own = np.minimum(to_previous, to_next) <= _OWN * fs
    own = np.where(to_next <= to_previous, after, after - 1)
    before = np.where(has_own, own, after)  # how many peaks come before the beat
    place = np.where(has_own, edges[own + 1], centres)
    following = edges[before + 1 + has_own]
    medians = np.full(len(peaks) + 1, np.nan)  # by the number of peaks before the beat
    if len(peaks) > 1:
        intervals = np.concatenate([np.full(MEDIAN_INTERVALS, np.nan), np.diff(peaks)])
        medians[2:] = np.nanmedian(sliding_window_view(intervals, MEDIAN_INTERVALS)[1:], axis=1)
    seconds = [(place - edges[before]) / fs, (following - place) / fs, medians[before] / fs]
    rr_before, rr_after, rr_median = (values.astype(np.float32) for values in seconds)
    return rr_before, rr_after, rr_median


def whole(centres: np.ndarray, length: int) -> np.ndarray:
    """Which of `centres` [B] have their whole window in a signal of `length` samples, bool [B]."""
    return (centres >= BEFORE) & (centres + AFTER <= length)


def windows(filtered: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The windows float32 [B, 320, C] of `filtered` [T, C] around `centres` [B], all whole."""
    if not whole(centres, len(filtered)).all():
        raise ValueError("a centre lies too near an end of the signal for a whole window")
    return filtered[np.asarray(centres)[:, None] + np.arange(-BEFORE, AFTER)]


def pad(windows: np.ndarray) -> np.ndarray:
    """`windows` [B, T, C], their last sample repeated until T is a multiple of `MULTIPLE`."""
    missing = -windows.shape[1] % MULTIPLE
    return np.pad(windows, ((0, 0), (0, missing), (0, 0)), mode="edge")


def scale(windows: np.ndarray) -> np.ndarray:
    """`windows` [B, T, C] mapped to [-1, 1] for each beat and lead; a flat lead becomes zeros."""
    low = windows.min(axis=1, keepdims=True)
    span = windows.max(axis=1, keepdims=True) - low
    flat = span == 0
    scaled = (windows - low) / np.where(flat, 1, span) * 2 - 1
    return np.where(flat, 0, scaled).astype(windows.dtype, copy=False)
