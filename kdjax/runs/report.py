"""One HTML page that says what a run reached, how far that may be believed, and where it is from.

The page stands by itself: pictures and style are inside it, there is no script, and it asks the
network for nothing. Every text that comes from outside is escaped.
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from statistics import median
from typing import NamedTuple

from kdjax.errors import counted
from kdjax.pages import page
from kdjax.scores.metrics import FEWEST_FOR_A_CLAIM


class _Words(NamedTuple):
    """What is scored, and what several of them are of."""

    unit: str
    record: str


_OF_WINDOWS = _Words("window", "group")  # of anything; a result without a unit is of beats

_CLASSES = {
    "S": "supraventricular ectopic",
    "V": "ventricular ectopic",
    "F": "fusion of ventricular and normal",
    "Q": "paced or unclassifiable",
}

_CAPTIONS = {
    "loss_curves": "Training, epoch by epoch. The validation panel is an oracle's: it needs "
    "labelled anomalies.",
    "roc_pr": "ROC and precision-recall curves, over the whole test set.",
    "score_histogram": "Scores by class, on logarithmic axes, with the thresholds.",
    "beats": "The lowest and the highest scores, with the reconstructions and the squared error of "
    "each sample.",
}

_DATASETS = {
    "synthetic": "Synthetic ECG: the figures show that the machinery works. They say nothing about "
    "patients.",
}

_PROTOCOLS = {
    "beatgan": "Protocol beatgan is intra-patient: training and test {unit}s come from the same "
    "{record}s, and neighbours may overlap. Expect less of {record}s not seen in training.",
    "interpatient": "Protocol interpatient: no test {record} was in training.",
}


def render(result: Mapping, config: Mapping, *, figures: Mapping[str, bytes]) -> str:
    """The page as HTML.

    Args:
        result: what result.json holds; a field that is missing or null shows as a dash.
        config: what config.json holds.
        figures: name -> PNG; they stand in this order. ValueError where one is not a PNG.
    """
    words = _OF_WINDOWS if result.get("unit") == _OF_WINDOWS.unit else _Words("beat", "record")
    sections = (
        _headline(result, words),
        _per_class(result.get("per_class") or {}, words),
        _label_free(result.get("label_free") or [], result.get("per_record") or {}, words),
        _oracle(result.get("oracle") or {}),
        _per_record(result.get("per_record") or {}, result.get("label_free") or [], words),
        _figures(figures),
        _provenance(result, config, words),
    )
    return page.render(_name(result), "\n".join(filter(None, sections)))


def _name(result: Mapping) -> str:
    kind = "student" if (result.get("fingerprints") or {}).get("teacher") else "teacher"
    parts = [f"kdjax {kind}", result.get("dataset"), result.get("protocol")]
    if result.get("fold") is not None:
        parts.append(f"fold {result['fold']}")
    return " · ".join(str(part) for part in parts if part)


def _headline(result: Mapping, words: _Words) -> str:
    unit, record = words
    ci = result.get("ci95") or {}
    records = result.get("per_record") or {}
    n = result.get("n_test")
    abnormal = sum(row.get("abnormal") or 0 for row in records.values())
    share = f", {page.percent(abnormal / n)} of them abnormal" if n and records else ""
    cards = "".join(
        page.card(name, page.number(result.get(key)), _interval(ci.get(key)))
        for key, name in (("auc", "AUC"), ("ap", "Average precision"))
    )
    warnings = [
        table[str(result[key])].format(unit=unit, record=record)
        for key, table in (("dataset", _DATASETS), ("protocol", _PROTOCOLS))
        if str(result.get(key)) in table
    ]
    if n and result.get("auc") is None:
        warnings.append(
            f"No AUC and no average precision: the test {unit}s are not labelled as normal and "
            "abnormal. This page can only say how many of them are flagged."
        )
    epochs = result.get("epochs")
    return f"""<h1>{escape(_name(result))}</h1>
