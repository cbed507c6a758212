"""The signal of the strips."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.detection import tape


def recorded(signal, fs, blocks):
    recorder = tape.Recorder(["I", "II"][: signal.shape[1]], fs)
    passed = list(recorder.passing(iter(blocks)))
    np.testing.assert_array_equal(np.concatenate([signal[:0], *passed]), signal)
    return recorder.tape()


@pytest.mark.parametrize("fs", [360.0, 250.0, 128.0, 1000.0, 99.5])
def test_sines_in_the_band_keep_their_place_and_height(fs):
    time = np.arange(int(30 * fs)) / fs
    signal = 1.5 * np.sin(2 * np.pi * 5 * time) + 40 + 0.3 * time  # on a drift
    made = recorded(signal[:, None].astype(np.float32), fs, [signal[:, None].astype(np.float32)])
    assert made.length == 30 * tape.RATE
    at = np.arange(made.length) / tape.RATE
    inside = slice(3 * tape.RATE, -3 * tape.RATE)
    error = made.signal()[inside, 0] - 1.5 * np.sin(2 * np.pi * 5 * at[inside])
    assert np.abs(error).max() < 0.05


def test_chunks_meet_without_a_seam(monkeypatch):
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 0.5, (100 * 360, 2)).astype(np.float32)
    whole = recorded(signal, 360.0, [signal])
    monkeypatch.setattr(tape, "CHUNK", 30)
    parts = recorded(signal, 360.0, np.array_split(signal, 13))
    assert (len(whole.chunks), len(parts.chunks)) == (1, 4)
    assert np.abs(whole.signal() - parts.signal()).max() <= 0.021  # a step of rounding
    band = scipy.signal.butter(2, (0.5, 40), "bandpass", fs=360, output="sos")
    expected = scipy.signal.sosfiltfilt(band, signal, axis=0)[::3]
    assert (
        np.corrcoef(expected[:, 1], parts.signal()[:, 1])[0, 1] > 0.98
    )  # white noise, and another filter near 60 Hz


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 300), st.lists(st.integers(0, 300), max_size=5))
def test_any_length_in_any_blocks(length, cuts):
    signal = np.linspace(0, 1, length, dtype=np.float32)[:, None]
    made = recorded(signal, 100.0, np.split(signal, sorted(min(cut, length) for cut in cuts)))
    assert made.length == round(length / 100 * tape.RATE)
    assert made.signal().shape == (made.length, 1)


def test_a_gap_is_bridged_at_the_level_of_the_signal_beside_it():
    signal = np.full((30 * 360, 1), 40, np.float32)  # mV, far from 0
    signal[15 * 360 : 16 * 360] = np.nan
    assert np.abs(recorded(signal, 360.0, [signal]).signal()).max() < 0.1


def test_what_is_missing_or_absurd_does_no_harm():
    signal = np.ones((3600, 1), np.float32)
    signal[100:900] = np.nan
    signal[2000] = 3e38
    signal[2001] = -3e38
    assert np.isfinite(recorded(signal, 360.0, [signal]).signal()).all()
    assert not recorded(signal * np.nan, 360.0, [signal * np.nan]).signal().any()
