"""Recordings of any format, on small files that these tests write themselves."""

import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from malformed import csv_bytes, ecg, edf_fields, edf_header, malformed, wfdb_bytes

from kdjax.errors import InputError
from kdjax.recordings import (
    Annotations,
    Recording,
    csv,
    find_sources,
    open_source,
    read_wfdb,
)
from kdjax.recordings import source as of_all


def write_record(folder, name="r1", length=2000, leads=("V5", "MLII"), symbols="+NVN", invalid=()):
    """Writes a record whose lead i is a ramp of 200 steps of 5 uV, starting at i mV; gives it."""
    steps = np.arange(length)[:, None] % 200 + 200 * np.arange(len(leads))
    digital = steps.copy()
    digital[list(invalid), 0] = -2048  # format 212's mark of an invalid sample
    wfdb.wrsamp(
        name,
        fs=360,
        units=["mV"] * len(leads),
        sig_name=list(leads),
        d_signal=digital,
        fmt=["212"] * len(leads),
        adc_gain=[200.0] * len(leads),
        baseline=[0] * len(leads),
        write_dir=str(folder),
    )
    if symbols:
        samples = np.arange(1, len(symbols) + 1) * 300
        wfdb.wrann(name, "atr", samples, symbol=list(symbols), write_dir=str(folder))
    return steps / 200


def test_a_record_is_read_in_millivolts_with_its_leads_rate_and_annotations(tmp_path):
    expected = write_record(tmp_path)
    recording = read_wfdb(tmp_path / "r1")
    assert (recording.name, recording.fs, recording.leads) == ("r1", 360.0, ("V5", "MLII"))
    assert recording.signal.dtype == np.float32
    np.testing.assert_allclose(recording.signal, expected, rtol=1e-7)
    assert recording.annotations.symbol.tolist() == ["+", "N", "V", "N"]
    assert recording.annotations.sample.tolist() == [300, 600, 900, 1200]
    assert recording.annotations.sample.dtype == np.int64


def test_the_suffix_is_optional_and_so_are_annotations(tmp_path):
    write_record(tmp_path, symbols="")
    recording = read_wfdb(str(tmp_path / "r1.hea"))
    assert recording.annotations is None


def test_other_voltages_become_millivolts(tmp_path):
    expected = write_record(tmp_path)
    header = tmp_path / "r1.hea"
    header.write_text(header.read_text().replace("/mV", "/uV", 1))
    signal = read_wfdb(header).signal
    np.testing.assert_allclose(signal, expected * [1e-3, 1], rtol=1e-6)


def test_a_lead_is_found_by_its_name_wherever_it_stands(tmp_path):
    expected = write_record(tmp_path)
    np.testing.assert_allclose(read_wfdb(tmp_path / "r1").lead("MLII"), expected[:, 1], rtol=1e-7)


def test_a_missing_lead_is_named_with_those_there_are(tmp_path):
    write_record(tmp_path, leads=("V5", "V2"))
    with pytest.raises(InputError, match=r"^record r1 has no lead MLII: its leads are V5, V2; "):
        read_wfdb(tmp_path / "r1").lead("MLII")


def spoil_nothing_there(folder):
    (folder / "r1.hea").unlink()


def spoil_no_signal_file(folder):
    (folder / "r1.dat").unlink()


def spoil_truncated(folder):
    content = (folder / "r1.dat").read_bytes()
    (folder / "r1.dat").write_bytes(content[: len(content) // 2])


def spoil_last_byte_gone(folder):
    (folder / "r1.dat").write_bytes((folder / "r1.dat").read_bytes()[:-1])


def spoil_empty_header(folder):
    (folder / "r1.hea").write_text("")


def spoil_header_of_a_lead_too_many(folder):
    header = (folder / "r1.hea").read_text()
    (folder / "r1.hea").write_text(header.replace("r1 2 360", "r1 3 360"))


def spoil_no_samples(folder):
    header = (folder / "r1.hea").read_text()
    (folder / "r1.hea").write_text(header.replace("360 2000", "360 0"))


def spoil_annotations(folder):
    (folder / "r1.atr").write_bytes((folder / "r1.atr").read_bytes()[:-1])


def spoil_unit(folder):
    header = (folder / "r1.hea").read_text()
    (folder / "r1.hea").write_text(header.replace("/mV", "/mmHg", 1))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_nothing_there, "r1.hea is missing"),
        (spoil_no_signal_file, "r1.dat"),
        (spoil_truncated, "truncated"),
        (spoil_last_byte_gone, "truncated"),
        (spoil_empty_header, "r1.hea"),
        (spoil_header_of_a_lead_too_many, "r1.hea"),
        (spoil_no_samples, "r1.hea"),
        (spoil_annotations, "r1.atr"),
        (spoil_unit, "'mmHg'"),
    ],
)
def test_a_bad_record_is_one_line_that_names_it(tmp_path, spoil, words):
    write_record(tmp_path)
    spoil(tmp_path)
    with pytest.raises(InputError) as error:
        read_wfdb(tmp_path / "r1")
    message = str(error.value)
    assert message.startswith("record r1: ")
    assert words in message
    assert "\n" not in message


