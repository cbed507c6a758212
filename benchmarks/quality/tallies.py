"""Counts of each record, gross rates over records, and their spread over people."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.quality.fit_kinds import Read, streamed
from kdjax import ec57
from kdjax.detection import kinds
from kdjax.ec57 import labels
from kdjax.ec57.rates import of_beats
from kdjax.recordings import Annotations

START = 300.0  # s
RATES = ("V Se", "V +P", "S Se", "S +P")
DRAWS, SEED = 2000, 0


class Tally(NamedTuple):
    """A record's matrix [7, 7] of EC57, and from minute 5 on: false alarms, normal beats, hours.

    What is called a beat in ventricular flutter is no false alarm, as EC57 has it.
    """

    matrix: np.ndarray
    false: int
    flagged: int  # normal beats
    normal: int
    hours: float


def tally(one: Read, symbols: np.ndarray, *, kept: Any = slice(None)) -> Tally:
    """Of a record, given the annotation of every beat [B]; those that are not `kept` are none."""
    later = (streamed(one).sample >= START * one.fs) & (one.shape != kinds.UNSCORED)
    alarm = later & (symbols != "N")
    flutter = labels.read(one.reference, ec57.CLASSES["aami"], 0).flutter
    alarm &= ~((one.label == "O") & labels.within(streamed(one).sample, flutter))
    return Tally(
        matrix=matrix(one, symbols, "aami", kept=kept),
        false=int((alarm & np.isin(one.label, ["N", "O"])).sum()),
        flagged=int((alarm & (one.label == "N")).sum()),
        normal=int((later & (one.label == "N")).sum()),
        hours=(one.seconds - START) / 3600,
    )


def matrix(one: Read, symbols: np.ndarray, classes: str, *, kept: Any = slice(None)) -> np.ndarray:
    """EC57's matrix [7, 7] of a record."""
    test = Annotations(streamed(one).sample[kept], symbols[kept])
    return ec57.compare(one.reference, test, one.fs, classes=ec57.CLASSES[classes]).beats.matrix


def gross(tallies: Sequence[Tally]) -> dict[str, Any]:
    """Rates over all records in per cent, None where nothing was counted, and what they are of."""
    rates = of_beats(np.sum([one.matrix for one in tallies], axis=0), gross=True)
    normal = sum(one.normal for one in tallies)
    return {
        **{name: rates[name].percent if rates[name].whole else None for name in RATES},
        "V": rates["V Se"].whole,
        "S": rates["S Se"].whole,
        "false_alarms_per_hour": sum(one.false for one in tallies)
        / sum(one.hours for one in tallies),
        "normal_flagged": sum(one.flagged for one in tallies) / normal if normal else None,
    }


def drawn(records: int) -> np.ndarray:
    """How often each of so many records is drawn, int [DRAWS, R]: a bootstrap over people."""
    rng = np.random.default_rng(SEED)
    times = rng.integers(0, records, (DRAWS, records))
    return np.apply_along_axis(np.bincount, 1, times, minlength=records)


def resampled(tallies: Sequence[Tally]) -> dict[str, np.ndarray]:
    """`gross` of each draw, by name, float [DRAWS]; NaN where nothing was counted."""
    times = drawn(len(tallies))
    matrices = np.einsum("dr,rij->dij", times, np.stack([one.matrix for one in tallies]))
    rates = [of_beats(total, gross=True) for total in matrices]
    false, hours = (
        times @ np.array([getattr(one, name) for one in tallies]) for name in ("false", "hours")
    )
    return {name: np.array([row[name].percent for row in rates]) for name in RATES} | {
        "false_alarms_per_hour": false / hours
    }


def resampled_auc(abnormal: Sequence[np.ndarray], score: Sequence[np.ndarray]) -> np.ndarray:
    """AUC over the beats of each draw of records, float [DRAWS], ties counting half.

    abnormal, score: bool and float [B] of each record. Records are compared pair by pair, once for
    all draws.
    """
    ordered = [np.sort(values[~own]) for own, values in zip(abnormal, score, strict=True)]
    above = np.array(
        [
            [
                (
                    np.searchsorted(others, values[own], "left")
                    + np.searchsorted(others, values[own], "right")
                ).sum()
                / 2
                for others in ordered
            ]
            for own, values in zip(abnormal, score, strict=True)
        ]
    )
    times = drawn(len(score))
    pairs = (times @ [own.sum() for own in abnormal]) * (times @ [len(own) for own in ordered])
    with np.errstate(invalid="ignore"):
        return np.einsum("di,ij,dj->d", times, above, times) / pairs


def interval(draws: np.ndarray) -> list[float]:
    """95 % percentile interval."""
    return np.nanquantile(draws, [0.025, 0.975]).tolist()
