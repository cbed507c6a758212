"""One HTML page that says what a run reached, how far that may be believed, and where it is from.

The page stands by itself: pictures and style are inside it, there is no script, and it asks the
network for nothing. Every text that comes from outside is escaped.
"""

import base64
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from statistics import median

FEWEST_BEATS = 50  # a class with fewer test beats gets no claim

_PNG = b"\x89PNG\r\n\x1a\n"

_CLASSES = {
    "S": "supraventricular ectopic",
    "V": "ventricular ectopic",
    "F": "fusion of ventricular and normal",
    "Q": "paced or unclassifiable",
}

_CAPTIONS = {
    "loss_curves": "Training, epoch by epoch. The validation panel is an oracle's: it needs "
    "labelled anomalies.",
    "roc_pr": "ROC and precision-recall curves over all test beats.",
    "score_histogram": "Scores by class, on logarithmic axes, with the thresholds.",
    "beats": "The beats that scored lowest and highest, with their reconstructions and the squared "
    "error of each sample.",
}

_DATASETS = {
    "synthetic": "Synthetic ECG: the figures show that the machinery works. They say nothing about "
    "patients.",
}

_PROTOCOLS = {
    "beatgan": "Protocol beatgan is intra-patient: training and test beats come from the same "
    "people, and a window overlaps its neighbours. Expect less on people not seen in training.",
    "interpatient": "Protocol interpatient: nobody among the test records was in training.",
}

_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem 1.25rem 3rem; background: #fff;
  color: #1a1a1a; font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
