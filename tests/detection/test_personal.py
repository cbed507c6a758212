"""A calibration that is moved to a person without labels."""

from dataclasses import replace

import numpy as np
import pytest
from recorded import FS, ecg, source

from kdjax.detection import personal, recording
from kdjax.detection.recording import detect
from kdjax.errors import InputError


@pytest.fixture(scope="module")
def own_signal():
    """Beats enough to move a calibration; nothing is adapted with one."""
    return ecg(seconds=400)[0]


@pytest.fixture(scope="module")
def own(detector, own_signal):
    progress: list[int] = []
    moved, scores, notes = personal.calibrate(
        detector, [source(own_signal)], progress=progress.append
    )
    assert sum(progress) == 2 * len(own_signal)
    assert notes == [
        "made up: more than a tenth of its beats are called abnormal; a calibration is made of "
        "usual ones"
    ]
    return moved, scores


def test_a_calibration_is_moved_to_the_person_without_labels(detector, own_signal, own):
    moved, own = own
    assert moved.score.adaptation == "none"
    np.testing.assert_array_equal(moved.normal, detector.calibration.moved)
    assert moved.model == detector.calibration.model
    assert (np.diff(own) >= 0).all()
    found = detect(replace(detector, calibration=moved), source(own_signal))
    scored = found.beats.score[np.isfinite(found.beats.score)]
    np.testing.assert_allclose(np.sort(scored), own)
    assert found.score == "fusion, adapted to the person"


def test_doubts_of_kinds_are_told_to_what_the_score_adapted(detector, own_signal, own, monkeypatch):
    """To nothing of this recording where the person's calibration came from another."""
    spans = []
    monkeypatch.setattr(recording, "doubts_of_kinds", lambda *_, span: spans.append(span) or ())
    detect(detector, source(own_signal))
    detect(detector, source(own_signal[: 100 * FS]))
    detect(replace(detector, calibration=own[0]), source(own_signal))
    assert spans == ["first 5 minutes", "first 100 s", None]


def test_a_short_recording_adapts_nothing_with_a_calibration(detector, own_signal, own):
    short = source(own_signal[: 100 * FS])
    alone = detect(detector, short).notes
    assert (
        "the recording is shorter than 5 minutes, so the score adapted to its 100 s alone" in alone
    )
    with_own = detect(replace(detector, calibration=own[0]), short).notes
    assert not [note for note in with_own if "shorter" in note]


def test_of_a_long_recording_an_even_share_of_beats_calibrates(
    detector, own_signal, own, monkeypatch
):
    moved, every = own
    monkeypatch.setattr(personal, "_KEPT", len(every) // 2)
    by_some, some, _ = personal.calibrate(detector, [source(own_signal)])
    name = "latent.centre"
    assert (by_some.score.arrays[name] != moved.score.arrays[name]).any()
    np.testing.assert_allclose(by_some.score.arrays[name], moved.score.arrays[name], atol=0.5)
    np.testing.assert_allclose(np.median(some), np.median(every), rtol=0.2)


def test_the_share_is_as_large_at_the_start_as_at_the_end(detector, own_signal, monkeypatch):
    taken = []
    monkeypatch.setattr(personal, "_KEPT", 60)
    monkeypatch.setattr(personal, "_FEWEST", 30)
    monkeypatch.setattr(personal, "personal", lambda _, evidence, **__: taken.append(evidence))
    with pytest.raises(TypeError):  # nothing was moved
        personal.calibrate(detector, [source(own_signal)] * 3)
    (evidence,) = taken
    again = np.flatnonzero(np.diff(evidence.sample) < 0) + 1  # where the next recording begins
    counts = np.diff([0, *again, len(evidence.sample)])
    assert len(counts) == 3
    assert counts.max() <= 1.5 * counts.min()


def test_a_calibration_knows_the_lead_it_was_made_on(detector, own_signal):
    signal = own_signal
    two = source(np.stack([signal, signal], axis=1), leads=("V1", "V5"))
    moved, _, _ = personal.calibrate(detector, [two], leads=["V5"])
    assert moved.leads == ("V5",)
    found = detect(replace(detector, calibration=moved), two)
    assert found.leads == ("V5",)
    assert found.calibration == "the beats of made up"
    with pytest.raises(InputError, match="leads differ"):
        personal.calibrate(detector, [source(signal), source(signal, leads=("V1",))])


def test_too_few_beats_calibrate_nothing(detector):
    with pytest.raises(InputError, match="100 are needed"):
        personal.calibrate(detector, [source(ecg(seconds=30)[0])])
