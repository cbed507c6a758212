"""From samples to windows in integers, causal: band-pass, R-peaks, windows, scaling.

The band-pass is that of `beats.bandpass`, whose two passes are one symmetric filter of 217 taps; it
runs 108 samples late. R-peaks are found by the rules of Hamilton ('Open source ECG analysis',
Computers in Cardiology 29, 2002) on another measure: the band-passed signal's difference of two
neighbouring means, its absolute value averaged over 80 ms.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kdjax import beats
from kdjax.embedded.quantise import BEAT_BITS

FS = beats.FS
TAP_BITS = 14  # a tap of 1 is 2^14
OUTPUT_PER_MILLIVOLT = 2000  # the band-passed signal is in half microvolts
LIMIT = 32767  # of the band-passed signal
SWING = 60_000  # microvolts: a lead that is further from its offset gets another one

HALF = 8  # samples in each of the two means
SPREAD = 28  # samples over which their difference is averaged
LAG = HALF - 1 + SPREAD // 2  # of the measure behind the signal
WAIT = 72  # samples for which a maximum must not be passed, 200 ms; beats lie further apart
T_WAVE = 130  # samples after a beat within which half its height is not enough, 360 ms
REACH = 18  # samples from a detection to its R-peak, 50 ms
LEARN = 8  # s whose maxima are the first heights
RATIO = 90  # of 256: where the threshold lies between noise and beats
FLOOR = 5000  # of the threshold
SILENCE = 720  # samples without a beat after which the heights are halved, after two of them
MEMORY = 8  # heights, noise maxima and intervals
RING = 1024  # samples of the band-passed signal that are kept
RR_LONGEST = 65535  # samples
FLAT = 100  # half microvolts: a window with a smaller range has no beat in it


def taps() -> np.ndarray:
    """The symmetric band-pass up to its middle tap, the last of 109; int64, units of 2^-14."""
    once = beats.band_taps(FS)
    twice = np.rint(np.convolve(once, once) * 2**TAP_BITS).astype(np.int64)
    assert np.abs(twice).sum() * SWING < 2**31
    return twice[: len(twice) // 2 + 1]


def bandpass(signal: np.ndarray) -> np.ndarray:
    """The band-passed signal int64 [T] in half microvolts of int [T] in microvolts at 360 Hz.

    Zero in the first and last 108 samples, which the filter does not reach. The filter's small gain
    at 0 Hz is that of `beats.bandpass`; a lead's offset is taken off before it.
    """
    *pairs, middle_tap = taps()
    reach = len(pairs)
    signal = np.asarray(signal, np.int64)
    out = np.zeros(len(signal), np.int64)
    if len(signal) > 2 * reach:
        offset = _offsets(signal)[2 * reach :]
        length = len(offset)
        total = middle_tap * np.clip(signal[reach:-reach] - offset, -SWING, SWING)
        for k, tap in enumerate(pairs):
            pair = signal[k : k + length] + signal[2 * reach - k :][:length]
            total += tap * np.clip(pair - 2 * offset, -2 * SWING, 2 * SWING)
        shift = TAP_BITS - 1
        out[reach:-reach] = np.clip((total + (1 << shift >> 1)) >> shift, -LIMIT, LIMIT)
    return out


def _offsets(signal: np.ndarray) -> np.ndarray:
    """What is taken off at each sample [T]: the first one, until another is too far from it."""
    offsets = np.empty(len(signal), np.int64)
    start = 0
    while start < len(signal):
        far = np.abs(signal[start:] - signal[start]) > SWING
        end = start + int(np.argmax(far)) if far.any() else len(signal)
        offsets[start:end] = signal[start]
        start = end
    return offsets


def measure(filtered: np.ndarray) -> np.ndarray:
    """What R-peaks are sought in, int64 [T], of the band-passed signal [T]."""
    padded = np.concatenate([np.zeros(2 * HALF, np.int64), np.cumsum(filtered)])
    now, before, first = padded[2 * HALF :], padded[HALF:-HALF], padded[: -2 * HALF]
    steep = np.concatenate(
        [np.zeros(SPREAD, np.int64), np.cumsum(np.abs(now - 2 * before + first))]
    )
    return steep[SPREAD:] - steep[:-SPREAD]


@dataclass(frozen=True, eq=False, kw_only=True)
class Beat:
    """An R-peak in samples, samples since the one before (0 unknown), and its window.

    window: int64 [320] in half microvolts; None where the signal holds no whole one, or it is flat
    or out of range. decided: the sample with which the beat is complete.
    """

    sample: int
    rr: int
    window: np.ndarray | None
    decided: int


class Peaks:
    """Finds beats in the measure, sample after sample: the state of the C library."""

    def __init__(self):
        self._height = [0] * MEMORY
        self._noise = [0] * MEMORY
        self._intervals = [FS] * MEMORY
        self._candidate = (0, 0)  # value, place
        self._missed = (0, 0)
        self._previous = 0
        self._last: tuple[int, int] | None = None
        self._learnt = 0
        self._quiet = 0  # the sample from which silence counts

    def push(self, place: int, value: int) -> int | None:
        """The place of the measure's maximum at a beat, if one is certain now."""
        rising, self._previous = value > self._previous, value
        if self._learnt < LEARN * FS:
            second = self._learnt // FS
            self._height[second] = max(self._height[second], value)
            self._learnt += 1
            self._quiet = place
            return None
        found = None
        if rising and value > self._candidate[0]:
            self._candidate = value, place
        elif self._candidate[0] and place - self._candidate[1] >= WAIT:
            found = self._judge(*self._candidate)
            self._candidate = 0, place
        if found is None:
            found = self._missing(place)
        if found is None and place - self._quiet >= 2 * SILENCE:
            self._height = [height >> 1 for height in self._height]
            self._quiet += SILENCE
        return found

    def threshold(self) -> int:
        """What a maximum must exceed."""
        noise, height = _middle(self._noise), _middle(self._height)
        return max(noise + ((height - noise) * RATIO >> 8), FLOOR)

    def _judge(self, value: int, place: int) -> int | None:
        since = T_WAVE if self._last is None else place - self._last[1]
        low = self._last is not None and since < T_WAVE and 2 * value < self._last[0]
        if value > self.threshold() and not low:
            return self._accept(value, place)
        self._noise = [*self._noise[1:], value]
        if since >= T_WAVE and value > self._missed[0]:
            self._missed = value, place
        return None

    def _missing(self, place: int) -> int | None:
        """A lower maximum, where a beat is overdue."""
        if self._last is None or not self._missed[0]:
            return None
        overdue = 3 * sum(self._intervals) // (2 * MEMORY) + WAIT
        if place - self._last[1] > overdue and 2 * self._missed[0] > self.threshold():
            return self._accept(*self._missed)
        return None

    def _accept(self, value: int, place: int) -> int:
        self._height = [*self._height[1:], value]
        if self._last is not None:
            self._intervals = [*self._intervals[1:], place - self._last[1]]
        self._last, self._missed = (value, place), (0, 0)
        self._quiet = place
        return place


