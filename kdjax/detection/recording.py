"""A whole recording: its beats, decisions, bad stretches and notes."""

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, pairwise
from typing import Any

import numpy as np

from kdjax.detection import kinds
from kdjax.detection.cores import Found, all_cores
from kdjax.detection.deciding import (
    FPR,
    Beats,
    Decided,
    StreamingDetector,
    calibration_of,
    decided_on,
    join_beats,
)
from kdjax.detection.detector import Detector
from kdjax.detection.events import Event, find_events, inside, without_p_waves
from kdjax.detection.families import Family, gather
from kdjax.detection.leads import choose_leads, with_second
from kdjax.detection.notes import Handling, Likeness, doubts, doubts_of_kinds
from kdjax.detection.quality import QUALITIES
from kdjax.detection.shapes import Shapes
from kdjax.detection.signs import SIGNS, in_fibrillation
from kdjax.detection.tape import Recorder, Tape
from kdjax.errors import InputError
from kdjax.recordings import Source
from kdjax.scores import fitted


@dataclass(frozen=True, eq=False, kw_only=True)
class Detection:
    """The beats of a recording, its families and events, and what led to the decisions.

    With several leads, R-peaks, heights and the look of a beat are those of the first lead; a
    stretch that is bad in any lead is not scored.

    Attributes:
        recording: its name.
        fs: sampling rate in Hz.
        leads: names of the leads that were read.
        seconds: length of the recording.
        beats: all beats, arrays of one length.
        families: the largest first; `Beats.family` is an index into them, from 0.
        events: in order of time.
        unscorable: (start, stop, reason) in seconds.
        tape: the signal to look at.
        threshold: a score above it is abnormal.
        fpr: the false-positive rate that the threshold was made for; None if the user gave a
            threshold.
        normal: float64 [N], ascending, quantiles of the scores of other people's normal beats.
        score, detector, calibration, notes: as text.
        made_by: the code and versions that computed it.
        handling: what was done to the signal, see `notes.Handling`.
        file: the absolute path of the recording, empty for a signal from memory.
        start: time of the first sample by the recorder's clock; None if the file does not say.
    """

    recording: str
    fs: float
    leads: tuple[str, ...]
    seconds: float
    beats: Beats = field(repr=False)
    families: tuple[Family, ...] = field(repr=False)
    events: tuple[Event, ...] = field(repr=False)
    unscorable: tuple[tuple[float, float, str], ...] = field(repr=False)
    tape: Tape = field(repr=False)
    threshold: float
    fpr: float | None
    normal: np.ndarray = field(repr=False)
    score: str
    detector: str
    calibration: str
    notes: tuple[str, ...]
    made_by: dict[str, Any]
    handling: dict[str, Any] = field(default_factory=dict)
    file: str = ""
    start: datetime.datetime | None = None


def detect(
    detector: Detector,
    source: Source,
    *,
    leads: Sequence[str] = (),
    fpr: float | None = None,
    alarms_per_hour: float | None = None,
    threshold: float | None = None,
    made_by: dict[str, Any] | None = None,
    progress: Callable[[int], Any] = lambda samples: None,
    find: Callable[..., Iterator[Found]] = all_cores,
) -> Detection:
    """Reads a recording to its end and decides on every beat.

    Args:
        detector: with a calibration.
        source: from `recordings.open_source`.
        leads: names or numbers (from 1) of as many leads as the detector takes; if empty, the
            leads that it was calibrated on.
        fpr: the false-positive rate on normal beats for which the threshold is made; 0.005 unless
            one of the next two is given.
        alarms_per_hour: instead of `fpr`, the false alarms an hour if all beats were normal.
        threshold: instead of `fpr`, a score.
        made_by: the code and versions that compute, for the summary.
        progress: called with the number of samples of each block.
        find: finds the beats, as `cores.all_cores` or `ahead.all_cores`.

    Raises:
        InputError: the recording lacks a lead, its rate is 90 Hz or less, or the threshold is not
            a number or is one that the calibration cannot give; more than one of fpr,
            alarms_per_hour and threshold is given.
    """
    calibration = calibration_of(detector)
    columns, notes = choose_leads(source, leads, calibration.leads)
    fpr, threshold = _rule(fpr, alarms_per_hour, threshold)
    read = _read(detector, source, columns, progress=progress, find=find)
    seconds = source.length / source.fs
    if alarms_per_hour is not None:
        beats = join_beats([part.beats for part in read.parts])
        fpr = _rate_of_alarms(alarms_per_hour, beats, seconds)
        threshold = kinds.threshold(fpr)
    assert threshold is not None
    beats, families, events = revised(read.parts, read.shapes, fs=source.fs, threshold=threshold)
    adapted = read.adapted_to is None or read.adapted_to >= fitted.FEWEST
    adaptation = calibration.score.adaptation if adapted else "not"
    span = _first_of(seconds)
    return Detection(
        recording=source.name,
        fs=source.fs,
        leads=tuple(source.leads[column] for column in columns),
        seconds=seconds,
        beats=beats,
        families=families,
        events=events,
        unscorable=read.bad,
        tape=read.tape,
        threshold=threshold,
        fpr=fpr,
        normal=kinds.normal_scores(),
        score=_WORDS[adaptation].format(calibration.score.kind, span),
        detector=detector.name,
        calibration=calibration.source,
        notes=(
            *source.notes,
            *notes,
            *read.handling.notes(),
            *doubts(beats, source.fs, bad=read.bad, adapted_to=read.adapted_to, seconds=seconds),
            *read.likeness.doubts(),
            *doubts_of_kinds(
                beats,
                events,
                source.fs,
                span=span if adaptation == "first_5_minutes" else None,
            ),
        ),
        handling=read.handling.facts(),
        made_by=made_by or {},
        start=source.start,
        file=source.file,
    )


