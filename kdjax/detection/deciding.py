"""From beats to decisions: adapts the score to the person, then decides core by core."""

import copy
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kdjax.detection import kinds
from kdjax.detection.cores import BeatStream, Found
from kdjax.detection.detector import Detector
from kdjax.detection.quality import QUALITIES
from kdjax.detection.signs import SIGNS, Person, Timing
from kdjax.detection.threads import one_thread
from kdjax.errors import InputError
from kdjax.scores.calibration import Calibration, adapting_to_all
from kdjax.scores.fitted import (
    ADAPTATION_SECONDS,
    RHYTHM_BEATS,
    Evidence,
    FittedScore,
    rhythm_after,
)

ADAPTED_BEATS = 60  # good beats that are enough to adapt to
_PATIENCE = 3600.0  # s for which so many good beats are waited for
_FOLLOWED = 1.0  # s of signal that follow a beat before there is a provisional decision
# The false-positive rate that thresholds are made for unless another is asked for. On DS1, each
# record with weights fitted on the others, a reviewer's ten decisions lead from it to better rates
# of both kinds than from 0.0075, the default before (`rates` in docs/results/kinds.json).
FPR = 0.005


class Beats(NamedTuple):
    """Beats of a recording and the decisions on them, arrays [B] in order of time.

    Attributes:
        sample: int64, the R-peak, in samples of the recording.
        score: float64, the larger of the log odds of being ventricular and of being
            supraventricular; NaN if the beat was not scored.
        normalised: the share of other people's normal beats that score no higher.
        abnormal: bool; False if the beat was not scored.
        quality: one of QUALITIES; only good beats are scored. An edge beat has no whole window.
            "added" where a person added the beat.
        rr: float32, seconds since the beat before; NaN if unknown.
        kind: N, S or V, never N for an abnormal beat; empty if the beat was not scored.
        family: int32, the index into `Detection.families`, or a stream's own number of the family;
            -1 if the beat was not scored. Files, pages and `to_frame` count families from 1.
        confidence: float32, how likely the kind is; NaN if there is none.
        height: float32, mV in the first lead.
        sqi: float32, the signal quality index, 0 to 1.
    """

    sample: np.ndarray
    score: np.ndarray
    normalised: np.ndarray
    abnormal: np.ndarray
    quality: np.ndarray
    rr: np.ndarray
    kind: np.ndarray
    family: np.ndarray
    confidence: np.ndarray
    height: np.ndarray
    sqi: np.ndarray


class Witness:
    """Gives the evidence of a person's good beats, core after core: it remembers the rhythm."""

    def __init__(self, detector: Detector, fs: float):
        self._detector, self._fs = detector, fs
        self._rr = np.empty(0)

    def evidence(self, found: Found) -> Evidence:
        """Of the next core's good beats."""
        rhythm = rhythm_after(self._rr, found.rr.astype(np.float64))
        good = found.quality == 0
        self._rr = np.concatenate([self._rr, found.rr[good]])[-RHYTHM_BEATS:]
        person = np.zeros(int(good.sum()), np.int64)
        return self._detector.evidence(
            found.x[good], rhythm[good], record=person, sample=found.sample[good], fs=self._fs
        )


class Decided(NamedTuple):
    """Beats with their decisions, and what they were decided on.

    x: float32 [B, T, C], scaled beats, zeros where not scored.
    signs: float32 [B, K], of `signs.SIGNS`. shape: int64 [B], UNSCORED where not scored. early:
    bool [B].
    """

    beats: Beats
    x: np.ndarray
    signs: np.ndarray
    shape: np.ndarray
    early: np.ndarray


class _Waiting(NamedTuple):
    """A core before its decision: its beats, and what is known of them; shape of the good ones."""

    found: Found
    evidence: Evidence
    shape: np.ndarray
    timing: Timing


