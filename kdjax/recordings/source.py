"""Recordings as plain data, and what all readers share.

`Recording` is a whole record in memory; data sets are prepared from it. `Source` is a recording of
any format and length, read block by block. Signals are in mV.
"""

import datetime
import os
import re
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kdjax.errors import InputError, option, options, reason_of
from kdjax.errors import one_line as words
from kdjax.recordings.units import in_millivolts, is_known, is_raw, shown, spelled

LOWEST_FS, HIGHEST_FS = 50.0, 20_000.0  # Hz, of what can be read; beats need more than 90
RATES = f"above 90 and up to {HIGHEST_FS:g} Hz"  # what a user is asked for
MOST_LEADS = 256
MOST_SAMPLES = 2**32  # 138 days at 360 Hz
BLOCK_SECONDS = 300
BLOCK_VALUES = 4_000_000  # of all signals in the file; 32 MB as float64
HEADER_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class Annotations:
    """What a file's annotator wrote: `sample` int64 [A] and `symbol` str [A], beats or not.

    `subtype` int [A] and `note` str [A] stand beside them where the file has them.
    """

    sample: np.ndarray
    symbol: np.ndarray
    subtype: np.ndarray | None = None
    note: np.ndarray | None = None

    def __post_init__(self):
        for column in (self.symbol, self.subtype, self.note):
            if column is not None and (self.sample.ndim != 1 or column.shape != self.sample.shape):
                raise InputError(
                    "annotations need as many samples as symbols, subtypes and notes, got shapes "
                    f"{self.sample.shape} and {column.shape}"
                )


@dataclass(frozen=True, eq=False, kw_only=True)
class Recording:
    """`signal` float32 [T, leads] in mV, sampled at `fs` Hz, one name in `leads` a column."""

    name: str
    signal: np.ndarray
    fs: float
    leads: tuple[str, ...]
    annotations: Annotations | None = None

    def __post_init__(self):
        if self.signal.ndim != 2 or self.signal.shape[1] != len(self.leads):
            raise InputError(
                f"recording {self.name}: the signal must be [T, {len(self.leads)}] for the leads "
                f"{', '.join(self.leads)}, got {list(self.signal.shape)}"
            )
        if not len(self.signal):
            raise InputError(f"recording {self.name} holds no samples; choose another")
        if not 0 < self.fs < np.inf:
            raise InputError(f"recording {self.name}: fs must be positive, got {self.fs} Hz")

    def lead(self, name: str) -> np.ndarray:
        """The signal [T] of the lead of that name; InputError where the recording has none."""
        if name not in self.leads:
            raise InputError(
                f"record {self.name} has no lead {name}: its leads are {', '.join(self.leads)}; "
                "choose another record or lead"
            )
        return self.signal[:, self.leads.index(name)]


class Given(NamedTuple):
    """What a user says of a file: its rate in Hz, its unit, or the steps of its converter a mV.

    units and gain count more than what the file states; fs must agree with it.
    """

    fs: float | None = None
    units: str | None = None
    gain: float | None = None

    def factor(self) -> float | None:
        """How many mV a number is, None where neither units nor gain is given."""
        if self.gain is not None:
            return 1 / self.gain
        return None if self.units is None else in_millivolts(self.units)

    def check_rate(self, file: Path, fs: float) -> None:
        """InputError where another rate is given than the file states."""
        if self.fs is not None and abs(self.fs - fs) > 1e-3 * fs:
            raise refusal(file, f"it says {fs:g} Hz, not {self.fs:g}; leave {option('fs')} out")


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """A recording that is read block by block: `length` samples of each lead at `fs` Hz.

    `read` is its format's part: blocks [n, columns] in mV. `blocks` is for everybody else. `start`
    is the time of the first sample by the recorder's clock, without a time zone where the file
    names none; None where the file does not say. `file` is the one absolute path of its file, empty
    for a signal from memory. `notes` says in words what was not read as the
    file states it: overridden, left out, missing, or taken from its clock.
    """

    name: str
    fs: float
    leads: tuple[str, ...]
    length: int
    read: Callable[[list[int]], Iterator[np.ndarray]]
    start: datetime.datetime | None = None
    notes: tuple[str, ...] = ()
    file: str = ""

    def __post_init__(self):
        name = words(self.name)
        if not LOWEST_FS <= self.fs <= HIGHEST_FS:
            raise InputError(
                f"recording {name} is sampled at {self.fs:g} Hz; an ECG at a rate {RATES} is needed"
            )
        if not 1 <= len(self.leads) <= MOST_LEADS:
            raise InputError(
                f"recording {name} has {len(self.leads)} leads; 1 to {MOST_LEADS} can be read"
            )
        if self.length < 1:
            raise InputError(f"recording {name} holds no samples; choose another")
        if self.length > MOST_SAMPLES:
            raise InputError(
                f"recording {name}: {self.length} samples a lead cannot be right "
                f"(the most is {MOST_SAMPLES}); check the file or cut it"
            )

    def blocks(self, columns: Sequence[int]) -> Iterator[np.ndarray]:
        """The leads at `columns`, in that order, as float32 [n, columns] in mV.

        Blocks come in order and are together `length` long; each holds 10 minutes at most. NaN
        stands where the file marks a sample as invalid or holds no finite number. InputError where
        the file turns out to be damaged.
        """
        done = 0
        for block in self.read(list(columns)):
            done += len(block)
            for start, stop in spans(len(block), int(2 * BLOCK_SECONDS * self.fs)):
                with np.errstate(over="ignore", invalid="ignore"):
                    signal = block[start:stop].astype(np.float32)
                signal[~np.isfinite(signal)] = np.nan
                yield signal
        if done != self.length:
            raise InputError(
                f"recording {words(self.name)} had {self.length} samples when it was opened and "
                f"{done} when it was read; do not change the file while it is read"
            )


