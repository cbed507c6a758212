"""The lines of a text table: counted, cut into chunks, read as numbers."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kdjax.recordings.layout import MISSING, Layout, cells, is_number
from kdjax.recordings.source import block_length, decoded, reading, refusal, spans, words

CHUNK_BYTES = 1 << 20

_QUOTED = re.compile(rb'"([^"\n]*)"')


class Lines(NamedTuple):
    """The rows of a table in its file: bytes [layout.start, end), `rows` lines.

    chunks: (byte, row) at which each of the chunks of some megabytes begins. empty: lines that hold
    nothing.
    """

    file: Path
    layout: Layout
    end: int
    rows: int
    chunks: list[tuple[int, int]]
    empty: int

    def chunk(self, number: int) -> bytes:
        """The lines of a chunk."""
        more = number + 1 < len(self.chunks)
        return self.between(
            self.chunks[number][0], self.chunks[number + 1][0] if more else self.end
        )

    def between(self, start: int, stop: int) -> bytes:
        with self.file.open("rb") as opened:
            opened.seek(start)
            return opened.read(stop - start)


def index(file: Path, opened: Any, layout: Layout) -> Lines:
    """Counts the lines of a table and finds where chunks of CHUNK_BYTES begin."""
    end = _text_end(opened)
    opened.seek(layout.start)
    chunks, rows, empty, before = [(layout.start, 0)], 0, 0, b""
    twice = re.compile(layout.feed + rb"(?=\r*" + layout.feed + rb")")
    for start, stop in spans(max(0, end - layout.start), CHUNK_BYTES):
        text = opened.read(stop - start)
        feed = text.find(layout.feed)
        if start and feed >= 0 and layout.start + start + feed + 1 < end:
            chunks.append((layout.start + start + feed + 1, rows + 1))
        rows += text.count(layout.feed)
        empty += len(twice.findall(before + text))
        last = text[max(0, text.rfind(layout.feed)) :]
        before = b"" if last.strip(b"\r\n") else last
    return Lines(file, layout, end, rows + (end > layout.start), chunks, empty)


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


def read(lines: Lines, places: list[int], fs: float) -> Iterator[np.ndarray]:
    """The numbers in some columns, blocks float64 [n, places] of about five minutes."""
    table = lines.layout
    size = (lines.end - table.start) * block_length(fs, len(table.columns)) // max(1, lines.rows)
    size = min(max(size, CHUNK_BYTES), 8 * CHUNK_BYTES)
    at, line = table.start, table.line
    while at < lines.end:
        with reading(lines.file.stem, lines.file):
            text = lines.between(at, min(at + size, lines.end))
            at += len(text)
            if at < lines.end:
                whole = text.rfind(table.feed) + 1
                if not whole:
                    raise refusal(lines.file, f"line {line} is too long; check what the file is")
                at -= len(text) - whole
                text = text[:whole]
            rows = numbers(lines.file, table, text, line=line, places=places)
            line += len(rows)
        yield rows


def numbers(file: Path, table: Layout, text: bytes, *, line: int, places: list[int]) -> np.ndarray:
    """float64 [rows, places] of whole lines, the first of which is the file's `line`-th."""
    import pandas as pd

    said, fields, decimal = _fed(text, table), len(table.columns), _decimal(table)
    text = _plain(said, table)
    raw = np.frombuffer(text, np.uint8)
    feed, sign = ord("\n"), ord(table.delimiter)
    stops = raw[(raw == feed) | (raw == sign)]  # what ends each field
    try:
        if len(stops) % fields:
            raise ValueError("ragged")
        ends = stops.reshape(-1, fields) == feed
        if not ends[:, -1].all() or ends[:, :-1].any():
            raise ValueError("ragged")
        frame = pd.read_csv(
            BytesIO(text),
            sep=table.delimiter,
            decimal=decimal,
            header=None,
            names=list(range(fields)),
            usecols=places,
            dtype=np.float64,
            na_values=list(MISSING),
            keep_default_na=False,
            skip_blank_lines=False,
            skipinitialspace=True,
            engine="c",
        )
        if len(frame) != len(ends):
            raise ValueError("quotes or line ends")
    except ValueError as error:  # pandas' parser error is one
        raise refusal(file, _first_bad_line(table, said, line, places=places)) from error
    return frame[places].to_numpy()


def words_of(table: Layout, text: bytes, place: int) -> list[str]:
    """The cells of a column in whole lines; '' where a line has none."""
    rows = (
        cells(line.rstrip("\r"), table.delimiter)
        for line in _fed(text, table).decode("latin-1").split("\n")
    )
    return [row[place] if place < len(row) else "" for row in rows][:-1]


def _fed(text: bytes, table: Layout) -> bytes:
    """Whole lines with line feeds at their ends, perhaps behind a carriage return."""
    if table.feed == b"\r":
        text = text.replace(b"\r", b"\n")
    elif b"\r\r\n" in text:
        text = text.replace(b"\r\r\n", b"\n")
    return text if text.endswith(b"\n") else text + b"\n"


def _plain(text: bytes, table: Layout) -> bytes:
    """Lines as `_fed` gives them with single blanks between fields or none, and no quotes.

    A delimiter in quotes becomes a point where it is a decimal comma. Elsewhere it is part of some
    text, or parts thousands: what takes its place is part of no number.
    """
    if b'"' in text:
        sign = b"." if table.decimal == table.delimiter else b"_"
        text = _QUOTED.sub(lambda found: found[1].replace(table.delimiter.encode(), sign), text)
    if table.delimiter == " ":
        while b"  " in text:
            text = text.replace(b"  ", b" ")
        text = (
            text.replace(b"\n ", b"\n").replace(b" \n", b"\n").replace(b" \r", b"\r").lstrip(b" ")
        )
    elif b" " in text:  # pandas skips blanks before a field, but 'NaN ' is no word to it
        text = re.sub(rb" +(?=[%b\r\n])" % table.delimiter.encode(), b"", text)
    return text


def _decimal(table: Layout) -> str:
    """The decimal sign in what `_plain` gives."""
    return "." if table.decimal == table.delimiter else table.decimal


def _first_bad_line(table: Layout, text: bytes, line: int, *, places: list[int]) -> str:
    """What is wrong with the first line that is no row of numbers."""
    fields = len(table.columns)
    for number, row in enumerate(decoded(text).split("\n")[:-1], start=line):
        found = cells(row.rstrip("\r"), table.delimiter)
        if len(found) != fields:
            return f"line {number} has {len(found)} fields, not {fields}; repair it"
        for cell in (found[place] for place in places):
            if not is_number(cell, table.decimal) and not is_number(cell, _decimal(table)):
                return f"line {number}: {words(cell)[:40]!r} is not a number; repair it"
    return f"after line {line}: quotes or line ends that cannot be read; save the file anew"
