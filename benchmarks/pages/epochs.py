"""Trainings epoch by epoch, from the metrics.jsonl that lie beside their results."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from benchmarks.shared import FOLDER


class Line(NamedTuple):
    """Validation AUC by epoch, and how it is drawn."""

    label: str  # the same for lines that are drawn alike
    colour: str
    style: str
    values: Sequence[float]


def epochs(name: str) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl, given the name of its result."""
    lines = (FOLDER / name).with_suffix(".metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def aucs(name: str) -> list[float]:
    """Validation AUC after each epoch."""
    return [row["val_auc"] for row in epochs(name)]


def drawn(lines: Iterable[Line]) -> Figure:
    """The lines in one picture."""
    figure = Figure(figsize=(7, 3), layout="constrained")
    ax = figure.subplots()
    seen: set[str] = set()
    for label, colour, style, values in lines:
        named = None if label in seen else label
        ax.plot(range(1, len(values) + 1), values, style, color=colour, label=named, linewidth=1)
        seen.add(label)
    ax.set(xlabel="epoch", ylabel="validation AUC")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return figure
