"""How a text table is laid out: where its rows begin, what its columns are, what precedes them."""

import csv
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kdjax.recordings import clock
from kdjax.recordings.preamble import Preamble, preamble
from kdjax.recordings.source import MOST_LEADS, decoded, refusal, words
from kdjax.recordings.units import MILLIVOLTS, SECONDS, is_known, is_no_voltage, spelled

_LINES = 2000  # of the file's beginning that are looked at
_SAMPLE = 200  # rows by which columns are told apart

MISSING = ("", "-", "nan", "NaN", "NAN", "NA", "N/A", "#N/A", "null", "NULL", "None")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?inf(inity)?", re.IGNORECASE)
_MOST_DIGITS = 8  # a column of so many different digits holds decimals, not marks of events
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(e[-+]?\d+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:(?:\.\d{3})+|(?:,\d{3})+)")

_LIKE_NUMBER = re.compile(  # 3 145, 1F3A, 0x1f, 2.5 mV, 10:00:00 CET
    r"[-+]?(?:\d[\d .,'_]*\d|\d)(?:\s*[a-z\N{MICRO SIGN}]V)?$|(?:0x)?(?=.*\d)[\da-f]{2,8}h?$|"
    r".*\d:\d\d:\d\d",
    re.IGNORECASE,
)

_TIME_WORDS = {
    "time", "timestamp", "timestamps", "t", "clock", "date", "datetime", "elapsed", "zeit",
    "uhrzeit", "zeitstempel", "temps", "tiempo", "tempo", "hora", "heure", "datum",
}  # fmt: skip
_LONE = {"s", "d", "t", "h", "min"}  # names of times, of leads and of what is least
COUNTERS = {
    "sample", "samples", "sample number", "sample index", "index", "idx", "frame", "no", "nr",
    "number", "unnamed: 0", "nseq", "seq", "sequence", "counter", "row", "line",
}  # fmt: skip


class Column(NamedTuple):
    """A column of the table.

    name: without its unit, None where it has none. unit: as it is stated, None where it is not.
    kind: 'number', 'clock' (text of times), 'text' or 'empty'. time: whether it says when, or
    counts rows. order: of day and month, as in `clock.instant`.
    """

    name: str | None
    unit: str | None
    kind: str
    time: bool
    order: str = ""


class Layout(NamedTuple):
    """The first row begins at byte `start`, in line `line` (from 1); `feed` ends each line."""

    start: int
    line: int
    feed: bytes
    delimiter: str
    decimal: str
    columns: tuple[Column, ...]
    preamble: Preamble


