"""WFDB records."""

import re

import numpy as np
import pytest
import wfdb
from file_bytes import ecg
from written import BARE, whole, write_headed, write_record, write_text, write_wfdb

from kdjax.errors import InputError
from kdjax.recordings import open_source, read_wfdb, wfdbheader, wfdbsignals
from kdjax.recordings import wfdb as recordings_wfdb


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


def spoil_annotations(folder):
    (folder / "r1.atr").write_bytes((folder / "r1.atr").read_bytes()[:-1])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_nothing_there, "r1.hea is missing"),
        (spoil_no_signal_file, "r1.dat"),
        (spoil_truncated, "signal files hold 1000"),
        (spoil_last_byte_gone, "signal files hold 1999"),
        (spoil_empty_header, "r1.hea"),
        (spoil_header_of_a_lead_too_many, "r1.hea"),
        (spoil_annotations, "r1.atr"),
    ],
)
def test_a_bad_record_is_one_line_that_names_it(tmp_path, spoil, words):
    write_record(tmp_path)
    spoil(tmp_path)
    with pytest.raises(InputError) as error:
        read_wfdb(tmp_path / "r1")
    message = str(error.value)
    assert message.startswith(("record r1: ", f"{tmp_path / 'r1.hea'}: "))
    assert words in message
    assert "\n" not in message


def test_invalid_samples_are_refused_with_lead_and_place(tmp_path):
    write_record(tmp_path, invalid=(5, 6, 700))
    with pytest.raises(InputError, match=r"r1: lead V5 has invalid samples \(3, the first is samp"):
        read_wfdb(tmp_path / "r1")


def test_a_record_is_what_wfdb_reads_at_once(tmp_path):
    write_record(tmp_path)
    source = open_source(tmp_path / "r1")
    assert source.leads == ("V5", "MLII")
    expected = wfdb.rdrecord(str(tmp_path / "r1")).p_signal.astype(np.float32)
    np.testing.assert_array_equal(whole(source), expected)
    np.testing.assert_array_equal(read_wfdb(tmp_path / "r1").signal, expected)


def test_invalid_samples_are_nan(tmp_path):
    expected = write_record(tmp_path, invalid=(5, 6, 700))
    expected[[5, 6, 700], 0] = np.nan
    np.testing.assert_allclose(whole(open_source(tmp_path / "r1")), expected, rtol=1e-6)


def test_signals_that_are_no_voltages_are_left_out(tmp_path):
    expected = write_record(tmp_path)
    header = tmp_path / "r1.hea"
    header.write_text(header.read_text().replace("/mV", "/mmHg", 1))
    source = open_source(header)
    assert source.leads == read_wfdb(header).leads == ("MLII",)
    np.testing.assert_allclose(whole(source), expected[:, 1:], rtol=1e-6)
    np.testing.assert_array_equal(read_wfdb(header).signal, whole(source))
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
    wfdb.wrann("r1", "atr", np.array([100, 200]), symbol=["N", "V"], write_dir=str(tmp_path))
    recording = read_wfdb(tmp_path / "r1")
    assert (recording.fs, recording.leads) == (500.0, ("II", "V"))
    np.testing.assert_allclose(recording.signal, expected, rtol=1e-6)
    assert recording.annotations.sample.tolist() == [400, 800]


@pytest.mark.parametrize(
    ("line", "fs"),
    [
        ("r1 2", 250.0),
        ("r1 2 360", 360.0),
        ("r1 2 360 0", 360.0),
        ("r1 2 360 2000 0:0:0 0/0/0", 360.0),
    ],
    ids=["no rate", "no length", "length 0", "no date"],
)
def test_a_header_that_leaves_things_out_is_read_whole(tmp_path, line, fs):
    expected = write_record(tmp_path, symbols="")
    header = tmp_path / "r1.hea"
    header.write_text("\n".join([line, *header.read_text().splitlines()[1:], ""]))
    recording = read_wfdb(header)
    assert recording.fs == fs
    np.testing.assert_allclose(recording.signal, expected, rtol=1e-7)


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
        (" 900\n", " -900\n", "its number of samples '-900' is none"),
        (" 360 ", " -360 ", "its rate '-360' is not a positive number"),
        (" 360 ", " 0 ", "its rate '0' is not a positive number"),
        (" 360 ", " nan ", "its rate 'nan' is not a positive number"),
        ("r1 1 360", "r1", "its first line 'r1 900' is none|describes"),
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
    with pytest.raises(InputError, match="lies in another folder; copy it here"):
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
        ("m/1 2 360 900\nr2 900\n", "r2.hea: no such file"),
    ],
)
def test_segments_that_are_not_what_the_header_says_are_refused(tmp_path, text, words):
    write_wfdb(tmp_path, np.zeros((900, 1)))
    with pytest.raises(InputError, match=words):
        open_source(write_text(tmp_path, text, "m.hea"))