def test_invalid_samples_are_refused_with_lead_and_place(tmp_path):
    write_record(tmp_path, invalid=(5, 6, 700))
    with pytest.raises(InputError, match=r"r1: lead V5 has invalid samples \(3, the first is samp"):
        read_wfdb(tmp_path / "r1")


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
        Recording("x", signal, fs, ("a", "b"))


def test_annotations_come_in_pairs():
    with pytest.raises(InputError, match="as many samples as symbols"):
        Annotations(np.arange(3), np.array(["N", "V"]))


# Recordings of any format, block by block


def whole(source, columns=None):
    """The source's leads, read to the end and joined."""
    columns = range(len(source.leads)) if columns is None else columns
    return np.concatenate(list(source.blocks(columns)))


def write_wfdb(folder, signal, name="r1", **options):
    header, data = wfdb_bytes(signal, name, **options)
    (folder / f"{name}.dat").write_bytes(data)
    (folder / f"{name}.hea").write_bytes(header)
    return folder / f"{name}.hea"


def write_edf(folder, signal, bdf=False, changes=(), **options):
    fields, data = edf_fields(signal, bdf=bdf, **options)
    for name, lead, value in changes:
        fields[name, lead] = (value, fields[name, lead][1])
    path = folder / ("r1.bdf" if bdf else "r1.edf")
    path.write_bytes(edf_header(fields) + data)
    return path


def write_bdf(folder, signal, **options):
    return write_edf(folder, signal, bdf=True, **options)


def write_csv(folder, signal):
    path = folder / "r1.csv"
    path.write_bytes(csv_bytes(signal, "I,II" if signal.shape[1] == 2 else ""))
    return path


def write_npy(folder, signal):
    np.save(folder / "r1.npy", signal)
    return folder / "r1.npy"


def write_text(folder, content, name="r1.csv"):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


