"""Recordings of any format, on small files that these tests write themselves."""

import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from file_bytes import ecg
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from malformed import malformed
from written import (
    GIVEN,
    STATED,
    whole,
    write_bdf,
    write_csv,
    write_edf,
    write_ishne,
    write_npy,
    write_wfdb,
)

from kdjax.errors import InputError
from kdjax.recordings import (
    Annotations,
    Recording,
    lines,
    open_source,
)
from kdjax.recordings import source as of_all


@pytest.mark.parametrize(
    ("signal", "fs", "words"),
    [
        (np.zeros(10, np.float32), 360.0, r"must be \[T, 2\].*got \[10\]"),
        (np.zeros((10, 3), np.float32), 360.0, r"must be \[T, 2\].*got \[10, 3\]"),
        (np.zeros((0, 2), np.float32), 360.0, "no samples"),
        (np.zeros((10, 2), np.float32), 0.0, "fs must be positive"),
        (np.zeros((10, 2), np.float32), float("nan"), "fs must be positive"),
    ],
)
def test_a_recording_checks_its_shape_and_rate(signal, fs, words):
    with pytest.raises(InputError, match=f"recording x.*{words}"):
        Recording(name="x", signal=signal, fs=fs, leads=("a", "b"))


def test_annotations_come_in_pairs():
    with pytest.raises(InputError, match="as many samples as symbols"):
        Annotations(np.arange(3), np.array(["N", "V"]))


@pytest.fixture(params=STATED, ids=lambda write: write.__name__.removeprefix("write_"))
def any_format(request):
    """(writer, what the file must be opened with)"""
    return request.param, {} if STATED[request.param] else GIVEN


def test_every_format_gives_the_same_millivolts(tmp_path, any_format):
    write, given = any_format
    signal = ecg(3, np.random.default_rng(0))
    source = open_source(write(tmp_path, signal), **given)
    assert (source.name, source.fs, source.length) == ("r1", 360.0, 1080)
    assert len(source.leads) == 2
    read = whole(source)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, signal, atol=0.006)  # WFDB: 200 steps a mV


def test_columns_come_in_the_order_asked_for(tmp_path, any_format):
    write, given = any_format
    source = open_source(write(tmp_path, ecg(2, np.random.default_rng(0))), **given)
    both = whole(source)
    np.testing.assert_array_equal(whole(source, [1, 0]), both[:, ::-1])
    np.testing.assert_array_equal(whole(source, [1]), both[:, 1:])


