"""From a recording to decisions, with the detector that comes with the package."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from kdjax import beats, rpeaks
from kdjax.datasets.synthetic_beats import generator
from kdjax.detection import cores, kinds, personal
from kdjax.detection.deciding import FPR, Beats, StreamingDetector, join_beats
from kdjax.detection.leads import choose_leads
from kdjax.detection.recording import detect, revised
from kdjax.detection.signs import SIGNS
from kdjax.errors import InputError
from kdjax.recordings import Source
from kdjax.runs import directory
from kdjax.scores import fitted

FS = 360
SECONDS = 450  # longer than the five minutes that the score is adapted to


@pytest.fixture(scope="module")
def detector():
    return directory.load_run("mitbih-w8")


@cache
def ecg(patient=3, seconds=SECONDS):
    """A patient's synthetic ECG [T], in mV at 360 Hz, and where it is annotated.

    This one's has no artefact.
    """
    recording = generator.recording(patient)
    once = recording.signal[:, 0]
    times = -(-seconds * FS // len(once))
    at = np.concatenate([recording.annotations.sample + k * len(once) for k in range(times)])
    return np.tile(once, times)[: seconds * FS], at[at < seconds * FS]


def source(signal, fs=FS, leads=("MLII",), block=50_000):
    """A signal [T] or [T, leads] as a recording, in blocks of so many samples."""
    signal = np.asarray(signal, np.float32).reshape(len(signal), -1)

    def read(columns):
        for start in range(0, len(signal), block):
            yield signal[start : start + block, columns]

    return Source(name="made up", fs=float(fs), leads=leads, length=len(signal), read=read)


@pytest.fixture(scope="module")
def whole(detector):
    """What is found in the whole recording."""
    return detect(detector, source(ecg()[0]))


def same(a, b):
    for name in Beats._fields:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


# --- the way of a beat --------------------------------------------------------------------------


def test_the_annotated_beats_are_found_once_each(whole):
    """Within 150 ms, the tolerance of ANSI/AAMI EC57; no two closer than 0.2 s."""
    _, at = ecg()
    found = whole.beats.sample
    away = np.abs(found[:, None] - at[None])
    assert (away.min(axis=0) <= 0.15 * FS).mean() > 0.99
    assert (away.min(axis=1) <= 0.15 * FS).mean() > 0.99
    assert np.diff(found).min() > 0.2 * FS


def test_peaks_are_those_of_the_whole_signal_at_once(whole):
    """Cutting it into cores may change a few beats in a hundred thousand, not here."""
    signal, _ = ecg()
    lead = rpeaks.measured(beats.bandpass(signal, FS))
    peaks = rpeaks.r_peaks(lead, np.zeros(len(signal), bool))
    assert len(np.setxor1d(peaks, whole.beats.sample)) <= 0.01 * len(peaks)


def decided_in(detector, signal, cuts=()):
    """What a stream decides on the signal cut there, and its shapes at the end."""
    stream = StreamingDetector(detector, FS)
    parts = [d for part in np.split(signal, cuts) for d in stream.decide(stream.stream.push(part))]
    return [*parts, *stream.decide(stream.stream.finish()), *stream.decide_waiting()], stream


def test_anomalies_are_those_of_all_beats_at_once(detector, whole):
    """The same peaks, windows, rhythm and adaptation, without cores and blocks."""
    signal, _ = ecg()
    sample = whole.beats.sample
    good = np.flatnonzero(whole.beats.quality == "good")
    x = beats.scale(beats.windows(beats.bandpass(signal, FS)[:, None], sample[good]))
    rr = np.diff(sample, prepend=np.nan) / FS
    person = np.zeros(len(sample), int)
    rhythm = fitted.rhythm(person, sample, rr)
    evidence = detector.evidence(x, rhythm[good], person[good], sample[good], FS)
    expected = np.log(np.maximum(detector.calibration.score.score(evidence), 0.01))
    parts, _ = decided_in(detector, signal)
    anomaly = np.concatenate([part.signs[:, SIGNS.index("anomaly")] for part in parts])
    np.testing.assert_allclose(anomaly[good], expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(whole.beats.rr, rr.astype(np.float32), equal_nan=True)


def test_blocks_of_any_size_give_the_same_decisions(detector, whole):
    """To the last bit: a file in one piece, a file in blocks, and a live stream, revised."""
    signal, _ = ecg()
    for block in (len(signal), 12_345):
        same(detect(detector, source(signal, block=block)).beats, whole.beats)
    cuts = np.sort(np.random.default_rng(3).choice(len(signal), 40, replace=False))
    parts, stream = decided_in(detector, signal, cuts)
    again, families, events = revised(parts, stream.person.shapes, FS, whole.threshold)
    same(again, whole.beats)
    assert events == whole.events
    for family, other in zip(families, whole.families, strict=True):
        np.testing.assert_array_equal(family.mean, other.mean)
        np.testing.assert_array_equal(family.examples, other.examples)


def test_numpy_decides_as_a_compiled_program_does(detector, whole, monkeypatch):
    signal, _ = ecg()
    assert detector.small
    monkeypatch.setattr("kdjax.detection.detector._SMALL", 0)
    compiled = detect(directory.load_run("mitbih-w8"), source(signal))
    np.testing.assert_array_equal(compiled.beats.kind, whole.beats.kind)
    np.testing.assert_array_equal(compiled.beats.family, whole.beats.family)
    np.testing.assert_allclose(compiled.beats.score, whole.beats.score, atol=1e-4)


def test_decisions_do_not_depend_on_the_threads_of_blas(detector):
    signal, _ = ecg()
    decided = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            parts, _ = decided_in(detector, signal)
            decided.append(join_beats([part.beats for part in parts]))
    same(*decided)


def test_a_stream_pushed_gives_what_it_decides(detector):
    signal, _ = ecg()
    parts, _ = decided_in(detector, signal)
    stream = StreamingDetector(detector, FS)
    same(join_beats([stream.push(signal), stream.finish()]), join_beats([p.beats for p in parts]))


def test_a_decision_comes_65_s_after_its_beat_once_five_minutes_are_over(detector):
    signal, _ = ecg()
    stream = StreamingDetector(detector, FS)
    now, late = 0, []
    for second in np.array_split(signal, SECONDS):
        now += len(second)
        decided = stream.push(second)
        if now < 305 * FS:
            assert not len(decided.sample)
        elif now > 306 * FS:
            late.extend(now - decided.sample)
    assert len(late) > 10
    assert max(late) <= (cores.DELAY + 1) * FS


def test_a_provisional_decision_comes_within_2_s_and_changes_no_final_one(detector):
    """Twenty seconds past the first final decisions, second by second."""
    signal, _ = ecg()
    stream, asked = StreamingDetector(detector, FS), StreamingDetector(detector, FS)
    assert not len(asked.provisional().sample)
    begun = 370 * FS
    same(stream.push(signal[:begun]), asked.push(signal[:begun]))
    seen = {}
    for end in range(begun + FS, begun + 20 * FS, FS):
        asked.push(signal[end - FS : end])
        now = asked.provisional()
        for sample, kind in zip(now.sample.tolist(), now.kind.tolist(), strict=True):
            seen.setdefault(sample, (end, kind))
    final = stream.push(signal[begun:])
    same(
        join_beats([asked.push(signal[end:]), asked.finish()]), join_beats([final, stream.finish()])
    )
    there = (final.sample > begun) & (final.sample < end - 2 * FS)
    assert there.sum() > 10
    kinds_now = [seen[sample][1] for sample in final.sample[there].tolist()]
    assert np.mean(final.kind[there] == kinds_now) > 0.9
    assert max(seen[sample][0] - sample for sample in final.sample[there].tolist()) <= 2 * FS


def test_memory_does_not_grow_with_the_recording(detector):
    stream = cores.BeatStream(1, FS)
    longest = 0
    for second in np.array_split(ecg()[0], SECONDS):
        list(stream.push(second))
        longest = max(longest, sum(map(len, stream._blocks)))
    assert longest <= (cores.BEFORE + cores.CORE + cores.AFTER + 1) * FS


def test_a_stream_takes_what_it_is_given_at_once_and_nothing_after_its_end():
    stream = cores.BeatStream(1, FS)
    with pytest.raises(ValueError, match="needed"):
        stream.push(np.zeros((9, 2)))
    stream.push(np.zeros(5))
    assert sum(map(len, stream._blocks)) == 5
    list(stream.finish())
    with pytest.raises(ValueError, match="finished"):
        stream.push(np.zeros(5))


def test_the_sampling_rate_hardly_matters(detector, whole):
    signal = scipy.signal.resample_poly(ecg()[0].astype(float), 250, 360, padtype="line")
    found = detect(detector, source(signal, 250)).beats
    assert len(found.sample) == len(whole.beats.sample)
    assert np.abs(found.sample / 250 - whole.beats.sample / 360).max() < 0.02
    both = np.isfinite(found.score) & np.isfinite(whole.beats.score)
    assert np.corrcoef(found.score[both], whole.beats.score[both])[0, 1] > 0.99


# --- what is said of it -------------------------------------------------------------------------


def test_abnormal_is_above_the_threshold_of_one_in_a_hundred(detector, whole):
    normal = kinds.normal_scores()
    assert whole.fpr == FPR
    assert (normal > whole.threshold).mean() == pytest.approx(FPR)
    np.testing.assert_array_equal(whole.beats.abnormal, whole.beats.score > whole.threshold)
    scored = np.isfinite(whole.beats.score)
    np.testing.assert_array_equal(scored, whole.beats.quality == "good")
    share = [(normal <= score).mean() for score in whole.beats.score[scored][:20]]
    np.testing.assert_allclose(whole.beats.normalised[scored][:20], share)
    assert np.isnan(whole.beats.normalised[~scored]).all()


def test_the_tape_shows_the_recording(whole):
    tape = whole.tape.signal()[:, 0]
    assert len(tape) == SECONDS * 120
    band = scipy.signal.butter(2, (0.5, 40), "bandpass", fs=FS, output="sos")
    expected = scipy.signal.sosfiltfilt(band, ecg()[0])[:: FS // 120]
    assert np.corrcoef(tape, expected)[0, 1] > 0.99


def test_alarms_per_hour_become_a_false_positive_rate_of_this_recording(detector, whole):
    found = detect(detector, source(ecg()[0]), alarms_per_hour=60.0)
    scored = np.isfinite(found.beats.score).sum()
    assert found.fpr == pytest.approx(60 * SECONDS / 3600 / scored)
    assert found.threshold == kinds.threshold(found.fpr)
    np.testing.assert_array_equal(found.beats.score, whole.beats.score)
    np.testing.assert_array_equal(found.beats.abnormal, found.beats.score > found.threshold)


def test_a_number_is_taken_as_it_is(detector):
    found = detect(detector, source(ecg(seconds=60)[0]), threshold=3.5)
    assert (found.threshold, found.fpr) == (3.5, None)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"fpr": 0.0}, "between 0 and 1"),
        ({"fpr": 1e-6}, "ask for"),
        ({"alarms_per_hour": 0.0}, "above 0"),
        ({"alarms_per_hour": 1e-6}, "alarms per hour of .* ask for"),
        ({"alarms_per_hour": 1e6}, "alarms per hour of .* ask for"),
        ({"threshold": np.nan}, "the threshold is nan"),
    ],
)
def test_a_threshold_that_cannot_be_had_is_refused(rule, says, detector):
    with pytest.raises(InputError, match=says):
        detect(detector, source(ecg(seconds=60)[0]), **rule)


def test_two_rules_for_one_threshold_are_refused(detector):
    with pytest.raises(ValueError, match="give one of"):
        detect(detector, source(ecg(seconds=60)[0]), fpr=0.001, threshold=3.5)


def test_an_uncalibrated_detector_is_refused(detector):
    with pytest.raises(InputError, match="not calibrated"):
        detect(replace(detector, calibration=None), source(ecg()[0]))


# --- what cannot be scored ----------------------------------------------------------------------


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
    assert f"at {fs} Hz noise cannot be told" in " ".join(found.notes)
    assert len(found.beats.sample) > 50


def test_a_pause_is_told_of_since_no_score_is_high_for_it(detector):
    """Four seconds without a beat, with the converter's noise."""
    beats_at = ecg(seconds=60)[1]
    after = int(beats_at[40] + 0.6 * FS)
    signal, _ = ecg(seconds=60)
    rest = signal[after] + np.random.default_rng(0).normal(0, 0.01, 4 * FS)
    signal = np.insert(signal, after, rest)
    (note,) = [n for n in detect(detector, source(signal)).notes if "pause" in n]
    assert note.startswith("intervals of more than 2 s without a detected beat: 1, the longest 5.")
    signal = np.insert(ecg(seconds=60)[0], after, np.full(4 * FS, signal[after - 1]))
    notes = " ".join(detect(detector, source(signal)).notes)
    assert "flat stretches: 1, the longest 4.0 s" in notes


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
    assert "good beats to adapt the score to" in " ".join(few.notes)
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


