"""R-peaks: the detector in use, and the published protocol's."""

import numpy as np
import pytest
import sleepecg.heartbeats
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax import beats, rpeaks

FS = 360.0


def pulses(at, length, seed=0, width=4.0, height=1.0, noise=0.01):
    """A raw lead [T]: narrow bells at the samples `at`, on a little noise."""
    time = np.arange(length)
    bells = sum(height * np.exp(-0.5 * ((time - a) / width) ** 2) for a in at)
    return (bells + np.random.default_rng(seed).normal(0, noise, length)).astype(np.float32)


def regular(length, gap=300, first=200):
    return np.arange(first, length - 100, gap)


def peaks_of(raw, unfit=None):
    unfit = np.zeros(len(raw), bool) if unfit is None else unfit
    return rpeaks.r_peaks(rpeaks.measured(beats.bandpass(raw, FS)), unfit)


def waves(at, length, *others):
    """Beats at `at`, with waves `(delay in s, width in s, height)` around each of them."""
    raw = pulses(at, length)
    for delay, width, height in others:
        raw += pulses(at + round(delay * FS), length, width=width * FS, height=height, noise=0)
    return raw


class TestRPeaks:
    def test_finds_every_pulse_at_its_maximum(self):
        at = regular(20 * 360)
        np.testing.assert_allclose(peaks_of(pulses(at, 20 * 360)), at, atol=1)
        assert peaks_of(pulses(at, 20 * 360)).dtype == np.int64

    def test_a_peak_stands_at_the_maximum_within_50_ms(self):
        lead = np.zeros(1000)
        lead[[505, 519]] = 1, 2
        assert rpeaks.maximum_near(np.array([500]), lead) == [505]
        assert rpeaks.maximum_near(np.array([501]), lead) == [519]
        assert list(rpeaks.maximum_near(np.array([501, 525]), lead)) == [519, 519]

    @pytest.mark.parametrize("bpm", [25, 40, 75, 150, 220])
    def test_a_t_wave_is_no_beat_at_any_rate(self, bpm):
        at = regular(60 * 360, round(60 * FS / bpm))
        raw = waves(at, 60 * 360, (min(0.3, 20 / bpm), 0.035, 0.5))
        np.testing.assert_allclose(peaks_of(raw), at, atol=2)

    def test_p_waves_without_a_beat_are_no_beats(self):
        """Two P waves to a beat, as in second-degree AV block."""
        at = regular(60 * 360, 600)
        np.testing.assert_allclose(
            peaks_of(waves(at, 60 * 360, (-0.16, 0.025, 0.25), (0.67, 0.025, 0.25))), at, atol=2
        )

    def test_a_small_beat_is_taken_where_a_beat_is_due(self):
        """A quarter of the others' height: taken where it fills a gap, not between two beats."""
        at = regular(60 * 360)
        missing = at[30]
        raw = pulses(np.delete(at, 30), 60 * 360) + pulses([missing], 60 * 360, height=0.25)
        assert np.abs(peaks_of(raw) - missing).min() <= 2
        raw = pulses(at, 60 * 360) + pulses([missing + 80], 60 * 360, height=0.25)
        assert np.abs(peaks_of(raw) - missing - 80).min() > 50

    def test_a_wide_inverted_beat_is_found(self):
        at = regular(60 * 360)
        raw = pulses(np.delete(at, 30), 60 * 360)
        raw -= pulses([at[30] - 90], 60 * 360, width=11.0, height=1.2)
        assert np.abs(peaks_of(raw) - (at[30] - 90)).min() <= 0.15 * FS

    @pytest.mark.parametrize("noise", ["white", "steps", "hum"])
    def test_at_most_3_s_after_noise_every_beat_is_found_and_nothing_else(self, noise):
        length = 65 * 360
        at = regular(length)
        raw, rng, until = pulses(at, length), np.random.default_rng(0), 30 * 360
        time = np.arange(until) / FS
        raw[:until] += {
            "white": rng.normal(0, 5, until),
            "steps": np.repeat(rng.normal(0, 5, until // 90), 90),
            "hum": 10 * np.sin(2 * np.pi * 50 * time),
        }[noise]
        for signal, first, last in ((raw, 33, 65), (raw[::-1], 0, 32)):
            expected = at if signal is raw else length - 1 - at[::-1]
            peaks = peaks_of(signal.copy())
            within = [p[(p > first * FS) & (p < last * FS)] for p in (peaks, expected)]
            np.testing.assert_allclose(*within, atol=1)

    def test_nothing_is_found_where_the_signal_is_unfit_or_lost(self):
        at = regular(60 * 360)
        raw, unfit = pulses(at, 60 * 360), np.zeros(60 * 360, bool)
        unfit[3000:6000] = True
        assert not ((peaks_of(raw, unfit) > 2980) & (peaks_of(raw, unfit) < 6020)).any()
        raw[3000:6000] = np.random.default_rng(0).normal(0, 0.01, 3000)
        peaks = peaks_of(raw)
        assert not ((peaks > 3020) & (peaks < 5980)).any()
        assert len(peaks) == ((at < 3000) | (at > 6000)).sum()

    def test_beats_and_t_waves_beside_a_gap_are_told_apart_as_elsewhere(self):
        at, wave = regular(60 * 360), (0.3, 0.035, 0.5)
        raw, unfit = waves(at, 60 * 360, wave), np.zeros(60 * 360, bool)
        unfit[20 * 360 : 45 * 360] = True
        raw[unfit] = np.linspace(raw[20 * 360], raw[45 * 360], 25 * 360)
        fit = at[~unfit[at]]
        inside = fit[np.abs(fit - 20 * 360) > 60]
        peaks = peaks_of(raw, unfit)
        np.testing.assert_allclose(peaks[np.abs(peaks - 20 * 360) > 60], inside, atol=2)

    @given(shift=st.integers(0, 4), gain=st.sampled_from([0.25, 8.0]), seed=st.integers(0, 1000))
    @settings(max_examples=10, deadline=None)
    def test_neither_a_later_start_nor_the_gain_matters(self, shift, gain, seed):
        at = np.cumsum(np.random.default_rng(seed).integers(250, 350, 30))
        raw = pulses(at, at[-1] + 500, seed)
        found = peaks_of(np.float32(gain) * raw[shift * 37 :])
        np.testing.assert_allclose(found, peaks_of(raw) - shift * 37, atol=1)

    @given(
        kind=st.sampled_from(["flat", "noise", "step", "late", "ramp", "blip"]),
        length=st.integers(1, 1500),
    )
    @settings(max_examples=40, deadline=None)
    def test_any_signal_gives_ascending_peaks_inside_it(self, kind, length):
        peaks = peaks_of(odd_signal(kind, length))
        assert (np.diff(peaks) > 0).all()
        assert ((peaks >= 0) & (peaks < length)).all()
        if kind == "flat" or length < FS:
            assert len(peaks) == 0


def odd_signal(kind, length):
    time = np.arange(length)
    noise = np.random.default_rng(length).normal(size=length)
    return {
        "flat": np.ones(length),
        "noise": noise,
        "step": time >= length // 2,
        "late": np.where(time < length - 500, 0, noise),
        "ramp": time / 100,
        "blip": time == length // 2,
    }[kind].astype(np.float32)


class TestProtocolRPeaks:
    @staticmethod
    def find(raw, fs=FS):
        return rpeaks.protocol_r_peaks(raw, beats.bandpass(raw, fs), fs)

    def test_finds_every_pulse_at_its_maximum(self):
        at = regular(20 * 360)
        found = self.find(pulses(at, 20 * 360))
        assert found.dtype == np.int64
        assert len(found) == len(at)
        assert np.abs(found - at).max() <= 1

    def test_moves_a_detection_to_the_maximum_of_the_filtered_lead_within_50_ms(self):
        at = regular(20 * 360)
        raw = pulses(at, 20 * 360)
        for shift in (-10, 10):  # the detector sees the raw lead; the filtered one decides
            np.testing.assert_allclose(
                rpeaks.protocol_r_peaks(raw, pulses(at + shift, len(raw), noise=0), FS),
                at + shift,
                atol=1,
            )
        filtered = pulses(at + 60, len(raw), noise=0)
        assert np.abs(rpeaks.protocol_r_peaks(raw, filtered, FS) - at).max() <= 2 + round(0.05 * FS)

    @given(shift=st.integers(1, 150), seed=st.integers(0, 1000))
    @settings(max_examples=20, deadline=None)
    def test_a_later_start_shifts_the_peaks(self, shift, seed):
        # Beats from the start on: the detector's thresholds are learnt in the first two seconds.
        at = np.cumsum(np.random.default_rng(seed).integers(250, 350, 30))
        raw = pulses(at, at[-1] + 500, seed)
        whole, cut = self.find(raw), self.find(raw[shift:])
        np.testing.assert_array_equal(cut, whole - shift)

    @pytest.mark.parametrize(
        ("flat", "seconds", "backend"),
        [(0, 1, "python"), (0, 6, "python"), (0, 60, "c"), (60, 6, "python"), (60, 60, "c")],
    )
    def test_only_what_is_long_enough_after_a_flat_start_reaches_the_detectors_c_code(
        self, monkeypatch, flat, seconds, backend
    ):
        # On less it writes beyond its arrays, most often without a visible effect.
        called = []

        def detect(raw, fs, backend):
            called.append(backend)
            return np.array([], np.int64)

        monkeypatch.setattr(sleepecg.heartbeats, "detect_heartbeats", detect)
        noise = np.random.default_rng(0).normal(size=round(seconds * FS) + 1)
        self.find(np.concatenate([np.zeros(round(flat * FS)), noise]).astype(np.float32))
        assert called == [backend]

    def test_short_and_long_signals_give_the_same_peaks(self):
        # Two codes of the detector find them: a minute, and six seconds of it.
        at = regular(60 * 360)
        raw = pulses(at, 60 * 360)
        short = 6 * 360 + 20
        np.testing.assert_array_equal(
            self.find(raw[:short]), [p for p in self.find(raw) if p < short - 60]
        )

    @given(gain=st.sampled_from([0.25, 0.5, 2.0, 8.0]))
    @settings(max_examples=4, deadline=None)
    def test_the_gain_does_not_matter(self, gain):
        raw = pulses(regular(7200), 7200)
        np.testing.assert_array_equal(self.find(np.float32(gain) * raw), self.find(raw))

    @given(
        kind=st.sampled_from(["flat", "noise", "step", "late", "ramp", "blip"]),
        length=st.integers(1, 1500),
        fs=st.sampled_from([100.0, 250.0, 360.0]),
    )
    @settings(max_examples=40, deadline=None)
    def test_any_signal_gives_ascending_peaks_inside_it(self, kind, length, fs):
        # sleepecg's C code corrupts the memory on some of these.
        peaks = self.find(odd_signal(kind, length), fs)
        assert (np.diff(peaks) > 0).all()
        assert ((peaks >= 0) & (peaks < length)).all()
        if kind == "flat" or length < fs:
            assert len(peaks) == 0


class TestTWaves:
    BEATS = regular(30 * 360, 360)
    DELAY = 108  # samples

    def lead(self, beats=BEATS):
        """Each beat is followed by a T wave."""
        return waves(beats, 30 * 360, (0.3, 0.03, 0.4))

    def test_a_t_wave_among_the_r_peaks_is_known(self):
        found = rpeaks.t_waves(self.lead(), np.insert(self.BEATS, 13, self.BEATS[12] + self.DELAY))
        np.testing.assert_array_equal(np.flatnonzero(found), [13])

    def test_a_premature_beat_at_that_delay_is_none(self):
        peaks = np.insert(self.BEATS, 13, self.BEATS[12] + self.DELAY)
        assert not rpeaks.t_waves(self.lead(peaks), peaks).any()

    def test_waves_that_follow_every_beat_are_none(self):
        """As in bigeminy: their like elsewhere are R-peaks themselves."""
        peaks = np.sort(np.concatenate([self.BEATS, self.BEATS + self.DELAY]))
        assert not rpeaks.t_waves(self.lead(), peaks).any()

    @pytest.mark.parametrize(("beats", "known"), [(8, False), (9, True)])
    def test_a_few_beats_tell_nothing(self, beats, known):
        peaks = np.insert(self.BEATS[:beats], 4, self.BEATS[3] + self.DELAY)
        assert rpeaks.t_waves(self.lead(), peaks).any() == known

    def test_t_waves_before_long_pauses_are_no_beats(self):
        """They come where, of other beats, an early one does."""
        gaps = np.tile([0.9, 0.45, 0.9, 0.9, 2.5], 16)
        at = np.cumsum(np.round(gaps * FS)).astype(np.int64)
        raw = waves(at, at[-1] + 2000, (0.3, 0.03, 0.7))
        np.testing.assert_allclose(peaks_of(raw), at, atol=2)
