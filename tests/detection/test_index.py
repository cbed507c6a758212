"""The index of many recordings."""

import json

import pytest
from detections import detection_of, synthetic
from pages import Page

from kdjax.detection import files, index
from kdjax.errors import InputError


def test_a_row_for_each_detection(tmp_path):
    files.write(detection_of(recording="<b>a</b>", notes=("one", "two")), tmp_path / "a b")
    files.write(synthetic(), tmp_path / "c")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "summary.json").write_text('{"seconds": 3}')
    (tmp_path / "nested").mkdir()
    (tmp_path / "nested" / "summary.json").write_text("[" * 100_000)
    index.write(tmp_path)
    rows = json.loads((tmp_path / "index.json").read_text())
    assert [row["folder"] for row in rows] == ["a b", "c"]
    assert rows[0]["V_per_hour"] == 3600 / 7
    assert rows[1]["V"] == int((synthetic().beats.kind == "V").sum())
    seen = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert "<b>a</b>" in seen.text
    assert [v for _, name, v in seen.attributes if name == "href"] == [
        "a%20b/report.html",
        "c/report.html",
    ]
    assert "one; two" in [value for _, name, value in seen.attributes if name == "title"]


def test_only_an_index_that_is_there_is_updated(tmp_path):
    files.write(detection_of(), tmp_path / "a")
    index.update(tmp_path)
    assert not (tmp_path / "index.html").exists()
    index.write(tmp_path)
    files.write(detection_of(), tmp_path / "b")
    index.update(tmp_path)
    assert len(json.loads((tmp_path / "index.json").read_text())) == 2


@pytest.mark.parametrize(("name", "content"), [("index.html", "mine"), ("index.json", "{}")])
def test_files_of_the_same_names_are_left_alone(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=rf"{name}: holds something else; choose another folder$"):
        index.check_free(tmp_path)
    index.update(tmp_path)
    assert (tmp_path / name).read_text() == content


def test_an_index_takes_the_place_of_an_earlier_one(tmp_path):
    index.write(tmp_path)
    index.check_free(tmp_path)
    files.write(synthetic(), tmp_path / "c")
    index.update(tmp_path)
    assert len(json.loads((tmp_path / "index.json").read_text())) == 1
