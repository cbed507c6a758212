"""Irregular rhythms that a person dismisses or gives, by Python and by the page's script alike."""

from dataclasses import replace

import pytest
from detections import detection_of, synthetic
from javascript import calls

from kdjax.detection import decisions, review, tables
from kdjax.detection.events import WITHOUT_P, Event
from kdjax.detection.summary import summary
from kdjax.errors import InputError


def test_both_dismiss_the_same():
    replay = decisions.Replay(detection_of())
    replay.apply({"dismiss": [500, 1500], "event": WITHOUT_P})
    names = (WITHOUT_P, "irregular rhythm", "S bigeminy", "pause")
    events = [
        Event(name, first, last, 9)
        for name in names
        for first in (0, 300, 500, 1000, 1600)
        for last in (500, 800, 1500, 1750, 2499)
        if first < last
    ]
    asked = [
        ["isDismissed", {"name": e.name, "first": e.first, "last": e.last}, replay.dismissed]
        for e in events
    ]
    found = calls(*asked)
    assert found == [replay.dismisses(event) for event in events]
    assert {event.name for event, gone in zip(events, found, strict=True) if gone} == set(
        decisions.RHYTHMS
    )


def test_two_dismissals_that_cover_half_of_a_rhythm_dismiss_it():
    event = Event(WITHOUT_P, 0, 1750, 9)
    for stretches, gone in [
        ([(250, 500), (1000, 1750)], True),
        ([(1000, 1750), (250, 500)], True),
        ([(250, 1000), (300, 900)], False),  # what both cover counts once
        ([(250, 500), (1000, 1600)], False),
        ([(250, 1125)], True),  # half of it
    ]:
        replay = decisions.Replay(detection_of())
        replay.dismissed = stretches
        asked = {"name": event.name, "first": event.first, "last": event.last}
        assert calls(["isDismissed", asked, stretches]) == [gone]
        assert replay.dismisses(event) == gone


def test_a_dismissed_rhythm_is_no_event_by_any_name_and_kinds_stay():
    person = synthetic()
    event = Event(WITHOUT_P, *person.beats.sample[[10, 190]].tolist(), 181)
    found = replace(person, events=(*person.events, event))
    dismissal = {"dismiss": [event.first, event.last], "event": WITHOUT_P}
    before = review.reviewed(found, [])
    after = review.reviewed(found, [dismissal])
    assert event in before.events
    assert set(before.events) - set(after.events) == {event}
    assert [one for one in after.events if "irregular" in one.name] == []
    assert list(after.beats.kind) == list(before.beats.kind)
    told = summary(after)
    assert WITHOUT_P not in told["events"]
    assert WITHOUT_P not in tables.events(after)


def test_a_rhythm_stays_dismissed_where_naming_beats_moves_its_ends():
    person = synthetic()
    event = Event(WITHOUT_P, *person.beats.sample[[10, 190]].tolist(), 181)
    found = replace(person, events=(event,))
    ends = [{"beat": int(person.beats.sample[i]), "kind": "V"} for i in (10, 11, 190)]
    dismissal = {"dismiss": [event.first, event.last], "event": WITHOUT_P}
    (left,) = [e for e in review.reviewed(found, ends).events if e.name == WITHOUT_P]
    assert left != event
    for order in ([dismissal, *ends], [*ends, dismissal]):
        reviewed = review.reviewed(found, order)
        assert WITHOUT_P not in [e.name for e in reviewed.events]


@pytest.mark.parametrize(
    ("then", "left"),
    [
        ([], [(60, 120, "irregular rhythm")]),
        ([{"dismiss": (60, 120), "event": WITHOUT_P}], []),
        ([{"dismiss": (60, 80), "event": WITHOUT_P}], [(60, 120, "irregular rhythm")]),
        (
            [{"dismiss": (60, 80), "event": WITHOUT_P}, {"dismiss": (75, 100), "event": WITHOUT_P}],
            [],
        ),
        (
            [{"rhythm": (20, 60), "event": WITHOUT_P}],
            [(20, 60, WITHOUT_P), (60, 120, "irregular rhythm")],
        ),
        ([{"rhythm": (20, 61), "event": WITHOUT_P}], [(20, 61, WITHOUT_P)]),
        (
            [{"dismiss": (60, 120), "event": WITHOUT_P}, {"rhythm": (70, 90), "event": WITHOUT_P}],
            [(70, 90, WITHOUT_P)],
        ),
    ],
)
def test_a_rhythm_that_is_given_takes_the_place_of_those_that_it_overlaps(then, left):
    person = synthetic()
    sample = person.beats.sample.tolist()
    found = replace(person, events=(Event(WITHOUT_P, sample[10], sample[190], 181),))
    given = {"rhythm": (60, 120), "event": "irregular rhythm"}
    made = [
        {
            word: [sample[i] for i in value] if word != "event" else value
            for word, value in one.items()
        }
        for one in (given, *then)
    ]
    after = review.reviewed(found, made)
    rhythms = [event for event in after.events if event.name in decisions.RHYTHMS]
    assert rhythms == [Event(name, sample[a], sample[b], b - a + 1) for a, b, name in left]
    assert list(after.beats.kind) == list(person.beats.kind)


@pytest.mark.parametrize("decision", [None, 3, ["family", "kind"]])
def test_what_is_no_decision_is_said_in_our_words(decision):
    says = r"^decision 1 does not fit this recording: .* is not a decision, such as \{"
    with pytest.raises(InputError, match=says):
        review.reviewed(detection_of(), [decision])


def test_only_rhythms_are_given():
    says = "event 'pause' is not a rhythm that can be given, as .* are; name its beats instead$"
    with pytest.raises(InputError, match=f"^decision 1 does not fit this recording: {says}"):
        review.reviewed(detection_of(), [{"rhythm": [250, 1750], "event": "pause"}])


def test_only_rhythms_are_dismissed():
    says = "event 'pause' cannot be dismissed, only .*; name the beats of another one$"
    with pytest.raises(InputError, match=f"^decision 1 does not fit this recording: {says}"):
        review.reviewed(detection_of(), [{"dismiss": [250, 1750], "event": "pause"}])


def test_a_given_rhythm_can_be_dismissed_after_most_of_it_became_artefacts():
    person = synthetic()
    sample = person.beats.sample.tolist()
    made = [
        {"rhythm": [sample[60], sample[120]], "event": WITHOUT_P},
        *({"beat": sample[i], "kind": "X"} for i in range(60, 95)),
    ]
    (left,) = [e for e in review.reviewed(person, made).events if e.name == WITHOUT_P]
    assert (left.first, left.last, left.beats) == (sample[95], sample[120], 26)
    dismissal = {"dismiss": [left.first, left.last], "event": WITHOUT_P}
    assert dismissal["dismiss"][0] > sample[60]
    after = review.reviewed(person, [*made, dismissal])
    assert WITHOUT_P not in [event.name for event in after.events]
