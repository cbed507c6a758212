"""What result.json and scores.npz say about a run, made anew from the parts."""

import dataclasses
import json
import os
import re
import shutil
from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import tiny
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from kdjax import datasets
from kdjax.detection.detector import Detector
from kdjax.errors import InputError
from kdjax.files import read_json, sha256
from kdjax.runs import checkpoints, directory, evaluation, provenance
from kdjax.runs import config as configs
from kdjax.scores import calibration, metrics
from kdjax.training import assemble

# DESIGN.md's fields, the date, and the fingerprint of the run's own weights.
FIELDS = {
    *("auc", "ap", "per_class", "per_record", "ci95", "label_free", "oracle", "n_test"),
    *("protocol", "fold", "dataset", "seed", "epochs", "epoch_seconds", "params", "macs", "bytes"),
    *("unit", "fingerprints", "versions", "device", "date", "sha256_of_the_rest"),
}
DRAW = evaluation.draw  # which the small world leaves out
FINGERPRINTS = {
    *("calibration", "scores", "data", "split", "config", "model", "teacher", "code"),
}


@pytest.fixture(scope="module", autouse=True)
def small_world():
    tiny.trained()
    with tiny.small_world():
        yield


@pytest.fixture(scope="module")
def data():
    return evaluation.load_data(tiny.config())


@pytest.fixture(scope="module")
def result():
    return tiny.trained().result


@pytest.fixture(scope="module")
def scores():
    with np.load(tiny.trained().path / "scores.npz") as file:
        return dict(file)


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(
        tiny.trained().path, tmp_path / "run", ignore=shutil.ignore_patterns("teacher")
    )


class TestScores:
    def test_cover_every_test_beat_in_order(self, data, scores, result):
        beats, parts = data
        np.testing.assert_array_equal(scores["index"], parts.test)
        assert len(scores["score"]) == result["n_test"] == 95
        np.testing.assert_array_equal(scores["label"], beats.label[parts.test])
        np.testing.assert_array_equal(scores["record"], beats.record[parts.test])
        np.testing.assert_array_equal(scores["sample"], beats.sample[parts.test])
        np.testing.assert_array_equal(scores["calibrate_index"], parts.calibrate)
        assert len(scores["calibrate_score"]) == len(parts.calibrate) == 10

    def test_are_those_of_the_last_epoch_s_weights_beat_by_beat(self, data, scores):
        beats, parts = data
        model = directory.load_model(tiny.trained().path)
        assert model.progress["epoch"] == tiny.EPOCHS
        x = beats.x[parts.test]
        output = jax.jit(partial(model.generator.apply, train=False))(
            model.variables["generator"], x
        )
        expected = np.mean(np.square(np.asarray(output.x_hat) - x), axis=(1, 2))
        np.testing.assert_allclose(scores["score"], expected, rtol=1e-5)

    def test_reproduce_the_result(self, scores, result):
        label, score = scores["label"], scores["score"]
        abnormal = label > 0
        assert result["auc"] == pytest.approx(roc_auc_score(abnormal, score))
        assert result["ap"] == pytest.approx(average_precision_score(abnormal, score))
        for k, name in enumerate("SVFQ", start=1):
            kept = (label == 0) | (label == k)
            row = result["per_class"][name]
            assert row["n"] == (label == k).sum()
            expected = roc_auc_score(label[kept] > 0, score[kept]) if row["n"] else None
            assert row["auc"] == pytest.approx(expected)
        for name, row in result["per_record"].items():
            here = scores["record"] == name
            assert (row["n"], row["abnormal"]) == (here.sum(), abnormal[here].sum())
            flagged = [row["threshold"] for row in result["label_free"]]
            normal = score[here & ~abnormal]
            expected = [np.mean(normal > (np.inf if t is None else t)) for t in flagged]
            assert row["fpr"] == pytest.approx(expected)
        assert sum(row["n"] for row in result["per_record"].values()) == result["n_test"]
        assert result["ci95"] == metrics.bootstrap_ci(scores["record"], abnormal, score)

    def test_thresholds_come_from_held_out_normal_beats_alone(self, data, scores, result):
        beats, _ = data
        assert (beats.label[scores["calibrate_index"]] == 0).all()
        assert not set(scores["calibrate_index"]) & set(scores["index"])
        calibrate = np.sort(scores["calibrate_score"])
        # Of 10 beats the largest bounds a rate of 1 / 11; smaller rates have no threshold.
        wanted = [(0.01, None), (0.05, None), (0.1, calibrate[-1])]
        found = [(row["fpr_target"], row["threshold"]) for row in result["label_free"]]
        assert found == wanted
        flagged = scores["score"] > calibrate[-1]
        abnormal = scores["label"] > 0
        assert result["label_free"][2]["fpr"] == pytest.approx(flagged[~abnormal].mean())
        assert result["label_free"][2]["recall"] == pytest.approx(flagged[abnormal].mean())
        assert result["label_free"][2]["f1"] == pytest.approx(f1_score(abnormal, flagged))


