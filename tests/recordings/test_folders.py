"""Folders of recordings and of other files, and names for results."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from written import write_edf, write_ishne, write_npy, write_text, write_wfdb

from kdjax.errors import InputError
from kdjax.recordings import find_sources, look_into, result_names

TABLE = "II\n" + "0.1\n0.2\n" * 100


def test_a_folder_gives_each_recording_once_in_order(tmp_path):
    for name in ("b", "s1", "s2"):
        write_wfdb(tmp_path, np.zeros((900, 1)), name)
    write_text(tmp_path, " # by hand\nm/2 1 360 1800\nS1 900\ns2 900\n", "m.HEA")
    for name in ("broken.hea", "z.edf", "c.npy", "y.bdf"):
        write_text(tmp_path, "", name)
    write_text(tmp_path, TABLE, "a.CSV")
    for name in ("notes.txt", ".hidden.csv", "b.atr", "b.qrs", "x.annotations.csv"):
        write_text(tmp_path, "1\n", name)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    recordings, others = look_into(tmp_path)
    names = [path.name for path in recordings]
    assert names == ["a.CSV", "b.hea", "broken.hea", "c.npy", "m.HEA", "y.bdf", "z.edf"]
    assert [path.name for path in others] == ["notes.txt"]
    assert find_sources(tmp_path) == recordings
    with pytest.raises(InputError, match="is not a folder"):
        look_into(tmp_path / "b.hea")


def test_recordings_are_known_by_content_whatever_their_suffix(tmp_path):
    write_edf(tmp_path, np.zeros((720, 1))).rename(tmp_path / "ucddb002.rec")
    write_ishne(tmp_path, np.zeros((720, 1)), name="holter.ecg")
    write_npy(tmp_path, np.zeros(720)).rename(tmp_path / "array.dat")
    write_text(tmp_path, "# fs=250\nII [mV]\n" + "0.1\n" * 300, "says_all.txt")
    recordings, others = look_into(tmp_path)
    assert {path.name for path in recordings} == {
        "ucddb002.rec", "holter.ecg", "array.dat", "says_all.txt",
    }  # fmt: skip
    assert others == []


OTHERS = {
    "patients.csv": "name,sex,ward\nA,f,one\nB,m,two\n",
    "README.md": "# Recordings of ward 3\n",
    "rr.txt": "0.81\n0.79\n" * 100,
    "report.pdf": "%PDF-1.7",
    "all.zip": b"PK\x03\x04....",
    "x.mat": b"MATLAB 5.0 MAT-file",
    "page.html": "<!DOCTYPE html>",
    "x.json": '{"fs": 360}',
    "picture.png": b"\x89PNG\r\n",
    "noise.bin": bytes(range(256)),
    "empty": "",
}


def test_what_is_no_recording_is_told_apart(tmp_path):
    for name, content in OTHERS.items():
        write_text(tmp_path, content, name)
    write_text(tmp_path, TABLE, "a.csv")
    recordings, others = look_into(tmp_path)
    assert [path.name for path in recordings] == ["a.csv"]
    assert {path.name for path in others} == set(OTHERS)


def test_a_table_on_its_side_is_a_recording_that_cannot_be_read(tmp_path):
    path = write_text(tmp_path, ",".join(["0.1"] * 3000) + "\n")
    assert find_sources(tmp_path) == [path]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a.npy", "b.csv"], ["a", "b"]),
        (["c.npy", "c.csv", "b.csv"], ["c-npy", "c-csv", "b"]),
        (["x/100.hea", "y/100.hea"], ["x-100", "y-100"]),
        (["x/1.hea", "x/1.csv", "y/1.csv"], ["1-hea", "x-1", "y-1"]),
        (["C.npy", "c.npy"], ["C-npy-1", "c-npy-2"]),
        (["心电一.csv", "心电二.csv"], ["心电一", "心电二"]),
        (["🫀.csv", "💓.csv"], ["_-csv-1", "_-csv-2"]),
        (["../a b.csv", "a\x1b[31m.csv"], ["a_b", "a__31m"]),
        (["ж" * 200 + ".csv"], ["ж" * 75]),
    ],
)
def test_each_recording_has_a_name_of_its_own(paths, names):
    found = result_names([Path("/d", path) for path in paths])
    assert [name.replace("d-", "", 1) for name in found] == names


@given(st.lists(st.text("aA/é心. \0\udc80", min_size=1, max_size=6), max_size=8))
def test_names_differ_and_stay_inside(names):
    found = result_names([Path("/d", name.strip("/") or "x") for name in names])
    assert len({name.casefold() for name in found}) == len(found) == len(names)
    for name in found:
        assert len(name.encode()) <= 180
        assert Path(name).name == name
        assert name.isprintable()
