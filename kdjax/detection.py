"""A person's recording -> beats and decisions, block by block, in bounded memory.

A recording is cut into a fixed grid of cores of a minute. Each is read with a minute before and 5 s
after it, goes the way of every beat (`beats`), and gives the beats that lie in it. Blocks of any
size give the same grid, so that a whole file and a live stream end in the same decisions to the
last bit.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.signal

from kdjax import beats
from kdjax.calibration import Calibration, personal
from kdjax.detector import Detector
from kdjax.errors import InputError
from kdjax.recordings import Source
from kdjax.scoring import FIRST, Evidence, FittedScore, rhythm_after

CORE, BEFORE, AFTER = 60.0, 60.0, 5.0  # s
DELAY = CORE + AFTER  # s at most, from a beat to its decision; the first five minutes wait longer
FPR = 0.01  # the false-positive rate that thresholds are made for unless another is asked for
QUALITIES = ("good", "gap", "flat", "clipped", "noisy", "edge")
SHOWN = 12  # beats

_REFRACTORY = 0.2  # s: two beats lie further apart
_STILL = 1e-3  # mV from sample to sample: a converter that stands still
_FLAT = 2.0  # s that a lead may stand still: longer than a pause on an electrode with its noise
_CLIPPED = 5  # samples at an end of the range, one after the other
_NOISE = 1 / 8  # of a beat's height, root mean square above 45 Hz; 1 in 10,000 beats of MIT-BIH
_ARTEFACT = 5.0  # heights of a beat; beats of MIT-BIH reach 3.4
_HISTORY = 256  # intervals
_FEWEST, _KEPT = 100, 20_000  # beats of a person's calibration
_ALIKE = 300  # beats that are compared with the normal one
_INVERTED = 0.3  # of correlation: how much better a beat fits upside down
_HEIGHTS = (0.05, 20.0)  # mV: what a beat's height may be before the units are doubted


class Beats(NamedTuple):
    """Beats of a recording and what was decided, arrays [B] in the order of time.

    sample: int64, the R-peak, in samples of the recording. score: float64, higher is more
    abnormal; NaN where it was not scored. normalised: the share of normal beats that score no
    higher. abnormal: bool, False where it was not scored. quality: of QUALITIES, only good beats
    are scored; an edge beat has no whole window. rr: float32 s to the beat before, NaN where none
    is known.
    """

    sample: np.ndarray
    score: np.ndarray
    normalised: np.ndarray
    abnormal: np.ndarray
    quality: np.ndarray
    rr: np.ndarray


@dataclass(frozen=True, eq=False)
class Detection:
    """What was found in a recording.

    seconds: its length. unscorable: (start, stop, reason) in seconds. shown: int64 [K], the most
    abnormal beats as indices, the worst first; x, x_hat: float32 [K, T, C], those beats scaled to
    [-1, 1] and their reconstructions. threshold: a score above it is abnormal. fpr: what it was
    made for, None for a number of the user's. normal: float64 [N], ascending, scores of normal
    beats. score, detector, notes: in words.
    """

    recording: str
    fs: float
    leads: tuple[str, ...]
    seconds: float
    beats: Beats
    unscorable: tuple[tuple[float, float, str], ...]
    shown: np.ndarray
    x: np.ndarray
    x_hat: np.ndarray
    threshold: float
    fpr: float | None
    normal: np.ndarray
    score: str
    detector: str
    notes: tuple[str, ...]
    made_by: dict[str, Any]


# --- from samples to beats ---------------------------------------------------------------------


class Found(NamedTuple):
    """The beats of one core: the R-peak in samples of the recording, the scaled beat, quality, RR.

    sample: int64 [B]; x: float32 [B, T, C], zeros where there is no whole window; height: float32
    [B] in mV, of the first lead; quality: int8 [B], index into QUALITIES; rr: float32 [B] in s.
    unscorable: int8 [n], the quality of each sample of the core.
    """

    sample: np.ndarray
    x: np.ndarray
    height: np.ndarray
    quality: np.ndarray
    rr: np.ndarray
    unscorable: np.ndarray


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
    peak = beats.r_peaks(at_fs[:, 0], filtered[:, 0], beats.FS)
    sample = start + np.rint(peak / float(beats.rate_ratio(fs))).astype(np.int64)
    sample = np.minimum(sample, start + len(signal) - 1)
    whole = beats.whole(peak, len(filtered))
    windows = beats.windows(filtered, peak[whole])
    heights = np.ptp(windows, axis=1)  # [B, C]
    _mark_noise(quality, at_fs, filtered, heights, fs)

    earliest = core[0] - _REFRACTORY * fs
    if last is not None:
        earliest = max(earliest, last + _REFRACTORY * fs)
    own = (sample >= earliest) & (sample < core[1]) & (quality[sample - start] != _GAP)
    x = np.zeros((len(peak), beats.WINDOW, signal.shape[1]), np.float32)
    x[whole] = beats.scale(windows)
    height = np.zeros(len(peak), np.float32)
    height[whole] = heights[:, 0]
    worst = _worst(quality, sample - start, fs)
    worst[~whole] = QUALITIES.index("edge")
    own = np.flatnonzero(own)
    return Found(
        sample[own],
        x[own],
        height[own],
        worst[own],
        _intervals(sample[own], last, quality, start, fs),
        quality[core[0] - start : core[1] - start],
    )


_GAP = QUALITIES.index("gap")


def _without_gaps(signal: np.ndarray, fs: float) -> tuple[np.ndarray, np.ndarray]:
    """The signal [n, C] with what is missing bridged by straight lines, and its quality int8 [n].

    Long gaps, leads that stand still and clipping are marked.
    """
    bridged, gap = beats.bridge(np.where(np.isfinite(signal), signal, np.nan), fs)
    clipped, flat = np.zeros_like(gap), np.zeros_like(gap)
    for value in bridged.T:
        still = np.concatenate([[False], np.abs(np.diff(value)) < _STILL])
        at_end = (value == value.max()) | (value == value.min())
        clipped |= _long_runs(still & at_end, _CLIPPED - 1)
        flat |= _long_runs(still, _FLAT * fs)
    quality = np.zeros(len(signal), np.int8)
    for name, marked in (("clipped", clipped), ("flat", flat), ("gap", gap)):  # the last one counts
        quality[marked] = QUALITIES.index(name)
    return bridged, quality


def _long_runs(mask: np.ndarray, least: float) -> np.ndarray:
    """Those runs of True in [n] that have `least` samples or more."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    long = np.zeros(len(mask), bool)
    for first, end in edges.reshape(-1, 2):
        if end - first >= least:
            long[first:end] = True
    return long


