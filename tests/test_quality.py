"""The benchmarks of quality: fused forms, regressed targets, both class maps."""

import json
from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from benchmarks.pages import evidence as evidence_page
from benchmarks.pages import students as students_page
from benchmarks.quality import (
    asymmetry,
    encoder_only,
    headline,
    inputs,
    opinions,
    rpeaks,
    shipped,
    steadiness,
    tallies,
    together,
)
from benchmarks.robustness import records
from benchmarks.shared import FOLDER, write_rows
from kdjax.datasets.storage import BeatSet
from kdjax.detection import detector_files
from kdjax.detection.events import WITHOUT_P
from kdjax.models.networks import Discriminator, Generator
from kdjax.runs import directory
from kdjax.scores import metrics
from kdjax.scores.fitted import Evidence
from kdjax.training import assemble

LABELS = {"beatgan": np.repeat([0, 1, 2, 3], 30), "aami": np.repeat([0, 0, 2, 3], 30)}


def form(seed, n=240, records=3):
    """Beats of three people over twelve minutes, the later ones odder."""
    rng = np.random.default_rng(seed)
    record = np.repeat([f"p{i}" for i in range(records)], n // records)
    sample = np.tile(np.linspace(0, 12 * 60 * 360, n // records), records).astype(int)
    shift = rng.normal(size=(records, 1, 1)).repeat(n // records, axis=0)
    residual = rng.normal(size=(n, 8, 1)) + shift
    z = rng.normal(size=(n, 3)) + shift[:, :, 0]
    rhythm = rng.normal(0, 0.3, (n, 2))
    return Evidence(residual, z, np.full(n, np.nan), rhythm, record, sample, 360.0)


@pytest.mark.parametrize("adaptation", headline.ADAPTATIONS)
def test_one_form_fused_is_the_fusion_that_detects(adaptation):
    beats = headline.Beats(form(0), form(1))
    found = headline.scores(beats, headline.shapes(beats))
    expected = beats.score("fusion", adaptation)
    np.testing.assert_allclose(found[f"fusion, {adaptation}"], expected, rtol=1e-9)
    distance = np.log(beats.score("mahalanobis", adaptation))
    np.testing.assert_allclose(found[f"mahalanobis, {adaptation}"], distance, rtol=1e-9)
    np.testing.assert_allclose(found["mse, none"], beats.score("mse", "none"))


def test_a_second_form_is_heard():
    first, second = (headline.shapes(headline.Beats(form(i), form(i + 1))) for i in (0, 5))
    beats = headline.Beats(form(0), form(1))
    alone, both = headline.scores(beats, first), headline.scores(beats, first, second)
    assert both.keys() == {"fusion, none", "fusion, first_5_minutes"}
    assert not np.allclose(alone["fusion, none"], both["fusion, none"])


def test_the_network_is_compared_with_no_network_under_each_map():
    rng = np.random.default_rng(2)
    score = rng.normal(size=120) + 2 * (LABELS["beatgan"] > 1)
    without = {"fusion, none": headline.quality(score, LABELS)}
    better = [
        {"fusion, none": headline.quality(score + LABELS["beatgan"] * gain, LABELS)}
        for gain in (1.0, 1.5)
    ]
    rows = headline.summary({"no network": [without], "network": better})
    assert [(row["form"], row["map"]) for row in rows] == [
        ("no network", "beatgan"),
        ("no network", "aami"),
        ("network", "beatgan"),
        ("network", "aami"),
    ]
    gains = [of["fusion, none"]["beatgan"]["auc"] - rows[0]["auc"] for of in better]
    assert rows[2]["less no network"]["mean"] == pytest.approx(np.mean(gains))
    assert min(gains) > 0
    # No supraventricular beat is left in this map: it has no AUC and no claim.
    assert rows[1]["S"] is None
    assert "S" not in rows[3]


@pytest.mark.slow
def test_an_untrained_network_is_normalised_by_its_beats():
    generator = Generator(2, 3, 32, 1)
    x = np.random.default_rng(0).uniform(-1, 1, (64, 32, 1)).astype(np.float32)
    model = directory.Model(generator, Discriminator(2), {"generator": {}, "d": 1}, {}, "")
    drawn = headline.untrained(model, 0, x).variables
    assert drawn["d"] == 1

    def latent(train):
        made = generator.apply(drawn["generator"], x, train=train, mutable=["batch_stats"])
        return made[0].z  # type: ignore[attr-defined]

    used, live = (jax.jit(latent, static_argnums=0)(train) for train in (False, True))
    np.testing.assert_allclose(used, live, rtol=0.02, atol=0.01)


def test_escape_beats_are_normal_in_aamis_map():
    symbol, label = np.array(list("AejVFN")), np.array([1, 1, 1, 2, 3, 0])
    assert headline.labelled(symbol, label, ()).tolist() == [1, 1, 1, 2, 3, 0]
    assert headline.labelled(symbol, label, headline.MAPS["aami"]).tolist() == [1, 0, 0, 2, 3, 0]


def test_a_trial_compares_each_form_with_the_raw_beat_on_the_test_beats():
    rng, n = np.random.default_rng(0), 240
    beats = people(rng.normal(size=(n, 64, 1)), np.repeat(list("abc"), 80), np.tile(range(80), 3))
    label = rng.permutation(np.tile([0, 0, 1, 2, 3], n // 5)).astype(np.int8)
    beats = replace(beats, label=label, symbol=np.array(list("NASVF"))[label])
    train, calibrate, test = np.split(np.arange(n), 3)
    parts = SimpleNamespace(train=train, calibrate=calibrate, test=test)
    trial = headline.Trial(beats, parts)
    assert trial.labels["aami"].tolist() == label[test].tolist()
    for _ in range(2):
        trial.add("the same", headline.scores(trial.raw, trial.raw_shapes))
    rows = [row for row in headline.summary(trial.forms) if "less no network" in row]
    assert {row["form"] for row in rows} == {"the same"}
    assert all(row["less no network"]["mean"] == 0 for row in rows)


def test_targets_are_of_unit_variance():
    target = encoder_only.normalised(np.random.default_rng(0).normal(3, 7, (2, 160, 4)))
    np.testing.assert_allclose(target.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(np.square(target).mean(axis=(1, 2)), 1, rtol=1e-5)


def test_a_copy_is_far_from_memory_by_how_far_it_was_moved():
    rng = np.random.default_rng(0)
    beats = rng.normal(size=(80, 40, 1))
    moved = np.repeat([0.1, 3.0], 40)[:, None, None] * rng.normal(size=beats.shape)
    score = encoder_only.memory_score(beats, beats + moved)[80:, 0]
    assert score[40:].mean() > score[:40].mean() + 0.5


def test_an_epoch_shows_every_beat_at_most_once_and_seeds_in_another_order():
    first, second = (encoder_only.batches(1000, seed, 0) for seed in (0, 1))
    assert first.shape == (1000 // encoder_only.BATCH, encoder_only.BATCH)
    assert len(np.unique(first)) == first.size
    assert not np.array_equal(first, second)


def test_trainings_are_judged_by_their_late_epochs_and_chosen_by_the_error_of_normal_beats():
    rows = [
        {
            "training": training,
            "weights": weights,
            "epoch": epoch,
            "seed": seed,
            "collapsed": epoch,
            "normal_error": 0.2 - (training == "falling" and weights == "0.99") / 10,
            "validation_auc": 0.5,
            "auc": 0.9 + 0.01 * seed + (weights == "last weights") * 0.02 * (epoch % 2),
        }
        for training in ("as published", "falling")
        for epoch in range(5, 9)
        for weights in ("last weights", "0.99")
        for seed in (0, 1)
    ]
    found = steadiness.summary(rows)
    assert found["chosen"] == {"training": "falling", "weights": "0.99"}
    assert found["from_epoch"] == 5
    last, average, *_ = found["compared"]
    assert (last["training"], last["weights"]) == ("as published", "last weights")
    assert last["spread"]["mean"] == pytest.approx(0.02)
    assert last["jump"]["mean"] == pytest.approx(0.02)
    assert average["spread"]["mean"] == pytest.approx(0)
    assert average["spread_change"]["mean"] == pytest.approx(-0.02)
    assert average["auc"]["mean"] == pytest.approx(0.905)
    assert last["auc_of_last_epoch"]["mean"] == pytest.approx(0.905)
    assert last["collapsed"] == [8, 8]


def test_a_learning_rate_that_falls_ends_at_zero():
    config = steadiness.config_of(40, SimpleNamespace(data_dir=None, width=2))
    trainer = assemble.make_trainer(config, (64, 1))
    published, falling = steadiness.trainings(trainer, 0.5, steps=3).values()
    weight, steps = {"w": np.float32(1)}, []
    for optimizer in (published.optimizer, falling.optimizer):
        state = optimizer.init(weight)
        for _ in range(4):
            with jax.numpy_dtype_promotion("standard"):
                step, state = optimizer.update({"w": np.float32(1)}, state)
            steps.append(float(step["w"]))
    np.testing.assert_allclose(steps[4:], -0.5 * np.array([1, 0.75, 0.25, 0]), atol=1e-4)
    np.testing.assert_allclose(steps[:4], [-config.learning_rate] * 4, rtol=1e-3)


def people(x, record, sample):
    """Beats of people, of whom nothing else is known."""
    n = len(x)
    return BeatSet(
        name="two",
        version="1.0.0",
        fs=360.0,
        x=np.asarray(x, np.float32),
        label=np.zeros(n, np.int8),
        symbol=np.full(n, "N"),
        record=np.asarray(record),
        sample=np.asarray(sample),
        rr_before=np.ones(n, np.float32),
        rr_after=np.ones(n, np.float32),
        rr_median=np.ones(n, np.float32),
        near_peak=np.ones(n, bool),
        fingerprint="",
    )


def test_a_persons_usual_beat_is_that_of_the_first_minutes_in_time():
    x = np.array([1.0, 3, 5, 50, 9, 7, 8])[:, None, None] * np.ones((7, 32, 1))
    record = np.array(["a"] * 5 + ["b"] * 2)
    minutes = np.array([0, 1, 2, 3, 6, 10, 11])
    beats = people(x, record, minutes * 60 * 360)
    early = np.array([0, 0, 0, 1.0, 0, 0, 0])  # the fourth beat comes too soon
    usual = inputs.usual_beats(beats, early)
    assert usual.shape == (7, 32, 1)
    # "b" begins after five minutes: all of its beats stand for it.
    assert usual[:, 0, 0].tolist() == [3.0] * 5 + [7.5] * 2


def test_neighbours_are_the_same_persons():
    x = np.arange(5.0)[:, None, None] * np.ones((5, 32, 1))
    before, after = inputs.neighbours(people(x, list("aaabb"), np.arange(5)))
    assert before[:, 0, 0].tolist() == [0, 0, 1, 3, 3]
    assert after[:, 0, 0].tolist() == [1, 2, 2, 4, 4]


@pytest.mark.slow
def test_a_network_does_not_differ_from_itself_and_differs_in_every_form_from_another():
    generator = Generator(2, 3, 32, 1)
    x = np.random.default_rng(0).uniform(-1, 1, (20, 32, 1)).astype(np.float32)
    draw = jax.jit(lambda key: generator.init(key, x[:2], train=False))
    one, other = draw(jax.random.key(0)), draw(jax.random.key(1))
    same = asymmetry.discrepancies(generator, one, one, x=x)
    assert not same["discrepancy"][0].any()
    assert not same["attention"][0].any()
    found = asymmetry.discrepancies(generator, one, other, x=x)
    np.testing.assert_array_equal(
        found["student"][0], asymmetry.answers(generator, other, x)[0] - x
    )
    # The student's stages halve a beat of 32 samples to 1 and back.
    assert found["attention"][0].shape == (20, 16 + 8 + 4 + 2 + 1 + 1 + 2 + 4 + 8 + 16, 1)
    assert all(np.abs(residual).max() > 0 for residual, _ in found.values())


def test_a_trial_with_terms_of_a_teacher_has_none_of_its_own():
    alone, taught = together.cells_of([7], None)[0], together.cells_of([7], None, latent=1.0)[0]
    assert "kd" not in alone
    assert set(taught.loss.values()) == {0.0}
    assert (taught.kd.latent, taught.kd.response) == (1.0, 0.0)


def test_the_form_that_gains_is_named():
    def row(form, **more):
        return {"score": evidence_page.IN_USE, "form": form, "map": "beatgan", **more}

    def less(mean, p):
        return {"less no network": {"mean": mean, "ci95": [mean - 1, mean + 1], "p": p}}

    rows = [row("no network", auc=0.9), row("a", **less(-1, 0.001)), row("b", **less(1, 0.02))]
    sentence = evidence_page._in_use({"rows": rows}, ("a", "b"))
    expected = "B improves on the adapted fusion without a network (AUC 0.9000)"
    assert sentence.startswith(expected)
    rows[2]["less no network"]["p"] = 0.03  # not enough for one of two
    assert evidence_page._in_use({"rows": rows}, ("a", "b")).startswith("None of")


def test_rows_take_a_line_each_and_read_back(tmp_path):
    value = {"command": "x", "rows": [{"a": 1}, {"a": [2]}], "by": {"k": {"m": 1}}, "none": []}
    write_rows(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == value
    assert '\n{"a": 1},\n' in text


@pytest.mark.parametrize("what", rpeaks.TAKEN_OUT)
def test_a_gap_is_nearly_a_line_and_a_beat_found_there_is_false(monkeypatch, what):
    lead = np.random.default_rng(0).normal(size=60 * 360)
    beats = np.arange(200, len(lead) - 400, 300)
    record = records.Record(lead, None, beats, beats, beats[:0])
    changed, gone = rpeaks.TAKEN_OUT[what](record)
    assert 0 < gone.sum() < len(beats)
    moved = np.abs(np.diff(changed)) > 10 * rpeaks.NOISE
    assert not moved[beats[gone]].any()
    assert moved[beats[~gone]].any()
    np.testing.assert_array_equal(changed[beats[~gone]], lead[beats[~gone]])
    noise = beats[:1] + 150  # found in the whole record, too
    more = np.sort(np.concatenate([beats[~gone], beats[gone][:1], noise]))
    found = {id(lead): np.sort(np.append(beats[1:], noise)), id(changed): more[1:]}
    monkeypatch.setattr(rpeaks, "TAKEN_OUT", {what: lambda record: (changed, gone)})
    monkeypatch.setattr(records, "detected", lambda lead: SimpleNamespace(peaks=found[id(lead)]))
    (row,) = rpeaks.taken_out("made", record)
    assert (row["false"], row["missed"], row["taken_out"]) == (1, 1, gone.sum())
    found = {id(lead): beats, id(changed): beats[~gone]}
    (row,) = rpeaks.taken_out("made", record)
    assert (row["false"], row["missed"]) == (0, 0)


def test_opinions_add_up_as_surprises():
    rng = np.random.default_rng(0)
    heard = [(rng.normal(size=50), rng.normal(size=20) + shift) for shift in (0.0, 2.0)]
    both = opinions.together(heard)
    np.testing.assert_allclose(both, sum(opinions.together([one]) for one in heard))
    mean = opinions.found_of({"a": heard[0], "b": heard[1]}, ("a", "b"))
    np.testing.assert_allclose(mean[1], (heard[0][1] + heard[1][1]) / 2)


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((0.001, 0.002), "raises"),
        ((-0.002, -0.001), "lowers"),
        ((-0.001, 0.001), "is not shown to change"),
    ],
)
def test_the_page_claims_what_the_interval_holds(interval, words):
    assert evidence_page._changes({"ci95": list(interval)}) == words


@pytest.mark.parametrize(
    ("alone", "control", "words"),
    [(-0.1, 0.1, "not over the student alone"), (0.1, -0.1, "not over the control")],
)
def test_a_teacher_helps_only_above_both(alone, control, words):
    row = {"auc (mse)": {"ci95": [alone, 1]}, "to control": {"ci95": [control, 1]}}
    assert words in students_page._shown(students_page._gains(row))


def test_narrow_students_that_show_the_same_are_named_together():
    def row(alone, control):
        return {"auc (mse)": {"ci95": [alone, 1]}, "to control": {"ci95": [control, 1]}}

    differences = {"a": row(-0.1, -0.1), "b": row(0.1, 0.1), "c": row(-0.2, -0.1), "d": {}}
    found = {"splits": [{"differences": differences}]}
    names = students_page._compared_with_both(found)
    assert names == ["a", "b", "c"]
    both = "a gain over both the student alone and the control is shown for `b`."
    expected = f"no gain is shown for `a` and `c`; {both}"
    assert students_page._claims(found, names) == expected


@pytest.mark.parametrize(
    ("gain", "claim"), [(0.011, "A gain"), (-0.011, "A loss"), (0.009, "No gain")]
)
def test_a_long_study_sets_the_copy_beside_the_same_copy_alone(monkeypatch, gain, claim):
    def of(value):
        return {"mean": value, "ci95": [value - 0.01, value + 0.01], "p": 0.25}

    def variant(*auc):
        scores = [
            {"auc": of(np.mean(auc)), "ap": of(0.5)} for _ in ("mse", "mahalanobis", "fusion")
        ]
        cells = [{"auc": one, "device": "a machine", "date": "2026-01-02"} for one in auc]
        return {"scores": scores, "cells": cells}

    split = {
        "protocol": "beatgan",
        "fold": 0,
        "epochs": 40,
        "variants": {"alone": variant(0.7, 0.9), "response": variant(0.75, 0.85)},
        "differences": {"response": {"auc (mse)": of(gain)}},
    }
    study = {
        "command": "kdjax study",
        "seeds": [5, 6],
        "base": {"model": {"width": 8}},  # of students that name none
        "fields": {"response": {"model": {"width": 16}}},
        "splits": [split],
    }
    found = {students_page.LONG[1]: study}
    monkeypatch.setattr(students_page, "read_if_made", found.get)
    monkeypatch.setattr(students_page, "_by_seed", tuple)
    _, sentence, rows, source = students_page.long()
    interval = f"[{gain - 0.01:+.4f}, {gain + 0.01:+.4f}]"
    assert f"AUC {gain:+.4f} {interval} (plain score, p 0.250)" in sentence
    assert f"**{claim} is shown.** Width 16, 40 epochs, 2 seeds: " in sentence
    assert "`kdjax study`, seeds 5 to 6, 2026-01-02, `beatgan` fold 0" in source
    assert "| `response` | 0.8000 [0.7900, 0.8100] | 0.5000 [0.4900, 0.5100] | 0.7500 |" in rows


def test_an_encoders_students_are_summed_up_beside_their_teachers():
    students = [{"latent": {"auc": a}, "latent in use": {"auc": a}} for a in (0.7, 0.8)]
    teachers = [{"plain": {"auc": a}, "in use": {"auc": a + 0.1}} for a in (0.6, 0.7)]
    found = encoder_only.summary(students, teachers, 50, beat=(320, 1))
    less = {name: row["mean"] for name, row in found["less teacher"].items()}
    assert less == pytest.approx({"latent": 0.1, "latent in use": 0.0})
    kept = json.loads((FOLDER / "encoder-only.json").read_text())
    assert found["macs"] == kept["students"]["teacher latent"]["macs"]


def test_the_card_says_what_is_measured_now():
    card = detector_files.read_card(detector_files.shipped()[shipped.NAME])["card"]
    assert card["limits"][:-1] == list(shipped.LIMITS)
    found = json.loads((FOLDER / "kinds.json").read_text())["fibrillation"]
    (row,) = (r for r in found if r["people"] == "DS2" and r["events"] == WITHOUT_P)
    assert f"on DS2, {row['Se']:.0f} % of its time is found" in card["limits"][2]


def test_the_auc_of_a_draw_is_that_of_its_records_joined():
    rng = np.random.default_rng(0)
    abnormal = [rng.random(40) < share for share in (0.1, 0.5, 0.0, 0.3)]
    score = [rng.integers(0, 9, 40) + 2.0 * own for own in abnormal]  # with ties
    drawn = tallies.resampled_auc(abnormal, score)
    for times, auc in list(zip(tallies.drawn(4), drawn, strict=True))[:50]:
        members = np.repeat(np.arange(4), times)
        both = [np.concatenate([values[i] for i in members]) for values in (abnormal, score)]
        assert (np.isnan(auc) and not both[0].any()) or auc == pytest.approx(metrics.auc(*both))


def test_rates_of_a_draw_are_those_of_its_records_together():
    rng = np.random.default_rng(0)
    counted = [
        tallies.Tally(rng.integers(0, 9, (7, 7)), int(rng.integers(9)), 0, 9, 0.5) for _ in range(5)
    ]
    found = tallies.resampled(counted)
    for i, times in enumerate(tallies.drawn(5)[:50]):
        row = tallies.gross([one for one, n in zip(counted, times, strict=True) for _ in range(n)])
        assert {name: values[i] for name, values in found.items()} == pytest.approx(
            {name: row[name] for name in found}
        )