def test_a_path_that_wfdb_would_take_to_the_network_is_read_from_the_disk(tmp_path):
    folder = tmp_path / "http::x"
    folder.mkdir()
    assert whole(open_source(write_wfdb(folder, np.ones((900, 1))))).mean() == 1


def test_names_with_spaces_and_other_alphabets_are_names(tmp_path):
    (tmp_path / "Größe 1").mkdir()
    path = write_wfdb(tmp_path / "Größe 1", np.zeros((900, 1))).rename(
        tmp_path / "Größe 1" / "心电图 [1]*.hea"
    )
    assert whole(open_source(path)).shape == (900, 1)


# Headers that are not quite what they should be


@pytest.mark.parametrize(
    ("header", "notes"),
    [
        (BARE.replace(" 900", ""), "does not say how many samples there are; r1.dat holds 900"),
        (BARE.replace(" 900", " 0"), "does not say how many samples there are; r1.dat holds 900"),
        (BARE.replace("900", "901"), "says 901 samples, but r1.dat holds 900; these are read"),
        (BARE.replace("900", "9" * 12), "says 999999999999 samples, but r1.dat holds 900"),
        (BARE.replace("900", "900 2006"), "no valid time and date ('2006')"),
        (BARE.replace("900", "900 10:00:00 31/02/2020"), "no valid time and date"),
        (BARE.replace("900", "900 25:00:00 01/02/2020"), "no valid time and date"),
        (BARE.replace("900", "900 unknown"), "no valid time and date ('unknown')"),
        (BARE.replace("900", "900 8:04:00"), "no valid time and date ('8:04:00')"),
        (BARE.replace("900", "900 0:0:0"), ""),
        (BARE.replace(" 360 900", ""), "states no rate: 250 Hz are taken"),
        (BARE.replace("r1 ", "r1.v2 "), ""),
        (BARE.replace("r1 ", "心电图 "), ""),
        (BARE.replace("360", "3.6e2"), ""),
        (BARE.replace("360", "360/360(0)"), ""),
        (BARE.replace("\n", "\r\n"), ""),
        (BARE.replace("\n", "\r"), ""),
        ("\N{BYTE ORDER MARK}" + BARE, ""),
        ("# a note\n\n" + BARE + "\n# another: 漢\n", ""),
    ],
)
def test_a_header_that_lacks_something_is_read_and_it_is_said(tmp_path, header, notes):
    source = open_source(write_headed(tmp_path, header))
    np.testing.assert_allclose(whole(source)[:, 0], np.arange(900) / 200, rtol=1e-6)
    assert source.fs == (250 if "no rate" in notes else 360)
    assert bool(source.notes) == bool(notes)
    assert notes in " ".join(source.notes)
    assert source.start is None


PAIR = "r1 2 360 450\nr1.dat 16 200/mV 16 0 0 0 0 II\nr1.dat 16 100(7)/mV 16 0 0 0 0 V1\n"


@pytest.mark.parametrize(
    "header",
    [PAIR, PAIR.replace(" 450", ""), PAIR.replace("mV", "µV"), PAIR.replace("r1 2", "a.b 2")],
)
def test_two_signals_in_a_file_stay_apart_where_the_header_is_put_right(tmp_path, header):
    path = write_headed(tmp_path, header)
    samples = np.frombuffer((path.parent / "r1.dat").read_bytes(), "<i2").reshape(-1, 2)
    unit = 1e-3 if "µ" in header else 1.0
    expected = (samples - [0, 7]) / [200, 100] * unit
    blocks = open_source(path).blocks([0, 1])
    np.testing.assert_allclose(np.concatenate(list(blocks)), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("line", "gain", "baseline", "units", "name"),
    [
        ("16", 200, 0, "mV", ""),
        ("16 II", 200, 0, "mV", "II"),
        ("16 0 16 5 0 0 0 II", 200, 5, "mV", "II"),
        ("16 +100/mV 16 0 0 0 0 II", 100, 0, "mV", "II"),
        ("16 100(0)/ 16 0 0 0 0 II", 100, 0, "mV", "II"),
        ("16 100(3.0)/uV 16 0 0 0 0 lead  2", 100, 3, "uV", "lead 2"),
        ("16 .5e3(-2) 16 9 II", 500, -2, "mV", "II"),
        ("16x2:3+4 1e2/mV 16 0 0 0 0 2 channels", 100, 0, "mV", "2 channels"),
    ],
)
def test_a_signal_s_line_has_its_fields(tmp_path, line, gain, baseline, units, name):
    found = wfdbheader._signal(tmp_path / "r.hea", f"r.dat {line}", tmp_path / "r.dat")
    assert (found.gain, found.baseline, found.units, found.name) == (gain, baseline, units, name)
    assert found.format == "16"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("16 1e400/mV 16", "its gain 1e400 is too large; repair it"),
        ("16 100(0.5)/mV 16", "its gain '100(0.5)/mV' is not like 200(0)/mV"),
        ("16 100 (0)/mV 16", "its gain '100 (0)/mV' is not like"),
        ("16 1O0/mV", "its gain '1O0/mV'"),
        ("16:-2 100/mV", "has no signal format"),
        ("", "has no signal format"),
    ],
)
def test_a_gain_that_is_none_is_refused_and_not_taken_for_a_name(tmp_path, line, words):
    with pytest.raises(InputError, match=re.escape(words)):
        wfdbheader._signal(tmp_path / "r.hea", f"r.dat {line}", tmp_path / "r.dat")


