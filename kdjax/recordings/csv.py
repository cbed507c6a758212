"""CSV and text tables."""

import csv
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kdjax.recordings.source import (
    MOST_LEADS,
    Source,
    block_length,
    lead_names,
    reading,
    refusal,
    spans,
    words,
)

LINE_BYTES = 1 << 20


# CSV

_NO_NUMBER = ("", "-", "nan", "NaN", "NAN", "NA", "N/A", "null")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?inf(inity)?", re.IGNORECASE)
_SECONDS = {"seconds", "second", "sec", "secs", "s", "time s", "time sec", "time seconds"}
_CLOCK = {"time", "t", "timestamp", "elapsed time"}  # of a unit that it does not say
_COUNTER = {
    "sample", "samples", "sample number", "sample index", "index", "idx", "frame", "no", "nr",
    "number", "unnamed: 0", "ms", "milliseconds", "time ms", "us", "time us", "date", "datetime",
    "date time", "date/time", "hh:mm:ss", "hh:mm:ss.mmm",
}  # fmt: skip


class _Table(NamedTuple):
    """How a CSV is laid out.

    Its first row of numbers begins at byte `start`, in line `line` (from 1); `places` are the
    columns of `leads`.
    """

    start: int
    line: int
    delimiter: str
    decimal: str
    fields: int
    places: list[int]
    leads: tuple[str, ...]


def open_csv(file: Path, fs: float, per_unit: float) -> Source:
    with reading(file.stem, file), file.open("rb") as opened:
        table = _layout(file, opened.read(LINE_BYTES), fs)
        end = _text_end(opened)
        length = _count_lines(opened, table.start, end)
    size = (end - table.start) * block_length(fs, table.fields) // max(1, length)
    size = min(max(size, LINE_BYTES), 8 * LINE_BYTES)

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        places = [table.places[column] for column in columns]
        at, line = table.start, table.line
        while at < end:
            with reading(file.stem, file):
                with file.open("rb") as opened:
                    opened.seek(at)
                    text = opened.read(min(size, end - at))
                at += len(text)
                if at < end:
                    whole = text.rfind(b"\n") + 1
                    if not whole:
                        raise refusal(file, f"line {line} is too long; check what the file is")
                    at -= len(text) - whole
                    text = text[:whole]
                rows = _parse(file, table, text, line, places) * per_unit
                line += len(rows)
            yield rows

    return Source(file.stem, fs, table.leads, length, read)


def _layout(file: Path, head: bytes, fs: float) -> _Table:
    """The layout that the file's first bytes show; InputError where they are no table."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head:
        raise refusal(file, "is no text in UTF-8; save it as CSV in UTF-8")
    mark = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    if len(head) == LINE_BYTES:
        head = head[: head.rfind(b"\n") + 1]  # the last line may be cut
        if not head:
            raise refusal(file, "line 1 is too long; check what the file is")
    try:
        text = head[mark:].decode()
    except UnicodeDecodeError:
        text = head[mark:].decode("latin-1")
    first, *others = [line.rstrip("\r") for line in text.rstrip("\r\n").split("\n", 1000)[:1000]]
    sample = others[0] if others else first
    delimiter = next((sign for sign in ";\t," if sign in sample), None)
    if delimiter is None:
        delimiter = " " if " " in sample.strip() else ","
    decimal = "," if delimiter in ";\t" and any("," in line for line in others) else "."
    names = _split(first, delimiter)
    headed = not all(_is_number(name, decimal) for name in names)
    fields = len(_split(sample, delimiter))
    if headed:
        names = _split(first.lstrip("#"), delimiter)
    if len(names) != fields or fields > MOST_LEADS:
        raise refusal(
            file,
            f"line 1 has {len(names)} fields and line 2 has {fields}; a line of names and "
            f"rows of as many numbers are needed, {MOST_LEADS} at most",
        )
    words = [_plain(name) for name in names]
    clocks = [i for i, word in enumerate(words) if headed and word in _SECONDS | _CLOCK]
    counters = [i for i, word in enumerate(words) if headed and word in _COUNTER]
    if headed and words[0] == "" and fields > 1:
        counters.append(0)  # an index as pandas writes it
    for i in clocks:
        cells = [_split(line, delimiter)[i : i + 1] for line in others]
        _check_clock(file, [cell[0] for cell in cells if cell], words[i], decimal, fs)
    places = [i for i in range(fields) if i not in clocks + counters]
    if not places:
        raise refusal(file, "has no column of a lead; name one in the header line")
    start = mark + (head[mark:].find(b"\n") + 1 or len(head) - mark) if headed else mark
    return _Table(
        start,
        2 if headed else 1,
        delimiter,
        decimal,
        fields,
        places,
        lead_names([names[i] if headed else None for i in places]),
    )


def _split(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    row = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    return [field.strip().strip("'") for field in row] or [""]


def _plain(name: str) -> str:
    """A column's name in lower case, with blanks for what parts its words."""
    return " ".join(re.sub(r"[\s_#()\[\]]+", " ", name.lower()).split())


