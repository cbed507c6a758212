"""The lead that is taken, and doubts about a lead, its unit and its rate."""

from dataclasses import replace

import numpy as np
import pytest
from recorded import ecg, source

from kdjax.detection import personal
from kdjax.detection.leads import choose_leads, with_second
from kdjax.detection.recording import detect
from kdjax.errors import InputError


@pytest.mark.parametrize(
    ("leads", "wanted", "columns"),
    [
        (("V1", "MLII"), [], [1]),
        (("I", "II", "III"), [], [1]),
        (("ECG I", "ECG II"), [], [1]),
        (("V1", "V5"), ["v5"], [1]),
        (("V1", "V5"), ["2"], [1]),
        (("2", "1"), ["1"], [1]),
        (("ECG2", "ECG1"), ["2"], [1]),
        (("EKG I", "EKG II"), [], [1]),
    ],
)
def test_leads_are_found_by_name_or_number(leads, wanted, columns):
    made = source(np.zeros((10, len(leads))), leads=leads)
    found, notes = choose_leads(made, wanted, ["MLII"])
    assert found == columns
    assert all("though the detector was calibrated on MLII" in note for note in notes)
    assert bool(notes) == bool(wanted)


@pytest.mark.parametrize(
    ("read", "shown"), [([0], [0, 1]), ([1], [1, 0]), ([2, 0], [2, 0]), ([2, 1, 0], [2, 1, 0])]
)
def test_beside_a_single_lead_that_is_read_another_is_looked_at(read, shown):
    assert with_second(source(np.zeros((10, 3)), leads=("I", "II", "III")), read) == shown
    assert with_second(source(np.zeros((10, 1)), leads=("I",)), [0]) == [0]


@pytest.mark.parametrize("lead", ["EEG Fpz-Cz", "EMG1", "Resp", "SpO2"])
def test_an_only_lead_that_is_named_as_no_ecg_is_taken_only_if_chosen(lead):
    made = source(np.zeros(9), leads=(lead,))
    with pytest.raises(
        InputError, match=f"{lead} is not named like an ECG; if it is one, choose it with"
    ):
        choose_leads(made, [], ["MLII"])
    assert choose_leads(made, [lead], ["MLII"])[0] == [0]


def test_an_only_lead_of_another_name_is_taken_and_said():
    columns, (note,) = choose_leads(source(np.zeros(9), leads=("lead 1",)), [], ["MLII"])
    assert columns == [0]
    assert note.startswith("lead 1 read as MLII, ")
    _, (note,) = choose_leads(source(np.zeros(9), leads=("V5",)), [], ["MLII"])
    assert note.startswith("lead V5 read as MLII, ")


@pytest.mark.parametrize(
    ("leads", "wanted", "says"),
    [
        (("V1", "V5"), [], "; choose 1 with leads, by name or number, for example leads='1'"),
        (("V1", "V5"), ["aVF"], "no lead 'aVF'; its leads are V1, V5"),
        (("V1", "V5"), ["3"], "no lead '3'"),
        (
            ("V1", "V5"),
            ["V1", "V5"],
            "2 leads chosen, the detector takes 1; choose as many with leads",
        ),
    ],
)
def test_other_leads_are_refused(leads, wanted, says):
    with pytest.raises(InputError, match=says):
        choose_leads(source(np.zeros((9, 2)), leads=leads), wanted, ["MLII"])


def test_of_a_detector_of_two_leads_no_example_names_one():
    with pytest.raises(InputError, match=r"choose 2 with leads, by name or number$"):
        choose_leads(source(np.zeros((9, 3)), leads=("V1", "V2", "V5")), [], ["MLII", "V5"])


def test_an_inverted_lead_and_doubtful_units_are_noticed(detector, whole):
    words = ("inverted", "unit of")
    assert not [note for note in whole.notes for word in words if word in note]
    signal, _ = ecg(seconds=120)
    for changed, word in zip((-signal, 1000 * signal), words, strict=True):
        assert [note for note in detect(detector, source(changed)).notes if word in note]


def test_a_calibration_of_another_person_is_noticed(detector):
    signal, _ = ecg(seconds=120)
    moved, _, _ = personal.calibrate(detector, [source(signal)])
    own = replace(detector, calibration=moved)
    assert not [note for note in detect(own, source(signal)).notes if "another person" in note]
    other = replace(own, calibration=replace(moved, beat=moved.beat[::-1]))
    assert [note for note in detect(other, source(signal)).notes if "another person" in note]


def test_a_heart_rate_that_a_wrong_sampling_rate_would_make_is_doubted(detector):
    """The same two minutes as if they had been sampled 2.8 times as fast, or half as fast."""
    signal, _ = ecg(seconds=120)
    for fs in (1000, 180):
        notes = detect(detector, source(signal, fs=fs)).notes
        assert [note for note in notes if f"check the sampling rate, {fs} Hz" in note]
    whole = detect(detector, source(signal))
    assert not [note for note in whole.notes if "heart rate" in note]
    assert whole.score == "fusion, adapted to the first 120 s"


def test_a_low_sampling_rate_is_refused(detector):
    with pytest.raises(InputError, match="above 90 Hz"):
        detect(detector, source(ecg()[0], 80))
