"""Text tables: a row for each sample, a column for each lead, in any of the usual layouts."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kdjax.recordings import lines, timecolumn
from kdjax.recordings.layout import Layout, layout
from kdjax.recordings.source import (
    Given,
    Source,
    check_missing,
    check_stated,
    lead_names,
    name_of,
    reading,
    refusal,
    unit_notes,
    with_gaps,
)
from kdjax.recordings.units import in_millivolts, is_raw, shown

HEAD_BYTES = 1 << 20


def open_csv(file: Path, given: Given) -> Source:
    """A text table; see `open_source` for what it may look like."""
    with reading(file.stem, file), file.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
        table = layout(file, head, len(head) < HEAD_BYTES)
        text = lines.index(file, opened, table)
        places, factors, notes = _leads(file, table, given)
        notes += _empty_notes(text)
        when = timecolumn.when(text, given)
        fs, factors = check_stated(file, when.fs, factors)
        gaps = when.gaps
        missing = sum(samples for _, samples in gaps)
        check_missing(file, missing, length=text.rows + missing, fs=fs)

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        rows = lines.read(text, [places[column] for column in columns], fs)
        return with_gaps((block * factors[columns] for block in rows), gaps, fs)

    names = [table.columns[place].name for place in places]
    if names == [None]:
        names = [table.preamble.lead]
    return Source(
        name=name_of(file),
        fs=fs,
        leads=lead_names(names),
        length=text.rows + missing,
        read=read,
        start=when.start,
        notes=(*table.preamble.notes, *notes, *when.notes),
    )


def _empty_notes(text: lines.Lines) -> list[str]:
    """That lines of a table of one column hold nothing; in a wider table they are refused."""
    return [f"empty lines read as missing samples: {text.empty}"] if text.empty else []


def _leads(
    file: Path, table: Layout, given: Given
) -> tuple[list[int], np.ndarray | None, list[str]]:
    """The columns that are leads, how many mV a number in them is, and what to say of it.

    None for mV where neither the file nor the user says it.
    """
    above = table.preamble
    units = {
        place: column.unit or above.unit or ""
        for place, column in enumerate(table.columns)
        if column.kind == "number"
        and not column.time
        and (not above.ecg or column.name in above.ecg or column.name not in above.columns)
    }
    volts = [place for place, unit in units.items() if in_millivolts(unit) is not None]
    raw = [place for place, unit in units.items() if is_raw(unit)]
    if not volts and not raw:
        if units:
            said = ", ".join(sorted(set(map(shown, units.values()))))[:80]
            raise refusal(
                file,
                f"no column is a voltage (units: {said}); choose a recording with an ECG, or "
                "correct the units in the file",
            )
        raise refusal(file, "has no column of a lead; name one in the header line")
    factor = given.factor()
    if factor is not None:
        places = sorted(volts + raw)
        notes = unit_notes([units[place] for place in volts], given)
        if given.gain is not None and (volts or above.gain):
            notes = [f"read with {given.gain:g} steps per mV instead of the file's unit"]
        return places, np.full(len(places), factor), notes
    if volts:
        left = lead_names([table.columns[place].name for place in raw])
        notes = [f"left out (no unit stated): {', '.join(left)[:80]}"] if raw else []
        return volts, np.array([in_millivolts(units[place]) for place in volts]), notes
    return raw, None if above.gain is None else np.full(len(raw), 1 / above.gain), []
