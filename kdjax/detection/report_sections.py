"""The parts of a recording's page that are plain HTML: headline, threshold, hours, quality."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from kdjax.detection.kinds import ABNORMAL, KINDS
from kdjax.detection.notes import MEANING, clock, long_pauses, many_abnormal
from kdjax.detection.recording import Detection
from kdjax.pages import page

_NO_BEATS = "<p><b>No beats found.</b> No R-peaks were detected.</p>"
_SHOWN_STRETCHES = 50  # in the table
_SHOWN_HOURS = 48  # that stand open


def headline(detection: Detection, summary: Mapping) -> str:
    """The boxes and notes, which the page's script (kdjax/pages/script/totals.js) keeps up to date.

    detection: what was detected; summary: as reviewed.
    """
    lost = summary["unscorable"]
    leads = ", ".join(summary["leads"])
    kinds = summary["kinds"]
    ectopic = ", ".join(f"{kinds[kind]:,}&nbsp;{kind}" for kind in ABNORMAL)
    not_normal = sum(kinds[kind] for kind in ABNORMAL)
    hours = _judged_hours(summary)
    per_hour = page.number(not_normal / hours if summary["scored"] and hours else None, ",.0f")
    length = clock(summary["seconds"])
    cards = (
        page.card(
            "Beats",
            _followed("beats", page.count(summary["beats"])),
            _followed("scored", f"{page.count(summary['scored'])} scored"),
        ),
        page.card(
            "Not normal",
            _followed("abnormal", page.count(not_normal)),
            _followed("kinds", f"{ectopic}; {per_hour}&nbsp;per&nbsp;hour"),
        ),
        page.card(
            "Heart rate",
            _followed("rate", page.number(summary["mean_heart_rate"], ".0f")),
            "beats per minute, mean",
        ),
        page.card(
            "Time not scored",
            page.percent(lost["share"]),
            f"{clock(lost['seconds'])} of {length} (h:mm:ss)",
        ),
    )
    start = f"; starts {escape(summary['start'].replace('T', ' '))}" if summary["start"] else ""
    return f"""<h1>{escape(summary["recording"])}</h1>
<p class="sub">{length} (h:mm:ss) at {summary["fs"]:g} Hz{start};
 {"lead" if len(summary["leads"]) == 1 else "leads"} {escape(leads)};
 kdjax detect with {escape(summary["detector"] or "a detector")}, {escape(summary["date"])}</p>
