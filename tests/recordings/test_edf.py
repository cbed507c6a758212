"""EDF, EDF+ and BDF."""

import edfio
import numpy as np
import pytest
from file_bytes import ecg, edf_fields, edf_header
from written import whole, write_bdf, write_edf

from kdjax.errors import InputError
from kdjax.recordings import open_source, source


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


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("physical max", b"-5", "ECG has no range of values"),
        ("physical max", b"nan", "ECG has no range of values"),
        ("digital max", b"-32767", "ECG has no range of values"),
        ("samples", b"-5", "samples a data record cannot be read"),
        ("samples", b"99999999", "samples a data record cannot be read"),
        ("physical max", b"five", "ECG has no range of values"),
    ],
)
def test_an_edf_channel_that_cannot_be_scaled_is_refused(tmp_path, name, value, words):
    path = write_edf(tmp_path, np.zeros((720, 1)), changes=[(name, 0, value)])
    with pytest.raises(InputError, match=rf"r1\.edf.*{words}"):
        open_source(path)


@pytest.mark.parametrize("write", [write_edf, write_bdf])
def test_values_are_those_that_edfio_reads(tmp_path, write):
    signal = ecg(3, np.random.default_rng(0))
    path = write(tmp_path, signal, changes=[("physical max", 0, b"7.5"), ("digital min", 1, b"-9")])
    read = edfio.read_bdf(path) if write is write_bdf else edfio.read_edf(path)
    expected = np.stack([s.data for s in read.signals], axis=1)
    np.testing.assert_allclose(whole(open_source(path)), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("stated", "cut", "notes"),
    [
        (b"3", 0, []),
        (b"-1", 0, []),
        (b"4", 0, ["its header says 4 data records; the file has 3"]),
        (b"2", 0, ["its header says 2 data records; the file has 3"]),
        (b"-1", -1, ["left out: 719 bytes at the end, less than a data record"]),
        (b"3", -1, ["its header says 3 data records; the file has 2",
                    "left out: 719 bytes at the end, less than a data record"]),
    ],
)  # fmt: skip
def test_what_records_there_are_is_read_and_said(tmp_path, stated, cut, notes):
    signal = ecg(3, np.random.default_rng(0))[:, :1]
    path = write_edf(tmp_path, signal, changes=[("records", None, stated)])
    path.write_bytes(path.read_bytes()[: cut or None])
    source = open_source(path)
    assert list(source.notes) == notes
    assert source.length == (720 if cut else 1080)
    np.testing.assert_allclose(whole(source), signal[: source.length], atol=2e-4)


def test_one_without_a_whole_record_is_refused(tmp_path):
    path = write_edf(tmp_path, np.zeros((360, 1)))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"r1\.edf: holds no whole data record"):
        open_source(path)


@pytest.mark.parametrize(
    "change",
    [
        [("physical min", 0, b"0"), ("physical max", 0, b"0")],
        [("digital min", 0, b"0"), ("digital max", 0, b"0")],
        [("physical min", 0, b""), ("physical max", 0, b"")],
    ],
)
def test_a_channel_without_a_range_is_left_out_and_it_is_said(tmp_path, change):
    signal = ecg(3, np.random.default_rng(0))
    path = write_edf(tmp_path, signal, changes=[("label", 0, b"-"), ("label", 1, b"II"), *change])
    source = open_source(path)
    assert source.leads == ("II",)
    assert source.notes == ("left out (no range of values): -",)
    np.testing.assert_allclose(whole(source), signal[:, 1:], atol=2e-4)


def test_decimal_commas_are_points(tmp_path):
    signal = ecg(3, np.random.default_rng(0))
    ends = [("physical min", 0, b"-5,0"), ("physical max", 0, b"5,0"), ("duration", None, b"1,0")]
    read = whole(open_source(write_edf(tmp_path, signal, changes=ends)))
    np.testing.assert_allclose(read, signal, atol=2e-4)


