"""Shapes, timing, kinds and events of beats made up as plain arrays."""

import numpy as np
import pytest

from kdjax.beats import BEFORE, FS, WINDOW
from kdjax.detection import kinds
from kdjax.detection.deciding import FPR, Beats
from kdjax.detection.events import WITHOUT_P, Event, find_events, inside, without_p_waves
from kdjax.detection.families import gather
from kdjax.detection.shapes import POOLED, Shapes
from kdjax.detection.signs import (
    SIGNS,
    Person,
    Rhythm,
    in_fibrillation,
    likeness,
    p_wave_signs,
    qrs_width,
)
from kdjax.errors import InputError

TIME = (np.arange(WINDOW) - BEFORE) / FS  # s
BEATS = 60


def bump(width, at=0.0):
    return np.exp(-0.5 * np.square((TIME - at) / width))


def beat(kind, rng, noise=0.01):
    """A beat, float32 [T, 1] in mV; N has a P and a T wave, S another P wave, V is wide."""
    conducted = bump(0.012) - 0.3 * bump(0.012, 0.035) + 0.2 * bump(0.04, 0.25)
    normal = conducted + 0.1 * bump(0.02, -0.18)
    atrial = conducted - 0.1 * bump(0.02, -0.14)
    wide = -0.8 * bump(0.04, 0.02) + 0.5 * bump(0.06, 0.12) - 0.3 * bump(0.05, 0.3)
    shape = {"N": normal, "S": atrial, "V": wide}[kind]
    return (shape + rng.normal(0, noise, WINDOW))[:, None].astype(np.float32)


def test_a_shape_is_found_again_and_another_is_not_it():
    rng = np.random.default_rng(0)
    pattern = np.array(list("NNVNNNVVNN"))
    windows = np.stack([beat(kind, rng) for kind in pattern])
    shapes = Shapes()
    found = np.concatenate(
        [shapes.update(part, np.zeros(5, bool)) for part in np.split(windows, 2)]
    )
    np.testing.assert_array_equal(found, np.where(pattern == "N", 0, 1))
    np.testing.assert_array_equal(shapes.count, [7, 3])
    mean = shapes.total[1, 0] / shapes.early[1, 0]
    np.testing.assert_allclose(mean, windows[pattern == "V"].mean(axis=0), atol=1e-6)


def test_a_shape_follows_slow_drift():
    rng = np.random.default_rng(0)
    normal, wide = beat("N", rng, 0), beat("V", rng, 0)
    windows = np.stack([(1 - s) * normal + s * wide for s in np.linspace(0, 0.6, 400)])
    assert np.corrcoef(windows[0].ravel(), windows[-1].ravel())[0, 1] < 0.5
    assert len(np.unique(Shapes().update(windows, np.zeros(400, bool)))) == 1


def test_a_rate_that_doubles_at_once_makes_few_early_beats():
    rng = np.random.default_rng(0)
    rr = np.repeat([1.6, 0.8, 1.6, 0.8], 60) + rng.normal(0, 0.01, 240)
    early = Rhythm().timing(rr).early
    expected = [*range(60, 76), *range(180, 196)]
    np.testing.assert_array_equal(np.flatnonzero(early), expected)
    assert Rhythm().timing(np.repeat([1.6, 0.9], 60)).early[60:].all()  # no half of it


def test_the_normal_beat_is_of_the_shape_that_came_most_often_of_late():
    rng = np.random.default_rng(0)
    person = Person()
    for kind, cores in (("N", 10), ("inverted", 6)):
        for _ in range(cores):
            windows = np.stack([beat("N", rng)] * 60) * (1 if kind == "N" else -1)
            person.meet(windows, np.ones(60, bool), np.full(60, 0.8))
        usual, _ = person.normal()
        assert np.corrcoef(usual.ravel(), windows[0].ravel())[0, 1] > 0.9, kind


