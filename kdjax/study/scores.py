"""Scores of a study's cells and of the baselines beside them."""

import datetime
import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from kdjax.datasets.protocols import Split
from kdjax.datasets.storage import CLASSES, BeatSet
from kdjax.errors import InputError
from kdjax.files import DAMAGED_NPZ, read_npz, read_sealed, write_bytes, write_sealed
from kdjax.runs import config as configs
from kdjax.runs import cost, directory, evaluation, provenance
from kdjax.scores import baselines, fitted, metrics
from kdjax.study.grid import BASELINES, CELL, SCORER, Group, Say, cell_scores, split_name

_COMPONENTS = 32
_NETWORK_FREE = ("mahalanobis", "latent", "fusion", "memory", "prematurity")


@functools.lru_cache(maxsize=1)
def load_data(
    dataset: str, folder: str | None, protocol: str, *, fold: int, split_seed: int
) -> tuple[BeatSet, Split, np.ndarray]:
    """The beats, their split, and every beat's rhythm.

    InputError unless normal and abnormal beats validate and test: a study compares AUCs.
    """
    data = {"dataset": dataset, "dir": folder, "protocol": protocol, "fold": fold}
    beats, parts = evaluation.load_data({"data": data | {"split_seed": split_seed}})
    if not beats.ecg:
        raise InputError(
            f"{dataset}: windows that are not heartbeats; the scores of a study need RR intervals, "
            "so compare single runs of kdjax train"
        )
    for part, index in (("validation", parts.validation), ("test", parts.test)):
        if not evaluation.two_kinds(beats.label[index]):
            raise InputError(
                f"{dataset}: fold {fold} of protocol {protocol} has no normal or no abnormal beats "
                f"for {part}, and a study compares AUCs; annotate more beats or leave the split out"
            )
    return beats, parts, fitted.rhythm(beats.record, beats.sample, beats.rr_before)


def data_of(cell: configs.Config) -> tuple[BeatSet, Split, np.ndarray]:
    """`load_data` of the split that a cell's config names."""
    data = cell.data
    return load_data(
        data.dataset, data.dir, data.protocol, fold=data.fold, split_seed=data.split_seed
    )


def score_cell(group: Group, seed: int) -> None:
    """Scores the test and validation beats of a trained cell; writes scores.npz and cell.json."""
    folder, config = group.cell(seed), group.config(seed)
    beats, parts, rhythm = data_of(config)
    model = directory.load_model(folder)
    evaluation.check_fingerprints(folder, model.progress["fingerprints"], beats, parts=parts)
    fully = group.variant.name in group.study.scored_fully
    of = functools.partial(evaluation.evidence, model, beats, rhythm, features=fully)
    calibrate, validation, test = (
        of(index=index) for index in (parts.calibrate, parts.validation, parts.test)
    )
    train = of(index=parts.train) if fully else None
    label, of_validation = beats.label[parts.test], beats.label[parts.validation] > 0
    rows = []
    for kind, adaptation in cell_scores(group.study, fully):
        score = fitted.fit(calibrate, kind, adaptation, train=train)
        rows.append(
            {"score": kind, "adaptation": adaptation}
            | _quality(label, score.score(test))
            # Needs labelled anomalies: for choosing, as an oracle does.
            | {"validation_auc": metrics.auc(of_validation, score.score(validation))}
        )
    plain = np.square(test.residual).mean(axis=(1, 2), dtype=np.float64)
    cell = {
        "variant": group.variant.name,
        "role": group.variant.role,
        "teacher": group.variant.teacher,
        "seed": seed,
        "epochs": model.progress["epoch"],
        "epoch_seconds": model.progress["epoch_seconds"],
        "n_test": len(test.record),
        "n_abnormal": int((label > 0).sum()),
        "scores": rows,
        "agreement": _agreement(group, seed, plain),
        **cost.of_generator(model.generator, model.variables["generator"]),
        "metrics": model.progress["rows"],
        "fingerprints": {
            **model.progress["fingerprints"],
            "config": configs.fingerprint(config),
            "model": model.fingerprint,
            "teacher": model.progress["teacher"],
        },
        **model.progress["made_by"],
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    scores = io.BytesIO()
    np.savez_compressed(scores, index=parts.test, score=plain)
    write_bytes(folder / directory.SCORES, scores.getvalue())
    write_sealed(folder / CELL, cell)


def make_baselines(
    study: configs.Config, workdir: Path, split: tuple[str, int, int], *, say: Say
) -> None:
    """Fits the simple detectors on a split's training beats, unless that was done before."""
    path = workdir / split_name(split) / BASELINES
    data = study.base.data
    beats, parts, rhythm = load_data(
        data.dataset, data.dir, split[0], fold=split[1], split_seed=data.split_seed
    )
    fingerprints = {"data": beats.fingerprint, "split": parts.fingerprint}
    if path.exists():
        evaluation.check_fingerprints(path, read_sealed(path)["fingerprints"], beats, parts=parts)
        return
    label = beats.label[parts.test]
    found: dict[str, Any] = {}
    for name, fit in baselines.BASELINES.items():
        score = fit(beats.x[parts.train]).score(beats.x[parts.test])
        found[name] = _quality(label, score)
        say(f"{split_name(split)}: {name}, AUC {found[name]['auc']:.4f}")
    # What the scores reach without a network: the beat for its residual, components for a latent.
    subspace = baselines.Principal.fit(beats.x[parts.train], _COMPONENTS)

    def raw(index: np.ndarray) -> fitted.Evidence:
        x = beats.x[index]
        error = np.full(len(x), np.nan)
        place = beats.record[index], beats.sample[index], beats.fs
        return fitted.Evidence(x, subspace.project(x), error, rhythm[index], *place)

    train, calibrate, test = raw(parts.train), raw(parts.calibrate), raw(parts.test)
    for kind, adaptation in cell_scores(study, fully=True):
        if kind not in _NETWORK_FREE:
            continue
        score = fitted.fit(calibrate, kind, adaptation, train=train).score(test)
        name = f"no network, {kind}, {adaptation}"
        found[name] = _quality(label, score)
        say(f"{split_name(split)}: {name}, AUC {found[name]['auc']:.4f}")
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    made = {"fingerprints": fingerprints, **provenance.made_by(), "date": date}
    write_sealed(path, {"rows": found} | made)


def _quality(label: np.ndarray, score: np.ndarray) -> dict[str, Any]:
    return {
        "auc": metrics.auc(label > 0, score),
        "ap": metrics.average_precision(label > 0, score),
        "per_class": metrics.per_class(label, score, CLASSES),
    }


def _agreement(group: Group, seed: int, score: np.ndarray) -> float | None:
    """Spearman's rank correlation of a student's scores of the test beats with its teacher's."""
    if group.variant.teacher in (None, SCORER):
        return None
    taught = group.of(group.variant.teacher) / f"seed{seed}" / directory.SCORES
    try:
        ranks = stats.rankdata(score), stats.rankdata(read_npz(taught)["score"])
        return float(np.corrcoef(*ranks)[0, 1])
    except DAMAGED_NPZ as error:
        raise InputError(f"{taught}: damaged; delete that cell to have it made again") from error
