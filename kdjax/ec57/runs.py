"""Run by run: couplets, short runs and long runs of ectopic beats, as two annotators see them."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from kdjax.ec57.labels import BEATS, Labels, within

LENGTHS = {"couplets": 2, "short runs": 3, "long runs": 6}  # the fewest beats of each
_LONG = LENGTHS["long runs"]

Origin = Literal["ventricular", "supraventricular"]
ORIGINS: tuple[Origin, Origin] = ("ventricular", "supraventricular")


@dataclass(frozen=True, eq=False, kw_only=True)
class RunByRun:
    """int64 [3] each, in the order of LENGTHS.

    `detected` and `missed`: the reference's runs, by whether the test annotator has a run of that
    class at least at the same time. `true` and `false`: the test annotator's, by the reference.
    """

    detected: np.ndarray
    missed: np.ndarray
    true: np.ndarray
    false: np.ndarray


def compare_runs(
    reference: Labels, test: Labels, origin: Origin, *, start: int, window: int
) -> RunByRun:
    """Compares two annotators' runs from sample `start` on; `window` in samples."""
    ours, theirs = (_timeline(labels, origin, start) for labels in (reference, test))
    detected, missed = _counts(ours, theirs, window)
    true, false = _counts(theirs, ours, window)
    return RunByRun(detected=detected, missed=missed, true=true, false=false)


class _Timeline(NamedTuple):
    """Items in time order: beats, flutter waves, rhythm onsets and shutdowns.

    `sample` int64 [I]; `ectopic` bool [I]: the item belongs to a run; `length` int64 [I]: the beats
    that it adds to the run.
    """

    sample: np.ndarray
    ectopic: np.ndarray
    length: np.ndarray


def _timeline(labels: Labels, origin: Origin, start: int) -> _Timeline:
    """An annotator's items from `start` on.

    Fusion beats and flutter waves count as ventricular, normal beats in atrial fibrillation or
    flutter as supraventricular. Where such a rhythm begins outside a run, a long run begins. A
    shutdown ends a run.
    """
    ventricular = origin == "ventricular"
    rhythm = labels.flutter if ventricular else labels.atrial
    onsets = np.maximum(rhythm[rhythm[:, 1] > start, 0], start)
    if ventricular:
        ectopic = np.isin(labels.kind, (BEATS.index("V"), BEATS.index("F")))
    else:
        in_rhythm = (labels.kind == BEATS.index("N")) & within(labels.sample, rhythm)
        ectopic = (labels.kind == BEATS.index("S")) | in_rhythm

    parts = (  # an onset comes before the beat at its sample
        (onsets, np.ones(len(onsets), bool)),
        (labels.sample, ectopic),
        (labels.waves, np.full(len(labels.waves), ventricular)),
        (labels.shutdown[:, 0], np.zeros(len(labels.shutdown), bool)),
    )
    sample, ectopic = (np.concatenate(column) for column in zip(*parts, strict=True))
    is_onset = np.arange(len(sample)) < len(onsets)
    order = np.argsort(sample, kind="stable")
    order = order[sample[order] >= start]
    sample, ectopic, is_onset = sample[order], ectopic[order], is_onset[order]
    in_a_run = np.concatenate([[False], ectopic[:-1]])
    return _Timeline(sample, ectopic, np.where(is_onset, np.where(in_a_run, 0, _LONG), 1))


def _counts(ours: _Timeline, theirs: _Timeline, window: int) -> tuple[np.ndarray, np.ndarray]:
    """int64 [3], int64 [3]: our runs by length, those that they have as long, and those not."""
    shortest = np.array(list(LENGTHS.values()))
    runs = _runs(ours.ectopic)
    lengths = np.diff(_beats_before(ours)[runs], axis=1)[:, 0]
    runs, lengths = runs[lengths >= shortest[0]], lengths[lengths >= shortest[0]]
    classes = np.searchsorted(shortest, lengths, "right") - 1
    near = np.stack(
        [
            np.searchsorted(theirs.sample, ours.sample[runs[:, 0]] - window, "left"),
            np.searchsorted(theirs.sample, ours.sample[runs[:, 1] - 1] + window, "right"),
        ],
        axis=1,
    )
    matched = _longest(theirs, near) >= shortest[classes]
    return (
        np.bincount(classes[matched], minlength=len(LENGTHS)),
        np.bincount(classes[~matched], minlength=len(LENGTHS)),
    )


def _longest(timeline: _Timeline, stretches: np.ndarray) -> np.ndarray:
    """int64 [S]: beats in the longest run within each stretch [S, 2] of items."""
    runs = _runs(timeline.ectopic)
    begin = np.searchsorted(runs[:, 1], stretches[:, 0], "right")
    end = np.searchsorted(runs[:, 0], stretches[:, 1], "left")
    beats = _beats_before(timeline)
    longest = np.zeros(len(stretches), np.int64)
    for k, (first, last) in enumerate(stretches):
        parts = beats[np.clip(runs[begin[k] : end[k]], first, last)]
        longest[k] = np.diff(parts, axis=1).max(initial=0)
    return longest


def _beats_before(timeline: _Timeline) -> np.ndarray:
    """int64 [I + 1]: the beats of all items before each."""
    return np.concatenate([[0], np.cumsum(timeline.length)])


def _runs(ectopic: np.ndarray) -> np.ndarray:
    """int64 [R, 2]: first item and item after the last of each run of ectopic items."""
    edges = np.diff(np.concatenate([[False], ectopic, [False]]).astype(np.int8))
    return np.stack([np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)], axis=1)