def test_what_is_known_of_shapes_goes_with_them():
    rng = np.random.default_rng(0)
    person, memory = Person(), kinds.Memory()
    for _ in range(20):
        odd = rng.normal(size=(20, WINDOW, 1)).astype(np.float32)
        shape, _ = person.meet(odd, np.ones(20, bool), np.full(20, 0.8))
        memory.add(np.zeros((20, len(SIGNS)), np.float32), shape, person.shapes.number)
    held = set(person.shapes.number.tolist())
    assert len(held) == 48
    assert set(memory.groups().number.tolist()) <= held
    assert set(person._widths) <= held


def test_a_stream_decides_by_the_latest_64_beats_of_a_shape():
    memory, held = kinds.Memory(), np.array([3])
    for value in (0.0, 1.0):  # and as many of a shape that is not kept
        shape = np.repeat([3, 5], 64)
        memory.add(np.full((128, len(SIGNS)), value, np.float32), shape, held)
    groups = memory.groups()
    assert groups.number.tolist() == [3]
    assert (groups.median == 1).all()
    assert groups.share.tolist() == [0.5]


def test_shares_of_shapes_are_of_all_beats_that_have_or_had_one():
    shape = np.array([0, 0, 1, POOLED, kinds.UNSCORED])
    groups = kinds.grouped(np.zeros((5, len(SIGNS)), np.float32), shape)
    assert groups.number.tolist() == [0, 1]
    assert groups.share.tolist() == [0.5, 0.25]


def test_shapes_are_bounded_and_the_rarest_are_pooled():
    rng = np.random.default_rng(0)
    shapes = Shapes()
    usual = np.stack([beat("N", rng)] * 3)
    odd = rng.normal(size=(200, WINDOW, 1)).astype(np.float32)
    found = shapes.update(np.concatenate([usual, odd]), np.zeros(203, bool))
    assert len(shapes.number) == 48
    held = shapes.held(found)
    assert (held[:3] == found[0]).all()
    assert (held == POOLED).sum() == shapes.pooled[0].sum() == 203 - shapes.count.sum() > 0


def test_a_sudden_early_beat_is_early_and_a_rising_rate_is_not():
    rr = np.full(BEATS, 0.8)
    rr[[20, 40]] = 0.55, 0.5
    rr[[21, 41]] = 1.05, 1.1
    np.testing.assert_array_equal(np.flatnonzero(Rhythm().timing(rr).early), [20, 40])
    rising = 0.8 * np.exp(-0.01 * np.arange(BEATS))
    assert not Rhythm().timing(rising).early.any()


def test_a_run_stays_early_until_it_ends():
    rr = np.full(120, 0.8)
    rr[30:80] = 0.45
    np.testing.assert_array_equal(np.flatnonzero(Rhythm().timing(rr).early), np.arange(30, 80))


def test_in_an_irregular_rhythm_few_beats_are_early():
    rr = np.random.default_rng(0).uniform(0.5, 1.1, 400)
    assert Rhythm().timing(rr)[-1][50:].mean() < 0.15


def test_in_an_irregular_rhythm_the_usual_interval_is_in_the_middle():
    rr = np.exp(np.random.default_rng(0).normal(np.log(0.7), 0.3, 600))
    interval = Rhythm().timing(rr).interval[50:]
    assert abs(np.median(interval)) < 0.08


@pytest.mark.parametrize("pattern", [(0.5, 1.1), (0.5, 0.5, 1.1)])
def test_where_most_beats_are_premature_the_long_intervals_are_the_usual_ones(pattern):
    rr = np.tile(pattern, 60)
    early = Rhythm().timing(rr).early[60:]
    np.testing.assert_array_equal(early, (rr == 0.5)[60:])
    assert Rhythm().timing(np.tile([0.5, 1.1], 40)).irregularity[-1] == 0  # bigeminy is regular


@pytest.mark.parametrize("every", [2, 3, 4])
def test_premature_beats_in_a_pattern_are_early_in_a_steady_rhythm(every):
    rr = np.tile([0.55, 1.05, *[0.9] * (every - 2)], 60)
    timing = Rhythm().timing(rr)
    np.testing.assert_array_equal(timing.early[60:], (rr == 0.55)[60:])
    assert not timing.irregularity[60:].any()


