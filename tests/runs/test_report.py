import base64
import copy
import re

import pytest
from pages import Page

from kdjax.runs import provenance
from kdjax.runs.report import render

# The smallest PNG: one white pixel (made with Pillow 13, checked by any viewer).
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAAAABJRU5ErkJggg=="
)

RESULT = {
    "auc": 0.93721,
    "ap": 0.90482,
    "ci95": {"auc": [0.91234, 0.95678], "ap": [0.85, 0.94]},
    "per_class": {
        "S": {"auc": 0.83, "ap": 0.5, "n": 2723},
        "V": {"auc": 0.96, "ap": 0.9, "n": 6307},
        "Q": {"auc": 0.97, "ap": 0.3, "n": 14},
        "F": {"auc": None, "ap": None, "n": 0},
    },
    "per_record": {
        "100": {"n": 400, "abnormal": 30, "auc": 0.9111, "ap": 0.8, "fpr": [0.012, 0.0]},
        "207": {"n": 600, "abnormal": 600, "auc": None, "ap": None, "fpr": [None, None]},
        "208": {"n": 1000, "abnormal": 90, "auc": 0.7, "ap": 0.6, "fpr": [0.248, 0.0]},
    },
    "label_free": [
        {"fpr_target": 0.05, "threshold": 0.0321, "fpr": 0.0487, "recall": 0.761, "f1": 0.8208},
        {"fpr_target": 0.001, "threshold": None, "fpr": 0.0, "recall": 0.0, "f1": 0.0},
    ],
    "oracle": {
        "epoch": 31,
        "auc": 0.9489,
        "ap": 0.9121,
        "best_f1": 0.8355,
        "best_threshold": 0.02477,
    },
    "n_test": 2000,
    "protocol": "beatgan",
    "fold": 2,
    "dataset": "mitbih",
    "seed": 7,
    "epochs": 40,
    "epoch_seconds": 39.48,
    "params": 1908800,
    "macs": 24412160,
    "bytes": 7635200,
    "fingerprints": {"data": "d" * 64, "split": "e" * 64, "config": "c" * 64, "teacher": "f" * 64},
    "versions": {"jax": "0.10.2", "numpy": "2.4.6"},
    "device": "cpu",
    "date": "2026-01-02T03:04:05+00:00",
}
CONFIG = {"epochs": 40, "data": {"dataset": "mitbih"}}


@pytest.fixture
def page():
    def made(result=RESULT, config=CONFIG, figures=None):
        return render(result, config, figures=figures or {})

    return made


def test_the_headline_carries_its_interval(page):
    text = Page(page()).text
    assert "kdjax student · mitbih · beatgan · fold 2" in text
    assert "AUC 0.9372 95 % CI 0.9123 to 0.9568" in text
    assert "Average precision 0.9048 95 % CI 0.8500 to 0.9400" in text
    assert "2,000 test beats of 3 records, 36 % of them abnormal" in text  # 720 of 2000
    assert "seed 7, 40 epochs;" in text
    assert "seed 7, 1 epoch;" in Page(page(RESULT | {"epochs": 1})).text


def test_a_small_class_gets_no_claim(page):
    rows = re.findall(r"<tr[^>]*><th scope=\"row\">[SVFQ] .*?</tr>", page())
    assert ["no claim" in row for row in rows] == [False, False, True, True]
    assert "–" in rows[3]  # a class without beats has no figures


def test_the_label_free_rates_and_the_worst_record(page):
    text = Page(page()).text
    # Target, threshold, over all, median and worst of 1.2 % and 24.8 %, recall, F1.
    assert "5 % 0.0321 4.87 % 13 % 24.8 % 76.1 % 0.8208" in text
    assert "0.1 % none" in text
    assert "too few held-out normal beats" in text
    assert "What it promises:" in text
    assert "What it does not promise:" in text


def test_what_needs_labels_stands_in_the_oracle_block_only(page):
    html = page()
    block = re.search(r'<section class="oracle">.*?</section>', html, re.DOTALL)
    assert block
    assert "ORACLE" in block[0]
    for figure in ("0.9489", "0.9121", "0.8355", "0.02477"):
        assert figure in block[0]
        assert figure not in html.replace(block[0], "")


