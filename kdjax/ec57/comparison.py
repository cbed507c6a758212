"""Two annotators of one record: everything that EC57 compares."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from kdjax.ec57 import labels, pairing, runs
from kdjax.ec57.labels import CLASSES
from kdjax.errors import InputError
from kdjax.recordings import Annotations

LEARNING_SECONDS = 300.0  # left out at a record's start
MATCH_SECONDS = 0.15  # the most between two annotations of one beat


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """The comparison of a test annotator with the reference on one record."""

    beats: pairing.BeatByBeat
    ventricular: runs.RunByRun
    supraventricular: runs.RunByRun


def compare(
    reference: Annotations,
    test: Annotations,
    fs: float,
    *,
    start: float = LEARNING_SECONDS,
    match: float = MATCH_SECONDS,
    classes: Mapping[str, str] = CLASSES["wfdb"],
) -> Comparison:
    """Compares two annotators of one record, beat by beat and run by run.

    Args:
        reference: the annotations that count as the truth; samples at `fs`.
        test: the annotations to judge; samples at `fs`.
        fs: in Hz.
        start: seconds to leave out at the beginning.
        match: the largest distance in seconds between two annotations of the same beat.
        classes: N, S, V, F or Q for each symbol that is a beat.

    Raises:
        InputError: `fs` is not positive, `start` or `match` is negative, or one is not finite.
    """
    if not 0 < fs < math.inf or not 0 <= start < math.inf or not 0 <= match < math.inf:
        raise InputError(
            f"fs {fs}, start {start}, match {match}: fs must be positive, the others not negative, "
            "and all finite"
        )
    first, window = round(start * fs), int(match * fs + 1e-9)
    ours, theirs = (labels.read(one, classes, window) for one in (reference, test))
    ventricular, supraventricular = (
        runs.compare_runs(ours, theirs, origin, start=first, window=window)
        for origin in runs.ORIGINS
    )
    return Comparison(
        beats=pairing.compare_beats(ours, theirs, fs=fs, start=first, window=window),
        ventricular=ventricular,
        supraventricular=supraventricular,
    )
