"""What a file is, by its content."""

import numpy as np
import pytest
from written import GIVEN, write_text, write_wfdb

from kdjax.errors import InputError
from kdjax.recordings import open_source

SAYS = {
    "": "is empty",
    "PK\x03\x04": "zip archive or an Excel workbook",
    "\x1f\x8b": "packed by gzip; unpack it",
    "MATLAB 5.0 MAT-file": "is a MATLAB file; save the signal as CSV",
    "\x89HDF\r\n": "is an HDF5 or a MATLAB file",
    "%PDF-1.7": "is a PDF",
    "<?xml version='1.0'?>": "is XML or HTML",
    "<AnnotatedECG>": "is XML or HTML",
    '{"fs": 1}': "is JSON, not a table",
    "ANN  1.0": "is an ISHNE annotation file",
    "\0" * 128 + "DICM": "is a DICOM file",
    "\xff\xfeI\0": "is text in UTF-16; save it as CSV in UTF-8",
    "\x80\x04]q\0.": "is a Python pickle; save the array by numpy.save",
    "\0\1\2\3": "is neither WFDB, EDF, BDF, ISHNE, NumPy nor a text table",
}


@pytest.mark.parametrize("content", SAYS, ids=lambda content: repr(content[:8]))
def test_what_cannot_be_read_is_called_what_it_is(tmp_path, content):
    path = write_text(tmp_path, content.encode("latin-1"), "r1.xyz")
    with pytest.raises(InputError, match=rf"^\S*r1\.xyz: .*{SAYS[content]}") as error:
        open_source(path, **GIVEN)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("suffix", ["edf", "BDF", "npy"])
def test_text_under_a_suffix_of_another_format_is_none_of_it(tmp_path, suffix):
    path = write_text(tmp_path, "0.1,0.2\n" * 300, f"r1.{suffix}")
    with pytest.raises(InputError, match=f"is not in {suffix.upper()} format; check what it is"):
        open_source(path, **GIVEN)


@pytest.mark.parametrize("name", ["r1", "r1.hea", "R1", "R1.HEA"])
def test_a_record_may_be_named_with_or_without_its_suffix(tmp_path, name):
    write_wfdb(tmp_path, np.zeros((900, 1)))
    assert open_source(tmp_path / name).name == "r1"


@pytest.mark.parametrize("name", ["none", "none.hea", "none.csv", "none.edf"])
def test_a_missing_file_is_said_to_be_missing(tmp_path, name):
    with pytest.raises(InputError, match=f"{name}: no such file"):
        open_source(tmp_path / name)


def test_a_folder_is_none(tmp_path):
    with pytest.raises(InputError, match="is a folder; name a recording in it"):
        open_source(tmp_path)


def test_control_signs_in_names_reach_no_terminal(tmp_path):
    path = tmp_path / "a\x1b[31m\nb.csv"
    path.write_text("II\n" + "0.1\n" * 100)
    assert open_source(path, **GIVEN).name == "a [31m b"
    path.write_text("")
    with pytest.raises(InputError) as error:
        open_source(path)
    assert str(error.value).isprintable()
