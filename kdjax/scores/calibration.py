"""What normal beats score: the fitted score of a detector and its thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kdjax.errors import InputError
from kdjax.scores import metrics
from kdjax.scores.fitted import Evidence, FittedScore, fit, halves

KIND = "fusion"
ADAPTATION = "first_5_minutes"

FEWEST = 200  # beats that a calibration needs: half of them promise 1 %


@dataclass(frozen=True, eq=False, kw_only=True)
class Calibration:
    """A score fitted on normal beats, and what other normal beats score.

    normal: float64 [N], ascending, of beats that fitted nothing. moved: the same beats' scores when
    the score is adapted to each person's whole recording. leads: the names of the leads that the
    beats are of. beat: the median normal beat, float32 [T, C], scaled to [-1, 1]. model: the
    fingerprint of the network. source: in words, whose beats they were.
    """

    score: FittedScore
    normal: np.ndarray = field(repr=False)
    moved: np.ndarray = field(repr=False)
    leads: tuple[str, ...]
    beat: np.ndarray = field(repr=False)
    model: str
    source: str

    def threshold(self, fpr: float) -> float:
        """The score that a normal beat exceeds with probability `fpr` at most.

        As `metrics.label_free`: for beats drawn like the normal ones, over the draw of both.
        InputError where they are too few to promise so small a rate, or it is none.
        """
        if not 0 < fpr < 1:
            raise InputError(f"fpr is {fpr}; it must lie between 0 and 1")
        found = metrics.conformal_quantile(self.normal, fpr)
        if found is None:
            raise InputError(
                f"{len(self.normal)} normal beats cannot promise a false-positive rate of {fpr:g}; "
                f"ask for {1 / (len(self.normal) + 1):.2g} or more, or give the threshold"
            )
        return found


def calibrate(
    evidence: Evidence,
    x: np.ndarray,
    leads: Sequence[str],
    *,
    model: str,
    source: str,
) -> Calibration:
    """Fits the score on every other normal beat [N] and takes the thresholds from the rest.

    x: the same beats, [N, T, C]; the others as in Calibration. InputError for fewer than 200 beats.
    """
    if len(x) < FEWEST:
        raise InputError(
            f"{source}: {len(x)} beats to calibrate with; {FEWEST} are needed, give a longer "
            "recording"
        )
    fitting, rest = halves(evidence.record, evidence.sample)
    fitted = fit(evidence.of(fitting), KIND, ADAPTATION)
    # Rounded before it scores a beat: a file half the size gives the same scores.
    arrays = {name: values.astype(np.float32) for name, values in fitted.arrays.items()}
    score = FittedScore(fitted.kind, fitted.adaptation, arrays)
    normal = np.sort(score.score(evidence.of(rest)))
    moved = np.sort(adapting_to_all(score).score(evidence.of(rest)))
    return Calibration(
        score=score,
        normal=normal,
        moved=moved,
        leads=tuple(leads),
        beat=np.median(x, axis=0),
        model=model,
        source=source,
    )


def adapting_to_all(score: FittedScore) -> FittedScore:
    """The score, adapted to all the beats of a person that it is given."""
    return FittedScore(score.kind, "recording", score.arrays)


def personal(
    base: Calibration, evidence: Evidence, *, leads: Sequence[str], source: str
) -> Calibration:
    """The calibration moved to one person, from beats of that person that nobody labelled.

    The score is moved (`FittedScore.adapted_to`, the whole recording); thresholds stay those of
    normal beats of others, each moved to their own, since the person's beats may be abnormal.
    """
    score = adapting_to_all(base.score).adapted_to(evidence)
    return Calibration(
        score=score,
        normal=base.moved,
        moved=base.moved,
        leads=tuple(leads),
        beat=base.beat,
        model=base.model,
        source=source,
    )


def own_threshold(score: np.ndarray, fpr: float, abnormal: float) -> float:
    """The score that a share `fpr` of a person's normal beats exceeds, from scores [B] of all.

    abnormal: the share of abnormal beats among them, believed to score highest. It is a guess: at
    0 they are taken for normal, and where they are not, the threshold misses them.
    """
    return float(np.quantile(score, 1 - abnormal - (1 - abnormal) * fpr))
