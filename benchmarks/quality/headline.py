"""Does the network add to a score? Each score with and without it, under both class maps.

python -m benchmarks.quality.headline --cells runs/narrow/interpatient-0/teacher-8 \
    --out docs/results/headline.json

The cells are one variant of a study, a seed each. Of every score there are four forms: of the raw
beat (the beat itself and its principal components), of the network (residual and latent), of the
same network before training, and of raw beat and network together. All are fitted on held-out
normal beats of the training people; test labels choose nothing.
"""

import argparse
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.shared import write_rows
from kdjax.datasets.protocols import Split
from kdjax.datasets.storage import CLASSES, BeatSet
from kdjax.runs import directory, evaluation, provenance
from kdjax.scores import baselines, fitted, metrics
from kdjax.scores.fitted import Evidence

COMPONENTS = 32
SHAPES = ("mahalanobis", "latent")  # the distances that "fusion" takes the shape from
ADAPTATIONS = ("none", "first_5_minutes")
# Which symbols are normal that BeatGAN's map counts as supraventricular.
MAPS = {"beatgan": (), "aami": ("e", "j")}
UNTRAINED = 5  # seeds
NO_NETWORK, NETWORK = "no network", "network"
_TINY = 1e-12

Opinion = tuple[np.ndarray, np.ndarray]  # of the beats that fit its tail, of those that are tested
Scores = dict[str, np.ndarray]  # 'kind, adaptation': of the test beats [B]
Quality = Mapping[str, Mapping[str, float]]  # map: figure: value


@dataclass(frozen=True)
class Beats:
    """One form's evidence of the beats that fit a score and of those that test it."""

    calibrate: Evidence
    test: Evidence

    def score(self, kind: str, adaptation: str) -> np.ndarray:
        """The test beats' scores [B]."""
        return fitted.fit(self.calibrate, kind, adaptation).score(self.test)

    def distance(self, kind: str, adaptation: str) -> Opinion:
        """The logarithm of a distance, of both kinds of beats."""
        score = fitted.fit(self.calibrate, kind, adaptation)
        near, far = (
            np.log(np.maximum(score.score(beats), _TINY)) for beats in (self.calibrate, self.test)
        )
        return near, far

    @property
    def prematurity(self) -> Opinion:
        """How early the beats come."""
        return self.calibrate.rhythm[:, 1], self.test.rhythm[:, 1]


