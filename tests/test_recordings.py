"""Recordings and the WFDB reader, on small records that these tests write themselves."""

import numpy as np
import pytest
import wfdb

from kdjax.errors import InputError
from kdjax.recordings import Annotations, Recording, read_wfdb


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
