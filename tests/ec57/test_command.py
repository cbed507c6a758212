"""`kdjax ec57`: what it takes, writes and refuses."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import wfdb

from kdjax import cli


def record(folder, name="r1", **annotators):
    """A header and annotators; each a text of symbols a second apart."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.hea").write_text(f"{name} 0 250 100000\n")
    for annotator, text in annotators.items():
        sample = 250 * np.arange(1, len(text) + 1)
        wfdb.wrann(name, annotator, sample, symbol=list(text), fs=250, write_dir=str(folder))
    return folder / name


def ec57(*arguments, test="tst"):
    words = ["ec57", *map(str, arguments), "--test", test]
    return cli.main(words if "--from" in words else [*words, "--from", "0"])


@pytest.mark.parametrize("suffix", ["", ".hea", ".atr"])
def test_a_record_by_any_of_its_names_prints_its_matrix(tmp_path, capsys, suffix):
    path = record(tmp_path, atr="NNVNN", tst="NNVVN")
    assert ec57(f"{path}{suffix}") == 0
    printed = capsys.readouterr().out
    assert "Beat-by-beat comparison results for record r1" in printed
    assert "VEB positive predictivity:  50.00% (1/2)" in printed


@pytest.mark.parametrize(
    ("stem", "named"), [("R1", ""), ("R1", "R1.HEA"), ("R1", "r1"), ("R1.V2", "r1.v2")]
)
def test_the_case_of_file_names_does_not_matter(tmp_path, capsys, stem, named):
    path = record(tmp_path, atr="NNVNN", tst="NNVVN")
    for suffix in (".hea", ".atr", ".tst"):
        path.with_suffix(suffix).rename(tmp_path / f"{stem}{suffix.upper()}")
    assert ec57(tmp_path / named) == 0
    assert "VEB positive predictivity:  50.00% (1/2)" in capsys.readouterr().out


def test_a_folder_with_other_files_leaves_out_and_says_what_lacks_an_annotator(tmp_path, capsys):
    record(tmp_path, "r1", atr="NNVNN", tst="NNVNN")
    record(tmp_path, "r2", atr="NNVNN")
    (tmp_path / "notes.txt").write_text("two records")
    assert ec57(tmp_path) == 0
    said = capsys.readouterr()
    assert said.err.startswith("r2: left out, ")
    assert "r2.tst is missing" in said.err
    assert "Summary of results from 1 records" in said.out


def test_detections_in_a_folder_of_their_own(tmp_path, capsys):
    path = record(tmp_path / "data", atr="NNVNN")
    record(tmp_path / "out" / "r1", tst="NNNNN")
    assert ec57(path, "--detections", tmp_path / "out") == 0
    assert "VEB sensitivity:   0.00% (0/1)" in capsys.readouterr().out


def test_the_case_of_detections_does_not_matter(tmp_path, capsys):
    path = record(tmp_path / "data", atr="NNVNN")
    record(tmp_path / "out" / "r1", tst="NNNNN").with_suffix(".tst").rename(
        tmp_path / "out" / "r1" / "R1.TST"
    )
    assert ec57(path, "--detections", tmp_path / "out") == 0
    assert "VEB sensitivity:   0.00% (0/1)" in capsys.readouterr().out


def test_detections_of_records_whose_names_wfdb_does_not_take(tmp_path, capsys):
    path = tmp_path / "data" / "my rec.v2"
    for file in record(tmp_path / "data", atr="NNVNN").parent.glob("r1.*"):
        file.rename(f"{path}{file.suffix}")
    record(tmp_path / "out" / "my_rec_v2", "my_rec_v2", tst="NNNNN")
    told = {"file": f"{path}.hea", "annotation_file": "my_rec_v2.tst"}
    (tmp_path / "out" / "my_rec_v2" / "summary.json").write_text(json.dumps(told))
    (tmp_path / "out" / "other").mkdir()
    (tmp_path / "out" / "other" / "summary.json").write_text("[]")
    assert ec57(f"{path}.hea", "--detections", tmp_path / "out") == 0
    assert "VEB sensitivity:   0.00% (0/1)" in capsys.readouterr().out


def test_a_copy_of_a_detection_is_not_the_detection(tmp_path, capsys):
    path = record(tmp_path / "data", atr="NNVNN")
    for folder, found in (("r1", "NNNNN"), ("0 copy", "NNVNN"), ("zz", "NNVNN")):
        own = record(tmp_path / "out" / folder, tst=found).parent
        told = {"file": f"{path}.hea", "annotation_file": "r1.tst"}
        (own / "summary.json").write_text(json.dumps(told))
    assert ec57(path, "--detections", tmp_path / "out") == 0
    assert "VEB sensitivity:   0.00% (0/1)" in capsys.readouterr().out


