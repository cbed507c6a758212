"""`import kdjax`: what an editor completes, and detection of whatever holds a recording."""

import dataclasses
import inspect

import numpy as np
import pandas as pd
import pytest

import kdjax
from kdjax.datasets.synthetic_beats import generator
from kdjax.detection import files
from kdjax.detection.recording import detect
from kdjax.errors import InputError
from kdjax.recordings.in_memory import of_array


@pytest.fixture(scope="module")
def detector():
    return kdjax.load_run("mitbih-w8")


@pytest.fixture(scope="module")
def signal():
    return generator.recording(0).signal[: 60 * 360, 0].astype(np.float64)


@pytest.fixture(scope="module")
def detection(detector, signal):
    return kdjax.detect(detector, signal, fs=360)


def test_every_name_is_listed_and_loads():
    assert {name for name in dir(kdjax) if not name.startswith("__")} == set(kdjax.__all__)
    for name in kdjax.__all__:
        assert getattr(kdjax, name).__doc__
        assert name in kdjax.__doc__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = kdjax.nothing


def test_a_file_and_a_signal_give_the_same_beats(detector, signal, detection, tmp_path):
    np.save(tmp_path / "a.npy", signal)
    other = kdjax.detect(detector, tmp_path / "a.npy", fs=360, units="mV")
    for mine, theirs in zip(detection.beats, other.beats, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert other.file == str(tmp_path / "a.npy")


def test_whatever_numpy_makes_an_array_of_is_a_signal(detector, signal, detection):
    for same in (signal.tolist(), pd.Series(signal, index=signal), pd.DataFrame({"I": signal})):
        found = kdjax.detect(detector, same, fs=360)
        np.testing.assert_array_equal(found.beats.score, detection.beats.score)


def test_a_record_is_one_however_its_path_is_written(detector, signal, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("in/a.npy", "b.npy"):
        np.save(tmp_path / name, signal)
    given = {"fs": 360, "units": "mV"}
    for path in ("in/a.npy", "in/../in/a.npy"):
        kdjax.detect(detector, tmp_path / path, **given).save(tmp_path / "out")
    with pytest.raises(InputError, match=r"holds the detection of .*/in/a\.npy"):
        kdjax.detect(detector, tmp_path / "b.npy", **given).save(tmp_path / "out")


def test_a_source_knows_its_file(detector, signal, tmp_path):
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", signal)
        opened = kdjax.open_source(tmp_path / f"{name}.npy", fs=360, units="mV")
        found = kdjax.detect(detector, opened)
        if name == "a":
            found.save(tmp_path / "out")
    with pytest.raises(InputError, match=r"holds the detection of .*a\.npy"):
        found.save(tmp_path / "out")


def test_leads_are_names_or_numbers(detector, signal, detection):
    for leads in (1, "1", [1]):
        found = kdjax.detect(detector, signal, fs=360, leads=leads)
        np.testing.assert_array_equal(found.beats.score, detection.beats.score)


def test_the_gain_of_a_file_overrides_its_units(detector, signal, detection, tmp_path):
    np.save(tmp_path / "a.npy", signal * 200)
    other = kdjax.detect(detector, tmp_path / "a.npy", fs=360, gain=200)
    np.testing.assert_array_equal(other.beats.sample, detection.beats.sample)
    np.testing.assert_allclose(other.beats.height, detection.beats.height, rtol=1e-4)


def test_a_frame_has_a_row_for_each_beat(detection):
    frame = detection.to_frame()
    np.testing.assert_allclose(frame["time"] * 360, detection.beats.sample)
    assert list(frame.columns) == ["time", *detection.beats._fields]
    scored = detection.beats.family >= 0
    assert scored.any()
    assert not scored.all()
    assert frame["family"][scored].tolist() == (detection.beats.family[scored] + 1).tolist()
    assert frame["family"][~scored].isna().all()


def test_it_saves_what_the_command_saves_and_reads_back(detection, tmp_path):
    names = {path.name for path in detection.save(tmp_path / "out")}
    assert {"report.html", "beats.csv", "families.csv", "summary.json"} <= names
    np.testing.assert_array_equal(files.read(tmp_path / "out").beats.kind, detection.beats.kind)


def test_a_signal_from_memory_is_saved_again_but_not_over_another(detection, tmp_path):
    detection.save(tmp_path)
    assert detection.save(tmp_path)
    with pytest.raises(InputError, match="holds the detection of signal; choose another folder"):
        dataclasses.replace(detection, recording="other").save(tmp_path)


@pytest.mark.parametrize(
    ("signal", "options", "wanted"),
    [
        (np.zeros(1000), {}, "fs is missing"),
        (np.zeros((2, 3, 4)), {"fs": 360}, r"shape \(2, 3, 4\)"),
        (np.array(["a"]), {"fs": 360}, "real numbers"),
        (np.zeros(0), {"fs": 360}, "holds no samples"),
        ([0.0, 1.0], {}, "fs is missing"),
        (np.zeros((2, 1000)), {"fs": 360}, r"\(2, 1000\); \[T, leads\] is needed, transpose it"),
        (np.zeros(1000), {"fs": 10}, "10 Hz"),
        (np.zeros(1000), {"fs": 360, "gain": 200}, "gain are for files"),
        ("nowhere.hea", {}, "nowhere"),
        ([[1.0, 2.0], [3.0]], {"fs": 360}, r"not an array; give real numbers \[T\]"),
        (["abc"], {"fs": 360}, "real numbers"),
        (kdjax.open_source, {"fs": 360}, "real numbers"),
        (of_array(np.zeros(1000), 360), {"fs": 360}, "fs is for files and arrays; leave it out"),
    ],
)
def test_what_is_no_recording_is_refused(detector, signal, options, wanted):
    with pytest.raises(InputError, match=wanted):
        kdjax.detect(detector, signal, **options)


def test_the_name_of_a_detector_is_not_the_detector(signal):
    wanted = r"give the detector: kdjax.load_run\('mitbih-w8'\)"
    with pytest.raises(InputError, match=wanted):
        kdjax.detect("mitbih-w8", signal, fs=360)
    with pytest.raises(InputError, match=wanted):
        kdjax.StreamingDetector("mitbih-w8", fs=360)


def test_a_single_lead_needs_no_list(detector, signal):
    both = np.stack([signal, signal], axis=1)
    for lead in ("2", ["2"]):
        assert kdjax.detect(detector, both, fs=360, leads=lead).leads == ("2",)


def test_it_takes_what_the_detection_of_a_source_takes():
    mine, other = (inspect.signature(detect).parameters for detect in (kdjax.detect, detect))
    missing = set(other) - set(mine)
    assert missing == {"source", "made_by", "find"}  # the commands' own


def test_a_detection_is_not_saved_over_a_file(detection, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="out: is a file, not a folder"):
        detection.save(tmp_path / "out")


def test_a_detection_names_its_detector(detection):
    assert detection.detector == "mitbih-w8"
