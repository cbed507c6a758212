"""WFDB annotations, read back by wfdb."""

import warnings

import numpy as np
import pytest
from detections import FIVE, FS, many_beats
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.detection.annotations import annotations

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # wfdb 4.3 on pandas 3
    import wfdb


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return wfdb.rdann(str(path.with_suffix("")), path.suffix[1:])


def annotated(folder, beats=FIVE, fs=FS):
    (folder / "r.kdjax").write_bytes(annotations(beats, fs))
    return read(folder / "r.kdjax")


def test_standard_codes_with_the_family_or_what_was_wrong_as_the_note(tmp_path):
    found = annotated(tmp_path)
    assert found.sample.tolist() == FIVE.sample.tolist()
    assert found.symbol == ["?", "N", "V", "?", "N"]
    assert found.aux_note == ["edge", "family 1", "family 2", "flat", "family 1"]
    assert found.fs == FS


def test_every_kind_has_its_code(tmp_path):
    beats = FIVE._replace(kind=np.array(["S", "F", "Q", "X", ""]), quality=np.full(5, "good"))
    found = annotated(tmp_path, beats._replace(family=np.array([0, 1, -1, 2, -1])))
    assert found.symbol == ["S", "F", "Q", "|", "?"]
    assert found.aux_note == ["family 1", "family 2", "", "family 3", ""]


@pytest.mark.parametrize("fs", [360.0, 128.0, 249.999, 1e7, 0.001])
def test_the_sampling_frequency_is_stored(tmp_path, fs):
    assert annotated(tmp_path, fs=fs).fs == fs


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.integers(0, 1100) | st.sampled_from([1023, 1024, 65535, 65536, 2**31 + 5]),
        max_size=30,
    ),
    kinds=st.lists(st.sampled_from("NSVFQ"), min_size=30, max_size=30),
)
def test_any_samples_read_back(tmp_path_factory, steps, kinds):
    sample = np.cumsum(np.array(steps, np.int64))
    beats = many_beats(len(steps))._replace(
        sample=sample, kind=np.array(kinds[: len(steps)], "<U1")
    )
    found = annotated(tmp_path_factory.mktemp("ann"), beats)
    assert found.sample.tolist() == sample.tolist()
    assert found.symbol == kinds[: len(steps)]


def test_the_bytes_are_those_that_wfdb_writes(tmp_path):
    sample = np.array([3, 400, 5000, 5001])
    beats = many_beats(4)._replace(
        sample=sample,
        kind=np.array(list("NVNV")),
        family=np.array([0, 1, 0, 1]),
        quality=np.full(4, "good"),
    )
    notes = ["family 1", "family 2"] * 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        place = {"fs": 360, "write_dir": str(tmp_path)}
        wfdb.wrann("r", "kdjax", sample, symbol=list("NVNV"), aux_note=notes, **place)
    assert annotations(beats, 360.0) == (tmp_path / "r.kdjax").read_bytes()
