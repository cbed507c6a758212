"""EDF, EDF+ and BDF.

https://www.edfplus.info/specs/edf.html, https://www.edfplus.info/specs/edfplus.html,
https://www.biosemi.com/faq/file_format.htm
"""

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kdjax.recordings.source import (
    BLOCK_VALUES,
    Given,
    Source,
    block_length,
    check_missing,
    decoded,
    gap_note,
    name_of,
    reading,
    refusal,
    spans,
    voltages,
    with_gaps,
)

_MOST_SIGNALS = 4096
_FIELDS = {  # of each signal, and how many bytes they take
    "label": 16, "transducer": 80, "unit": 8, "low": 8, "high": 8, "digital low": 8,
    "digital high": 8, "filter": 80, "samples": 8, "reserved": 32,
}  # fmt: skip
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_JUMP = 1.0  # s by which a time stamp is off
_DRIFT = 0.01  # of a recording's length, from which time stamps are no clock that drifts
_STAMP = re.compile(rb"[+-]\d+(?:\.\d*)?\x14\x14\x00")  # the start of a data record


class _Signal(NamedTuple):
    """A signal of the header. `first` to `first + samples` are its places in a data record."""

    label: str
    unit: str
    low: float
    high: float
    digital_low: float
    digital_high: float
    samples: int
    first: int

    @property
    def is_annotation(self) -> bool:
        return self.label in ("EDF Annotations", "BDF Annotations")

    @property
    def has_range(self) -> bool:
        ends = (self.low, self.high, self.digital_low, self.digital_high)
        return bool(np.isfinite(ends).all()) and self.low != self.high and ends[2] != ends[3]

    @property
    def steps(self) -> float:
        """Of the converter, to one of its unit."""
        return (self.digital_high - self.digital_low) / (self.high - self.low)


class _Header(NamedTuple):
    """records: how many the header promises, -1 where it does not; width: bytes of a sample."""

    signals: tuple[_Signal, ...]
    size: int
    records: int
    seconds: float
    width: int
    interrupted: bool
    start: datetime.datetime | None

    @property
    def per_record(self) -> int:
        return sum(signal.samples for signal in self.signals)

    @property
    def record_size(self) -> int:
        return self.per_record * self.width


def open_edf(file: Path, given: Given) -> Source:
    """An EDF or BDF file, which its first byte tells apart.

    Records that the header promises and the file lacks, or has beyond it, are told in the notes;
    so are signals without a range of values, which are left out, and time stamps that jump in a
    file that calls itself continuous. The gaps of EDF+D are missing.
    """
    with reading(file.stem, file):
        header = _read_header(file)
        usable = [s for s in header.signals if s.samples and not s.is_annotation]
        leads = [s for s in usable if s.has_range]
        if usable and not leads:
            raise refusal(file, f"{usable[0].label} has no range of values; repair the header")
        found = voltages(
            file,
            [signal.label for signal in leads],
            units=[signal.unit for signal in leads],
            rates=[signal.samples / header.seconds for signal in leads],
            steps=[signal.steps for signal in leads],
            given=given,
        )
        notes = list(found.notes)
        if dummies := [s.label or "a signal without a name" for s in usable if not s.has_range]:
            notes.append(f"left out (no range of values): {', '.join(dummies)[:80]}")
        starts, remarks = _records(file, header)
        notes += remarks
        chosen = [leads[place] for place in found.places]
        gaps = _gaps(file, header, starts, fs=found.fs) if header.interrupted else ()
        notes += [] if header.interrupted else _jumps(file, header, starts)
        missing = sum(samples for _, samples in gaps)
        length = len(starts) * chosen[0].samples + missing
        check_missing(file, missing, length=length, fs=found.fs)
        if gaps:
            notes.append(f"interrupted recording: {gap_note(gaps, found.fs)}")

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        signals = [chosen[column] for column in columns]
        blocks = _blocks(file, header, starts, signals=signals)
        return with_gaps((block * found.per_unit[columns] for block in blocks), gaps, found.fs)

    return Source(
        name=name_of(file),
        fs=found.fs,
        leads=found.leads,
        length=length,
        read=read,
        start=_begins(file, header, int(starts[0])),
        notes=tuple(notes),
    )


def _begins(file: Path, header: _Header, first: int) -> datetime.datetime | None:
    """When the record at byte `first` begins: EDF+ stamps it with seconds since the header's start.

    None where the header does not say when.
    """
    clock = _clock_of(header)
    if clock is None or header.start is None:
        return header.start
    with reading(file.stem, file), file.open("rb") as opened:
        opened.seek(first + clock.first * header.width)
        onset = _onset(opened.read(clock.samples * header.width))
    try:
        return header.start + datetime.timedelta(seconds=onset)
    except (ValueError, OverflowError):  # no number, or more than a calendar holds
        return header.start