<p class="sub">{page.count(n)} test {unit}s of {counted(len(records), record)}{share};
 seed {page.text(result.get("seed"))}, {page.text(epochs)} epoch{"s" * (epochs != 1)};
 {page.text(result.get("date"))[:10]}</p>
<div class="cards">{cards}</div>
<p>The model is that of the last epoch; no label chose it. AUC is the share of pairs of an abnormal
 and a normal {unit} in which the abnormal one scores higher; chance is 0.5. For average precision,
 chance is the share of abnormal {unit}s. Intervals: 95 %, bootstrap over the test
 {record}s. They do not cover the choice of seed or fold; compare runs over several seeds.</p>
{"".join(f'<p class="note">{escape(text)}</p>' for text in warnings)}"""


def _per_class(classes: Mapping, words: _Words) -> str:
    if not classes:
        return ""
    rows, weak = [], []
    for name, row in classes.items():
        few = (row.get("n") or 0) < FEWEST_FOR_A_CLAIM
        meaning = "" if words == _OF_WINDOWS else _CLASSES.get(str(name), "")
        claim = f"fewer than {FEWEST_FOR_A_CLAIM} {words.unit}s: no claim" if few else ""
        about = "; ".join(filter(None, (meaning, claim)))
        weak.append(few)
        rows.append(
            [
                f"{escape(str(name))} <small>{about}</small>",
                page.cell(page.count(row.get("n"))),
                page.cell(page.number(row.get("auc"))),
                page.cell(page.number(row.get("ap"))),
            ]
        )
    return (
        f"<h2>By class, each against all normal test {words.unit}s</h2>"
        + page.table(("Class", f"{words.unit.capitalize()}s", "AUC", "AP"), rows, weak)
        + f'<p class="note">AP depends on how many {words.unit}s a class has: compare it '
        "between models, not between classes.</p>"
    )


def _label_free(thresholds: Sequence[Mapping], records: Mapping, words: _Words) -> str:
    if not thresholds:
        return ""
    rows = []
    for i, row in enumerate(thresholds):
        rates = _rates(records, i)
        rows.append(
            [
                page.percent(row.get("fpr_target")),
                page.cell("none" if row.get("threshold") is None else f"{row['threshold']:.5g}"),
                page.cell(page.percent(row.get("fpr"))),
                page.cell(page.percent(median(rates) if rates else None)),
                page.cell(page.percent(max(rates, default=None))),
                page.cell(page.percent(row.get("recall"))),
                page.cell(page.number(row.get("f1"))),
            ]
        )
    unit, record = words
    missing = any(row.get("threshold") is None for row in thresholds)
    head = (
        "Promised at most",
        "Flag if score &gt;",
        "Realised, all",
        f"Median {record}",
        f"Worst {record}",
        "Recall",
        "F1",
    )
    return (
        "<h2>Thresholds without labels</h2>"
        f"<p>Each threshold is a quantile of the scores of held-out normal {unit}s; no abnormal "
        f"{unit} was used. Promised and realised are false-positive rates, the share of normal "
        f"{unit}s that is flagged: over all test {unit}s, and {record} by {record}.</p>"
        + page.table(head, rows)
        + f"<p><b>What it promises:</b> a new normal {unit} drawn like the held-out ones is "
        f"flagged with at most the promised probability, averaged over draws of the held-out "
        f"{unit}s.</p><p><b>What it does not promise:</b> that rate for any one {record} (see the "
        f"worst), or any recall. For a new {record} it is a starting point.</p>"
        + (
            f'<p class="note">None: too few held-out normal {unit}s to promise that rate; '
            "nothing is flagged.</p>"
            if missing
            else ""
        )
    )


def _oracle(oracle: Mapping) -> str:
    if not oracle:
        return ""
    rows = [
        ["Epoch with the best validation AUC", page.cell(page.text(oracle.get("epoch")))],
        ["Test AUC of that epoch's model", page.cell(page.number(oracle.get("auc")))],
        ["Test AP of that epoch's model", page.cell(page.number(oracle.get("ap")))],
        ["Its best F1 over all thresholds", page.cell(page.number(oracle.get("best_f1")))],
        [
            "That threshold (flag if score ≥)",
            page.cell(page.number(oracle.get("best_threshold"), ".5g")),
        ],
    ]
    return (
        '<section class="oracle"><h2><span class="tag">ORACLE</span> Chosen with labels</h2>'
        "<p>These figures need labelled anomalies to choose the epoch or the threshold. A "
        "detector made without labels cannot have them. They are given for comparison with "
        "published figures of the same kind.</p>" + page.table(None, rows) + "</section>"
    )


def _per_record(records: Mapping, thresholds: Sequence[Mapping], words: _Words) -> str:
    if not records:
        return ""
    shown = [i for i, row in enumerate(thresholds) if row.get("threshold") is not None]
    rates = [f"FPR, promised {page.percent(thresholds[i].get('fpr_target'))}" for i in shown]
    unit, record = words
    rows = []
    for name, row in records.items():
        fpr = row.get("fpr") or []
        rows.append(
            [
                escape(str(name)),
                page.cell(page.count(row.get("n"))),
                page.cell(page.count(row.get("abnormal"))),
                page.cell(page.number(row.get("auc"))),
                page.cell(page.number(row.get("ap"))),
                *(page.cell(page.percent(fpr[i] if i < len(fpr) else None)) for i in shown),
            ]
        )
    return (
        f"<h2>By {record}</h2><details><summary>Table of {counted(len(records), record)}</summary>"
        + page.table(
            (record.capitalize(), f"{unit.capitalize()}s", "Abnormal", "AUC", "AP", *rates), rows
        )
        + f'<p class="note">A dash: the {record} lacks normal or abnormal {unit}s.</p></details>'
    )


def _figures(figures: Mapping[str, bytes]) -> str:
    if not figures:
        return ""
    parts = ["<h2>Figures</h2>"]
    for name, png in figures.items():
        try:
            address = page.data_uri(png)
        except ValueError:
            raise ValueError(f"figure {name!r} is not a PNG") from None
        caption = escape(_CAPTIONS.get(name, name.replace("_", " ")))
        picture = f'<div class="wide"><img alt="{caption}" src="{address}"></div>'
        parts.append(page.figure(picture, caption))
    return "\n".join(parts)


def _provenance(result: Mapping, config: Mapping, words: _Words) -> str:
    seconds = result.get("epoch_seconds")
    rows = [
        ("Date", page.text(result.get("date"))),
        ("Data set", page.text(result.get("dataset"))),
        ("Protocol, fold", f"{page.text(result.get('protocol'))}, {page.text(result.get('fold'))}"),
        ("Seed", page.text(result.get("seed"))),
        ("Epochs", page.text(result.get("epochs"))),
        ("Seconds an epoch", page.number(seconds, ".3g")),
        ("Parameters of the generator", page.count(result.get("params"))),
        (f"Multiply-adds a {words.unit}", page.count(result.get("macs"))),
        ("Size of the weights", page.size(result.get("bytes"))),
        ("Device", page.text(result.get("device"))),
        ("Versions", page.text(result.get("versions"))),
    ]
    prints = [
        (
            f"Fingerprint: {escape(str(name))}",
            f"<code>{page.text(value)}</code>" if value else "none",
        )
        for name, value in (result.get("fingerprints") or {}).items()
    ]
    table = page.table(None, [[key, page.cell(value, "text")] for key, value in (*rows, *prints)])
    text = escape(json.dumps(config, indent=2, default=str, ensure_ascii=False))
    return (
        f"<h2>Provenance</h2>{table}"
        f"<details><summary>Configuration</summary><pre>{text}</pre></details>"
    )


def _rates(records: Mapping, index: int) -> list[float]:
    lists = (row.get("fpr") or [] for row in records.values())
    return [fpr[index] for fpr in lists if index < len(fpr) and fpr[index] is not None]


def _interval(bounds: Sequence[float] | None) -> str:
    return f"95 % CI {bounds[0]:.4f} to {bounds[1]:.4f}" if bounds else "no interval"
