"""When the rows of a table were taken: time columns read as seconds, their rate and their gaps.

A time stamp may stand at every row, at every packet of rows or at every whole second. Only rows at
which the stamp changes say when they were taken.
"""

import datetime
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kdjax.recordings.source import HIGHEST_FS, LOWEST_FS
from kdjax.recordings.units import SECONDS

DAY = 86400.0
_WINDOW = 5  # stamps on each side of a gap that must agree on it
_FEWEST_STAMPS = 4
_CHANGE = 0.03  # of the rate: by more a clock that changes is another one
_STRETCHES, _IN_STRETCH = 40, 25  # parts of a clock that are compared, and their fewest stamps
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

_TIME = re.compile(
    r"(?<![\d:.])(\d{1,4}):(\d{1,2})(?::(\d{1,2}))?(?:[.,:](\d{1,9}))?(?![\d:.])"
    r"\s*([AaPp]\.?[Mm]\.?)?\s*(Z|(?:UTC|GMT)?[+-]\d\d(?::?\d\d)?(?![\d./-])|UTC|GMT)?"
)
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?!\d)")
_YEAR_LAST = re.compile(r"(?<!\d)(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?!\d)")
_MONTH_BY_NAME = re.compile(r"(?<!\d)(\d{1,2})[- ]([A-Za-z]{3})[a-z]*\.?[- ](\d{4})(?!\d)")


class Instant(NamedTuple):
    """What a cell says: seconds since 1970 where `dated`, else since midnight or the start.

    `zone` is seconds east of UTC, None where the cell names no time zone.
    """

    seconds: float
    dated: bool
    zone: float | None


def instant(cell: str, order: str = "") -> Instant | None:
    """The time of day or the date and time in a cell; None where it holds anything else.

    Two numbers with a colon are minutes and seconds where the seconds have decimals. `order` says
    of dates such as 03/04/2024 or 03-04-2024 whether the day or the month comes first, 'dm' or
    'md'; '' where that is not known: they count as no date then.
    """
    time = _TIME.search(cell)
    if time is None:
        return None
    hours, minutes, seconds, fraction, half, zone = time.groups()
    if seconds is None:
        if fraction is None:
            return None
        hours, minutes, seconds = "0", hours, minutes
    if (int(minutes) > 59 and int(hours)) or int(seconds) > 60:
        return None
    since_midnight = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    if half:
        since_midnight += (half[0] in "Pp") * 43200 - (int(hours) == 12) * 43200
    value = since_midnight + (float(f"0.{fraction}") if fraction else 0.0)
    rest = cell[: time.start()] + cell[time.end() :]
    date = _date(rest, order)
    if date is not None:
        rest = rest.replace(date[0], "", 1)
    if rest.strip(" []T'\",;"):
        return None
    if date is None or date[1] is None:
        return Instant(value, False, None)
    offset = _offset(zone)
    epoch = (date[1] - datetime.date(1970, 1, 1)).days * DAY
    return Instant(epoch + value - (offset or 0.0), True, offset)


def _date(text: str, order: str) -> tuple[str, datetime.date | None] | None:
    """The text of the date in `text` and the date, None where day and month are uncertain."""
    try:
        if found := _YEAR_FIRST.search(text):
            year, _, month, day = found.groups()
            return found[0], datetime.date(int(year), int(month), int(day))
        if found := _MONTH_BY_NAME.search(text):
            month = _MONTHS.index(found[2].lower()) + 1
            return found[0], datetime.date(int(found[3]), month, int(found[1]))
        if found := _YEAR_LAST.search(text):
            first, sign, second, year = found.groups()
            order = "dm" if sign == "." or "[" in text else order  # in brackets: PhysioBank's
            if not order:
                return found[0], None
            day, month = (first, second) if order == "dm" else (second, first)
            return found[0], datetime.date(int(year), int(month), int(day))
    except ValueError:
        pass
    return None


def order_of(cells: Sequence[str]) -> str:
    """Whether dates have the day before the month, 'dm', or behind it, 'md'; '' if none says."""
    for found in filter(None, map(_YEAR_LAST.search, cells)):
        if int(found[1]) > 12 or int(found[3]) > 12:
            return "dm" if int(found[1]) > 12 else "md"
    return ""


def is_uncertain(cell: str, order: str) -> bool:
    """Whether a cell holds a date in which day and month cannot be told apart."""
    found = _date(cell, order)
    return found is not None and found[1] is None


def _offset(zone: str | None) -> float | None:
    if zone is None:
        return None
    sign, digits = zone.lstrip("UTCGMZ")[:1], re.sub(r"\D", "", zone)
    if not digits:
        return 0.0
    return float(f"{sign}1") * (int(digits[:2]) * 3600 + int(digits[2:] or 0) * 60)


