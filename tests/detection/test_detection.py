"""From a recording to decisions, with the detector that comes with the package."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.signal
from recorded import FS, SECONDS, ecg, source
from threadpoolctl import threadpool_limits

from kdjax import beats, rpeaks
from kdjax.datasets.synthetic_beats import generator
from kdjax.detection import cores, deciding, kinds
from kdjax.detection.deciding import FPR, Beats, StreamingDetector, join_beats
from kdjax.detection.events import WITHOUT_P
from kdjax.detection.recording import detect, revised
from kdjax.detection.signs import SIGNS
from kdjax.errors import InputError
from kdjax.runs import directory
from kdjax.scores import fitted


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
    evidence = detector.evidence(x, rhythm[good], record=person[good], sample=sample[good], fs=FS)
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
    again, families, events = revised(parts, stream.person.shapes, fs=FS, threshold=whole.threshold)
    same(again, whole.beats)
    assert events == whole.events
    for family, other in zip(families, whole.families, strict=True):
        np.testing.assert_array_equal(family.mean, other.mean)
        np.testing.assert_array_equal(family.examples, other.examples)


@pytest.mark.parametrize(("person", "found"), [(11, 1), (6, 0)])
def test_fibrillation_is_told_from_many_ventricular_beats(detector, person, found):
    record = generator.recording(person)
    events = detect(detector, source(record.signal[:, 0], fs=record.fs)).events
    fibrillation = [event for event in events if event.name == WITHOUT_P]
    assert len(fibrillation) == found
    for event in fibrillation:
        assert event.last - event.first > 0.95 * len(record.signal)


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


def test_a_buffer_that_is_filled_again_gives_the_same_beats(detector):
    signal = ecg()[0].astype(np.float32)
    buffer, refilled = np.empty(FS, np.float32), StreamingDetector(detector, FS)
    parts = []
    for second in signal.reshape(-1, FS):
        buffer[:] = second
        parts.append(refilled.push(buffer))
    stream = StreamingDetector(detector, FS)
    expected = join_beats([stream.push(signal), stream.finish()])
    same(join_beats([*parts, refilled.finish()]), expected)


@pytest.fixture(scope="module")
def few_good():
    """Forty seconds of ECG, eight minutes of noise, and ECG again."""
    noise = np.random.default_rng(0).normal(0, 1, 8 * 60 * FS)
    return np.concatenate([ecg()[0][: 40 * FS], noise, ecg()[0][: 3 * 60 * FS]])


def test_sixty_good_beats_adapt_however_long_they_took(detector, few_good):
    stream = StreamingDetector(detector, FS)
    assert not len(stream.push(few_good[: 8 * 60 * FS]).sample)
    assert len(stream.push(few_good[8 * 60 * FS :]).sample)
    assert stream.adapted_to == 60


def test_after_an_hour_fewer_have_to_do(detector, few_good, monkeypatch):
    assert deciding._PATIENCE == 3600
    monkeypatch.setattr(deciding, "_PATIENCE", 420.0)
    stream = StreamingDetector(detector, FS)
    assert not len(stream.push(few_good[: 7 * 60 * FS]).sample)
    decided = stream.push(few_good[7 * 60 * FS : 8 * 60 * FS])
    assert 10 < stream.adapted_to < 60
    assert not stream._waiting
    late = join_beats([decided, stream.push(few_good[8 * 60 * FS :]), stream.finish()])
    assert (np.diff(late.sample) > 0).all()
    assert np.isfinite(late.score[late.sample > 9 * 60 * FS]).sum() > 100


def test_what_comes_before_the_first_good_beat_is_not_kept(detector):
    noise = np.random.default_rng(0).normal(0, 1, 5 * 60 * FS)
    stream = StreamingDetector(detector, FS)
    decided = stream.push(noise)
    assert len(decided.sample) > 100
    assert not np.isfinite(decided.score).any()
    assert not stream._waiting
    signal, _ = ecg()
    late = join_beats([stream.push(signal), stream.finish()])
    beats = detect(detector, source(np.concatenate([noise, signal]))).beats
    np.testing.assert_array_equal(np.append(decided.sample, late.sample), beats.sample)
    np.testing.assert_array_equal(np.append(decided.quality, late.quality), beats.quality)
    assert stream.adapted_to > 200


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
    at_once = cores.BeatStream(1, FS)
    list(at_once.push(ecg()[0]))
    assert all(block.base is None for block in at_once._blocks)  # of what is over nothing is held


def test_a_stream_takes_what_it_is_given_at_once_and_nothing_after_its_end():
    stream = cores.BeatStream(1, FS)
    with pytest.raises(InputError, match="needed"):
        stream.push(np.zeros((9, 2)))
    stream.push(np.zeros(5))
    assert sum(map(len, stream._blocks)) == 5
    list(stream.finish())
    with pytest.raises(InputError, match="finished"):
        stream.push(np.zeros(5))


def test_the_sampling_rate_hardly_matters(detector, whole):
    signal = scipy.signal.resample_poly(ecg()[0].astype(float), 250, 360, padtype="line")
    found = detect(detector, source(signal, 250)).beats
    assert len(found.sample) == len(whole.beats.sample)
    assert np.abs(found.sample / 250 - whole.beats.sample / 360).max() < 0.02
    both = np.isfinite(found.score) & np.isfinite(whole.beats.score)
    assert np.corrcoef(found.score[both], whole.beats.score[both])[0, 1] > 0.99


# --- what is said of it -------------------------------------------------------------------------


def test_abnormal_is_above_the_threshold_that_one_in_200_normal_beats_exceeds(detector, whole):
    normal = kinds.normal_scores()
    assert whole.fpr == FPR
    below = np.interp(whole.threshold, normal, (np.arange(len(normal)) + 0.5) / len(normal))
    assert 1 - below == pytest.approx(FPR, abs=1e-6)
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
    with pytest.raises(InputError, match="give one of"):
        detect(detector, source(ecg(seconds=60)[0]), fpr=0.001, threshold=3.5)


@pytest.mark.parametrize("threshold", [np.nan, np.inf, -np.inf])
def test_a_stream_without_a_number_for_a_threshold_is_refused(detector, threshold):
    with pytest.raises(InputError, match=f"the threshold is {threshold}; give a number"):
        StreamingDetector(detector, FS, threshold)


def test_an_uncalibrated_detector_is_refused(detector):
    with pytest.raises(InputError, match="not calibrated"):
        detect(replace(detector, calibration=None), source(ecg()[0]))
