"""What each score promises: its definition on a few numbers, what it ignores, what it refuses."""

import tracemalloc

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kdjax.scores.fitted import (
    ADAPTATIONS,
    ADAPTED,
    SCORES,
    Evidence,
    fit,
    halves,
    rhythm,
    surprise,
    tail,
)
from kdjax.scores.metrics import auc

T, C, L, FS = 6, 2, 3, 100.0
few = settings(max_examples=30, deadline=None)
EVERY = [(kind, "none") for kind in SCORES] + [(k, a) for k in ADAPTED for a in ADAPTATIONS[1:]]


def draw(beats, seed=0, people=2):
    """Evidence of normal beats a second apart, of people who differ; correlated residuals."""
    rng = np.random.default_rng(seed)
    own = np.random.default_rng(99).standard_normal((people, T * C + L)) * 3
    mix = np.random.default_rng(98).standard_normal((T * C, T * C)) / 3
    who = np.arange(beats) * people // beats
    size = np.exp(np.random.default_rng(97).standard_normal(people))[who][:, None]
    residual = size * (rng.standard_normal((beats, T * C)) @ mix) + own[who, L:]
    return Evidence(
        residual=residual.reshape(beats, T, C).astype(np.float32),
        z=(size * rng.standard_normal((beats, L)) + own[who, :L]).astype(np.float32),
        feature_error=np.exp(rng.standard_normal(beats)).astype(np.float32),
        rhythm=rng.standard_normal((beats, 2)) * [0.2, 0.1],
        record=np.array([f"person {i}" for i in who]),
        sample=(FS * np.arange(1, beats + 1)).astype(np.int64),
        fs=FS,
    )


NORMAL, NEW = draw(400), draw(60, seed=1)
TRAIN = draw(200, seed=2)


def fitted(kind, adaptation="none"):
    return fit(NORMAL, kind, adaptation, train=TRAIN if kind == "memory" else None)


def joined(*parts):
    columns = zip(*(part[:-1] for part in parts), strict=True)
    return Evidence(*(np.concatenate(column) for column in columns), parts[0].fs)


# --- rhythm ------------------------------------------------------------------------------------


def steps(rr, record="a"):
    """rhythm() of one recording with those intervals."""
    return rhythm(np.array([record] * len(rr)), np.arange(len(rr)), np.array(rr, float))


def test_a_steady_rhythm_is_in_time_and_its_interval_is_given():
    np.testing.assert_allclose(steps([0.8] * 5), [[np.log(0.8), 0]] * 5)


def test_prematurity_worked_by_hand():
    # Before the last beat: 0.5, 0.6, 0.8, 1.0, 1.2. Their median is 0.8, nearest to 90 % of the
    # way from the first to the last (rank 3.6) is 1.2, to 25 and 75 % are 0.6 and 1.0.
    spread = np.log(1.0 / 0.6) / 1.349
    expected = np.log(np.sqrt(0.8 * 1.2) / 0.4) / np.hypot(0.2, spread)
    assert steps([1.0, 0.5, 1.2, 0.8, 0.6, 0.4])[-1, 1] == pytest.approx(expected)


def test_the_reference_goes_by_the_90th_percentile():
    # Before the last beat: 0.50, 0.51 to 0.70; 25, 50, 75 and 90 % of the way are 0.55, 0.60, 0.65
    # and 0.68.
    spread = np.log(0.65 / 0.55) / 1.349
    expected = np.log(np.sqrt(0.6 * 0.68) / 0.4) / np.hypot(0.2, spread)
    found = steps([*np.random.default_rng(0).permutation(np.arange(50, 71)) / 100, 0.4])
    assert found[-1, 1] == pytest.approx(expected)


def test_premature_beats_stand_out_though_most_are():
    # Four in five are premature: the median says that they are the rule, the reference does not.
    early = np.arange(300) % 5 > 0
    prematurity = steps(np.where(early, 0.5, 1.0))[20:, 1]
    assert prematurity[early[20:]].min() > 0.3
    assert prematurity[~early[20:]].max() < 0


