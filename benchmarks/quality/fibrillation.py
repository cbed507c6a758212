"""How much of atrial fibrillation is found, by duration, against the rhythms of the reference."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from benchmarks.quality.fit_kinds import Read, beats_of, fibrillation
from kdjax import ec57
from kdjax.detection.events import WITHOUT_P, Event, find_events
from kdjax.ec57 import labels


def rows(reads: Sequence[Read], models: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Seconds in atrial fibrillation or flutter of the reference, called so, and both.

    Each record with its own weights, of `fit_kinds.fit`.
    A row for irregular rhythms without P waves and one for all irregular rhythms, each over all
    records and by record, of which those without either are left out.
    """
    found = []
    for without_p in (True, False):
        records = []
        for one, model in zip(reads, models, strict=True):
            events = fibrillation(one, model)
            if not without_p:
                every = find_events(beats_of(one, model), one.fs, events)
                events = [event for event in every if "irregular" in event.name]
            reference = labels.read(one.reference, ec57.CLASSES["aami"], 0).atrial / one.fs
            records.append({"record": one.name, **_seconds(reference, events, one.fs)})
        total = {name: sum(row[name] for row in records) for name in ("reference", "found", "both")}
        found.append(
            {
                "events": WITHOUT_P if without_p else "irregular rhythm",
                **{name: round(value, 1) for name, value in total.items()},
                "Se": _percent(total["both"], total["reference"]),
                "+P": _percent(total["both"], total["found"]),
                "number": sum(row["number"] for row in records),
                "records": [row for row in records if row["reference"] or row["found"]],
            }
        )
    return found


def _seconds(reference: np.ndarray, events: Iterable[Event], fs: float) -> dict[str, float]:
    found = [(event.first / fs, event.last / fs) for event in events]
    both = sum(
        max(min(end, last) - max(begin, first), 0.0)
        for begin, end in reference.tolist()
        for first, last in found
    )
    return {
        "reference": round(float(np.diff(reference, axis=1).sum()), 1),
        "found": round(sum(last - first for first, last in found), 1),
        "both": round(both, 1),
        "number": len(found),
    }


def _percent(part: float, whole: float) -> float | None:
    return round(100 * part / whole, 1) if whole else None
