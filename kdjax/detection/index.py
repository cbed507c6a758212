"""The index of a folder of detections: a row per recording, as a page and as JSON."""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kdjax.detection.kinds import ABNORMAL
from kdjax.detection.notes import clock
from kdjax.errors import InputError, counted
from kdjax.files import write_json, write_text
from kdjax.pages import page

SCRIPTS = ("index.js",)
PAGE, ROWS = "index.html", "index.json"


def write(out: Path) -> None:
    """Writes index.html and index.json of all detections in the folder."""
    rows = []
    for path in sorted(out.glob("*/summary.json")):
        try:
            rows.append(_row(path.parent.name, json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue  # another program's, or damaged: its own page says more
    write_json(out / ROWS, rows)
    write_text(out / PAGE, render(rows))


def update(out: Path) -> None:
    """Writes the index anew where there is one."""
    if _is_index(out / ROWS):
        write(out)


def check_free(out: Path) -> None:
    """InputError where the folder holds other files of the index's names."""
    for name in (PAGE, ROWS):
        if (out / name).exists() and not _is_index(out / ROWS):
            raise InputError(f"{out / name}: holds something else; choose another folder")


def _is_index(path: Path) -> bool:
    """Whether a file is an index.json that `write` made."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(rows, list) and all(
        isinstance(row, dict) and {"recording", "folder"} <= set(row) for row in rows
    )


def _row(folder: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What the index says of a recording."""
    hours = (summary["seconds"] - summary["unscorable"]["seconds"]) / 3600
    kinds = summary["kinds"]
    return {
        "recording": summary["recording"],
        "folder": folder,
        "seconds": summary["seconds"],
        "beats": summary["beats"],
        "mean_heart_rate": summary["mean_heart_rate"],
        "families": summary["families"],
        **{name: kinds[name] for name in ABNORMAL},
        "V_per_hour": kinds["V"] / hours if hours > 0 else None,
        "S_per_hour": kinds["S"] / hours if hours > 0 else None,
        "events": sum(summary["events"].values()),
        "unscorable": summary["unscorable"]["share"],
        "decisions": summary["decisions"],
        "notes": summary["notes"],
    }


def render(rows: list[dict[str, Any]]) -> str:
    """The page."""
    head = ("Recording", "Duration", "Beats", "Mean heart rate", "Families", *ABNORMAL,
            "S per hour", "V per hour", "Events", "Time not scored", "Decisions",
            "Notes")  # fmt: skip
    headings = [f'<button type="button">{name}</button>' for name in head]
    table = page.table(headings, map(_cells, rows))
    body = f"<h1>Recordings</h1><p>{_count(rows)}; click a heading to sort by it.</p>{table}"
    style, script = page.style("index.css"), page.script(*SCRIPTS)
    return page.render("Recordings · kdjax detect", body, style=style, script=script)


def _count(rows: list[dict[str, Any]]) -> str:
    return counted(len(rows), "recording")


def _cells(row: Mapping[str, Any]) -> list[str]:
    address = quote(f"{row['folder']}/report.html", errors="replace")
    return [
        f'<a href="{address}">{escape(row["recording"])}</a>',
        _sortable(clock(row["seconds"]), row["seconds"]),
        _sortable(page.count(row["beats"]), row["beats"]),
        _sortable(page.number(row["mean_heart_rate"], ".0f"), row["mean_heart_rate"]),
        *(_sortable(page.count(row[name]), row[name]) for name in ("families", *ABNORMAL)),
        *(
            _sortable(page.number(row[name], ",.1f"), row[name])
            for name in ("S_per_hour", "V_per_hour")
        ),
        _sortable(page.count(row["events"]), row["events"]),
        _sortable(page.percent(row["unscorable"]), row["unscorable"]),
        _sortable(page.count(row["decisions"]), row["decisions"]),
        _sortable(str(len(row["notes"])), len(row["notes"]), "; ".join(row["notes"])),
    ]


def _sortable(content: str, value: float | None, title: str = "") -> str:
    said = f' title="{escape(title)}"' if title else ""
    return f'<td data-value="{"" if value is None else value}"{said}>{content}</td>'