@pytest.mark.parametrize("cut", [1, 7, 33])
def test_timing_is_the_same_in_parts(cut):
    rr = np.random.default_rng(1).uniform(0.4, 1.2, 90)
    rr[[5, 50]] = np.nan
    whole, rhythm = Rhythm().timing(rr), Rhythm()
    parts = [rhythm.timing(part) for part in (rr[:cut], rr[cut:60], rr[60:])]
    for values, pieces in zip(whole, zip(*parts, strict=True), strict=True):
        np.testing.assert_array_equal(values, np.concatenate(pieces))


def test_widths_and_likeness_tell_a_wide_beat():
    rng = np.random.default_rng(0)
    both = np.stack([beat("N", rng), beat("V", rng)])
    narrow, wide = qrs_width(both)
    assert 40 < narrow < 0.7 * wide
    alike = likeness(np.roll(both, 5, axis=1), both[0], (-0.1, 0.14))
    assert alike[0] > 0.98 > 0.6 > alike[1]


def opinion_of(pattern, rr):
    rng = np.random.default_rng(0)
    windows = np.stack([beat(kind, rng) for kind in pattern])
    person, good = Person(), np.ones(len(windows), bool)
    shape, timing = person.meet(windows, good, rr)
    after = np.append(rr[1:], np.nan)
    prematurity = np.clip(-5 * timing.interval, -1, 4)
    signs = person.signs(
        windows,
        timing,
        after=after,
        prematurity=prematurity,
        score=np.where(pattern == "V", 15.0, 0.7),
    )
    assert signs.shape == (len(windows), len(SIGNS))
    return kinds.opinion(signs, shape, kinds.grouped(signs, shape))


def test_kinds_of_normal_early_and_wide_beats():
    pattern, rr = np.full(400, "N"), np.full(400, 0.8)
    pattern[50::50] = "V"
    for early in (*range(25, 400, 50), *range(50, 400, 50)):
        rr[early], rr[(early + 1) % 400] = 0.5, 1.1
    pattern[25::50] = "S"
    opinion = opinion_of(pattern, rr)
    kind = opinion.kind(kinds.threshold(FPR))
    np.testing.assert_array_equal(kind[1:], pattern[1:])
    confidence = opinion.confidence(kind)
    assert confidence.dtype == np.float32
    assert ((confidence >= 0) & (confidence <= 1)).all()


def test_early_beats_with_the_usual_p_wave_are_less_supraventricular():
    """As of a heart with AV block, whose P waves are at times all conducted."""
    early = np.arange(20, 400, 20)
    rr = np.full(400, 1.0)
    rr[early], rr[early + 1] = 0.55, 1.2
    usual, other = np.full(400, "N"), np.full(400, "N")
    other[early] = "S"
    normal, ectopic = (opinion_of(pattern, rr).supraventricular for pattern in (usual, other))
    assert (ectopic[early] > normal[early] + 3).all()


@pytest.mark.parametrize(
    ("usual", "own", "seen", "sinus"),
    [
        (0.98, 0.98, 1.0, 1.0),  # correlations with the normal P wave
        (0.98, 0.9, 1.0, 0.0),
        (0.86, 0.86, 0.0, 0.0),  # none can be told from noise
        (0.92, 0.92, 0.44, 0.44),
    ],
)
def test_signs_of_p_waves_are_whether_they_are_seen_and_usual(usual, own, seen, sinus):
    in_time, p = np.log(1.1 - np.array([usual, usual, 0.1])), np.log(1.1 - np.array([own]))
    found = p_wave_signs(p, in_time)
    np.testing.assert_allclose([found["seen"], found["sinus"]], [[seen], [sinus]], atol=0.01)
    first = p_wave_signs(p, np.empty(0))  # nothing is usual yet
    assert first["p"] == p
    assert first["seen"] == first["sinus"] == 0


