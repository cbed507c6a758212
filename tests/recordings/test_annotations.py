"""Annotation files."""

import signal
import warnings

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from written import write_record

from kdjax.errors import InputError
from kdjax.recordings import read_annotation_file, read_annotations
from kdjax.recordings.annotations import annotation_bytes

SYMBOLS = wfdb.io.annotation.ann_label_table.symbol[1:]


def word(code: int, value: int) -> bytes:
    return (code << 10 | value).to_bytes(2, "little")


def note(text: str) -> bytes:
    return word(63, len(text)) + text.encode() + b"\0" * (len(text) % 2)


def write(folder, *parts: bytes, name="r1.atr"):
    (folder / name).write_bytes(b"".join(parts))


def test_all_symbols_are_read_as_wfdb_reads_them(tmp_path):
    write_record(tmp_path, symbols="")
    samples = np.cumsum(np.geomspace(1, 2e9 / 50, len(SYMBOLS)).astype(int))
    wfdb.wrann(
        "r1", "atr", samples, list(SYMBOLS), chan=np.arange(len(SYMBOLS)) % 3,
        subtype=np.arange(len(SYMBOLS)) % 200 - 100,
        aux_note=["(AFIB", "x", ""] + [""] * (len(SYMBOLS) - 3), write_dir=str(tmp_path),
    )  # fmt: skip
    read, expected = read_annotations(tmp_path / "r1.hea"), wfdb.rdann(str(tmp_path / "r1"), "atr")
    assert read is not None
    np.testing.assert_array_equal(read.sample, expected.sample)
    assert read.symbol.tolist() == expected.symbol
    assert read.sample.dtype == np.int64
    assert read.note.tolist() == expected.aux_note
    np.testing.assert_array_equal(read.subtype, expected.subtype)


def test_all_symbols_that_are_written_are_read_again(tmp_path):
    sample = np.cumsum(np.geomspace(1, 2e9 / 50, len(SYMBOLS)).astype(np.int64))
    symbols, notes = list(SYMBOLS), ["(AFIB", "x", *[""] * (len(SYMBOLS) - 2)]
    (tmp_path / "r1.atr").write_bytes(annotation_bytes(sample, symbols, notes, fs=249.999))
    read = read_annotation_file(tmp_path / "r1.atr")
    by_wfdb = wfdb.rdann(str(tmp_path / "r1"), "atr")
    for found in (read.sample, by_wfdb.sample):
        np.testing.assert_array_equal(found, sample)
    assert read.symbol.tolist() == by_wfdb.symbol == symbols
    assert read.note.tolist() == by_wfdb.aux_note == notes
    assert by_wfdb.fs == 249.999


NOTE = (word(22, 0), note("## recorded on ward 3"))
BEATS = (word(1, 100), word(5, 300), word(0, 0))


def test_the_record_may_be_named_by_any_of_its_files(tmp_path):
    write_record(tmp_path, symbols="")
    write(tmp_path, *BEATS)
    for name in ("r1", "r1.hea", "r1.dat"):
        read = read_annotations(tmp_path / name)
        assert read is not None
        assert read.symbol.tolist() == ["N", "V"]


def test_a_note_on_which_wfdb_does_not_end_is_passed_over(tmp_path):
    write_record(tmp_path, symbols="")
    write(tmp_path, *NOTE, *BEATS)
    read = read_annotations(tmp_path / "r1.hea")
    assert read is not None
    assert (read.sample.tolist(), read.symbol.tolist()) == ([100, 400], ["N", "V"])


def test_wfdb_4_3_1_does_not_end_on_it(tmp_path):
    """Once this fails, a wfdb is installed that has the fault no more."""

    def stop(*_):
        raise TimeoutError

    if wfdb.__version__ != "4.3.1":
        pytest.skip(f"wfdb {wfdb.__version__}")
    write_record(tmp_path, symbols="")
    write(tmp_path, *NOTE, *BEATS)
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(TimeoutError):
            wfdb.rdann(str(tmp_path / "r1"), "atr")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(("fs", "expected"), [(None, 400), (500.0, 800), (250.0, 400)])