class StreamingDetector:
    """Decides on the beats of a live signal: `push` samples as they come, then `finish`.

    Each call returns the beats decided since the last one, as `deciding.Beats`: arrays of one
    length, in order of time, often empty. `sample` counts from the first sample pushed; `kind`,
    `abnormal`, `score` and `quality` are as in beats.csv. `family` is the stream's own number of
    the family, from 0, and does not depend on its size.

    The score first adapts to the person, so the first decisions come five to six minutes after the
    first good beat. If fewer than 60 beats are good by then, the stream waits for more, for an hour
    at most, and then adapts to those there are. After that a decision comes at most 65 s after its
    beat, and `provisional` gives one within 2 s. Beats before the first good one are returned
    unscored, likewise within 65 s. Memory does not grow.

    A decision uses the families as known at that moment. `kdjax.detect` decides once more when it
    has read the whole recording, so a few kinds may differ. In atrial fibrillation many do:
    irregular rhythms without P waves, in which being early says little, are found only in a whole
    recording, so a stream calls more of their beats S or V.

    Attributes: threshold, of the score; adapted_to, the number of beats that the score was adapted
    to, None until then.
    """

    def __init__(self, detector: Detector, fs: float, threshold: float | None = None):
        """Starts a stream.

        Args:
            detector: with a calibration, as `load_run("mitbih-w8")`.
            fs: the sampling rate in Hz, above 90.
            threshold: a beat with a higher score is abnormal; None for the one that 0.5 % of
                normal beats exceed.

        Raises:
            InputError: the detector has no calibration, fs is 90 Hz or less, or threshold is not
                a finite number.
        """
        if threshold is not None and not math.isfinite(threshold):
            raise InputError(f"the threshold is {threshold}; give a number")
        self.calibration = calibration_of(detector)
        self.threshold = kinds.threshold(FPR) if threshold is None else threshold
        self.stream = BeatStream(detector.generator.channels, fs)
        self.adapted_to: int | None = None  # beats; None before, or where there is no need
        self.person = Person()
        self._memory = kinds.Memory()
        self._witness = Witness(detector, fs)
        self._waiting: list[_Waiting] = []
        self._score: FittedScore | None = None
        if self.calibration.score.adaptation == "none":
            self._score = self.calibration.score

    def push(self, samples: np.ndarray) -> Beats:
        """Takes the next samples and returns the beats decided since the last call.

        Args:
            samples: [n, C], or [n] for one lead, in mV; any n. NaN marks a missing sample.

        Raises:
            InputError: another number of leads, or `finish` was called before.
        """
        return join_beats([decided.beats for decided in self.decide(self.stream.push(samples))])

    def provisional(self) -> Beats:
        """Decides for now on the beats that `push` has not returned yet, up to a second ago.

        Called after a push each second, it gives a decision within 2 s of the R-peak. It returns
        no beats before the first final decision. A provisional decision does not know the interval
        after the latest beat, and R-peaks may still move; `push` returns the final decisions, which
        do not depend on whether this is called.
        """
        found = None if self._score is None else self.stream.peek(_FOLLOWED)
        if found is None:
            return join_beats([])
        trial = copy.copy(self)
        trial.person, trial._memory = copy.deepcopy((self.person, self._memory))
        trial._witness, trial._waiting = copy.copy(self._witness), []
        return join_beats([decided.beats for decided in trial.decide(iter([found]))])

    def finish(self) -> Beats:
        """Ends the signal and returns the beats that were still undecided."""
        decided = [*self.decide(self.stream.finish()), *self.decide_waiting()]
        return join_beats([part.beats for part in decided])

    def decide(self, cores: Iterator[Found]) -> Iterator[Decided]:
        """The decisions that the next cores allow."""
        for found in cores:
            with one_thread():
                shape, timing = self.person.meet(found.window, found.quality == 0, found.rr)
                evidence = self._witness.evidence(found)
            core = _Waiting(found, evidence, shape, timing)
            if self._score is None and not self._waiting and not len(shape):
                # Hours may pass before the first good beat: nothing of them need be kept.
                yield self._decide(core, _NO_SIGNS, self._memory.groups())
                continue
            self._waiting.append(core)
            if self._score is not None or self._ready(found.first + len(found.samples)):
                yield from self.decide_waiting()

    def decide_waiting(self) -> Iterator[Decided]:
        """Decides on what waits; the score is adapted to it, if it was not yet."""
        with one_thread():
            if self._score is None:
                self._score = self._adapted()
            weighed = [(core, self._signs(self._score, core)) for core in self._waiting]
        self._waiting = []
        for core, signs in weighed:
            self._memory.add(signs, core.shape, self.person.shapes.number)
        groups = self._memory.groups()
        for core, signs in weighed:
            yield self._decide(core, signs, groups)

    def _ready(self, end: int) -> bool:
        """Whether what waits, up to the sample `end`, is enough to adapt to, or more is in vain."""
        good = [core.found.first for core in self._waiting for _ in core.evidence.sample]
        if not good:
            return False
        waited = (end - good[0]) / self.stream.fs
        return waited >= (ADAPTATION_SECONDS if len(good) >= ADAPTED_BEATS else _PATIENCE)

    def _adapted(self) -> FittedScore:
        """The score adapted to five minutes from the first good beat's core on, or to 60 beats."""
        fitted = self.calibration.score
        some = [core for core in self._waiting if len(core.evidence.sample)]
        self.adapted_to = 0
        if not some:
            return fitted
        together = joined_evidence(core.evidence for core in some)
        early = together.sample < some[0].found.first + ADAPTATION_SECONDS * self.stream.fs
        early[:ADAPTED_BEATS] = True
        self.adapted_to = int(early.sum())
        return adapting_to_all(fitted).adapted_to(together.of(early))

    def _signs(self, fitted: FittedScore, core: _Waiting) -> np.ndarray:
        """The signs float32 [G, K] of a core's good beats."""
        good = core.found.quality == 0
        if not good.any():
            return _NO_SIGNS
        return self.person.signs(
            core.found.window[good],
            Timing(*(values[good] for values in core.timing)),
            after=core.found.after[good],
            prematurity=core.evidence.rhythm[:, 1],
            score=fitted.score(core.evidence),
        )

    def _decide(self, core: _Waiting, signs: np.ndarray, groups: kinds.Groups) -> Decided:
        found, good = core.found, core.found.quality == 0
        shape = np.full(len(good), kinds.UNSCORED)
        shape[good] = core.shape
        all_signs = np.zeros((len(good), len(SIGNS)), np.float32)
        all_signs[good] = signs
        beats = decided_on(
            _undecided(found), all_signs, shape, groups=groups, threshold=self.threshold
        )
        family = np.where(good, kinds.numbered(shape, beats.kind), -1).astype(np.int32)
        beats = beats._replace(family=family)
        return Decided(beats, found.x, all_signs, shape, core.timing.early)