def _clock_of(header: _Header) -> _Signal | None:
    """The annotation signal that stamps the data records, if there is one."""
    return next((s for s in header.signals if s.is_annotation and s.samples), None)


def _read_header(file: Path) -> _Header:
    with file.open("rb") as opened:
        main = opened.read(256)
        n = _whole(main[252:256])
        if not 1 <= n <= _MOST_SIGNALS:
            raise refusal(file, f"its header says {n} signals; it is damaged: copy it again")
        rest = opened.read(256 * n)
    if len(rest) != 256 * n or _whole(main[184:192]) != 256 * (n + 1):
        raise refusal(file, "its header is truncated or damaged; copy it again")
    seconds = _number(main[244:252])
    if not 0 < seconds < np.inf:
        raise refusal(file, "its data records last no time; choose a file with signals")
    columns, at = {}, 0
    for name, width in _FIELDS.items():
        columns[name] = [rest[at + width * i : at + width * (i + 1)] for i in range(n)]
        at += width * n
    samples = [_whole(text) for text in columns["samples"]]
    if min(samples) < 0 or not 0 < sum(samples) <= 10 * BLOCK_VALUES:
        raise refusal(file, f"{sum(samples)} samples a data record cannot be read")
    first = np.cumsum([0, *samples]).tolist()
    signals = tuple(
        _Signal(
            _text(columns["label"][i]),
            _text(columns["unit"][i]),
            *(_number(columns[name][i]) for name in ("low", "high", "digital low", "digital high")),
            samples=samples[i],
            first=first[i],
        )
        for i in range(n)
    )
    return _Header(
        signals=signals,
        size=256 * (n + 1),
        records=_whole(main[236:244]),
        seconds=seconds,
        width=3 if main[0] == 0xFF else 2,
        interrupted=main[192:197] in (b"EDF+D", b"BDF+D"),
        start=_start(main),
    )


def _text(field: bytes) -> str:
    """Latin-1, or UTF-8 as some programs write it against the standard."""
    return decoded(field).strip(" \0")


def _number(field: bytes) -> float:
    """A number, with a decimal point or comma; NaN where there is none."""
    try:
        return float(_text(field).replace(",", "."))
    except ValueError:
        return np.nan


def _whole(field: bytes) -> int:
    """A whole number; ValueError where there is none."""
    return int(_text(field))


def _start(main: bytes) -> datetime.datetime | None:
    """The start as the header says it: years from 1985 on, or as EDF+ writes them in full."""
    try:
        day, month, year = (int(part) for part in re.split(r"\D", _text(main[168:176])))
        year += 1900 if year >= 85 else 2000
        if plus := re.match(r"Startdate (\d\d)-([A-Z]{3})-(\d{4})", _text(main[88:168])):
            day, month, year = int(plus[1]), _MONTHS.index(plus[2]) + 1, int(plus[3])
        elif _text(main[88:168]).startswith("Startdate X"):
            return None
        hour, minute, second = (int(part) for part in re.split(r"\D", _text(main[176:184])))
        return datetime.datetime(year, month, day, hour, minute, second)
    except (ValueError, TypeError):
        return None


def _records(file: Path, header: _Header) -> tuple[np.ndarray, list[str]]:
    """Where each whole data record begins, int64 bytes [n], and what to say of their number."""
    size, bytes_ = header.record_size, file.stat().st_size - header.size
    held, over = divmod(bytes_, size)
    if held < 1:
        raise refusal(file, "holds no whole data record; it is truncated: copy it again")
    if header.records < -1:
        raise refusal(file, f"its header says {header.records} data records; repair it")
    if over and any(s.is_annotation and not s.samples for s in header.signals):
        return _stamped_records(file, header), []
    starts = header.size + size * np.arange(held)
    notes = []
    if header.records not in (-1, held):  # -1: the recorder was not stopped
        notes.append(f"its header says {header.records} data records; the file has {held}")
    if over:
        notes.append(f"left out: {over} bytes at the end, less than a data record")
    return starts, notes