@contextmanager
def reading(record: str, file: Path):
    """Turns whatever a library raises on a bad file into one line that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # libraries warn of what they then get right or raise
            yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"record {words(record)}: cannot read {words(file)} ({reason_of(error)}); it or a file "
            "that it names is missing, truncated or damaged: copy the record again"
        ) from error


def beside(file: Path, name: str) -> Path | None:
    """The file of that name in the folder of `file`, else one that differs only in case."""
    exact = file.with_name(name)
    if exact.is_file() or not file.parent.is_dir():
        return exact if exact.is_file() else None
    alike = [other for other in os.listdir(file.parent) if other.lower() == name.lower()]
    paths = map(file.with_name, sorted(alike))
    return next((path for path in paths if path.is_file()), None)


def decoded(content: bytes) -> str:
    """Text in UTF-8, with a byte order mark or without, else in Latin-1."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


_STATED = {"fs": "its sampling rate", "units": "the unit of its samples"}


def check_stated(file: Path, fs: float | None, factor: Any) -> tuple[float, Any]:
    """Both as they are; InputError where neither file nor user says the rate, or the unit."""
    missing = [name for name, value in (("fs", fs), ("units", factor)) if value is None]
    if fs is None or factor is None:
        examples = {"fs": 360, "units": "mV"}
        raise refusal(
            file,
            f"the file does not state {' or '.join(_STATED[name] for name in missing)}; give "
            f"{'it' if len(missing) == 1 else 'them'}, for example "
            f"{options(**{name: examples[name] for name in missing})}",
        )
    return fs, factor


def refusal(file: Path, reason: str) -> InputError:
    """The error that a file is refused with, on one line."""
    return InputError(f"{words(file)}: {words(reason)}")


def name_of(file: Path) -> str:
    """A recording's name: its file's, without the suffix and control signs."""
    return words(file.stem) or "recording"


def lead_names(labels: Sequence[str | None]) -> tuple[str, ...]:
    """Names of one line each; 'lead 3' for the third where it has none."""
    return tuple(words(label or "")[:64] or f"lead {i}" for i, label in enumerate(labels, start=1))


