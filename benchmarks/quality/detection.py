"""The shipped detector on whole recordings: quality with its own R-peaks.

python -m benchmarks.quality.detection --records DIR [--data-dir DIR]

DIR holds the MIT-BIH records. Writes docs/results/detection.json.
"""

import argparse
import datetime
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal

from benchmarks.shared import write_rows
from kdjax import datasets, recordings
from kdjax.datasets.protocols import MITBIH_GROUPS
from kdjax.datasets.storage import CLASSES, SYMBOLS
from kdjax.detection import personal
from kdjax.detection.deciding import FPR, calibration_of
from kdjax.detection.detector import Detector
from kdjax.detection.recording import detect
from kdjax.runs import directory, provenance
from kdjax.scores import calibration, fitted, metrics

NAME = "mitbih-w8"
RATES = (360, 250, 128)  # Hz
RESULT = Path("docs/results/detection.json")
# The calibration was chosen on DS1, whose normal beats trained the network or set its thresholds.
PEOPLE = {
    "DS1": MITBIH_GROUPS["train"] + MITBIH_GROUPS["heldout"],
    "DS2": MITBIH_GROUPS["test"],
}
_TOLERANCE = 0.15  # s between a detected R-peak and an annotation, as ANSI/AAMI EC57 has it
_LABEL = {symbol: CLASSES.index(name) for name, symbols in SYMBOLS.items() for symbol in symbols}


