"""Units as files spell them."""

import re

MILLIVOLTS = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "nv": 1e-6}
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "d": 86400.0, "min": 60.0, "h": 3600.0}

_SPELLINGS = {
    "v": "volt volts",
    "mv": "millivolt millivolts mvolt milliv",
    "uv": "microvolt microvolts uvolt microv",
    "nv": "nanovolt nanovolts",
    "s": "sec secs second seconds",
    "ms": "msec millis millisecond milliseconds",
    "us": "usec micros microsecond microseconds",
    "ns": "nanosecond nanoseconds",
    "min": "minute minutes",
    "h": "hour hours",
    "d": "day days",
}
_SPELLED = {word: unit for unit, words in _SPELLINGS.items() for word in words.split()}
_RAW = {
    "", "-", "1", "none", "n/a", "nu", "no unit", "no units", "au", "a.u.", "adu", "adc", "raw",
    "count", "counts", "lsb", "bit", "bits",
}  # fmt: skip
_OTHERS = {
    "g", "mg", "m/s2", "m/s^2", "m/(s^2)", "bpm", "1/min", "rpm", "l/min", "%", "c", "°c", "degc",
    "celsius", "°f", "degf", "fahrenheit", "deg", "dps", "deg/s", "mmhg", "kpa", "hz", "kohm",
    "kohms", "ohm", "ohms", "gauss", "hh:mm:ss", "hh:mm:ss.mmm", "hh:mm:ss.ms", "mm:ss",
    "mm:ss.mmm", "date", "datetime",
}  # fmt: skip


def spelled(text: str) -> str:
    """A unit in lower case, as MILLIVOLTS and SECONDS spell it where they have it.

    Both signs of micro become u.
    """
    text = re.sub("[\N{MICRO SIGN}\N{GREEK SMALL LETTER MU}]", "u", text.strip()).lower()
    return _SPELLED.get(text, text)


def shown(unit: str) -> str:
    """A unit as people write it."""
    people = {"v": "V", "mv": "mV", "uv": "uV", "nv": "nV", "°c": "°C", "degc": "degC"}
    return people.get(spelled(unit), unit)


def in_millivolts(unit: str) -> float | None:
    """How many mV the unit is; None where it is no voltage."""
    return MILLIVOLTS.get(spelled(unit))


def is_raw(unit: str) -> bool:
    """Whether a unit tells nothing of volts: none is stated, or steps of a converter."""
    return spelled(unit) in _RAW


def is_no_voltage(unit: str) -> bool:
    """Whether a unit is of something that no ECG is measured in, as °C; false if it is unknown."""
    return spelled(unit) in _OTHERS


def is_known(unit: str) -> bool:
    """Whether this is a unit at all, or says that there is none."""
    unit = spelled(unit)
    return unit in MILLIVOLTS or unit in SECONDS or unit in _RAW or unit in _OTHERS