class TestResult:
    def test_has_the_fields_of_the_design(self, result):
        assert set(result) == FIELDS
        assert set(result["fingerprints"]) == FINGERPRINTS
        assert set(result["per_class"]) == set("SVFQ")
        assert set(result["oracle"]) == {"epoch", "auc", "ap", "best_f1", "best_threshold"}
        assert set(result["label_free"][0]) == {"fpr_target", "threshold", "fpr", "recall", "f1"}
        for row in result["per_record"].values():
            assert set(row) == {"n", "abnormal", "auc", "ap", "fpr"}

    def test_is_what_stands_in_the_file(self, result):
        assert read_json(tiny.trained().path / "result.json") == result
        assert json.loads(json.dumps(result, allow_nan=False)) == result

    def test_says_what_was_run(self, data, result):
        beats, parts = data
        config = tiny.config()
        assert (result["dataset"], result["protocol"], result["fold"]) == (
            "synthetic",
            "beatgan",
            0,
        )
        assert (result["seed"], result["epochs"]) == (config.seed, config.epochs)
        assert result["fingerprints"]["data"] == beats.fingerprint
        assert result["fingerprints"]["split"] == parts.fingerprint
        assert result["fingerprints"]["config"] == configs.fingerprint(config)
        assert (
            result["fingerprints"]["model"] == directory.load_model(tiny.trained().path).fingerprint
        )
        assert result["fingerprints"]["code"] == provenance.made_by()["code"]
        assert result["versions"]["jax"] == jax.__version__
        assert result["device"].startswith("1 x cpu")

    def test_counts_what_the_generator_costs(self, result):
        variables = directory.load_model(tiny.trained().path).variables["generator"]
        params = sum(a.size for a in jax.tree.leaves(variables["params"]))
        statistics = sum(a.size for a in jax.tree.leaves(variables["batch_stats"]))
        assert result["params"] == params
        assert result["bytes"] == 4 * (params + statistics)
        assert result["macs"] > 0

    def test_an_epoch_s_time_leaves_the_first_out_which_compiles(self, result):
        lines = (tiny.trained().path / "metrics.jsonl").read_text().splitlines()
        seconds = [json.loads(line)["seconds"] for line in lines]
        assert seconds[0] > np.median(seconds[1:])
        assert result["epoch_seconds"] == pytest.approx(np.median(seconds[1:]))

    def test_the_report_shows_it_with_its_figures_inside(self, result):
        page = (tiny.trained().path / "report.html").read_text()
        assert f"{result['auc']:.4f}" in page or f"{result['auc']:.3f}" in page
        assert page.count("data:image/png;base64,") == 4

    @pytest.mark.parametrize("name", ["roc_pr", "score_histogram", "beats", "loss_curves"])
    def test_figures_are_png(self, name):
        figure = tiny.trained().path / "figures" / f"{name}.png"
        assert figure.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