def test_an_early_beat_says_less_in_an_irregular_rhythm():
    regular = [0.8] * 100
    irregular = np.exp(np.log(0.8) + 0.25 * np.random.default_rng(0).standard_normal(100))
    assert steps([*regular, 0.5])[-1, 1] > steps([*irregular, 0.5])[-1, 1] > 0


def test_rhythm_remembers_256_beats():
    # Half of them 1.0, half 0.5: the ranks nearest to 25, 50, 75 and 90 % are 0.5, 1.0, 1.0, 1.0.
    rr = [1.0] * 128 + [0.5] * 128 + [0.6]
    expected = np.log(1 / 0.6) / np.hypot(0.2, np.log(2) / 1.349)
    assert steps(rr)[-1, 1] == pytest.approx(expected)
    assert steps([0.5] * 50 + rr)[-1, 1] == pytest.approx(expected)
    assert steps(rr[1:])[-1, 1] < expected / 2  # of 255 the middle one is 0.5


intervals = st.lists(
    st.sampled_from([0.3, 0.5, 0.8, 1.0, 1.7, np.nan, 0.0]), min_size=2, max_size=20
)


@few
@given(intervals)
def test_missing_intervals_are_neutral_and_never_seen_again(rr):
    out = steps(rr)
    known = np.array(rr) > 0
    np.testing.assert_array_equal(out[~known], 0)
    np.testing.assert_allclose(out[known], steps(np.array(rr)[known]).reshape(-1, 2))
    assert np.isfinite(out).all()


@few
@given(intervals, st.integers(1, 19), st.floats(0.2, 3))
def test_rhythm_is_causal(rr, beat, other):
    changed = [*rr[:beat], *([other] * len(rr[beat:]))]
    np.testing.assert_array_equal(steps(changed)[:beat], steps(rr)[:beat])


@few
@given(intervals, st.randoms(use_true_random=False), st.sampled_from([0.5, 1.5]))
def test_rhythm_knows_no_order_of_rows_no_other_person_and_no_tempo(rr, random, tempo):
    rows = list(range(2 * len(rr)))
    random.shuffle(rows)
    record = np.repeat(["a", "b"], len(rr))[rows]
    sample = np.tile(np.arange(len(rr)), 2)[rows]
    out = rhythm(record, sample, np.concatenate([rr, tempo * np.array(rr)])[rows])
    back = np.argsort(rows)
    np.testing.assert_array_equal(out[back][: len(rr)], steps(rr))
    np.testing.assert_allclose(out[back][len(rr) :, 1], steps(rr)[:, 1], atol=1e-12)


def test_the_rhythm_of_a_long_recording_takes_little_memory():
    rr = np.random.default_rng(0).uniform(0.5, 1.1, 20_000)
    beats = np.full(len(rr), "p"), np.arange(len(rr)), rr
    tracemalloc.start()
    found = rhythm(*beats)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25e6  # 256 intervals of every beat are 41 MB
    part = slice(3800, 4400)
    again = rhythm(*(values[part] for values in beats))
    np.testing.assert_array_equal(found[part][256:], again[256:])


def test_rhythm_of_unequal_arrays_is_rejected():
    with pytest.raises(ValueError, match=r"rr_before \(3,\)"):
        rhythm(np.array(["a", "a"]), np.arange(2), np.ones(3))


# --- halves ------------------------------------------------------------------------------------


@few
@given(hnp.arrays(np.int64, st.integers(0, 30), elements=st.integers(0, 3)), st.randoms())
def test_halves_take_turns_in_every_record(who, random):
    sample = np.array(random.sample(range(1000), len(who)), np.int64)
    a, b = halves(who.astype(str), sample)
    np.testing.assert_array_equal(np.sort(np.concatenate([a, b])), np.arange(len(who)))
    for person in np.unique(who):
        own = [int((who[half] == person).sum()) for half in (a, b)]
        assert abs(own[0] - own[1]) <= 1
        in_time = np.argsort(np.where(who == person, sample, 10_000))[: sum(own)]
        assert (np.diff(np.isin(in_time, a).astype(int)) != 0).all()


