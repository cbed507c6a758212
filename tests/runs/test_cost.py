"""`kdjax benchmark`: what is said of a run, and that it is true of it."""

import json
import shutil
from pathlib import Path

import pytest
import tiny

from kdjax import cli
from kdjax.files import read_json
from kdjax.runs import checkpoints, cost, directory


@pytest.fixture
def few(monkeypatch):
    """Two rounds of a few calls."""
    monkeypatch.setattr(cost, "ROUNDS", 2)
    monkeypatch.setattr(cost, "LATENCY_CALLS", 4)
    monkeypatch.setattr(cost, "THROUGHPUT_CALLS", 1)
    monkeypatch.setattr(cost, "THROUGHPUT_BATCH", 8)


@pytest.fixture
def student():
    return tiny.trained().path


@pytest.mark.usefixtures("few")
def test_a_table_a_json_and_a_picture_of_teacher_and_student(student, tmp_path, capsys):
    out = tmp_path / "cost.json"
    names = [str(student / "teacher"), str(student)]
    assert cli.main(["benchmark", *names, "--json", str(out)]) == 0
    said = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert [row["run"] for row in found["rows"]] == names
    assert found["calls"] == 8
    assert {"code", "versions", "device"} <= set(found)
    for row in found["rows"]:
        result = read_json(tmp_path / row["run"] / directory.RESULT)
        for name in ("auc", "params", "macs", "bytes"):
            assert row[name] == result[name]
        assert 0 < row["latency_p50"] <= row["latency_p99"]
        assert row["compile_seconds"] > row["latency_p50"]
        assert row["beats_a_second"] > 0
        (line,) = [line for line in said.splitlines() if line.split()[:1] == [row["run"]]]
        assert f"{row['params']:,}" in line
        assert line.endswith(f"{row['auc']:.4f}")
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("few")
def test_a_run_without_a_result_has_no_auc(student, tmp_path, capsys):
    run = shutil.copytree(student, tmp_path / "run", ignore=shutil.ignore_patterns("teacher"))
    (run / directory.RESULT).unlink()
    assert cli.main(["benchmark", str(run)]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.split()[0] == str(run)
    assert len(line.split()) == 9  # its name, the M of MACs, seven numbers
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("wrong", ["missing", "damaged", "twice"])
def test_what_is_no_run_is_said_in_one_line_before_anything_is_timed(
    wrong, student, tmp_path, capsys
):
    run = shutil.copytree(student, tmp_path / "run", ignore=shutil.ignore_patterns("teacher"))
    names = [str(run), str(tmp_path / "missing")]
    if wrong == "damaged":
        names = [str(run)]
        next((run / checkpoints.LAST).glob("*/progress.json")).write_text("{}")
    if wrong == "twice":
        names = [str(run), str(run)]
    out = tmp_path / "out.json"
    assert cli.main(["benchmark", *names, "--json", str(out)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"kdjax benchmark: {names[-1]}")
    assert said.err.count("\n") == 1
    assert not out.exists()


def test_a_shipped_detector_is_known_by_its_name():
    assert cost._detector(Path("mitbih-w8")).generator.width == 8
