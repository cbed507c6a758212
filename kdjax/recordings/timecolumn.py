"""What the time columns of a text table say: its rate, its gaps and its start."""

import datetime
from typing import NamedTuple

import numpy as np

from kdjax.errors import option
from kdjax.recordings import clock
from kdjax.recordings.layout import COUNTERS, MISSING, Column, cells, plain
from kdjax.recordings.lines import Lines, numbers, words_of
from kdjax.recordings.source import Given, gap_note, refusal, words
from kdjax.recordings.units import SECONDS

_FEW_CHUNKS = 3  # of which the times of all rows are read; further on, where they may jump
_FEW_STAMPS = 50  # by which one chunk alone shows how regular they are
_AGREEMENT = 0.05  # of the rate: a clock further off than this is no clock that runs a little fast
_PEEK = 1 << 16  # bytes from a chunk's beginning in which the time stamp must change


class When(NamedTuple):
    """fs in Hz, None where nothing says it; gaps: (row, samples missing before it)."""

    fs: float | None
    gaps: tuple[tuple[int, int], ...]
    start: datetime.datetime | None
    notes: tuple[str, ...]


class _Account(NamedTuple):
    """What one column says, in seconds; `stamps` times were seen. dated: since 1970.

    of_day: it may be the time of day.
    """

    name: str
    timing: clock.Timing
    stamps: int
    dated: bool
    zone: float | None
    of_day: bool


def when(lines: Lines, given: Given) -> When:
    """The rate, gaps and start of a table, by its clock, the user and what stands above it.

    InputError where the user's rate is not what the table states or what its clock shows.
    """
    stated, likely = lines.layout.preamble.fs, lines.layout.preamble.likely_fs
    if stated is not None:
        given.check_rate(lines.file, stated)
    nominal = stated or given.fs
    accounts = [
        account
        for place, column in enumerate(lines.layout.columns)
        if column.time and (account := _account(lines, place, column)) is not None
    ]
    if not accounts:
        return _counted(lines, given)
    best = max(accounts, key=lambda account: (account.stamps, account.dated))
    timing = best.timing
    own, span = 1 / timing.step, lines.rows * timing.step
    notes = []
    if given.fs is not None and abs(own / given.fs - 1) > _AGREEMENT:
        raise refusal(
            lines.file,
            f"its column {best.name!r} advances by {timing.step:.4g} s a row, which is {own:.5g} "
            f"Hz, not {given.fs:g}; leave {option('fs')} out",
        )
    fs = clock.rate(timing.step, span=span, noise=timing.noise, nominal=(nominal, likely))
    if nominal is not None and fs != nominal:
        notes.append(f"sampled at {fs:.6g} Hz by the clock in the file, not at {nominal:g} Hz")
    gaps = tuple((row, round(size * fs)) for row, size in timing.jumps if round(size * fs) > 0)
    if gaps:
        notes.append(f"{gap_note(gaps, fs)}, by the clock in the file")
    back = [-size for _, size in timing.jumps if size < 0]
    if back:
        notes.append(
            f"the clock in the file was set back ({len(back)} times, by up to {max(back):.4g} s); "
            "the samples stay in the order of the file"
        )
    start = _start(lines, accounts, best)
    if start is None and (date := _uncertain_date(lines)):
        notes.append(f"the start is unknown: in {date!r} the day or the month may come first")
    return When(fs, gaps, start, tuple(notes))


def _start(lines: Lines, accounts: list[_Account], best: _Account) -> datetime.datetime | None:
    """The time of row 0: the best account's, another's, or that of a column of dates."""
    for account in (best, *(account for account in accounts if account.dated)):
        if account.dated:
            return clock.moment(round(account.timing.first, 3), account.zone)
    above = lines.layout.preamble.start
    return above and clock.later(above, best.timing.first, best.of_day)


def _uncertain_date(lines: Lines) -> str | None:
    """The first date whose day cannot be told from its month, in columns of times."""
    for place, column in enumerate(lines.layout.columns):
        if column.kind == "clock" and clock.is_uncertain(
            cell := _first_cell(lines, place), column.order
        ):
            return words(cell)[:40]
    return None


