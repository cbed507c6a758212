"""Which seconds can be judged, and the index of each beat."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from benchmarks.robustness import noise
from kdjax import beats, rpeaks
from kdjax.detection import quality

FS = beats.FS
SECONDS = 60
ROOT = Path(__file__).parents[2]


def ecg(seconds=SECONDS, gap=0.8, height=1.0):
    """A lead [T] of QRS complexes with T waves on a converter's noise, and its beats."""
    time = np.arange(seconds * FS) / FS
    at = np.arange(0.5, seconds - 0.5, gap)
    lead = np.random.default_rng(0).normal(0, 0.005, len(time))
    for beat in at:
        lead += height * np.exp(-0.5 * ((time - beat) / 0.012) ** 2)
        lead += 0.2 * height * np.exp(-0.5 * ((time - beat - 0.25) / 0.04) ** 2)
    return lead, np.rint(at * FS).astype(np.int64)


def judged(lead, fs=FS):
    """The marks and indices that `find_beats` would give a lead at 360 Hz."""
    signal, marks, _ = quality.lost(lead[:, None], fs)
    hum = quality.mains(signal, fs)
    clean = quality.notched(signal, hum) if hum else signal
    filtered = beats.bandpass(clean, FS)
    measured = rpeaks.measured(filtered[:, 0])
    peaks = rpeaks.r_peaks(measured, marks == quality.GAP)
    return peaks, *quality.judge(marks, clean, [measured], hum=signal - clean, peaks=peaks, fs=fs)[
        :2
    ]


def with_noise(kind, snr, first, last):
    """The lead with noise of a kind in seconds [first, last)."""
    lead, at = ecg()
    added = noise.noise(kind, len(lead), FS, seed=1)
    gain = np.sqrt(noise.signal_power(lead, at, FS) / 10 ** (snr / 10))
    time = np.arange(len(lead)) / FS
    return lead + gain * added * ((time >= first) & (time < last))


def test_a_clean_lead_is_good_and_its_indices_are_high():
    peaks, marks, sqi = judged(ecg()[0])
    assert (marks == 0).all()
    assert len(sqi) == len(peaks)
    assert sqi.dtype == np.float32
    assert sqi.min() > 0.97


@pytest.mark.parametrize(
    ("kind", "snr", "name"), [("motion", -3, "motion"), ("muscle", -3, "muscle"), ("wander", 0, "")]
)
def test_noise_is_told_by_its_kind_and_no_further_than_2_s(kind, snr, name):
    peaks, marks, sqi = judged(with_noise(kind, snr, 20, 40))
    second = marks.reshape(SECONDS, FS)[:, 0]
    assert (second[:18] == 0).all()
    assert (second[42:] == 0).all()
    inside = second[21:39]
    if name:
        assert (inside > 0).mean() > 0.4
        assert np.bincount(inside[inside > 0]).argmax() == quality.QUALITIES.index(name)
    else:
        assert (second == 0).all()
    away = np.abs(peaks - 30 * FS)
    assert sqi[away > 12 * FS].min() > 0.97
    assert (np.quantile(sqi[away < 8 * FS], 0.25) < quality.LEAST) == (kind == "motion")


@pytest.mark.parametrize("db", [0, -12])
@pytest.mark.parametrize("kind", noise.KINDS)
def test_three_seconds_after_noise_every_beat_is_found_and_good(kind, db):
    _, at = ecg()
    peaks, marks, sqi = judged(with_noise(kind, db, 0, 30))
    np.testing.assert_allclose(peaks[peaks > 33 * FS], at[at > 33 * FS], atol=1)
    assert sqi[peaks > 33 * FS].min() > quality.LEAST
    assert (marks[33 * FS :] == 0).all()


