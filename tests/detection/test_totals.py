"""The numbers at the top of the page, by its script and by the summary that follows a review."""

from dataclasses import replace

import numpy as np
import pytest
from detections import NAN, synthetic
from javascript import calls

from kdjax.detection import review
from kdjax.detection.report import milliseconds
from kdjax.detection.summary import summary

KINDS = "NSVFQX"
AFTER = "(detected, decisions) => totalsOf(replay(detected, decisions), detected.score)"
SAMPLE = synthetic().beats.sample.tolist()
BAD = (
    (SAMPLE[20] / 360 + 0.1, SAMPLE[21] / 360 - 0.1, "motion"),
    (SAMPLE[40] / 360 - 0.1, SAMPLE[44] / 360 + 0.1, "muscle"),
    (SAMPLE[43] / 360, SAMPLE[45] / 360 + 0.1, "motion"),
)


def with_bad(person):
    """Some beats are not scored, and the intervals over bad signal are unknown."""
    unscored = np.isin(np.arange(len(SAMPLE)), [0, 41, 42, 43, 44, 45])
    unknown = np.isin(np.arange(len(SAMPLE)), [0, 21, 40, 41, 42, 43, 44, 45, 46])
    beats = person.beats
    beats = beats._replace(
        score=np.where(unscored, NAN, beats.score),
        kind=np.where(unscored, "", beats.kind),
        family=np.where(unscored, -1, beats.family),
        abnormal=beats.abnormal & ~unscored,
        rr=np.where(unknown, np.float32(NAN), beats.rr),
    )
    return replace(person, beats=beats, unscorable=BAD)


def middle(place):
    return (SAMPLE[place] + SAMPLE[place + 1]) // 2


def by_the_page(detection, decisions):
    beats = detection.beats
    detected = {
        "samples": beats.sample.tolist(),
        "kind": [KINDS.find(kind) if kind else -1 for kind in beats.kind.tolist()],
        "family": beats.family.tolist(),
        "score": [score if np.isfinite(score) else None for score in beats.score.tolist()],
        "rr": milliseconds(beats.rr).tolist(),
        "fs": detection.fs,
        "seconds": detection.seconds,
        "unscorable": detection.unscorable,
        "families": [{"kind": family.kind} for family in detection.families],
    }
    (found,) = calls([AFTER, detected, decisions])
    return found


def long(person):
    """The same person from the 59th minute on, of a recording that ends in the second hour."""
    shift = 59 * 60 * 360
    return replace(
        person,
        beats=person.beats._replace(sample=person.beats.sample + shift),
        seconds=person.seconds + 59 * 60,
    )


def rows_of(told):
    """The hours of a summary, as the page has them."""
    return [
        {
            "beats": row["beats"],
            "scored": row["judged"],
            "notNormal": [row[kind] for kind in "SVFQ"],
            "heartRate": pytest.approx(row["median_heart_rate"], rel=1e-6),
        }
        for row in told["hours"]
    ]


@pytest.mark.parametrize("person", [synthetic(), with_bad(synthetic())], ids=["clean", "bad"])
@pytest.mark.parametrize(
    "decisions",
    [
        [],
        [{"family": 1, "kind": "V"}],
        [{"beat": SAMPLE[i], "kind": "X"} for i in (0, 1, 19, 20, 42, 60, 61, len(SAMPLE) - 1)],
        [{"beat": SAMPLE[43], "kind": "Q"}],
        [{"add": middle(i), "kind": kind} for i, kind in ((15, "V"), (20, "N"), (43, "S"))],
        [{"add": SAMPLE[0] - 60, "kind": "N"}, {"beat": SAMPLE[0], "kind": "X"}],
        [{"add": middle(15), "kind": "V"}, {"beat": middle(15), "kind": "X"}],
        [{"families": [1, 2, 3], "kind": "X"}],
    ],
    ids=["none", "a family", "artefacts", "unscored", "added", "first", "taken back", "nothing"],
)
def test_the_page_counts_what_the_summary_of_the_review_counts(person, decisions):
    reviewed = review.reviewed(person, decisions)
    told = summary(reviewed)
    found = by_the_page(person, decisions)
    assert (found["beats"], found["scored"]) == (told["beats"], told["scored"])
    assert {kind: found["kinds"][kind] for kind in "NSVFQ"} == told["kinds"]
    assert found["notNormal"] == told["abnormal"]
    if told["scored"]:
        assert found["perHour"] == pytest.approx(told["abnormal_per_hour"])
    else:
        assert found["perHour"] is None
    if told["mean_heart_rate"] is None:
        assert found["heartRate"] is None
    else:
        assert found["heartRate"] == pytest.approx(told["mean_heart_rate"], rel=1e-6)
    assert found["hours"] == rows_of(told)


@pytest.mark.parametrize("decisions", [[], [{"family": 2, "kind": "X"}]])
def test_the_page_counts_hour_by_hour(decisions):
    person = long(synthetic())
    reviewed = review.reviewed(person, decisions)
    told = summary(reviewed)
    assert [row["beats"] > 50 for row in told["hours"]] == [True, True]
    assert by_the_page(person, decisions)["hours"] == rows_of(told)
