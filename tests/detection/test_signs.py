"""What each sign of a beat says, which shape is a person's normal one, what looks like no beat."""

import numpy as np
import pytest

from kdjax.beats import BEFORE, FS, WINDOW
from kdjax.detection.deciding import join_beats
from kdjax.detection.families import gather
from kdjax.detection.shapes import Shapes
from kdjax.detection.signs import SIGNS, Person, Rhythm, Timing, qrs_width

TIME = (np.arange(WINDOW) - BEFORE) / FS  # s


def beat(width=0.012, height=1.0, t=0.2, p=0.1):
    """A beat, float32 [T, 1] in mV: QRS complex of that width in s, T and P wave."""
    parts = ((height, 0.0, width), (height * t, 0.25, 0.04), (height * p, -0.18, 0.02))
    bumps = (size * np.exp(-0.5 * np.square((TIME - at) / wide)) for size, at, wide in parts)
    return np.sum(list(bumps), axis=0)[:, None].astype(np.float32)


@pytest.fixture(scope="module")
def person():
    """Someone whose forty beats are all alike, 0.8 s apart."""
    known = Person()
    known.meet(np.stack([beat()] * 40), np.ones(40, bool), np.full(40, 0.8))
    return known


def signs_of(person, window, rr=0.8, before=0.8, after=0.8):
    """The signs of one beat by name: its interval, those before and after it, in s."""
    timing = Timing(
        interval=np.log([rr / 0.8]),
        step=np.log([rr / before]),
        usual=np.array([0.8]),
        irregularity=np.array([0.04]),
        early=np.array([rr < 0.7]),
    )
    (found,) = person.signs(
        window[None], timing, after=np.array([after]), prematurity=np.array([1.5]),
        score=np.array([3.0]),
    )  # fmt: skip
    return dict(zip(SIGNS, found.tolist(), strict=True))


def test_the_usual_beat_differs_in_nothing(person):
    found = signs_of(person, beat())
    for name, least in (("qrs", 0.02), ("t", 0.1), ("p", 0.1)):
        assert found[name] == pytest.approx(np.log(least), abs=0.01)
    for name in ("height", "width", "interval", "early", "step", "pause"):
        assert found[name] == pytest.approx(0, abs=1e-6)
    assert found["irregularity"] == pytest.approx(np.log(0.05))
    assert found["prematurity"] == pytest.approx(1.5)
    assert found["anomaly"] == pytest.approx(np.log(3))


@pytest.mark.parametrize(
    ("change", "sign"), [({"t": -0.2}, "t"), ({"p": -0.1}, "p"), ({"width": 0.05}, "qrs")]
)
def test_each_part_of_a_beat_has_its_own_sign(person, change, sign):
    usual, found = signs_of(person, beat()), signs_of(person, beat(**change))
    assert found[sign] > usual[sign] + 0.5
    for other in {"qrs", "t", "p"} - {sign} if sign != "qrs" else ():
        assert found[other] < usual[other] + 0.5


def test_higher_and_wider_beats_are_above_the_usual_one(person):
    assert signs_of(person, beat(height=2))["height"] == pytest.approx(np.log(2), abs=1e-3)
    wide = beat(width=0.04)
    ms, usual = qrs_width(np.stack([wide, beat()]))
    assert ms > 1.5 * usual
    assert signs_of(person, wide)["width"] == pytest.approx(np.log((ms + 10) / (usual + 10)))


def test_signs_of_timing_are_logarithms_of_ratios(person):
    found = signs_of(person, beat(), rr=0.5, before=0.9, after=1.2)
    wanted = {
        "interval": np.log(0.5 / 0.8),
        "early": -np.log(0.5 / 0.8),
        "step": np.log(0.5 / 0.9),
        "pause": np.log(1.2 / 0.8),
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)
    unknown = signs_of(person, beat(), rr=np.nan, after=np.nan)
    assert [unknown[name] for name in wanted] == [0, 0, 0, 0]


def test_what_p_wave_is_usual_is_known_from_beats_in_time():
    """Early ones, however many of late, come from elsewhere."""
    person, usual = Person(), np.stack([beat()] * 100)
    person.meet(usual, np.ones(100, bool), np.full(100, 0.8))
    for windows, early in ((usual, False), (np.stack([beat(p=-0.1)] * 100), True)):
        timing = Timing(*np.ones((4, 100)), np.full(100, early))
        person.signs(
            windows, timing, after=np.ones(100), prematurity=np.ones(100), score=np.ones(100)
        )
    found = signs_of(person, beat())
    assert (found["seen"], found["sinus"]) == (1, 1)


