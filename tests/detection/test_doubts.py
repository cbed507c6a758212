"""Notes on recordings whose kinds are less sure."""

import numpy as np
import pytest
from detections import beats_of

from kdjax.detection.events import Event
from kdjax.detection.notes import doubts_of_kinds

FS = 10.0


def beats_at(*kinds, every=1.0):
    """Beats of these kinds, one a second."""
    rows = [
        (round(i * every * FS), 1.0, 0.5, kind != "N", "good", every, kind, 0, 0.5, 1.0)
        for i, kind in enumerate(kinds)
    ]
    return beats_of(*rows)


def said(beats, *events, span="first 5 minutes"):
    return list(doubts_of_kinds(beats, events, FS, span=span))


def test_a_usual_recording_is_not_doubted():
    assert said(beats_at(*"NNNNNNNNNNV" * 60)) == []
    assert said(beats_at()) == []
    assert said(beats_at("", "")) == []


def test_more_than_a_tenth_that_is_not_normal():
    (note,) = said(beats_at(*"N" * 400, *"NV" * 80))
    assert note.startswith("14 % of the scored beats are called abnormal; check that family 1")


def test_first_minutes_with_many_others():
    (note,) = said(beats_at(*"NNV" * 70, *"N" * 1000))
    assert note.startswith(
        "the first 5 minutes, to which the score adapts, are not a steady rhythm: 23 % of their "
        "beats are called abnormal; so kinds"
    )


def test_first_seconds_of_a_short_recording():
    *_, note = said(beats_at(*"NNV" * 20), span="first 60 s")
    assert note.startswith("the first 60 s, to which the score adapts, are not a steady rhythm")


def test_first_minutes_matter_only_to_a_score_that_adapted_to_them():
    assert said(beats_at(*"NNV" * 70, *"N" * 1000), span=None) == []


@pytest.mark.parametrize(
    ("name", "notes"), [("irregular rhythm", 1), ("V bigeminy", 1), ("pause", 0)]
)
def test_first_minutes_that_are_irregular(name, notes):
    event = Event(name, 2500, 4000, 150)  # 50 s of it in the first five minutes
    beats = beats_at(*"N" * 1000)
    assert said(beats, event) == []
    assert len(said(beats, event._replace(first=2300))) == notes


def test_what_is_irregular_in_two_ways_is_so_once():
    beats, event = beats_at(*"N" * 1000), Event("irregular rhythm", 1000, 1500, 50)
    assert said(beats, event, event._replace(name="V bigeminy", first=1100, last=1400)) == []
    (note,) = said(beats, event, event._replace(name="V bigeminy", first=1400, last=1700))
    assert "70 s are irregular" in note


def test_unscored_beats_at_the_start_do_not_count():
    beats = beats_at(*[""] * 400, *"NNV" * 70, *"N" * 1000)
    (note,) = said(beats)
    assert "are not a steady rhythm" in note
    assert np.isfinite(beats.score).all()
