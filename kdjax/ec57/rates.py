"""Rates of a comparison, of one record and over records."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kdjax.ec57.labels import BEATS
from kdjax.ec57.pairing import ROWS
from kdjax.ec57.runs import LENGTHS, RunByRun

V, S = BEATS.index("V"), BEATS.index("S")


class Ratio(NamedTuple):
    """A count out of a count."""

    part: int
    whole: int

    @property
    def percent(self) -> float:
        """NaN where nothing was counted."""
        return 100 * self.part / self.whole if self.whole else float("nan")


def of_beats(matrix: np.ndarray, *, gross: bool = False) -> dict[str, Ratio]:
    """Se, +P and FPR of QRS complexes (Q), VEBs (V) and SVEBs (S) from a matrix [7, 7].

    An unclassifiable beat that is called VEB or SVEB, and a fusion beat that is called VEB, counts
    neither as true nor as false. `gross`: over a sum of records, sumstats leaves out fusion beats
    that are called SVEB too, since the line format merges them with the unclassifiable ones.
    FPR is the share of an ectopic class among the beats that are of another class.
    """
    beats = len(BEATS)
    both = int(matrix[:beats, :beats].sum())
    rates = {
        "Q Se": Ratio(both, int(matrix[:beats].sum())),
        "Q +P": Ratio(both, int(matrix[:, :beats].sum())),
    }
    for ectopic, neutral in ((V, "FQ"), (S, "FQ" if gross else "Q")):
        true = int(matrix[ectopic, ectopic])
        judged = [row for row in range(len(ROWS)) if ROWS[row] not in neutral]
        false = int(matrix[judged, ectopic].sum()) - true
        others = np.delete(matrix[:beats, :beats], ectopic, axis=0)
        negative = int(np.delete(others, ectopic, axis=1).sum())
        name = BEATS[ectopic]
        rates[f"{name} Se"] = Ratio(true, int(matrix[ectopic].sum()))
        rates[f"{name} +P"] = Ratio(true, true + false)
        rates[f"{name} FPR"] = Ratio(false, false + negative)
    return rates


def of_runs(runs: RunByRun) -> dict[str, Ratio]:
    """Se and +P of couplets (C), short runs (S) and long runs (L)."""
    rates = {}
    for k, length in enumerate(LENGTHS):
        letter = length[0].upper()
        detected, true = int(runs.detected[k]), int(runs.true[k])
        rates[f"{letter}Se"] = Ratio(detected, detected + int(runs.missed[k]))
        rates[f"{letter}+P"] = Ratio(true, true + int(runs.false[k]))
    return rates


def average(values: Sequence[float]) -> float:
    """Mean of the values that are numbers; NaN where none is."""
    numbers = [value for value in values if not np.isnan(value)]
    return sum(numbers) / len(numbers) if numbers else float("nan")
