"""The numbers of a recording."""

import json

import numpy as np
import pytest
from detections import FIVE, FS, MADE_BY, beats_of, detection_of
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.detection.summary import heart_rate, summary, union


def summary_of(beats=FIVE, **fields):
    detection = detection_of(beats, **fields)
    return json.loads(json.dumps(summary(detection)))


def test_the_counts():
    found = summary_of()
    assert (found["beats"], found["scored"], found["abnormal"]) == (5, 3, 1)
    assert found["kinds"] == {"N": 2, "S": 0, "V": 1, "F": 0, "Q": 0}
    assert (found["families"], found["events"], found["artefacts"]) == (2, {"pause": 1}, 0)
    assert found["abnormal_share"] == pytest.approx(1 / 3)
    assert found["abnormal_per_hour"] == pytest.approx(3600 / 7)  # 3 of 10 s are flat
    assert found["not_scored"] == {"edge": 1, "flat": 1}
    assert (found["threshold"], found["fpr"]) == (5.0, 0.01)
    assert found["start"] == "2026-03-01T23:59:55"
    assert found["made_by"] == MADE_BY


def test_an_artefact_is_no_beat():
    found = summary_of(FIVE._replace(kind=np.array(["", "N", "X", "", "N"])), unscorable=())
    assert (found["beats"], found["artefacts"], found["kinds"]["N"]) == (4, 1, 2)
    assert found["mean_heart_rate"] == pytest.approx(60 / (6.8 / 3))


def test_intervals_across_what_is_not_scorable_make_no_heart_rate():
    # RR of 0.8, 1 and 1 s; the 4 s reach into what is flat.
    assert summary_of()["mean_heart_rate"] == pytest.approx(60 / (2.8 / 3))
    assert summary_of(unscorable=())["mean_heart_rate"] == pytest.approx(60 / (6.8 / 4))


def test_stretches_that_overlap_count_once():
    stretches = ((1.0, 3.0, "hum"), (2.0, 4.0, "flat"), (8.0, 9.0, "hum"))
    lost = summary_of(unscorable=stretches)["unscorable"]
    assert (lost["seconds"], lost["share"]) == pytest.approx((4, 0.4))
    assert lost["by_reason"] == {
        "hum": {"stretches": 2, "seconds": 3.0},
        "flat": {"stretches": 1, "seconds": 2.0},
    }
    assert lost["stretches"] == [list(s) for s in stretches]


def test_stretches_that_touch_are_one():
    touching = ((2.0, 3.0, "flat"), (1.0, 2.0, "hum"), (3.5, 4.0, "hum"))
    assert union(touching) == [(1.0, 3.0), (3.5, 4.0)]


def test_hour_by_hour():
    beats = FIVE._replace(sample=np.array([0, 10, 3600, 3601, 7300]) * int(FS))
    hours = summary_of(beats, seconds=7300.0, unscorable=())["hours"]
    assert [row["beats"] for row in hours] == [2, 2, 1]
    assert [row["abnormal"] for row in hours] == [0, 1, 0]
    assert [row["V"] for row in hours] == [0, 1, 0]
    assert [row["median_heart_rate"] for row in hours] == pytest.approx([75, 37.5, 60])


def test_nothing_to_compute_from():
    found = summary_of(beats_of(), families=(), events=(), threshold=np.inf)
    names = ("abnormal_share", "abnormal_per_hour", "mean_heart_rate", "threshold")
    assert [found[name] for name in names] == [None] * 4


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 10)), max_size=12),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 8)), min_size=1, max_size=12),
)
def test_heart_rates_are_known_where_an_interval_meets_no_stretch(spans, intervals):
    """Against every pair looked at, in whole seconds."""
    stretches = union([(float(a), float(a + n), "flat") for a, n in spans])
    seconds = {s for a, n in spans for s in range(a, a + n)}
    assert sum(b - a for a, b in stretches) == len(seconds)
    rows = [(stop, 1.0, 1.0, False, "good", rr, "N", 0, 1.0, 1.0) for stop, rr in intervals]
    rate = heart_rate(detection_of(beats_of(*rows), fs=1.0), stretches)
    for i, (s, r) in enumerate(intervals):
        assert np.isnan(rate[i]) == bool(seconds & set(range(s - r, s)))