@pytest.mark.parametrize(("seen", "weight"), [(0.0, 0.1), (0.5, 0.15), (1.0, 0.3)])
def test_early_beats_of_an_irregular_rhythm_count_as_far_as_p_waves_are_seen(seen, weight):
    signs = np.zeros((1, len(SIGNS)), np.float32)
    for name, value in {"early": 0.5, "irregularity": np.log(0.24 + 0.01), "seen": seen}.items():
        signs[:, SIGNS.index(name)] = value
    terms = kinds.supraventricular_terms(signs)
    np.testing.assert_allclose(terms["early"], 0.5 * weight, rtol=1e-5)
    signs[:, SIGNS.index("irregularity")] = np.log(0.01)
    assert kinds.supraventricular_terms(signs)["early"] == pytest.approx(0.5)


@pytest.mark.parametrize(("sinus", "weight"), [(0.0, 1.0), (1.0, 0.2)])
@pytest.mark.parametrize(
    ("sign", "limits"), [(1.0, (0.8, 4.0, 4.0, 0.7)), (-1.0, (0.0, 0.0, -1.0, 0.0))]
)
def test_the_timing_of_one_beat_counts_up_to_a_limit(sign, limits, sinus, weight):
    signs = np.zeros((1, len(SIGNS)), np.float32)
    early = {"early": 9.0, "step": -9.0, "prematurity": 9.0, "interval": -9.0, "pause": 9.0}
    for name, value in early.items():
        signs[:, SIGNS.index(name)] = sign * value
    signs[:, SIGNS.index("irregularity")] = np.log(0.01)
    signs[:, SIGNS.index("sinus")] = sinus
    terms = kinds.supraventricular_terms(signs)
    timing = [terms[name].item() for name in ("early", "step", "premature", "longer after")]
    np.testing.assert_allclose(timing, weight * np.array(limits), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    ("correlation", "weight"), [(1.0, 0.0), (0.98, 0.0), (0.9, 1.0), (0.5, 1.0)]
)
def test_to_be_early_makes_no_beat_ventricular_that_has_the_normal_shape(correlation, weight):
    signs = np.zeros((3, len(SIGNS)), np.float32)
    signs[:, SIGNS.index("qrs")] = np.log(1 - correlation + 0.02)
    signs[:, SIGNS.index("interval")] = -0.5
    shape = np.zeros(3, int)
    terms = kinds.ventricular_terms(signs, shape, kinds.grouped(signs, shape))
    for name in ("shape differs, is early", "shape differs, early"):
        np.testing.assert_allclose(terms[name], 0.5 * weight, atol=1e-6)


@pytest.mark.parametrize(
    ("ventricular", "early", "kind"),
    [
        (1.0, 1.3, "N"),  # neither is above the threshold, whatever is likely
        (1.2, 2.0, "V"),  # 0.77, and 0.23 of which 0.88
        (-1.2, 2.0, "S"),
        (-0.7, 1.5, "S"),
        (3.0, 9.0, "V"),
    ],
)
def test_an_abnormal_beat_has_the_likelier_kind(ventricular, early, kind):
    opinion = kinds.Opinion(np.array([ventricular]), np.array([early]))
    assert opinion.kind(1.4) == [kind]
    if kind != "N":
        assert opinion.confidence(np.array([kind])) > 0.5


def test_a_threshold_keeps_its_rate_among_normal_beats():
    normal = kinds.normal_scores()
    assert kinds.threshold(0.05) == pytest.approx(normal[[1899, 1900]].mean())  # at 0.95
    with pytest.raises(InputError, match="ask for"):
        kinds.threshold(1e-6)


def test_normalised_scores_are_shares_of_normal_beats():
    normal = kinds.normal_scores()
    scores = [-np.inf, normal[500], np.inf, np.nan]
    np.testing.assert_allclose(kinds.normalised(np.array(scores)), [0, 501 / 2000, 1, np.nan])