def _middle(values: list[int]) -> int:
    ranked = sorted(values)
    return (ranked[MEMORY // 2 - 1] + ranked[MEMORY // 2]) >> 1


def find_beats(signal: np.ndarray) -> Iterator[Beat]:
    """The beats of int [T] in microvolts at 360 Hz, as the C library finds them."""
    filtered = bandpass(signal)
    reach = len(taps()) - 1
    values = measure(filtered).tolist()
    peaks, waiting, last = Peaks(), [], None
    for place in range(reach, len(signal) - reach):
        found = peaks.push(place, values[place])
        if found is not None:
            r_peak = _r_peak(filtered, found - LAG, place)
            if last is None or r_peak - last >= WAIT:
                rr = 0 if last is None or r_peak - last > RR_LONGEST else r_peak - last
                waiting.append((r_peak, rr))
                last = r_peak
        if waiting and place >= waiting[0][0] + beats.AFTER - 1:
            r_peak, rr = waiting.pop(0)
            window = _window(filtered, r_peak, place)
            yield Beat(sample=r_peak, rr=rr, window=window, decided=place + reach)


def _r_peak(filtered: np.ndarray, near: int, place: int) -> int:
    """The maximum within 50 ms, where the last 1024 samples still hold them."""
    first = max(near - REACH, 0)
    if first <= place - RING:
        return near
    return first + int(np.argmax(filtered[first : near + REACH + 1]))


def _window(filtered: np.ndarray, r_peak: int, place: int) -> np.ndarray | None:
    first = r_peak - beats.BEFORE
    if first < 0 or first <= place - RING:
        return None
    window = filtered[first : r_peak + beats.AFTER]
    usable = np.ptp(window) >= FLAT and np.abs(window).max() < LIMIT
    return window if usable else None


def scale(windows: np.ndarray) -> np.ndarray:
    """Windows [B, T] mapped to [-1, 1] in units of 2^-14; a flat one becomes zeros."""
    low = windows.min(axis=1, keepdims=True)
    span = windows.max(axis=1, keepdims=True) - low
    one = 1 << BEAT_BITS
    scaled = (2 * one * (windows - low) + (span >> 1)) // np.maximum(span, 1) - one
    return np.where(span == 0, 0, scaled)
