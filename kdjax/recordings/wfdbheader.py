"""WFDB headers as wfdb reads them: what it would misread or refuse is put right in a copy.

https://physionet.org/physiotools/wag/header-5.htm
"""

import datetime
import re
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from kdjax.files import temporary_folder
from kdjax.recordings.source import HEADER_BYTES, beside, decoded, reading, refusal

_MOST_LINES = 20_000  # wfdb takes 0.2 ms a line
_RATE = re.compile(r"(\d+\.?\d*|\.\d+)(e[-+]?\d+)?(/.*)?", re.IGNORECASE)
_TIME = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6})\d*)?)?")
_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")


class _Copy:
    """A folder for a header in other words; it goes when nobody reads from it any more."""

    def __init__(self):
        self.path = temporary_folder(self)


class Header(NamedTuple):
    """A header as wfdb reads it.

    record: wfdb's Record or, for several segments, its MultiRecord. stem: the path without suffix
    by which wfdb reads the signals. files: the signals' files by the names that the record has.
    start: the time of the first sample. notes: what was put right. copy: the folder of the copy
    that stem names, which lives as long as this; None where the record's own files do.
    """

    record: Any
    stem: str
    files: dict[str, Path]
    start: datetime.datetime | None
    notes: tuple[str, ...]
    copy: _Copy | None

    def with_length(self, frames: int) -> "Header":
        """The same in a copy that states how many frames there are."""
        assert self.copy is not None
        file = Path(self.stem + ".hea")
        first, *others = file.read_text("ascii").split("\n")
        file.write_text("\n".join([f"{' '.join(first.split()[:3])} {frames}", *others]), "ascii")
        return self._replace(record=wfdb().rdheader(self.stem))


def wfdb() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wfdb 4.3 uses what pandas 3 has deprecated
        import wfdb  # here, because with pandas it takes a second that other formats need not wait
    return wfdb


def read_header(file: Path) -> Header:
    """The header; InputError where it is none, or names files in other folders."""
    with reading(file.stem, file):
        content = file.read_bytes() if file.stat().st_size <= HEADER_BYTES else None
        if content is None or content.count(b"\n") > _MOST_LINES:
            raise refusal(file, "too long for a WFDB header; check what it is")
        lines = [line.strip() for line in decoded(content).splitlines()]
        lines = [line for line in lines if line and line[0] != "#"]
        if not lines:
            raise refusal(file, "is empty; copy the record again")
        first, start, notes = _record_line(file, lines[0])
        several = "/" in lines[0].split()[0]
        files, others = {}, lines[1:]
        if not several:
            files, others = _signal_lines(file, lines[1:])
        text = "\n".join([first, *others, ""]).replace("\N{MICRO SIGN}", "u")
        text = text.replace("\N{GREEK SMALL LETTER MU}", "u")
        if _reads_as_it_is(file, lines, text, files):
            return Header(
                wfdb().rdheader(str(file.with_suffix(""))),
                str(file.with_suffix("")),
                {path.name: path for path in files.values()},
                start,
                notes,
                None,
            )
        copy = _Copy()
        stem = copy.path / "r"
        stem.with_suffix(".hea").write_bytes(text.encode("ascii", "replace"))
        for name, path in files.items():
            (copy.path / name).symlink_to(path.absolute())
        return Header(wfdb().rdheader(str(stem)), str(stem), files, start, notes, copy)


def _reads_as_it_is(file: Path, lines: list[str], text: str, files: dict[str, Path]) -> bool:
    """Whether wfdb reads the header in its own place.

    It ignores letters that are not ASCII, and opens files by fsspec, to which '::' parts protocols,
    the network's too.
    """
    record = lines[0].split()
    return (
        file.suffix == ".hea"
        and text.isascii()
        and "".join(lines).isascii()
        and re.fullmatch(r"[-\w]+(/\d+)?", record[0]) is not None
        and text.split("\n", 1)[0].split()[1:] == record[1:]
        and (len(record) > 3 or "/" in record[0])
        and "::" not in str(file.resolve())
        and all(
            line.split()[0] == files[f"s{i}.dat"].name for i, line in enumerate(lines[1:]) if files
        )
    )


def _record_line(file: Path, line: str) -> tuple[str, datetime.datetime | None, tuple[str, ...]]:
    """The first line with what wfdb reads of it, the start, and what was left out."""
    name, *fields = line.split()
    segments = re.search(r"/(\d+)$", name)
    if not fields or not fields[0].isdigit():
        raise refusal(file, f"its first line {line[:60]!r} is none of a WFDB header; repair it")
    kept, notes = [f"r{segments[0] if segments else ''}", fields[0]], []
    if len(fields) > 1:
        rate = _RATE.fullmatch(fields[1])
        if rate is None or not float(rate[1] + (rate[2] or "")) > 0:
            raise refusal(file, f"its rate {fields[1][:40]!r} is no positive number; repair it")
        kept.append(f"{float(rate[1] + (rate[2] or '')):.12g}{rate[3] or ''}")
    else:
        kept.append("250")
        notes.append("its header states no rate: 250 Hz are taken, as WFDB has it")
    if len(fields) > 2 and fields[2].isdigit() and int(fields[2]):
        kept.append(fields[2])
    elif len(fields) > 2 and fields[2] != "0":
        raise refusal(file, f"its number of samples {fields[2][:40]!r} is none; repair it")
    start, wrong = _start(fields[3:5])
    if wrong:
        notes.append(f"its header has no valid time and date ({' '.join(fields[3:5])[:40]!r})")
    elif len(kept) == 4:
        kept += fields[3:5]
    return " ".join(kept), start, tuple(notes)


def _start(fields: list[str]) -> tuple[datetime.datetime | None, bool]:
    """The time and date in a header, and whether something stands there that is none."""
    if not fields:
        return None, False
    try:
        time, date = _TIME.fullmatch(fields[0]), _DATE.fullmatch(" ".join(fields[1:]))
        assert time is not None
        numbers = [int(part or 0) for part in time.groups()[:3]]
        clock = datetime.time(*numbers, microsecond=int((time[4] or "0").ljust(6, "0")))
        if date is None:
            return None, len(fields) > 1
        day = datetime.date(int(date[3]), int(date[2]), int(date[1]))
    except (AssertionError, ValueError):
        return None, True
    return datetime.datetime.combine(day, clock), False


def _signal_lines(file: Path, lines: list[str]) -> tuple[dict[str, Path], list[str]]:
    """The files that hold the signals, by names of our own, and the lines with these names."""
    files, renamed = {}, []
    for i, line in enumerate(lines):
        name, *rest = line.split(maxsplit=1)
        if "/" in name or "\\" in name:
            raise refusal(file, f"its signal file {name} lies in another folder; copy it here")
        files[f"s{i}.dat"] = beside(file, name) or file.with_name(name)
        renamed.append(" ".join([f"s{i}.dat", *rest]))
    return files, renamed