STATED = {write_wfdb: True, write_edf: True, write_bdf: True, write_csv: False, write_npy: False}
GIVEN = {"fs": 360.0, "units": "mV"}


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
    if write not in (write_edf, write_bdf):  # which have no mark for it
        signal[steps == 1000] = np.nan
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = write(Path(folder), signal, **({"fs": 50} if STATED[write] else {}))
        patch.setattr(of_all, "BLOCK_VALUES", steps.size // blocks)
        patch.setattr(csv, "LINE_BYTES", 40 + path.stat().st_size // blocks)
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
        ({}, "fs and units"),
        ({"fs": 360.0}, "units"),
        ({"units": "mV"}, "fs"),
    ):
        with pytest.raises(InputError, match=f"r1.csv: this format does not state {missing}; "):
            open_source(path, **options)


@pytest.mark.parametrize("fs", [0, -1, 49.9, 20001, 1e9, float("nan"), float("inf")])
def test_a_rate_no_ecg_has_is_refused(tmp_path, fs):
    with pytest.raises(InputError, match=r"^fs is .* Hz; give the recording's sampling rate"):
        open_source(write_npy(tmp_path, np.zeros(900)), fs=fs, units="mV")


@pytest.mark.parametrize("fs", [2, 49, 25000])
def test_so_is_one_that_the_file_states(tmp_path, fs):
    with pytest.raises(InputError, match=f"^recording r1 is sampled at {fs} Hz; "):
        open_source(write_wfdb(tmp_path, np.zeros((30000, 1)), fs=fs))


@pytest.mark.parametrize("write", [write_wfdb, write_edf])
def test_rate_and_unit_that_a_file_states_may_be_repeated_not_contradicted(tmp_path, write):
    path = write(tmp_path, np.zeros((720, 2)), units="uV")
    assert open_source(path, fs=360.0, units="\N{MICRO SIGN}V").fs == 360
    with pytest.raises(InputError, match=r"r1.*: it says 360 Hz, not 250; leave fs out"):
        open_source(path, fs=250.0)
    with pytest.raises(InputError, match=r"r1.*: it says uV, not mV; leave units out"):
        open_source(path, units="mV")


@pytest.mark.parametrize(
    ("units", "per_unit"), [("mV", 1), ("MV", 1), ("uV", 1e-3), ("μV", 1e-3), ("V", 1e3)]
)
def test_other_voltages_become_millivolts_here_too(tmp_path, units, per_unit):
    source = open_source(write_npy(tmp_path, np.full(500, 2.0)), fs=360.0, units=units)
    np.testing.assert_allclose(whole(source), 2 * per_unit)


@pytest.mark.parametrize("units", ["", "mmHg", "volts", "m V"])
def test_what_is_no_voltage_is_refused(tmp_path, units):
    with pytest.raises(InputError, match=f"^units is '{units}'; give mV, uV or V$"):
        open_source(write_npy(tmp_path, np.zeros(500)), fs=360.0, units=units)


def test_a_source_notices_that_its_file_has_changed(tmp_path):
    path = write_npy(tmp_path, np.zeros(500))
    source = open_source(path, **GIVEN)
    write_npy(tmp_path, np.zeros(400))
    with pytest.raises(InputError, match="had 500 samples when it was opened and 400 when"):
        whole(source)


# WFDB


def test_wfdb_blocks_are_what_read_wfdb_reads_at_once(tmp_path):
    write_record(tmp_path)
    source = open_source(tmp_path / "r1")
    assert source.leads == ("V5", "MLII")
    np.testing.assert_array_equal(whole(source), read_wfdb(tmp_path / "r1").signal)


def test_invalid_samples_are_nan(tmp_path):
    expected = write_record(tmp_path, invalid=(5, 6, 700))
    expected[[5, 6, 700], 0] = np.nan
    np.testing.assert_allclose(whole(open_source(tmp_path / "r1")), expected, rtol=1e-6)


def test_signals_that_are_no_voltages_are_left_out(tmp_path):
    expected = write_record(tmp_path)
    header = tmp_path / "r1.hea"
    header.write_text(header.read_text().replace("/mV", "/mmHg", 1))
    source = open_source(header)
    assert source.leads == ("MLII",)
    np.testing.assert_allclose(whole(source), expected[:, 1:], rtol=1e-6)
    header.write_text(header.read_text().replace("/mV", "/NU"))
    with pytest.raises(InputError, match=r"r1.hea: no signal is a voltage \(units: NU, mmHg\)"):
        open_source(header)


def test_signals_of_several_rates_are_read_at_that_of_the_ecg(tmp_path):
    header = "r1 3 125 1000\nr1.dat 16x4 200/mV 0 0 0 0 0 II\nr1.dat 16x4 200/mV 0 0 0 0 0 V\n"
    write_text(tmp_path, header + "r1.dat 16 200/mV 0 0 0 0 0 Resp\n", "r1.hea")
    frames = np.arange(9000, dtype="<i2").reshape(1000, 9)
    write_text(tmp_path, frames.tobytes(), "r1.dat")
    source = open_source(tmp_path / "r1")
    assert (source.fs, source.leads, source.length) == (500.0, ("II", "V"), 4000)
    expected = np.stack([frames[:, :4].ravel(), frames[:, 4:8].ravel()], axis=1) / 200
    np.testing.assert_allclose(whole(source), expected, rtol=1e-6)


@pytest.mark.parametrize("layout", ["", "layout 0\n"])
def test_segments_follow_each_other_with_nan_where_a_lead_has_none(tmp_path, layout):
    rng = np.random.default_rng(0)
    first, second = ecg(2, rng), ecg(3, rng)
    write_wfdb(tmp_path, first, "a")
    header = write_wfdb(tmp_path, second, "b")
    header.write_text(header.read_text().replace("L0", "aVF"))
    write_text(tmp_path, "layout 2 360 0\n~ 0 1/mV 0 0 0 0 0 L0\n~ 0 1/mV 0 0 0 0 0 aVF\n",
               "layout.hea")  # fmt: skip
    parts = 3 + bool(layout)
    write_text(tmp_path, f"m/{parts} 2 360 2500\n{layout}a 720\n~ 700\nb 1080\n", "m.hea")
    source = open_source(tmp_path / "m")
    assert (source.leads, source.length) == (("L0", "L1", "aVF"), 2500)
    expected = np.full((2500, 3), np.nan)
    expected[:720, :2], expected[1420:, [2, 1]] = first, second
    np.testing.assert_allclose(whole(source), expected, atol=0.006)
    np.testing.assert_allclose(whole(source, [2]), expected[:, 2:], atol=0.006)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (" 900\n", " 901\n", "it says 901 samples, but r1.dat holds 900"),
        (" 900\n", " 1000000000000\n", "it says 1000000000000 samples, but r1.dat holds 900"),
        (" 900\n", "\n", "does not say how many samples"),
        (" 16 ", " 16:4000 ", "skewed by more than 10 seconds"),
        (" 16 ", " 16x0 ", "at least one sample a frame"),
        (" 16 ", " 16x99999999999 ", "at least one sample a frame"),
        (" 16 ", " 8 ", "format 8 cannot be read"),
        ("r1 1 ", "r1 1000000 ", "it says 1000000 signals and describes 1"),
        (".dat", ".dot", "its signal file r1.dot is missing"),
        ("0 L0", "0 L0\n" + "#\n" * 20_000, "too long for a WFDB header"),
        ("0 L0", "0 L0\n#" + "-" * 2**20, "too long for a WFDB header"),
    ],
)
def test_a_false_header_is_refused_before_anything_is_read(tmp_path, old, new, words):
    header = write_wfdb(tmp_path, np.zeros((900, 1)))
    header.write_text(header.read_text().replace(old, new))
    with pytest.raises(InputError, match=rf"r1\.hea: .*{words}"):
        open_source(header)


