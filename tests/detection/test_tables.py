"""The tables as CSV."""

import csv

import numpy as np
import pytest
from detections import FIVE, FS, NAN, detection_of, family_of, many_beats

from kdjax.detection import tables
from kdjax.detection.events import WITHOUT_P, Event


def test_a_row_a_beat_and_what_is_not_known_stays_empty():
    assert tables.beats(detection_of()).splitlines() == [
        "time_s,sample,kind,family,confidence,score,normalised_score,abnormal,quality,sqi,rr_s,"
        "height_mv",
        "0.200000,50,,,,,,,edge,1.000,,0.000",
        "1.000000,250,N,1,0.900,0.5,0.250000,0,good,1.000,0.800000,1.250",
        "2.000000,500,V,2,0.750,7.25,1.000000,1,good,1.000,1.000000,2.000",
        "6.000000,1500,,,,,,,flat,1.000,4.000000,0.000",
        "7.000000,1750,N,1,0.500,2,0.750000,0,good,1.000,1.000000,1.000",
    ]


def test_values_survive():
    beats = many_beats(500)
    lines = tables.beats(detection_of(beats)).splitlines()
    table = np.genfromtxt(lines, delimiter=",", names=True, dtype=None)
    np.testing.assert_array_equal(table["sample"], beats.sample)
    np.testing.assert_allclose(table["time_s"], beats.sample / FS, atol=1e-6)
    np.testing.assert_allclose(table["score"], beats.score, rtol=1e-8)
    np.testing.assert_allclose(table["rr_s"], beats.rr, atol=1e-6)
    assert list(table["quality"]) == list(beats.quality)
    assert list(table["kind"]) == list(beats.kind)


def test_families_are_numbered_from_1_and_those_without_beats_left_out():
    families = (family_of([1, 4], "N"), family_of([], "V"), family_of([2], "V", qrs_ms=NAN))
    rows = list(csv.DictReader(tables.families(detection_of(families=families)).splitlines()))
    assert [row["family"] for row in rows] == ["1", "3"]
    assert rows[0] == {
        "family": "1",
        "kind": "N",
        "doubtful": "0",
        "confidence": "0.700",
        "count": "2",
        "share": "0.666667",
        "qrs_ms": "80",
        "prematurity": "1.000",
        "score": "1.25",
        "first_s": "1.000000",
        "last_s": "7.000000",
        "artefact": "0",
    }
    assert rows[1]["qrs_ms"] == ""


def test_events_with_their_first_and_last_beat():
    assert tables.events(detection_of()).splitlines() == [
        "event,first_s,last_s,first_sample,last_sample,beats",
        "pause,2.000000,6.000000,500,1500,2",
    ]


def test_intervals_that_are_known_with_the_kind_of_the_beat_that_ends_them():
    assert tables.rr(detection_of()).splitlines() == [
        "time_s,interval_s,kind,nn",
        "1.000000,0.800000,N,0",
        "2.000000,1.000000,V,0",
        "6.000000,4.000000,,0",
        "7.000000,1.000000,N,0",
    ]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [("NNNNN", "1111"), ("VNNSN", "0100"), (" NNVN", "0100"), ("NNXNN", "111")],
)
def test_intervals_between_normal_beats_are_told(kinds, expected):
    beats = FIVE._replace(kind=np.char.strip(list(kinds)))
    _, *rows = tables.rr(detection_of(beats)).splitlines()
    assert "".join(row[-1] for row in rows) == expected


def test_intervals_in_an_irregular_rhythm_without_p_waves_are_not_between_sinus_beats():
    beats = FIVE._replace(kind=np.array(list("NNNNN")))
    stretch = Event(WITHOUT_P, first=500, last=1500, beats=2)
    _, *rows = tables.rr(detection_of(beats, events=(stretch,))).splitlines()
    assert "".join(row[-1] for row in rows) == "1000"


def test_an_artefact_ends_no_interval():
    beats = FIVE._replace(kind=np.array(["", "N", "X", "", "X"]))
    assert tables.rr(detection_of(beats)).splitlines()[1:] == [
        "1.000000,0.800000,N,0",
        "6.000000,5.000000,,0",
    ]
    first = FIVE._replace(kind=np.array(["X", "X", "N", "", "N"]))  # the first has no interval
    assert tables.rr(detection_of(first)).splitlines()[1] == "6.000000,4.000000,,0"
    rows = csv.DictReader(tables.beats(detection_of(beats)).splitlines())
    assert [row["rr_s"] for row in rows] == ["", "0.800000", "", "5.000000", ""]
