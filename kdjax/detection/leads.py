"""Which leads of a recording a detector reads."""

import re
from collections.abc import Sequence

from kdjax.errors import InputError
from kdjax.recordings import Source


def choose_leads(
    source: Source, wanted: Sequence[str], calibrated: Sequence[str]
) -> tuple[list[int], list[str]]:
    """The columns of the leads to use, and what the user should know of the choice.

    `wanted` as in `detect`; else the calibrated leads by name (MLII is also II), else all, where
    there are as many.
    InputError where that leaves a choice.
    """
    numbers = [str(number) for number in range(1, len(source.leads) + 1)]
    plain = [_plain(name) for name in source.leads]
    there = f"its leads are {', '.join(source.leads)}"
    if wanted:
        if len(wanted) != len(calibrated):
            raise InputError(
                f"{source.name}: {len(wanted)} leads chosen, the detector takes {len(calibrated)}; "
                "repeat --lead for each"
            )
        columns = []
        for lead in wanted:
            for names in ([name.upper() for name in source.leads], numbers, plain):
                key = _plain(lead) if names is plain else lead.upper()
                if key in names:
                    columns.append(names.index(key))
                    break
            else:
                raise InputError(f"{source.name}: no lead {lead!r}; {there}")
        others = [
            f"lead {source.leads[column]} taken, though the detector was calibrated on {lead}"
            for column, lead in zip(columns, calibrated, strict=True)
            if _column([source.leads[column]], lead) is None
        ]
        return columns, others
    columns = [_column(source.leads, lead) for lead in calibrated]
    if None not in columns:
        return [column for column in columns if column is not None], []
    if len(source.leads) == len(calibrated):
        note = (
            f"leads {', '.join(source.leads)} taken for {', '.join(calibrated)}, on which the "
            "detector was calibrated"
        )
        return list(range(len(calibrated))), [note]
    raise InputError(f"{source.name}: no lead {', '.join(calibrated)}; {there}: choose with --lead")


def _column(leads: Sequence[str], lead: str) -> int | None:
    """The place of a lead under any of its names."""
    for names in _SAME_LEAD:
        if _plain(lead) in names:
            break
    else:
        names = (_plain(lead),)
    return next((i for i, name in enumerate(leads) if _plain(name) in names), None)


_SAME_LEAD = (("MLII", "II"), ("MLI", "I"), ("MLIII", "III"))


def _plain(lead: str) -> str:
    """A lead's name without what varies between files: 'ECG mlII ' is 'MLII'."""
    return re.sub("ECG|EKG|LEAD", "", lead.upper()).strip(" -_:.")