@pytest.mark.parametrize("hertz", [50.0, 60.0])
def test_mains_hum_is_seen_taken_out_and_no_reason_to_refuse_beats(hertz):
    lead, at = ecg()
    hum = 0.5 * np.sin(2 * np.pi * hertz * np.arange(len(lead)) / FS + 1)
    hum += 0.1 * np.sin(2 * np.pi * 3 * hertz * np.arange(len(lead)) / FS)
    signal = (lead + hum)[:, None]
    assert quality.mains(signal, FS) == hertz
    clean = quality.notched(signal, hertz)[:, 0]
    middle = slice(2 * FS, -2 * FS)
    assert np.abs(clean - lead)[middle].max() < 0.05
    peaks, marks, sqi = judged(lead + hum)
    assert (marks[FS:-FS] == 0).all()
    np.testing.assert_allclose(peaks[peaks > FS], at[at > FS], atol=1)
    assert sqi[peaks > FS].min() > 0.9


def test_hum_that_a_notch_does_not_take_out_is_called_hum():
    """Its frequency runs from 49 to 51 Hz and back."""
    lead, _ = ecg()
    time = np.arange(len(lead)) / FS
    phase = 2 * np.pi * 50 * time + 20 * np.sin(2 * np.pi * 0.05 * time)
    _, marks, _ = judged(lead + 2 * np.sin(phase))
    assert "hum" in {quality.QUALITIES[code] for code in np.unique(marks)}


def test_the_spectrum_is_that_of_scipy():
    signal = np.random.default_rng(0).normal(size=(5 * FS + 7, 2)).cumsum(axis=0)
    expected = scipy.signal.welch(signal, FS, nperseg=2 * FS, axis=0)
    for mine, theirs in zip(quality._spectrum(signal), expected, strict=True):
        np.testing.assert_allclose(mine, theirs)


def test_no_hum_is_seen_where_there_is_none_or_the_rate_cannot_hold_it():
    lead, _ = ecg()
    rng = np.random.default_rng(0)
    line = np.sin(2 * np.pi * 50 * np.arange(len(lead)) / FS)
    assert quality.mains(lead[:, None], FS) == 0
    assert quality.mains((lead + rng.normal(0, 0.3, len(lead)))[:, None], FS) == 0
    assert quality.mains((lead + 0.002 * line)[:, None], FS) == 0
    assert quality.mains((lead + line)[:, None], 100) == 0
    assert quality.mains((lead + line)[: 3 * FS, None], FS) == 0


def test_what_is_lost_is_marked_and_what_is_bridged_counted():
    lead, _ = ecg()
    signal = lead[:, None].copy()
    signal[100:103] = np.nan
    signal[1000:1400] = np.nan
    signal[5000 : 5000 + 3 * FS] = 0.1
    bridged, marks, single = quality.lost(signal, FS)
    assert np.isfinite(bridged).all()
    assert single.sum() == 3
    assert (marks[1000:1400] == quality.GAP).all()
    assert (marks[5001 : 5000 + 3 * FS] == quality.FLAT).all()
    assert (marks[[100, 999, 1401, 4990]] == 0).all()


