"""From samples to beats, core by core, in bounded memory.

A recording is cut into a fixed grid of cores of a minute. Each is read with 20 s before and 5 s
after it, processed like every beat (`beats`), and yields the beats that lie in it. Blocks of any
size give the same grid, so a whole file and a live stream lead to the same decisions to the last
bit.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from kdjax import beats, rpeaks
from kdjax.detection import quality
from kdjax.detection.threads import one_thread
from kdjax.errors import InputError

CORE, BEFORE, AFTER = 60.0, 20.0, 5.0  # s
DELAY = CORE + AFTER  # s at most, from a beat to its decision, once the score is adapted


class Found(NamedTuple):
    """The beats of one core: the R-peak in samples of the recording, the beat, quality, RR.

    sample: int64 [B]; window: float32 [B, T, C] in mV and x, the same scaled, zeros where there is
    no whole window; height: float32 [B] in mV, of the first lead; quality: int8 [B], index into
    QUALITIES; sqi: float32 [B], the signal quality index; rr, after: float32 [B] in s to the beat
    before and to the next one, NaN where bad signal lies between. first: where the core begins;
    samples: int8 [n], the quality of each of its samples. hum: the mains frequency that was taken
    out, 0 for none; bridged: how many missing samples were filled; repeats: how often a
    minute the first lead repeats itself, 0 unless that is too fast for the detector.
    """

    sample: np.ndarray
    window: np.ndarray
    x: np.ndarray
    height: np.ndarray
    quality: np.ndarray
    sqi: np.ndarray
    rr: np.ndarray
    after: np.ndarray
    first: int
    samples: np.ndarray
    hum: float
    bridged: int
    repeats: float


@one_thread()
def find_beats(
    signal: np.ndarray, fs: float, *, start: int, core: tuple[int, int], last: int | None
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
    signal, marks, bridged = quality.lost(np.asarray(signal, np.float64), fs)
    at_fs = beats.resample(signal, fs)
    hum = quality.mains(at_fs, fs)
    clean = quality.notched(at_fs, hum) if hum else at_fs
    filtered = beats.bandpass(clean, beats.FS)
    places = (np.arange(len(filtered)) / float(beats.rate_ratio(fs))).astype(int)
    nothing = np.isin(marks, (quality.GAP, quality.FLAT))  # no beat can be there
    leads = [rpeaks.measured(lead) for lead in filtered.T]
    peak = rpeaks.r_peaks(leads[0], nothing[np.minimum(places, len(marks) - 1)])
    judged = quality.judge(marks, clean, leads, hum=at_fs - clean, peaks=peak, fs=fs)
    marks = judged.quality
    sample = start + np.rint(peak / float(beats.rate_ratio(fs))).astype(np.int64)
    sample = np.minimum(sample, start + len(signal) - 1)

    kept = np.flatnonzero(
        _later(sample, core, last, fs=fs) & (marks[sample - start] != quality.GAP)
    )
    peak, sample = peak[kept], sample[kept]
    intervals = np.append(_intervals(sample, last, marks, start=start, fs=fs), np.float32(np.nan))
    own = np.flatnonzero(sample < core[1])
    peak, sample = peak[own], sample[own]
    whole = beats.whole(peak, len(filtered))
    window = np.zeros((len(peak), beats.WINDOW, signal.shape[1]), np.float32)
    window[whole] = beats.windows(filtered, peak[whole])
    worst = quality.worst(marks, sample - start, fs)
    sqi = judged.sqi[kept][own]
    worst[(sqi < quality.LEAST) & (worst == 0)] = quality.MOTION
    worst[~whole] = quality.EDGE
    inside = slice(core[0] - start, core[1] - start)
    return Found(
        sample=sample,
        window=window,
        x=beats.scale(window),
        height=np.ptp(window[..., 0], axis=1),
        quality=worst,
        sqi=sqi,
        rr=intervals[own],
        after=intervals[own + 1],
        first=core[0],
        samples=marks[inside],
        hum=hum,
        bridged=int(bridged[inside].sum()),
        repeats=quality.repeats(filtered[:, 0].astype(np.float64)),
    )


def _later(sample: np.ndarray, core: tuple[int, int], last: int | None, *, fs: float) -> np.ndarray:
    """Which beats [P] come after those of the cores before, each 0.2 s after the last."""
    earliest = core[0] - rpeaks.REFRACTORY * fs
    if last is not None:
        earliest = max(earliest, last + rpeaks.REFRACTORY * fs)
    return _apart(sample, sample >= earliest, rpeaks.REFRACTORY * fs)


def _apart(sample: np.ndarray, wanted: np.ndarray, least: float) -> np.ndarray:
    """Which of the wanted beats [B] lie as far after the one before that counts."""
    apart, last = np.zeros(len(sample), bool), -np.inf
    for beat in np.flatnonzero(wanted):
        if sample[beat] - last >= least:
            apart[beat], last = True, sample[beat]
    return apart


def _intervals(
    sample: np.ndarray, last: int | None, marks: np.ndarray, *, start: int, fs: float
) -> np.ndarray:
    """Seconds from each beat [B] to the one before it, NaN where bad signal lies between them."""
    before = np.concatenate([[start - 1 if last is None else last], sample[:-1]])[: len(sample)]
    bad = np.concatenate([[0], np.cumsum(marks != 0)])
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
        self.channels = channels
        self._blocks: list[np.ndarray] = []  # joined when a core is complete
        self._start = self._end = 0  # what they hold of the recording
        self._core = 0  # number of the next core
        self._last: int | None = None
        self._over = False

    def push(self, samples: np.ndarray) -> Iterator[Found]:
        """Takes samples, gives the beats of each core that is complete now.

        InputError for another number of leads, or once the recording is finished.
        """
        samples = np.array(samples, np.float32)  # the caller may fill the same buffer again
        samples = samples[:, None] if samples.ndim == 1 else samples
        if samples.ndim != 2 or samples.shape[1] != self.channels:
            raise InputError(f"samples {samples.shape}; [n, {self.channels}] needed")
        if self._over:
            raise InputError("this recording is finished; make a new stream for another")
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
        return find_beats(
            np.concatenate(self._blocks), self.fs, start=self._start, core=core, last=self._last
        )

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
        whole = len(self._blocks) == 1  # a long block is not copied for each of its cores
        signal = self._blocks[0] if whole else np.concatenate(self._blocks)
        around = signal[: end + round(AFTER * self.fs) - self._start]
        found = find_beats(around, self.fs, start=self._start, core=core, last=self._last)
        if len(found.sample):
            self._last = int(found.sample[-1])
        self._core += 1
        forgotten = max(self._place(self._core) - round(BEFORE * self.fs) - self._start, 0)
        rest = signal[forgotten:]
        is_short = len(rest) < 2 * self._place(1)
        self._blocks = [rest.copy() if is_short else rest]  # what lies before it is let go
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
