"""R-peaks against the annotations of MIT-BIH, record by record, by EC57.

python -m benchmarks.quality.rpeaks --records DIR

DIR holds the 48 records. Lead MLII, the first where there is none; from minute 5 on; 150 ms.
Beside kdjax stand sleepecg and NeuroKit2 (`pip install neurokit2`) on the whole record, run here,
and the gross figures of gqrs (WFDB Software Package) and of EP Limited's open-source analyser on
the same records, as `bxb` counted them on the first lead; those two are not run here. The detector
was made on DS1; DS2 confirms. Then DS1 with beats taken out: P waves alone must not be taken for
beats, nor T waves before a pause. Writes docs/results/rpeaks.json.
"""

import argparse
import datetime
import importlib
import importlib.metadata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sleepecg.heartbeats import detect_heartbeats

from benchmarks.robustness import records
from benchmarks.shared import FOLDER, write_rows
from kdjax import ec57
from kdjax.ec57 import rates
from kdjax.recordings import Annotations
from kdjax.runs import provenance

SEED, NOISE = 1, 0.005  # mV
APART = round(0.55 * records.FS)  # samples between a beat that is taken out and its neighbours
QUOTED = {
    "gqrs, 48": {"se": 0.9976, "p": 0.9972, "ventricular_missed": 86},
    "EP Limited, 48": {"se": 0.9977, "p": 0.9980, "ventricular_missed": 59},
    "gqrs, DS2": {"se": 0.9980, "p": 0.9975, "ventricular_missed": 40},
    "EP Limited, DS2": {"se": 0.9985, "p": 0.9982, "ventricular_missed": 25},
}


def neurokit(lead: np.ndarray) -> np.ndarray:
    """R-peaks by NeuroKit2's own method."""
    package = importlib.import_module("neurokit2")
    cleaned = package.ecg_clean(lead, sampling_rate=records.FS)
    return package.ecg_peaks(cleaned, sampling_rate=records.FS)[1]["ECG_R_Peaks"]


DETECTORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "kdjax": lambda lead: records.detected(lead).peaks,
    "sleepecg": lambda lead: detect_heartbeats(lead, records.FS),
    "NeuroKit2": neurokit,
}


def main() -> None:
    """Writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True)
    folder = parser.parse_args().records
    groups = {"DS1": records.DS1, "DS2": records.DS2, "paced": records.PACED}
    matrices = {
        name: compared(records.read(folder, name)) for names in groups.values() for name in names
    }
    groups = {"48": list(matrices), **groups}
    made = {
        "command": "python -m benchmarks.quality.rpeaks --records DIR",
        "gross": {
            f"{detector}, {group}": row(
                np.sum([matrices[name][detector] for name in names], axis=0)
            )
            for group, names in groups.items()
            for detector in DETECTORS
        },
        "average": {
            f"{detector}, {group}": average([matrices[name][detector] for name in names])
            for group, names in groups.items()
            for detector in DETECTORS
        },
        "quoted": QUOTED,
        "versions": {name: importlib.metadata.version(name) for name in ("sleepecg", "neurokit2")},
        "records": {
            name: {detector: row(matrix) for detector, matrix in both.items()}
            for name, both in sorted(matrices.items())
        },
        "taken_out": [
            row for name in records.DS1 for row in taken_out(name, records.read(folder, name))
        ],
        "made_by": provenance.made_by(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    write_rows(FOLDER / "rpeaks.json", made)
    for name, values in made["gross"].items():
        print(name, values)


def compared(record: records.Record) -> dict[str, np.ndarray]:
    """EC57's matrix int64 [7, 7] of each detector."""
    made = {}
    for name, detect in DETECTORS.items():
        sample = np.asarray(detect(record.lead), np.int64)
        test = Annotations(sample, np.full(len(sample), "N"))
        made[name] = ec57.compare(record.reference, test, records.FS).beats.matrix
    return made


def taken_out(name: str, record: records.Record) -> Iterator[dict[str, Any]]:
    """What is false and missed of a record that lacks some of its beats, by which these are.

    false: beats found where none is left that are not found in the whole record.
    """
    before = records.detected(record.lead).peaks
    known = before[~records.true(before, record.beats)]
    for what, without in TAKEN_OUT.items():
        lead, gone = without(record)
        beats, found = record.beats[~gone], records.detected(lead).peaks
        true = records.true(found, beats)
        apart = np.abs(found[~true][:, None] - known).min(axis=1, initial=len(lead))
        yield {
            "made": what,
            "record": name,
            "taken_out": int(gone.sum()),
            "beats": len(beats),
            "false": int((apart > records.MATCH).sum()),
            "missed": len(beats) - int(true.sum()),
        }


def blocked(record: records.Record) -> tuple[np.ndarray, np.ndarray]:
    """The lead without the QRS complex and T wave of every other beat, and which these are.

    The P waves stay, as in a 2:1 AV block.
    """
    lead, gone = record.lead.copy(), np.zeros(len(record.beats), bool)
    rng = np.random.default_rng(SEED)
    for i in range(2, len(record.beats) - 2, 2):
        before, beat, after = record.beats[i - 1 : i + 2]
        if min(beat - before, after - beat) >= APART:
            end = min(beat + round(0.42 * records.FS), after - round(0.25 * records.FS))
            _flatten(lead, beat - round(0.07 * records.FS), end, rng=rng)
            gone[i] = True
    return lead, gone


def paused(record: records.Record) -> tuple[np.ndarray, np.ndarray]:
    """The lead with one to three whole beats removed here and there, and which these are."""
    lead, gone = record.lead.copy(), np.zeros(len(record.beats), bool)
    rng, i = np.random.default_rng(SEED), 3
    while i < len(record.beats) - 5:
        count = int(rng.integers(1, 4))
        around = record.beats[i - 2 : i + count + 1]
        if rng.random() < 0.15 and np.diff(around).min() >= APART:
            first = around[1] + round(0.45 * records.FS)
            _flatten(lead, first, around[-1] - round(0.25 * records.FS), rng=rng)
            gone[i : i + count] = True
            i += count + 2
        i += 1
    return lead, gone


def _flatten(lead: np.ndarray, first: int, end: int, *, rng: np.random.Generator) -> None:
    """Puts a line in place of some samples, with a little noise: without it the lead is off."""
    line = np.linspace(lead[first], lead[end], end - first)
    lead[first:end] = line + rng.normal(0, NOISE, end - first)


TAKEN_OUT: dict[str, Callable[[records.Record], tuple[np.ndarray, np.ndarray]]] = {
    "every other QRS and T": blocked,
    "one to three beats": paused,
}


def average(matrices: list[np.ndarray]) -> dict[str, float]:
    """The means of the records' sensitivities and positive predictivities."""
    rows = [row(matrix) for matrix in matrices]
    return {name: round(float(np.mean([one[name] for one in rows])), 5) for name in ("se", "p")}


def row(matrix: np.ndarray) -> dict[str, Any]:
    """QRS sensitivity and positive predictivity, and ventricular beats without a beat."""
    of = rates.of_beats(matrix)
    sensitivity, predictivity = of["Q Se"], of["Q +P"]
    return {
        "beats": sensitivity.whole,
        "missed": sensitivity.whole - sensitivity.part,
        "false": predictivity.whole - predictivity.part,
        "se": round(sensitivity.part / sensitivity.whole, 5),
        "p": round(predictivity.part / predictivity.whole, 5),
        "ventricular": int(matrix[2].sum()),
        "ventricular_missed": int(matrix[2, 5:].sum()),
    }


if __name__ == "__main__":
    main()