class TestOracle:
    def test_is_the_epoch_that_validation_prefers_on_the_test_beats(self, data, result):
        beats, parts = data
        run = tiny.trained().path
        best = directory.load_model(run, checkpoints.BEST)
        assert result["oracle"]["epoch"] == best.progress["epoch"] == best.progress["best_epoch"]
        score = Detector(best.generator, best.variables["generator"]).score(beats.x[parts.test])
        abnormal = beats.label[parts.test] > 0
        assert result["oracle"]["auc"] == pytest.approx(roc_auc_score(abnormal, score))
        assert result["oracle"]["ap"] == pytest.approx(average_precision_score(abnormal, score))
        flagged = score >= result["oracle"]["best_threshold"]
        assert result["oracle"]["best_f1"] == pytest.approx(f1_score(abnormal, flagged))

    def test_is_empty_for_a_run_that_has_no_best_epoch(self, data, copy):
        assert set(evaluation.oracle(copy, {"best_epoch": 0}, data[0], parts=data[1]).values()) == {
            None
        }

    @pytest.mark.parametrize("lost", ["damaged", "deleted"])
    def test_is_left_out_and_said_where_its_checkpoint_is_lost(self, data, copy, result, lost):
        """The figures of the last epoch do not depend on it."""
        if lost == "damaged":
            next((copy / checkpoints.BEST).glob("*/progress.json")).write_text("{}")
        else:
            shutil.rmtree(copy / checkpoints.BEST)
        with assemble.products(tiny.config()):
            again = evaluation.evaluate(copy, *data).result
        assert again["auc"] == result["auc"]
        assert again["oracle"]["auc"] is None
        said = (
            f"no oracle: {copy / checkpoints.BEST}" if lost == "damaged" else f"no oracle: {copy}"
        )
        assert said in evaluation.result_block(again)