def test_the_table_of_records_is_folded_away(page):
    folded = re.search(r"<details><summary>Table of 3 records.*?</details>", page(), re.DOTALL)
    assert folded
    row = re.search(r'<th scope="row">100</th>(.*?)</tr>', folded[0])
    assert row
    assert re.findall(r"<td>(.*?)</td>", row[1]) == ["400", "30", "0.9111", "0.8000", "1.2&nbsp;%"]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("dataset", "synthetic", "nothing about patients"),
        ("protocol", "beatgan", "intra-patient"),
        ("protocol", "interpatient", "no test record was in training"),
    ],
)
def test_what_a_data_set_and_a_protocol_cannot_show(page, field, value, expected):
    assert expected in Page(page({**RESULT, field: value})).text


def test_where_it_comes_from(page):
    text = Page(page()).text
    for fact in ("d" * 64, "f" * 64, "jax 0.10.2, numpy 2.4.6", "1,908,800", "7.64 MB", "39.5"):
        assert fact in text
    assert "2026-01-02T03:04:05+00:00" in text
    assert '"dataset": "mitbih"' in text


def test_a_run_without_a_teacher_is_a_teacher(page):
    result = copy.deepcopy(RESULT)
    result["fingerprints"]["teacher"] = None
    text = Page(page(result)).text
    assert "kdjax teacher · mitbih" in text
    assert "Fingerprint: teacher none" in text


def test_missing_fields_show_as_dashes(page):
    text = Page(page({}, {})).text
    assert "AUC – no interval" in text
    Page(page({**RESULT, "ci95": None, "oracle": None, "per_record": None}))


def test_pictures_are_inside_the_page(page):
    html = page(figures={"roc_pr": PNG, "my_own": PNG})
    sources = [value for tag, name, value in Page(html).attributes if (tag, name) == ("img", "src")]
    assert len(sources) == 2
    for source in sources:
        assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == PNG
    assert "ROC and precision-recall" in html
    assert "my own" in html  # a figure without a caption of its own goes by its name


def test_a_picture_that_is_none_is_refused(page):
    with pytest.raises(ValueError, match="'roc_pr' is not a PNG"):
        page(figures={"roc_pr": b"<svg onload=alert(1)>"})


def test_the_page_asks_the_network_for_nothing(page):
    html = page(figures={"beats": PNG})
    assert not re.search(r"https?://|@import|url\(", html)
    tags = set(Page(html).tags)
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form", "a"}
    # Should something slip in after all, the browser is told to fetch nothing.
    assert "default-src 'none'" in html


HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;"


def hostile(value):
    """The same structure with every key and every text hostile; numbers stay."""
    if isinstance(value, dict):
        return {f"{key}{HOSTILE}": hostile(item) for key, item in value.items()}
    return HOSTILE if isinstance(value, str) else value


def test_hostile_names_are_only_text(page):
    result = {
        key: {f"{name}{HOSTILE}": row for name, row in value.items()}
        if key in ("per_class", "per_record")
        else hostile(value)
        if key in ("fingerprints", "versions") or isinstance(value, str)
        else value
        for key, value in RESULT.items()
    }
    seen = Page(page(result, hostile(CONFIG), {f"fig{HOSTILE}": PNG}))
    assert "script" not in seen.tags
    assert seen.tags.count("img") == 1
    assert not [name for _, name, _ in seen.attributes if name.startswith("on")]
    for place in ("100", "S", "jax", "data", "epochs", "fig"):
        assert f"{place}{HOSTILE}" in seen.text.replace("\\", "")  # JSON escapes the quote


def test_the_code_s_hash_covers_what_computes(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance.kdjax, "__file__", str(tmp_path / "__init__.py"))
    seen = {provenance._code()}
    for name in ("step.py", "kinds.json", "kdjax.c", "page.css"):
        (tmp_path / name).write_text("1")
        seen.add(provenance._code())
    assert len(seen) == 4  # a page's look computes nothing