def block_length(rate: float, width: int) -> int:
    """Frames of `width` values to a block of BLOCK_SECONDS or, if that is less, BLOCK_VALUES."""
    return max(1, min(int(BLOCK_SECONDS * rate), BLOCK_VALUES // width))


def spans(length: int, step: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of each block of at most `step`."""
    for start in range(0, length, step):
        yield start, min(start + step, length)


def check_missing(file: Path, missing: int, *, length: int, fs: float) -> None:
    """InputError where hardly any of `length` samples are there, which takes hours to say."""
    if missing > 3600 * fs and missing > 0.99 * length:
        raise refusal(
            file,
            f"all but {(length - missing) / fs:.3g} s of its {length / fs / 3600:.3g} hours are "
            "missing; its clock or its header is wrong: repair it, or cut the recording",
        )


def missing_blocks(length: int, width: int, fs: float) -> Iterator[np.ndarray]:
    """Blocks of NaN, `length` samples of `width` leads."""
    for start, stop in spans(length, block_length(fs, width)):
        yield np.full((stop - start, width), np.nan, np.float32)


def with_gaps(
    blocks: Iterator[np.ndarray], gaps: Sequence[tuple[int, int]], fs: float
) -> Iterator[np.ndarray]:
    """The blocks [n, C] with NaN put in: each of `gaps` is (row, samples missing before it)."""
    waiting, row = deque(gaps), 0
    for block in blocks:
        done = 0
        while waiting and waiting[0][0] < row + len(block):
            place, missing = waiting.popleft()
            yield block[done : place - row]
            yield from missing_blocks(missing, block.shape[1], fs)
            done = place - row
        yield block[done:]
        row += len(block)


def gap_note(gaps: Sequence[tuple[int, int]], fs: float) -> str:
    """In words where a recording is missing; `gaps` as in `with_gaps`, at least one."""
    before = np.cumsum([0, *(missing for _, missing in gaps)])
    longest = max(range(len(gaps)), key=lambda i: gaps[i][1])
    row, missing = gaps[longest]
    clock = datetime.timedelta(seconds=int((row + before[longest]) / fs))
    if len(gaps) == 1:
        return f"{missing / fs:.4g} s missing, {clock} after the start"
    total = f"{before[-1] / fs:.4g} s missing in {len(gaps)} gaps"
    return f"{total}, the longest {missing / fs:.4g} s, {clock} after the start"


class _Voltages(NamedTuple):
    """The signals of a file to offer: their places in it, names, mV per unit, common rate."""

    places: list[int]
    leads: tuple[str, ...]
    per_unit: np.ndarray
    fs: float
    notes: tuple[str, ...]


_ECG_NAME = re.compile(
    r"(?<![a-z])(ECG|EKG)(?![a-z])|\b(M?C?L?I{1,3}|AV[RLF]|V[1-9])\b", re.IGNORECASE
)


def voltages(
    file: Path,
    labels: Sequence[str | None],
    *,
    units: Sequence[str],
    rates: Sequence[float],
    steps: Sequence[float],
    given: Given,
) -> _Voltages:
    """Which of a file's signals are leads; InputError where none is, or another fs is given.

    Args:
        file: for messages.
        labels: names of the signals.
        units: what the file states of each.
        rates: in Hz.
        steps: of the converter, to one of its unit.
        given: units or gain count more than what is stated. They make leads of signals without a
            unit that are named as an ECG's, and where no signal is a voltage of all whose unit is
            not that of something else.
    """
    volts = [i for i, unit in enumerate(units) if in_millivolts(unit) is not None]
    unstated = [
        i
        for i, unit in enumerate(units)
        if volts and is_raw(unit) and _ECG_NAME.search(labels[i] or "")
    ]
    if given.factor() is not None:
        volts = sorted([*volts, *unstated])
        raw = [i for i, unit in enumerate(units) if is_raw(unit)]
        volts = volts or raw or [i for i, unit in enumerate(units) if not is_known(unit)]
    if not volts:
        said = ", ".join(sorted(set(filter(None, units))))[:80] or "none"
        raise refusal(
            file,
            f"no signal is a voltage (units: {said}); choose a recording with an ECG, or give "
            f"{option('units')} or {option('gain')} where the file leaves the units out",
        )
    named = [i for i in volts if _ECG_NAME.search(labels[i] or "")]
    votes = Counter(rates[i] for i in named or volts)
    rate = max(votes, key=lambda rate: (votes[rate], rate))
    places = [i for i in volts if rates[i] == rate]
    given.check_rate(file, rate)
    names = lead_names(labels)
    notes = []
    if left := [names[i] for i in unstated if i not in volts]:
        notes.append(f"left out (no unit stated): {', '.join(left)[:80]}")
    if others := [names[i] for i in volts if rates[i] != rate]:
        notes.append(f"left out (other sampling rate): {', '.join(others)[:80]}")
    if given.gain is not None:
        per_unit = [steps[i] / given.gain for i in places]
        stated = sorted({f"{steps[i] / (in_millivolts(units[i]) or 1):.6g}" for i in places})
        notes.append(
            f"read with {given.gain:g} steps per mV instead of the file's {', '.join(stated)[:80]}"
        )
    else:
        factor = given.factor()
        per_unit = [in_millivolts(units[i]) if factor is None else factor for i in places]
        notes += unit_notes([units[i] for i in places], given)
    return _Voltages(
        places, tuple(names[i] for i in places), np.array(per_unit), rate, tuple(notes)
    )


def unit_notes(stated: Sequence[str | None], given: Given) -> list[str]:
    """That given units count more than other ones which the file states."""
    other = sorted({unit for unit in stated if unit and not is_raw(unit)})
    if given.units is None or all(spelled(unit) == spelled(given.units) for unit in other):
        return []
    stated = ", ".join(sorted({shown(unit) for unit in other}))
    return [f"read as {shown(given.units)} instead of the file's {words(stated)}"]