class TestEvaluateRun:
    def test_gives_the_same_figures_again(self, data, copy, result, scores):
        with assemble.products(tiny.config()):  # as in training
            again = evaluation.evaluate_run(copy, *data)
        again["date"] = result["date"]
        assert again == result
        with np.load(copy / "scores.npz") as file:
            np.testing.assert_array_equal(file["score"], scores["score"])

    def test_a_run_has_no_result_before_all_else_is_written(self, data, copy, monkeypatch):
        written, rename = [], os.replace

        def renamed(old, new):
            written.append(new.name)
            rename(old, new)

        lines = (copy / directory.METRICS).read_bytes()
        (copy / directory.METRICS).write_bytes(b"")  # as a power failure may leave it
        (copy / "result.json").unlink()
        monkeypatch.setattr(os, "replace", renamed)
        evaluation.evaluate_run(copy, *data)
        assert written == [directory.METRICS, "scores.npz", "report.html", "result.json"]
        assert (copy / directory.METRICS).read_bytes() == lines

    def test_a_run_that_was_deleted_meanwhile_is_not_made_anew(self, data, copy):
        found = evaluation.evaluate(copy, *data)
        shutil.rmtree(copy)
        with pytest.raises(InputError, match=r"its config\.json is gone"):
            evaluation.write(copy, found)
        assert not copy.exists()

    def test_refuses_other_beats_or_another_split(self, copy):
        for changed, wanted in (
            (evaluation.load_data(tiny.config(data__fold=1)), "made with split"),
            (evaluation.load_data(tiny.config(data__split_seed=1)), "made with split"),
        ):
            with pytest.raises(InputError, match=wanted):
                evaluation.evaluate_run(copy, *changed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(datasets, "load", lambda *_: tiny.beat_set("2.0.0"))
            changed = evaluation.load_data(tiny.config())
        with pytest.raises(InputError, match="made with data") as caught:
            evaluation.evaluate_run(copy, *changed)
        message = str(caught.value)
        assert str(copy) in message
        assert changed[0].fingerprint[:12] in message
        assert "prepare the same data again" in message
        assert "\n" not in message

    def test_refuses_beats_with_more_leads(self, data, copy):
        beats, parts = data
        two = dataclasses.replace(beats, x=np.repeat(beats.x, 2, axis=2))
        with pytest.raises(InputError, match="leads"):
            evaluation.evaluate_run(copy, two, parts)


class TestCheckFingerprints:
    def test_lets_the_same_pass_and_what_was_never_recorded(self, data, tmp_path):
        beats, parts = data
        same = {"data": beats.fingerprint, "split": parts.fingerprint}
        evaluation.check_fingerprints(tmp_path, same, beats, parts=parts)
        evaluation.check_fingerprints(tmp_path, {}, beats, parts=parts)

    @pytest.mark.parametrize("what", ["data", "split"])
    def test_names_what_differs(self, data, tmp_path, what):
        beats, parts = data
        recorded = {"data": beats.fingerprint, "split": parts.fingerprint} | {what: "f" * 64}
        with pytest.raises(InputError, match=f"made with {what} {'f' * 12},"):
            evaluation.check_fingerprints(tmp_path, recorded, beats, parts=parts)


class TestLoadData:
    def test_asks_for_what_the_config_names(self, monkeypatch):
        asked = []

        def load(name, data_dir):
            asked.append((name, data_dir))
            return tiny.beat_set()

        monkeypatch.setattr(datasets, "load", load)
        config = tiny.config(data__dir="/there", data__fold=3, data__split_seed=8)
        _, parts = evaluation.load_data(config)
        assert asked == [("synthetic", "/there")]
        assert (parts.protocol, parts.fold, parts.split_seed) == ("beatgan", 3, 8)


def test_a_student_stands_beside_its_teacher():
    student, teacher = {"auc": 0.94641, "ap": 0.9}, {"auc": 0.9372, "ap": None}
    assert evaluation.beside_teacher(student, teacher).splitlines() == [
        "           auc     ap",
        "teacher    0.9372       -",
        "student    0.9464  0.9000",
        "One seed each: their difference is not a gain.",
    ]


class TestResultBlock:
    def test_shows_each_figure_to_four_places(self, result):
        block = evaluation.result_block(result)
        assert f"ap: {result['ap']:.4f}" in block
        assert f"auc: {result['auc']:.4f}" in block
        assert f"best th:{result['oracle']['best_threshold']:.6f} --> best f1:" in block
        assert f"3 epochs, {result['n_test']} test beats" in block
        assert "label-free th for 1% false alarms: none" in block
        assert re.search(
            r"S \d\.\d{4} \(n 18\)  V \d\.\d{4} \(n 18\)  F \d\.\d{4} \(n 9\)$", block, re.M
        )

    def test_leaves_the_oracle_out_where_there_is_none(self, result):
        none = dict.fromkeys(result["oracle"])
        block = evaluation.result_block(result | {"oracle": none})
        assert "oracle" not in block
        assert "best" not in block

    def test_says_where_a_figure_cannot_be_relied_on(self, result):
        row = result["label_free"][-1] | {"threshold": 0.5, "fpr_target": 0.01}
        few = {name: {} for name in "ab"}
        half = evaluation.result_block(result | {"label_free": [row | {"fpr_target": 0.005}]})
        assert "label-free th for 0.5% false alarms: 0.5" in half
        for fpr, said in ((0.58, True), (0.02, False)):
            changed = result | {"label_free": [row | {"fpr": fpr}], "per_record": few}
            block = evaluation.result_block(changed)
            assert ("does not hold here: 58% of normal test beats, not 1%" in block) == said
            assert block.count("(over 2 records only)") == 2
        many = result | {"per_record": {str(n): {} for n in range(40)}}
        assert "records only" not in evaluation.result_block(many)


def test_evidence_holds_what_the_run_s_networks_make_of_beats(data):
    beats, _ = data
    model = directory.load_model(tiny.trained().path)
    index = np.array([5, 3, 200])
    rhythm = np.arange(2.0 * len(beats.x)).reshape(-1, 2)
    found = evaluation.evidence(model, beats, rhythm, index=index)
    x = beats.x[index]

    @jax.jit
    def answers(variables, x):
        x_hat = model.generator.apply(variables["generator"], x, train=False).x_hat
        critic = partial(model.discriminator.apply, variables["discriminator"], train=False)
        return x_hat, critic(x).features, critic(x_hat).features

    x_hat, real, fake = map(np.asarray, answers(model.variables, x))
    np.testing.assert_allclose(found.residual, x_hat - x, atol=1e-5)
    np.testing.assert_allclose(
        found.feature_error, np.square(fake - real).mean(axis=(1, 2)), rtol=1e-3
    )
    np.testing.assert_array_equal(found.rhythm, rhythm[index])
    np.testing.assert_array_equal(found.record, beats.record[index])
    without = evaluation.evidence(model, beats, rhythm, index=index, features=False)
    assert np.isnan(without.feature_error).all()
    np.testing.assert_array_equal(without.residual, found.residual)


def test_a_result_without_an_auc_says_why(result):
    block = evaluation.result_block(result | {"auc": None, "unit": "window"})
    assert "no AUC: among the test windows none is annotated as abnormal" in block
    assert evaluation._interval(None, 1) == "[no interval: one record]"


def test_a_calibration_is_kept_where_the_evaluation_made_one(tmp_path):
    (tmp_path / directory.CONFIG).touch()
    for files, left in (({directory.CALIBRATION: b"1"}, True), ({directory.RESULT: b"{}"}, False)):
        evaluation.write(tmp_path, evaluation.Evaluation({}, files))
        assert (tmp_path / directory.CALIBRATION).exists() == left


def test_a_calibration_is_of_its_run_s_weights_and_the_result_names_it(data, copy, monkeypatch):
    monkeypatch.setattr(calibration, "FEWEST", 10)
    with assemble.products(tiny.config()):
        result = evaluation.evaluate_run(copy, *data)
    assert result["fingerprints"]["calibration"] == sha256(copy / directory.CALIBRATION)
    made = directory.load_run(copy).calibration
    assert made is not None
    assert made.model == result["fingerprints"]["model"]


def test_an_imported_run_has_no_curves_of_losses(data, monkeypatch):
    beats, parts = data
    drawn = ("roc_pr", "score_histogram", "beats", "loss_curves", "png")
    monkeypatch.setattr(
        evaluation, "plots", SimpleNamespace(**dict.fromkeys(drawn, lambda *_, **__: b""))
    )
    detector = SimpleNamespace(reconstruct=lambda x: x, score=lambda x: x[:, 0, 0])
    score = np.arange(len(parts.test)) / len(parts.test)
    for rows in ([], [{"epoch": 1}]):
        figures = DRAW(detector, beats, parts=parts, score=score, label_free=[], rows=rows)
        assert ("loss_curves" in figures) == bool(rows)


def test_a_run_is_calibrated_on_its_normal_calibration_beats(data, monkeypatch):
    """Validation beats hold labelled anomalies, which must choose nothing in use."""
    beats, parts = data
    assert not beats.label[parts.calibrate].any()
    asked = []

    def evidence(model, beats, rhythm, *, index, features):
        asked.append(index)
        return "of them"

    monkeypatch.setattr(evaluation, "evidence", evidence)
    monkeypatch.setattr(calibration, "FEWEST", 1)
    monkeypatch.setattr(calibration, "calibrate", lambda *args, **kwargs: (*args, kwargs["source"]))
    model = SimpleNamespace(fingerprint="model")
    found, normal, _, source = evaluation.calibrated(model, beats, parts)
    assert found == "of them"
    np.testing.assert_array_equal(asked, [parts.calibrate])
    np.testing.assert_array_equal(normal, beats.x[parts.calibrate])
    assert source.startswith(f"{len(parts.calibrate)} normal beats")
