"""Which leads of a recording a detector reads."""

import re
from collections.abc import Sequence

from kdjax.errors import InputError, option, options
from kdjax.recordings import Source
from kdjax.recordings.leads import place_of

_NO_ECG = re.compile(
    r"(?<![a-z])(EEG|EMG|EOG|ERG|RESP\w*|SPO2|PLETH\w*|PPG|ABP|CVP|ICP)(?![a-z])", re.IGNORECASE
)


def choose_leads(
    source: Source, wanted: Sequence[str], calibrated: Sequence[str]
) -> tuple[list[int], list[str]]:
    """The columns of the leads to use, and what the user should know of the choice.

    `wanted` as in `detect`; else the calibrated leads by name (MLII is also II), else all, where
    there are as many. InputError where that leaves a choice, or takes what is named as no ECG's.
    """
    there = f"its leads are {', '.join(source.leads)}"
    if wanted:
        if len(wanted) != len(calibrated):
            raise InputError(
                f"{source.name}: {len(wanted)} leads chosen, the detector takes {len(calibrated)}; "
                f"choose as many with {option('leads')}"
            )
        columns = []
        for lead in wanted:
            column = place_of(source.leads, lead)
            if column is None:
                raise InputError(f"{source.name}: no lead {lead!r}; {there}; name one of them")
            columns.append(column)
        others = [
            f"{_named([source.leads[column]])} read, although the detector was calibrated on {lead}"
            for column, lead in zip(columns, calibrated, strict=True)
            if place_of([source.leads[column]], lead) is None
        ]
        return columns, others
    columns = [place_of(source.leads, lead) for lead in calibrated]
    if None not in columns:
        return [column for column in columns if column is not None], []
    if len(source.leads) == len(calibrated):
        if others := [lead for lead in source.leads if _NO_ECG.search(lead)]:
            raise InputError(
                f"{source.name}: {', '.join(others)} is not named like an ECG; if it is one, "
                f"choose it with {option('leads')}"
            )
        note = (
            f"{_named(source.leads)} read as {', '.join(calibrated)}, on which the detector was "
            "calibrated"
        )
        return list(range(len(calibrated))), [note]
    example = f", for example {options(leads='1')}" if len(calibrated) == 1 else ""
    raise InputError(
        f"{source.name}: no lead {', '.join(calibrated)}; {there}; choose {len(calibrated)} with "
        f"{option('leads')}, by name or number{example}"
    )


def _named(leads: Sequence[str]) -> str:
    """Names in a sentence: 'lead V5', and 'lead 1', which a lead without a name is called."""
    return ", ".join(name if name.startswith("lead ") else f"lead {name}" for name in leads)


def with_second(source: Source, columns: Sequence[int]) -> list[int]:
    """The columns to look at: those the detector reads and, beside a single one, the next lead."""
    others = [column for column in range(len(source.leads)) if column not in columns]
    return [*columns, *others[: max(2 - len(columns), 0)]]