# --- every score -------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "adaptation"), EVERY)
def test_scores_are_finite_float64_one_a_beat_and_leave_their_input_alone(kind, adaptation):
    before = [np.copy(values) for values in NEW]
    score = fitted(kind, adaptation).score(NEW)
    assert score.shape == (60,)
    assert score.dtype == np.float64
    assert np.isfinite(score).all()
    for now, then in zip(NEW, before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(("kind", "adaptation"), EVERY)
def test_beats_odd_in_every_way_score_higher(kind, adaptation):
    odd = NEW._replace(
        residual=5 * NEW.residual + 30 * np.sign(np.sin(np.arange(T) * 2))[:, None],
        z=20 - 5 * NEW.z,
        feature_error=NEW.feature_error + 100,
        rhythm=np.add(NEW.rhythm, [-1, 2]),
    )
    score = fitted(kind, adaptation).score(joined(NEW, odd.of(np.arange(0, 60, 4))))
    assert auc(np.arange(75) >= 60, score) > 0.99


@pytest.mark.parametrize(("kind", "adaptation"), EVERY)
def test_the_order_of_beats_does_not_matter(kind, adaptation):
    score = fitted(kind, adaptation)
    order = np.random.default_rng(0).permutation(60)
    np.testing.assert_allclose(score.score(NEW.of(order)), score.score(NEW)[order], rtol=1e-6)


@pytest.mark.parametrize("kind", SCORES)
def test_without_adaptation_a_beat_is_scored_by_itself(kind):
    score = fitted(kind)
    np.testing.assert_allclose(score.score(NEW.of([5, 40])), score.score(NEW)[[5, 40]], rtol=1e-6)


@pytest.mark.parametrize(("kind", "adaptation"), EVERY)
def test_a_fitted_score_is_its_plain_arrays(kind, adaptation):
    score = fitted(kind, adaptation)
    assert all(isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in score.arrays.values())
    again = type(score)(kind, adaptation, {name: a.copy() for name, a in score.arrays.items()})
    np.testing.assert_array_equal(again.score(NEW), score.score(NEW))


@pytest.mark.parametrize(("kind", "adaptation"), EVERY)
def test_evidence_without_any_variance_gives_finite_scores(kind, adaptation):
    flat = Evidence(*(np.zeros_like(a) for a in NORMAL[:4]), *NORMAL[4:])
    score = fit(flat, kind, adaptation, train=flat)
    assert np.isfinite(score.score(flat)).all()
    assert np.isfinite(score.score(NEW)).all()


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="no score 'euclidean'"):
        fit(NORMAL, "euclidean")
    with pytest.raises(ValueError, match="adaptation 'always'"):
        fit(NORMAL, "mse", "always")
    with pytest.raises(ValueError, match="training beats"):
        fit(NORMAL, "memory")
    with pytest.raises(ValueError, match="two normal beats at least, not 1"):
        fit(NORMAL.of([0]), "mse")
    with pytest.raises(ValueError, match="different numbers"):
        fit(NORMAL, "mse").score(NEW._replace(record=NEW.record[:-1]))


# --- each kind ---------------------------------------------------------------------------------


def test_mse_is_the_mean_squared_error():
    expected = np.square(NEW.residual.astype(np.float64)).mean(axis=(1, 2))
    np.testing.assert_allclose(fitted("mse").score(NEW), expected, rtol=1e-12)


def test_standardised_weighs_each_sample_by_what_is_usual_there():
    usual = np.square(NORMAL.residual.astype(np.float64)).mean(axis=0)
    expected = (np.square(NEW.residual) / usual).mean(axis=(1, 2))
    np.testing.assert_allclose(fitted("standardised").score(NEW), expected, rtol=1e-6)
    assert fitted("standardised").score(NORMAL).mean() == pytest.approx(1)


@pytest.mark.parametrize(("kind", "name"), [("mahalanobis", "residual"), ("latent", "z")])
def test_mahalanobis_distance_is_that_of_the_sample_covariance_where_beats_are_many(kind, name):
    many = draw(20_000)
    normal, new = (getattr(e, name).reshape(len(e.z), -1).astype(float) for e in (many, NEW))
    away = new - normal.mean(axis=0)
    inverse = np.linalg.inv(np.cov(normal, rowvar=False))
    expected = np.einsum("bi,ij,bj->b", away, inverse, away) / away.shape[1]
    np.testing.assert_allclose(fit(many, kind).score(NEW), expected, rtol=0.05)


