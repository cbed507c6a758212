"""The page of a recording: what was found in it, and how far that may be believed."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from kdjax.beats import FS
from kdjax.detection.recording import Detection
from kdjax.pages import page, plots

_SHOWN_STRETCHES = 50  # in the table
_SHOWN_HOURS = 48  # that stand open

_QUALITY = {
    "gap": "samples are missing",
    "flat": "the signal stands still",
    "clipped": "the signal stands at an end of its range",
    "noisy": "too much noise",
    "edge": "too near an end of the recording for a whole window",
}


def render(
    detection: Detection,
    summary: Mapping,
    heart_rate: np.ndarray,
    stretches: Sequence[tuple[float, float]],
) -> str:
    """The page.

    Args:
        detection: what was found.
        summary: what summary.json holds.
        heart_rate: float [B] in beats a minute, NaN where none is known.
        stretches: what is not scorable, (start, stop) in seconds, ascending and apart.
    """
    sections = (
        _headline(summary),
        _overview(detection, summary, heart_rate, stretches),
        _worst(detection),
        _threshold(detection, summary),
        _hours(summary),
        _quality(summary),
        _files(summary),
        _provenance(summary),
    )
    return page.render(f"kdjax detect · {summary['recording']}", "\n".join(filter(None, sections)))


def clock(seconds: float) -> str:
    """A time from the start as h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _headline(summary: Mapping) -> str:
    lost = summary["unscorable"]
    leads = ", ".join(summary["leads"])
    about_abnormal = (
        f"{page.percent(summary['abnormal_share'])} of the scored beats"
        if summary["scored"]
        else "no beat was scored"
    )
    cards = (
        page.card("Beats", page.count(summary["beats"]), f"{page.count(summary['scored'])} scored"),
        page.card("Abnormal", page.count(summary["abnormal"]), about_abnormal),
        page.card(
            "Abnormal an hour",
            page.number(summary["abnormal_per_hour"], ",.0f"),
            "of scorable signal",
        ),
        page.card(
            "Heart rate",
            page.number(summary["mean_heart_rate"], ".0f"),
            "beats a minute, mean",
        ),
        page.card("Not scorable", page.percent(lost["share"]), f"{clock(lost['seconds'])} h:mm:ss"),
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in summary["notes"])
    return f"""<h1>{escape(summary["recording"])}</h1>
<p class="sub">{clock(summary["seconds"])} (h:mm:ss) at {summary["fs"]:g} Hz;
 {"lead" if len(summary["leads"]) == 1 else "leads"} {escape(leads)};
 kdjax detect with {escape(summary["detector"] or "a detector")}, {escape(summary["date"])}</p>
<div class="cards">{"".join(cards)}</div>
{"" if summary["beats"] else "<p><b>No beats found.</b> No R-peaks were detected.</p>"}
{f'<div class="notes"><b>Please note</b><ul>{notes}</ul></div>' if notes else ""}
<p>Abnormal: the beat's shape or timing is unlike that of the normal beats that the detector knows.
 That is no diagnosis and says nothing of the kind of beat.</p>"""


def _overview(
    detection: Detection,
    summary: Mapping,
    heart_rate: np.ndarray,
    stretches: Sequence[tuple[float, float]],
) -> str:
    found = detection.beats
    if not len(found.sample):
        return ""

    def drawn(width: float) -> str:
        return page.data_uri(
            plots.png(
                plots.overview(
                    found.sample / detection.fs,
                    found.score,
                    found.abnormal,
                    heart_rate,
                    stretches,
                    detection.seconds,
                    detection.normal,
                    detection.threshold,
                    width,
                )
            )
        )

    # One for a telephone, where the wide one would be too small to read.
    picture = (
        f'<picture><source media="(max-width: 38rem)" srcset="{drawn(3.7)}">'
        f'<img alt="Score of every beat and heart rate over time; the table by hour says the same '
        f'in numbers" src="{drawn(9.6)}"></picture>'
    )
    caption = (
        "Above, the score of every beat; abnormal ones are triangles above the dashed threshold. "
        "Below, the heart rate from beat to beat and its median. Hatched: not scorable."
    )
    return f"<h2>The whole recording</h2>{page.figure(picture, caption, 'fit')}"


def _worst(detection: Detection) -> str:
    if not len(detection.shown):
        return ""
    most = max(float(np.mean((detection.x - detection.x_hat) ** 2, axis=-1).max()), 1e-6)
    found, figures = detection.beats, []
    for rank, (index, x, x_hat) in enumerate(
        zip(detection.shown.tolist(), detection.x, detection.x_hat, strict=True), 1
    ):
        time = clock(float(found.sample[index]) / detection.fs)
        kind = "abnormal" if found.abnormal[index] else "below the threshold"
        picture = page.data_uri(plots.png(plots.found_beat(x, x_hat, FS, most * 1.05)))
        figures.append(
            page.figure(
                f'<img alt="Beat at {time} and its reconstruction" src="{picture}">',
                f"<b>{rank}. {time}</b> score {found.score[index]:.4g}, {kind}<br>"
                + _among_normal(float(found.normalised[index]))
                + (
                    "" if np.isnan(found.rr[index]) else f"; {found.rr[index]:.2f} s after the last"
                ),
                "fit",
            )
        )
    leads = (
        f" Leads from above: {escape(', '.join(detection.leads))}."
        if len(detection.leads) > 1
        else ""
    )
    return (
        "<h2>The most abnormal beats</h2>"
        "<p>Solid and black the beat, dashed and blue what the detector makes of it; shaded "
        "between them, and below, what it could not reconstruct. The score may also know the "
        f"rhythm and the person, so that a beat of usual shape can stand here.{leads}</p>"
        f'<div class="beats">{"".join(figures)}</div>'
    )


