"""What the pages of figures share: committed JSON, intervals and tables as text."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kdjax.files import read_json

FOLDER = Path(__file__).parents[1] / "docs/results"


def mean(found: Any) -> str:
    """A mean over seeds with its interval."""
    return f"{found['mean']:.4f} {bracket(found['ci95'])}"


def signed(found: Any) -> str:
    """A difference with its interval."""
    low, high = found["ci95"]
    return f"{found['mean']:+.4f} [{low:+.4f}, {high:+.4f}]"


def read(name: str) -> Any:
    """A committed JSON."""
    return read_json(FOLDER / name)


def bracket(interval: Sequence[float]) -> str:
    """[low, high]."""
    return f"[{interval[0]:.4f}, {interval[1]:.4f}]"


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
