"""What stands above a table: rate, unit, lead and start, in any language."""

import datetime
import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from kdjax.recordings import clock
from kdjax.recordings.source import HIGHEST_FS, LOWEST_FS
from kdjax.recordings.units import SECONDS, is_no_voltage, spelled


class Preamble(NamedTuple):
    """What the lines above the table say; None where they do not."""

    fs: float | None = None
    likely_fs: float | None = None  # a number of Hz that nothing calls the sampling rate
    unit: str | None = None
    lead: str | None = None
    start: datetime.datetime | None = None
    columns: tuple[str, ...] = ()
    ecg: tuple[str, ...] = ()  # which of these columns hold an ECG
    gain: float | None = None  # steps a mV
    notes: tuple[str, ...] = ()


_HZ = r"(?:hz|hertz|s/s|sps)\b"
_NUMBER = rf"(?:[\s_]*[\[(]?k?hz[\])]?)?[^\w\d]{{1,6}}(\d+(?:[.,]\d+)?)\s*(?:(k)?{_HZ})?"
_SAMPLING = (
    r"(?:sampl|abtast|messrate|échantillon|echantillon|muestreo|campiona|amostra|bemonster|"
    r"дискретиз|采样|採樣|サンプリング)"
)
_RATE = re.compile(  # names alone may be a heart's, a rhythm's or a filter's: they begin the line
    rf"(?:sampling|sampl\w*[\s_-]*(?:rate|fr[eé][qk]\w*)|(?:abtast|mess)(?:rate|frequenz)){_NUMBER}"
    rf"\b|^\W*(?:sr|frequency|fréquence|frequenz){_NUMBER}\W*(?:$|[,;\t])|"
    rf"(?:^|[,;\t])\W*fs{_NUMBER}(?![\w/])",
    re.IGNORECASE,
)
_PERIOD = re.compile(
    r"(?:interval|period|\bdt\b|sampling[\s_-]*time)\W{1,6}(\d*[.,]?\d+(?:e-?\d+)?)\s*(s|sec|ms|us)\b",
    re.IGNORECASE,
)
_HERTZ = re.compile(rf"(?<!\d)(?<!\d[.,])(\d+(?:[.,]\d+)?)\s*(k)?{_HZ}", re.IGNORECASE)
_RANGE = re.compile(r"\d\W*(?:[-\N{EN DASH}~]|\.\.+|to|bis)\W*$", re.IGNORECASE)
_MAY_BE_RATE = re.compile(  # what a line names whose only number of Hz is probably the rate
    r"rate(?![^\W_])|fr[eé][qk]|(?<![^\W_])(?:fs|sr|ecg|ekg)(?![^\W_])|@\s*\d|"
    r"^[\W_]*\d+(?:[.,]\d+)?\s*k?h\w+\W*$",
    re.IGNORECASE,
)
_NO_RATE = re.compile(  # of filters, of the mains, of a heart, of other signals or another file
    r"filt|notch|pass|cut|mains|line|heart|band|puls|netz|gang|grenz|display|refresh|response|"
    r"(?<![^\W_])(?:[lh]pf|orig[a-z]*\.?[\W_]+(?:ecg\W+)?(?:sampl|fs|fr|rate)|resp|atem|atmung|"
    r"accel|gyro|ppg|pleth|spo2|eda|e[em]g|pac(?:ing|er|ed)|stim|(?:acc|power|ac)(?![^\W_]))",
    re.IGNORECASE,
)
_MICRO = r"\N{MICRO SIGN}\N{GREEK SMALL LETTER MU}"
_UNIT_LINE = re.compile(  # behind a number, a slash or 'per' stands a scale or a range
    r"^\W*(?!.*(?<![^\W_])(?:per|pro|par|por)(?![^\W_]))(?:[^\d\W][^\d/,;:=\t]*)[\s,;:=\t]+[\"']?"
    rf"([mun{_MICRO}]V|(?:milli|micro|nano)volts?)\W*$",
    re.IGNORECASE,
)
_UNIT_IS = (
    r"(?:[^\W\d]+\s+)?(?:units?|einheit|unité|unidad|unidade|unità|eenheid|enhet|enhed)[\s,;:=]+"
)
_VOLT_LINE = re.compile(  # a lone V may be a lead or a version, volts behind a number a range
    rf"^\W*(?:{_UNIT_IS}[\"']?V|[^\W\d]+[\s,;:=]+[\"']?volts?)\W*$", re.IGNORECASE
)
_OTHER_LINE = re.compile(rf"^\W*{_UNIT_IS}[\"'\[(]*(\S.*?)[\"'\])\s]*$", re.IGNORECASE)
_LEAD_LINE = re.compile(
    r"^\W*(?:lead|ableitung|dérivation|derivación)\W+(\S.*?)\W*$", re.IGNORECASE
)
_NOT_START = re.compile(r"birth|geb|naiss|nacim|export|creat|print|end", re.IGNORECASE)