@pytest.mark.parametrize("elsewhere", ["../r1.dat", "/etc/passwd", "in/r1.dat"])
def test_a_signal_file_in_another_folder_is_not_opened(tmp_path, elsewhere):
    header = write_wfdb(tmp_path, np.zeros((900, 1)))
    header.write_text(header.read_text().replace("r1.dat", elsewhere))
    with pytest.raises(InputError, match="invalid syntax in signal line"):
        open_source(header)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("m/3 2 360 900\nr1 900\n", "it says 3 segments and names 1"),
        ("m/2 2 360 900\nr1 900\n~ 900\n", "rate or length of its segments"),
        ("m/1 2 360 800\nr1 800\n", "rate or length of its segments"),
        ("m/1 2 250 900\nr1 900\n", "rate or length of its segments"),
        ("m/1 2 360 900\nm 900\n", "its segment m has segments"),
        ("m/1 2 360 900\n~ 900\n", "no segment holds a voltage"),
        ("m/1 2 360 900\nr2 900\n", "r2.hea: is missing"),
    ],
)
def test_segments_that_are_not_what_the_header_says_are_refused(tmp_path, text, words):
    write_wfdb(tmp_path, np.zeros((900, 1)))
    with pytest.raises(InputError, match=words):
        open_source(write_text(tmp_path, text, "m.hea"))


def test_a_path_that_wfdb_would_take_to_the_network_is_refused(tmp_path):
    folder = tmp_path / "http::x"
    folder.mkdir()
    with pytest.raises(InputError, match="cannot open a path with '::'"):
        open_source(write_wfdb(folder, np.zeros((900, 1))))


def test_names_with_spaces_and_other_alphabets_are_names(tmp_path):
    (tmp_path / "Größe 1").mkdir()
    path = write_wfdb(tmp_path / "Größe 1", np.zeros((900, 1))).rename(
        tmp_path / "Größe 1" / "心电图 [1]*.hea"
    )
    assert whole(open_source(path)).shape == (900, 1)


# EDF


def test_edf_annotations_and_other_units_are_left_out(tmp_path):
    signal = np.column_stack([ecg(3, np.random.default_rng(0)), np.zeros(1080)])
    changes = [
        ("label", 0, b"EDF Annotations"),
        ("reserved", None, b"EDF+C"),
        ("label", 1, b"ECG II"),
        ("unit", 2, b"mmHg"),
    ]
    source = open_source(write_edf(tmp_path, signal, changes=changes))
    assert source.leads == ("ECG II",)
    np.testing.assert_allclose(whole(source), signal[:, 1:2], atol=2e-4)


def test_of_several_rates_in_an_edf_the_ecg_counts(tmp_path):
    changes = [
        *(("label", i, b"EEG") for i in range(3)),
        *(("samples", i, b"512") for i in range(3)),
        ("label", 3, b"EKG"),
        ("samples", 3, b"256"),
    ]
    path = write_edf(tmp_path, np.zeros((5 * 360, 4)), changes=[*changes, ("records", None, b"-1")])
    source = open_source(path)
    assert (source.leads, source.fs, source.length) == (("EKG",), 256.0, 4 * 256)