def _account(lines: Lines, place: int, column: Column) -> _Account | None:
    """What a column says of time, None where it says too little."""
    found = _timing(lines, place, column)
    if found is None:
        return None
    timing, seen = found
    name = column.name or f"column {place + 1}"
    if column.kind == "clock":
        cell = _first_cell(lines, place)
        first = clock.instant(cell, column.order)
        dated = first is not None and first.dated
        of_day = cell.count(":") > 1 and "elapsed" not in plain(name)
        return _Account(name, timing, len(seen.row), dated, first.zone if first else None, of_day)
    stated = column.unit if column.unit in SECONDS else None
    unit = clock.unit_of(timing.step, stated)
    if unit is None or (stated is None and _is_counter(column, timing.step, seen)):
        return None
    epoch = clock.epoch_of(timing.first, unit)
    scale = SECONDS[unit]
    in_seconds = clock.Timing(
        step=timing.step * scale,
        first=epoch[0] if epoch else timing.first * scale,
        jumps=tuple((row, size * scale) for row, size in timing.jumps),
        noise=timing.noise * scale,
    )
    zone = epoch[1] if epoch else None
    return _Account(name, in_seconds, len(seen.row), epoch is not None, zone, False)


def _is_counter(column: Column, step: float, seen: clock.Stamps) -> bool:
    """Whether a column of no stated unit counts rows, or packets or every other row by its name."""
    named = plain(column.name or "") in COUNTERS and bool((seen.time % 1 == 0).all())
    return named or abs(step - 1) < 1e-9


def _counted(lines: Lines, given: Given) -> When:
    """The rate by what stands above or the user, and the gaps that a column of counts shows."""
    above = lines.layout.preamble
    fs, notes = above.fs or given.fs or above.likely_fs, []
    if fs is None:
        return When(None, (), above.start, ())
    if above.fs is None and above.likely_fs not in (None, fs):
        notes.append(f"read at {fs:g} Hz instead of the file's {above.likely_fs:g} Hz")
    gaps = ()
    for place, column in enumerate(lines.layout.columns):
        if column.time and column.kind == "number" and (gaps := _uncounted(lines, place, column)):
            name = column.name or place + 1
            notes.append(f"{gap_note(gaps, fs)}, by the column {name!r}")
            break
    return When(fs, gaps, above.start, tuple(notes))


def _uncounted(lines: Lines, place: int, column: Column) -> tuple[tuple[int, int], ...]:
    """The gaps in what a column counts; none where it is no counter of rows or starts anew."""
    found = _timing(lines, place, column)
    if found is None or column.unit in SECONDS or not _is_counter(column, found[0].step, found[1]):
        return ()
    timing, _ = found
    if any(size <= 0 for _, size in timing.jumps):
        return ()
    gaps = ((row, round(size / timing.step)) for row, size in timing.jumps)
    return tuple((row, missing) for row, missing in gaps if missing)


def _first_cell(lines: Lines, place: int) -> str:
    """The first cell of a column that is not missing; '' where there is none near the beginning."""
    start, table = lines.layout.start, lines.layout
    text = lines.between(start, min(start + _PEEK, lines.end)).decode("latin-1")
    rows = (cells(line.strip("\r"), table.delimiter) for line in text.split(table.feed.decode()))
    said = (row[place] for row in rows if place < len(row) and row[place] not in MISSING)
    return next(said, "")


def _times(lines: Lines, text: bytes, line: int, *, place: int, column: Column) -> np.ndarray:
    """The times [n] that whole lines state, NaN where they do not."""
    if column.kind == "number":
        return numbers(lines.file, lines.layout, text, line=line, places=[place])[:, 0]
    found = [clock.instant(cell, column.order) for cell in words_of(lines.layout, text, place)]
    times = np.array([np.nan if instant is None else instant.seconds for instant in found])
    return times if any(i and i.dated for i in found) else clock.unwrapped(times)