def preamble(lines: Sequence[str]) -> Preamble:
    """What stands above the rows, in any language: numbers with Hz, lone units, dates with time."""
    headers = (_opensignals(line) for line in lines if "{" in line and '"sampling rate"' in line)
    if found := next(filter(None, headers), None):
        return found
    rates, hertz, units, others, leads, starts = [], [], [], [], [], []
    for line in lines:
        if not _NO_RATE.search(line):
            stated, likely = _rates(line)
            rates += stated
            hertz += likely
        if found := _UNIT_LINE.match(line):
            units.append(spelled(found[1]))
        elif _VOLT_LINE.match(line):
            units.append("v")
        elif (found := _OTHER_LINE.match(line)) and is_no_voltage(found[1]):
            others.append(spelled(found[1]))
        if found := _LEAD_LINE.match(line):
            leads.append(found[1])
        if not _NOT_START.search(line):
            starts += _starts(line)
    return Preamble(
        fs=_rate(rates),
        likely_fs=_rate(hertz),
        unit=_one(units or others),
        lead=leads[0] if len(leads) == 1 else None,
        start=starts[0] if starts else None,
    )


def _rates(line: str) -> tuple[list[float], list[float]]:
    """The sampling rate that a line states, and a number of Hz in it that may be the rate."""
    if found := _RATE.search(line):
        value, kilo = found[1] or found[3] or found[5], found[2] or found[4] or found[6]
        return [_value(value) * (1e3 if kilo else 1.0)], []
    if found := _PERIOD.search(line):
        period = _value(found[1]) * SECONDS[spelled(found[2])]
        return ([1 / period] if period > 0 else []), []
    hertz = list(_HERTZ.finditer(line))
    if len(hertz) != 1 or _RANGE.search(line[: hertz[0].start()]):
        return [], []
    rate = _value(hertz[0][1]) * (1e3 if hertz[0][2] else 1.0)
    if re.search(_SAMPLING, line, re.IGNORECASE):
        return [rate], []
    return [], [rate] if _MAY_BE_RATE.search(line) else []


def _rate(rates: Sequence[float]) -> float | None:
    """The only one of these rates that can be an ECG's; None where none or several can."""
    said = {rate for rate in rates if LOWEST_FS <= rate <= HIGHEST_FS}
    return said.pop() if len(said) == 1 else None


def _one(units: Sequence[str]) -> str | None:
    return units[0] if len(set(units)) == 1 else None


def _value(text: str) -> float:
    return float(text.replace(",", "."))


def _starts(line: str) -> list[datetime.datetime]:
    """The date with time that a line of the kind 'key, value' ends with."""
    value = re.split(r"[,;\t=]|:\s", line.strip().strip('"'), maxsplit=1)[-1].strip(" \"'")
    found = clock.instant(value, clock.order_of([value]))
    if found is None or not found.dated:
        return []
    start = clock.moment(found.seconds, found.zone)
    return [] if start is None else [start]


def _opensignals(line: str) -> Preamble | None:
    """The header of OpenSignals (PLUX, BITalino), JSON in one line.

    Its raw numbers n of b bits are (n / 2^b - 0.5) * 3 mV for the maker's ECG sensors (both
    biosignalsplux, 3 V and a gain of 1000, and BITalino, 3.3 V and 1100; from their data sheets).
    """
    try:
        (device, *_) = json.loads(line[line.index("{") :]).values()
        columns = tuple(str(name) for name in device["column"])
        sensors = [str(sensor) for sensor in device["sensor"]]
        rate = float(device["sampling rate"])
        bits = [int(bit) for bit in device.get("resolution", [])][-len(sensors) :]
        date = f"{device.get('date', '')} {device.get('time', '')}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    found = clock.instant(date)
    measured = columns[len(columns) - len(sensors) :]
    ecg = [i for i, sensor in enumerate(sensors) if sensor.upper().startswith("ECG")]
    raw = not device.get("convertedValues")
    gain, notes = None, ()
    if raw and ecg and len(bits) == len(sensors) and len({bits[i] for i in ecg}) == 1:
        gain = 2 ** bits[ecg[0]] / 3
        notes = (
            f"the file holds raw {bits[ecg[0]]}-bit numbers; they were scaled to 3 mV over their "
            "whole range, as the PLUX ECG sensor's data sheet says; give a gain to override this",
        )
    if not ecg:
        ecg = range(len(sensors))  # they may be called RAW
    return Preamble(
        fs=rate if LOWEST_FS <= rate <= HIGHEST_FS else None,
        unit=None if raw else "mv",
        start=clock.moment(found.seconds, found.zone) if found and found.dated else None,
        columns=columns,
        ecg=tuple(measured[i] for i in ecg),
        gain=gain,
        notes=notes,
    )