def test_rows_as_json_and_csv(tmp_path):
    for name, text in (("r1", "NNVNN"), ("r2", "NVVVN")):
        record(tmp_path / "data", name, atr=text, tst="NNVNN")
    files = tmp_path / "out.json", tmp_path / "out.csv"
    assert ec57(tmp_path / "data", "--json", files[0], "--csv", files[1]) == 0
    told = json.loads(files[0].read_text())
    assert [row["record"] for row in told["rows"]] == ["r1", "r2", "gross", "average"]
    assert told["from_seconds"] == 0
    assert told["rows"][1]["V Se"] == pytest.approx(100 / 3, abs=1e-3)
    assert told["rows"][2]["V Se"] == 50
    assert told["rows"][3]["V Se"] == pytest.approx(100 * (1 + 1 / 3) / 2, abs=1e-3)
    assert told["rows"][1]["matrix"][2][:3] == [2, 0, 1]
    assert told["rows"][1]["VE SFN"] == 1
    with files[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, wanted in zip(rows, told["rows"], strict=True):
        assert {k: v for k, v in row.items() if v} == {
            k: str(v) for k, v in wanted.items() if v is not None and k != "matrix"
        }


@pytest.mark.parametrize(
    ("option", "name", "holds"),
    [
        ("--csv", "r1.hea", "r1 1 250 10\n"),
        ("--json", "mine.csv", "time,ecg\n0,1\n"),
        ("--csv", "mine.csv", "time,ecg\n0,1\n"),
        ("--json", "mine.json", "[1, 2]"),
    ],
)
def test_a_recording_is_not_written_over(option, name, holds, tmp_path, capsys):
    record(tmp_path / "data", "r1", atr="NN", tst="NN")
    (tmp_path / name).write_text(holds)
    assert ec57(tmp_path / "data", option, tmp_path / name) == 2
    said = capsys.readouterr().err
    assert name in said
    assert len(said.splitlines()) == 1
    assert (tmp_path / name).read_text() == holds


def test_figures_of_an_earlier_comparison_are_written_over(tmp_path):
    record(tmp_path / "data", "r1", atr="NN", tst="NN")
    for _ in range(2):
        given = "--csv", tmp_path / "a.csv", "--json", tmp_path / "a.json"
        assert ec57(tmp_path / "data", *given) == 0


def test_classes_and_times(tmp_path, capsys):
    path = record(tmp_path, atr="NNeNVN", tst="NNNNVN")
    assert ec57(path, "--classes", "aami") == 0
    assert "SVEB sensitivity:      -  (0/0)" in capsys.readouterr().out
    assert ec57(path, "--from", "0:05") == 0
    assert "QRS sensitivity: 100.00% (2/2)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["nothing"], "no such record"),
        (["r1", "--reference", "ann"], "r1.ann"),
        (["r1", "--from", "noon"], "--from noon"),
        (["r1", "--from", "-1"], "--from -1"),
        (["r1", "--from", "9:00"], "--from 9:00"),
        (["r1", "r1.hea"], "r1: two records"),
        ([".", "--detections", "nowhere"], "--detections"),
        (["r1", "--reference", "a/b"], "--reference 'a/b'"),
        (["broken"], "broken"),
    ],
)
def test_wrong_input_is_said_in_one_line(tmp_path, monkeypatch, capsys, arguments, wanted):
    record(tmp_path, atr="NNVNN", tst="NNVNN")
    record(tmp_path, "broken", atr="NNVNN", tst="NNVNN")
    (tmp_path / "broken.tst").write_bytes(b"\x01\x02\x03")
    monkeypatch.chdir(tmp_path)
    assert ec57(*arguments) == 2
    said = capsys.readouterr()
    assert wanted in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_no_heavy_import(tmp_path):
    path = record(tmp_path, atr="NNVNN", tst="NNVNN")
    code = (
        "import sys; from kdjax import cli; "
        f"assert cli.main(['ec57', {str(path)!r}, '--test', 'tst', '--from', '0']) == 0; "
        "assert not {'jax', 'matplotlib', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)


def test_the_guide_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs/guides/ec57.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    sample = 360 * np.arange(1, 401)
    folder = tmp_path / "mitdb"
    folder.mkdir()
    (folder / "100.hea").write_text("100 0 360 650000\n")
    wfdb.wrann("100", "atr", sample, symbol=["N"] * 400, write_dir=str(folder))
    monkeypatch.chdir(tmp_path)
    exec(code, {"r_peaks": sample, "symbols": np.array(["N"] * 400)})
    assert "QRS sensitivity: 100.00% (101/101)" in capsys.readouterr().out
