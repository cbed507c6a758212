import json
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, roc_auc_score

from kdjax.scores import metrics

few = settings(max_examples=60, deadline=None)


@st.composite
def scored_beats(draw, records=4):
    """Beats of both kinds, many with equal scores, in a few records."""
    n = draw(st.integers(2, 30))
    abnormal = draw(hnp.arrays(bool, n))
    assume(abnormal.any() and not abnormal.all())
    # Eighths: exact in float32, and few enough that ties are the rule.
    score = draw(hnp.arrays(np.int64, n, elements=st.integers(-8, 8))) / 8
    record = draw(hnp.arrays(np.int64, n, elements=st.integers(0, records - 1))).astype("<U16")
    return record, abnormal, score.astype(np.float32)


def pairs_won(abnormal, score):
    """AUC from its meaning: each pair of an abnormal and a normal beat, a tie counting half."""
    wins = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a in score[abnormal].tolist()
        for b in score[~abnormal].tolist()
    ]
    return sum(wins) / len(wins)


def steps_of_recall(abnormal, score):
    """AP from its meaning: walk down the thresholds, add precision times the recall gained."""
    total = before = 0
    for threshold in sorted(set(score.tolist()), reverse=True):
        hits = int((abnormal & (score >= threshold)).sum())
        total += (hits - before) / abnormal.sum() * hits / (score >= threshold).sum()
        before = hits
    return total


def f1_at(abnormal, flagged):
    hits = (abnormal & flagged).sum()
    return float(2 * hits / (abnormal.sum() + flagged.sum()))


# Worked by hand. Highest first: abnormal 4, normal 3, abnormal 2, normal 1. Of 4 pairs 3 are won;
# precision is 1 at the first abnormal beat and 2/3 at the second.
ABNORMAL = np.array([False, True, False, True])
SCORE = np.array([1, 2, 3, 4], np.float32)


def test_values_worked_by_hand():
    assert metrics.auc(ABNORMAL, SCORE) == 0.75
    assert metrics.average_precision(ABNORMAL, SCORE) == pytest.approx((1 + 2 / 3) / 2)
    # Thresholds 4, 3, 2, 1 give F1 2/3, 1/2, 4/5, 2/3.
    assert metrics.best_f1(ABNORMAL, SCORE) == (pytest.approx(0.8), 2.0)


def test_equal_scores_are_chance():
    score = np.ones(4)
    assert metrics.auc(ABNORMAL, score) == 0.5
    assert metrics.average_precision(ABNORMAL, score) == 0.5  # the share of abnormal beats


@few
@given(scored_beats())
def test_auc_counts_pairs(beats):
    _, abnormal, score = beats
    assert metrics.auc(abnormal, score) == pytest.approx(pairs_won(abnormal, score), abs=1e-12)


@few
@given(scored_beats())
def test_average_precision_sums_steps_of_recall(beats):
    _, abnormal, score = beats
    expected = steps_of_recall(abnormal, score)
    assert metrics.average_precision(abnormal, score) == pytest.approx(expected, abs=1e-12)


@few
@given(scored_beats())
def test_best_f1_is_the_maximum_and_its_threshold_attains_it(beats):
    _, abnormal, score = beats
    best, threshold = metrics.best_f1(abnormal, score)
    assert best == pytest.approx(max(f1_at(abnormal, score >= value) for value in score))
    # Still so after JSON, and against the float32 scores as they were.
    threshold = json.loads(json.dumps(threshold))
    assert f1_at(abnormal, score >= threshold) == pytest.approx(best)


def test_each_class_stands_against_the_normal_beats_only():
    label = np.array([0, 0, 1, 2, 2], np.int8)
    score = np.array([1.0, 3.0, 2.0, 4.0, 5.0])
    table = metrics.per_class(label, score, ("N", "S", "V", "F"))
    assert table == {
        "S": {"auc": 0.5, "ap": 0.5, "n": 1},  # above one normal beat, below the other
        "V": {"auc": 1.0, "ap": 1.0, "n": 2},
        "F": {"auc": None, "ap": None, "n": 0},
    }


