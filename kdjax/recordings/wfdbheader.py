"""WFDB headers: https://physionet.org/physiotools/wag/header-5.htm

What wfdb would misread or refuse is put right in a copy, from which it reads the signals that are
not unpacked here (`wfdbsignals`).
"""

import datetime
import math
import re
import warnings
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from kdjax.files import temporary_folder
from kdjax.recordings.source import HEADER_BYTES, beside, decoded, reading, refusal

_MOST_LINES = 20_000  # wfdb takes 0.2 ms a line
_RATE = re.compile(r"((?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)(?:/.*)?", re.IGNORECASE)
_TIME = re.compile(r"(?:(\d{1,2}):)?(\d{1,2}):(\d{1,2})(?:\.(\d{1,6})\d*)?")
_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")


class _Copy:
    """A folder for a header in other words; it goes when nobody reads from it any more."""

    def __init__(self):
        self.path = temporary_folder(self)


class Signal(NamedTuple):
    """A signal's line: samples_per_frame values of a format a frame, `gain` steps a unit."""

    file: str
    format: str
    samples_per_frame: int
    skew: int
    offset: int
    gain: float
    baseline: int
    units: str
    name: str


class Record(NamedTuple):
    """A header's first line and what follows: signals or, of a record of segments, those.

    fs: frames a second. length: frames, None where it is not stated. stated: how many signals or
    segments it says there are. segments: names and lengths in frames, None in a record of signals.
    """

    fs: float
    length: int | None
    stated: int
    signals: tuple[Signal, ...]
    segments: tuple[tuple[str, int], ...] | None


class Header(NamedTuple):
    """A header, put right.

    stem: the path without suffix by which wfdb reads the signals. files: the signals' files by the
    names that the record has. start: the time of the first sample. notes: what was put right. copy:
    the folder of the copy that stem names, which lives as long as this; None where the record's own
    files do.
    """

    record: Record
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
        return self._replace(record=self.record._replace(length=frames))


def wfdb() -> ModuleType:
    """The package of that name, imported when it is needed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wfdb 4.3 uses what pandas 3 has deprecated
        import wfdb  # here, because with pandas it takes a second that other formats need not wait
    return wfdb


def header_lines(file: Path) -> list[str]:
    """The lines of a WFDB header, but for comments and empty ones; OSError if it cannot be read."""
    with file.open("rb") as opened:
        return _lines(opened.read(HEADER_BYTES))


def _lines(content: bytes) -> list[str]:
    lines = [line.strip() for line in decoded(content).splitlines()]
    return [line for line in lines if line and line[0] != "#"]


def read_header(file: Path) -> Header:
    """The header; InputError where it is none, or names files in other folders."""
    with reading(file.stem, file):
        content = file.read_bytes() if file.stat().st_size <= HEADER_BYTES else None
        if content is None or content.count(b"\n") > _MOST_LINES:
            raise refusal(file, "too long for a WFDB header; check what it is")
        lines = _lines(content)
        if not lines:
            raise refusal(file, "is empty; copy the record again")
        first, start, notes = _record_line(file, lines[0])
        several = "/" in lines[0].split()[0]
        files, others = {}, lines[1:]
        if not several:
            files, others = _signal_lines(file, lines[1:])
        of_lines = [files[line.split()[0]] for line in others if files]
        text = "\n".join([first, *others, ""]).replace("\N{MICRO SIGN}", "u")
        text = text.replace("\N{GREEK SMALL LETTER MU}", "u")
        if _reads_as_it_is(file, lines, text, of_lines=of_lines):
            return Header(
                _record(file, text, of_lines),
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
        record = _record(file, text, [copy.path / line.split()[0] for line in others if files])
        return Header(record, str(stem), files, start, notes, copy)


_FORMAT = re.compile(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
_GAIN = re.compile(rf"({_NUMBER}(?:e[-+]?\d+)?)(?:\(({_NUMBER})\))?(?:/(\S*))?", re.IGNORECASE)
_WHOLE = re.compile(r"[-+]?\d+")
_INTEGERS = 5  # resolution, zero, first value, checksum, block size


def _record(file: Path, text: str, files: list[Path]) -> Record:
    """What a header says whose first line is put right; InputError where a signal's line is wrong.

    files: those of the signals, one for each line.
    """
    first, *lines = text.splitlines()
    name, stated, *fields = first.split()
    rate = re.split("[/(]", fields[0])[0]
    length = int(fields[1]) if len(fields) > 1 else None
    if "/" in name:
        segments = tuple(_segment(file, line) for line in lines)
        return Record(float(rate), length, int(name.split("/")[1]), (), segments)
    signals = tuple(_signal(file, line, path) for line, path in zip(lines, files, strict=True))
    return Record(float(rate), length, int(stated), signals, None)


def _segment(header: Path, line: str) -> tuple[str, int]:
    """A segment's line: its name and its length in frames."""
    name, *fields = line.split()
    if not fields or not fields[0].isdecimal():
        raise refusal(header, f"its line {line[:60]!r} is not a segment and its length; repair it")
    if "/" in name or "\\" in name:
        raise refusal(header, f"its segment {name} lies in another folder; copy it here")
    return name, int(fields[0])