@dataclass(frozen=True, eq=False)
class Trial:
    """The beats that every form is tried on, and the figures of the forms tried so far."""

    beats: BeatSet
    parts: Split
    forms: dict[str, list[dict[str, Quality]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.add(NO_NETWORK, scores(self.raw, self.raw_shapes))

    @cached_property
    def rhythm(self) -> np.ndarray:
        """Of all beats, float64 [N, 2]."""
        return fitted.rhythm(self.beats.record, self.beats.sample, self.beats.rr_before)

    @cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """The test beats' classes [B] under every map."""
        symbol, label = (of[self.parts.test] for of in (self.beats.symbol, self.beats.label))
        return {name: labelled(symbol, label, normal) for name, normal in MAPS.items()}

    @cached_property
    def raw(self) -> Beats:
        """The form without a network."""
        return raw_beats(self.beats, self.parts, self.rhythm)

    @cached_property
    def raw_shapes(self) -> dict[tuple[str, str], Opinion]:
        """Its distances."""
        return shapes(self.raw)

    def place(self, index: np.ndarray) -> dict[str, Any]:
        """Rhythm, record and sample of the beats numbered [B], and their rate, by the names that
        they have in Evidence."""
        b = self.beats
        rhythm, record, sample = (values[index] for values in (self.rhythm, b.record, b.sample))
        return {"rhythm": rhythm, "record": record, "sample": sample, "fs": b.fs}

    def add(self, form: str, found: Scores) -> None:
        """One more seed's scores of a form."""
        self.forms.setdefault(form, []).append(qualities(found, self.labels))

    def write(self, path: Path, command: str, **facts: Any) -> None:
        """The JSON of all forms: what was run, on what, a row for each figure."""
        out = {
            "command": command,
            "protocol": self.parts.protocol,
            **facts,
            "n_test": len(self.parts.test),
            "classes": {name: counts(found) for name, found in self.labels.items()},
            "rows": summary(self.forms),
            "fingerprints": {"data": self.beats.fingerprint, "split": self.parts.fingerprint},
            **provenance.made_by(),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        }
        write_rows(path, out)


def main() -> None:
    """Scores every cell and writes the JSON after each."""
    parser = argparse.ArgumentParser(description="Each score with and without the network")
    parser.add_argument("--cells", type=Path, required=True)
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cells = sorted(args.cells.glob("seed*"), key=lambda path: int(path.name[4:]))
    config = directory.read_config(cells[0])
    config["data"]["dir"] = args.data_dir
    beats, parts = evaluation.load_data(config)
    trial = Trial(beats, parts)
    for i, cell in enumerate(cells):
        model = directory.load_model(cell)
        evaluation.check_fingerprints(cell, model.progress["fingerprints"], beats, parts=parts)
        network = network_beats(model, beats, parts, rhythm=trial.rhythm)
        own = shapes(network)
        both = scores(network, own, trial.raw_shapes)
        trial.add(NETWORK, scores(network, own))
        trial.add("both", both)
        if i < UNTRAINED:
            drawn = untrained(model, i, beats.x[parts.train])
            fresh = network_beats(drawn, beats, parts, rhythm=trial.rhythm)
            trial.add("untrained", scores(fresh, shapes(fresh)))
        in_use = trial.forms[NETWORK][-1]["fusion, first_5_minutes"]["beatgan"]["auc"]
        print(cell, in_use, flush=True)
        if i == 0:
            continue  # no interval yet
        trial.write(
            args.out,
            "python -m benchmarks.quality.headline",
            epochs=config["epochs"],
            width=config["model"]["width"],
            seeds=[int(cell.name[4:]) for cell in cells[: i + 1]],
        )


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


def network_beats(
    model: directory.Model, beats: BeatSet, parts: Split, *, rhythm: np.ndarray
) -> Beats:
    """The residual and the latent of a network."""
    return Beats(
        *(
            evaluation.evidence(model, beats, rhythm, index=index, features=False)
            for index in (parts.calibrate, parts.test)
        )
    )


def untrained(model: directory.Model, seed: int, x: np.ndarray) -> directory.Model:
    """The same network with weights as they are drawn, normalised by 256 training beats."""
    generator = model.generator
    some = jnp.asarray(x[np.random.default_rng(seed).permutation(len(x))[:256]])

    @jax.jit
    def see(variables: Any) -> Any:
        return variables | generator.apply(variables, some, train=True, mutable=["batch_stats"])[1]

    draw = jax.jit(generator.init, static_argnames="train")
    drawn = dict(draw(jax.random.key(seed), some[:2], train=False))
    for _ in range(100):  # of momentum 0.9: what the statistics started at is forgotten
        drawn = see(drawn)
    return model._replace(variables={**model.variables, "generator": drawn})


def shapes(form: Beats) -> dict[tuple[str, str], Opinion]:
    """The distances of a form that speak for the shape, by kind and adaptation."""
    return {
        (kind, adaptation): form.distance(kind, adaptation)
        for kind in SHAPES
        for adaptation in ADAPTATIONS
    }


def scores(form: Beats, *of_forms: Mapping[tuple[str, str], Opinion]) -> Scores:
    """Every score of the test beats; with the shapes of several forms, all are heard."""
    found = {"mse, none": form.score("mse", "none")} if len(of_forms) == 1 else {}
    for adaptation in ADAPTATIONS:
        heard = [of[kind, adaptation] for of in of_forms for kind in SHAPES]
        if len(of_forms) == 1:
            found[f"mahalanobis, {adaptation}"] = heard[0][1]
        found[f"fusion, {adaptation}"] = fused(heard, form.prematurity)
    return found


def fused(heard: Sequence[Opinion], prematurity: Opinion) -> np.ndarray:
    """The test beats' fused score [B], their shape judged by the mean of all that is heard.

    With the residual's and the latent's log distances it is `fitted.fit`'s "fusion": -log p of
    the shape plus -log p of the prematurity.
    """
    near, far = (np.mean([opinion[i] for opinion in heard], axis=0) for i in (0, 1))
    pairs = ((near, far), prematurity)
    return np.sum([fitted.surprise(test, fitted.tail(fit)) for fit, test in pairs], axis=0)


def qualities(found: Scores, labels: Mapping[str, np.ndarray]) -> dict[str, Quality]:
    """AUC, AP and each class's AUC of every score, under every map of labels [B]."""
    return {name: quality(score, labels) for name, score in found.items()}


def quality(score: np.ndarray, labels: Mapping[str, np.ndarray]) -> Quality:
    """AUC, AP and each class's AUC of scores [B], under every map of labels [B]."""
    found = {}
    for name, label in labels.items():
        classes = metrics.per_class(label, score, CLASSES)
        found[name] = {
            "auc": metrics.auc(label > 0, score),
            "ap": metrics.average_precision(label > 0, score),
        } | {kind: classes[kind]["auc"] for kind in ("S", "V", "F")}
    return found


def summary(forms: Mapping[str, Sequence[Mapping[str, Quality]]]) -> list[dict[str, Any]]:
    """A row for each score, form and map: means over seeds, and AUC less that of no network."""
    rows = []
    (without,) = forms[NO_NETWORK]
    for form, seeds in forms.items():
        for score in seeds[0]:
            for name in MAPS:
                own = [seed[score][name] for seed in seeds]
                row: dict[str, Any] = {"score": score, "map": name, "form": form}
                if form == NO_NETWORK:
                    rows.append(row | dict(own[0]))
                    continue
                for figure, value in own[0].items():
                    if value is not None:
                        row[figure] = metrics.t_interval([of_seed[figure] for of_seed in own])
                if score in without and score != "mse, none":
                    row["less no network"] = metrics.paired_difference(
                        [of_seed["auc"] for of_seed in own],
                        [without[score][name]["auc"]] * len(own),
                    )
                rows.append(row)
    return rows


if __name__ == "__main__":
    main()
