"""Decisions about one recording of a person, taken over for the next."""

from dataclasses import replace

import numpy as np
import pytest
from detections import synthetic

from kdjax.beats import BEFORE
from kdjax.detection import earlier, files
from kdjax.detection.signs import likeness
from kdjax.errors import InputError


def test_families_of_the_same_shape_and_detected_kind_take_the_name():
    person = synthetic()
    numbers = {family.kind: i for i, family in enumerate(person.families, 1)}
    known = [{"family": numbers["N"], "kind": "Q"}, {"family": numbers["V"], "kind": "F"}]
    first, *others = person.families
    turned = replace(person, families=(first, *others[::-1]))
    carried, doubts = earlier.carried(person, known, turned)
    kinds = {decision["family"]: decision["kind"] for decision in carried}
    assert numbers["N"] == 1
    assert kinds[1] == "Q"
    assert kinds[len(person.families) + 2 - numbers["V"]] == "F"
    assert doubts == ()


@pytest.mark.parametrize(
    ("named", "detected", "carried"),
    [("N", "V", "N"), ("V", "N", "V"), ("N", "S", ""), ("S", "N", ""), ("V", "S", "")],
)
def test_a_known_shape_tells_n_from_v_but_not_whether_a_beat_is_premature(named, detected, carried):
    person = synthetic()
    one = person.families[0]
    beats = person.beats._replace(family=np.zeros_like(person.beats.family))
    old = replace(person, families=(replace(one, detected=named, kind=named),), beats=beats)
    new = replace(person, families=(replace(one, detected=detected, kind=detected),))
    decisions, doubts = earlier.carried(old, [{"family": 1, "kind": named}], new)
    assert decisions == ([{"family": 1, "kind": carried}] if carried else [])
    assert doubts == ()


@pytest.mark.parametrize(("kind", "carried"), [("N", []), ("V", ["V"]), ("S", ["S"])])
def test_that_premature_beats_were_normal_says_nothing_of_the_next(kind, carried):
    person = synthetic()
    beats = person.beats._replace(family=np.zeros_like(person.beats.family))
    families = (replace(person.families[0], detected="S", kind="S"),)
    old = new = replace(person, families=families, beats=beats)
    decisions, _ = earlier.carried(old, [{"family": 1, "kind": kind}], new)
    assert [decision["kind"] for decision in decisions] == carried


def test_a_family_without_a_name_keeps_what_is_more_like_it():
    """A normal family was right and not named, a rare shape near it was named V."""
    person = synthetic()
    usual = replace(person.families[0], detected="N", kind="N")
    wider = usual.mean.copy()
    wider[BEFORE + 8 : BEFORE + 20] += 0.15 * np.ptp(usual.mean)
    rare = replace(usual, mean=wider)
    beats = person.beats._replace(family=np.arange(len(person.beats.sample), dtype=np.int32) % 2)
    before = after = replace(person, families=(usual, rare), beats=beats)
    assert likeness(wider[None], usual.mean, (-0.1, 0.3))[0] > 0.9
    named = [{"family": 2, "kind": "V"}]
    assert earlier.carried(before, named, after) == (named, ())


@pytest.mark.parametrize(("change", "carried"), [(0.2, True), (0.5, False)])
def test_shapes_that_are_only_somewhat_alike_stay_as_detected(change, carried):
    """From a correlation of 0.9 on they are one; the usual beats are the same person's."""
    person = synthetic()
    usual = replace(person.families[0], detected="N", kind="N")
    wider = usual.mean.copy()
    wider[BEFORE + 8 : BEFORE + 20] += change * np.ptp(usual.mean)
    alike = likeness(wider[None], usual.mean, (-0.1, 0.3))[0]
    assert (alike > 0.9) == carried
    assert alike > 0.7
    beats = person.beats._replace(family=np.arange(len(person.beats.sample), dtype=np.int32) % 2)
    old = replace(person, families=(usual,), beats=person.beats._replace(family=0 * beats.family))
    new = replace(person, families=(replace(usual, doubtful=True), replace(usual, mean=wider)))
    decisions, _ = earlier.carried(old, [{"family": 1, "kind": "Q"}], replace(new, beats=beats))
    assert decisions == ([{"family": 2, "kind": "Q"}] if carried else [])


@pytest.mark.parametrize("detected", ["N", "V"])
@pytest.mark.parametrize("named", ["N", "S", "V"])
def test_names_of_doubtful_beats_say_nothing_of_the_next(detected, named):
    person = synthetic()
    sure = replace(person.families[0], detected=detected, kind=detected)
    doubtful = replace(sure, doubtful=True)
    beats = person.beats._replace(family=np.arange(len(person.beats.sample), dtype=np.int32) % 2)
    decisions = [{"family": 1, "kind": named}]
    for families, carried in (((sure, doubtful), decisions), ((doubtful, sure), [])):
        before = after = replace(person, families=families, beats=beats)
        assert earlier.carried(before, decisions, after) == (carried, ())


def test_unlike_shapes_stay_as_detected_and_another_person_is_doubted():
    person = synthetic()
    flipped = tuple(replace(family, mean=-family.mean) for family in person.families)
    other = replace(person, families=flipped, recording="next")
    decisions, (doubt,) = earlier.carried(person, [{"family": 1, "kind": "N"}], other)
    assert decisions == []
    assert doubt.startswith("the usual beat of next is unlike that of synthetic")
    assert "no name was carried over" in doubt
    nothing = replace(person, families=())
    assert earlier.carried(person, [{"family": 1, "kind": "N"}], nothing) == ([], ())


def test_other_leads_are_refused_and_cost_no_detection():
    other = replace(synthetic(), leads=("V1",))
    with pytest.raises(InputError, match="names are carried over only between recordings whose"):
        earlier.carried(synthetic(), [], other)
    decisions, (doubt,) = earlier.carried_if_alike((synthetic(), []), other)
    assert decisions == []
    assert doubt.startswith("no name of an earlier recording was carried over: synthetic has leads")


def test_a_review_that_names_no_family_is_refused_before_anything_is_detected(tmp_path):
    person = synthetic()
    files.write(person, tmp_path / "found")
    files.write_reviewed(
        person, [{"beat": int(person.beats.sample[9]), "kind": "V"}], tmp_path / "found"
    )
    with pytest.raises(InputError, match="none of its families was named; review it first"):
        earlier.read(tmp_path / "found")


def test_beats_that_were_added_and_rhythms_that_were_dismissed_stay_with_their_recording(tmp_path):
    person = synthetic()
    gap = int(person.beats.sample[30] + person.beats.sample[31]) // 2
    stretch = person.beats.sample[[10, 190]].tolist()
    own = [
        {"add": gap, "kind": "N"},
        {"dismiss": stretch, "event": "irregular rhythm"},
        {"family": 1, "kind": "Q"},
    ]
    files.write_reviewed(person, own, tmp_path)
    (tmp_path / "detection.npz").write_bytes(files.whole_bytes(person))
    carried, doubts = earlier.carried(*earlier.read(tmp_path), person)
    assert carried == [{"family": 1, "kind": "Q"}]
    assert doubts == ()