@given(
    steps=arrays(
        np.int16,
        st.tuples(st.integers(1, 6).map(lambda seconds: 50 * seconds), st.integers(1, 4)),
        elements=st.integers(-1000, 1000),
    ),
    blocks=st.integers(1, 7),
)
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("write", STATED, ids=lambda write: write.__name__.removeprefix("write_"))
def test_what_was_written_is_read_whatever_the_blocks(write, steps, blocks):
    signal = steps / 200
    if write not in (write_edf, write_bdf):  # they have no mark for it
        signal[steps == 1000] = np.nan
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = write(Path(folder), signal, **({"fs": 50} if STATED[write] else {}))
        patch.setattr(of_all, "BLOCK_VALUES", steps.size // blocks)
        patch.setattr(lines, "CHUNK_BYTES", 40 + path.stat().st_size // blocks)
        source = open_source(path, **({} if STATED[write] else {"fs": 50.0, "units": "mV"}))
        assert (source.length, len(source.leads)) == steps.shape
        np.testing.assert_allclose(whole(source), signal, atol=2e-4)


def test_a_long_recording_comes_in_blocks_of_ten_minutes_at_most(tmp_path, any_format):
    write, given = any_format
    signal = np.zeros((50 * 1500, 1))
    given = {"fs": 50.0, "units": "mV"} if given else {}
    source = open_source(write(tmp_path, signal, **({} if given else {"fs": 50})), **given)
    lengths = [len(block) for block in source.blocks([0])]
    assert len(lengths) > 1
    assert max(lengths) <= 600 * 50
    assert sum(lengths) == source.length == 75000


def test_what_is_no_finite_number_is_nan(tmp_path):
    signal = np.array([[1.0], [np.inf], [-np.inf], [1e300], [np.nan], [-2.0]])
    read = whole(open_source(write_npy(tmp_path, signal), **GIVEN))[:, 0]
    np.testing.assert_array_equal(read, np.array([1, *[np.nan] * 4, -2], np.float32))


def test_formats_that_state_neither_rate_nor_unit_need_both(tmp_path):
    path = write_csv(tmp_path, np.zeros((9, 2)))
    for options, missing in (
        ({}, "its sampling rate or the unit of its samples; .* fs=360, units='mV'$"),
        ({"fs": 360.0}, "the unit of its samples; .* units='mV'$"),
        ({"units": "mV"}, "its sampling rate; .* fs=360$"),
    ):
        with pytest.raises(InputError, match=f"r1.csv: the file does not state {missing}"):
            open_source(path, **options)


@pytest.mark.parametrize("fs", [0, -1, 49.9, 20001, 1e9, float("nan"), float("inf")])
def test_a_rate_no_ecg_has_is_refused(tmp_path, fs):
    with pytest.raises(InputError, match=r"^fs is .* Hz; give .* sampling rate, above 90"):
        open_source(write_npy(tmp_path, np.zeros(900)), fs=fs, units="mV")


@pytest.mark.parametrize("fs", [2, 49, 25000])
def test_so_is_one_that_the_file_states(tmp_path, fs):
    with pytest.raises(InputError, match=f"^recording r1 is sampled at {fs} Hz; "):
        open_source(write_wfdb(tmp_path, np.zeros((30000, 1)), fs=fs))


@pytest.mark.parametrize("write", [write_wfdb, write_edf])
def test_a_rate_that_a_file_states_may_be_repeated_not_contradicted(tmp_path, write):
    path = write(tmp_path, np.zeros((720, 2)))
    assert open_source(path, fs=360.0).fs == 360
    with pytest.raises(InputError, match=r"r1.*: it says 360 Hz, not 250; leave fs out"):
        open_source(path, fs=250.0)


@pytest.mark.parametrize("write", [write_wfdb, write_edf, write_bdf, write_ishne])
def test_units_and_gain_count_more_than_what_the_file_states_and_this_is_said(tmp_path, write):
    signal = ecg(2, np.random.default_rng(0))
    path = write(tmp_path, signal)
    stated = open_source(path)
    assert stated.notes == ()
    same = open_source(path, units="mV" if write is not write_ishne else "nV")
    assert same.notes == ()
    other = open_source(path, units="uV")
    factor = 1e-3 if write is not write_ishne else 1e3
    np.testing.assert_allclose(whole(other), whole(stated) * factor, rtol=1e-5)
    assert "read as uV instead of the file's" in other.notes[0]
    steps = {write_wfdb: 200, write_edf: 6553.4, write_bdf: 1677721.4, write_ishne: 200}[write]
    scaled = open_source(path, gain=steps / 4)
    np.testing.assert_allclose(whole(scaled), whole(stated) * 4, rtol=1e-5, atol=1e-3)
    assert (
        f"read with {steps / 4:g} steps per mV instead of the file's {steps:.6g}" in scaled.notes[0]
    )


@pytest.mark.parametrize("write", [write_csv, write_npy])
def test_gain_stands_in_for_units(tmp_path, write):
    source = open_source(write(tmp_path, np.full((500, 2), 50.0)), fs=360.0, gain=200)
    np.testing.assert_allclose(whole(source), 0.25)
    with pytest.raises(InputError, match="give one of them"):
        open_source(tmp_path / "r1.npy", fs=360.0, gain=200, units="mV")


@pytest.mark.parametrize("gain", [0, -200, 1e-4, 1e10, float("nan"), float("inf")])
def test_a_gain_that_cannot_be_is_refused(tmp_path, gain):
    with pytest.raises(InputError, match=r"^gain is .*; give the converter's steps per mV"):
        open_source(write_npy(tmp_path, np.zeros(500)), fs=360.0, gain=gain)


@pytest.mark.parametrize(
    ("units", "per_unit"), [("mV", 1), ("MV", 1), ("uV", 1e-3), ("μV", 1e-3), ("V", 1e3)]
)
def test_other_voltages_become_millivolts_here_too(tmp_path, units, per_unit):
    source = open_source(write_npy(tmp_path, np.full(500, 2.0)), fs=360.0, units=units)
    np.testing.assert_allclose(whole(source), 2 * per_unit)


@pytest.mark.parametrize("units", ["", "mmHg", "watt", "m V"])
def test_what_is_no_voltage_is_refused(tmp_path, units):
    with pytest.raises(InputError, match=f"^units is '{units}'; give mV, uV or V$"):
        open_source(write_npy(tmp_path, np.zeros(500)), fs=360.0, units=units)


def test_a_source_notices_that_its_file_has_changed(tmp_path):
    path = write_npy(tmp_path, np.zeros(500))
    source = open_source(path, **GIVEN)
    write_npy(tmp_path, np.zeros(400))
    with pytest.raises(InputError, match="had 500 samples when it was opened and 400 when"):
        whole(source)


@pytest.mark.slow
def test_more_than_500_malformed_recordings_give_samples_or_one_line(tmp_path, monkeypatch):
    def no_network(*_args, **_kwargs):
        raise AssertionError("a reader went to the network")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    names, messages, read = set(), {}, 0
    for name, path, options in malformed(tmp_path):
        names.add(name)
        try:
            source = open_source(path, **options)
            length = sum(len(block) for block in source.blocks(range(len(source.leads))))
        except InputError as error:
            messages[name] = str(error)
        else:
            assert length == source.length > 0, name
            assert all(lead.isprintable() for lead in source.leads), name
            read += 1
    assert len(names) == read + len(messages) >= 500
    assert min(read, len(messages)) > 200
    assert not [name for name, line in messages.items() if not line.isprintable()]  # one line