def _mark_noise(
    quality: np.ndarray, signal: np.ndarray, filtered: np.ndarray, heights: np.ndarray, fs: float
) -> None:
    """Marks the noisy seconds in `quality` [n], given the signal [m, C] at 360 Hz before and after
    the band-pass and the beats' heights [B, C]."""
    if not len(heights):
        return
    height = np.median(heights, axis=0)
    fast = scipy.signal.sosfiltfilt(_ABOVE_THE_BAND, signal, axis=0, padlen=0)
    for second in range(-(-len(signal) // beats.FS)):
        at = slice(second * beats.FS, (second + 1) * beats.FS)
        noise = np.sqrt(np.square(fast[at]).mean(axis=0))
        if (noise > height * _NOISE).any() or (
            np.ptp(filtered[at], axis=0) > height * _ARTEFACT
        ).any():
            part = quality[round(second * fs) : round((second + 1) * fs)]
            part[part == 0] = QUALITIES.index("noisy")


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
    """Seconds from each beat [B] to the one before it, NaN across a gap or without one."""
    before = np.concatenate([[np.nan if last is None else last], sample[:-1]])[: len(sample)]
    gaps = np.concatenate([[0], np.cumsum(quality == _GAP)])
    known = np.clip(np.nan_to_num(before - start), 0, None).astype(int)
    rr = (sample - before) / fs
    rr[gaps[sample - start] > gaps[known]] = np.nan
    return rr.astype(np.float32)


# --- from beats to decisions -------------------------------------------------------------------


class BeatStream:
    """The beats of a signal that comes in blocks: `push` samples [n, C], then `finish`.

    unscorable: the stretches so far, (start, stop, reason) in seconds.
    """

    def __init__(self, channels: int, fs: float):
        """fs in Hz; InputError where it is 90 or less."""
        if not fs > 90:
            raise InputError(f"fs is {fs:g} Hz; the band 3-45 Hz needs more than 90 Hz")
        self.fs = fs
        self.unscorable: list[tuple[float, float, str]] = []
        self._channels = channels
        self._blocks: list[np.ndarray] = []  # joined when a core is complete
        self._start = self._end = 0  # what they hold of the recording
        self._core = 0  # number of the next core
        self._last: int | None = None

    def push(self, samples: np.ndarray) -> Iterator[Found]:
        """The beats of each core that is complete now; ValueError for another number of leads."""
        samples = np.asarray(samples, np.float32)
        samples = samples[:, None] if samples.ndim == 1 else samples
        if samples.ndim != 2 or samples.shape[1] != self._channels:
            raise ValueError(f"samples {samples.shape}; [n, {self._channels}] needed")
        self._blocks.append(samples)
        self._end += len(samples)
        while self._end >= self._place(self._core + 1) + round(AFTER * self.fs):
            yield self._next(self._place(self._core + 1))

    def finish(self) -> Iterator[Found]:
        """The beats of the cores that were waiting for more."""
        while self._place(self._core) < self._end:
            yield self._next(min(self._place(self._core + 1), self._end))

    def _place(self, core: int) -> int:
        return round(core * CORE * self.fs)

    def _next(self, end: int) -> Found:
        first = self._place(self._core)
        signal = np.concatenate(self._blocks)
        around = signal[: end + round(AFTER * self.fs) - self._start]
        found = find_beats(around, self.fs, self._start, (first, end), self._last)
        if len(found.sample):
            self._last = int(found.sample[-1])
        self._note_unscorable(first, found.unscorable)
        self._core += 1
        forgotten = max(self._place(self._core) - round(BEFORE * self.fs) - self._start, 0)
        self._blocks = [signal[forgotten:].copy()]  # the rest of it is let go
        self._start += forgotten
        return found

    def _note_unscorable(self, first: int, quality: np.ndarray) -> None:
        """Adds the core's stretches, joining one that goes on from the core before."""
        edges = np.flatnonzero(np.diff(quality, prepend=-1, append=-1))
        for a, b in pairwise(edges):
            if quality[a]:
                start, stop = (first + a) / self.fs, (first + b) / self.fs
                reason = QUALITIES[quality[a]]
                if self.unscorable and self.unscorable[-1][1:] == (start, reason):
                    start = self.unscorable.pop()[0]
                self.unscorable.append((start, stop, reason))


class Witness:
    """Gives the evidence of a person's good beats, core after core: it remembers the rhythm."""

    def __init__(self, detector: Detector, fs: float):
        self._detector, self._fs = detector, fs
        self._rr = np.empty(0)

    def evidence(self, found: Found) -> Evidence:
        """Of the next core's good beats."""
        rhythm = rhythm_after(self._rr, found.rr.astype(np.float64))
        self._rr = np.concatenate([self._rr, found.rr])[-_HISTORY:]
        good = found.quality == 0
        person = np.zeros(int(good.sum()), np.int64)
        return self._detector.evidence(
            found.x[good], rhythm[good], person, found.sample[good], self._fs
        )


# --- from beats to decisions -------------------------------------------------------------------


class Decided(NamedTuple):
    """Beats with their decisions; beat and reconstruction [B, T, C], zeros where not scored."""

    beats: Beats
    height: np.ndarray
    x: np.ndarray
    x_hat: np.ndarray


class StreamingDetector:
    """Decides on the beats of a live signal: `push` samples as they come, then `finish`.

    Decisions come at most 65 s after a beat; those of the first five minutes, to which the score is
    adapted, come together at their end. Memory does not grow.
    """

    def __init__(self, detector: Detector, fs: float, threshold: float | None = None):
        """fs in Hz; threshold: None for that of a false-positive rate of 1 % on normal beats.

        InputError for a detector without calibration, or 90 Hz or less.
        """
        self.calibration = calibration_of(detector)
        self.threshold = self.calibration.threshold(FPR) if threshold is None else threshold
        self.stream = BeatStream(detector.generator.channels, fs)
        self._witness = Witness(detector, fs)
        self._waiting: list[tuple[Found, Evidence]] = []
        self._seconds = 0.0
        self._score: FittedScore | None = None
        if self.calibration.score.adaptation == "none":
            self._score = self.calibration.score

    def push(self, samples: np.ndarray) -> Beats:
        """Takes the next samples [n, C] (or [n]) in mV, gives the beats decided since."""
        return join([decided.beats for decided in self.decide(self.stream.push(samples))])

    def finish(self) -> Beats:
        """Ends the recording, gives the beats that were still waiting."""
        decided = [*self.decide(self.stream.finish()), *self.decide_waiting()]
        return join([part.beats for part in decided])

    def decide(self, cores: Iterator[Found]) -> Iterator[Decided]:
        """The decisions that the next cores allow."""
        for found in cores:
            self._waiting.append((found, self._witness.evidence(found)))
            self._seconds += len(found.unscorable) / self.stream.fs
            if self._score is not None or self._seconds >= FIRST:
                yield from self.decide_waiting()

    def decide_waiting(self) -> Iterator[Decided]:
        """Decides on what waits; the score is adapted to it, if it was not yet."""
        if self._score is None:
            together = joined_evidence(evidence for _, evidence in self._waiting)
            fitted = self.calibration.score
            self._score = fitted if together is None else fitted.adapted_to(together)
        for found, evidence in self._waiting:
            yield self._decide(self._score, found, evidence)
        self._waiting = []

    def _decide(self, fitted: FittedScore, found: Found, evidence: Evidence) -> Decided:
        good = found.quality == 0
        score = np.full(len(good), np.nan)
        x_hat = np.zeros_like(found.x)
        if good.any():
            score[good] = fitted.score(evidence)
            x_hat[good] = found.x[good] + evidence.residual
        decided = Beats(
            found.sample,
            score,
            self.calibration.normalised(score),
            score > self.threshold,
            np.array(QUALITIES)[found.quality],
            found.rr,
        )
        return Decided(decided, found.height, found.x, x_hat)


def calibration_of(detector: Detector) -> Calibration:
    """The detector's calibration; InputError where it has none."""
    if detector.calibration is None:
        raise InputError("this detector is not calibrated; kdjax evaluate RUN does it")
    return detector.calibration


def join(parts: Sequence[Beats]) -> Beats:
    """Beats that follow each other as one."""
    return Beats(*map(np.concatenate, zip(_NO_BEATS, *parts, strict=True)))


_NO_BEATS = Beats(
    np.empty(0, np.int64),
    np.empty(0),
    np.empty(0),
    np.empty(0, bool),
    np.empty(0, "<U7"),
    np.empty(0, np.float32),
)


def joined_evidence(evidence: Iterable[Evidence]) -> Evidence | None:
    """The evidence of cores that follow each other, None without any beat."""
    some = [e for e in evidence if len(e.sample)]
    if not some:
        return None
    *arrays, _ = map(list, zip(*some, strict=True))
    return Evidence(*map(np.concatenate, arrays), some[0].fs)


# --- a whole recording -------------------------------------------------------------------------


def detect(
    detector: Detector,
    source: Source,
    leads: Sequence[str] = (),
    fpr: float | None = None,
    alarms_per_hour: float | None = None,
    threshold: float | None = None,
    name: str = "",
    made_by: dict[str, Any] | None = None,
    progress: Callable[[int], Any] = lambda samples: None,
) -> Detection:
    """Reads a recording to its end and decides on every beat.

    Args:
        detector: with a calibration.
        source: from `recordings.open_source`.
        leads: names or numbers (from 1) of as many leads as the detector has; none: those that it
            was calibrated on.
        fpr: the false-positive rate on normal beats that the threshold is made for; 0.01 unless
            one of the next two is given.
        alarms_per_hour: instead, false alarms an hour, were all beats of this recording normal.
        threshold: instead, a score.
        name, made_by: of the detector and of what computes, for the record.
        progress: called with the number of samples of each block.

    Raises:
        InputError: leads that are not there, a rate of 90 Hz or below, a threshold that the
            calibration cannot give.
    """
    calibration = calibration_of(detector)
    columns, notes = choose_leads(source, leads, calibration.leads)
    if alarms_per_hour is None and threshold is None:
        fpr = FPR if fpr is None else fpr
        threshold = calibration.threshold(fpr)
    stream = StreamingDetector(detector, source.fs, np.inf)
    parts: list[Beats] = []
    worst, likeness = _Worst(), _Likeness(calibration.beat)
    for decided in chain(
        stream.decide(_cores(stream.stream, source.blocks(columns), progress)),
        stream.decide_waiting(),
    ):
        parts.append(decided.beats)
        worst.add(decided)
        likeness.add(decided)
    found = join(parts)
    if threshold is None:
        assert alarms_per_hour is not None
        fpr = _rate_of_alarms(alarms_per_hour, found, source.length / source.fs)
        threshold = calibration.threshold(fpr)
    return Detection(
        recording=source.name,
        fs=source.fs,
        leads=tuple(source.leads[column] for column in columns),
        seconds=source.length / source.fs,
        beats=found._replace(abnormal=found.score > threshold),
        unscorable=tuple(stream.stream.unscorable),
        shown=worst.index,
        x=worst.x,
        x_hat=worst.x_hat,
        threshold=threshold,
        fpr=fpr,
        normal=calibration.normal,
        score=_WORDS[calibration.score.adaptation].format(calibration.score.kind),
        detector=name,
        notes=(*notes, *_doubts(found, likeness)),
        made_by=made_by or {},
    )


_WORDS = {
    "none": "{}, moved to the person",
    "first_5_minutes": "{}, adapted to the first 5 minutes",
}


def choose_leads(
    source: Source, wanted: Sequence[str], calibrated: Sequence[str]
) -> tuple[list[int], list[str]]:
    """The columns of the leads to use, and what the user should know of the choice.

    `wanted` as in `detect`; else the calibrated leads by name (MLII is also II), else all, where
    there are as many.
    InputError where that leaves a choice.
    """
    numbers = [str(number) for number in range(1, len(source.leads) + 1)]
    there = f"its leads are {', '.join(source.leads)}"
    if wanted:
        if len(wanted) != len(calibrated):
            raise InputError(
                f"{source.name}: {len(wanted)} leads chosen, the detector takes {len(calibrated)}; "
                "repeat --lead for each"
            )
        columns = []
        for lead in wanted:
            names = [_plain(name) for name in source.leads]
            if _plain(lead) in names:
                columns.append(names.index(_plain(lead)))
            elif lead in numbers:
                columns.append(numbers.index(lead))
            else:
                raise InputError(f"{source.name}: no lead {lead!r}; {there}")
        return columns, []
    columns = [_column(source.leads, lead) for lead in calibrated]
    if None not in columns:
        return [column for column in columns if column is not None], []
    if len(source.leads) == len(calibrated):
        note = (
            f"leads {', '.join(source.leads)} taken for {', '.join(calibrated)}, on which the "
            "detector was calibrated"
        )
        return list(range(len(calibrated))), [note]
    raise InputError(f"{source.name}: no lead {', '.join(calibrated)}; {there}: choose with --lead")


def _column(leads: Sequence[str], lead: str) -> int | None:
    """The place of a lead under any of its names."""
    for names in _SAME_LEAD:
        if _plain(lead) in names:
            break
    else:
        names = (_plain(lead),)
    return next((i for i, name in enumerate(leads) if _plain(name) in names), None)


_SAME_LEAD = (("MLII", "II"), ("MLI", "I"), ("MLIII", "III"))


def _plain(lead: str) -> str:
    """A lead's name without what varies between files: 'ECG mlII ' is 'MLII'."""
    return lead.upper().replace("ECG", "").replace("LEAD", "").strip(" -_:.")


def _cores(
    stream: BeatStream, blocks: Iterator[np.ndarray], progress: Callable[[int], Any]
) -> Iterator[Found]:
    """The beats of all blocks to the end."""
    for block in blocks:
        yield from stream.push(block)
        progress(len(block))
    yield from stream.finish()


def _rate_of_alarms(per_hour: float, found: Beats, seconds: float) -> float:
    """The false-positive rate at which this many beats give so many alarms an hour."""
    if not per_hour > 0:
        raise InputError(f"alarms per hour are {per_hour:g}; they must be more than 0")
    scored = max(int(np.isfinite(found.score).sum()), 1)
    return min(per_hour * seconds / 3600 / scored, 0.5)


class _Worst:
    """The beats of the highest scores so far, the worst first."""

    def __init__(self):
        self.index = np.empty(0, np.int64)
        self.score = np.empty(0)
        self.x = self.x_hat = np.empty((0, 0, 0), np.float32)
        self._seen = 0

    def add(self, decided: Decided) -> None:
        scored = np.flatnonzero(np.isfinite(decided.beats.score))
        if len(scored):
            old = [self.x, self.x_hat] if self._seen else [decided.x[:0], decided.x_hat[:0]]
            new = [decided.x[scored], decided.x_hat[scored]]
            index = np.concatenate([self.index, self._seen + scored])
            score = np.concatenate([self.score, decided.beats.score[scored]])
            first = np.argsort(-score, kind="stable")[:SHOWN]
            self.index, self.score = index[first], score[first]
            self.x, self.x_hat = (
                np.concatenate(pair)[first] for pair in zip(old, new, strict=True)
            )
        self._seen += len(decided.beats.sample)


class _Likeness:
    """How high the first good beats are, and how much they look like a normal one."""

    def __init__(self, normal: np.ndarray):
        self._normal = normal[:, 0]
        self._beats: list[np.ndarray] = []
        self._heights: list[float] = []

    def add(self, decided: Decided) -> None:
        if len(self._beats) < _ALIKE:
            good = decided.beats.quality == "good"
            self._beats.extend(decided.x[good, :, 0])
            self._heights.extend(decided.height[good])

    def doubts(self) -> Iterator[str]:
        """What should make the user look again."""
        if not self._beats:
            return
        height, own = np.median(self._heights), np.median(self._beats, axis=0)
        if not _HEIGHTS[0] < height < _HEIGHTS[1]:
            yield f"a usual beat is {height:.3g} mV high; are the units of the file right?"
        if _fit(-own, self._normal) - _fit(own, self._normal) > _INVERTED:
            yield "the lead looks inverted; were its electrodes swapped?"


def _fit(beat: np.ndarray, normal: np.ndarray) -> float:
    """The highest correlation [T] with [T] over shifts of up to 50 ms."""
    reach = round(0.05 * beats.FS)
    centred = [values - values.mean() for values in (beat, normal)]
    norm = np.sqrt(np.prod([np.square(values).sum() for values in centred]))
    products = np.correlate(*centred, mode="full")
    middle = len(beat) - 1
    return float(products[middle - reach : middle + reach + 1].max() / max(norm, 1e-12))


def _doubts(found: Beats, likeness: _Likeness) -> Iterator[str]:
    if not len(found.sample):
        yield "no beats found"
    elif not np.isfinite(found.score).any():
        yield "no beat could be scored"
    yield from likeness.doubts()


# --- a person's own calibration ----------------------------------------------------------------


def calibrate(
    detector: Detector,
    sources: Sequence[Source],
    leads: Sequence[str] = (),
    progress: Callable[[int], Any] = lambda samples: None,
) -> tuple[Calibration, np.ndarray]:
    """A calibration moved to one person by recordings without labels, and their scores, ascending.

    Medians over the beats that are in time move it, which a few abnormal beats hardly shift. Of
    very long recordings an even share of the beats is looked at.

    Raises:
        InputError: as `detect`; fewer than 100 beats that could be scored.
    """
    base = calibration_of(detector)
    seen: list[Evidence] = []
    stride = 1
    for number, source in enumerate(sources):
        columns, _ = choose_leads(source, leads, base.leads)
        stream, witness = BeatStream(len(columns), source.fs), Witness(detector, source.fs)
        for found in _cores(stream, source.blocks(columns), progress):
            evidence = witness.evidence(found)
            evidence = evidence._replace(record=evidence.record + number)
            seen.append(_every(stride, evidence))
            if sum(len(e.sample) for e in seen) > _KEPT:
                seen, stride = [_every(2, e) for e in seen], 2 * stride
    names, together = ", ".join(source.name for source in sources), joined_evidence(seen)
    if together is None or len(together.sample) < _FEWEST:
        raise InputError(
            f"{names}: {0 if together is None else len(together.sample)} beats could be scored, "
            f"{_FEWEST} are needed; give a longer or a better recording"
        )
    moved = personal(base, together, f"moved to the beats of {names}")
    return moved, np.sort(moved.score.score(together))


def _every(stride: int, evidence: Evidence) -> Evidence:
    return evidence.of(np.arange(0, len(evidence.sample), stride))
