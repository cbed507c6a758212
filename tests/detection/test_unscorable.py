"""What cannot be scored: gaps, noise, limits of the converter, too few beats."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import FS, SECONDS, ecg, source

from kdjax.detection.recording import detect


def spoilt(start, stop, value):
    """The ECG with seconds [start, stop) replaced, by a number or what a function makes of it."""
    signal = ecg()[0].copy()
    part = slice(int(start * FS), int(stop * FS))
    signal[part] = value(signal[part]) if callable(value) else value
    return signal


def noise(signal):
    return signal + np.random.default_rng(0).normal(0, 0.5, len(signal)).astype(np.float32)


def half_clipped(signal):
    """Limits that each beat meets for some 30 ms."""
    return np.clip(signal, *np.quantile(signal, [0.05, 0.95]))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.nan, "gap"),
        (np.inf, "gap"),
        (0.25, "flat"),
        (noise, "muscle"),
        (lambda s: s * 40, "motion"),
    ],
)
def test_stretches_of_bad_signal_are_marked_and_their_beats_not_scored(value, reason, detector):
    found = detect(detector, source(spoilt(400, 404, value)))
    marked = [(start, stop) for start, stop, why in found.unscorable if why == reason]
    assert marked
    assert all(398 <= start < stop <= 406 for start, stop in marked)
    at = found.beats.sample / FS
    within = (at > 400.4) & (at < 403.6)
    assert (found.beats.quality[within] == reason).all()
    assert within.any() == (reason in ("muscle", "motion"))  # the others have no R-peak
    assert not found.beats.abnormal[within].any()
    assert np.isnan(found.beats.score[within]).all()
    away = (at < 398) | (at > 407)
    assert (found.beats.quality[away & (at > 1) & (at < SECONDS - 1)] == "good").all()


def test_beats_that_meet_the_limits_of_the_converter_are_marked(detector):
    """A tenth of each beat's samples at the limits of the range, for 15 ms on end or more."""
    signal = np.concatenate([ecg()[0][: 60 * FS], 3 * half_clipped(ecg()[0][60 * FS : 180 * FS])])
    found = detect(detector, source(signal)).beats
    at = found.sample / FS
    assert (found.quality[(at > 125) & (at < 175)] == "clipped").mean() > 0.5


@pytest.mark.parametrize(("fs", "step"), [(2000, 0.005), (2000, 0.02), (360, 0.1)])
def test_a_coarse_converter_does_not_clip(fs, step, detector):
    """The tallest beats are flat at their top for a few samples."""
    signal = scipy.signal.resample_poly(ecg(seconds=120)[0].astype(float), fs, 360, padtype="line")
    found = detect(detector, source(np.round(signal / step) * step, fs))
    assert not [why for *_, why in found.unscorable if why == "clipped"]


@pytest.mark.parametrize("fs", [360, 250, 128])
def test_noise_is_noticed_at_any_rate_that_holds_some_of_it(fs, detector):
    """White noise of one density: half a millivolt at 360 Hz."""
    signal = np.concatenate([ecg()[0][: 120 * FS], noise(ecg()[0][120 * FS : 180 * FS])])
    if fs != FS:
        signal = scipy.signal.resample_poly(signal.astype(float), fs, FS, padtype="line")
    found = detect(detector, source(signal, fs))
    noisy = [(a, b) for a, b, why in found.unscorable if why == "muscle"]
    assert sum(b - a for a, b in noisy) > 54
    assert all(a >= 119 for a, _ in noisy)
    assert "noise" not in " ".join(found.notes)


@pytest.mark.parametrize("fs", [100, 95])
def test_where_noise_cannot_be_told_it_is_said(fs, detector):
    signal = scipy.signal.resample_poly(ecg(seconds=60)[0].astype(float), fs, 360, padtype="line")
    found = detect(detector, source(signal, fs))
    assert f"at {fs} Hz, noise cannot be distinguished" in " ".join(found.notes)
    assert len(found.beats.sample) > 50


def test_a_pause_is_told_of_since_no_score_is_high_for_it(detector):
    """Four seconds without a beat, with the converter's noise."""
    beats_at = ecg(seconds=60)[1]
    after = int(beats_at[40] + 0.6 * FS)
    signal, _ = ecg(seconds=60)
    rest = signal[after] + np.random.default_rng(0).normal(0, 0.01, 4 * FS)
    signal = np.insert(signal, after, rest)
    (note,) = [n for n in detect(detector, source(signal)).notes if "pause" in n]
    assert note.startswith("an interval of 5.0 s without a beat ends 0:00:")
    assert " after the start; check" in note  # elsewhere on the page, times are clock times
    signal = np.insert(ecg(seconds=60)[0], after, np.full(4 * FS, signal[after - 1]))
    notes = " ".join(detect(detector, source(signal)).notes)
    assert "flat stretches: 1, the longest of 4.0 s, 0:00:" in notes


