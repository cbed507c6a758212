"""The beat pipeline: what each step must do to any signal, and values from elsewhere."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kdjax import beats
from kdjax.errors import InputError

FS = 360.0


def pulses(at, length, seed=0, width=4.0, height=1.0, noise=0.01):
    """A raw lead [T]: narrow bells at the samples `at`, on a little noise."""
    time = np.arange(length)
    bells = sum(height * np.exp(-0.5 * ((time - a) / width) ** 2) for a in at)
    return (bells + np.random.default_rng(seed).normal(0, noise, length)).astype(np.float32)


def regular(length, gap=300, first=200):
    return np.arange(first, length - 100, gap)


class TestBandpass:
    def test_is_the_published_filter(self):
        # BeatGAN's preprocessing is biosppy's: firwin of int(0.3 fs) made odd, then filtfilt.
        signal = pulses(regular(3600), 3600)
        order = int(0.3 * FS) + 1
        assert order % 2 == 1
        taps = scipy.signal.firwin(order, [3, 45], pass_zero=False, fs=FS)
        expected = scipy.signal.filtfilt(taps, [1.0], signal.astype(np.float64))
        np.testing.assert_allclose(beats.bandpass(signal, FS), expected, atol=2**-15 + 1e-9)

    @pytest.mark.parametrize(
        ("hertz", "low", "high"), [(0.3, 0, 0.1), (10, 0.9, 1.01), (25, 0.9, 1.01), (60, 0, 0.1)]
    )
    def test_passes_the_band_and_stops_what_lies_outside(self, hertz, low, high):
        time = np.arange(7200) / FS
        out = beats.bandpass(np.sin(2 * np.pi * hertz * time).astype(np.float32), FS)
        assert low <= np.abs(out[1800:-1800]).max() <= high

    def test_has_no_phase(self):
        signal = pulses([1000], 2000, noise=0)
        assert np.argmax(beats.bandpass(signal, FS)) == 1000

    def test_reversed_in_time_gives_the_reversed_result(self):
        signal = pulses(regular(4000), 4000, seed=1)
        there, back = beats.bandpass(signal, FS), beats.bandpass(signal[::-1], FS)[::-1]
        np.testing.assert_allclose(there, back, atol=2**-14)

    def test_columns_are_filtered_alike_and_apart(self):
        signal = np.stack([pulses(regular(4000), 4000, seed=s) for s in range(3)], axis=1)
        out = beats.bandpass(signal, FS)
        assert out.dtype == np.float32
        for column in range(3):
            np.testing.assert_array_equal(out[:, column], beats.bandpass(signal[:, column], FS))

    def test_values_stand_on_a_grid_so_that_machines_agree(self):
        out = beats.bandpass(pulses(regular(4000), 4000), FS)
        np.testing.assert_array_equal(out * 2**14, np.round(out * 2**14))

    @given(level=st.floats(-5, 5, width=32), length=st.integers(1, 800))
    @settings(max_examples=30, deadline=None)
    def test_a_flat_lead_stays_flat(self, level, length):
        assert np.ptp(beats.bandpass(np.full(length, level, np.float32), FS)) == 0

    def test_a_rate_below_the_band_is_refused(self):
        with pytest.raises(InputError, match="80 Hz"):
            beats.bandpass(np.zeros(1000, np.float32), 80.0)


ascending_peaks = st.lists(st.integers(60, 500), min_size=0, max_size=40).map(np.cumsum)


class TestRRIntervals:
    def test_by_hand(self):
        # Peaks at 0.5, 1.5, 2.25, 3.25 s; the third beat is early, the pause after it long.
        peaks = np.array([180, 540, 810, 1170])
        before, after, median = beats.rr_intervals(peaks, peaks, FS)
        np.testing.assert_allclose(before, [np.nan, 1.0, 0.75, 1.0])
        np.testing.assert_allclose(after, [1.0, 0.75, 1.0, np.nan])
        np.testing.assert_allclose(median, [np.nan, np.nan, 1.0, 0.875])
        assert before.dtype == after.dtype == median.dtype == np.float32

    @given(peaks=ascending_peaks, offset=st.integers(-25, 25))
    @settings(deadline=None)
    def test_a_beats_own_peak_is_not_its_neighbour(self, peaks, offset):
        # An annotation a little off its peak (peaks lie 60 samples apart at least) is that beat.
        expected = beats.rr_intervals(peaks, peaks, FS)
        for got, want in zip(beats.rr_intervals(peaks + offset, peaks, FS), expected, strict=True):
            np.testing.assert_array_equal(got, want)

    def test_a_beat_without_a_peak_of_its_own_is_measured_from_its_centre(self):
        before, after, _ = beats.rr_intervals(np.array([540]), np.array([180, 900]), FS)
        assert (before[0], after[0]) == (1.0, 1.0)

    @pytest.mark.parametrize(
        ("off", "before", "after"), [(54, 1.0, 1.0), (55, 55 / 360, 305 / 360)]
    )
    def test_a_beats_own_peak_is_at_most_150_ms_away(self, off, before, after):
        found = beats.rr_intervals(np.array([540 + off]), np.array([180, 540, 900]), FS)
        assert (found[0][0], found[1][0]) == pytest.approx((before, after))

    @pytest.mark.parametrize("peaks", [[], [400]])
    def test_no_neighbour_is_nan(self, peaks):
        for rr in beats.rr_intervals(np.array([400]), np.array(peaks, np.int64), FS):
            np.testing.assert_array_equal(rr, [np.nan])

    @given(peaks=ascending_peaks, data=st.data())
    @settings(deadline=None)
    def test_the_median_is_causal_and_leaves_the_beats_own_interval_out(self, peaks, data):
        medians = beats.rr_intervals(peaks, peaks, FS)[2]
        for beat in range(len(peaks)):
            past = np.diff(peaks[:beat])[-beats.MEDIAN_INTERVALS :] / FS
            expected = np.median(past) if len(past) else np.nan
            np.testing.assert_allclose(medians[beat], expected, rtol=1e-6)
        kept = data.draw(st.integers(0, len(peaks)))
        later = peaks.copy()
        later[kept:] += 77  # what comes from this beat on does not change its median
        changed = beats.rr_intervals(later, later, FS)[2]
        np.testing.assert_array_equal(changed[: kept + 1], medians[: kept + 1])

    @given(peaks=ascending_peaks, shift=st.integers(0, 10_000))
    @settings(deadline=None)
    def test_only_differences_of_time_matter(self, peaks, shift):
        here = beats.rr_intervals(peaks, peaks, FS)
        there = beats.rr_intervals(peaks + shift, peaks + shift, FS)
        for a, b in zip(here, there, strict=True):
            np.testing.assert_array_equal(a, b)


@given(
    peaks=st.lists(st.integers(0, 3000), max_size=20, unique=True).map(sorted),
    centres=st.lists(st.integers(0, 3000), max_size=20),
)
@settings(deadline=None)
def test_distance_to_the_nearest_peak(peaks, centres):
    expected = [min((abs(c - p) for p in peaks), default=np.inf) for c in centres]
    got = beats.distance_to_peak(np.array(centres, np.int64), np.array(peaks, np.int64))
    np.testing.assert_array_equal(got, expected)


class TestWindows:
    def test_140_samples_before_and_180_from_the_centre_on(self):
        signal = np.stack([np.arange(1000), -np.arange(1000)], axis=1).astype(np.float32)
        cut = beats.windows(signal, np.array([140, 500, 820]))
        assert cut.shape == (3, 320, 2)
        assert cut.dtype == np.float32
        for window, centre in zip(cut, (140, 500, 820), strict=True):
            np.testing.assert_array_equal(window[:, 0], np.arange(centre - 140, centre + 180))
            np.testing.assert_array_equal(window[:, 1], -window[:, 0])

    def test_no_centre_gives_no_window(self):
        assert beats.windows(np.zeros((50, 2)), np.array([], np.int64)).shape == (0, 320, 2)

    @given(length=st.integers(1, 1200), centre=st.integers(-50, 1250))
    @settings(deadline=None)
    def test_a_window_is_whole_exactly_when_all_its_samples_exist(self, length, centre):
        signal, centres = np.zeros((length, 1), np.float32), np.array([centre])
        inside = set(range(centre - 140, centre + 180)) <= set(range(length))
        assert beats.whole(centres, length).tolist() == [inside]
        if inside:
            assert beats.windows(signal, centres).shape == (1, 320, 1)
        else:
            with pytest.raises(ValueError, match="too near an end"):
                beats.windows(signal, centres)


millivolts = hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 4), st.integers(1, 20), st.integers(1, 3)),
    elements=st.integers(-5000, 5000).map(lambda steps: np.float32(steps / 1024)),
)


class TestScale:
    @given(x=millivolts)
    @settings(deadline=None)
    def test_every_beat_and_lead_fills_minus_one_to_one_or_is_zero(self, x):
        scaled = beats.scale(x)
        assert scaled.shape == x.shape
        assert scaled.dtype == np.float32
        flat = np.ptp(x, axis=1) == 0
        np.testing.assert_array_equal(scaled.min(axis=1), np.where(flat, 0, -1))
        np.testing.assert_array_equal(scaled.max(axis=1), np.where(flat, 0, 1))

    @given(
        x=millivolts,
        gain=st.floats(2**-4, 2**4, width=32),
        offset=st.floats(-4, 4, width=32),
    )
    @settings(deadline=None)
    def test_gain_and_offset_of_the_amplifier_do_not_matter(self, x, gain, offset):
        moved = (x.astype(np.float64) * gain + offset).astype(np.float32)
        flat = np.ptp(x, axis=1, keepdims=True) == 0
        span = np.where(flat, 1, np.ptp(x, axis=1, keepdims=True)) * gain
        rounding = 2**-20 * (np.abs(moved).max(initial=0) + span) / span
        difference = np.abs(beats.scale(moved) - beats.scale(x))
        assert (difference <= rounding).all()

    @given(x=millivolts)
    @settings(deadline=None)
    def test_beats_and_leads_are_scaled_apart(self, x):
        whole = beats.scale(x)
        for b in range(x.shape[0]):
            for c in range(x.shape[2]):
                alone = beats.scale(x[b : b + 1, :, c : c + 1])
                np.testing.assert_array_equal(alone[0, :, 0], whole[b, :, c])

    def test_by_hand(self):
        x = np.array([[[0.0], [1.0], [4.0], [2.0]]], np.float32)
        np.testing.assert_array_equal(beats.scale(x)[0, :, 0], [-1, -0.5, 1, 0])


RATES = (100, 125, 128, 200, 250, 257, 300, 359.9, 360, 360.5, 500, 512, 1000, 2000)


class TestResample:
    @pytest.mark.parametrize("fs", RATES)
    @pytest.mark.parametrize("hertz", [3, 10, 25, 45])
    def test_keeps_the_band_to_a_thousandth_from_100_hz_on(self, fs, hertz):
        ratio = float(beats.rate_ratio(fs))
        phase = 2 * np.pi * hertz / fs
        signal = 2 + np.sin(phase * np.arange(round(10 * fs)))
        found = beats.resample(signal, fs)
        expected = 2 + np.sin(phase * np.arange(len(found)) / ratio)
        inside = slice(round(fs), -round(fs))
        np.testing.assert_allclose(found[inside], expected[inside], atol=0.001)

    @pytest.mark.parametrize(("fs", "hertz", "most"), [(100, 10, 0.1), (250, 10, 0.02)])
    def test_does_not_ring_at_the_ends(self, fs, hertz, most):
        ratio = float(beats.rate_ratio(fs))
        phase = 2 * np.pi * hertz / fs
        found = beats.resample(5 + np.sin(0.3 + phase * np.arange(10 * fs)), fs)
        error = found - 5 - np.sin(0.3 + phase * np.arange(len(found)) / ratio)
        assert np.abs(error).max() < most

    def test_what_the_new_rate_cannot_hold_is_taken_away(self):
        signal = np.sin(2 * np.pi * 350 * np.arange(10_000) / 1000)  # would fold to 10 Hz
        assert np.abs(beats.resample(signal, 1000)[500:-500]).max() < 0.002

    @given(
        fs=st.sampled_from(RATES),
        length=st.integers(1, 2000),
        level=st.floats(-1e3, 1e3, width=32),
    )
    @settings(deadline=None)
    def test_a_flat_lead_stays_flat_and_no_sample_lies_beyond_the_last(self, fs, length, level):
        ratio = beats.rate_ratio(fs)
        found = beats.resample(np.full((length, 2), level, np.float32), fs)
        assert (found == np.float32(level)).all()
        assert found.dtype == np.float32
        assert (len(found) - 1) / ratio <= length - 1 < len(found) / ratio

    def test_each_lead_is_by_itself(self):
        signal = np.random.default_rng(0).normal(size=(1000, 3))
        alone = [beats.resample(signal[:, i], 250) for i in range(3)]
        np.testing.assert_array_equal(beats.resample(signal, 250), np.stack(alone, axis=1))

    def test_a_signal_at_360_hz_is_left_as_it_is(self):
        signal = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
        assert beats.resample(signal, 360.0) is signal

    @given(st.floats(90.001, 20_000))
    def test_any_rate_has_a_ratio_less_than_a_thousandth_off(self, fs):
        assert abs(float(beats.rate_ratio(fs)) * fs / 360 - 1) <= 0.001

    @pytest.mark.parametrize("fs", [90, 50, 0.1, np.nan, np.inf])
    def test_a_rate_that_cannot_hold_the_band_is_refused(self, fs):
        with pytest.raises(InputError, match=r"Hz cannot hold the band 3-45 Hz"):
            beats.resample(np.zeros(100), fs)


class TestBridge:
    def test_short_gaps_become_lines_and_long_ones_are_told(self):
        signal = np.arange(200.0)[:, None] * [1, -1]
        signal[50:86, 0] = np.nan  # a tenth of a second
        signal[120:157, 1] = np.nan
        bridged, gap = beats.bridge(signal, 360)
        np.testing.assert_allclose(bridged, np.arange(200.0)[:, None] * [1, -1])
        assert np.flatnonzero(gap).tolist() == list(range(120, 157))

    def test_ends_are_held_and_a_missing_lead_is_zero(self):
        signal = np.full((100, 2), np.nan, np.float32)
        signal[40:60, 0] = np.arange(20)
        bridged, gap = beats.bridge(signal, 360)
        assert (bridged[:40, 0] == 0).all()
        assert (bridged[60:, 0] == 19).all()
        assert (bridged[:, 1] == 0).all()
        assert gap.all()
        assert np.isnan(signal).any()  # the caller's own is left alone

    @given(
        hnp.arrays(
            np.float32,
            st.tuples(st.integers(1, 60), st.integers(1, 3)),
            elements=st.floats(-5, 5, width=32),
        ),
        st.integers(0, 2**32 - 1),
    )
    def test_what_is_there_stays(self, signal, seed):
        missing = np.random.default_rng(seed).random(signal.shape) < 0.4
        bridged, _ = beats.bridge(np.where(missing, np.nan, signal), 50)
        np.testing.assert_array_equal(bridged[~missing], signal[~missing])
        assert np.isfinite(bridged).all()