def moment(seconds: float, zone: float | None) -> datetime.datetime | None:
    """Seconds since 1970 as a date and time, of that zone where one is known."""
    try:
        utc = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=round(seconds, 6))
        if zone is None:
            return utc
        there = datetime.timezone(datetime.timedelta(seconds=zone))
        return utc.replace(tzinfo=datetime.UTC).astimezone(there)
    except (OverflowError, ValueError):
        return None


def later(start: datetime.datetime, first: float, of_day: bool) -> datetime.datetime:
    """When a clock of no date says `first` seconds, if what it belongs to was started at `start`.

    It counts from the start or, where it may be the time `of_day`, says that; in the first minute
    whichever is nearer. Seconds may be those of the day where they begin within a minute of the
    start. After weeks a clock counts from something else: it says nothing then.
    """
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    today = first - (start - midnight).total_seconds()
    today = (today + 3600) % DAY - 3600  # what stands above may be rounded up
    ways = [today] if of_day or abs(today) < 60 else []
    if not of_day or first < 60:
        ways.append(first)
    near = min(ways, key=abs)
    return start + datetime.timedelta(seconds=round(near, 3) if abs(near) < 14 * DAY else 0.0)


def epoch_of(value: float, unit: str) -> tuple[float, float | None] | None:
    """Seconds since 1970 and the zone of a number in a time column, None where it is no date.

    Unix time in any unit; Excel's days since 1899-12-30; Polar's nanoseconds since 2000-01-01,
    which its sensors write (as Unix time they would lie before 2000).
    """
    seconds = value * SECONDS[unit]
    if unit == "d":
        return ((value - 25569) * DAY, None) if 30_000 < value < 80_000 else None
    if 946_684_800 <= seconds < 4_102_444_800:  # 2000 to 2100
        return seconds, 0.0
    if unit == "ns" and 400_000_000 <= seconds < 946_684_800:
        return seconds + 946_684_800, None
    return None


def unit_of(step: float, stated: str | None) -> str | None:
    """The unit of a time column that advances by `step` a row; None where no unit gives a rate.

    The stated one where the rate can be an ECG's; else that of s, ms, us, ns and days which gives
    such a rate: there is never more than one.
    """
    if not step > 0:
        return None
    for unit in (stated, "s", "ms", "us", "ns", "d"):
        if unit is not None and LOWEST_FS <= 1 / (step * SECONDS[unit]) <= HIGHEST_FS:
            return unit
    return None


def unwrapped(times: np.ndarray) -> np.ndarray:
    """Times of day [n] in seconds with a day added at each midnight; NaN stays NaN."""
    known = np.isfinite(times)
    back = np.diff(times[known], prepend=times[known][:1]) < -DAY / 2
    unwrapped = times.copy()
    unwrapped[known] += DAY * np.cumsum(back)
    return unwrapped


class Stamps(NamedTuple):
    """Rows int64 [n], ascending, and the times in seconds float64 [n] at which they were taken."""

    row: np.ndarray
    time: np.ndarray


def stamps(times: np.ndarray, first_row: int = 0) -> Stamps:
    """The rows at which the stamp changes, given the time [n] at each row, NaN where there is none.

    The first row counts where most rows have a stamp of their own: else it may lie amid a packet.
    """
    known = np.flatnonzero(np.isfinite(times))
    value = times[known]
    new = np.flatnonzero(np.diff(value) != 0) + 1
    if 2 * len(new) > len(value):
        new = np.concatenate([[0], new])
    return Stamps(first_row + known[new], value[new])


class Timing(NamedTuple):
    """A clock's account of rows: seconds a row, the time of row 0 and the jumps.

    jumps: (row, seconds) where the clock jumps before that row, forward or back. noise: seconds by
    which a stamp usually strays.
    """

    step: float
    first: float
    jumps: tuple[tuple[int, float], ...]
    noise: float