def _threshold(detection: Detection, summary: Mapping) -> str:
    score, normal = detection.beats.score, detection.normal
    score = score[np.isfinite(score)]
    if len(score):
        address = page.data_uri(plots.png(plots.against_normal(score, normal, detection.threshold)))
        picture = page.figure(
            f'<img alt="Histogram of the scores; the table below says the same in numbers" '
            f'src="{address}">',
            "Scores of this recording (outline) and of normal beats (dotted area), shares on a "
            "logarithmic axis.",
            "fit small",
        )
    else:
        picture = "<p>No beat was scored.</p>"
    groups = (score, normal)
    quantiles = [
        [np.quantile(values, q) if len(values) else None for values in groups]
        for q in (0.5, 0.9, 0.99)
    ]
    above = [(values > detection.threshold).mean() if len(values) else None for values in groups]
    rows = [
        ["Beats", *(page.cell(page.count(len(values))) for values in groups)],
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
    return (
        f"<h2>Scores and threshold</h2><p>Score: {escape(summary['score'])}; calibrated "
        f"on {escape(summary['calibration'])}. A beat is called "
        f"abnormal if its score is above <b>{detection.threshold:.5g}</b>.</p>"
        f"{_promise(summary)}{picture}{table}"
    )


def _promise(summary: Mapping) -> str:
    fpr = summary["fpr"]
    if fpr is None:
        return (
            "<p>The threshold was given as a number; it promises no false-positive rate. The table "
            "says how many of the normal beats lie above it.</p>"
        )
    expected = fpr * summary["scored"]
    return (
        f"<p><b>What it promises:</b> a normal beat drawn like those that the threshold was made "
        f"from is called abnormal with a probability of at most {page.percent(fpr)}, averaged over "
        f"draws of those beats. Were all {page.count(summary['scored'])} scored beats such normal "
        f"beats, {f'up to about {expected:,.0f}' if expected >= 1 else 'about one at most'} would "
        "be called abnormal.</p>"
        "<p><b>What it does not:</b> that rate for any one person, recording or electrode "
        "placement, nor how many abnormal beats are found. For a new person the threshold is a "
        "starting point: look at the beats above, then choose another or calibrate on a recording "
        "of this person.</p>"
    )


def _hours(summary: Mapping) -> str:
    hours = page.table(
        ("From (h:mm)", "Beats", "Abnormal", "of the scored", "Median heart rate"),
        (
            [
                f"{row['hour']}:00",
                page.cell(page.count(row["beats"])),
                page.cell(page.count(row["abnormal"])),
                page.cell(page.percent(row["abnormal"] / row["scored"] if row["scored"] else None)),
                page.cell(page.number(row["median_heart_rate"], ".0f")),
            ]
            for row in summary["hours"]
        ),
    )
    opened = " open" if len(summary["hours"]) <= _SHOWN_HOURS else ""
    return (
        f"<h2>Hour by hour</h2><details{opened}><summary>Table of {len(summary['hours'])} "
        f"{'hour' if len(summary['hours']) == 1 else 'hours'}</summary>{hours}</details>"
    )


def _quality(summary: Mapping) -> str:
    lost = summary["unscorable"]
    if not lost["stretches"] and not summary["not_scored"]:
        return "<h2>Data quality</h2><p>The whole recording could be scored.</p>"
    reasons = page.table(
        ("Why", "Stretches", "Time (h:mm:ss)", "of the recording", "Beats not scored"),
        (
            [
                f"{escape(reason)} <small>{_QUALITY.get(reason, '')}</small>",
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
        ("From (h:mm:ss)", "Seconds", "Why"),
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
        "<h2>Data quality</h2><p>What could not be judged was not scored: it counts neither as "
        f"normal nor as abnormal.</p>{reasons}{details}"
    )


def _files(summary: Mapping) -> str:
    rows = [
        ("beats.csv", "a line a beat: time, sample, score, normalised score (the share of normal "
         "beats that score no higher), abnormal, quality, RR interval"),
        (summary["annotation_file"], "WFDB annotations at the R-peaks: N scored as normal, "
         "Q abnormal (WFDB has no such code; Q, unclassifiable, comes nearest), "
         "? not scored, the reason in its note"),
        ("summary.json", "the numbers of this page"),
    ]  # fmt: skip
    return "<h2>Files beside this page</h2>" + page.table(
        None, [[f"<code>{escape(name)}</code>", page.cell(about, "text")] for name, about in rows]
    )


def _provenance(summary: Mapping) -> str:
    rows = [
        ("Date", summary["date"]),
        ("Recording", summary["recording"]),
        ("Detector", summary["detector"]),
        ("Score", summary["score"]),
        *((str(name).capitalize(), value) for name, value in summary["made_by"].items()),
    ]
    return "<h2>Where it comes from</h2>" + page.table(
        None, [[escape(name), page.cell(page.text(value), "text")] for name, value in rows]
    )


def _among_normal(normalised: float) -> str:
    """In per cent, rounded down: only what is all is called all."""
    if normalised == 1:
        return "no normal beat scores higher"
    return f"{np.floor(normalised * 1e4) / 100:g}&nbsp;% of normal beats score no higher"
