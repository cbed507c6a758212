"""Clocks of text tables: what their cells may look like, and what is no steady clock."""

import datetime

import numpy as np
import pytest
from written import write_text

from kdjax.errors import InputError
from kdjax.recordings import lines, open_source

START = datetime.datetime(2024, 2, 29, 23, 59, 50)
SECONDS = np.arange(5000) / 250


def stamps(form, seconds=SECONDS, start=START):
    """Times in a form of strftime; %f has three digits."""
    moments = (start + datetime.timedelta(seconds=round(float(t), 3)) for t in seconds)
    return [m.strftime(form.replace("%f", f"{m.microsecond // 1000:03d}")) for m in moments]


def table(folder, times, above="", name="time"):
    rows = "".join(f"{t},{i * 37 % 400}\n" for i, t in enumerate(times))
    return write_text(folder, f"{above}{name},II\n{rows}")


@pytest.mark.parametrize(
    "form", ['"%d.%m.%Y, %H:%M:%S.%f"', '"%m/%d/%Y, %I:%M:%S.%f %p"', '"%Y-%m-%d %H:%M:%S,%f"']
)
@pytest.mark.parametrize("options", [{}, {"fs": 250}])
def test_a_comma_between_date_and_time_is_part_of_the_time(tmp_path, form, options):
    late = SECONDS + 7.0 * (np.arange(5000) >= 3000)
    source = open_source(table(tmp_path, stamps(form, late)), units="uV", **options)
    assert (source.fs, source.length, source.start) == (250, 5000 + 1750, START)


def changing(rates, rows):
    """Seconds of rows that come at one rate after the other."""
    steps = np.repeat([1 / rate for rate in rates], rows)
    return np.concatenate([[0.0], np.cumsum(steps)[:-1]])


@pytest.mark.parametrize("rates", [(250, 500), (500, 100), (250, 265)])
@pytest.mark.parametrize("rows", [(10_000, 10_000), (3000, 9000), (9000, 3000)])
@pytest.mark.parametrize("chunk", [1 << 20, 1 << 14])
@pytest.mark.parametrize("form", ["seconds", "milliseconds", "time of day"])
def test_a_clock_that_changes_its_rate_is_refused(tmp_path, monkeypatch, rates, rows, chunk, form):
    """Of the whole one rate was made, and all intervals between beats were wrong."""
    monkeypatch.setattr(lines, "CHUNK_BYTES", chunk)
    seconds = changing(rates, rows)
    times = {
        "seconds": [f"{t:.4f}" for t in seconds],
        "milliseconds": [f"{1e3 * t:.0f}" for t in seconds],
        "time of day": stamps("%H:%M:%S.%f", seconds),
    }[form]
    path = table(tmp_path, times, name="time [ms]" if form == "milliseconds" else "time")
    told = r"runs at .* Hz until line \d+, then at .* Hz; cut the file there$"
    with pytest.raises(InputError, match=told) as refused:
        open_source(path, units="uV")
    words = str(refused.value).split("runs at ")[1].split()
    assert float(words[0]) == pytest.approx(rates[0], rel=0.02)
    assert abs(int(words[4].strip(",")) - 1 - rows[0]) <= 40
    assert float(words[7]) == pytest.approx(rates[1], rel=0.02)


@pytest.mark.parametrize("fs", [130, 333.33, 360, 400, 1000])
@pytest.mark.parametrize("digits", [3])
@pytest.mark.parametrize("n", [150, 2000, 20_000])
def test_rounding_is_no_change_of_the_rate(tmp_path, fs, digits, n):
    times = [f"{i / fs:.{digits}f}" for i in range(n)]
    assert open_source(table(tmp_path, times), units="uV").fs == pytest.approx(fs, rel=0.02)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["lost", "late", "in bursts"])
def test_packets_that_are_lost_or_late_are_no_change_of_the_rate(tmp_path, seed, kind):
    rng = np.random.default_rng(seed)
    packets = np.arange(600)
    if kind == "lost":  # every third, for a while
        packets = packets[(packets < 250) | (packets > 400) | (rng.random(600) > 0.33)]
    seconds = packets * 36 / 130
    if kind == "late":
        seconds = seconds + rng.exponential(0.05, len(packets))
    if kind == "in bursts":
        seconds = np.maximum.accumulate(np.ceil(seconds) + 0.01 * rng.random(len(packets)))
    times = np.repeat([f"{1e3 * t:.0f}" for t in seconds], 36)
    fs = open_source(table(tmp_path, times, name="time [ms]"), units="uV").fs
    assert fs == pytest.approx(130, rel=0.02) or kind == "lost"


