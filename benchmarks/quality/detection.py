"""The shipped detector on whole recordings at three sampling rates, with its own R-peaks.

python -m benchmarks.quality.detection --records DIR

DIR holds the MIT-BIH records, which are resampled. Writes docs/results/detection.json.
"""

import argparse
import datetime
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal

from benchmarks.shared import write_rows
from kdjax import recordings
from kdjax.datasets.protocols import MITBIH_GROUPS
from kdjax.datasets.storage import CLASSES, SYMBOLS
from kdjax.detection.detector import Detector
from kdjax.detection.recording import detect
from kdjax.recordings.in_memory import of_array
from kdjax.runs import directory, provenance
from kdjax.scores import metrics

NAME = "mitbih-w8"
RATES = (360, 250, 128)  # Hz
RESULT = Path("docs/results/detection.json")
_TOLERANCE = 0.15  # s between a detected R-peak and an annotation, as ANSI/AAMI EC57 has it
_LABEL = {symbol: CLASSES.index(name) for name, symbols in SYMBOLS.items() for symbol in symbols}


def main() -> None:
    """Writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True)
    folder = parser.parse_args().records
    detector = directory.load_run(NAME)
    rows = {
        rate: [on_record(detector, folder, name, rate=rate) for name in MITBIH_GROUPS["test"]]
        for rate in RATES
    }
    result = {
        "command": "python -m benchmarks.quality.detection --records DIR",
        "detector": NAME,
        "quality": [quality(rate, found) for rate, found in rows.items()],
        "made_by": provenance.made_by(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    write_rows(RESULT, result)
    for row in result["quality"]:
        print(row)


def on_record(detector: Detector, folder: Path, name: str, *, rate: float) -> dict[str, Any]:
    """What is found in one record at a sampling rate, beside its annotations."""
    record = recordings.read_wfdb(folder / name)
    assert record.annotations is not None
    signal = record.lead("MLII")[:, None]
    if rate != record.fs:
        ratio = int(rate), int(record.fs)
        signal = scipy.signal.resample_poly(signal.astype(np.float64), *ratio, padtype="line")
    found = detect(detector, of_array(signal, rate, leads=("MLII",), name=name))
    is_beat = np.isin(record.annotations.symbol, list(_LABEL))
    at = record.annotations.sample[is_beat] / record.fs
    label = np.array([_LABEL[symbol] for symbol in record.annotations.symbol[is_beat]])
    near = nearest(at, found.beats.sample / rate)
    matched = near >= 0
    return {
        "record": name,
        "label": label[matched],
        "score": found.beats.score[near[matched]],
        "annotated": len(at),
        "abnormal": int((label > 0).sum()),
        "found": len(found.beats.sample),
        "matched": int(matched.sum()),
        "abnormal_lost": int((label[~matched] > 0).sum()),
        "unscored": int((found.beats.quality != "good").sum()),
        "notes": found.notes,
    }


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


if __name__ == "__main__":
    main()