def timing(found: Stamps) -> Timing | None:
    """The rate and the jumps that stamps show; None where there are too few or they do not advance.

    The step is the median over lags, then a line fitted to what is left when the jumps are taken
    out. A jump is a shift on which five stamps before and five after it agree.
    """
    if len(found.row) < _FEWEST_STAMPS:
        return None
    row, time = found.row.astype(np.float64), found.time
    lag = int(np.clip(len(row) // 20, 1, 500))
    step = float(np.median((time[lag:] - time[:-lag]) / (row[lag:] - row[:-lag])))
    if not step > 0:
        return None
    places, sizes, noise, first = np.empty(0, int), np.empty(0), 0.0, 0.0
    for _ in range(3):
        noise = _noise(row, time, step)
        places, sizes = jumps(found, step, tolerance(step, noise))
        shift = np.zeros(len(row))
        np.add.at(shift, places, sizes)
        step, first = line(row, time - np.cumsum(shift))
        if not step > 0:
            return None
    pairs = zip(found.row[places].tolist(), sizes.tolist(), strict=True)
    return Timing(step, first, tuple(pairs), noise)


def change(found: Stamps) -> tuple[int, float, float] | None:
    """The row where a clock changes its rate, and its steps before and after; None if it does not.

    Two stretches before and two after must agree, by their usual steps, which gaps leave as they
    are, and from end to end, to which it does not matter when stamps come in bursts.
    """
    size = max(_IN_STRETCH, len(found.row) // _STRETCHES)
    ends = np.arange(0, len(found.row), size)
    row, time = found.row, found.time
    spans = list(zip(ends[:-1], ends[1:] + 1, strict=True))
    usual = [_usual_step(row[a:b], time[a:b]) for a, b in spans]
    for k in range(2, len(usual) - 2):  # the change may lie within stretch k
        before, after = usual[k - 2 : k], usual[k + 1 : k + 3]
        sides = [before[0][0], after[1][0]]  # the change may begin within the inner two
        apart = abs(sides[1] - sides[0])
        doubt = max(4 * abs(x[0] - y[0]) for x, y in (before, after))
        doubt = max(doubt, *(0.3 * stray for _, stray in (*before, *after)), _CHANGE * min(sides))
        first, last = ends[[k - 2, k + 1]], ends[[k, k + 3]]
        whole = (time[last] - time[first]) / (row[last] - row[first])
        if min(sides) > 0 and apart > doubt and (whole[1] - whole[0]) / (sides[1] - sides[0]) > 0.5:
            ways = [slice(ends[k - 2], ends[k - 1]), slice(ends[k + 2], last[1])]
            starts = [
                np.median(time[way] - side * row[way])
                for way, side in zip(ways, sides, strict=True)
            ]
            meet = int((starts[0] - starts[1]) / (sides[1] - sides[0]))
            return int(np.clip(meet, row[ends[k - 1]], row[ends[k + 2]])), sides[0], sides[1]
    return None


def _usual_step(row: np.ndarray, time: np.ndarray) -> tuple[float, float]:
    """Seconds a row without what is lost between stamps, and by how many a stamp strays."""
    rows, seconds = np.diff(row), np.diff(time)
    middle = float(np.median(seconds / rows))
    stray = np.abs(seconds - middle * rows)
    noise = float(np.median(stray)) / 0.6745
    kept = stray <= max(1.5 * abs(middle), 4 * noise)
    return float(seconds[kept].sum() / rows[kept].sum()), noise / float(rows.mean())


def tolerance(step: float, noise: float) -> float:
    """Seconds from which on a shift of the clock is a jump."""
    return max(1.5 * step, 8 * noise)


def jumps(found: Stamps, step: float, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Places in the stamps before which the clock jumps, int [k], and seconds [k], either way."""
    late = found.time - step * found.row
    padded = np.concatenate([np.full(_WINDOW, np.nan), late, np.full(_WINDOW - 1, np.nan)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)
    before, after = windows[: len(late)], windows[_WINDOW : _WINDOW + len(late)]
    with np.errstate(all="ignore"):
        up = np.fmin.reduce(after, axis=1) - np.fmax.reduce(before, axis=1) > least
        down = np.fmin.reduce(before, axis=1) - np.fmax.reduce(after, axis=1) > least
    places = np.flatnonzero(up | down)
    sizes = np.empty(len(places))
    for i, place in enumerate(places.tolist()):
        since = max(place - _WINDOW, int(places[i - 1]) if i else 0)
        until = min(place + _WINDOW, int(places[i + 1]) if i + 1 < len(places) else len(late))
        # a stamp comes late rather than early: the earliest on each side are the truest
        sizes[i] = late[place:until].min() - late[since:place].min()
    return places, sizes


def _noise(row: np.ndarray, time: np.ndarray, step: float) -> float:
    """The deviation of stamps, were it normal, by their median and by the tenth largest."""
    stray = np.abs(np.diff(time) - step * np.diff(row))
    return float(max(np.median(stray) / 0.6745, np.percentile(stray, 90) / 1.645))


def line(row: np.ndarray, time: np.ndarray) -> tuple[float, float]:
    """Slope and intercept by least squares, about the middle for the sake of precision."""
    middle, origin = row.mean(), time.mean()
    centred = row - middle
    slope = (centred * (time - origin)).sum() / (centred * centred).sum()
    return float(slope), float(origin - slope * middle)


def rate(step: float, *, span: float, noise: float, nominal: Sequence[float | None]) -> float:
    """The sampling rate in Hz of a clock that advances by `step` s a row over `span` s.

    The first nominal rate, or else the whole number, that the clock does not contradict: over the
    whole span they part by less than a row or twice the noise. Otherwise the clock's own.
    """
    own = 1 / step
    for rate in (*nominal, float(round(own))):
        if rate and abs(own / rate - 1) * span < max(step, 2 * noise):
            return float(rate)
    return float(f"{own:.7g}")