def named(kind, rr=None):
    kind = np.array(list(kind))
    rr = np.full(len(kind), 0.8) if rr is None else rr
    sample = np.cumsum(np.round(rr * FS)).astype(np.int64)
    ones = np.ones(len(kind))
    return Beats(
        sample=sample,
        score=ones,
        normalised=ones,
        abnormal=kind != "N",
        quality=np.full(len(kind), "good"),
        rr=rr,
        kind=kind,
        family=ones.astype(np.int32),
        confidence=ones,
        height=ones,
        sqi=ones,
    )


@pytest.mark.parametrize(
    ("kind", "name", "first", "last"),
    [
        ("NNVVNN", "V couplet", 2, 3),
        ("NNSSSSN", "S run", 2, 5),
        ("NNVNVNVNN", "V bigeminy", 1, 6),
        ("NNNVNNVNNVNNN", "V trigeminy", 1, 9),
    ],
)
def test_events(kind, name, first, last):
    beats = named(kind)
    expected = Event(name, int(beats.sample[first]), int(beats.sample[last]), last - first + 1)
    assert find_events(beats, FS) == (expected,)


@pytest.mark.parametrize(
    ("unknown", "expected"), [(0, [(0, 11)]), (5, [(6, 11)]), (6, [(0, 5), (6, 11)])]
)
def test_a_pattern_ends_where_an_interval_is_unknown(unknown, expected):
    beats = named("NV" * 6)
    beats.rr[unknown] = np.nan
    places = {sample: place for place, sample in enumerate(beats.sample.tolist())}
    events = find_events(beats, FS)
    assert {event.name for event in events} == {"V bigeminy"}
    assert [(places[event.first], places[event.last]) for event in events] == expected


def test_a_pause_and_an_irregular_rhythm_are_events():
    rr = np.full(40, 0.8)
    rr[20] = 2.5
    assert [event.name for event in find_events(named("N" * 40, rr), FS)] == ["pause"]
    rr = np.random.default_rng(0).uniform(0.5, 1.1, 200)
    assert [event.name for event in find_events(named("N" * 200, rr), FS)] == ["irregular rhythm"]


def irregular_intervals(count, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 1.1, count)


def test_ventricular_beats_neither_make_nor_break_an_irregular_rhythm():
    kind = "NNNVNNNNVN" * 30
    steady = np.full(len(kind), 0.8)
    for beat, name in enumerate(kind):
        if name == "V":
            steady[beat : beat + 2] = 0.5, 1.1
    assert "irregular rhythm" not in {event.name for event in find_events(named(kind, steady), FS)}
    beats = named(kind, irregular_intervals(len(kind)))
    (event,) = (event for event in find_events(beats, FS) if "irregular" in event.name)
    assert event.beats > 250


@pytest.mark.parametrize(("regular", "stretches"), [(60, 1), (140, 2)])  # beats of 0.8 s
def test_less_than_a_minute_of_steady_rhythm_does_not_end_an_irregular_one(regular, stretches):
    rr = np.concatenate(
        [irregular_intervals(200), np.full(regular, 0.8), irregular_intervals(200, seed=1)]
    )
    names = [event.name for event in find_events(named("N" * len(rr), rr), FS)]
    assert names == ["irregular rhythm"] * stretches


@pytest.mark.parametrize("between", ["gap", "V", ""])
def test_what_is_not_seen_for_more_than_a_minute_ends_an_irregular_rhythm(between):
    irregular = irregular_intervals(120)
    missing = np.full(1 if between == "gap" else 100, 3600.0 if between == "gap" else 0.8)
    rr = np.concatenate([irregular, missing, irregular, np.full(60, 0.8)])
    kind = np.full(len(rr), "N")
    if between != "gap":
        kind[120:220] = between
    events = [e for e in find_events(named(kind, rr), FS) if e.name == "irregular rhythm"]
    assert len(events) == 2
    assert all(event.last - event.first < 120 * 1.1 * FS for event in events)