def _stamped_records(file: Path, header: _Header) -> np.ndarray:
    """Where records begin that are followed by time stamps for which the header has no samples."""
    data = file.read_bytes()
    starts, at = [], header.size
    while at < len(data):
        stamp = _STAMP.match(data, at + header.record_size)
        if stamp is None:
            raise refusal(
                file, "its annotation signal has no samples, its data more; repair the header"
            )
        starts.append(at)
        at = stamp.end()
    return np.array(starts)


def _blocks(
    file: Path, header: _Header, starts: np.ndarray, *, signals: list[_Signal]
) -> Iterator[np.ndarray]:
    """Physical values, blocks float64 [n, signals], of the records that begin at `starts`."""
    per_record = header.per_record
    scale = np.array([1 / signal.steps for signal in signals])
    shift = np.array([signal.low - signal.digital_low / signal.steps for signal in signals])
    for first, stop in spans(len(starts), block_length(1 / header.seconds, per_record)):
        with reading(file.stem, file):
            digital = _digital(file, header, starts[first:stop])
            parts = [digital[:, s.first : s.first + s.samples].reshape(-1) for s in signals]
            signal = np.stack(parts, axis=1) * scale + shift
        yield signal


def _digital(file: Path, header: _Header, starts: np.ndarray) -> np.ndarray:
    """The numbers of the data records that begin at `starts`, int16 or int32 [records, n]."""
    size = header.record_size
    with file.open("rb") as opened:
        opened.seek(int(starts[0]))
        data = opened.read(int(starts[-1] - starts[0]) + size)
    if len(data) != len(starts) * size:
        begins = (starts - starts[0]).tolist()
        data = b"".join(data[begin : begin + size] for begin in begins)
    if header.width == 2:
        return np.frombuffer(data, "<i2").reshape(len(starts), -1)
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return (wide.view("<i4")[:, 0] >> 8).reshape(len(starts), -1)


def _gaps(
    file: Path, header: _Header, starts: np.ndarray, *, fs: float
) -> tuple[tuple[int, int], ...]:
    """Where an interrupted recording lacks samples: (row, samples missing before it).

    The first annotation signal says at the beginning of each record when it starts. Where a record
    is less late than one before it, its time stamp is inexact: no samples are missing again.
    """
    clock = _clock_of(header)
    if clock is None:
        raise refusal(file, "is interrupted (EDF+D) but does not say where; convert it to EDF+C")
    onsets = _onsets(file, header, len(starts), clock=clock)
    if not np.isfinite(onsets).all() or (np.diff(onsets) < 0.5 * header.seconds).any():
        raise refusal(
            file, "is interrupted (EDF+D), and its records do not follow each other; repair it"
        )
    late = onsets - onsets[0] - header.seconds * np.arange(len(starts))
    steps = np.diff(np.maximum.accumulate(np.rint(late * fs).astype(np.int64)))
    places = np.flatnonzero(steps > 0)
    samples = round(fs * header.seconds)
    return tuple((int(place + 1) * samples, int(steps[place])) for place in places)


def _jumps(file: Path, header: _Header, starts: np.ndarray) -> list[str]:
    """What to say where records of a continuous recording are stamped as if it were none."""
    clock = _clock_of(header)
    if clock is None:
        return []
    onsets = _onsets(file, header, len(starts), clock=clock)
    steps = np.diff(onsets) - header.seconds
    jumps = np.flatnonzero(np.abs(steps) >= _JUMP)
    read, stamped = len(starts) * header.seconds, onsets[-1] - onsets[0] + header.seconds
    if len(jumps):
        after = datetime.timedelta(seconds=int((jumps[0] + 1) * header.seconds))
        first = f" (the first of {len(jumps)} jumps)" if len(jumps) > 1 else ""
        said = f"jump by {steps[jumps[0]]:.4g} s, {after} after the start{first}"
    elif abs(stamped - read) > max(_JUMP, _DRIFT * read):
        said = f"say that it lasts {stamped:.0f} s and not {read:.0f}"
    else:
        return []
    return [f"read as continuous, as its header says, although its time stamps {said}"]


def _onsets(file: Path, header: _Header, n: int, *, clock: _Signal) -> np.ndarray:
    """When each of the first n data records begins by its stamp, in s; NaN where it has none."""
    data = np.memmap(file, np.uint8, "r", header.size, (n, header.record_size))
    first, stop = clock.first * header.width, (clock.first + clock.samples) * header.width
    return np.array([_onset(row.tobytes()) for row in data[:, first:stop]])


def _onset(stamp: bytes) -> float:
    found = re.match(rb"([+-]\d+(?:\.\d*)?)(?:\x15[^\x14]*)?\x14", stamp)
    return float(found[1]) if found else np.nan