def _signal(header: Path, line: str, file: Path) -> Signal:
    """A signal's line. What begins like a gain must be one; a name may follow any field."""
    fields = line.split()[1:]
    format_ = _FORMAT.fullmatch(fields[0]) if fields else None
    if format_ is None:
        raise refusal(header, f"its line {line[:60]!r} has no signal format; repair it")
    fields, gain, baseline, units = fields[1:], 0.0, None, None
    if fields and re.match(r"[-+.\d]", fields[0]):
        found = _GAIN.fullmatch(fields[0])
        if found is None or not float(found[2] or 0).is_integer() or _is_split(fields):
            said = " ".join(fields[:2] if _is_split(fields) else fields[:1])
            raise refusal(header, f"its gain {said[:40]!r} is not like 200(0)/mV; repair it")
        gain, units, fields = float(found[1]), found[3], fields[1:]
        if math.isinf(gain):
            raise refusal(header, f"its gain {found[1][:40]} is too large; repair it")
        baseline = None if found[2] is None else int(float(found[2]))
    count = 0
    while count < min(len(fields), _INTEGERS) and _WHOLE.fullmatch(fields[count]):
        count += 1
    zero = int(fields[1]) if count > 1 else 0
    return Signal(
        file=file.name,
        format=format_[1],
        samples_per_frame=int(format_[2] or 1),
        skew=int(format_[3] or 0),
        offset=int(format_[4] or 0),
        gain=gain or 200.0,  # as WFDB has it
        baseline=zero if baseline is None else baseline,
        units=units or "mV",
        name=" ".join(fields[count:]),
    )


def _is_split(fields: list[str]) -> bool:
    """Whether a blank stands within the gain."""
    return len(fields) > 1 and fields[1][0] in "(/"


def _reads_as_it_is(file: Path, lines: list[str], text: str, *, of_lines: list[Path]) -> bool:
    """Whether wfdb reads the header in its own place. of_lines: the file of each signal.

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
            line.split()[0] == path.name for line, path in zip(lines[1:], of_lines, strict=False)
        )
    )


def _record_line(file: Path, line: str) -> tuple[str, datetime.datetime | None, tuple[str, ...]]:
    """The first line with what wfdb reads of it, the start, and what was left out."""
    name, *fields = line.split()
    segments = re.search(r"/(\d+)$", name)
    if not fields or not fields[0].isdigit():
        raise refusal(file, f"its first line {line[:60]!r} is not that of a WFDB header; repair it")
    kept, notes = [f"r{segments[0] if segments else ''}", fields[0]], []
    if len(fields) > 1:
        rate = stated_rate(fields[1])
        if not rate:
            raise refusal(file, f"its rate {fields[1][:40]!r} is not a positive number; repair it")
        kept.append("/".join([f"{rate:.12g}", *fields[1].split("/", 1)[1:]]))
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


def stated_rate(field: str) -> float | None:
    """The frames a second in a header's field of the rate; None where it is no number."""
    found = _RATE.fullmatch(field)
    return float(found[1]) if found else None


def _start(fields: list[str]) -> tuple[datetime.datetime | None, bool]:
    """The time and date in a header, and whether something stands there that is none.

    Two numbers are minutes and seconds, as in WFDB's own library.
    """
    if not fields:
        return None, False
    try:
        time, date = _TIME.fullmatch(fields[0]), _DATE.fullmatch(" ".join(fields[1:]))
        assert time is not None
        numbers = [int(part or 0) for part in time.groups()[:3]]
        clock = datetime.time(*numbers, microsecond=int((time[4] or "0").ljust(6, "0")))
        if date is None:
            return None, len(fields) > 1 or clock != datetime.time()
        day = datetime.date(int(date[3]), int(date[2]), int(date[1]))
    except (AssertionError, ValueError):
        return None, True
    return datetime.datetime.combine(day, clock), False


def _signal_lines(file: Path, lines: list[str]) -> tuple[dict[str, Path], list[str]]:
    """The files that hold the signals, by names of our own, and the lines with these names.

    Signals of one file keep one name: their samples lie between each other's.
    """
    names, files, renamed = {}, {}, []
    for line in lines:
        name, *rest = line.split(maxsplit=1)
        if "/" in name or "\\" in name:
            raise refusal(file, f"its signal file {name} lies in another folder; copy it here")
        own = names.setdefault(name, f"s{len(names)}.dat")
        files[own] = beside(file, name) or file.with_name(name)
        renamed.append(" ".join([own, *rest]))
    return files, renamed