def test_no_interval_spans_what_could_not_be_read(detector):
    """Seconds 100 to 104 stand still, then beats again; likewise longer than a core remembers."""
    for stop in (104, 300):
        found = detect(detector, source(spoilt(100, stop, 0.25))).beats
        first = np.flatnonzero(found.sample / FS >= stop)[0]
        assert np.isnan(found.rr[first])
        assert np.nanmax(found.rr) < 2


def test_a_person_is_adapted_to_once_there_are_good_beats(detector, whole):
    """Six minutes without a signal first, or a first minute of noise: scores as usual after it."""
    nothing = np.full(360 * FS, np.nan)
    found = detect(detector, source(np.concatenate([nothing, ecg()[0]])))
    usual = np.nanmedian(whole.beats.score)
    assert np.nanmedian(found.beats.score) == pytest.approx(usual, rel=0.1)
    assert "adapted to the first 5 minutes" in found.score
    found = detect(detector, source(spoilt(0, 60, 0.0) + 0.3 * spoilt(0, 60, noise)))
    assert np.nanmedian(found.beats.score) < usual + 2


def test_where_there_are_few_beats_to_adapt_to_it_is_said(detector):
    signal, at = ecg(seconds=60)
    few = detect(detector, source(signal[: at[8]]))
    assert "could adapt to only 8 good beats" in " ".join(few.notes)
    fewer = detect(detector, source(signal[: at[4]]))
    assert fewer.score == "fusion, not adapted to the person"


def test_no_beat_lies_in_a_gap_and_no_interval_spans_one(detector):
    found = detect(detector, source(spoilt(400, 404, np.nan))).beats
    at = found.sample / FS
    assert not ((at >= 400) & (at < 404)).any()
    assert np.isnan(found.rr[np.flatnonzero(at >= 404)[0]])
    assert np.isfinite(found.rr[1:]).sum() == len(at) - 2
    assert np.nanmax(found.rr) < 2


def test_a_short_dropout_is_bridged(detector, whole):
    """Between beats, 50 ms: the other beats keep their scores, those beside it nearly."""
    middle = int(whole.beats.sample[400] + whole.beats.sample[401]) // 2
    signal = ecg()[0].copy()
    signal[middle : middle + 18] = np.nan
    found = detect(detector, source(signal))
    assert not found.unscorable
    np.testing.assert_array_equal(found.beats.sample, whole.beats.sample)
    assert np.nanmax(np.abs(found.beats.score - whole.beats.score)) < 2


def test_one_stretch_over_the_edge_of_a_core_is_one(detector):
    found = detect(detector, source(spoilt(350, 370, np.nan)))
    (stretch,) = [s for s in found.unscorable if s[2] == "gap"]
    np.testing.assert_allclose(stretch[:2], (350, 370))


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros(1),
        np.zeros(FS),
        np.zeros(100 * FS),
        np.full(100 * FS, np.nan),
        np.full(100 * FS, 1e30),
    ],
)
def test_where_there_are_no_beats_it_says_so(signal, detector):
    found = detect(detector, source(signal))
    assert not len(found.beats.sample)
    assert found.families == found.events == ()
    assert [note for note in found.notes if note.startswith("no beats found: ")]


def test_the_ends_hold_no_whole_window(detector):
    signal, at = ecg(seconds=60)
    cut = signal[at[3] - 60 : at[40] + 60]  # a beat 60 samples from either end
    found = detect(detector, source(cut)).beats
    assert found.quality[0] == found.quality[-1] == "edge"
    assert (found.quality[1:-1] == "good").all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), seconds=st.floats(0.01, 70), scale=st.floats(1e-3, 1e4))
def test_any_signal_is_taken(seed, seconds, scale, detector):
    """White noise, steps and holes: every good beat has a place and a score."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(0, scale, max(int(seconds * 250), 1))
    signal[rng.random(len(signal)) < 0.05] = np.nan
    signal[rng.integers(len(signal)) :] += 100 * scale
    found = detect(detector, source(signal, 250)).beats
    assert (np.diff(found.sample) > 0).all()
    assert ((found.sample >= 0) & (found.sample < len(signal))).all()
    np.testing.assert_array_equal(np.isfinite(found.score), found.quality == "good")