def test_an_edf_without_units_takes_those_given(tmp_path):
    path = write_edf(tmp_path, np.ones((720, 2)), units="")
    with pytest.raises(InputError, match="no signal is a voltage"):
        open_source(path)
    np.testing.assert_allclose(whole(open_source(path, units="V")), 1000, rtol=1e-3)


def test_an_edf_that_lost_its_end_or_was_interrupted_is_refused(tmp_path):
    path = write_edf(tmp_path, np.zeros((1080, 1)))
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(InputError, match="its header says 3 data records, it holds 2; "):
        open_source(path)
    path.write_bytes(content[:192] + b"EDF+D" + content[197:])
    with pytest.raises(InputError, match=r"is an interrupted recording \(EDF\+D\)"):
        open_source(path)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("physical max", b"-5", "ECG has no range of values"),
        ("physical max", b"nan", "ECG has no range of values"),
        ("digital max", b"-32767", "ECG has no range of values"),
        ("samples", b"0", "samples a data record cannot be read"),
        ("samples", b"99999999", "samples a data record cannot be read"),
        ("physical max", b"five", "five"),
    ],
)
def test_an_edf_channel_that_cannot_be_scaled_is_refused(tmp_path, name, value, words):
    path = write_edf(tmp_path, np.zeros((720, 1)), changes=[(name, 0, value)])
    with pytest.raises(InputError, match=rf"r1\.edf.*{words}"):
        open_source(path)


def test_edf_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "edfio", None)
    with pytest.raises(InputError, match=r"pip install 'kdjax\[edf\]'"):
        open_source(write_edf(tmp_path, np.zeros((720, 1))))


# NPY


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int16, np.uint8, ">i4"])
@pytest.mark.parametrize("turn", [np.asarray, np.asfortranarray, np.transpose])
def test_arrays_of_any_real_numbers_either_way_round(tmp_path, dtype, turn):
    signal = np.arange(900).reshape(300, 3) % 120
    if turn is np.transpose:
        signal = np.repeat(signal, 2, axis=0)  # 3 rows of 600: more than a hundred times as many
    source = open_source(write_npy(tmp_path, turn(signal.astype(dtype))), **GIVEN)
    assert source.leads == ("lead 1", "lead 2", "lead 3")
    np.testing.assert_array_equal(whole(source), signal)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(900, bool), np.zeros(900, complex), np.zeros((900, 2, 1)), np.zeros((900, 65)),
        np.zeros((16, 1600)), np.array(1.0), np.array([{}] * 900), np.zeros(900, [("a", float)]),
    ],
    ids=["bool", "complex", "3-D", "leads", "square", "scalar", "object", "fields"],
)  # fmt: skip
def test_other_arrays_are_refused(tmp_path, array):
    np.save(tmp_path / "r1.npy", array)
    with pytest.raises(InputError, match=r"r1\.npy"):
        open_source(tmp_path / "r1.npy", **GIVEN)


# CSV

ROWS = [[0.5, 1.0], [np.nan, -2.0], [0.25, np.nan]]
AS_TEXT = {
    "a header": "I,II\n0.5,1\n,-2\n0.25,nan\n",
    "no header": "0.5,1\n,-2\n0.25,nan",
    "CRLF": "I,II\r\n0.5,1\r\n-,-2\r\n0.25,NaN\r\n\r\n",
    "byte order mark": "\N{BYTE ORDER MARK}I,II\n0.5,1\n,-2\n0.25,-\n",
    "quotes": '"I",\'II\'\n0.5,1\n,-2\n"0.25",NA\n',
    "semicolons": "I;II\n0.5;1\n;-2\n0.25;\n",
    "decimal commas": "I;II\n0,5;1\n;-2\n,25;\n",
    "tabs": "I\tII\n0.5\t1\n\t-2\n0.25\t\n",
    "spaces": "  I  II\n 0.5  1.0\nnan  -2\n0.25   -  \n",
    "comma and space": "I, II\n0.5, 1\n, -2\n0.25, \n",
    "time": "time (s),I,II\n0,0.5,1\n0.003,,-2\n0.006,0.25,\n",
    "sample number at the end": "I,II,Sample #\n0.5,1,7\n,-2,8\n0.25,,9\n",
    "clock": "date time,I,II\n1.1. 10:00,0.5,1\n1.1. 10:00,,-2\n1.1. 10:00,0.25,\n",
    "an index without a name": ",I,II\n0,0.5,1\n1,,-2\n2,0.25,\n",
    "a comment sign": "# I II\n0.5 1\n- -2\n0.25 -\n",
    "exponents": "I,II\n5e-1,1E0\n,-2.\n+.25,\n",
}


