"""A person's recording -> beats and decisions, block by block, in bounded memory.

A recording is cut into a fixed grid of cores of a minute. Each is read with a minute before and 5 s
after it, goes the way of every beat (`beats`), and gives the beats that lie in it. Blocks of any
size give the same grid, so that a whole file and a live stream end in the same decisions to the
last bit.
"""

import datetime
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.signal

from kdjax import beats, scoring
from kdjax.calibration import Calibration, adapting_to_all, personal
from kdjax.detector import Detector
from kdjax.errors import InputError
from kdjax.recordings import Source
from kdjax.scoring import RR_MEMORY, Evidence, FittedScore, rhythm_after

CORE, BEFORE, AFTER = 60.0, 60.0, 5.0  # s
DELAY = CORE + AFTER  # s at most, from a beat to its decision, once the score is adapted
ADAPTED_IN = 300.0, 60  # s from the core of the first good beat on, and good beats, that adapt
FPR = 0.01  # the false-positive rate that thresholds are made for unless another is asked for
QUALITIES = ("good", "gap", "flat", "clipped", "noisy", "edge")
SHOWN = 12  # beats

_REFRACTORY = 0.2  # s: two beats lie further apart
_STILL = 1e-3  # mV from sample to sample: a converter that stands still
_FLAT = 2.0  # s that a lead may stand still: the lead is off, or the heart stands still
_CLIPPED = 5, 0.015  # samples, and s, at an end of the range, one after the other
# A beat's height is eight times the root mean square of noise from 45 to 180 Hz, or as much a Hz:
# more are noisy. Seven seconds in 10,000 of 15 records of MIT-BIH at 360 Hz, 60 at 128 Hz.
_NOISE = 1 / 8, 135.0
_SEEN = 10.0  # Hz above 45 Hz that a recording must hold for its noise to be judged
_ARTEFACT = 5.0  # heights of a beat; beats of MIT-BIH reach 3.4
_PAUSE = 2.0  # s between beats that the user is told of
_USUAL_RATES = 40.0, 140.0  # median beats a minute, outside of which fs is doubted
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
    beats. score, detector, calibration, notes: in words. file: the recording's.

    With several leads R-peaks, heights and the look of a beat are the first lead's; a stretch that
    is bad in any lead is not scored.
    """

    recording: str
    fs: float
    leads: tuple[str, ...]
    seconds: float
    beats: Beats = field(repr=False)
    unscorable: tuple[tuple[float, float, str], ...] = field(repr=False)
    shown: np.ndarray = field(repr=False)
    x: np.ndarray = field(repr=False)
    x_hat: np.ndarray = field(repr=False)
    threshold: float
    fpr: float | None
    normal: np.ndarray = field(repr=False)
    score: str
    detector: str
    calibration: str
    notes: tuple[str, ...]
    made_by: dict[str, Any]
    file: str = ""


# --- from samples to beats ---------------------------------------------------------------------


class Found(NamedTuple):
    """The beats of one core: the R-peak in samples of the recording, the scaled beat, quality, RR.

    sample: int64 [B]; x: float32 [B, T, C], zeros where there is no whole window; height: float32
    [B] in mV, of the first lead; quality: int8 [B], index into QUALITIES; rr: float32 [B] in s.
    first: where the core begins; samples: int8 [n], the quality of each of its samples.
    """

    sample: np.ndarray
    x: np.ndarray
    height: np.ndarray
    quality: np.ndarray
    rr: np.ndarray
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
    own &= _apart(sample, own, _REFRACTORY * fs)
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
        core[0],
        quality[core[0] - start : core[1] - start],
    )


_GAP = QUALITIES.index("gap")


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
    judged = noise_band(fs) >= _SEEN
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


class Witness:
    """Gives the evidence of a person's good beats, core after core: it remembers the rhythm."""

    def __init__(self, detector: Detector, fs: float):
        self._detector, self._fs = detector, fs
        self._rr = np.empty(0)

    def evidence(self, found: Found) -> Evidence:
        """Of the next core's good beats."""
        rhythm = rhythm_after(self._rr, found.rr.astype(np.float64))
        good = found.quality == 0
        self._rr = np.concatenate([self._rr, found.rr[good]])[-RR_MEMORY:]
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

    The first decisions come when the score is adapted: five to six minutes after the first good
    beat, or later where there are not 60 good ones by then. From there on a decision comes at most
    65 s after its beat. Memory does not grow.
    """

    def __init__(self, detector: Detector, fs: float, threshold: float | None = None):
        """fs in Hz; threshold: None for that of a false-positive rate of 1 % on normal beats.

        InputError for a detector without calibration, or 90 Hz or less.
        """
        self.calibration = calibration_of(detector)
        self.threshold = self.calibration.threshold(FPR) if threshold is None else threshold
        self.stream = BeatStream(detector.generator.channels, fs)
        self.adapted_to: int | None = None  # beats; None before, or where there is no need
        self._witness = Witness(detector, fs)
        self._waiting: list[tuple[Found, Evidence]] = []
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
            if self._score is not None or self._ready(found.first + len(found.samples)):
                yield from self.decide_waiting()

    def decide_waiting(self) -> Iterator[Decided]:
        """Decides on what waits; the score is adapted to it, if it was not yet."""
        if self._score is None:
            self._score = self._adapted()
        for found, evidence in self._waiting:
            yield self._decide(self._score, found, evidence)
        self._waiting = []

    def _ready(self, end: int) -> bool:
        """Whether what waits, up to the sample `end`, is enough to adapt to."""
        seconds, least = ADAPTED_IN
        good = [found.first for found, evidence in self._waiting for _ in evidence.sample]
        return len(good) >= least and end >= good[0] + seconds * self.stream.fs

    def _adapted(self) -> FittedScore:
        """The score adapted to five minutes from the first good beat's core on, or to 60 beats."""
        fitted = self.calibration.score
        some = [(found, evidence) for found, evidence in self._waiting if len(evidence.sample)]
        self.adapted_to = 0
        if not some:
            return fitted
        together = joined_evidence(evidence for _, evidence in some)
        seconds, least = ADAPTED_IN
        early = together.sample < some[0][0].first + seconds * self.stream.fs
        early[:least] = True
        self.adapted_to = int(early.sum())
        return adapting_to_all(fitted).adapted_to(together.of(early))

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


