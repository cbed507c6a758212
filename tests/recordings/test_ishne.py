"""ISHNE Holter files."""

import datetime

import numpy as np
import pytest
from file_bytes import ecg
from written import whole, write_ishne

from kdjax.errors import InputError
from kdjax.recordings import open_source


def test_leads_start_and_samples_are_the_file_s(tmp_path):
    signal = ecg(3, np.random.default_rng(0))
    source = open_source(write_ishne(tmp_path, signal, codes=(15, 8)))
    assert (source.leads, source.fs, source.length) == (("V5", "aVR"), 360.0, 1080)
    assert source.start == datetime.datetime(2024, 2, 29, 23, 59, 30)
    assert source.notes == ()
    np.testing.assert_allclose(whole(source), signal, atol=0.0026)


def test_a_fault_is_missing(tmp_path):
    signal = np.ones((900, 1))
    signal[100:400] = np.nan
    np.testing.assert_allclose(whole(open_source(write_ishne(tmp_path, signal))), signal)


def test_leads_that_the_file_does_not_name_are_numbered(tmp_path):
    path = write_ishne(tmp_path, np.ones((900, 3)), codes=(0, 99, -1))
    assert open_source(path).leads == ("lead 1", "lead 2", "lead 3")


def test_a_resolution_that_is_not_stated_must_be_given(tmp_path):
    path = write_ishne(tmp_path, np.ones((900, 1)))
    content = bytearray(path.read_bytes())
    assert content[206:208] == (5000).to_bytes(2, "little")
    content[206:208] = b"\0\0"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"no signal is a voltage \(units: none.* or gain where"):
        open_source(path)
    np.testing.assert_allclose(whole(open_source(path, gain=200)), 1)


def test_a_checksum_that_does_not_agree_is_said(tmp_path):
    path = write_ishne(tmp_path, np.ones((900, 1)))
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    assert "checksum of its header does not agree" in open_source(path).notes[0]


def test_a_length_that_is_not_the_header_s_is_said(tmp_path):
    path = write_ishne(tmp_path, np.ones((900, 2)))
    path.write_bytes(path.read_bytes()[:-401])
    source = open_source(path)
    assert source.length == 799
    assert source.notes == ("its header says 900 samples; the file has 799 a lead",)
    assert len(whole(source)) == 799


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (22, (0).to_bytes(4, "little"), "does not say where samples begin"),
        (22, (-5).to_bytes(4, "little", signed=True), "does not say where samples begin"),
        (22, (10**6).to_bytes(4, "little"), "holds no samples"),
        (156, (0).to_bytes(2, "little"), "says 0 leads"),
        (156, (13).to_bytes(2, "little"), "says 13 leads"),
        (272, (0).to_bytes(2, "little"), "sampled at"),
    ],
)
def test_a_header_that_cannot_be_is_refused(tmp_path, at, value, words):
    path = write_ishne(tmp_path, np.ones((900, 1)))
    content = bytearray(path.read_bytes())
    content[at : at + len(value)] = value
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        open_source(path)


@pytest.mark.parametrize("cut", [8, 9, 100, 521, 522, 530])
def test_one_cut_off_early_is_refused(tmp_path, cut):
    path = write_ishne(tmp_path, np.ones((900, 1)))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"r1\.ecg: (its header is truncated|holds no samples)"):
        open_source(path)


def test_its_annotation_file_is_told_from_it(tmp_path):
    (tmp_path / "r1.ann").write_bytes(b"ANN  1.0" + bytes(600))
    with pytest.raises(InputError, match="ISHNE annotation file; name the Holter file"):
        open_source(tmp_path / "r1.ann")
