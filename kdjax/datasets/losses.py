"""What preparing a data set kept and dropped: a row for each record or group, and as text."""

from collections.abc import Sequence

import numpy as np

from kdjax.datasets.storage import CLASSES


def loss_table(examples: list[dict]) -> list[dict]:
    """A row for each record: beats kept by class, beats dropped by reason, and the lost share.

    Dropped are beats of which the recording holds no whole window, those whose window a gap in the
    signal touches (own recordings alone), and normal beats that lie 10 samples or more from every
    detected R-peak.
    """
    rows = []
    for e in examples:
        far = (e["label"] == CLASSES.index("N")) & (e["near_peak"] == 0)
        kept = np.bincount(e["label"][~far], minlength=len(CLASSES))
        dropped = {"no whole window": int(e["cut_off"].sum())}
        dropped |= {"at a gap": int(e["at_gap"].sum())} if "at_gap" in e else {}
        dropped |= {"far from an R-peak": int(far.sum())}
        lost = sum(dropped.values())
        rows.append(
            {"record": e["record"]}
            | {name: int(count) for name, count in zip(CLASSES, kept, strict=True)}
            | dropped
            | {"lost": lost / max(lost + int(kept.sum()), 1)}
        )
    return rows


def window_table(examples: list[dict], classes: Sequence[str]) -> list[dict]:
    """A row for each group of windows: how many there are of each class."""
    return [
        {"group": e["record"]}
        | {name: int((e["label"] == number).sum()) for number, name in enumerate(classes)}
        for e in examples
    ]


def as_text(rows: Sequence[dict]) -> str:
    """The rows with their sums as columns of text."""
    return _columns([*rows, _total(rows)])


def _total(rows: Sequence[dict]) -> dict:
    """The table's last row: sums, and where rows have it the share of all beats that is lost."""
    what, *names = (name for name in rows[0] if name != "lost")
    counts = {name: sum(row[name] for row in rows) for name in names}
    total = {what: "all"} | counts
    if "lost" not in rows[0]:
        return total
    dropped = sum(n for name, n in counts.items() if name not in CLASSES)
    return total | {"lost": dropped / sum(counts.values())}


def _columns(rows: Sequence[dict]) -> str:
    """Rows of the same keys as columns of text; 'lost' is a share."""
    cells = [
        [f"{value:.1%}" if name == "lost" else str(value) for name, value in row.items()]
        for row in rows
    ]
    names = list(rows[0])
    widths = [max(len(line[i]) for line in [names, *cells]) for i in range(len(names))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in [names, *cells]
    )