def joined_evidence(evidence: Iterable[Evidence]) -> Evidence:
    """The evidence of cores that follow each other, at least one."""
    *arrays, fs = map(list, zip(*evidence, strict=True))
    return Evidence._make([*map(np.concatenate, arrays), fs[0]])


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
            calibration cannot give, or that is no number.
        ValueError: more than one of fpr, alarms_per_hour and threshold.
    """
    calibration = calibration_of(detector)
    columns, notes = choose_leads(source, leads, calibration.leads)
    if sum(rule is not None for rule in (fpr, alarms_per_hour, threshold)) > 1:
        raise ValueError("give one of fpr, alarms_per_hour and threshold")
    if alarms_per_hour is None and threshold is None:
        fpr = FPR if fpr is None else fpr
        threshold = calibration.threshold(fpr)
    if threshold is not None and not np.isfinite(threshold):
        raise InputError(f"the threshold is {threshold}; give a number")
    if alarms_per_hour is not None and not 0 < alarms_per_hour < np.inf:
        raise InputError(f"alarms per hour are {alarms_per_hour:g}; give a number above 0")
    stream = StreamingDetector(detector, source.fs, np.inf)
    parts: list[Beats] = []
    stretches, worst, likeness = _Stretches(source.fs), _Worst(), _Likeness(calibration.beat)
    cores = stretches.passing(_cores(stream.stream, source.blocks(columns), progress))
    for decided in chain(stream.decide(cores), stream.decide_waiting()):
        parts.append(decided.beats)
        worst.add(decided)
        likeness.add(decided)
    found = join(parts)
    seconds = source.length / source.fs
    if alarms_per_hour is not None:
        fpr = _rate_of_alarms(alarms_per_hour, found, seconds, calibration)
        threshold = calibration.threshold(fpr)
    assert threshold is not None
    adapted = stream.adapted_to is None or stream.adapted_to >= scoring.FEWEST
    words = _WORDS[calibration.score.adaptation if adapted else "not"]
    return Detection(
        recording=source.name,
        fs=source.fs,
        leads=tuple(source.leads[column] for column in columns),
        seconds=seconds,
        beats=found._replace(abnormal=found.score > threshold),
        unscorable=tuple(stretches.bad),
        shown=worst.index,
        x=worst.x,
        x_hat=worst.x_hat,
        threshold=threshold,
        fpr=fpr,
        normal=calibration.normal,
        score=words.format(calibration.score.kind, _first_of(seconds)),
        detector=name,
        calibration=calibration.source,
        notes=(
            *notes,
            *_doubts(found, source.fs, stretches.bad, stream.adapted_to),
            *likeness.doubts(),
        ),
        made_by=made_by or {},
    )


_WORDS = {
    "none": "{}, moved to the person",
    "first_5_minutes": "{}, adapted to the {}",
    "not": "{}, not adapted to the person",
}


def _first_of(seconds: float) -> str:
    """What a score adapts to in a recording of so many seconds."""
    if seconds < ADAPTED_IN[0]:
        return f"{seconds:.0f} s there are"
    return f"first {ADAPTED_IN[0] / 60:g} minutes"


def choose_leads(
    source: Source, wanted: Sequence[str], calibrated: Sequence[str]
) -> tuple[list[int], list[str]]:
    """The columns of the leads to use, and what the user should know of the choice.

    `wanted` as in `detect`; else the calibrated leads by name (MLII is also II), else all, where
    there are as many.
    InputError where that leaves a choice.
    """
    numbers = [str(number) for number in range(1, len(source.leads) + 1)]
    plain = [_plain(name) for name in source.leads]
    there = f"its leads are {', '.join(source.leads)}"
    if wanted:
        if len(wanted) != len(calibrated):
            raise InputError(
                f"{source.name}: {len(wanted)} leads chosen, the detector takes {len(calibrated)}; "
                "repeat --lead for each"
            )
        columns = []
        for lead in wanted:
            for names in ([name.upper() for name in source.leads], numbers, plain):
                key = _plain(lead) if names is plain else lead.upper()
                if key in names:
                    columns.append(names.index(key))
                    break
            else:
                raise InputError(f"{source.name}: no lead {lead!r}; {there}")
        others = [
            f"lead {source.leads[column]} taken, though the detector was calibrated on {lead}"
            for column, lead in zip(columns, calibrated, strict=True)
            if _column([source.leads[column]], lead) is None
        ]
        return columns, others
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
    return re.sub("ECG|EKG|LEAD", "", lead.upper()).strip(" -_:.")


def _cores(
    stream: BeatStream, blocks: Iterator[np.ndarray], progress: Callable[[int], Any]
) -> Iterator[Found]:
    """The beats of all blocks to the end."""
    for block in blocks:
        yield from stream.push(block)
        progress(len(block))
    yield from stream.finish()


def _rate_of_alarms(
    per_hour: float, found: Beats, seconds: float, calibration: Calibration
) -> float:
    """The false-positive rate at which this many beats give so many alarms an hour."""
    scored = max(int(np.isfinite(found.score).sum()), 1)
    an_hour = scored / seconds * 3600
    least = an_hour / (len(calibration.normal) + 1)
    if not least <= per_hour <= an_hour / 2:
        raise InputError(
            f"{per_hour:g} alarms per hour of {an_hour:.0f} beats cannot be promised; ask for "
            f"{least:.3g} to {an_hour / 2:.0f}, or give the threshold"
        )
    return per_hour / an_hour


class _Stretches:
    """What cannot be scored, (start, stop, reason) in seconds, gathered as cores pass by."""

    def __init__(self, fs: float):
        self.bad: list[tuple[float, float, str]] = []
        self._fs = fs

    def passing(self, cores: Iterator[Found]) -> Iterator[Found]:
        for found in cores:
            edges = np.flatnonzero(np.diff(found.samples, prepend=-1, append=-1))
            for a, b in pairwise(edges):
                if found.samples[a]:
                    self._add(
                        found.first + int(a), found.first + int(b), QUALITIES[found.samples[a]]
                    )
            yield found

    def _add(self, first: int, end: int, reason: str) -> None:
        """Adds a stretch, joined with one that ends where it begins."""
        start = float(first / self._fs)
        if self.bad and self.bad[-1][1:] == (start, reason):
            start = self.bad.pop()[0]
        self.bad.append((start, float(end / self._fs), reason))


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
            old = [self.x, self.x_hat] if len(self.index) else [decided.x[:0]] * 2
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


def _doubts(
    found: Beats, fs: float, bad: Sequence[tuple[float, float, str]], adapted_to: int | None
) -> Iterator[str]:
    """What the user should know before looking at the scores."""
    if not len(found.sample):
        yield "no beats found"
    elif not np.isfinite(found.score).any():
        yield "no beat could be scored"
    elif adapted_to is not None and adapted_to < ADAPTED_IN[1]:
        yield f"there were {adapted_to} good beats to adapt the score to; scores are less sure"
    if noise_band(fs) < _SEEN:
        yield f"at {fs:g} Hz noise cannot be told from the ECG, and is not marked"
    known = found.rr[np.isfinite(found.rr)]
    if len(known) and not _USUAL_RATES[0] <= (rate := 60 / np.median(known)) <= _USUAL_RATES[1]:
        yield (
            f"the median heart rate is {rate:.0f} a minute; if that cannot be, {fs:g} Hz is not "
            "the recording's sampling rate"
        )
    pauses = np.flatnonzero(found.rr > _PAUSE)
    if len(pauses):
        longest = pauses[np.argmax(found.rr[pauses])]
        clock = _clock(float(found.sample[longest]) / fs)
        yield (
            f"intervals of more than {_PAUSE:g} s without a detected beat: {len(pauses)}, the "
            f"longest {found.rr[longest]:.1f} s before {clock}; look whether they are pauses or "
            "missed beats, the score does not see them"
        )
    still = [(start, stop) for start, stop, reason in bad if reason == "flat"]
    if still:
        start, stop = max(still, key=lambda stretch: stretch[1] - stretch[0])
        yield (
            f"flat stretches: {len(still)}, the longest {stop - start:.1f} s at {_clock(start)}; "
            "the lead was off, the heart stood still, or the units of the file are not right"
        )


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=int(seconds)))


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
    stride, used = 1, set()
    for source in sources:
        columns, _ = choose_leads(source, leads, base.leads)
        used.add(tuple(source.leads[column] for column in columns))
        stream, witness = BeatStream(len(columns), source.fs), Witness(detector, source.fs)
        for found in _cores(stream, source.blocks(columns), progress):
            seen.append(_every(stride, witness.evidence(found)))
            if sum(len(e.sample) for e in seen) > _KEPT:
                seen, stride = [_every(2, e) for e in seen], 2 * stride
    names, together = ", ".join(source.name for source in sources), joined_evidence(seen)
    if len(used) > 1:
        apart = "; ".join(", ".join(leads) for leads in sorted(used))
        raise InputError(f"{names}: leads differ ({apart}); calibrate on one kind of lead")
    if len(together.sample) < _FEWEST:
        raise InputError(
            f"{names}: {len(together.sample)} beats could be scored, {_FEWEST} are needed; give a "
            "longer or a better recording"
        )
    moved = personal(base, together, used.pop(), f"moved to the beats of {names}")
    return moved, np.sort(moved.score.score(together))


def _every(stride: int, evidence: Evidence) -> Evidence:
    return evidence.of(np.arange(0, len(evidence.sample), stride))
