"""Leads by their names, which vary from file to file."""

import re
from collections.abc import Sequence

_SAME_LEAD = (("MLII", "II"), ("MLI", "I"), ("MLIII", "III"))


def place_of(leads: Sequence[str], wanted: str) -> int | None:
    """The place of a lead: by its name in any case, its number from 1, or another of its names.

    'ECG mlII ' is also MLII, and MLII also II. None where there is no such lead.
    """
    numbers = [str(number) for number in range(1, len(leads) + 1)]
    plain = [plain_name(lead) for lead in leads]
    for names, key in (
        ([lead.upper() for lead in leads], wanted.upper()),
        (numbers, wanted),
        (plain, plain_name(wanted)),
    ):
        if key in names:
            return names.index(key)
    same = next((names for names in _SAME_LEAD if plain_name(wanted) in names), ())
    return next((i for i, name in enumerate(plain) if name in same), None)


def plain_name(lead: str) -> str:
    """A lead's name without what varies between files."""
    return re.sub("ECG|EKG|LEAD", "", lead.upper()).strip(" -_:.")