def test_the_ratio_by_hand():
    """Bursts of equal height at the peaks and half of it between them."""
    lead = np.zeros(60 * FS)
    time = np.arange(-40, 41) / FS
    burst = np.cos(2 * np.pi * 10 * time) * np.exp(-0.5 * (time / 0.04) ** 2)
    peaks = np.arange(FS, 59 * FS, FS)
    for peak in peaks:
        lead[peak - 40 : peak + 41] += burst
        lead[peak + 140 : peak + 221] += burst / 2
    energy = rpeaks.measured(lead).energy
    ratio = rpeaks.noise_ratio(energy, peaks)
    outside = np.ones(len(lead), bool)
    for peak in peaks:
        outside[peak - 43 : peak + 44] = False
    window = slice(28 * FS + FS // 2, 32 * FS + FS // 2)
    expected = np.sqrt(np.square(energy[window][outside[window]]).mean()) / energy[peaks[30]]
    assert ratio[30] - 0.01 == pytest.approx(expected, rel=1e-6)


def test_the_constants_are_those_that_were_fitted():
    fitted = json.loads((ROOT / "docs/results/quality.json").read_text())
    assert quality.SQI._asdict() == fitted["weights"]
    assert fitted["least"] == quality.LEAST
    guide = (ROOT / "docs/guides/recordings.md").read_text()
    assert f"A beat below {quality.LEAST} is not `good`." in guide


def test_noise_that_is_over_does_not_count_against_a_beat():
    """Between the beats of the first half lie bursts half as high; the mean is that of 12 s."""
    lead, at = ecg()
    half = SECONDS * FS // 2
    lead[:half] += 0.5 * np.roll(lead, 140)[:half]
    measured = rpeaks.measured(lead)
    noise = np.log(rpeaks.noise_ratio(measured.energy, at))[at // FS]
    around = quality.measures(measured, at)[:, 4]
    for beat in (10, 36, 38, 60):
        time = (at - at[beat]) / FS
        before, after = (time >= -12) & (time <= 0), (time < 12) & (time >= 0)
        expected = min(noise[before].mean(), noise[after].mean())
        assert around[beat] == pytest.approx(expected)


def test_the_index_falls_with_each_measure():
    measures = np.array([[-2.0, 0.1, 0.0, 0.0, -2.0]])
    assert quality.index(measures) > 0.99
    for column, change in enumerate((3.0, 0.4, -2.0, -0.5, 3.0)):
        worse = measures.copy()
        worse[0, column] += change
        assert quality.index(worse) < quality.index(measures)


def test_unlikeness_by_hand():
    """Beats of one shape but for the sixth, half as high, and the ninth, upside down."""
    lead = np.zeros(20 * FS)
    peaks = np.arange(FS, 16 * FS, FS)
    for number, peak in enumerate(peaks):
        shape = np.sin(np.arange(-29, 30) / 29 * np.pi)
        lead[peak - 29 : peak + 30] = {5: 0.5, 8: -1.0}.get(number, 1.0) * shape
    unlike = rpeaks.unlikeness(lead, peaks, peaks)
    assert unlike[5] == pytest.approx(0.5)
    assert unlike[8] == 1
    assert np.delete(unlike, [5, 8]) == pytest.approx(0, abs=1e-6)
    assert rpeaks.unlikeness(lead, peaks[:3], peaks[:3]) == pytest.approx(1)


@pytest.mark.parametrize(("gap", "rate"), [(0.1, 600), (0.15, 400), (0.3, 0), (0.8, 0)])
def test_a_heart_too_fast_for_the_detector_is_seen(gap, rate):
    time = np.arange(SECONDS * FS) / FS
    width = min(0.012, gap / 10)
    lead = np.exp(-0.5 * (((time + gap / 2) % gap - gap / 2) / width) ** 2)
    lead += np.random.default_rng(0).normal(0, 0.01, len(lead))
    assert quality.repeats(beats.bandpass(lead, FS)) == rate
    assert quality.repeats(np.zeros(SECONDS * FS)) == 0


def test_without_beats_nothing_is_judged():
    _, marks, sqi = judged(np.zeros(5 * FS))
    assert len(sqi) == 0
    assert set(np.unique(marks)) <= {0, quality.FLAT, quality.CLIPPED}


def test_a_beat_has_the_worst_quality_in_its_window():
    marks = np.zeros(2000, np.int8)
    marks[700:710] = quality.MOTION
    marks[1000:1010] = quality.GAP
    marks[1010:1020] = quality.MUSCLE
    got = quality.worst(marks, np.array([520, 521, 849, 850, 1100, 1300]), FS)
    names = [quality.QUALITIES[code] for code in got]
    assert names == ["good", "motion", "gap", "gap", "gap", "good"]


@pytest.mark.parametrize(("seconds", "rate"), [(1, 0.0), (10, 600.0)])
def test_a_moment_is_too_short_to_repeat_itself(seconds, rate):
    lead = np.sin(2 * np.pi * 10 * np.arange(seconds * 360) / 360)
    assert quality.repeats(lead) == pytest.approx(rate)
