"""Which beats fit the scores of a cell and which ones judge them; no network is asked here."""

from dataclasses import asdict

import numpy as np
import pytest
import tiny
from ml_collections import ConfigDict

from kdjax.datasets import protocols
from kdjax.files import read_json
from kdjax.models.distillation import Distillation
from kdjax.runs import cost, directory, evaluation
from kdjax.scores import baselines, fitted, metrics
from kdjax.study import grid, scores

SPLIT = ("beatgan", 0, 1)


@pytest.fixture(scope="module")
def beats():
    return tiny.beat_set()


@pytest.fixture(scope="module")
def parts(beats):
    return protocols.split(beats, "beatgan", 0, split_seed=0)


@pytest.fixture(scope="module")
def seen(beats):
    """What networks may make of all beats: of abnormal ones a little more error."""
    rng, n = np.random.default_rng(3), len(beats.x)
    abnormal = (beats.label > 0)[:, None]
    return fitted.Evidence(
        residual=(rng.normal(size=(n, 4)) * (1 + 0.3 * abnormal))[:, :, None].astype(np.float32),
        z=rng.normal(size=(n, 3)) + 0.5 * abnormal,
        feature_error=rng.random(n) + 0.2 * abnormal[:, 0],
        rhythm=rng.normal(size=(n, 2)) + 0.3 * abnormal,
        record=beats.record,
        sample=beats.sample,
        fs=beats.fs,
    )


def make_group(folder, *, scored_fully=(), teacher=None):
    base = tiny.config()
    base.kd = ConfigDict(asdict(Distillation()))
    study = ConfigDict(
        {
            "base": base,
            "seeds": (3, 5),
            "splits": (SPLIT,),
            "variants": [{"name": "alone"}],
            "scores": ("latent",),
            "scored_fully": scored_fully,
        }
    )
    fields = {"kd": {"log_ratio": 1.0}} if teacher else {}
    return grid.Group(study, folder, grid.Variant("alone", "student", teacher, fields), SPLIT)


@pytest.fixture
def world(beats, parts, seen, monkeypatch):
    """A study whose trained networks see what `seen` says."""
    progress = {
        "epoch": 1,
        "epoch_seconds": 2.0,
        "rows": [],
        "teacher": None,
        "fingerprints": {},
        "made_by": {},
    }
    model = directory.Model(None, None, {"generator": {}}, progress, "of these weights")
    monkeypatch.setattr(scores, "data_of", lambda cell: (beats, parts, seen.rhythm))
    monkeypatch.setattr(scores, "load_data", lambda *_, **__: (beats, parts, seen.rhythm))
    monkeypatch.setattr(directory, "load_model", lambda run: model)
    monkeypatch.setattr(cost, "of_generator", lambda generator, variables: {})

    def evidence(model, beats, rhythm, *, index, features):
        found = seen.of(index)
        return found if features else found._replace(feature_error=np.full(len(index), np.nan))

    monkeypatch.setattr(evaluation, "evidence", evidence)


@pytest.mark.parametrize("fully", [False, True])
def test_scores_are_fitted_on_held_out_beats_and_judged_on_others(
    fully, beats, parts, seen, tmp_path, world
):
    """`auc` on the test beats; `validation_auc`, which may choose, on those of validation."""
    group = make_group(tmp_path, scored_fully=("alone",) if fully else ())
    scores.score_cell(group, 3)
    rows = read_json(group.cell(3) / grid.CELL)["scores"]
    assert len(rows) == (18 if fully else 2)
    for row in rows:
        score = fitted.fit(
            seen.of(parts.calibrate), row["score"], row["adaptation"], train=seen.of(parts.train)
        )
        for name, part in (("auc", parts.test), ("validation_auc", parts.validation)):
            wanted = metrics.auc(beats.label[part] > 0, score.score(seen.of(part)))
            assert row[name] == pytest.approx(wanted), (row["score"], row["adaptation"], name)


def test_the_file_of_scores_holds_the_mean_squared_error_of_every_test_beat(
    beats, parts, seen, tmp_path, world
):
    group = make_group(tmp_path)
    scores.score_cell(group, 3)
    with np.load(group.cell(3) / directory.SCORES) as file:
        np.testing.assert_array_equal(file["index"], parts.test)
        error = np.square(seen.residual[parts.test].astype(np.float64)).mean(axis=(1, 2))
        np.testing.assert_allclose(file["score"], error, rtol=1e-6)
    cell = read_json(group.cell(3) / grid.CELL)
    assert cell["n_test"] == len(parts.test)
    assert cell["n_abnormal"] == (beats.label[parts.test] > 0).sum()


def test_a_student_agrees_with_the_teacher_of_its_own_seed(parts, seen, tmp_path, world):
    group = make_group(tmp_path, teacher="teacher")
    rank = np.square(seen.residual[parts.test]).mean(axis=(1, 2)).argsort().argsort()
    for seed, taught in ((3, np.exp(-rank / len(rank))), (5, rank**2)):
        teacher = group.of("teacher") / f"seed{seed}"
        teacher.mkdir(parents=True)
        np.savez(teacher / directory.SCORES, index=parts.test, score=taught)
        scores.score_cell(group, seed)
    agreement = [read_json(group.cell(seed) / grid.CELL)["agreement"] for seed in (3, 5)]
    assert agreement == pytest.approx([-1, 1])


def test_baselines_learn_from_training_beats_and_are_judged_on_test_beats(
    beats, parts, seen, tmp_path, world, monkeypatch
):
    class Mean:
        def __init__(self, x):
            self.mean = x.mean(axis=0)

        def score(self, x):
            return np.abs(x - self.mean).sum(axis=(1, 2))

    monkeypatch.setattr(baselines, "BASELINES", {"mean": Mean})
    monkeypatch.setattr(scores, "_NETWORK_FREE", ("latent", "memory", "prematurity"))
    group = make_group(tmp_path)
    scores.make_baselines(group.study, tmp_path, SPLIT, say=lambda line: None)
    rows = read_json(tmp_path / grid.split_name(SPLIT) / grid.BASELINES)["rows"]
    train, test = beats.x[parts.train], beats.x[parts.test]
    subspace = baselines.Principal.fit(train, 32)

    def of(part):
        unknown = np.zeros(len(part))
        return seen.of(part)._replace(z=subspace.project(beats.x[part]), feature_error=unknown)

    wanted = {
        "mean": np.abs(test - train.mean(axis=0)).sum(axis=(1, 2)),
        "no network, prematurity, none": seen.rhythm[parts.test, 1],
        "no network, latent, none": fitted.fit(of(parts.calibrate), "latent").score(of(parts.test)),
        "no network, memory, none": fitted.fit(
            of(parts.calibrate), "memory", train=of(parts.train)
        ).score(of(parts.test)),
    }
    abnormal = beats.label[parts.test] > 0
    found = {name: rows[name]["auc"] for name in wanted}
    assert found == pytest.approx({n: metrics.auc(abnormal, score) for n, score in wanted.items()})
