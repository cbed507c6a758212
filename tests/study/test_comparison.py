"""What the cells of a study say together."""

import numpy as np
import pytest

from kdjax.scores import metrics
from kdjax.study import comparison

RNG = np.random.default_rng(3)


def cell(variant, seed, auc, teacher=None, role="student", params=10, fusion=0.9, n=60):
    def row(score, adaptation, auc):
        per_class = {
            "S": {"auc": auc - 0.1, "ap": 0.5, "n": n},
            "V": {"auc": 0.98, "ap": 0.5, "n": 50},
            "Q": {"auc": 0.99, "ap": 0.5, "n": 49},
        }
        figures = {"auc": auc, "ap": auc / 2, "validation_auc": auc + 0.01}
        return {"score": score, "adaptation": adaptation} | figures | {"per_class": per_class}

    return {
        "variant": variant,
        "role": role,
        "teacher": teacher,
        "seed": seed,
        "scores": [
            row("mse", "none", auc),
            row("fusion", "none", fusion),
            row("fusion", "recording", 0.3),
        ],
        "agreement": None if teacher is None else 0.9,
        "metrics": [{"epoch": 1, "selected": 0.25}],
        "epoch_seconds": float(seed),
        "params": params,
        "macs": 100,
        "bytes": 4 * params,
        "n_test": 200,
        "n_abnormal": 30,
        "device": "cpu",
        "code": "c",
        "versions": {},
        "date": "2000-01-01",
        "fingerprints": {"model": "m"},
    }


@pytest.fixture(scope="module")
def cells():
    alone = RNG.normal(0.80, 0.04, 6)
    taught = 0.82 + 0.1 * (alone - 0.8) + RNG.normal(0, 0.002, 6)
    return {
        "teacher": [cell("teacher", k, 0.83, role="teacher", params=99) for k in range(6)],
        "alone": [cell("alone", k, a) for k, a in enumerate(alone)],
        "taught": [cell("taught", k, a, "teacher") for k, a in enumerate(taught)],
        "worse": [cell("worse", k, a - 0.2, "nearest_neighbour") for k, a in enumerate(alone)],
        "alone-4": [cell("alone-4", k, a - 0.1, params=3) for k, a in enumerate(alone)],
        "narrow": [cell("narrow", k, a, "teacher", params=3) for k, a in enumerate(alone)],
        "other": [cell("other", k, a, "teacher", params=7) for k, a in enumerate(alone)],
    }


@pytest.fixture(scope="module")
def split(cells):
    return comparison.together(cells, ("fusion",))


def test_a_variant_is_its_mean_over_seeds_with_its_t_interval(cells, split):
    auc = [c["scores"][0]["auc"] for c in cells["taught"]]
    found = split["variants"]["taught"]
    assert found["scores"][0]["auc"] == metrics.t_interval(auc)
    assert found["scores"][0]["auc"]["mean"] == pytest.approx(np.mean(auc))
    assert found["epoch_seconds"] == np.mean(range(6))
    assert found["selected"] == [0.25] * 6
    assert found["agreement"]["mean"] == pytest.approx(0.9)
    assert split["variants"]["alone"]["agreement"] is None
    assert [c["seed"] for c in found["cells"]] == list(range(6))


def test_every_score_has_its_own_figures(cells, split):
    plain = np.mean([c["scores"][0]["auc"] for c in cells["taught"]])
    wanted = [("mse", "none", plain), ("fusion", "none", 0.9), ("fusion", "recording", 0.3)]
    for row, (score, adaptation, auc) in zip(
        split["variants"]["taught"]["scores"], wanted, strict=True
    ):
        assert (row["score"], row["adaptation"]) == (score, adaptation)
        means = [row[name]["mean"] for name in ("auc", "ap", "validation_auc")]
        assert means == pytest.approx([auc, auc / 2, auc + 0.01])
        assert row["per_class"]["S"]["mean"] == pytest.approx(auc - 0.1)