def test_of_shapes_that_come_about_as_often_the_narrowest_is_normal():
    """Ventricular beats may alternate with normal ones, and come first."""
    person = Person()
    windows = np.stack([beat(width=0.05, t=-0.5), beat()] * 30)
    person.meet(windows, np.ones(60, bool), np.full(60, 0.8))
    assert len(person.shapes.number) == 2
    usual, width = person.normal()
    np.testing.assert_allclose(usual, beat(), atol=1e-6)
    assert width == qrs_width(beat()[None])


@pytest.mark.parametrize(("before", "early"), [(0.76, True), (0.73, False)])
def test_an_early_beat_came_suddenly(before, early):
    """0.69 s is well below 0.8 s; what counts as sudden is 0.6 of that much, 7 per cent."""
    found = Rhythm().timing(np.array([0.8] * 40 + [before, 0.69])).early
    assert found.tolist() == [False] * 41 + [early]


def test_after_a_hundred_early_beats_in_a_row_theirs_is_the_usual_interval():
    rr = np.repeat([0.8, 0.45, 0.3], [30, 150, 1])
    early = Rhythm().timing(rr).early
    np.testing.assert_array_equal(np.flatnonzero(early), [*range(30, 130), 180])


SWING = np.sin(2 * np.pi * TIME)[:, None].astype(np.float32)  # one a second


@pytest.mark.parametrize(
    ("height", "window", "artefact"),
    [(1.0, beat(), False), (0.26, beat(), False), (0.23, beat(), True), (1.0, SWING, True)],
    ids=["a beat", "a low one", "too low", "too slow"],
)
def test_a_family_too_low_or_too_wide_for_a_heartbeat_looks_like_an_artefact(
    height, window, artefact
):
    """Below a quarter of the normal height, or wider than 280 ms."""
    shapes = Shapes()
    shape = shapes.update(np.stack([window] * 5), np.zeros(5, bool))
    signs = np.zeros((5, len(SIGNS)), np.float32)
    signs[:, SIGNS.index("height")] = np.log(height)
    beats = made_up(5)
    ((family,), _) = gather(
        shapes, beats, signs=signs, shape=shape, early=np.zeros(5, bool), threshold=1.0
    )
    assert family.artefact == artefact


def test_a_family_shows_the_mean_and_spread_of_its_early_beats_where_most_are_early():
    shapes = Shapes()
    size = np.array([1.0, 3.0, 1.0, 2.0, 3.0], np.float32)
    early = np.array([False, False, True, True, True])
    shape = shapes.update(size[:, None, None] * beat(), early)
    ((family,), _) = gather(
        shapes,
        made_up(5),
        signs=np.zeros((5, len(SIGNS)), np.float32),
        shape=shape,
        early=early,
        threshold=1.0,
    )
    assert family.count == 5
    np.testing.assert_allclose(family.mean, 2 * beat(), atol=1e-5)
    np.testing.assert_allclose(family.spread, np.sqrt(2 / 3) * beat(), atol=1e-4)


def test_a_family_tells_the_medians_of_its_beats():
    shapes, signs = Shapes(), np.zeros((3, len(SIGNS)), np.float32)
    shape = shapes.update(np.stack([beat()] * 3), np.zeros(3, bool))
    signs[:, SIGNS.index("interval")] = np.log([0.4, 0.9, 0.5])
    beats = made_up(3)._replace(score=np.array([-9.0, -5.0, -8.0]))
    ((family,), _) = gather(
        shapes, beats, signs=signs, shape=shape, early=np.zeros(3, bool), threshold=1.0
    )
    assert family.prematurity == pytest.approx(0.5)
    assert family.score == -8
    assert (family.first, family.last) == (0, 2 * FS)


def made_up(count):
    """Normal beats a second apart, which score far below any threshold."""
    none = join_beats([])
    ones = {name: np.ones(count, values.dtype) for name, values in none._asdict().items()}
    return none._replace(**ones)._replace(
        sample=FS * np.arange(count), score=np.full(count, -5.0), kind=np.full(count, "N")
    )
