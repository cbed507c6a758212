"""Beat by beat: which beats of two annotators are the same beat, and what both call it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kdjax.ec57.labels import BEATS, Labels, within

ROWS, COLUMNS = BEATS + "OX", BEATS.lower() + "ox"
MISSED, SHUT_DOWN = ROWS.index("O"), ROWS.index("X")


@dataclass(frozen=True, eq=False, kw_only=True)
class BeatByBeat:
    """`matrix` int64 [7, 7]: rows are the reference's N, S, V, F, Q, O, X, columns the test's.

    Row O holds test beats where the reference has none, column O reference beats that the test
    annotator missed. X in place of O: the other annotator had shut down there.
    `rr_error`, in ms: root mean square; NaN without an interval to compare.
    `shutdown`, in seconds: the test annotator's, within the test period.
    """

    matrix: np.ndarray
    rr_error: float
    shutdown: float


def compare_beats(
    reference: Labels, test: Labels, *, fs: float, start: int, window: int
) -> BeatByBeat:
    """Compares two annotators' beats from sample `start` on; `window` in samples.

    Test beats in ventricular flutter or fibrillation of the reference are not counted as extra.
    Rules: ANSI/AAMI EC57, as the WFDB Applications Guide and the manual page of bxb give them.
    """
    first = np.array([np.searchsorted(labels.sample, start) for labels in (reference, test)])
    pairs = align(reference.sample[first[0] :].tolist(), test.sample[first[1] :].tolist(), window)
    beats = np.where(pairs < 0, -1, pairs + first)
    extra = np.flatnonzero(beats[:, 0] < 0)
    in_flutter = within(test.sample[beats[extra, 1]], reference.flutter)
    counted = np.delete(beats, extra[in_flutter], axis=0)
    matrix = np.zeros((len(ROWS), len(COLUMNS)), np.int64)
    rows = _classes(reference, counted[:, 0], test, partner=counted[:, 1])
    columns = _classes(test, counted[:, 1], reference, partner=counted[:, 0])
    np.add.at(matrix, (rows, columns), 1)
    seconds = np.clip(test.shutdown - start, 0, None)
    return BeatByBeat(
        matrix=matrix,
        rr_error=_rr_error(reference, test, pairs, first=first) / fs * 1000,
        shutdown=float((seconds[:, 1] - seconds[:, 0]).sum() / fs),
    )


def align(reference: Sequence[int], test: Sequence[int], window: int) -> np.ndarray:
    """int64 [E, 2]: pairs of indices in time order, -1 for a beat that has no partner.

    The earlier of the two next beats is paired with the other one where that is at most `window`
    samples away, unless the beat after it is nearer to that one.
    """
    pairs, r, t = [], 0, 0
    while r < len(reference) and t < len(test):
        distance = abs(reference[r] - test[t])
        reference_first = reference[r] <= test[t]
        if distance > window:
            paired = False
        elif reference_first:
            paired = r + 1 == len(reference) or abs(reference[r + 1] - test[t]) >= distance
        else:
            paired = t + 1 == len(test) or abs(reference[r] - test[t + 1]) >= distance
        takes_reference = paired or reference_first
        takes_test = paired or not reference_first
        pairs.append((r if takes_reference else -1, t if takes_test else -1))
        r += takes_reference
        t += takes_test
    pairs += [(i, -1) for i in range(r, len(reference))]
    pairs += [(-1, i) for i in range(t, len(test))]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _classes(labels: Labels, beat: np.ndarray, other: Labels, *, partner: np.ndarray) -> np.ndarray:
    """int64 [E]: each event's row or column by what `labels` say of it; -1 stands for no beat."""
    classes = np.full(len(beat), MISSED)
    classes[beat >= 0] = labels.kind[beat[beat >= 0]]
    alone = np.flatnonzero(beat < 0)
    classes[alone[within(other.sample[partner[alone]], labels.shutdown)]] = SHUT_DOWN
    return classes


def _rr_error(reference: Labels, test: Labels, pairs: np.ndarray, *, first: np.ndarray) -> float:
    """Root mean square difference, in samples, of the RR intervals that end at each event.

    At every pair, missed beat and extra beat, the interval that ends with the reference's next
    beat is compared with the one that ends with the test annotator's next beat. Intervals over a
    shutdown or ventricular flutter are left out. The golden answers of bxb follow this rule.
    """
    upcoming = np.cumsum(pairs >= 0, axis=0) - (pairs >= 0) + first  # the next beat of each
    r, t = upcoming[:, 0], upcoming[:, 1]
    both = (r > 0) & (r < len(reference.sample)) & (t > 0) & (t < len(test.sample))
    r, t = r[both], t[both]
    whole = ~_broken(reference, r) & ~_broken(test, t)
    r, t = r[whole], t[whole]
    if not len(r):
        return float("nan")
    error = (reference.sample[r] - reference.sample[r - 1]) - (test.sample[t] - test.sample[t - 1])
    return float(np.sqrt(np.mean(error.astype(float) ** 2)))


def _broken(labels: Labels, beat: np.ndarray) -> np.ndarray:
    """bool: which of the intervals that end at these beats contain the start of a break."""
    before = np.searchsorted(labels.breaks, labels.sample[beat - 1], "left")
    return before < np.searchsorted(labels.breaks, labels.sample[beat], "right")