# --- leads --------------------------------------------------------------------------------------


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


def test_an_only_lead_of_another_name_is_taken_and_said():
    columns, (note,) = choose_leads(source(np.zeros(9), leads=("lead 1",)), [], ["MLII"])
    assert columns == [0]
    assert "lead 1 taken for MLII" in note


@pytest.mark.parametrize(
    ("leads", "wanted", "says"),
    [
        (("V1", "V5"), [], "choose with --lead"),
        (("V1", "V5"), ["aVF"], "no lead 'aVF'; its leads are V1, V5"),
        (("V1", "V5"), ["3"], "no lead '3'"),
        (("V1", "V5"), ["V1", "V5"], "2 leads chosen, the detector takes 1"),
    ],
)
def test_other_leads_are_refused(leads, wanted, says):
    with pytest.raises(InputError, match=says):
        choose_leads(source(np.zeros((9, 2)), leads=leads), wanted, ["MLII"])


def test_an_inverted_lead_and_doubtful_units_are_noticed(detector, whole):
    words = ("inverted", "units")
    assert not [note for note in whole.notes for word in words if word in note]
    signal, _ = ecg(seconds=120)
    for changed, word in zip((-signal, 1000 * signal), words, strict=True):
        assert [note for note in detect(detector, source(changed)).notes if word in note]