def test_without_normal_beats_a_class_has_no_figures():
    table = metrics.per_class(np.array([1, 2]), np.array([0.1, 0.2]), ("N", "S", "V"))
    assert table == {name: {"auc": None, "ap": None, "n": 1} for name in "SV"}


def test_each_record_by_itself():
    record = np.array(["b", "a", "a", "a", "b", "c"])
    abnormal = np.array([False, False, True, False, False, True])
    score = np.array([5.0, 1.0, 2.0, 3.0, 0.5, 9.0])
    table = metrics.per_record(record, abnormal, score, thresholds=[1.0, None])
    assert list(table) == ["a", "b", "c"]
    # `score > threshold`: the normal beat of a that scores 1.0 is not flagged at 1.0.
    assert table["a"] == {"n": 3, "abnormal": 1, "auc": 0.5, "ap": 0.5, "fpr": [0.5, 0.0]}
    assert table["b"] == {"n": 2, "abnormal": 0, "auc": None, "ap": None, "fpr": [0.5, 0.0]}
    assert table["c"] == {"n": 1, "abnormal": 1, "auc": None, "ap": None, "fpr": [None, None]}


def resampled(record, abnormal, score, samples, seed):
    """The bootstrap written out: drawn records copied, and the same as scikit-learn's weights."""
    names = np.unique(record)
    rng = np.random.default_rng(seed)
    copied, weighted = [], []
    while len(copied) < samples:
        drawn = rng.integers(len(names), size=len(names))
        rows = np.concatenate([np.flatnonzero(record == names[i]) for i in drawn])
        weight = np.bincount(drawn, minlength=len(names))[np.searchsorted(names, record)]
        if abnormal[rows].any() and not abnormal[rows].all():
            copied.append((pairs_won(abnormal[rows], score[rows]),))
            copied[-1] += (steps_of_recall(abnormal[rows], score[rows]),)
            weighted.append(
                (
                    roc_auc_score(abnormal, score, sample_weight=weight),
                    average_precision_score(abnormal, score, sample_weight=weight),
                )
            )
    return np.array(copied), np.array(weighted)


@settings(max_examples=25, deadline=None)
@given(scored_beats(), st.integers(0, 2**32 - 1))
def test_bootstrap_is_that_of_copied_records_and_of_weighted_beats(beats, seed):
    record, abnormal, score = beats
    assume(len(np.unique(record)) > 1)
    interval = metrics.bootstrap_ci(record, abnormal, score, samples=12, seed=seed, level=0.8)
    for draws in resampled(record, abnormal, score, 12, seed):
        low, high = np.quantile(draws, [0.1, 0.9], axis=0)
        np.testing.assert_allclose(interval["auc"], [low[0], high[0]], atol=1e-12)
        np.testing.assert_allclose(interval["ap"], [low[1], high[1]], atol=1e-12)