<div class="cards">{"".join(cards)}</div>
{"" if len(detection.beats.sample) else _NO_BEATS}
{_notes(detection, summary["notes"])}
{_about_kinds(detection)}"""


def _followed(name: str, content: str) -> str:
    """A number that follows the decisions on the page."""
    return f'<span id="total-{name}">{content}</span>'


def _notes(detection: Detection, left: Sequence[str]) -> str:
    """The notes of a detection; those that a review answered, not `left`, are hidden."""
    if not detection.notes:
        return ""
    until = dict.fromkeys(many_abnormal(detection.beats), "named")
    until |= dict.fromkeys(long_pauses(detection.beats, detection.fs), "no-pause")
    items = "".join(
        f"<li{f' data-until={until[note]}' if note in until else ''}"
        f"{'' if note in left else ' hidden'}>{escape(note)}</li>"
        for note in detection.notes
    )
    hidden = "" if left else " hidden"
    return f'<div class="notes"{hidden}><b>Please note</b><ul>{items}</ul></div>'


def _about_kinds(detection: Detection) -> str:
    """What the kinds are, and what a reader should do first where there are families."""
    kinds = {kind: f"<b>{kind}</b>&nbsp;{name}" for kind, name in KINDS.items()}
    proposed = ", ".join(kinds[kind] for kind in "NSV")
    given = f"{kinds['F']}, {kinds['Q']} or {kinds['X']}"
    task = "Check the families below and name them; one decision names all beats of a family."
    return (
        f"<p>kdjax proposes a kind for each beat from its shape, timing and P wave: {proposed}. "
        f"Only you can assign {given}.{f' {task}' if detection.families else ''}</p>"
    )


def threshold(detection: Detection, summary: Mapping) -> str:
    """What the score is, its threshold, and what that promises."""
    score, normal = detection.beats.score, detection.normal
    groups = (score[np.isfinite(score)], normal)
    quantiles = [
        [np.quantile(values, q) if len(values) else None for values in groups]
        for q in (0.5, 0.9, 0.99)
    ]
    above = [(values > detection.threshold).mean() if len(values) else None for values in groups]
    rows = [
        ["Beats", *map(page.cell, map(page.count, (len(groups[0]), summary["normal_beats"])))],
        *(
            [name, *(page.cell(page.number(value, ".4g")) for value in values)]
            for name, values in zip(
                ("Median score", "90&nbsp;% score less than", "99&nbsp;% score less than"),
                quantiles,
                strict=True,
            )
        ),
        ["Above the threshold", *(page.cell(page.percent(share)) for share in above)],
    ]
    table = page.table(("", "This recording", "Normal beats"), rows)
    nothing = "" if len(groups[0]) else "<p>No beat was scored.</p>"
    is_fused = summary["score"].startswith("fusion")
    combined = "Fusion combines residual, latent and prematurity. " if is_fused else ""
    return (
        "<h2>Scores and threshold</h2><p>The score of a beat is the larger of its log odds of "
        "being ventricular and of being supraventricular. One term is its anomaly score "
        f"({escape(summary['score'])}; calibrated on {escape(summary['calibration'])}). {combined}"
        f"A score above <b>{detection.threshold:.5g}</b> counts as abnormal.</p>"
        f"{_promise(summary)}{nothing}{table}"
    )


def _promise(summary: Mapping) -> str:
    fpr = summary["fpr"]
    if fpr is None:
        return (
            "<p>The threshold was given as a number, so it promises no false-positive rate. The "
            "table shows how many of the normal beats lie above it.</p>"
        )
    return (
        f"<p><b>What it promises:</b> of {page.count(summary['normal_beats'])} normal beats of "
        f"other people, {page.percent(fpr)} score above it.{_expected(summary)}</p>"
        "<p><b>What it does not promise:</b> that rate for any one person, recording or electrode "
        "placement, or that a given share of abnormal beats is found.</p>"
    )


def _judged_hours(summary: Mapping) -> float:
    return (summary["seconds"] - summary["unscorable"]["seconds"]) / 3600


def _expected(summary: Mapping) -> str:
    """How many scores of normal beats the threshold would let through here."""
    if not summary["scored"]:
        return ""
    expected = summary["fpr"] * summary["scored"]
    per_hour = expected / _judged_hours(summary)
    return (
        f" If every beat of this recording were normal and like those, about {expected:,.0f} would "
        f"score above it ({per_hour:,.0f} per hour). In another person's recording, it may be many "
        "times as many."
    )


def hours(summary: Mapping) -> str:
    """The table of hours, folded up where it is long."""
    rows = (
        [
            f"{row['hour']}:00",
            page.cell(page.count(row["beats"])),
            *(page.cell(page.count(row[kind])) for kind in ABNORMAL),
            page.cell(page.count(row["abnormal"])),
            page.cell(page.percent(row["abnormal"] / row["judged"] if row["judged"] else None)),
            page.cell(page.number(row["median_heart_rate"], ".0f")),
        ]
        for row in summary["hours"]
    )
    head = (
        "After the start (h:mm)",
        "Beats",
        *ABNORMAL,
        "Not normal",
        "Share not normal",
        "Median heart rate",
    )
    count = len(summary["hours"])
    if count == 1:
        return f'<h2>Hour by hour</h2><div id="hours">{page.table(head, rows)}</div>'
    opened = " open" if count <= _SHOWN_HOURS else ""
    return (
        f'<h2>Hour by hour</h2><details id="hours"{opened}>'
        f"<summary>Table of {count} hours</summary>"
        f"{page.table(head, rows)}</details>"
    )


def quality(summary: Mapping) -> str:
    """What could not be judged, by reason, with its longest stretches."""
    lost = summary["unscorable"]
    if not lost["stretches"] and not summary["not_scored"]:
        return "<h2>Data quality</h2><p>The whole recording could be scored.</p>"
    reasons = page.table(
        ("Why", "Stretches", "Time (h:mm:ss)", "Share of recording", "Beats not scored"),
        (
            [
                f"{escape(reason)} <small>{MEANING.get(reason, '')}</small>",
                page.cell(page.count(row["stretches"])),
                page.cell(clock(row["seconds"])),
                page.cell(page.percent(row["seconds"] / summary["seconds"])),
                page.cell(page.count(summary["not_scored"].get(reason, 0))),
            ]
            for reason in dict.fromkeys([*lost["by_reason"], *summary["not_scored"]])
            for row in [lost["by_reason"].get(reason, {"stretches": 0, "seconds": 0.0})]
        ),
    )
    longest = sorted(lost["stretches"], key=lambda s: s[0] - s[1])[:_SHOWN_STRETCHES]
    table = page.table(
        ("After the start (h:mm:ss)", "Seconds", "Why"),
        (
            [clock(start), page.cell(f"{stop - start:.1f}"), page.cell(escape(reason), "text")]
            for start, stop, reason in sorted(longest)
        ),
    )
    which = (
        f"The {len(longest)} longest of {page.count(len(lost['stretches']))} stretches"
        if len(longest) < len(lost["stretches"])
        else "Every stretch"
    )
    details = f"<details><summary>{which}</summary>{table}</details>" if longest else ""
    return (
        "<h2>Data quality</h2><p>Beats that could not be judged were not scored. They count "
        "neither as normal nor as abnormal, unless a reviewer named them.</p>"
        f"{reasons}{details}"
    )


def files(summary: Mapping) -> str:
    """The files that lie beside the page, and what each holds."""
    rows = [
        ("beats.csv", "a row per beat: time, sample, kind, family, confidence, score, quality, RR"),
        ("families.csv", "a row per family; change its kinds and apply them with kdjax review "
         "--families"),
        ("events.csv", "couplets, runs, pauses, irregular rhythm and other events"),
        ("rr.csv", "RR intervals with their kinds, for heart rate variability"),
        (summary["annotation_file"], "WFDB annotations at the R-peaks in standard codes, the "
         "family in the auxiliary note; ? not scored, | artefact"),
        ("detection.npz", "the whole detection, for kdjax review"),
        ("summary.json", "the numbers of this page"),
    ]  # fmt: skip
    if summary.get("decisions"):
        rows.append(("review.json", "the decisions that were applied"))
    return "<h2>Files beside this page</h2>" + page.table(
        None, [[f"<code>{escape(name)}</code>", page.cell(about, "text")] for name, about in rows]
    )


def provenance(summary: Mapping) -> str:
    """What the page was made from, by what, and when."""
    rows = [
        ("Date", summary["date"]),
        ("Recording", summary["recording"]),
        ("Detector", summary["detector"]),
        ("Score", summary["score"]),
        *((str(name).capitalize(), value) for name, value in summary["made_by"].items()),
    ]
    return "<h2>Provenance</h2>" + page.table(
        None, [[escape(name), page.cell(page.text(value), "text")] for name, value in rows]
    )