def test_a_calibration_of_another_person_is_noticed(detector):
    signal, _ = ecg(seconds=120)
    moved, _ = personal.calibrate(detector, [source(signal)])
    own = replace(detector, calibration=moved)
    assert not [note for note in detect(own, source(signal)).notes if "another person" in note]
    other = replace(own, calibration=replace(moved, beat=moved.beat[::-1]))
    assert [note for note in detect(other, source(signal)).notes if "another person" in note]


def test_a_heart_rate_that_a_wrong_sampling_rate_would_make_is_doubted(detector):
    """The same two minutes as if they had been sampled 2.8 times as fast, or half as fast."""
    signal, _ = ecg(seconds=120)
    for fs in (1000, 180):
        notes = detect(detector, source(signal, fs=fs)).notes
        assert [note for note in notes if f"{fs} Hz is not the recording's sampling rate" in note]
    whole = detect(detector, source(signal))
    assert not [note for note in whole.notes if "heart rate" in note]
    assert whole.score == "fusion, adapted to the 120 s there are"


def test_a_low_sampling_rate_is_refused(detector):
    with pytest.raises(InputError, match="above 90 Hz"):
        detect(detector, source(ecg()[0], 80))


# --- a person's own calibration -----------------------------------------------------------------


@pytest.fixture(scope="module")
def own_signal():
    """Beats enough to move a calibration; nothing is adapted with one."""
    return ecg(seconds=400)[0]