def test_samples_are_those_of_the_signal_s_rate(tmp_path, fs, expected):
    write_record(tmp_path, symbols="")
    write(tmp_path, word(22, 0), note("## time resolution: 250"), *BEATS)
    assert read_annotations(tmp_path / "r1.hea", fs).sample[-1] == expected


@pytest.mark.parametrize("rate", ["360", "3.6e2", "360/1000(5)"])
def test_samples_count_at_the_rate_that_the_header_states(tmp_path, rate):
    (tmp_path / "r1.hea").write_text(f"r1 1 {rate} 900\n")
    write(tmp_path, *BEATS)
    assert read_annotations(tmp_path / "r1.hea", 720.0).sample.tolist() == [200, 800]


def test_symbols_that_the_file_defines_are_its_own(tmp_path):
    write_record(tmp_path, symbols="")
    notes = ("## annotation type definitions", "42 y a beat of ours", "## end of definitions")
    marks = [part for text in notes for part in (word(22, 0), note(text))]
    write(tmp_path, *marks, word(42, 7), word(0, 0))
    read = read_annotations(tmp_path / "r1.hea")
    assert "y" in read.symbol.tolist()


def test_a_step_back_and_a_mark_that_is_none_are_followed(tmp_path):
    write_record(tmp_path, symbols="")
    back = word(59, 0) + b"\xff\xff" + b"\xff\xff"
    write(tmp_path, word(1, 9), back, word(0, 1), word(5, 3), word(0, 0))
    read = read_annotations(tmp_path / "r1.hea")
    assert read.sample.tolist() == [9, 12]


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_one_that_lost_its_end_is_refused(tmp_path, cut):
    write_record(tmp_path, symbols="")
    write(tmp_path, b"".join(BEATS)[:-cut])
    with pytest.raises(InputError, match=r"r1\.atr: has no end mark"):
        read_annotations(tmp_path / "r1.hea")


def test_another_annotator_is_read_by_its_suffix_in_any_case(tmp_path):
    write_record(tmp_path, symbols="")
    write(tmp_path, *BEATS, name="r1.QRS")
    assert read_annotations(tmp_path / "r1.hea") is None
    assert len(read_annotations(tmp_path / "r1.hea", annotator="qrs").sample) == 2


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=200)
def test_whatever_stands_in_the_file_is_read_or_refused(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    (folder / "any.hea").write_text("any 1 360\n")
    write(folder, content, name="any.atr")
    with warnings.catch_warnings():
        try:
            read = read_annotations(folder / "any.hea")
        except InputError:
            return
    assert len(read.sample) == len(read.symbol)


# Notes that wfdb does not return from


@pytest.fixture
def at_most_20_s():
    def late(*_):
        raise TimeoutError("the reader does not return")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def noted(folder, notes, symbols="NV"):
    """An annotation file with comments at sample 0 and then beats 100 samples apart."""
    sample = np.array([0] * len(notes) + [100 * (k + 1) for k in range(len(symbols))])
    wfdb.wrann(
        "r",
        "atr",
        sample,
        symbol=['"'] * len(notes) + list(symbols),
        aux_note=[*notes, *([""] * len(symbols))],
        write_dir=str(folder),
    )
    return folder / "r.atr"


@pytest.mark.usefixtures("at_most_20_s")
@pytest.mark.parametrize(
    "notes",
    [
        ["## recorded on ward 3"],
        ["## time resolution: 360", "## time resolution: 250"],
        ["## time resolution: 360", "## recorded on ward 3"],
        ["## end of definitions"],
        ["## annotation type definitions of ours"],
    ],
)
def test_beats_behind_a_note_that_wfdb_hangs_on(tmp_path, notes):
    read = read_annotation_file(noted(tmp_path, notes), 360)
    beats = np.isin(read.symbol, ["N", "V"])
    assert read.sample[beats].tolist() == [100, 200]
    assert read.symbol[beats].tolist() == ["N", "V"]


def test_a_time_resolution_counts_behind_another_note(tmp_path):
    file = noted(tmp_path, ["## time resolution: 180", "## recorded on ward 3"])
    read = read_annotation_file(file, 360)
    assert read.sample[np.isin(read.symbol, ["N", "V"])].tolist() == [200, 400]
