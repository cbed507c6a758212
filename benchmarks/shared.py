"""What the pages of figures share: committed JSON, intervals and tables as text."""

import argparse
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from kdjax.files import read_json, write_text
from kdjax.pages import plots
from kdjax.study.comparison import PLAIN

PLAIN_AUC = f"auc ({PLAIN})"  # of a difference between two variants of a study
FOLDER = Path(__file__).parents[1] / "docs/results"
ADAPTED = {
    "none": "",
    "first_5_minutes": ", first 5 minutes",
    "recording": ", whole recording",
}


def write_rows(path: Path, value: Mapping[str, Any]) -> None:
    """Writes figures as JSON with a line for every row: each member of the lists and objects."""
    blocks = [f"{json.dumps(name)}: {_rows(part)}" for name, part in value.items()]
    write_text(path, "{\n" + ",\n".join(blocks) + "\n}\n")


def _rows(part: Any) -> str:
    if isinstance(part, Mapping) and part:
        lines = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in part.items()]
        return "{\n" + ",\n".join(lines) + "\n}"
    if isinstance(part, list) and part and isinstance(part[0], Mapping):
        return "[\n" + ",\n".join(json.dumps(row) for row in part) + "\n]"
    return json.dumps(part, allow_nan=False)


def mean(found: Any) -> str:
    """A mean over seeds with its interval."""
    return f"{found['mean']:.4f} {bracket(found['ci95'])}"


def signed(found: Any, digits: int = 4) -> str:
    """A difference with its interval, of so many digits after the point."""
    middle, low, high = (f"{value:+.{digits}f}" for value in (found["mean"], *found["ci95"]))
    return f"{middle} [{low}, {high}]"


def shown(difference: Any) -> str:
    """What the interval of a difference shows."""
    low, high = difference["ci95"]
    if low <= 0 <= high:
        return "No gain is shown."
    return "A gain is shown." if low > 0 else "A loss is shown."


def read(name: str) -> Any:
    """A committed JSON."""
    return read_json(FOLDER / name)


def read_if_made(name: str) -> Any:
    """A committed JSON, None before it is made."""
    return read(name) if (FOLDER / name).exists() else None


def seeded(found: Mapping[str, Any]) -> tuple[str, str, str]:
    """The command, the seeds and the date of a trial over seeds."""
    seeds = found["seeds"]
    return f"`{found['command']}`", f"seeds {seeds[0]} to {seeds[-1]}", found["date"]


def bracket(interval: Sequence[float], digits: int = 4) -> str:
    """[low, high], of so many digits after the point."""
    return f"[{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def picture(figure: Figure, name: str, caption: str) -> str:
    """Writes a figure beside the JSON and shows it with its caption."""
    plots.save(figure, FOLDER / name)
    return captioned(name, caption)


def captioned(name: str, caption: str) -> str:
    """A figure beside the JSON and its caption; text before a colon describes the figure."""
    return f"![{caption.partition(':')[0]}](../results/{name})\n\n*{caption}*"


def page(sections: Iterable[str]) -> str:
    """The text of a page: an interval stays on one line, and a unit with its figure."""
    text = "\n\n".join(sections) + "\n"
    text = re.sub(r"(?<=\d) (?=%|M\b)", "\N{NO-BREAK SPACE}", text)
    return re.sub(r"(\[[-+\d.,]+(?:\s%)?,) (?=[-+\d.,]+(?:\s%)?\])", "\\1\N{NO-BREAK SPACE}", text)


def source(names: str | Sequence[str], *facts: str) -> str:
    """The line that ends a section: its JSON, and what else is to be known of the figures."""
    names = [names] if isinstance(names, str) else names
    links = ", ".join(f"[{name}](../results/{name})" for name in names)
    return f"Source: {links}; {', '.join(facts)}."


def devices(names: Iterable[str]) -> str:
    """The devices that committed JSON names, in words."""
    return " and ".join(sorted({device for name in names for device in _devices(read(name))}))


def _devices(part: Any) -> Iterable[str]:
    if isinstance(part, Mapping):
        own = part.get("device")
        yield from [own] if isinstance(own, str) else []
        part = list(part.values())
    if isinstance(part, list):
        for member in part:
            yield from _devices(member)


def score_name(name: str) -> str:
    """A score and what it is adapted to, from 'fusion, first_5_minutes'."""
    score, _, adaptation = name.partition(", ")
    return f"`{score}`{ADAPTED[adaptation or 'none']}"


def folded(title: str, text: str) -> str:
    """Text that a click unfolds, for what few readers need."""
    return f'<details markdown="1"><summary>{title}</summary>\n\n{text}\n\n</details>'


def trial_arguments(description: str, *, seeds: Sequence[int]) -> argparse.Namespace:
    """What a trial's command takes: seeds, data_dir, out."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seeds", type=int, nargs="+", default=seeds)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()