def test_memory_is_the_distance_to_the_nearest_training_beat_in_latent_and_rhythm():
    scale = np.sqrt(TRAIN.z.var(axis=0).sum() / 2) / TRAIN.rhythm.std(axis=0)
    place, remembered = (np.hstack([e.z, e.rhythm * scale]) for e in (NEW, TRAIN))
    apart = np.linalg.norm(place[:, None] - remembered[None], axis=2)
    np.testing.assert_allclose(fitted("memory").score(NEW), apart.min(axis=1), rtol=1e-4)
    np.testing.assert_allclose(fitted("memory").score(TRAIN), 0, atol=1e-4)


def test_features_and_prematurity_are_themselves():
    np.testing.assert_array_equal(fitted("features").score(NEW), NEW.feature_error)
    np.testing.assert_array_equal(fitted("prematurity").score(NEW), NEW.rhythm[:, 1])


@pytest.mark.parametrize("adaptation", ADAPTATIONS)
def test_fusion_adds_the_surprise_of_shape_and_of_prematurity(adaptation):
    def shape(e):
        parts = [fitted(kind, adaptation).score(e) for kind in ("mahalanobis", "latent")]
        return np.log(parts).mean(axis=0)

    expected = 0
    for normal, new in ((shape(NORMAL), shape(NEW)), (NORMAL.rhythm[:, 1], NEW.rhythm[:, 1])):
        low, median, high = np.quantile(normal, [0.25, 0.5, 0.75])
        logistic = scipy.stats.logistic(median, (high - low) / (2 * np.log(3)))
        np.testing.assert_allclose(logistic.ppf(0.75) - logistic.ppf(0.25), high - low)
        expected -= logistic.logsf(new)
    np.testing.assert_allclose(fitted("fusion", adaptation).score(NEW), expected, rtol=1e-9)


# --- adaptation --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ADAPTED)
@pytest.mark.parametrize("adaptation", ADAPTATIONS[1:])
def test_a_persons_own_offset_does_not_count(kind, adaptation):
    person = NEW.of(NEW.record == "person 0")
    moved = person._replace(residual=person.residual + 7 * np.arange(T)[:, None], z=person.z - 9)
    score = fitted(kind, adaptation)
    np.testing.assert_allclose(score.score(moved), score.score(person), rtol=1e-3)
    assert fitted(kind).score(moved).min() > score.score(moved).max()


@pytest.mark.parametrize("kind", ["mse", "mahalanobis", "latent"])
def test_a_persons_own_scale_does_not_count(kind):
    person = NEW.of(NEW.record == "person 0")
    larger = person._replace(residual=4 * person.residual, z=4 * person.z)
    score = fitted(kind, "recording")
    np.testing.assert_allclose(score.score(larger), score.score(person), rtol=1e-3)
    own = person.rhythm[:, 1] < 0.75
    assert np.median(score.score(person)[own]) == pytest.approx(1)


@pytest.mark.parametrize("kind", ADAPTED)
@pytest.mark.parametrize("adaptation", ADAPTATIONS[1:])
def test_one_person_does_not_change_anothers_scores(kind, adaptation):
    first = NEW.record == "person 0"
    score = fitted(kind, adaptation)
    np.testing.assert_allclose(score.score(NEW.of(first)), score.score(NEW)[first], rtol=1e-6)


@pytest.mark.parametrize("kind", ADAPTED)
def test_premature_beats_do_not_stand_for_their_person(kind):
    # Two thirds of the person's beats are premature and of another shape.
    person = NEW.of(NEW.record == "person 0")
    other = person._replace(
        residual=person.residual + 50, z=person.z + 50, rhythm=np.add(person.rhythm, [0, 3])
    )
    score = fitted(kind, "recording")
    n = len(person.z)
    mixed = score.score(joined(other, person, other))
    np.testing.assert_allclose(mixed[n : 2 * n], score.score(person), rtol=1e-6)
    assert mixed[:n].min() > mixed[n : 2 * n].max()