def test_micro_in_either_sign_is_micro(tmp_path):
    for sign in "uµμ":
        source = open_source(write_headed(tmp_path, BARE.replace("mV", f"{sign}V")))
        assert whole(source).max() == pytest.approx(899 / 200e3)
    latin = BARE.replace("mV", "µV").encode("latin-1")
    assert whole(open_source(write_headed(tmp_path, latin))).max() == pytest.approx(899 / 200e3)


@pytest.mark.parametrize(
    ("time", "read"),
    [("23:59:30.250", "23:59:30.250000"), ("9:5:7", "09:05:07"), ("12:30", "00:12:30")],
)
def test_the_start_is_the_header_s(tmp_path, time, read):
    """Two numbers are minutes and seconds, as wfdb has it."""
    path = write_headed(tmp_path, BARE.replace("900", f"900 {time} 29/02/2024"))
    start = open_source(path).start
    assert start is not None
    assert start.isoformat() == f"2024-02-29T{read}"
    assert wfdb.rdheader(str(path.with_suffix(""))).base_datetime == start


def test_signals_of_a_file_in_two_formats_are_refused(tmp_path):
    path = write_headed(tmp_path, PAIR.replace("r1.dat 16", "r1.dat 212", 1))
    with pytest.raises(InputError, match=r"signals of r1\.dat have the formats 16 and 212"):
        open_source(path)


def test_letters_of_names_may_be_in_another_case(tmp_path):
    header = "R1 1 360 900\r\nR1.DAT 16 200/mV 16 0 0 0 0 MLII\r\n"
    upper = write_headed(tmp_path, header, "R1.HEA", "r1.Dat")
    for name in (upper, tmp_path / "R1", tmp_path / "r1", tmp_path / "r1.hea"):
        assert whole(open_source(name)).max() == pytest.approx(899 / 200)
    for name in (upper, tmp_path / "r1"):
        assert read_wfdb(name).signal.max() == pytest.approx(899 / 200)


def test_a_record_is_named_by_any_of_its_files(tmp_path):
    header = write_headed(tmp_path, BARE)
    assert open_source(header.with_suffix("")).length == 900
    for signal in (b"\0" * 1800, b"\x80\x04" * 900, b"\xe3\x33\xf2" * 600, b"1,2\n" * 450):
        (tmp_path / "r1.dat").write_bytes(signal)
        with pytest.raises(InputError, match=r"r1\.dat: belongs to a WFDB record; name its header"):
            open_source(tmp_path / "r1.dat")
    (tmp_path / "r1.csv").write_text("II [mV]\n" + "0.25\n" * 500)
    assert open_source(tmp_path / "r1.csv", fs=250).leads == ("II",)