_NO_SIGNS = np.empty((0, len(SIGNS)), np.float32)


def _undecided(found: Found) -> Beats:
    unknown = np.full(len(found.sample), np.nan)
    return Beats(
        sample=found.sample,
        score=unknown,
        normalised=unknown,
        abnormal=unknown > 0,
        quality=np.array(QUALITIES)[found.quality],
        rr=found.rr,
        kind=np.full(len(unknown), "", "<U1"),
        family=np.full(len(unknown), -1, np.int32),
        confidence=unknown.astype(np.float32),
        height=found.height,
        sqi=found.sqi,
    )


def decided_on(
    beats: Beats, signs: np.ndarray, shape: np.ndarray, *, groups: kinds.Groups, threshold: float
) -> Beats:
    """The beats with the scores and kinds that their signs [B, K] and groups give them."""
    scored = shape != kinds.UNSCORED
    opinion = kinds.opinion(signs[scored], shape[scored], groups)
    kind = opinion.kind(threshold)
    score, confidence = np.full(len(shape), np.nan), np.full(len(shape), np.nan, np.float32)
    score[scored], confidence[scored] = opinion.score, opinion.confidence(kind)
    named = np.full(len(shape), "", "<U1")
    named[scored] = kind
    return beats._replace(
        score=score,
        normalised=kinds.normalised(score),
        abnormal=score > threshold,
        kind=named,
        confidence=confidence,
    )


def calibration_of(detector: Detector) -> Calibration:
    """The detector's calibration; InputError where it has none or is the name of a detector."""
    if isinstance(detector, str | os.PathLike):
        raise InputError(
            f"{detector} is a name; give the detector: kdjax.load_run({str(detector)!r})"
        )
    if not detector.ecg:
        raise InputError(
            "this run was trained on windows that are not heartbeats, so it cannot detect any in a "
            "recording; score windows with kdjax.load_run(RUN).score"
        )
    if detector.calibration is None:
        raise InputError("this detector is not calibrated; kdjax evaluate RUN does it")
    return detector.calibration


def join_beats(parts: Sequence[Beats]) -> Beats:
    """Beats that follow each other as one."""
    return Beats(*map(np.concatenate, zip(_NO_BEATS, *parts, strict=True)))


_NO_BEATS = Beats(
    sample=np.empty(0, np.int64),
    score=np.empty(0),
    normalised=np.empty(0),
    abnormal=np.empty(0, bool),
    quality=np.empty(0, "<U7"),
    rr=np.empty(0, np.float32),
    kind=np.empty(0, "<U1"),
    family=np.empty(0, np.int32),
    confidence=np.empty(0, np.float32),
    height=np.empty(0, np.float32),
    sqi=np.empty(0, np.float32),
)


def joined_evidence(evidence: Iterable[Evidence]) -> Evidence:
    """The evidence of cores that follow each other, at least one."""
    *arrays, fs = map(list, zip(*evidence, strict=True))
    return Evidence._make([*map(np.concatenate, arrays), fs[0]])
