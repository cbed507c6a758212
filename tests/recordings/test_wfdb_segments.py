"""WFDB records of several segments."""

import re

import numpy as np
import pytest
from file_bytes import ecg
from written import BARE, whole, write_headed, write_text, write_wfdb

from kdjax.errors import InputError
from kdjax.recordings import open_source


def test_a_segment_shorter_than_the_record_says_is_missing_at_its_end(tmp_path):
    write_headed(tmp_path, BARE)
    path = write_text(tmp_path, "m/2 1 360 1900\nr1 1000\nr1 900\n", "m.hea")
    signal = whole(open_source(path))[:, 0]
    ramp = np.arange(900) / 200
    np.testing.assert_allclose(signal, [*ramp, *[np.nan] * 100, *ramp], rtol=1e-6)


def test_the_notes_of_segments_are_few(tmp_path):
    write_headed(tmp_path, BARE.replace("900", "900 2006"))
    path = write_text(tmp_path, "m/9 1 360 8100\n" + "r1 900\n" * 9, "m.hea")
    notes = open_source(path).notes
    assert len(notes) == 4
    assert notes[0].startswith("segment r1: its header has no valid time")
    assert notes[3] == "6 more notes of this kind on segments"


def test_segments_without_a_unit_are_said_to_be_missing_or_take_the_one_given(tmp_path):
    write_headed(tmp_path, BARE)
    write_headed(tmp_path, BARE.replace("r1", "r2").replace("/mV", "/adu"), "r2.hea", "r2.dat")
    path = write_text(tmp_path, "m/2 1 360 1800\nr1 900\nr2 900\n", "m.hea")
    source = open_source(path)
    assert np.isnan(whole(source)[900:]).all()
    assert source.notes == ("missing, because no signal is a voltage: segments r2",)
    given = open_source(path, units="mV")
    assert np.isfinite(whole(given)).all()
    assert not [note for note in given.notes if "missing" in note]


def test_units_make_leads_of_no_other_signals(tmp_path):
    header = BARE.replace("r1 1", "r1 2").replace("900", "450").replace("/mV", "/adu")
    path = write_headed(tmp_path, header + "r1.dat 16 1/ms 16 0 0 0 0 RR\n")
    assert open_source(path, units="mV").leads == ("II",)


def test_a_segment_of_an_unknown_unit_is_read_as_a_record_is(tmp_path):
    alone = write_headed(tmp_path, BARE.replace("/mV", "/foo"))
    whole_record = write_text(tmp_path, "m/1 1 360 900\nr1 900\n", "m.hea")
    for path in (alone, whole_record):
        assert np.isfinite(whole(open_source(path, units="mV"))).all()


def test_two_signals_of_one_name_stay_two_in_segments(tmp_path):
    rng = np.random.default_rng(0)
    signal = ecg(2, rng)
    for name in "ab":
        header = write_wfdb(tmp_path, signal, name)
        header.write_text(header.read_text().replace("L0", "ECG").replace("L1", "ECG"))
    source = open_source(write_text(tmp_path, "m/2 2 360 1440\na 720\nb 720\n", "m.hea"))
    assert source.leads == ("ECG", "ECG")
    np.testing.assert_allclose(whole(source), np.tile(signal, (2, 1)), atol=0.006)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("r1 x", "its line 'r1 x' is not a segment and its length; repair it"),
        ("r1", "its line 'r1' is not a segment and its length; repair it"),
        ("../r1 900", "its segment ../r1 lies in another folder; copy it here"),
    ],
)
def test_a_line_that_names_no_segment_is_told(tmp_path, line, said):
    write_headed(tmp_path, BARE)
    path = write_text(tmp_path, f"m/2 1 360 1800\nr1 900\n{line}\n", "m.hea")
    with pytest.raises(InputError, match=re.escape(f"m.hea: {said}")):
        open_source(path)