def test_the_table_may_begin_later_than_what_stands_above_it(tmp_path):
    """The start that stands above was taken for the first row's, whatever the clock said."""
    above = "Start: 2024-02-29 23:00:00\n"

    def start(times, name="time [s]", above=above):
        return open_source(table(tmp_path, times, above, name), units="uV").start

    later = datetime.datetime(2024, 2, 29, 23, 10)
    assert start([f"{600 + t:.3f}" for t in SECONDS]) == later
    assert start([f"{600_000 + 1e3 * t:.0f}" for t in SECONDS], "time [ms]") == later
    assert start(stamps("%H:%M:%S.%f", start=later)) == later
    assert start([f"{t:.3f}" for t in SECONDS]) == datetime.datetime(2024, 2, 29, 23)
    assert start([f"0:{t:06.3f}" for t in SECONDS]) == datetime.datetime(2024, 2, 29, 23)
    assert start([f"10:{t:06.3f}" for t in SECONDS]) == later
    assert start([f"00:10:{t:06.3f}" for t in SECONDS], "Elapsed") == later
    after_midnight = datetime.datetime(2024, 3, 1, 4, 30)
    assert start(stamps("%H:%M:%S.%f", start=after_midnight)) == after_midnight
    sooner = datetime.datetime(2024, 2, 29, 22, 59, 59, 500_000)
    assert start(stamps("%H:%M:%S.%f", start=sooner)) == sooner
    of_day = [f"{23 * 3600 + 2 + t:.3f}" for t in SECONDS]
    assert start(of_day) == datetime.datetime(2024, 2, 29, 23, 0, 2)
    up = [f"{9e7 + t:.3f}" for t in SECONDS]  # since a device was switched on
    assert start(up) == datetime.datetime(2024, 2, 29, 23)
    dated = datetime.datetime(2024, 2, 29, 23, 15)
    assert start(stamps("%Y-%m-%d %H:%M:%S.%f", start=dated)) == dated


@pytest.mark.parametrize("sign", ["-", "/"])
@pytest.mark.parametrize("form", ["%m{}%d{}%Y", "%d{}%m{}%Y"])
def test_day_and_month_are_told_apart_only_where_a_date_of_the_file_does(tmp_path, sign, form):
    """The 7th of March was read as the 3rd of July, and midnight as a gap of a month."""
    form = form.format(sign, sign) + " %H:%M:%S.%f"

    def opened(start):
        return open_source(table(tmp_path, stamps(form, start=start)), units="uV")

    source = opened(datetime.datetime(2024, 3, 7, 23, 59, 50))
    assert (source.length, source.start) == (5000, None)
    assert source.notes[0].startswith("the start is unknown: in '")
    assert source.notes[0].endswith("' the day or the month may come first")
    source = opened(START)
    assert (source.length, source.start, source.notes) == (5000, START, ())
    above = f"Start: {START.strftime(form[:-3])}\n"
    named = table(tmp_path, [f"{t:.3f}" for t in SECONDS], above)
    assert open_source(named, units="uV").start == START


@pytest.mark.parametrize(
    ("end", "zone"),
    [("+02", 2), ("-0530", -5.5), (" +02:00", 2), (" UTC", 0), (" UTC+02:00", 2), (" GMT-03", -3)],
)
def test_a_time_zone_may_be_whole_hours_or_behind_utc(tmp_path, end, zone):
    times = [time + end for time in stamps("%Y-%m-%d %H:%M:%S.%f")]
    source = open_source(table(tmp_path, times), units="uV")
    there = datetime.timezone(datetime.timedelta(hours=zone))
    assert (source.fs, source.start) == (250, START.replace(tzinfo=there))


@pytest.mark.parametrize("halves", [("a.m.", "p.m."), ("A.M.", "P.M."), ("am", "pm")])
def test_halves_of_the_day_may_have_points(tmp_path, halves):
    times = [
        f"{time} {halves[time < '12']}" for time in stamps("%I:%M:%S.%f")
    ]  # from 11:59:50 pm to 12:00:10 am
    source = open_source(table(tmp_path, times, "Start: 2024-02-29 23:00:00\n"), units="uV")
    assert (source.fs, source.length, source.start) == (250, 5000, START)


@pytest.mark.parametrize("chunk", [1 << 20, 1 << 16])
def test_many_small_gaps_are_no_slower_clock(tmp_path, monkeypatch, chunk):
    """Where a table is read in part, as many gaps in each part passed for the clock's own pace."""
    monkeypatch.setattr(lines, "CHUNK_BYTES", chunk)
    ticks = np.arange(60_000) + 3 * (np.arange(60_000) // 1000)
    source = open_source(table(tmp_path, [f"{t / 250:.3f}" for t in ticks]), units="uV")
    assert (source.fs, source.length) == (250, 60_000 + 3 * 59)
    assert source.notes[0].startswith("0.708 s missing in 59 gaps")