def plus(folder, signal, onsets, kind=b"EDF+D", samples=8, bdf=False):
    """An EDF+ file of records of a second, each with the time stamp of its onset."""
    fields, data = edf_fields(signal, bdf=bdf)
    records, width = len(onsets), 3 if bdf else 2
    n = signal.shape[1]
    names = [name for name, lead in fields if lead == 0]
    annotation = {
        "label": b"BDF Annotations" if bdf else b"EDF Annotations", "transducer": b"", "unit": b"",
        "physical min": b"-1", "physical max": b"1", "digital min": b"-32768",
        "digital max": b"32767", "filter": b"", "samples": b"%d" % samples, "reserved": b"",
    }  # fmt: skip
    header = {key: value for key, value in fields.items() if key[1] is None}
    for name in names:
        header |= {(name, i): fields[name, i] for i in range(n)}
        header[name, n] = (annotation[name], fields[name, 0][1])
    header["signals", None] = (b"%d" % (n + 1), 4)
    header["header bytes", None] = (b"%d" % (256 * (n + 2)), 8)
    header["reserved", None] = (kind, 44)
    header["records", None] = (b"%d" % records, 8)
    size = len(data) // records
    stamps = [onset.encode() + b"\x14\x14\x00" for onset in onsets]
    rows = [
        data[i * size : (i + 1) * size]
        + (stamp.ljust(samples * width, b"\0") if samples else stamp)
        for i, stamp in enumerate(stamps)
    ]
    path = folder / ("r1.bdf" if bdf else "r1.edf")
    path.write_bytes(edf_header(header) + b"".join(rows))
    return path


@pytest.mark.parametrize("bdf", [False, True])
def test_the_gaps_of_an_interrupted_recording_are_missing(tmp_path, bdf, monkeypatch):
    signal = ecg(5, np.random.default_rng(0))
    onsets = ["+0.25", "+1.25", "+4.75", "+5.75", "+66.75"]
    path = plus(tmp_path, signal, onsets, b"BDF+D" if bdf else b"EDF+D", bdf=bdf)
    expected = np.full((67 * 360 + 180, 2), np.nan)
    for i, onset in enumerate(onsets):
        at = round((float(onset) - 0.25) * 360)
        expected[at : at + 360] = signal[360 * i : 360 * (i + 1)]
    for values in (4_000_000, 1500):
        monkeypatch.setattr(source, "BLOCK_VALUES", values)
        opened = open_source(path)
        assert opened.length == len(expected)
        np.testing.assert_allclose(whole(opened), expected, atol=2e-4)
        assert opened.notes == (
            "interrupted recording: 62.5 s missing in 2 gaps, the longest 60 s, "
            "0:00:06 after the start",
        )


def test_one_that_says_interrupted_and_is_not_is_whole(tmp_path):
    opened = open_source(plus(tmp_path, np.ones((1080, 1)), ["+0", "+1", "+2"]))
    assert (opened.length, opened.notes) == (1080, ())


def test_inexact_time_stamps_add_up_to_no_gap(tmp_path):
    onsets = ["+0", "+1.003", "+2", "+3.003", "+4", "+5.003"]  # a sample late every other time
    assert open_source(plus(tmp_path, np.ones((6 * 360, 1)), onsets)).length == 6 * 360 + 1


@pytest.mark.parametrize(
    ("onsets", "said"),
    [(["+0", "+1.01", "+2.01"], None), (["+0", "+1.9", "+3.8"], "say that it lasts 5 s and not 3"),
     (["+0", "+1", "+4.5", "+5.5"], "jump by 2.5 s, 0:00:02 after the start"),
     (["+0", "+9", "+1", "+2"], "jump by 8 s, 0:00:01 after the start (the first of 2 jumps)")],
)  # fmt: skip
def test_a_continuous_recording_whose_stamps_jump_says_so(tmp_path, onsets, said):
    """A clock that drifts does not matter."""
    opened = open_source(plus(tmp_path, np.ones((360 * len(onsets), 1)), onsets, b"EDF+C"))
    assert opened.length == 360 * len(onsets)
    assert [note.split("stamps ")[1] for note in opened.notes] == ([said] if said else [])


@pytest.mark.parametrize(
    ("onsets", "words"),
    [(["+0", "+5", "+1"], "do not follow each other"), (["+0", "x", "+2"], "do not follow"),
     (["+0", "+1", "+900000"], "all but 3 s of its 250 hours are missing")],
)  # fmt: skip
def test_interruptions_that_cannot_be_are_refused(tmp_path, onsets, words):
    with pytest.raises(InputError, match=words):
        open_source(plus(tmp_path, np.ones((1080, 1)), onsets))


def test_one_that_does_not_say_where_it_was_interrupted_is_refused(tmp_path):
    path = write_edf(tmp_path, np.ones((1080, 1)), changes=[("reserved", None, b"EDF+D")])
    with pytest.raises(InputError, match="does not say where; convert it to EDF"):
        open_source(path)


