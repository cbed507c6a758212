"""Would other opinions help the score in use? Parts of the beat and the interval after it, on DS1.

python -m benchmarks.quality.opinions --out docs/results/opinions.json

No network: the raw beat and its principal components, fused with prematurity and adapted to the
person's first five minutes, as `kdjax detect` does with a network. Every row puts an opinion in or
takes one away. Labels of DS1 judge, which develops; DS2 is not looked at.
"""

import argparse
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.headline import COMPONENTS
from benchmarks.shared import write_rows
from configs import teacher
from kdjax.datasets.protocols import MITBIH_GROUPS
from kdjax.datasets.storage import CLASSES, BeatSet
from kdjax.runs import evaluation, provenance
from kdjax.scores import baselines, fitted, metrics
from kdjax.scores.fitted import Evidence

ADAPTATION = "first_5_minutes"
_TINY = 1e-12
# Samples of the window, whose R-peak is sample 140, at 360 Hz.
PARTS = {"P wave": (40, 125), "QRS": (115, 170), "T wave": (170, 320)}
SHAPE = ("beat", "components")

Opinion = tuple[np.ndarray, np.ndarray]  # of the beats that fit the tails, and of those judged


def main() -> None:
    """Judges every combination and writes the JSON."""
    parser = argparse.ArgumentParser(description="Other opinions beside shape and prematurity")
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    config: Any = teacher.get_config("mitbih")
    config.data.protocol, config.data.dir = "interpatient", args.data_dir
    beats, parts = evaluation.load_data(config)
    people = [*MITBIH_GROUPS["train"], *MITBIH_GROUPS["heldout"]]
    judged = np.setdiff1d(np.flatnonzero(np.isin(beats.record, people)), parts.calibrate)
    found = opinions(beats, parts.train, (parts.calibrate, judged))
    label = beats.label[judged]
    rows = []
    for name, groups in combinations().items():
        score = together([found_of(found, group) for group in groups])
        classes = metrics.per_class(label, score, CLASSES)
        row = {"opinions": name, "auc": metrics.auc(label > 0, score)}
        row |= {"ap": metrics.average_precision(label > 0, score)}
        rows.append(row | {kind: classes[kind]["auc"] for kind in ("S", "V", "F")})
        print(rows[-1], flush=True)
    out = {
        "command": "python -m benchmarks.quality.opinions",
        "people": people,
        "n_test": len(judged),
        "rows": rows,
        "fingerprints": {"data": beats.fingerprint, "split": parts.fingerprint},
        **provenance.made_by(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    write_rows(args.out, out)


def combinations() -> dict[str, list[tuple[str, ...]]]:
    """What is fused in each row: the members of a group are one opinion, their mean."""
    timing = ("prematurity",)
    rows = {"shape and prematurity": [SHAPE, timing]}
    rows |= {"prematurity alone": [timing], "shape alone": [SHAPE]}
    rows |= {"components and prematurity": [("components",), timing]}
    rows |= {f"{part} as a third opinion": [SHAPE, (part,), timing] for part in PARTS}
    rows |= {"parts in place of the beat": [("components", *PARTS), timing]}
    rows |= {"interval after as a third opinion": [SHAPE, timing, ("interval after",)]}
    return rows | {"interval after with prematurity": [SHAPE, ("prematurity", "interval after")]}


def opinions(
    beats: BeatSet, train: np.ndarray, indices: tuple[np.ndarray, np.ndarray]
) -> dict[str, Opinion]:
    """Every opinion of the beats numbered in the first and in the second of `indices`."""
    rhythm = fitted.rhythm(beats.record, beats.sample, beats.rr_before)
    subspace = baselines.Principal.fit(beats.x[train], COMPONENTS)

    def evidence(index: np.ndarray, part: slice) -> Evidence:
        x, error = beats.x[index], np.full(len(index), np.nan)
        place = beats.record[index], beats.sample[index], beats.fs
        return Evidence(x[:, part], subspace.project(x), error, rhythm[index], *place)

    def distance(kind: str, part: slice = slice(None)) -> Opinion:
        fit, judge = (evidence(index, part) for index in indices)
        score = fitted.fit(fit, kind, ADAPTATION)
        near, far = (np.log(np.maximum(score.score(e), _TINY)) for e in (fit, judge))
        return near, far

    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.log(beats.rr_after.astype(np.float64)) - np.log(beats.rr_before)
    after = np.nan_to_num(ratio, posinf=0, neginf=0) / fitted.RR_TOLERANCE
    fit, judge = indices
    found = {"beat": distance("mahalanobis"), "components": distance("latent")}
    found |= {name: distance("mahalanobis", slice(*part)) for name, part in PARTS.items()}
    found["prematurity"] = rhythm[fit, 1], rhythm[judge, 1]
    return found | {"interval after": (after[fit], after[judge])}


def found_of(found: dict[str, Opinion], group: Sequence[str]) -> Opinion:
    """The mean of a group's members."""
    fit, judge = (np.mean([found[name][i] for name in group], axis=0) for i in (0, 1))
    return fit, judge


def together(heard: Sequence[Opinion]) -> np.ndarray:
    """Fisher's method over opinions, each as its tail among normal beats: scores [B]."""
    return np.sum([fitted.surprise(judge, fitted.tail(fit)) for fit, judge in heard], axis=0)


if __name__ == "__main__":
    main()