def test_copies_of_headers_go_with_the_source(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    source = open_source(write_headed(tmp_path, BARE.replace(" 900", "")))
    assert len(list(tmp_path.glob("kdjax-*"))) == 1
    assert len(whole(source)) == 900
    del source
    assert not list(tmp_path.glob("kdjax-*"))


def test_signals_without_a_unit_take_the_one_given(tmp_path):
    path = write_headed(tmp_path, BARE.replace("/mV", "/adu"))
    with pytest.raises(InputError, match=r"no signal is a voltage \(units: adu.*gain"):
        open_source(path)
    assert whole(open_source(path, gain=100)).max() == pytest.approx(8.99)
    assert whole(open_source(path, units="uV")).max() == pytest.approx(899 / 200e3)


def test_a_recording_that_is_missing_but_for_a_moment_is_refused_at_once(tmp_path):
    write_headed(tmp_path, BARE)
    path = write_text(tmp_path, f"m/2 1 360 {2**32}\nr1 900\n~ {2**32 - 900}\n", "m.hea")
    with pytest.raises(
        InputError, match=r"m\.hea: all but 2\.5 s of its 3\.31e\+03 hours are missing"
    ):
        open_source(path)


@pytest.mark.parametrize("frames", ["", "x2"])
@pytest.mark.parametrize("format_", wfdbsignals.PACKING)
def test_each_format_is_read_as_wfdb_reads_it(tmp_path, monkeypatch, format_, frames):
    """Any bytes, after an offset, two signals in a file, blocks that begin within a pair."""
    line = f"r.dat {format_}{{}}+5 50(3)/mV 12 1 0 0 0 {{}}\n"
    lines = line.format(frames, "II") + line.format("", "V1")
    header = write_text(tmp_path, "r 2 360 101\n" + lines, "r.hea")
    content = np.random.default_rng(0).integers(0, 256, 5 + 4 * 303, np.uint8)
    content[5:29] = np.frombuffer(b"\0\x80\0\0\0\x80\x80\0" * 3, np.uint8)  # numbers that are none
    if format_ == "311":
        content[5 + 3 :: 4] &= 0x3F  # two bits mean nothing, and wfdb reads one of them
    (tmp_path / "r.dat").write_bytes(content.tobytes())
    wanted = wfdb.rdrecord(str(header.with_suffix("")), smooth_frames=False).e_p_signal
    monkeypatch.setattr(recordings_wfdb, "block_length", lambda rate, width: 33)
    found = open_source(header)
    leads = 1 if frames else 2  # the other one is slower
    assert found.leads == ("II", "V1")[:leads]
    np.testing.assert_array_equal(whole(found), np.float32(np.stack(wanted[:leads], axis=1)))


@pytest.mark.parametrize("held", [101, 97])
def test_a_skewed_signal_is_read_as_wfdb_reads_it(tmp_path, monkeypatch, held):
    """The others of its file stay where they are; it ends where the record does."""
    lines = "r.dat 16 50(3)/mV 12 1 0 0 0 II\nr.dat 16:5 50/mV 12 1 0 0 0 V1\n"
    header = write_text(tmp_path, f"r 2 360 {held}\n" + lines, "r.hea")
    content = np.random.default_rng(0).integers(-999, 999, 2 * held).astype("<i2")
    (tmp_path / "r.dat").write_bytes(content.tobytes())
    wanted = wfdb.rdrecord(str(header.with_suffix(""))).p_signal
    assert np.isnan(wanted[-5:, 1]).all()
    write_text(tmp_path, "r 2 360 101\n" + lines, "r.hea")  # its file may be shorter
    monkeypatch.setattr(recordings_wfdb, "block_length", lambda rate, width: 33)
    np.testing.assert_array_equal(whole(open_source(header)), np.float32(wanted))


def test_a_skewed_signal_faster_than_another_is_read(tmp_path):
    """wfdb itself fails here."""
    text = "r 2 100 50\nr.dat 16x4:3 100/mV 12 0 0 0 0 II\nr.dat 16 100/mV 12 0 0 0 0 V1\n"
    header = write_text(tmp_path, text, "r.hea")
    content = np.arange(250, dtype="<i2")
    (tmp_path / "r.dat").write_bytes(content.tobytes())
    (lead,) = whole(open_source(header)).T
    wanted = content.reshape(50, 5)[3:, :4].ravel() / 100
    np.testing.assert_array_equal(lead, np.float32([*wanted, *[np.nan] * 12]))


@pytest.mark.parametrize(("format_", "bits"), [("508", 8), ("516", 16), ("524", 24)])
def test_compressed_signals_are_read(tmp_path, monkeypatch, format_, bits):
    most = 2 ** (bits - 1) - 1
    steps = np.random.default_rng(0).integers(-most, most, (900, 2))
    steps[100:130, 1] = -most - 1  # invalid
    about = {"sig_name": ["II", "V1"], "units": ["mV", "mV"], "fmt": [format_] * 2}
    scale = {"adc_gain": [50.0, 80.0], "baseline": [3, 0]}
    wfdb.wrsamp("r", fs=360, d_signal=steps, write_dir=str(tmp_path), **about, **scale)
    monkeypatch.setattr(recordings_wfdb, "block_length", lambda rate, width: 333)
    wanted = (steps - [3, 0]) / [50, 80]
    wanted[100:130, 1] = np.nan
    np.testing.assert_array_equal(whole(open_source(tmp_path / "r.hea")), np.float32(wanted))


def test_samples_beyond_the_header_s_number_are_left_out_and_it_is_said(tmp_path):
    source = open_source(write_headed(tmp_path, BARE.replace("900", "500")))
    assert source.length == 500
    assert source.notes == ("its header says 500 samples, but r1.dat holds 900; 500 are read",)