def _timing(lines: Lines, place: int, column: Column) -> tuple[clock.Timing, clock.Stamps] | None:
    """The timing by a column, in what it counts, and the stamps seen at the beginning.

    A short table is read as a whole. Of a long one the first stamps of all chunks are, and those
    chunks as a whole between whose first stamps the clock has jumped.
    """

    def stamps(first: int, last: int) -> clock.Stamps:
        """Of the chunks [first, last)."""
        begin, row = lines.chunks[first]
        stop = lines.chunks[last][0] if last < len(lines.chunks) else lines.end
        line = lines.layout.line + row
        times = _times(lines, lines.between(begin, stop), line, place=place, column=column)
        return clock.stamps(times, row)

    if len(lines.chunks) <= _FEW_CHUNKS:
        seen = stamps(0, len(lines.chunks))
        _check_steady(lines, column, seen)
        timing = clock.timing(seen)
        return None if timing is None else (timing, seen)
    seen = stamps(0, 1)
    if len(seen.row) < _FEW_STAMPS:
        seen = stamps(0, _FEW_CHUNKS)
    _check_steady(lines, column, seen)
    beginning = clock.timing(seen)
    if beginning is None:
        return None
    last = stamps(len(lines.chunks) - 1, len(lines.chunks))
    peeks = [
        _first_change(lines, chunk, place, column=column) for chunk in range(len(lines.chunks))
    ]
    anchors = [peek for peek in peeks if peek is not None]
    if len(last.row):
        anchors.append((int(last.row[-1]), float(last.time[-1])))
    rows, times = np.array([row for row, _ in anchors]), np.array([time for _, time in anchors])
    if column.kind == "clock":
        times = clock.unwrapped(times)
    step = beginning.step  # over whole chunks small gaps would count as a slower clock
    least = clock.tolerance(step, beginning.noise)
    jumps: list[tuple[int, float]] = []
    for first in np.flatnonzero(np.abs(np.diff(times) - step * np.diff(rows)) > least):
        chunk = _chunk_of(lines, int(rows[first]))
        part = stamps(max(0, chunk - 1), min(chunk + 3, len(lines.chunks)))
        _check_steady(lines, column, part)
        places, sizes = clock.jumps(part, step, least)
        pairs = zip(part.row[places].tolist(), sizes.tolist(), strict=True)
        jumps += [pair for pair in pairs if rows[first] < pair[0] <= rows[first + 1]]
    for row, size in jumps:
        times[rows >= row] -= size
    step, first_time = clock.line(rows, times)
    return clock.Timing(step, first_time, tuple(jumps), beginning.noise), seen


def _chunk_of(lines: Lines, row: int) -> int:
    starts = [start for _, start in lines.chunks]
    return int(np.searchsorted(starts, row, side="right")) - 1


def _first_change(
    lines: Lines, chunk: int, place: int, *, column: Column
) -> tuple[int, float] | None:
    """The first row of a chunk at which the time stamp changes, and the time there."""
    begin, row = lines.chunks[chunk]
    text = lines.between(begin, min(begin + _PEEK, lines.end))
    feed = lines.layout.feed
    text = text[: text.rfind(feed) + 1] or text
    head = text[: 1 << 11]
    for part in (head[: head.rfind(feed) + 1], text):
        if part:
            times = _times(lines, part, lines.layout.line + row, place=place, column=column)
            known = np.flatnonzero(np.isfinite(times))
            changes = np.flatnonzero(np.diff(times[known]) != 0)
            if len(changes):
                at = known[changes[0] + 1]
                return row + int(at), float(times[at])
    return None


def _check_steady(lines: Lines, column: Column, seen: clock.Stamps) -> None:
    """InputError where a clock runs backwards or changes its rate."""
    name = column.name or "of times"
    if len(seen.time) > 3 and np.median(np.diff(seen.time)) < 0:
        raise refusal(lines.file, f"its column {name!r} runs backwards; sort the rows by time")
    changed = clock.change(seen)
    if changed is None:
        return
    row, before, after = changed
    scale = 1.0
    if column.kind == "number":
        stated = column.unit if column.unit in SECONDS else None
        unit = clock.unit_of(before, stated)
        if unit is None or (stated is None and _is_counter(column, before, seen)):
            return
        scale = SECONDS[unit]
    raise refusal(
        lines.file,
        f"its column {name!r} runs at {1 / (before * scale):.4g} Hz until line "
        f"{lines.layout.line + row - 1}, then at {1 / (after * scale):.4g} Hz; cut the file there",
    )
