"""Families: the beats of a recording of like shape and kind.

A family holds the beats of one shape that were given one kind: a shape's premature beats are one
family, its beats in time another. Those whose score is near the threshold, and whose kind is
doubtful, are a family apart. Beats whose shapes were dropped because they were rare are pooled,
likewise by kind and doubt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kdjax.detection.deciding import Beats
from kdjax.detection.kinds import HEARTBEATS, UNSCORED, numbered
from kdjax.detection.shapes import POOLED, Shapes
from kdjax.detection.signs import SIGNS, qrs_width

_EXAMPLES = 3
_SMALL = 3  # beats of a family that is named together with others
_AN_ALARM = 50  # what naming a beat that is called abnormal is worth at least, in per cent
_DOUBTFUL = 2.0  # how far from the threshold a score is at most whose kind is doubtful, in log odds
_LOW = -1.4  # log of a height over the normal one: lower families look like artefacts
_NO_QRS = (25.0, 280.0)  # ms: so do narrower and wider ones


@dataclass(frozen=True, eq=False, kw_only=True)
class Family:
    """Beats of like shape and kind.

    mean, spread: float32 [T, C], mean beat and standard deviation in mV, over the window of
    `kdjax.beats` at 360 Hz, of the shape's early beats or of its others, whichever most of the
    family are. count: beats. pooled: whether they are beats of several rare shapes. qrs_ms: QRS
    width of the mean beat in ms. prematurity: median of the RR interval over the person's usual
    one. score: median. first, last: samples of the recording. kind: as it was named, or as
    detected: N, S or V; detected: the latter. doubtful: whether their scores were near the
    threshold. confidence: the mean of theirs. examples: int64 [K], indices of up to three typical
    beats; unusual: of the least typical one, -1 where it is not known. artefact: whether the beats
    look like no heartbeats.
    """

    mean: np.ndarray = field(repr=False)
    spread: np.ndarray = field(repr=False)
    count: int
    pooled: bool
    qrs_ms: float
    prematurity: float
    score: float
    first: int
    last: int
    kind: str
    detected: str
    doubtful: bool
    confidence: float
    examples: np.ndarray = field(repr=False)
    unusual: int = -1
    artefact: bool


def gather(
    shapes: Shapes,
    beats: Beats,
    *,
    signs: np.ndarray,
    shape: np.ndarray,
    early: np.ndarray,
    threshold: float,
) -> tuple[tuple[Family, ...], np.ndarray]:
    """The families of a recording, the largest first, and the family int32 [B] of each beat.

    Args:
        shapes: after the last beat.
        beats: all beats, with their scores and kinds.
        signs: float32 [B, K], of `signs.SIGNS`.
        shape: int64 [B], UNSCORED where a beat is not scored.
        early: bool [B].
        threshold: of the score.
    """
    doubtful = np.abs(beats.score - threshold) < _DOUBTFUL
    key = 2 * numbered(shapes.held(shape), beats.kind) + doubtful
    numbers, count = np.unique(key[shape != UNSCORED], return_counts=True)
    largest = np.argsort(-count, kind="stable")
    family = np.full(len(key), -1, np.int32)
    families = []
    for index, number in enumerate(numbers[largest].tolist()):
        own = np.flatnonzero((key == number) & (shape != UNSCORED))
        family[own] = index
        form = number // (2 * len(HEARTBEATS))
        mean, spread = _mean_and_spread(shapes, form, int(2 * early[own].sum() > len(own)))
        looks = {"mean": mean, "spread": spread, "pooled": form == POOLED}
        families.append(_family(own, beats, signs, **looks, doubtful=bool(number % 2)))
    return tuple(families), family


def to_name(beats: Beats, families: Sequence[Family]) -> list[list[int]]:
    """What to name first: indices of `families`, one by one, small ones of a kind together.

    The largest family comes first, to compare the others with, and what looks like an artefact
    last. Between them, what naming may put right decides: the beats times one less their
    confidence. The page's script (kdjax/pages/script/review.js) has the same order.
    """
    percent = np.rint(100 * beats.confidence.astype(np.float64))  # as the page has it
    wrong = np.where(np.isnan(percent), 0, 100 - percent)
    worth = np.maximum(wrong, np.where(beats.abnormal, _AN_ALARM, 0))
    known = beats.family >= 0
    by_family = np.bincount(beats.family[known], worth[known], len(families))
    groups: dict[object, list[int]] = {}
    for i, family in enumerate(families):
        if family.count:
            small = family.count <= _SMALL and i > 0
            groups.setdefault((family.kind, family.artefact) if small else i, []).append(i)

    def place(group: list[int]) -> tuple[bool, bool, float, int]:
        return group[0] > 0, families[group[0]].artefact, -by_family[group].sum(), group[0]

    return sorted(groups.values(), key=place)


def _family(
    own: np.ndarray,
    beats: Beats,
    signs: np.ndarray,
    *,
    mean: np.ndarray,
    spread: np.ndarray,
    pooled: bool,
    doubtful: bool,
) -> Family:
    """The family of the beats of indices `own`, all of one kind and all doubtful or none."""
    kind = str(beats.kind[own[0]])
    median = np.median(signs[own], axis=0)
    qrs_ms = float(qrs_width(mean[None])[0])
    away = np.square(signs[own] - median).sum(axis=1)
    nearest = own[np.argsort(away, kind="stable")]
    return Family(
        mean=mean,
        spread=spread,
        count=len(own),
        pooled=pooled,
        qrs_ms=qrs_ms,
        prematurity=float(np.exp(median[SIGNS.index("interval")])),
        score=float(np.median(beats.score[own])),
        first=int(beats.sample[own[0]]),
        last=int(beats.sample[own[-1]]),
        kind=kind,
        detected=kind,
        doubtful=doubtful,
        confidence=float(beats.confidence[own].mean()),
        examples=np.sort(nearest[:_EXAMPLES]),
        unusual=int(nearest[-1]),
        artefact=bool(
            median[SIGNS.index("height")] < _LOW or not _NO_QRS[0] <= qrs_ms <= _NO_QRS[1]
        ),
    )


def _mean_and_spread(shapes: Shapes, shape: int, early: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation float32 [T, C] of a shape's beats."""
    if shape == POOLED:
        count, total, square = (part[early] for part in shapes.pooled)
    else:
        row = int(np.flatnonzero(shapes.number == shape)[0])
        count, total, square = (
            part[row, early] for part in (shapes.early, shapes.total, shapes.square)
        )
    mean = total / count
    spread = np.sqrt(np.maximum(square / count - np.square(mean), 0))
    return mean.astype(np.float32), spread.astype(np.float32)
