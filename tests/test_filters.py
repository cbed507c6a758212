"""The filters are SciPy's, up to rounding."""

import numpy as np
import pytest
import scipy.signal

from kdjax import filters


@pytest.fixture(scope="module")
def signal():
    rng = np.random.default_rng(0)
    return np.cumsum(rng.normal(size=(3000, 2)), axis=0) / 20


def agree(found, wanted, most=1e-12):
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=most)


def test_windowed_sincs():
    band = scipy.signal.firwin(109, (3, 45), pass_zero=False, fs=360)
    agree(filters.windowed_sinc(np.hamming(109), 3 / 180, 45 / 180), band, 1e-15)
    low = scipy.signal.firwin(401, 0.1, window=("kaiser", 6.0))
    agree(filters.windowed_sinc(np.kaiser(401, 6.0), 0, 0.1), low, 1e-15)


@pytest.mark.parametrize("pad", [0, 15, 400])
@pytest.mark.parametrize("length", [450, 3000])
@pytest.mark.parametrize(
    ("order", "low", "high", "fs"),
    [(2, 5, 20, 360), (2, 6, 25, 360), (2, 0.5, 40, 120), (4, 45, 180, 360)],
)
def test_butterworth_without_phase(signal, order, low, high, fs, length, pad):
    given = ((low, high), "bandpass") if high < fs / 2 else (low, "highpass")
    sections = scipy.signal.butter(order, *given, fs=fs, output="sos")
    wanted = scipy.signal.sosfiltfilt(sections, signal[:length], axis=0, padlen=pad)
    response = filters.butterworth(order, low, high, fs=fs)
    agree(filters.without_phase(response, signal[:length], pad), wanted)


@pytest.mark.parametrize(("hertz", "quality"), [(50, 30), (60, 30), (120, 60)])
def test_notches(signal, hertz, quality):
    b, a = scipy.signal.iirnotch(hertz, quality, fs=360)
    wanted = scipy.signal.filtfilt(b, a, signal, axis=0, padlen=360)
    agree(filters.without_phase(filters.notch(hertz, quality, 360), signal, 360), wanted)


@pytest.mark.parametrize("length", [2, 20, 200, 3000])
def test_a_fir_filter_without_phase_on_signals_shorter_than_itself(signal, length):
    taps = scipy.signal.firwin(109, (3, 45), pass_zero=False, fs=360)
    pad = min(327, length - 1)
    wanted = scipy.signal.filtfilt(taps, [1.0], signal[:length, 0], padlen=pad)
    agree(filters.without_phase(taps, signal[:length, 0], pad), wanted)


def test_what_is_flat_stays_flat():
    response = filters.butterworth(2, 5, 20, fs=360)
    assert not filters.without_phase(response, np.full(500, 0.0), 15).any()


@pytest.mark.parametrize("length", [1, 3, 50, 3000])
@pytest.mark.parametrize(("up", "down"), [(1, 3), (36, 25), (3, 1), (360, 257), (125, 216)])
def test_change_of_rate(signal, up, down, length):
    longer = max(up, down)
    taps = scipy.signal.firwin(40 * longer + 1, 1 / longer, window=("kaiser", 6.0))
    of = signal[:length]
    wanted = scipy.signal.resample_poly(of, up, down, window=taps, padtype="edge")
    agree(filters.resample(of, up, down, taps=taps), wanted)


def test_an_unchanged_rate_changes_nothing(signal):
    taps = filters.windowed_sinc(np.kaiser(21, 5.0), 0, 1)
    agree(filters.resample(signal, 1, 1, taps=taps), signal)


@pytest.mark.parametrize("distance", [1, 7, 43])
@pytest.mark.parametrize("steps", [2, 1e6])
def test_peaks_and_plateaus(steps, distance):
    values = np.round(np.random.default_rng(1).normal(size=2000) * steps)
    wanted, _ = scipy.signal.find_peaks(values, distance=distance)
    np.testing.assert_array_equal(filters.find_peaks(values, distance), wanted)


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [2.0, 1.0, 2.0]])
def test_no_peaks(values):
    assert filters.find_peaks(np.array(values), 1).tolist() == []