def test_differences_are_paired_by_seed(cells, split):
    difference = split["differences"]["taught"]["auc (mse)"]
    by_seed = [
        t["scores"][0]["auc"] - a["scores"][0]["auc"]
        for t, a in zip(cells["taught"], cells["alone"], strict=True)
    ]
    assert difference["mean"] == pytest.approx(np.mean(by_seed))
    assert difference["sd"] == pytest.approx(np.std(by_seed, ddof=1))
    ap = split["differences"]["taught"]["ap (mse)"]
    assert ap["mean"] == pytest.approx(np.mean(by_seed) / 2)
    # A constant difference has no spread, whatever the seeds do.
    assert split["differences"]["worse"]["auc (mse)"]["sd"] == pytest.approx(0, abs=1e-12)
    assert split["differences"]["taught"]["auc (fusion)"]["mean"] == 0


def test_students_are_compared_with_the_untaught_one_of_their_size(split):
    against = {name: row["against"] for name, row in split["differences"].items()}
    assert against == {"taught": "alone", "worse": "alone", "narrow": "alone-4"}
    assert split["differences"]["narrow"]["auc (mse)"]["mean"] == pytest.approx(0.1)


def test_only_a_network_is_a_teacher_to_be_compared_with(cells, split):
    assert "to teacher" not in split["differences"]["worse"]
    auc = np.array([c["scores"][0]["auc"] for c in cells["taught"]])
    assert split["differences"]["taught"]["to teacher"]["mean"] == pytest.approx(auc.mean() - 0.83)


def test_a_taught_student_is_compared_with_the_control_of_its_size(cells):
    control = [cell("alone-reconstruction-4", k, 0.7, params=3) for k in range(6)]
    found = comparison.together(cells | {"alone-reconstruction-4": control}, ["fusion"])
    (named,) = [name for name, row in found["differences"].items() if "to control" in row]
    assert named == "narrow"
    auc = [c["scores"][0]["auc"] for c in cells["narrow"]]
    assert found["differences"]["narrow"]["to control"]["mean"] == pytest.approx(np.mean(auc) - 0.7)


def test_p_values_are_corrected_for_their_number(split):
    rows = [row["auc (mse)"] for row in split["differences"].values()]
    assert [row["p_holm"] for row in rows] == metrics.holm([row["p"] for row in rows])


def test_spread_over_seeds(split):
    spread = split["differences"]["taught"]["spread"]
    assert spread["sd_a"] < spread["sd_b"] / 3
    assert spread["p"] < 0.01


@pytest.mark.parametrize(("seeds", "known"), [(2, False), (3, True)])
def test_three_seeds_say_how_much_a_student_varies(cells, seeds, known):
    some = {name: of_variant[:seeds] for name, of_variant in cells.items()}
    assert ("spread" in comparison.together(some, ())["differences"]["taught"]) == known


def test_a_class_with_fewer_than_50_beats_makes_no_claim(split):
    assert list(split["variants"]["alone"]["scores"][0]["per_class"]) == ["S", "V"]


def test_the_table_names_every_variant_and_its_difference(split):
    shown = comparison.table(
        split
        | {"protocol": "interpatient", "fold": 0, "epochs": 1}
        | {"baselines": {"pca": {"auc": 0.7654321}}}
    )
    lines = {line.split()[0]: line for line in shown.splitlines()}
    assert shown.startswith("interpatient, fold 0, 1 epoch, ")
    assert {"teacher", "alone", "taught", "worse", "narrow", "pca"} <= lines.keys()
    assert "-0.2000 [-0.2000, -0.2000] Holm p 0.000" in lines["worse"]
    assert "Holm" not in lines["alone"]
    assert "0.7654" in lines["pca"]


def test_a_finished_group_in_a_line(cells):
    assert "-0.2000 [-0.2000, -0.2000] against alone" in comparison.in_short(
        cells["worse"], cells["alone"]
    )
    assert "against" not in comparison.in_short(cells["alone"], cells["alone"])
    assert comparison.in_short(cells["teacher"][:1], None) == "AUC 0.8300"