def _is_number(field: str, decimal: str) -> bool:
    field = field.strip()
    point = field.translate({ord(decimal): ".", ord("."): ","} if decimal == "," else {})
    return field in _NO_NUMBER or bool(_NUMBER.fullmatch(point))


def _check_clock(file: Path, cells: list[str], name: str, decimal: str, fs: float) -> None:
    """Refuses an `fs` that the times of the first rows contradict; clocks like 00:01 say nothing.

    A column that only says 'time' may count seconds, their thousandths, millionths or samples.
    """
    if len(cells) < 100 or not all(_is_number(c, decimal) and c not in _NO_NUMBER for c in cells):
        return  # the rounding of so few times is too coarse
    times = [float(cell.replace(decimal, ".")) for cell in (cells[0], cells[-1])]
    step = (times[1] - times[0]) / (len(cells) - 1)
    steps = [1 / fs] if name in _SECONDS else [1 / fs, 1e3 / fs, 1e6 / fs, 1.0]
    if not any(abs(step - other) <= 0.02 * other for other in steps):
        raise refusal(
            file,
            f"its column {name!r} advances by {step:g} a row, which is not {fs:g} Hz; check fs",
        )


def _text_end(opened: Any) -> int:
    """Where the last line ends that is not blank."""
    end = opened.seek(0, 2)
    while end:
        start = max(0, end - (1 << 16))
        opened.seek(start)
        kept = opened.read(end - start).rstrip(b" \r\n")
        if kept:
            return start + len(kept)
        end = start
    return 0


def _count_lines(opened: Any, start: int, end: int) -> int:
    """The lines between two bytes, the last of which ends no line."""
    opened.seek(start)
    lines = 1 if end > start else 0
    for first, last in spans(max(0, end - start), 1 << 22):
        lines += opened.read(last - first).count(b"\n")
    return lines


def _parse(file: Path, table: _Table, text: bytes, line: int, places: list[int]) -> np.ndarray:
    """float64 [rows, places] of whole lines, the first of which is the file's `line`-th."""
    import pandas as pd

    if not text.endswith(b"\n"):
        text += b"\n"
    if table.delimiter == " ":
        while b"  " in text:
            text = text.replace(b"  ", b" ")
        text = (
            text.replace(b"\n ", b"\n").replace(b" \n", b"\n").replace(b" \r", b"\r").lstrip(b" ")
        )
    raw = np.frombuffer(text, np.uint8)
    feed, sign = ord("\n"), ord(table.delimiter)
    stops = raw[(raw == feed) | (raw == sign)]  # what ends each field
    try:
        if len(stops) % table.fields:
            raise ValueError("ragged")
        ends = stops.reshape(-1, table.fields) == feed
        if not ends[:, -1].all() or ends[:, :-1].any():
            raise ValueError("ragged")
        frame = pd.read_csv(
            BytesIO(text),
            sep=table.delimiter,
            decimal=table.decimal,
            header=None,
            names=list(range(table.fields)),
            usecols=places,
            dtype=np.float64,
            na_values=list(_NO_NUMBER),
            keep_default_na=False,
            skip_blank_lines=False,
            skipinitialspace=True,
            engine="c",
        )
        if len(frame) != len(ends):
            raise ValueError("quotes or line ends")
    except ValueError as error:  # pandas' parser error is one
        raise refusal(file, _first_bad_line(table, text, line, places)) from error
    return frame[places].to_numpy()


def _first_bad_line(table: _Table, text: bytes, line: int, places: list[int]) -> str:
    """What is wrong with the first line that is no row of numbers."""
    for number, row in enumerate(text.decode("latin-1").split("\n")[:-1], start=line):
        fields = _split(row.rstrip("\r"), table.delimiter)
        if len(fields) != table.fields:
            return f"line {number} has {len(fields)} fields, not {table.fields}; repair it"
        for field in (fields[place] for place in places):
            if not _is_number(field, table.decimal):
                return f"line {number}: {words(field)[:40]!r} is no number; repair it"
    return f"after line {line}: quotes or line ends that cannot be read; save the file anew"
