"""Does the network add to a score? Each score with and without it, under both class maps.

python -m benchmarks.headline --cells runs/narrow/interpatient-0/teacher-8 \
    --out docs/results/headline.json

The cells are one variant of a study, a seed each. Of every score there are three forms: of the
network (residual and latent), of the raw beat (the beat itself and its principal components), and
of both. All are fitted on held-out normal beats of the training people; test labels choose nothing.
"""

import argparse
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.page_parts import write_rows
from kdjax.datasets.protocols import Split
from kdjax.datasets.storage import CLASSES, BeatSet
from kdjax.runs import directory, evaluation, provenance
from kdjax.scores import baselines, fitted, metrics
from kdjax.scores.fitted import Evidence

COMPONENTS = 32
SCORES = (
    ("mse", "none"),
    ("mahalanobis", "none"),
    ("mahalanobis", "first_5_minutes"),
    ("latent", "first_5_minutes"),
    ("fusion", "none"),
    ("fusion", "first_5_minutes"),
)
SHAPES = ("mahalanobis", "latent")  # the distances that "fusion" takes the shape from
_TINY = 1e-12
# Which symbols are normal that BeatGAN's map counts as supraventricular.
MAPS = {"beatgan": (), "aami": ("e", "j")}


@dataclass(frozen=True)
class Beats:
    """One form's evidence of the beats that fit a score and of those that test it."""

    calibrate: Evidence
    test: Evidence

    def score(self, kind: str, adaptation: str) -> np.ndarray:
        """The test beats' scores [B]."""
        return fitted.fit(self.calibrate, kind, adaptation).score(self.test)


def main() -> None:
    """Scores every cell and writes the JSON."""
    parser = argparse.ArgumentParser(description="Each score with and without the network")
    parser.add_argument("--cells", type=Path, required=True)
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cells = sorted(args.cells.glob("seed*"), key=lambda path: int(path.name[4:]))
    config = directory.read_config(cells[0])
    config["data"]["dir"] = args.data_dir
    beats, parts = evaluation.load_data(config)
    rhythm = fitted.rhythm(beats.record, beats.sample, beats.rr_before)
    symbol, label = beats.symbol[parts.test], beats.label[parts.test]
    labels = {name: labelled(symbol, label, normal) for name, normal in MAPS.items()}
    raw = raw_beats(beats, parts, rhythm)
    alone = {key: qualities(raw.score(*key), labels) for key in SCORES if key[0] != "mse"}
    rows: dict[tuple[str, str], list[dict]] = {key: [] for key in SCORES}
    for cell in cells:
        network = network_beats(cell, beats, parts, rhythm)
        for kind, adaptation in SCORES:
            found = {"network": qualities(network.score(kind, adaptation), labels)}
            if kind == "fusion":
                shapes = [(form, of) for form in (network, raw) for of in SHAPES]
                found["both"] = qualities(fused(shapes, adaptation), labels)
            rows[kind, adaptation].append(found)
        print(cell, rows[SCORES[-1]][-1]["network"]["beatgan"]["auc"], flush=True)
    out = {
        "command": "python -m benchmarks.headline",
        "protocol": parts.protocol,
        "epochs": config["epochs"],
        "width": config["model"]["width"],
        "seeds": [int(cell.name[4:]) for cell in cells],
        "n_test": len(parts.test),
        "classes": {name: counts(found) for name, found in labels.items()},
        "rows": [
            {"score": kind, "adaptation": adaptation}
            | summary(rows[kind, adaptation], alone.get((kind, adaptation)))
            for kind, adaptation in SCORES
        ],
        "fingerprints": {"data": beats.fingerprint, "split": parts.fingerprint},
        **provenance.made_by(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    write_rows(args.out, out)


def labelled(symbol: np.ndarray, label: np.ndarray, normal: Sequence[str]) -> np.ndarray:
    """The classes [B] of beats, with these symbols as normal ones."""
    return np.where(np.isin(symbol, normal), 0, label)


def counts(label: np.ndarray) -> dict[str, int]:
    """How many beats of each class there are among [B]."""
    return {name: int((label == number).sum()) for number, name in enumerate(CLASSES)}


def raw_beats(beats: BeatSet, parts: Split, rhythm: np.ndarray) -> Beats:
    """The beat for its residual, its principal components among training beats for a latent."""
    subspace = baselines.Principal.fit(beats.x[parts.train], COMPONENTS)

    def evidence(index: np.ndarray) -> Evidence:
        x = beats.x[index]
        place = beats.record[index], beats.sample[index], beats.fs
        error = np.full(len(x), np.nan)
        return Evidence(x, subspace.project(x), error, rhythm[index], *place)

    return Beats(evidence(parts.calibrate), evidence(parts.test))


def network_beats(cell: Path, beats: BeatSet, parts: Split, rhythm: np.ndarray) -> Beats:
    """The residual and the latent of a cell's network; InputError for another split's."""
    model = directory.load_model(cell)
    evaluation.check_fingerprints(cell, model.progress["fingerprints"], beats, parts)
    return Beats(
        *(
            evaluation.evidence(model, beats, rhythm, index, features=False)
            for index in (parts.calibrate, parts.test)
        )
    )


def fused(opinions: Sequence[tuple[Beats, str]], adaptation: str) -> np.ndarray:
    """The test beats' fused score [B], their shape judged by these distances of these forms.

    As `fitted.fit`'s "fusion", whose distances are the residual's and the latent's of one form:
    -log p of the mean log distance plus -log p of the prematurity.
    """
    scores = [(form, fitted.fit(form.calibrate, kind, adaptation)) for form, kind in opinions]

    def heard(which: str) -> list[np.ndarray]:
        logs = [np.log(np.maximum(s.score(getattr(form, which)), _TINY)) for form, s in scores]
        return [np.mean(logs, axis=0), getattr(scores[0][0], which).rhythm[:, 1]]

    tails = [fitted.tail(values) for values in heard("calibrate")]
    pairs = zip(heard("test"), tails, strict=True)
    return np.sum([fitted.surprise(values, tail) for values, tail in pairs], axis=0)


def qualities(score: np.ndarray, labels: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """AUC, AP and each class's AUC of scores [B], under every map of labels [B]."""
    found = {}
    for name, label in labels.items():
        classes = metrics.per_class(label, score, CLASSES)
        found[name] = {
            "auc": metrics.auc(label > 0, score),
            "ap": metrics.average_precision(label > 0, score),
        } | {kind: classes[kind]["auc"] for kind in ("S", "V", "F")}
    return found


def summary(cells: Sequence[Mapping], without: Mapping | None) -> dict[str, Any]:
    """Means over seeds of every form and map; the network's differences to no network."""
    found: dict[str, Any] = {"no network": without} if without else {}
    for form in cells[0]:
        found[form] = {
            name: {
                figure: metrics.t_interval([cell[form][name][figure] for cell in cells])
                for figure, value in cells[0][form][name].items()
                if value is not None
            }
            for name in MAPS
        }
        if without:
            found[f"{form} less no network"] = {
                name: metrics.paired_difference(
                    [cell[form][name]["auc"] for cell in cells],
                    [without[name]["auc"]] * len(cells),
                )
                for name in MAPS
            }
    return found


if __name__ == "__main__":
    main()