@pytest.mark.parametrize(("irregular", "found"), [(40, 0), (50, 1)])
def test_a_minute_of_irregular_rhythm_is_needed_not_one_between_two_irregular_beats(
    irregular, found
):
    """Two stretches, less than a minute apart, of about 23 and 32 s each."""
    steady = np.full(45, 0.8)
    parts = [irregular_intervals(irregular, seed) for seed in (0, 1)]
    rr = np.concatenate([steady, parts[0], steady, parts[1], steady])
    events = find_events(named("N" * len(rr), rr), FS)
    assert [event.name for event in events] == ["irregular rhythm"] * found


def signs_of(seen):
    signs = np.zeros((len(seen), len(SIGNS)), np.float32)
    signs[:, SIGNS.index("seen")] = seen
    signs[:, SIGNS.index("irregularity")] = np.log(0.01)
    return signs


def test_irregular_rhythms_are_told_apart_by_their_p_waves():
    beats = named("N" * 400, irregular_intervals(400))
    fibrillation = without_p_waves(beats, signs_of(np.repeat([0.0, 1.0], 200)), FS)
    assert [(event.name, event.last) for event in fibrillation] == [(WITHOUT_P, beats.sample[199])]
    first, second = find_events(beats, FS, fibrillation)
    assert first == fibrillation[0]
    assert (second.name, second.first) == ("irregular rhythm", beats.sample[200])
    assert without_p_waves(beats, signs_of(np.full(400, 0.6)), FS) == ()  # seen rather than not
    assert without_p_waves(named(""), signs_of(np.empty(0)), FS) == ()


def test_in_fibrillation_to_be_early_makes_few_beats_supraventricular():
    beats = named("N" * 200, irregular_intervals(200))
    signs = signs_of(np.full(200, 0.4))
    signs[:, SIGNS.index("irregularity")] = np.log(np.where(np.arange(200) % 2, 0.25, 0.02) + 0.01)
    signs[:, SIGNS.index("early")] = 0.3
    within = inside(beats, without_p_waves(beats, signs, FS))
    assert 150 < within.sum() < 200
    settled = in_fibrillation(signs, within)
    before, after = (kinds.supraventricular_terms(some)["early"] for some in (signs, settled))
    assert not settled[within, SIGNS.index("seen")].any()
    np.testing.assert_array_equal(after[~within], before[~within])
    assert (after[within] < 0.3 * before[within].max()).all()
    np.testing.assert_array_equal(settled[~within], signs[~within])
    np.testing.assert_array_equal(in_fibrillation(signs, np.zeros(200, bool)), signs)


def test_the_least_typical_beat_of_a_family_is_named_beside_the_typical_ones():
    rng = np.random.default_rng(0)
    shapes = Shapes()
    shape = shapes.update(np.stack([beat("N", rng) for _ in range(40)]), np.zeros(40, bool))
    signs = rng.normal(0, 0.1, (40, len(SIGNS))).astype(np.float32)
    signs[17] += 2
    beats = named("N" * 40)._replace(score=np.full(40, -5.0))
    ((family,), own) = gather(
        shapes, beats, signs=signs, shape=shape, early=np.zeros(40, bool), threshold=1.0
    )
    assert (own == 0).all()
    assert family.unusual == 17
    assert 17 not in family.examples


def test_beats_of_a_shape_and_kind_whose_score_is_near_the_threshold_are_a_family_apart():
    rng = np.random.default_rng(0)
    shapes = Shapes()
    shape = shapes.update(np.stack([beat("N", rng) for _ in range(12)]), np.zeros(12, bool))
    score = np.array([-3.0] * 4 + [1.5] * 3 + [3.5] * 2 + [10.0] * 3)
    beats = named("N" * 7 + "S" * 5)._replace(score=score)
    families, own = gather(
        shapes,
        beats,
        signs=np.zeros((12, len(SIGNS)), np.float32),
        shape=shape,
        early=np.zeros(12, bool),
        threshold=3.0,
    )
    found = [(families[i].kind, families[i].doubtful, families[i].count) for i in own[[0, 4, 7, 9]]]
    assert found == [("N", False, 4), ("N", True, 3), ("S", True, 2), ("S", False, 3)]
