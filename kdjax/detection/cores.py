"""From samples to beats, core by core, in bounded memory.

A recording is cut into a fixed grid of cores of a minute. Each is read with 20 s before and 5 s
after it, processed like every beat (`beats`), and yields the beats that lie in it. Blocks of any
size give the same grid, so a whole file and a live stream lead to the same decisions to the last
bit.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.signal

from kdjax import beats, rpeaks

CORE, BEFORE, AFTER = 60.0, 20.0, 5.0  # s
DELAY = CORE + AFTER  # s at most, from a beat to its decision, once the score is adapted
QUALITIES = ("good", "gap", "flat", "clipped", "noisy", "edge")

_REFRACTORY = 0.2  # s: two beats lie further apart
_STILL = 1e-3  # mV from sample to sample: a converter that stands still
_FLAT = 2.0  # s that a lead may stand still: the lead is off, or the heart stands still
_CLIPPED = 5, 0.015  # samples, and s, at an end of the range, one after the other
# A beat's height is eight times the root mean square of noise from 45 to 180 Hz, or as much a Hz:
# more are noisy. Seven seconds in 10,000 of 15 records of MIT-BIH at 360 Hz, 60 at 128 Hz.
_NOISE = 1 / 8, 135.0
SEEN_ABOVE_BAND = 10.0  # Hz above 45 Hz that a recording must hold for its noise to be judged
_ARTEFACT = 5.0  # heights of a beat; beats of MIT-BIH reach 3.4


class Found(NamedTuple):
    """The beats of one core: the R-peak in samples of the recording, the beat, quality, RR.

    sample: int64 [B]; window: float32 [B, T, C] in mV and x, the same scaled, zeros where there is
    no whole window; height: float32 [B] in mV, of the first lead; quality: int8 [B], index into
    QUALITIES; rr, after: float32 [B] in s to the beat before and to the next one, NaN where bad
    signal lies between. first: where the core begins; samples: int8 [n], the quality of each of
    its samples.
    """

    sample: np.ndarray
    window: np.ndarray
    x: np.ndarray
    height: np.ndarray
    quality: np.ndarray
    rr: np.ndarray
    after: np.ndarray
    first: int
    samples: np.ndarray


def find_beats(
    signal: np.ndarray, fs: float, start: int, core: tuple[int, int], last: int | None
) -> Found:
    """The beats in a core of a recording, given the samples around it.

    Args:
        signal: [n, C] in mV from the recording's sample `start` on, NaN where samples are missing.
        fs: in Hz.
        start: the place of signal[0] in the recording.
        core: the samples [first, end) of the recording whose beats are wanted. A beat up to 0.2 s
            before them that the core before left out, having seen it later, is taken as well.
        last: the last beat found so far, None when there is none.
    """
    signal, quality = _without_gaps(np.asarray(signal, np.float64), fs)
    at_fs = beats.resample(signal, fs)
    filtered = beats.bandpass(at_fs, beats.FS)
    place = np.arange(len(filtered)) / float(beats.rate_ratio(fs))
    unfit = np.isin(quality, _NOTHING)[np.minimum(place.astype(int), len(quality) - 1)]
    peak = rpeaks.r_peaks(filtered[:, 0], unfit)
    sample = start + np.rint(peak / float(beats.rate_ratio(fs))).astype(np.int64)
    sample = np.minimum(sample, start + len(signal) - 1)
    whole = beats.whole(peak, len(filtered))
    windows = beats.windows(filtered, peak[whole])
    heights = np.ptp(windows, axis=1)  # [B, C]
    _mark_noise(quality, at_fs, filtered, heights, fs)

    earliest = core[0] - _REFRACTORY * fs
    if last is not None:
        earliest = max(earliest, last + _REFRACTORY * fs)
    kept = (sample >= earliest) & (quality[sample - start] != _GAP)
    kept &= _apart(sample, kept, _REFRACTORY * fs)
    window = np.zeros((len(peak), beats.WINDOW, signal.shape[1]), np.float32)
    window[whole] = windows
    height = np.zeros(len(peak), np.float32)
    height[whole] = heights[:, 0]
    worst = _worst(quality, sample - start, fs)
    worst[~whole] = QUALITIES.index("edge")
    own = np.flatnonzero(kept & (sample < core[1]))
    following = sample[kept & (sample >= core[1])][:1]
    rr = _intervals(np.append(sample[own], following), last, quality, start, fs)
    return Found(
        sample[own],
        window[own],
        beats.scale(window[own]),
        height[own],
        worst[own],
        rr[: len(own)],
        np.append(rr, np.float32(np.nan))[1 : len(own) + 1],
        core[0],
        quality[core[0] - start : core[1] - start],
    )


_GAP = QUALITIES.index("gap")
_NOTHING = _GAP, QUALITIES.index("flat")  # no beat can be there


def _apart(sample: np.ndarray, wanted: np.ndarray, least: float) -> np.ndarray:
    """Which of the wanted beats [B] lie as far after the one before that counts."""
    apart, last = np.zeros(len(sample), bool), -np.inf
    for beat in np.flatnonzero(wanted):
        if sample[beat] - last >= least:
            apart[beat], last = True, sample[beat]
    return apart


def _without_gaps(signal: np.ndarray, fs: float) -> tuple[np.ndarray, np.ndarray]:
    """The signal [n, C] with what is missing bridged by straight lines, and its quality int8 [n].

    Long gaps, leads that stand still and clipping are marked.
    """
    missing = ~np.isfinite(signal)
    bridged, gap = beats.bridge(np.where(missing, np.nan, signal), fs)
    clipped, flat = np.zeros_like(gap), np.zeros_like(gap)
    for value, lost in zip(bridged.T, missing.T, strict=True):
        still = np.concatenate([[False], np.abs(np.diff(value)) < _STILL]) & ~lost
        at_end = (value == value.max()) | (value == value.min())
        clipped |= beats.long_runs(still & at_end, max(_CLIPPED[0], _CLIPPED[1] * fs) - 1)
        flat |= beats.long_runs(still, _FLAT * fs)
    quality = np.zeros(len(signal), np.int8)
    for name, marked in (("clipped", clipped), ("flat", flat), ("gap", gap)):  # the last one counts
        quality[marked] = QUALITIES.index(name)
    return bridged, quality


def _mark_noise(
    quality: np.ndarray, signal: np.ndarray, filtered: np.ndarray, heights: np.ndarray, fs: float
) -> None:
    """Marks the noisy seconds in `quality` [n], given the signal [m, C] at 360 Hz before and after
    the band-pass and the beats' heights [B, C]."""
    if not len(heights):
        return
    height = np.median(heights, axis=0)
    share, band = _NOISE
    judged = noise_band(fs) >= SEEN_ABOVE_BAND
    limit = height * share * np.sqrt(noise_band(fs) / band) if judged else np.inf
    fast = scipy.signal.sosfiltfilt(_ABOVE_THE_BAND, signal, axis=0, padlen=0)
    for second in range(-(-len(signal) // beats.FS)):
        at = slice(second * beats.FS, (second + 1) * beats.FS)
        noise = np.sqrt(np.square(fast[at]).mean(axis=0))
        artefact = np.ptp(filtered[at], axis=0) > height * _ARTEFACT
        if artefact.any() or (noise > limit).any():
            part = quality[round(second * fs) : round((second + 1) * fs)]
            part[part == 0] = QUALITIES.index("noisy")


def noise_band(fs: float) -> float:
    """How many Hz above 45 Hz a recording at `fs` Hz holds, of those up to 180 Hz."""
    return min(0.45 * fs, 180.0) - 45.0


_ABOVE_THE_BAND = scipy.signal.butter(4, 45, "highpass", fs=beats.FS, output="sos")


def _worst(quality: np.ndarray, peak: np.ndarray, fs: float) -> np.ndarray:
    """The quality of each beat [B]: the first of QUALITIES, good apart, anywhere in its window."""
    first = np.clip(np.floor(peak - beats.BEFORE * fs / beats.FS).astype(int), 0, None)
    end = np.ceil(peak + beats.AFTER * fs / beats.FS).astype(int)
    end = np.minimum(end, len(quality))
    worst = np.zeros(len(peak), np.int8)
    for code in range(len(QUALITIES) - 1, 0, -1):
        count = np.concatenate([[0], np.cumsum(quality == code)])
        worst[count[end] > count[first]] = code
    return worst


def _intervals(
    sample: np.ndarray, last: int | None, quality: np.ndarray, start: int, fs: float
) -> np.ndarray:
    """Seconds from each beat [B] to the one before it, NaN where bad signal lies between them."""
    before = np.concatenate([[start - 1 if last is None else last], sample[:-1]])[: len(sample)]
    bad = np.concatenate([[0], np.cumsum(quality != 0)])
    seen = before >= start
    known = np.where(seen, before - start, 0).astype(int)
    whole = seen & (bad[sample - start] == bad[known])
    return np.where(whole, (sample - before) / fs, np.nan).astype(np.float32)


class BeatStream:
    """The beats of a signal that comes in blocks: `push` samples [n, C], then `finish`."""

    def __init__(self, channels: int, fs: float):
        """fs in Hz; InputError where it is 90 or less."""
        beats.rate_ratio(fs)  # refuses what `find_beats` would, before anything is read
        self.fs = fs
        self._channels = channels
        self._blocks: list[np.ndarray] = []  # joined when a core is complete
        self._start = self._end = 0  # what they hold of the recording
        self._core = 0  # number of the next core
        self._last: int | None = None
        self._over = False

    def push(self, samples: np.ndarray) -> Iterator[Found]:
        """Takes samples, gives the beats of each core that is complete now.

        ValueError for another number of leads, or once the recording is finished.
        """
        samples = np.asarray(samples, np.float32)
        samples = samples[:, None] if samples.ndim == 1 else samples
        if samples.ndim != 2 or samples.shape[1] != self._channels:
            raise ValueError(f"samples {samples.shape}; [n, {self._channels}] needed")
        if self._over:
            raise ValueError("this recording is finished; make a new stream for another")
        self._blocks.append(samples)
        self._end += len(samples)
        return self._complete(round(AFTER * self.fs))

    def peek(self, after: float) -> Found | None:
        """The beats since the last complete core, as they look now; None where there is no signal.

        after: s of signal that must have followed a beat. Nothing is taken out of the stream.
        """
        core = self._place(self._core), self._end - round(after * self.fs)
        if core[1] <= core[0]:
            return None
        return find_beats(np.concatenate(self._blocks), self.fs, self._start, core, self._last)

    def finish(self) -> Iterator[Found]:
        """Gives the beats of the cores that were waiting for more."""
        self._over = True
        yield from self._complete(0)
        if self._place(self._core) < self._end:
            yield self._next(self._end)

    def _complete(self, after: int) -> Iterator[Found]:
        while self._end >= self._place(self._core + 1) + after:
            yield self._next(self._place(self._core + 1))

    def _place(self, core: int) -> int:
        return round(core * CORE * self.fs)

    def _next(self, end: int) -> Found:
        core = self._place(self._core), end
        signal = np.concatenate(self._blocks)
        around = signal[: end + round(AFTER * self.fs) - self._start]
        found = find_beats(around, self.fs, self._start, core, self._last)
        if len(found.sample):
            self._last = int(found.sample[-1])
        self._core += 1
        forgotten = max(self._place(self._core) - round(BEFORE * self.fs) - self._start, 0)
        self._blocks = [signal[forgotten:].copy()]  # the rest of it is let go
        self._start += forgotten
        return found


def all_cores(
    stream: BeatStream, blocks: Iterator[np.ndarray], progress: Callable[[int], Any]
) -> Iterator[Found]:
    """The beats of all blocks to the end."""
    for block in blocks:
        yield from stream.push(block)
        progress(len(block))
    yield from stream.finish()