def _rule(
    fpr: float | None, alarms_per_hour: float | None, threshold: float | None
) -> tuple[float | None, float | None]:
    """The rate and the threshold that are asked for, as far as no beat need be known for them.

    InputError as `detect` says.
    """
    if sum(rule is not None for rule in (fpr, alarms_per_hour, threshold)) > 1:
        raise InputError("give one of fpr, alarms_per_hour and threshold")
    if threshold is not None and not np.isfinite(threshold):
        raise InputError(f"the threshold is {threshold}; give a number")
    if alarms_per_hour is not None and not 0 < alarms_per_hour < np.inf:
        raise InputError(f"alarms per hour are {alarms_per_hour:g}; give a number above 0")
    if alarms_per_hour is None and threshold is None:
        fpr = FPR if fpr is None else fpr
        threshold = kinds.threshold(fpr)
    return fpr, threshold


@dataclass(frozen=True, eq=False, kw_only=True)
class _Read:
    """A recording that was read to its end, before its threshold is applied.

    parts: the beats as a stream decides on them; shapes: of the person, after the last beat;
    adapted_to: beats that the score was adapted to; bad: stretches that cannot be scored.
    """

    parts: Sequence[Decided]
    shapes: Shapes
    adapted_to: int | None
    bad: tuple[tuple[float, float, str], ...]
    handling: Handling
    likeness: Likeness
    tape: Tape


def _read(
    detector: Detector,
    source: Source,
    columns: Sequence[int],
    *,
    progress: Callable[[int], Any],
    find: Callable[..., Iterator[Found]],
) -> _Read:
    """Reads a recording to its end; each of the parts passes the cores on to the next."""
    calibration = calibration_of(detector)
    stream = StreamingDetector(detector, source.fs)
    stretches, handling = _Stretches(source.fs), Handling(source.fs)
    likeness = Likeness(calibration.beat, own=calibration.score.adaptation == "none")
    shown = with_second(source, columns)
    recorder = Recorder([source.leads[column] for column in shown], source.fs)
    blocks = (block[:, : len(columns)] for block in recorder.passing(source.blocks(shown)))
    cores = find(stream.stream, blocks, progress)
    cores = handling.passing(stretches.passing(cores))
    parts: list[Decided] = []
    for decided in chain(stream.decide(cores), stream.decide_waiting()):
        likeness.add(decided)
        parts.append(decided._replace(x=np.empty((0, *decided.x.shape[1:]), np.float32)))
    return _Read(
        parts=parts,
        shapes=stream.person.shapes,
        adapted_to=stream.adapted_to,
        bad=tuple(stretches.bad),
        handling=handling,
        likeness=likeness,
        tape=recorder.tape(),
    )


def revised(
    parts: Sequence[Decided], shapes: Shapes, *, fs: float, threshold: float
) -> tuple[Beats, tuple[Family, ...], tuple[Event, ...]]:
    """What a stream decided, decided again with all beats of each shape; families and events.

    Where the rhythm proves to be irregular and without P waves, kinds are decided once more.

    Args:
        parts: all that `StreamingDetector.decide` and `decide_waiting` gave, in order.
        shapes: of the stream's person, after the last beat.
        fs: in Hz.
        threshold: of the score.
    """
    beats = join_beats([part.beats for part in parts])
    signs = np.concatenate([np.empty((0, len(SIGNS)), np.float32), *(p.signs for p in parts)])
    shape = np.concatenate([np.empty(0, np.int64), *(part.shape for part in parts)])
    early = np.concatenate([np.empty(0, bool), *(part.early for part in parts)])
    held = np.where(shape == kinds.UNSCORED, shape, shapes.held(shape))
    decide = partial(decided_on, shape=held, threshold=threshold)
    beats = decide(beats, signs, groups=kinds.grouped(signs, held))
    fibrillation = without_p_waves(beats, signs, fs)
    if fibrillation:
        signs = in_fibrillation(signs, inside(beats, fibrillation) & (held != kinds.UNSCORED))
        beats = decide(beats, signs, groups=kinds.grouped(signs, held))
    families, family = gather(
        shapes, beats, signs=signs, shape=held, early=early, threshold=threshold
    )
    beats = beats._replace(family=family)
    return beats, families, find_events(beats, fs, fibrillation)


_WORDS = {
    "none": "{}, adapted to the person",
    "first_5_minutes": "{}, adapted to the {}",
    "not": "{}, not adapted to the person",
}


def _first_of(seconds: float) -> str:
    """What a score adapts to in a recording of so many seconds."""
    if seconds < fitted.ADAPTATION_SECONDS:
        return f"first {seconds:.0f} s"
    return f"first {fitted.ADAPTATION_SECONDS / 60:g} minutes"


def _rate_of_alarms(per_hour: float, found: Beats, seconds: float) -> float:
    """The false-positive rate at which this many beats give so many alarms an hour."""
    scored = max(int(np.isfinite(found.score).sum()), 1)
    an_hour = scored / seconds * 3600
    least = an_hour / len(kinds.normal_scores())
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