@pytest.mark.parametrize("kind", ADAPTED)
def test_only_the_first_five_minutes_are_learned_from(kind):
    beats = draw(800, seed=3, people=1)
    late = beats.sample >= 300 * FS
    changed = np.where(late[:, None, None], 9 - beats.residual, beats.residual)
    later = beats._replace(residual=changed, z=np.where(late[:, None], 9 - beats.z, beats.z))
    score = fitted(kind, "first_5_minutes")
    np.testing.assert_allclose(score.score(later)[~late], score.score(beats)[~late], rtol=1e-6)
    whole = fitted(kind, "recording")
    assert not np.allclose(whole.score(later)[~late], whole.score(beats)[~late], rtol=1e-2)
    # ... and they are scored with what is learned from them.
    assert np.median(score.score(beats)[~late]) == pytest.approx(
        np.median(score.score(beats)[late]), rel=0.3
    )


@pytest.mark.parametrize("kind", ADAPTED)
def test_a_person_with_four_beats_is_measured_by_the_population(kind):
    four, five = NEW.of(np.arange(4)), NEW.of(np.arange(5))
    score = fitted(kind, "recording")
    alone = [score.score(four.of([i]))[0] for i in range(4)]
    np.testing.assert_allclose(score.score(four), alone, rtol=1e-6)
    alone = [score.score(five.of([i]))[0] for i in range(5)]
    assert not np.allclose(score.score(five), alone, rtol=1e-2)


def test_where_a_person_is_unknown_distances_are_over_the_usual_one():
    score = fitted("mse", "recording").score(NEW.of([0]))
    away = np.square(NEW.residual[0] - NORMAL.residual.mean(axis=0, dtype=np.float64)).mean()
    people = [NORMAL.residual[NORMAL.record == name] for name in ("person 0", "person 1")]
    usual = np.concatenate([own - np.median(own, axis=0) for own in people])
    assert score[0] == pytest.approx(away / np.median(np.square(usual).mean(axis=(1, 2))), rel=1e-5)


def two_people(early, late=0):
    """Two people's normal beats, which hardly vary but lie far apart; some after five minutes."""
    evidence = draw(2 * (early + late), seed=4)
    side = np.where(evidence.record == "person 0", 10, -10)[:, None, None]
    sample = np.tile(np.append(np.arange(early), 300 * FS + np.arange(late)), 2)
    return evidence._replace(
        residual=side + 1e-3 * evidence.residual, rhythm=0 * evidence.rhythm, sample=sample
    )


@pytest.mark.parametrize(("beats", "usual"), [(4, 100), (5, 0)])
def test_normal_people_with_five_beats_are_adapted_to_when_a_score_is_fitted(beats, usual):
    """As those whose beats are scored: the usual distance is that from their own beats, or 0."""
    fitted_usual = fit(two_people(beats), "mse", "recording").arrays["mse.usual"]
    assert fitted_usual == pytest.approx(usual, abs=0.5)


def test_what_the_first_five_minutes_say_of_a_normal_person_counts_for_the_later_beats():
    fitted_usual = fit(two_people(5, late=20), "mse", "first_5_minutes").arrays["mse.usual"]
    assert fitted_usual == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("kind", [kind for kind in SCORES if kind not in ADAPTED])
def test_other_kinds_do_not_change(kind):
    train = TRAIN if kind == "memory" else None
    adapted = fit(NORMAL, kind, "recording", train=train)
    np.testing.assert_array_equal(adapted.score(NEW), fitted(kind).score(NEW))


def test_a_rhythm_that_hardly_varies_makes_no_beat_a_surprise():
    """A pacemaker's: R-peaks differ by a sample at most."""
    rr = np.where(np.arange(400) % 7 < 2, 361, 360) / 360
    early = rhythm(np.zeros(400, int), np.arange(400) * 360, rr)[:, 1]
    steady = tail(early[np.isfinite(early)])
    assert steady[1] == 0.01
    assert surprise(np.array([early[-1] + 0.05]), steady)[0] < 10