@pytest.fixture(scope="module")
def own(detector, own_signal):
    return personal.calibrate(detector, [source(own_signal)])


def test_a_calibration_is_moved_to_the_person_without_labels(detector, own_signal, own):
    moved, own = own
    assert moved.score.adaptation == "none"
    np.testing.assert_array_equal(moved.normal, detector.calibration.moved)
    assert moved.model == detector.calibration.model
    assert (np.diff(own) >= 0).all()
    found = detect(replace(detector, calibration=moved), source(own_signal))
    scored = found.beats.score[np.isfinite(found.beats.score)]
    np.testing.assert_allclose(np.sort(scored), own)
    assert found.score == "fusion, moved to the person"


def test_of_a_long_recording_an_even_share_of_beats_calibrates(
    detector, own_signal, own, monkeypatch
):
    moved, every = own
    monkeypatch.setattr(personal, "_KEPT", len(every) // 2)
    by_some, some = personal.calibrate(detector, [source(own_signal)])
    name = "latent.centre"
    assert (by_some.score.arrays[name] != moved.score.arrays[name]).any()
    np.testing.assert_allclose(by_some.score.arrays[name], moved.score.arrays[name], atol=0.5)
    np.testing.assert_allclose(np.median(some), np.median(every), rtol=0.2)


def test_a_calibration_knows_the_lead_it_was_made_on(detector, own_signal):
    signal = own_signal
    two = source(np.stack([signal, signal], axis=1), leads=("V1", "V5"))
    moved, _ = personal.calibrate(detector, [two], ["V5"])
    assert moved.leads == ("V5",)
    found = detect(replace(detector, calibration=moved), two)
    assert found.leads == ("V5",)
    assert found.calibration == "moved to the beats of made up"
    with pytest.raises(InputError, match="leads differ"):
        personal.calibrate(detector, [source(signal), source(signal, leads=("V1",))])


def test_too_few_beats_calibrate_nothing(detector):
    with pytest.raises(InputError, match="100 are needed"):
        personal.calibrate(detector, [source(ecg(seconds=30)[0])])