p { margin: .4rem 0; max-width: 46rem; }
.sub, .note, figcaption { color: #555; }
.note, figcaption { font-size: .9rem; }
.cards { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; }
.card { flex: 1 1 11rem; border: 1px solid #ccc; border-radius: .4rem; padding: .6rem .9rem; }
.card b { display: block; font-size: 1.9rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { padding: .25rem .8rem .25rem 0; text-align: right; border-bottom: 1px solid #e2e2e2; }
thead th { vertical-align: bottom; border-bottom-color: #888; font-size: .9rem; }
th:first-child, td.text { text-align: left; }
tbody th { font-weight: normal; }
td.text { overflow-wrap: anywhere; }
tr.weak td, tr.weak th, th small { color: #666; }
.oracle { border: 2px solid #b34700; border-radius: .4rem; padding: .2rem 1rem .8rem;
  margin: 2rem 0; }
.oracle h2 { margin-top: .8rem; }
.tag { background: #b34700; color: #fff; border-radius: .25rem; padding: .1rem .5rem;
  font-size: .85rem; letter-spacing: .04em; white-space: nowrap; }
figure { margin: 1.2rem 0; }
figure img { display: block; width: 100%; min-width: 36rem; height: auto; }
summary { cursor: pointer; padding: .3rem 0; }
pre { background: #f5f5f5; padding: .8rem; font-size: .85rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
@media (max-width: 32rem) { table { font-size: .85rem; }
  th, td { padding-right: .5rem; } }
@media print { body { max-width: none; font-size: 11px; } figure, .oracle, .cards, tr {
  break-inside: avoid; } figure img { min-width: 0; } .wide { overflow: visible; } }
"""


def write_report(
    path: Path | str,
    result: Mapping,
    config: Mapping,
    figures: Mapping[str, Path | str | bytes],
) -> Path:
    """Writes the page and returns its path.

    Args:
        path: of the HTML file; its folder must exist.
        result: what result.json holds; a field that is missing or null shows as a dash.
        config: what config.json holds.
        figures: name -> PNG, as a file or its bytes; they stand in this order. ValueError where one
            is not a PNG.
    """
    path = Path(path)
    sections = (
        _headline(result),
        _per_class(result.get("per_class") or {}),
        _label_free(result.get("label_free") or [], result.get("per_record") or {}),
        _oracle(result.get("oracle") or {}),
        _per_record(result.get("per_record") or {}, result.get("label_free") or []),
        _figures(figures),
        _provenance(result, config),
    )
    page = _page(_name(result), "\n".join(filter(None, sections)))
    partial = path.with_name(path.name + ".unfinished")
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, path)
    return path


def _page(title: str, body: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
{body}
<p class="note">Research software: not a medical device, not for diagnosis.</p>
</body>
</html>
"""


def _name(result: Mapping) -> str:
    kind = "student" if (result.get("fingerprints") or {}).get("teacher") else "teacher"
    parts = [f"kdjax {kind}", result.get("dataset"), result.get("protocol")]
    if result.get("fold") is not None:
        parts.append(f"fold {result['fold']}")
    return " · ".join(str(part) for part in parts if part)


def _headline(result: Mapping) -> str:
    ci = result.get("ci95") or {}
    records = result.get("per_record") or {}
    n = result.get("n_test")
    abnormal = sum(row.get("abnormal") or 0 for row in records.values())
    share = f", {_percent(abnormal / n)} of them abnormal" if n and records else ""
    cards = "".join(
        f'<div class="card">{name}<b>{_number(result.get(key))}</b>{_interval(ci.get(key))}</div>'
        for key, name in (("auc", "AUC"), ("ap", "Average precision"))
    )
    warnings = [
        table[str(result[key])]
        for key, table in (("dataset", _DATASETS), ("protocol", _PROTOCOLS))
        if str(result.get(key)) in table
    ]
    return f"""<h1>{escape(_name(result))}</h1>
<p class="sub">{_count(n)} test beats of {len(records)} records{share};
 seed {_text(result.get("seed"))}, {_text(result.get("epochs"))} epochs;
 {_text(result.get("date"))[:10]}</p>
<div class="cards">{cards}</div>
<p>The model is the one that training ended with; no label chose it. AUC: the share of pairs of an
 abnormal and a normal beat in which the abnormal one scores higher; chance is 0.5. For average
 precision chance is the share of abnormal beats. Intervals: 95 %, bootstrap over the test records.
 They do not cover the choice of seed or fold; compare runs over several seeds.</p>
{"".join(f'<p class="note">{escape(text)}</p>' for text in warnings)}"""


def _per_class(classes: Mapping) -> str:
    if not classes:
        return ""
    rows, weak = [], []
    for name, row in classes.items():
        few = (row.get("n") or 0) < FEWEST_BEATS
        about = _CLASSES.get(str(name), "") + (
            f"; fewer than {FEWEST_BEATS} beats: no claim" if few else ""
        )
        weak.append(few)
        rows.append(
            [
                f"{escape(str(name))} <small>{about}</small>",
                _cell(_count(row.get("n"))),
                _cell(_number(row.get("auc"))),
                _cell(_number(row.get("ap"))),
            ]
        )
    return (
        "<h2>By class, each against all normal test beats</h2>"
        + _table(("Class", "Beats", "AUC", "AP"), rows, weak)
        + '<p class="note">AP depends on how many beats a class has: compare it between models, '
        "not between classes.</p>"
    )


def _label_free(thresholds: Sequence[Mapping], records: Mapping) -> str:
    if not thresholds:
        return ""
    rows = []
    for i, row in enumerate(thresholds):
        rates = _rates(records, i)
        rows.append(
            [
                _percent(row.get("fpr_target")),
                _cell("none" if row.get("threshold") is None else f"{row['threshold']:.5g}"),
                _cell(_percent(row.get("fpr"))),
                _cell(_percent(median(rates) if rates else None)),
                _cell(_percent(max(rates, default=None))),
                _cell(_percent(row.get("recall"))),
                _cell(_number(row.get("f1"))),
            ]
        )
    missing = any(row.get("threshold") is None for row in thresholds)
    head = (
        "Promised at most",
        "Flag if score &gt;",
        "Realised, all",
        "Median record",
        "Worst record",
        "Recall",
        "F1",
    )
    return (
        "<h2>Thresholds without labels</h2>"
        "<p>Each threshold is a quantile of scores of held-out normal beats; no abnormal beat was "
        "looked at. Promised and realised are false positive rates, the share of normal beats that "
        "is flagged: over all test beats, and record by record.</p>"
        + _table(head, rows)
        + "<p><b>What it promises:</b> a new normal beat drawn like the held-out ones is flagged "
        "with at most the promised probability, averaged over draws of the held-out beats.</p>"
        "<p><b>What it does not:</b> that rate for any one person, recording or electrode "
        "placement (see the worst record), nor any recall. For a new patient it is a starting "
        "point.</p>"
        + (
            '<p class="note">None: there are too few held-out normal beats to promise that rate; '
            "nothing is flagged.</p>"
            if missing
            else ""
        )
    )


def _oracle(oracle: Mapping) -> str:
    if not oracle:
        return ""
    rows = [
        ["Epoch with the best validation AUC", _cell(_text(oracle.get("epoch")))],
        ["Test AUC of that epoch's model", _cell(_number(oracle.get("auc")))],
        ["Test AP of that epoch's model", _cell(_number(oracle.get("ap")))],
        ["Its best F1 over all thresholds", _cell(_number(oracle.get("best_f1")))],
        ["That threshold (flag if score ≥)", _cell(_number(oracle.get("best_threshold"), ".5g"))],
    ]
    return (
        '<section class="oracle"><h2><span class="tag">ORACLE</span> Chosen with labels</h2>'
        "<p>These figures need labelled anomalies to choose the epoch or the threshold. A "
        "detector made without labels cannot have them. They stand here to compare with published "
        "figures of the same kind.</p>" + _table(None, rows) + "</section>"
    )


def _per_record(records: Mapping, thresholds: Sequence[Mapping]) -> str:
    if not records:
        return ""
    shown = [i for i, row in enumerate(thresholds) if row.get("threshold") is not None]
    rates = [f"FPR, promised {_percent(thresholds[i].get('fpr_target'))}" for i in shown]
    rows = []
    for name, row in records.items():
        fpr = row.get("fpr") or []
        rows.append(
            [
                escape(str(name)),
                _cell(_count(row.get("n"))),
                _cell(_count(row.get("abnormal"))),
                _cell(_number(row.get("auc"))),
                _cell(_number(row.get("ap"))),
                *(_cell(_percent(fpr[i] if i < len(fpr) else None)) for i in shown),
            ]
        )
    return (
        f"<h2>By record</h2><details><summary>Table of {len(records)} records</summary>"
        + _table(("Record", "Beats", "Abnormal", "AUC", "AP", *rates), rows)
        + '<p class="note">A dash: the record lacks normal or abnormal beats.</p></details>'
    )


def _figures(figures: Mapping[str, Path | str | bytes]) -> str:
    if not figures:
        return ""
    parts = ["<h2>Figures</h2>"]
    for name, source in figures.items():
        png = source if isinstance(source, bytes) else Path(source).read_bytes()
        if not png.startswith(_PNG):
            raise ValueError(f"figure {name!r} is not a PNG")
        caption = escape(_CAPTIONS.get(name, name.replace("_", " ")))
        data = base64.b64encode(png).decode("ascii")
        parts.append(
            f'<figure><div class="wide"><img alt="{caption}" src="data:image/png;base64,{data}">'
            f"</div><figcaption>{caption}</figcaption></figure>"
        )
    return "\n".join(parts)


def _provenance(result: Mapping, config: Mapping) -> str:
    seconds = result.get("epoch_seconds")
    rows = [
        ("Date", _text(result.get("date"))),
        ("Data set", _text(result.get("dataset"))),
        ("Protocol, fold", f"{_text(result.get('protocol'))}, {_text(result.get('fold'))}"),
        ("Seed", _text(result.get("seed"))),
        ("Epochs", _text(result.get("epochs"))),
        ("Seconds an epoch", _number(seconds, ".3g")),
        ("Parameters of the generator", _count(result.get("params"))),
        ("Multiply-adds a beat", _count(result.get("macs"))),
        ("Size of the weights", _size(result.get("bytes"))),
        ("Device", _text(result.get("device"))),
        ("Versions", _text(result.get("versions"))),
    ]
    prints = [
        (f"Fingerprint: {escape(str(name))}", f"<code>{_text(value)}</code>" if value else "none")
        for name, value in (result.get("fingerprints") or {}).items()
    ]
    table = _table(None, [[key, _cell(value, "text")] for key, value in (*rows, *prints)])
    text = escape(json.dumps(config, indent=2, default=str, ensure_ascii=False))
    return (
        f"<h2>Where it comes from</h2>{table}"
        f"<details><summary>Configuration</summary><pre>{text}</pre></details>"
    )


def _table(
    head: Sequence[str] | None, rows: Iterable[Sequence[str]], weak: Sequence[bool] = ()
) -> str:
    """Cells are HTML already; the first of a row is its heading."""
    top = "".join(f'<th scope="col">{name}</th>' for name in head or ())
    lines = []
    for i, (first, *rest) in enumerate(rows):
        kind = ' class="weak"' if i < len(weak) and weak[i] else ""
        lines.append(f'<tr{kind}><th scope="row">{first}</th>{"".join(rest)}</tr>')
    thead = f"<thead><tr>{top}</tr></thead>" if head else ""
    body = "\n".join(lines)
    return f'<div class="wide"><table>{thead}<tbody>\n{body}\n</tbody></table></div>'


def _cell(content: str, kind: str = "") -> str:
    return f'<td class="{kind}">{content}</td>' if kind else f"<td>{content}</td>"


def _rates(records: Mapping, index: int) -> list[float]:
    lists = (row.get("fpr") or [] for row in records.values())
    return [fpr[index] for fpr in lists if index < len(fpr) and fpr[index] is not None]


def _number(value: float | None, form: str = ".4f") -> str:
    return "–" if value is None else format(value, form)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.3g}&nbsp;%"


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _size(count: int | None) -> str:
    return "–" if count is None else f"{count / 1e6:.2f} MB"


def _interval(bounds: Sequence[float] | None) -> str:
    return f"95 % CI {bounds[0]:.4f} to {bounds[1]:.4f}" if bounds else "no interval"


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        return escape(", ".join(f"{key} {item}" for key, item in value.items()))
    return escape(str(value))