def main() -> None:
    """Writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, help="where mitbih is prepared")
    args = parser.parse_args()
    detector = directory.load_run(NAME)
    rows = {rate: [on_record(detector, args.records, n, rate) for n in records()] for rate in RATES}
    result = {
        "command": "python -m benchmarks.quality.detection --records DIR",
        "detector": NAME,
        "annotated": annotated(detector, args.data_dir),
        "quality": [quality(rate, found) for rate, found in rows.items()],
        "thresholds": [
            row
            for people, names in PEOPLE.items()
            for row in thresholds(detector, args.records, people, names)
        ],
        "made_by": provenance.made_by(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    write_rows(RESULT, result)
    print(json.dumps(result, indent=2))


def records() -> tuple[str, ...]:
    """The people whom no training saw."""
    return MITBIH_GROUPS["test"]


def annotated(detector: Detector, data_dir: Path | None) -> dict[str, Any]:
    """The same score of the prepared beats, which stand at their annotations."""
    every = datasets.load("mitbih", data_dir)
    rhythm = fitted.rhythm(every.record, every.sample, every.rr_before)
    test = np.flatnonzero(np.isin(every.record, records()))
    place = rhythm[test], every.record[test], every.sample[test], every.fs
    score = calibration_of(detector).score.score(detector.evidence(every.x[test], *place))
    abnormal = every.label[test] > 0
    return {
        "n": len(test),
        "auc": metrics.auc(abnormal, score),
        "ap": metrics.average_precision(abnormal, score),
        "ci95": metrics.bootstrap_ci(every.record[test], abnormal, score),
    }


# --- quality -----------------------------------------------------------------------------------


def on_record(
    detector: Detector, folder: Path, name: str, rate: float, start: float = 0.0
) -> dict[str, Any]:
    """What is found in one record at a sampling rate, from `start` s on, beside its annotations."""
    record = recordings.read_wfdb(folder / name)
    assert record.annotations is not None
    first = round(start * record.fs)
    signal = record.lead("MLII")[first:, None]
    if rate != record.fs:
        ratio = int(rate), int(record.fs)
        signal = scipy.signal.resample_poly(signal.astype(np.float64), *ratio, padtype="line")
    found = detect(detector, source(name, rate, signal))
    is_beat = np.isin(record.annotations.symbol, list(_LABEL))
    at = (record.annotations.sample[is_beat] - first) / record.fs
    label = np.array([_LABEL[symbol] for symbol in record.annotations.symbol[is_beat]])
    at, label = at[at >= 0], label[at >= 0]
    near = nearest(at, found.beats.sample / rate)
    matched = near >= 0
    no_beat = np.setdiff1d(np.arange(len(found.beats.sample)), near)
    return {
        "record": name,
        "label": label[matched],
        "score": found.beats.score[near[matched]],
        "score_of_no_beat": found.beats.score[no_beat],
        "hours": found.seconds / 3600,
        "annotated": len(at),
        "abnormal": int((label > 0).sum()),
        "found": len(found.beats.sample),
        "matched": int(matched.sum()),
        "abnormal_lost": int((label[~matched] > 0).sum()),
        "unscored": int((found.beats.quality != "good").sum()),
        "notes": found.notes,
    }


def source(name: str, rate: float, signal: np.ndarray) -> recordings.Source:
    """A signal [T, 1] in memory as a recording."""

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        yield from np.array_split(signal[:, columns].astype(np.float32), 7)

    return recordings.Source(
        name=name, fs=float(rate), leads=("MLII",), length=len(signal), read=read
    )


def nearest(at: np.ndarray, found: np.ndarray) -> np.ndarray:
    """For each annotation [A] the beat that is its own, -1 where there is none, each beat once."""
    place = np.clip(np.searchsorted(found, at), 1, len(found) - 1)
    place -= at - found[place - 1] < found[place] - at
    away = np.abs(found[place] - at)
    chosen = np.full(len(at), -1)
    for annotation in np.argsort(away):
        if away[annotation] <= _TOLERANCE and place[annotation] not in chosen:
            chosen[annotation] = place[annotation]
    return chosen


def quality(rate: float, rows: list[dict]) -> dict[str, Any]:
    """Beat detection, and scores against the annotated classes, over all records."""
    label, score = (np.concatenate([row[name] for row in rows]) for name in ("label", "score"))
    record = np.repeat([row["record"] for row in rows], [len(row["label"]) for row in rows])
    scored = np.isfinite(score)
    label, score, record = label[scored], score[scored], record[scored]
    total = {
        name: sum(row[name] for row in rows)
        for name in ("annotated", "abnormal", "found", "matched", "abnormal_lost", "unscored")
    }
    return {
        "fs": rate,
        "sensitivity": total["matched"] / total["annotated"],
        "sensitivity_to_abnormal_beats": 1 - total["abnormal_lost"] / total["abnormal"],
        "positive_predictivity": total["matched"] / total["found"],
        "unscored": total["unscored"],
        "abnormal_beats_not_found": total["abnormal_lost"],
        "n": len(score),
        "auc": metrics.auc(label > 0, score),
        "ap": metrics.average_precision(label > 0, score),
        "ci95": metrics.bootstrap_ci(record, label > 0, score),
        "per_class": metrics.per_class(label, score, CLASSES),
        "notes": {row["record"]: row["notes"] for row in rows if row["notes"]},
    }


HALF = 902.0  # s: about the middle of a record
KINDS = (
    "as shipped",
    "moved to the first half by kdjax calibrate",
    "1 % of the first half's own beats, taken for normal",
)


def thresholds(
    detector: Detector, folder: Path, people: str, names: Sequence[str]
) -> list[dict[str, Any]]:
    """What the threshold for 1 % does in the second halves of records, by calibration."""
    rows: dict[str, list[dict]] = {kind: [] for kind in KINDS}
    limits: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for name in names:
        record = recordings.read_wfdb(folder / name)
        half = record.lead("MLII")[: round(HALF * record.fs), None]
        moved, own = personal.calibrate(detector, [source(name, record.fs, half)])
        there = replace(detector, calibration=moved)
        usual = calibration_of(detector).threshold(FPR)
        found = {
            KINDS[0]: (detector, usual),
            KINDS[1]: (there, moved.threshold(FPR)),
            KINDS[2]: (there, calibration.own_threshold(own, FPR, 0.0)),
        }
        for kind, (used, limit) in found.items():
            rows[kind].append(on_record(used, folder, name, record.fs, HALF))
            limits[kind].append(limit)
    return [
        {"people": people, "calibration": kind, "fpr_target": FPR}
        | alarms(rows[kind], limits[kind])
        for kind in KINDS
    ]


def alarms(rows: list[dict], limits: list[float]) -> dict[str, Any]:
    """False and right alarms of records under a threshold each."""
    rates, false, right = {}, 0, 0
    for row, limit in zip(rows, limits, strict=True):
        above, normal = row["score"] > limit, (row["label"] == 0) & np.isfinite(row["score"])
        rates[row["record"]] = float(above[normal].mean()) if normal.any() else None
        false += int(above[normal].sum()) + int((row["score_of_no_beat"] > limit).sum())
        right += int(above[row["label"] > 0].sum())
    known = [rate for rate in rates.values() if rate is not None]
    return {
        "fpr_per_record": rates,
        "fpr_median": float(np.median(known)),
        "fpr_highest": max(known),
        "false_alarms_per_hour": false / sum(row["hours"] for row in rows),
        "recall_of_all_annotated": right / sum(row["abnormal"] for row in rows),
    }


if __name__ == "__main__":
    main()