def layout(file: Path, head: bytes, whole: bool) -> Layout:
    """The layout that the file's first bytes show; InputError where they are no table.

    Args:
        file: for messages.
        head: the file's beginning.
        whole: whether that is all of it.
    """
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head:
        raise refusal(file, "is not text in UTF-8; save it as CSV in UTF-8")
    mark = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    feed = b"\r" if b"\r" in head and b"\n" not in head else b"\n"
    lines = decoded(head[mark:]).split(feed.decode())
    if not whole:
        lines = lines[:-1]  # it may be cut
    if not lines or (len(lines) <= MOST_LEADS and max(map(_fields_at_most, lines)) > MOST_LEADS):
        raise _transposed(file, lines or [decoded(head)])
    lines = [line.strip("\r") for line in lines[:_LINES]]
    delimiter = _delimiter(lines)
    rows = [cells(line, delimiter) for line in lines]
    fields, decimal, delimiter = _shape(rows, delimiter)
    notes: list[str] = []
    if delimiter == "":  # a column of decimal commas
        notes = ["commas were read as decimal signs, so there is one column"]
        delimiter, rows = ";", [[line.strip().strip('"')] for line in lines]
    if fields > MOST_LEADS:
        raise refusal(file, f"has {fields} columns; {MOST_LEADS} can be read")
    sample = [row for row in rows if len(row) == fields and _holds_number(row, decimal)]
    if not sample:  # nothing but missing samples
        sample = [row for row in rows if len(row) == fields and any(row)][-_SAMPLE // 2 :]
    kinds = [_kind([row[i] for row in sample], decimal) for i in range(fields)]
    first = next((i for i, row in enumerate(rows) if _is_row(row, kinds, decimal)), None)
    if first is None or "number" not in kinds:
        raise refusal(
            file, "holds no table of numbers; give one line per sample and one column per lead"
        )
    first = _with_missing_rows(rows, first, fields)
    if _is_numbering(rows, first, kinds, decimal=decimal):
        if rows[first][0] != "":
            notes.append(f"line {first + 1} was read as the columns' numbers, not as a sample")
        names, units = ["index" if cell == "" else None for cell in rows[first]], [None] * fields
        first += 1
    else:
        names, units = _header(file, rows, lines, first=first, kinds=kinds, delimiter=delimiter)
    above = preamble(lines[:first])
    if above.columns and not any(names):
        names = [*above.columns, *[None] * fields][:fields]
    table = [row for row in rows[first:] if len(row) == fields]
    if fields == 1 and _is_spaced([row[0] for row in table]):
        raise refusal(file, "every other line of the table is empty; remove the empty lines")
    columns = _columns(names, units, kinds, sample=table, decimal=decimal)
    for i, column in enumerate(columns):
        if thousand := _thousand([row[i] for row in table]):
            raise refusal(
                file,
                f"column {column.name or i + 1!r}: {thousand} has a thousands separator; save the "
                "table without them",
            )
    for i, column in enumerate(columns):
        if column.kind == "text" and (cell := _unread([row[i] for row in table])):
            notes.append(f"left out (cannot be read): column {column.name or i + 1!r} ({cell})")
    above = above._replace(notes=(*above.notes, *notes))
    skipped = feed.join(head[mark:].split(feed, first)[:first]) + feed if first else b""
    return Layout(mark + len(skipped), first + 1, feed, delimiter, decimal, tuple(columns), above)


def _fields_at_most(line: str) -> int:
    return max(line.count(sign) for sign in ";\t, ") + 1


def _transposed(file: Path, lines: Sequence[str]) -> Exception:
    wide = max(map(_fields_at_most, lines))
    if wide > MOST_LEADS:
        return refusal(
            file,
            f"has {wide} numbers in a line, probably one lead per line; transpose the table: it "
            "needs one line per sample and one column per lead",
        )
    return refusal(file, "line 1 is too long; check what the file is")


def _delimiter(lines: Sequence[str]) -> str:
    """What parts the fields of most of the last lines."""
    last = [line for line in lines if line.strip()][-_SAMPLE:]
    last = last[len(last) // 2 :]
    for sign in ";\t,":
        if 2 * sum(sign in line for line in last) > len(last):
            blanks = sign == "," and 2 * sum(map(_has_blanks_and_commas, last)) > len(last)
            return " " if blanks else sign
    return " " if 2 * sum(" " in line.strip() for line in last) > len(last) else ","


def _has_blanks_and_commas(line: str) -> bool:
    """Whether a line's fields are parted by blanks and have decimal commas."""
    parts = line.split()
    numbers = [part for part in parts if "," in part]
    return (
        len(numbers) > 0
        and len(parts) > 1
        and all(map(_DECIMAL_COMMA.fullmatch, numbers))
        and clock.instant(line.split(",")[0]) is None  # as in 1 Mar 2024,5
    )


def cells(line: str, delimiter: str) -> list[str]:
    """The fields of a line, one at least."""
    if delimiter == " ":
        return line.split() or [""]
    if '"' not in line:
        return [cell.strip().strip("'") for cell in line.split(delimiter)]
    row = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    return [cell.strip().strip("'") for cell in row] or [""]


def _shape(rows: Sequence[list[str]], delimiter: str) -> tuple[int, str, str]:
    """How many fields rows have, the decimal sign, and the delimiter: '' where there is none.

    Those of most of the last lines that are not blank.
    """
    filled = [row for row in rows if any(row)]
    last = filled[-_SAMPLE:]
    last = last[len(last) // 2 :] or [[""]]
    fields = Counter(map(len, last)).most_common(1)[0][0]
    cells = [cell for row in last if len(row) == fields for cell in row]
    commas = sum(bool(_DECIMAL_COMMA.fullmatch(cell)) for cell in cells)
    if delimiter == ",":
        if _splits_numbers(filled[len(filled) // 2 :], _above_table(rows)):  # 0.0 may be rare
            return 1, ",", ""
        plain = sum(bool(cell) and bool(_NUMBER.fullmatch(cell)) for cell in cells)
        return fields, "," if commas > 9 * plain else ".", delimiter  # they are quoted
    points = sum("." in cell and bool(_NUMBER.fullmatch(cell)) for cell in cells)
    return fields, "," if commas > points else ".", delimiter


def _above_table(rows: Sequence[list[str]]) -> list[str]:
    """The cells of the last line above the first of two numbers."""
    first = next((i for i, row in enumerate(rows) if _is_pair(row)), 0)
    return next((row for row in reversed(rows[:first]) if any(row)), [])


def _is_pair(row: Sequence[str]) -> bool:
    return len(row) == 2 and bool(
        re.fullmatch(r"[-+]?\d*", row[0]) and re.fullmatch(r"\d+", row[1])
    )


def _splits_numbers(rows: Sequence[Sequence[str]], above: Sequence[str]) -> bool:
    """Whether commas part whole numbers from decimals.

    In -145,098 no number begins with 0. Under the name of one column, as many decimals in each row
    show it, too. Without names, so do single digits of at least eight values.
    """
    pairs = [row for row in rows if len(row) == 2]
    if 2 * len(pairs) <= len(rows) or not all(map(_is_pair, pairs)):
        return False
    one_name = len(above) == 1 and above[0][:1] not in "#%"
    decimals = {part for _, part in pairs}
    digits = not above and decimals <= set("0123456789") and len(decimals) >= _MOST_DIGITS
    as_many = len({len(part) for part in decimals}) == 1
    shown = as_many and (one_name or digits) and not _counts([whole for whole, _ in pairs])
    return shown or any(re.fullmatch(r"0\d+", part) for part in decimals)


def is_number(cell: str, decimal: str) -> bool:
    """Whether a cell is a number or says that there is none."""
    cell = cell.strip()
    point = cell.translate({ord(decimal): ".", ord("."): ","} if decimal == "," else {})
    return cell in MISSING or bool(_NUMBER.fullmatch(point))


def _holds_number(row: Sequence[str], decimal: str) -> bool:
    return any(cell not in MISSING and is_number(cell, decimal) for cell in row)


def _thousand(cells: Sequence[str]) -> str | None:
    """A cell with a thousands separator; None where all may be decimals.

    Numbers from 1000 on have three digits behind a sign then, those below have no sign at all.
    """
    numbers = [cell for cell in cells if re.fullmatch(r"[-+]?\d[\d.,]*", cell)]
    parted = [cell for cell in numbers if _THOUSANDS.fullmatch(cell)]
    whole = [cell for cell in numbers if re.fullmatch(r"[-+]?\d{1,3}", cell)]
    twice = any(len(re.findall("[.,]", cell)) > 1 for cell in parted)
    if len(parted) + len(whole) < len(numbers) or not parted or not (whole or twice):
        return None
    return parted[0]


def _unread(cells: Sequence[str]) -> str | None:
    """A cell of a column that is read as text but holds numbers or times; None where it does not.

    Hours and minutes alone time no samples.
    """
    said = [cell for cell in cells if cell not in MISSING]
    like = [cell for cell in said if _LIKE_NUMBER.match(cell)]
    return words(like[0])[:40] if 2 * len(like) > len(said) else None


def _kind(cells: Sequence[str], decimal: str) -> str:
    """What most of the last cells of a column are that are not missing."""
    if all(cell == "" for cell in cells):
        return "empty"
    cells = cells[len(cells) // 2 :]  # lines above the table may look like rows
    said = [cell for cell in cells if cell not in MISSING][-_SAMPLE:]
    most = 0.8 * len(said)
    if sum(is_number(cell, decimal) for cell in said) >= most:
        return "number"
    if sum(clock.instant(cell) is not None for cell in said) >= most:
        return "clock"
    return "text"


def _is_row(row: Sequence[str], kinds: Sequence[str], decimal: str) -> bool:
    """Whether a line is a row of the table that is not wholly empty."""
    if len(row) != len(kinds) or not any(row):
        return False
    for cell, kind in zip(row, kinds, strict=True):
        if kind == "number" and not is_number(cell, decimal):
            return False
        if kind == "clock" and not (cell in MISSING or clock.instant(cell)):
            return False
    return any(cell for cell, kind in zip(row, kinds, strict=True) if kind in ("number", "clock"))


def _with_missing_rows(rows: Sequence[list[str]], first: int, fields: int) -> int:
    """The first row, empty ones before it counted where they follow a line of names."""
    start = first
    while start and fields > 1 and len(rows[start - 1]) == fields and not any(rows[start - 1]):
        start -= 1
    above = rows[start - 1] if start else []
    return start if start == 0 or (len(above) == fields and all(above)) else first


def _is_numbering(
    rows: Sequence[list[str]], first: int, kinds: Sequence[str], *, decimal: str
) -> bool:
    """Whether the first line of a file numbers its columns from 0, as `DataFrame.to_csv` does.

    An empty cell stands above the index. Rows then count or are timed, or all else has decimals.
    """
    numbers = [cell for i, cell in enumerate(rows[first]) if i or cell]
    if any(map(any, rows[:first])) or numbers != list(map(str, range(len(numbers)))):
        return False
    table = [row for row in rows[first + 1 :] if len(row) == len(kinds)]
    if not numbers or not table:
        return False
    if rows[first][0] == "" and (kinds[0] == "clock" or _counts([row[0] for row in table])):
        return True
    said = [cell for row in table for cell in row if cell not in MISSING]
    return all(decimal in cell or "e" in cell.lower() for cell in said)


def _is_spaced(cells: Sequence[str]) -> bool:
    """Whether about every other line is empty, which doubles the time rather than lacks samples."""
    filled = [i for i, cell in enumerate(cells) if cell]
    twos = sum(b - a == 2 for a, b in itertools.pairwise(filled))
    return twos >= 5 and twos > 0.8 * (len(filled) - 1)


def _header(
    file: Path,
    rows: Sequence[list[str]],
    lines: Sequence[str],
    *,
    first: int,
    kinds: Sequence[str],
    delimiter: str,
) -> tuple[list[str | None], list[str | None]]:
    """Names and units [fields] as the lines directly above the table give them."""
    fields = len(kinds)
    above: list[list[str]] = []
    for i in range(first - 1, -1, -1):
        row = cells(lines[i].lstrip("#% \t"), delimiter) if lines[i][:1] in "#%" else rows[i]
        if len(row) == fields + 1 and row[-1] == "":
            row = row[:-1]
        if len(row) == fields - 1 and kinds[-1] == "empty":
            row = [*row, ""]
        if len(row) == fields - 1 and fields > 1 and kinds[0] != "empty" and not above:
            row = ["", *row]  # as R writes it: the rows' own names have none
            if plain(row[1]) in COUNTERS or not _counts([r[0] for r in rows[first : first + 3]]):
                row = row[1:]
        if len(row) != fields or not any(row) or re.match(r"sep=", row[0]):
            break
        if any(cell and _NUMBER.fullmatch(cell) for cell in row):
            break
        above.append(row)
    direct = rows[first - 1] if first else [""]
    split = delimiter == "," and not any("." in line for line in lines[first:])  # decimal commas?
    names_fewer = len(direct) > 2 or (split and len(direct) == 2 < fields and any(direct))
    if first and not above and names_fewer and not _is_key(lines[first - 1]):
        raise refusal(
            file,
            f"line {first} has {len(direct)} fields and line {first + 1} has {fields}; a line of "
            "names and rows of as many numbers are needed",
        )
    units: list[str | None] = [None] * fields
    for row in above:
        if _are_units(row) and (len(above) > 1 or _holds_unit(row)):
            units = [_bare(cell) for cell in row]
            above = [other for other in above if other is not row]
            break
    if not above:
        return [None] * fields, units
    names = max(above, key=lambda row: len(set(row)))  # others repeat a device or 'CAL'
    return [name or None for name in names], units


def _is_key(line: str) -> bool:
    """Whether a line says something in two parts, as in 'Age,30' and 'Name: A, B', and no names."""
    return (
        line.lstrip()[:1] in "#%"
        or bool(re.match(r'\W*[\w .()/-]+["\']?\s*(?:[:=]|[,;\t]\W*\d[^,;\t]*$)', line))
        or preamble([line]) != Preamble()
    )


def _counts(cells: Sequence[str]) -> bool:
    """Whether these are consecutive whole numbers."""
    try:
        numbers = [int(cell.strip('"')) for cell in cells]
    except ValueError:
        return False
    return all(b - a == 1 for a, b in itertools.pairwise(numbers))


def _are_units(row: Sequence[str]) -> bool:
    return all(is_known(_bare(cell)) for cell in row)


def _bare(unit: str) -> str:
    """A unit without the brackets around it."""
    found = re.fullmatch(r"[\[(]\s*(.*?)\s*[\])]", unit.strip())
    return found[1] if found else unit


def _holds_unit(row: Sequence[str]) -> bool:
    """Whether a lone line is surely one of units: V alone is a lead's name as well."""
    return any(spelled(_bare(cell)) in ("mv", "uv", "nv") for cell in row)


_BRACKETED = re.compile(r"^(.*?)[\s_]*[\[({]\s*([^\])}]*)\s*[\])}]\s*$")
_TRAILING = re.compile(r"^(.*[^\W_])[\s_/]+(mv|uv|µv|μv|nv|ms|us|ns|sec|secs|seconds)$", re.I)
_SCALE = re.compile(  # a unit behind it is a step's or a range's; channel 1 has a number, too
    r"(?:^|[\s_])(?:(?<!lead[\s_])(?<!channel[\s_])(?<!ch[\s_])[-+.,]*\d[\d.,]*(?:e[-+]?\d+)?|"
    r"per|pro|mm|lsb|adu|adc|counts?|bits?|steps?)[\s_/]*$",
    re.I,
)


def _named(name: str | None) -> tuple[str | None, str | None]:
    """A column's name and the unit that stands in it, as in 'ECG [uV]', 'time_ms', 't/s'."""
    if name is None:
        return None, None
    if (found := _BRACKETED.match(name)) and found[2] and is_known(found[2]):
        return found[1].strip() or name, spelled(found[2])
    if (found := _TRAILING.match(name)) and not _SCALE.search(found[1]):
        return found[1].strip(), spelled(found[2])
    lone = spelled(name) in SECONDS or (len(name) > 1 and is_no_voltage(name))
    return name, spelled(name) if lone else None


def plain(name: str) -> str:
    """A column's name in lower case, with blanks for what parts its words."""
    return " ".join(re.sub(r"[\s_#()\[\]]+", " ", name.lower().rstrip(".")).split())


def _columns(
    names: Sequence[str | None],
    units: Sequence[str | None],
    kinds: Sequence[str],
    *,
    sample: Sequence[Sequence[str]],
    decimal: str,
) -> list[Column]:
    columns = []
    headed = any(names)
    for i, kind in enumerate(kinds):
        name, own = _named(names[i])
        stated = units[i]
        unit = own if own is not None or stated is None else spelled(stated)
        word = plain(name or "")
        if word in _LONE and kind == "number":
            measured = stated is not None and spelled(stated) in MILLIVOLTS
            if measured or not _runs([row[i] for row in sample], decimal):
                unit, word = None if stated is None else spelled(stated), ""
        time = kind == "clock" or (
            kind == "number"
            and unit not in MILLIVOLTS
            and (
                bool(_TIME_WORDS & set(word.split()))
                or word in COUNTERS
                or unit in SECONDS
                or (i == 0 and headed and name is None and len(kinds) > 1)
                or (i == 0 and len(kinds) > 1 and _rises([r[0] for r in sample], decimal))
            )
        )
        if kind == "empty" and name is not None:
            kind = "number"  # a lead that was never on
        order = clock.order_of([row[i] for row in sample]) if kind == "clock" else ""
        columns.append(Column(name, unit, kind, time, order))
    return columns


def _rises(cells: Sequence[str], decimal: str) -> bool:
    """Whether numbers never fall over many rows and often rise, as no ECG does."""
    if len(cells) < 50 or any(cell in MISSING for cell in cells):
        return False
    steps = _steps(cells, decimal)
    return min(steps, default=-1) >= 0 and sum(step > 0 for step in steps) >= 3


def _runs(cells: Sequence[str], decimal: str) -> bool:
    """Whether numbers go one way, but for jumps, as no ECG does."""
    steps = _steps([cell for cell in cells if cell not in MISSING], decimal)
    up, down = sum(step > 0 for step in steps), sum(step < 0 for step in steps)
    return max(up, down) > 10 * min(up, down)


def _steps(cells: Sequence[str], decimal: str) -> list[float]:
    """By how much each number is larger than the one before it; empty where one is none."""
    try:
        numbers = [float(cell.replace(decimal, ".")) for cell in cells]
    except ValueError:
        return []
    return [b - a for a, b in itertools.pairwise(numbers)]