def test_bootstrap_over_records_is_wider_than_over_beats():
    """Beats of one record resemble each other; an interval that forgets it is too narrow."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(20), 100)
    abnormal = rng.random(2000) < rng.beta(0.5, 1, size=20)[patient]
    score = rng.normal(size=2000) + abnormal * rng.normal(1, 1.5, size=20)[patient]
    by_record = metrics.bootstrap_ci(patient.astype(str), abnormal, score, samples=200)
    by_beat = metrics.bootstrap_ci(np.arange(2000).astype(str), abnormal, score, samples=200)
    for name, point in (
        ("auc", metrics.auc(abnormal, score)),
        ("ap", metrics.average_precision(abnormal, score)),
    ):
        assert np.ptp(by_record[name]) > 2 * np.ptp(by_beat[name])
        assert by_record[name][0] < point < by_record[name][1]


def test_bootstrap_draws_again_where_a_kind_is_missing():
    """Each record holds one kind of beat, so half of the draws have no AUC."""
    record, abnormal = np.array(["a", "b"]), np.array([False, True])
    interval = metrics.bootstrap_ci(record, abnormal, np.array([0.0, 1.0]), samples=50)
    assert interval == {"auc": [1.0, 1.0], "ap": [1.0, 1.0]}


def test_bootstrap_repeats_itself_by_seed():
    rng = np.random.default_rng(3)
    data = rng.integers(5, size=60).astype(str), rng.random(60) < 0.4, rng.random(60)
    assert metrics.bootstrap_ci(*data, samples=50, seed=1) == metrics.bootstrap_ci(
        *data, samples=50, seed=1
    )
    assert metrics.bootstrap_ci(*data, samples=50, seed=1) != metrics.bootstrap_ci(
        *data, samples=50, seed=2
    )


def test_bootstrap_draws_1000_times_from_seed_0_unless_told():
    rng = np.random.default_rng(3)
    data = rng.integers(5, size=60).astype(str), rng.random(60) < 0.4, rng.random(60)
    assert metrics.bootstrap_ci(*data) == metrics.bootstrap_ci(*data, samples=1000, seed=0)


def test_bootstrap_needs_two_records():
    with pytest.raises(ValueError, match="at least two, here 1"):
        metrics.bootstrap_ci(np.array(["a"] * 4), ABNORMAL, SCORE)


@few
@given(st.lists(st.integers(-20, 20), min_size=2, max_size=60), st.integers(1, 99))
def test_a_label_free_threshold_keeps_its_promise(scores, percent):
    """Let each of n + 1 scores in turn be the new beat and the others the held-out ones.

    Exchangeability means that all n + 1 cases are equally likely, so at most the promised share of
    them may be flagged; without ties no threshold may be needlessly high either.
    """
    scores, target = np.array(scores, float), percent / 100
    flagged = 0
    for i, new in enumerate(scores):
        [row] = metrics.label_free(np.delete(scores, i), ABNORMAL, SCORE, fpr_targets=[target])
        flagged += row["threshold"] is not None and new > row["threshold"]
    promised = percent * len(scores) // 100
    assert flagged <= promised
    if len(set(scores)) == len(scores):
        assert flagged == promised


@pytest.mark.parametrize(
    ("n", "target", "threshold"),
    [
        (18, 0.05, None),  # 19 equally likely places: the highest one alone is more than 5 %
        (19, 0.05, 19.0),
        (99, 0.05, 95.0),
        (149, 0.18, 123.0),  # 150 * (1 - 0.18) is 123.00000000000001 in floating point
    ],
)
def test_threshold_is_an_order_statistic(n, target, threshold):
    held_out = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    [row] = metrics.label_free(held_out, ABNORMAL, SCORE, fpr_targets=[target])
    assert row["threshold"] == threshold


def test_label_free_rates_on_the_test_beats():
    # Held-out 1, 2, 3 and half of the places: rank ceil(4 * 0.5) = 2. Above the threshold 2 are the
    # normal beats 3 and 4 of five and the abnormal 5 and 3 of three: F1 is 2 * 2 / (3 + 4).
    held_out = np.array([3.0, 1.0, 2.0])
    abnormal = np.array([False] * 5 + [True] * 3)
    score = np.array([1.0, 3.0, 0.0, 2.0, 4.0, 5.0, 3.0, 1.0])
    half, none = metrics.label_free(held_out, abnormal, score, fpr_targets=[0.5, 0.1])
    assert half == {
        "fpr_target": 0.5,
        "threshold": 2.0,
        "fpr": 2 / 5,
        "recall": 2 / 3,
        "f1": pytest.approx(4 / 7),
    }
    assert none == {"fpr_target": 0.1, "threshold": None, "fpr": 0.0, "recall": 0.0, "f1": 0.0}


@pytest.mark.parametrize("target", [0.0, 1.0, -0.1, math.nan])
def test_a_rate_lies_between_0_and_1(target):
    with pytest.raises(ValueError, match="between 0 and 1"):
        metrics.label_free(SCORE, ABNORMAL, SCORE, fpr_targets=[target])


CALLS = {
    "auc": lambda a, s: metrics.auc(a, s),
    "average_precision": lambda a, s: metrics.average_precision(a, s),
    "best_f1": lambda a, s: metrics.best_f1(a, s),
    "per_class": lambda a, s: metrics.per_class(a.astype(np.int8), s),
    "per_record": lambda a, s: metrics.per_record(a.astype(str), a, s, thresholds=[1.0]),
    "bootstrap_ci": lambda a, s: metrics.bootstrap_ci(a.astype(str), a, s, samples=3),
    "label_free": lambda a, s: metrics.label_free(SCORE, a, s, fpr_targets=[0.5]),
}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", CALLS)
def test_a_score_that_is_not_finite_is_named(name, bad):
    with pytest.raises(ValueError, match=rf"score\[2\] = {bad}"):
        CALLS[name](ABNORMAL, np.array([1.0, 2.0, bad, 4.0]))


def test_a_held_out_score_that_is_not_finite_is_named():
    with pytest.raises(ValueError, match=r"calibrate_score\[1\] = nan"):
        metrics.label_free(np.array([1.0, np.nan]), ABNORMAL, SCORE, fpr_targets=[0.5])


@pytest.mark.parametrize("name", CALLS)
def test_shapes_are_not_broadcast(name):
    with pytest.raises(ValueError, match=r"shape \(4,\), score has \(1,\)"):
        CALLS[name](ABNORMAL, SCORE[:1])
    with pytest.raises(ValueError, match="one dimension"):
        CALLS[name](ABNORMAL, SCORE[:, None])


@pytest.mark.parametrize("kind", [False, True])
@pytest.mark.parametrize(
    "name", [name for name in CALLS if name not in ("per_class", "per_record", "label_free")]
)
def test_one_kind_of_beat_is_refused(name, kind):
    with pytest.raises(ValueError, match="needs normal and abnormal beats"):
        CALLS[name](np.full(4, kind), SCORE)


def test_a_threshold_says_nothing_of_a_kind_of_beat_that_is_not_there():
    calibrate, score = np.arange(99.0), np.array([80.0, 90.0, 95.0, 96.0])
    (normal,) = metrics.label_free(calibrate, np.zeros(4, bool), score, fpr_targets=[0.1])
    assert normal == {"fpr_target": 0.1, "threshold": 89, "fpr": 0.75, "recall": None, "f1": None}
    (abnormal,) = metrics.label_free(calibrate, np.ones(4, bool), score, fpr_targets=[0.1])
    assert (abnormal["fpr"], abnormal["recall"]) == (None, 0.75)


def test_labels_in_place_of_truth_are_refused():
    with pytest.raises(ValueError, match="must be bool, not int8"):
        metrics.auc(np.array([0, 1, 2, 1], np.int8), SCORE)


@pytest.mark.parametrize("name", CALLS)
def test_results_are_plain_json(name):
    result = CALLS[name](ABNORMAL, SCORE)
    again = json.loads(json.dumps(result, allow_nan=False))
    assert again == (list(result) if isinstance(result, tuple) else result)


# --- figures over seeds --------------------------------------------------------------------------

# Student (1908), Biometrika 6(1), data of Cushny and Peebles: hours of sleep gained under two
# drugs by ten patients. t of the paired difference is 4.0621, p 0.00283 (R, t.test(sleep)).
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_paired_difference_of_students_sleep_data():
    found = metrics.paired_difference(SLEEP_2, SLEEP_1)
    assert found["mean"] == pytest.approx(1.58)
    assert found["ci95"] == pytest.approx([0.7001142, 2.4598858], abs=1e-7)
    assert found["p"] == pytest.approx(0.00283289, abs=1e-8)
    assert metrics.paired_difference(SLEEP_1, SLEEP_2)["mean"] == pytest.approx(-1.58)


def test_t_interval_of_two_seeds_is_known_by_hand():
    # t(0.975, 1) = 12.7062; sd of (0, 1) is sqrt(1/2), over sqrt(2) it is 1/2.
    found = metrics.t_interval([0.0, 1.0])
    assert found["ci95"] == pytest.approx([0.5 - 12.7062 / 2, 0.5 + 12.7062 / 2], abs=1e-4)
    assert found["n"] == 2


@pytest.mark.parametrize("values", [[], [0.5]])
def test_an_interval_needs_two_seeds(values):
    with pytest.raises(ValueError, match="at least two"):
        metrics.t_interval(values)


def test_equal_differences_leave_no_doubt():
    assert metrics.paired_difference([1.0, 2.0], [0.0, 1.0])["p"] == 0
    assert metrics.paired_difference([1.0, 2.0], [1.0, 2.0])["p"] == 1


def test_holm_by_hand():
    # Holm (1979): the smallest of m p values times m, the next times m - 1, never decreasing.
    assert metrics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert metrics.holm([0.6, 0.7]) == [1.0, 1.0]
    assert metrics.holm([]) == []


def test_pitman_morgan_finds_a_narrower_pair():
    rng = np.random.default_rng(0)
    wide = rng.normal(0, 1, 30)
    narrow = 0.2 * wide + rng.normal(0, 0.1, 30)
    found = metrics.pitman_morgan(narrow, wide)
    assert found["sd_a"] == pytest.approx(np.std(narrow, ddof=1))
    assert found["sd_b"] == pytest.approx(np.std(wide, ddof=1))
    assert found["sd_a"] < found["sd_b"]
    assert found["p"] < 1e-6
    # Of equal variances: p is spread evenly, so that a tenth lies below 0.1.
    pairs = rng.normal(0, 1, (400, 2, 12))
    share = np.mean([metrics.pitman_morgan(a, b)["p"] < 0.1 for a, b in pairs])
    assert 0.06 < share < 0.14


def test_equal_variances_are_no_difference():
    assert metrics.pitman_morgan([0.1, 0.2, 0.4], [0.6, 0.7, 0.9])["p"] == 1
    assert metrics.pitman_morgan([0.1, 0.2, 0.4], [0.9, 0.8, 0.6])["p"] == 1


def test_pitman_morgan_needs_pairs():
    with pytest.raises(ValueError, match="three pairs"):
        metrics.pitman_morgan([1.0, 2.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="three pairs"):
        metrics.pitman_morgan([1.0, 2.0, 3.0], [1.0, 2.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_figure_over_seeds_that_is_not_finite_is_named(bad):
    good, spoilt = [0.1, 0.2, 0.4], [0.3, bad, 0.5]
    for call in (metrics.t_interval, metrics.holm):
        with pytest.raises(ValueError, match=rf"values\[1\] = {bad}"):
            call(spoilt)
    for call in (metrics.paired_difference, metrics.pitman_morgan):
        with pytest.raises(ValueError, match=rf"a\[1\] = {bad}"):
            call(spoilt, good)
        with pytest.raises(ValueError, match=rf"b\[1\] = {bad}"):
            call(good, spoilt)


def test_pairs_are_not_broadcast():
    with pytest.raises(ValueError, match="3 and 1 figures do not form pairs"):
        metrics.paired_difference([0.1, 0.2, 0.4], [0.1])


@pytest.mark.parametrize("p", [-0.01, 1.01])
def test_what_is_no_p_value_is_refused(p):
    assert metrics.holm([0.0, 1.0]) == [0.0, 1.0]
    with pytest.raises(ValueError, match=f"between 0 and 1, not {p}"):
        metrics.holm([0.5, p])


def test_the_laxest_rate_takes_the_lowest_score():
    assert metrics.conformal_quantile(np.arange(100.0), 1 - 1e-13) == 0
