"""Which files of folders are recordings, and under what names their results lie."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from kdjax.errors import InputError
from kdjax.recordings.csv import HEAD_BYTES, open_csv
from kdjax.recordings.formats import kind
from kdjax.recordings.layout import layout
from kdjax.recordings.source import Given, reading, refusal
from kdjax.recordings.wfdb import segments

_SURE = {".hea", ".edf", ".bdf", ".npy"}  # what has these suffixes and cannot be read is damaged
_TABLES = {".csv", ".tsv"}
_BESIDE = ".annotations.csv"
_LONGEST = 150  # bytes of a folder's name


class Inside(NamedTuple):
    """What lies directly in a folder: recordings, and files that are none, both sorted."""

    recordings: list[Path]
    others: list[Path]


def find_sources(folder: str | Path) -> list[Path]:
    """The recordings directly in `folder`; see `look_into`."""
    return look_into(folder).recordings


def look_into(folder: str | Path) -> Inside:
    """Tells the recordings directly in `folder` from other files, by their content.

    A WFDB record is named by its header, a record of several segments by its first header alone.
    Text counts where it is a table of numbers: in a .csv or .tsv file any, elsewhere one that
    states its own rate and unit. Hidden files, annotations and the other files of WFDB records are
    neither recordings nor others.
    """
    folder = Path(folder)
    with reading(folder.name, folder):
        if not folder.is_dir():
            raise refusal(folder, "is not a folder; name one that holds recordings")
        files = [
            file
            for file in sorted(folder.iterdir())
            if not file.name.startswith(".") and not file.name.endswith(_BESIDE) and file.is_file()
        ]
        headers = [file for file in files if file.suffix.lower() == ".hea"]
        parts = {name for header in headers for name in segments(header)}
        records = {header.stem.lower() for header in headers}
    found = Inside([], [])
    for file in files:
        if file.suffix.lower() == ".hea":
            if file.stem.lower() not in parts:
                found.recordings.append(file)
        elif _is_recording(file):
            found.recordings.append(file)
        elif file.stem.lower() not in records:
            found.others.append(file)
    return found


def _is_recording(file: Path) -> bool:
    suffix = file.suffix.lower()
    try:
        known = kind(file)
        if known == "csv" and suffix not in _SURE | _TABLES:
            return _states_all(file)
        if known == "csv" and suffix in _TABLES:
            with file.open("rb") as opened:
                head = opened.read(HEAD_BYTES)
            layout(file, head, len(head) < HEAD_BYTES)
    except InputError as error:
        # a table on its side is one that its owner can turn
        return suffix in _SURE or (suffix in _TABLES and "transpose" in str(error))
    return True


def _states_all(file: Path) -> bool:
    """Whether a text is a table that says of itself all that must be known."""
    open_csv(file, Given())
    return True


def result_names(recordings: Sequence[Path]) -> list[str]:
    """A folder's name for each recording, all different.

    Its stem; where others share that, with its suffix, its folder's name or both; else a number.
    """
    forms: tuple[Callable[[Path], str], ...] = (
        lambda path: path.stem,
        lambda path: f"{path.stem}-{path.suffix[1:]}",
        lambda path: f"{path.absolute().parent.name}-{path.stem}",
        lambda path: f"{path.absolute().parent.name}-{path.stem}-{path.suffix[1:]}",
    )
    names = [_safe(path.stem) for path in recordings]
    for form in forms:
        shared = _shared(names)
        names = [
            _safe(form(path)) if name.casefold() in shared else name
            for name, path in zip(names, recordings, strict=True)
        ]
    shared, taken = _shared(names), {name.casefold() for name in names}
    for i, name in enumerate(names):
        if name.casefold() in shared:
            number = 1
            while f"{name}-{number}".casefold() in taken:
                number += 1
            names[i] = f"{name}-{number}"
            taken.add(names[i].casefold())
    return names


def _shared(names: Sequence[str]) -> set[str]:
    counts = Counter(name.casefold() for name in names)
    return {name for name, count in counts.items() if count > 1}


def _safe(name: str) -> str:
    """A name with letters of any script, digits, hyphens and underscores, and not too long."""
    plain = re.sub(r"[^-\w]", "_", unicodedata.normalize("NFC", name))
    return plain.encode()[:_LONGEST].decode(errors="ignore") or "_"
