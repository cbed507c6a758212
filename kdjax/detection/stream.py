"""From beats to decisions: adapts the score to the person, then decides core by core."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kdjax.detection.cores import QUALITIES, BeatStream, Found
from kdjax.detection.detector import Detector
from kdjax.errors import InputError
from kdjax.scores.calibration import Calibration, adapting_to_all
from kdjax.scores.fitted import RR_MEMORY, Evidence, FittedScore, rhythm_after

ADAPTED_IN = 300.0, 60  # s from the core of the first good beat on, and good beats, that adapt
FPR = 0.01  # the false-positive rate that thresholds are made for unless another is asked for


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
        return join_beats([decided.beats for decided in self.decide(self.stream.push(samples))])

    def finish(self) -> Beats:
        """Ends the recording, gives the beats that were still waiting."""
        decided = [*self.decide(self.stream.finish()), *self.decide_waiting()]
        return join_beats([part.beats for part in decided])

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


def join_beats(parts: Sequence[Beats]) -> Beats:
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