def test_annotations_of_no_samples_take_no_part(tmp_path):
    signal = ecg(12, np.random.default_rng(0))
    onsets = [f"+{i}" for i in range(12)]
    path = plus(tmp_path, signal, onsets, b"EDF+C", samples=0)
    np.testing.assert_allclose(whole(open_source(path)), signal, atol=2e-4)
    path.write_bytes(path.read_bytes() + b"abc")
    with pytest.raises(InputError, match="annotation signal has no samples, its data more"):
        open_source(path)
    bare = write_edf(tmp_path, signal, changes=[("samples", 0, b"0"), ("label", 0, b"EDF Annot")])
    assert open_source(bare).leads == ("ECG",)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("date", b"29.02.24"), ("time", b"23.59.30")], "2024-02-29T23:59:30"),
        ([("date", b"01.01.85"), ("time", b"00.00.00")], "1985-01-01T00:00:00"),
        ([("recording", b"Startdate 02-MAR-2090 X X X"), ("date", b"02.03.yy")], None),
        ([("recording", b"Startdate 02-MAR-2090 X X X"), ("date", b"02.03.90")],
         "2090-03-02T00:00:00"),
        ([("recording", b"Startdate X X X X"), ("date", b"01.01.85")], None),
        ([("date", b"31.02.24")], None),
        ([("date", b"unknown")], None),
        ([("date", b"29/02/24"), ("time", b"23:59:30")], "2024-02-29T23:59:30"),
    ],
)  # fmt: skip
def test_the_start_is_the_header_s(tmp_path, fields, expected):
    changes = [("recording", None, b""), *((name, None, value) for name, value in fields)]
    start = open_source(write_edf(tmp_path, np.zeros((720, 1)), changes=changes)).start
    assert (start and start.isoformat()) == expected


@pytest.mark.parametrize("name", ["ucddb002.rec", "night", "r1.EDF", "x.dat", "y.txt"])
def test_an_edf_is_known_by_its_content(tmp_path, name):
    path = write_edf(tmp_path, np.zeros((720, 1))).rename(tmp_path / name)
    assert open_source(path).length == 720


@pytest.mark.parametrize("label", [b"ECG1", b"ECG_1", b"ECG1-ECG2", b"EKG2", b"1ECG"])
def test_an_ecg_is_known_by_its_name_with_a_number(tmp_path, label):
    changes = [("label", 0, b"EEG Fpz-Cz"), ("samples", 0, b"512"), ("label", 1, label)]
    path = write_edf(tmp_path, np.zeros((5 * 360, 2)), changes=[*changes, ("records", None, b"-1")])
    opened = open_source(path)
    assert (opened.leads, opened.fs) == ((label.decode(),), 360.0)
    assert opened.notes[0] == "left out (other sampling rate): EEG Fpz-Cz"


def test_an_ecg_without_a_unit_is_read_with_units_and_else_said_to_be_left_out(tmp_path):
    changes = [("label", 0, b"EEG C3"), ("unit", 0, b"uV"), ("label", 1, b"ECG"), ("unit", 1, b"")]
    path = write_edf(tmp_path, np.ones((720, 2)), changes=changes)
    opened = open_source(path)
    assert (opened.leads, opened.notes) == (("EEG C3",), ("left out (no unit stated): ECG",))
    assert open_source(path, units="mV").leads == ("EEG C3", "ECG")
    np.testing.assert_allclose(whole(open_source(path, units="mV"))[:, 1], 1, rtol=1e-3)


@pytest.mark.parametrize(
    ("unit", "units"), [("ÂµV".encode("latin-1"), None), (b"uVolt", None), (b"what", "uV")]
)
def test_units_as_other_programs_write_them(tmp_path, unit, units):
    path = write_edf(tmp_path, np.ones((720, 1)), changes=[("unit", 0, unit)])
    np.testing.assert_allclose(whole(open_source(path, units=units)), 1e-3, rtol=1e-3)


@pytest.mark.parametrize("bdf", [False, True])
@pytest.mark.parametrize(
    ("onsets", "kind", "begins"),
    [
        (["+3600", "+3601"], b"EDF+D", "2024-02-29T10:00:00"),
        (["+0.75", "+1.75"], b"EDF+C", "2024-02-29T09:00:00.750000"),
        (["x", "+1"], b"EDF+C", "2024-02-29T09:00:00"),
        (["+9999999999999", "+1"], b"EDF+C", "2024-02-29T09:00:00"),
    ],
)
def test_the_first_stamp_counts_from_the_start(tmp_path, onsets, kind, begins, bdf):
    kind = kind.replace(b"E", b"B") if bdf else kind
    path = plus(tmp_path, np.ones((720, 1)), onsets, kind, samples=16, bdf=bdf)
    content = bytearray(path.read_bytes())
    content[168:184] = b"29.02.2409.00.00"
    content[88:168] = b"Startdate 29-FEB-2024 X X X".ljust(80)
    path.write_bytes(content)
    assert open_source(path).start.isoformat() == begins