@pytest.mark.parametrize("text", AS_TEXT.values(), ids=AS_TEXT)
def test_a_table_is_read_however_it_is_written(tmp_path, text):
    source = open_source(write_text(tmp_path, text), **GIVEN)
    named = not text.startswith("0.5")
    assert source.leads == (("I", "II") if named else ("lead 1", "lead 2"))
    assert source.length == 3
    np.testing.assert_array_equal(whole(source), ROWS)


def test_one_column_needs_no_delimiter_and_may_have_blank_lines(tmp_path):
    source = open_source(write_text(tmp_path, "II\n1\n\n-3\n", "r1.TXT"), **GIVEN)
    assert source.leads == ("II",)
    np.testing.assert_array_equal(whole(source)[:, 0], [1, np.nan, -3])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1", "line 402 has 1 fields, not 2"),
        ("1,2,3", "line 402 has 3 fields, not 2"),
        ("", "line 402 has 1 fields, not 2"),
        ("1,2,3\n1", "line 402 has 3 fields, not 2"),
        ("1,oops", "line 402: 'oops' is no number"),
        ("0x1,2", "line 402: '0x1' is no number"),
        ("1 2,3", "line 402: '1 2' is no number"),
        ("1;2", "line 402 has 1 fields, not 2"),
    ],
)
@pytest.mark.parametrize("line_bytes", [100, 1 << 20])
def test_a_bad_line_is_named(tmp_path, monkeypatch, line, words, line_bytes):
    path = write_text(tmp_path, "I,II\n" + "0.1,0.2\n" * 400 + line + "\n" + "0.1,0.2\n" * 400)
    monkeypatch.setattr(csv, "LINE_BYTES", line_bytes)
    source = open_source(path, **GIVEN)
    with pytest.raises(InputError, match=f"r1.csv: {words}; repair it$"):
        whole(source)


def test_a_zero_byte_ends_no_number(tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "LINE_BYTES", 100)
    source = open_source(write_text(tmp_path, "0.1,0.2\n" * 400 + "0.1\0009,1\n"), **GIVEN)
    with pytest.raises(InputError, match=r"line 401: '0\.1 9' is no number"):
        whole(source)


@pytest.mark.parametrize("header", ["seconds", "time [s]", "time", "Time (ms)", "t", "sample"])
def test_a_time_column_that_agrees_with_fs_is_left_out(tmp_path, header):
    per_row = {"Time (ms)": 1e3 / 360, "t": 1.0, "sample": 1.0}.get(header, 1 / 360)
    rows = "".join(f"{i * per_row:.3f},0.1\n" for i in range(200))
    assert open_source(write_text(tmp_path, f"{header},I\n{rows}"), **GIVEN).leads == ("I",)


@pytest.mark.parametrize("header", ["seconds", "time [s]", "time"])
def test_a_time_column_that_contradicts_fs_is_an_error(tmp_path, header):
    rows = "".join(f"{i / 250:.3f},0.1\n" for i in range(200))
    with pytest.raises(InputError, match=r"advances by 0\.004 a row, which is not 360 Hz"):
        open_source(write_text(tmp_path, f"{header},I\n{rows}"), **GIVEN)


# What is found in a folder, and what must never happen


def test_a_folder_gives_each_recording_once_in_order(tmp_path):
    for name in ("b", "s1", "s2"):
        write_wfdb(tmp_path, np.zeros((900, 1)), name)
    write_text(tmp_path, "m/2 1 360 1800\ns1 900\ns2 900\n", "m.hea")
    write_text(tmp_path, "", "broken.hea")
    for name in ("a.CSV", "z.edf", "c.npy", "y.bdf", "notes.txt", ".hidden.csv", "b.atr"):
        write_text(tmp_path, "1\n", name)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    names = [path.name for path in find_sources(tmp_path)]
    assert names == ["a.CSV", "b.hea", "broken.hea", "c.npy", "m.hea", "y.bdf", "z.edf"]
    with pytest.raises(InputError, match="is no folder"):
        find_sources(tmp_path / "b.hea")


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
