"""Recordings as plain data, and what all readers share.

`Recording` is a whole record in memory; data sets are prepared from it. `Source` is a recording of
any format and length, read block by block. Signals are in mV.
"""

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kdjax.errors import InputError

MILLIVOLTS = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "nv": 1e-6}
LOWEST_FS, HIGHEST_FS = 50.0, 20_000.0  # Hz
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


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
class Source:
    """A recording that is read block by block: `length` samples of each lead at `fs` Hz.

    `read` is its format's part: blocks [n, columns] in mV. `blocks` is for everybody else.
    """

    name: str
    fs: float
    leads: tuple[str, ...]
    length: int
    read: Callable[[list[int]], Iterator[np.ndarray]]

    def __post_init__(self):
        name = words(self.name)
        if not LOWEST_FS <= self.fs <= HIGHEST_FS:
            raise InputError(
                f"recording {name} is sampled at {self.fs:g} Hz; an ECG between {LOWEST_FS:g} and "
                f"{HIGHEST_FS:g} Hz is needed"
            )
        if not 1 <= len(self.leads) <= MOST_LEADS:
            raise InputError(
                f"recording {name} has {len(self.leads)} leads; 1 to {MOST_LEADS} can be read"
            )
        if self.length < 1:
            raise InputError(f"recording {name} holds no samples; choose another")
        if self.length > MOST_SAMPLES:
            raise InputError(
                f"recording {name}: {self.length} samples a lead are too many to be true "
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
                f"{done} when it was read; keep the file as it is meanwhile"
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
        reason = words(error)[:200] or type(error).__name__
        raise InputError(
            f"record {words(record)}: cannot read {words(file)} ({reason}); it or a file that it "
            "names is missing, truncated or damaged: copy the record again"
        ) from error


def refusal(file: Path, reason: str) -> InputError:
    return InputError(f"{words(file)}: {words(reason)}")


def words(text: object) -> str:
    """`text` on one line that a terminal may show."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def unit_key(text: str) -> str:
    """A unit's spelling in MILLIVOLTS: lower case, u for both signs of micro."""
    return re.sub("[\N{MICRO SIGN}\N{GREEK SMALL LETTER MU}]", "u", text.strip()).lower()


def in_millivolts(unit: str) -> float | None:
    """How many mV the unit is; None where it is no voltage."""
    return MILLIVOLTS.get(unit_key(unit))


def find(path: Path) -> Path:
    """The regular file that `path` names, its suffix .hea put in where it was left out."""
    known = {".hea", ".edf", ".bdf", ".csv", ".txt", ".npy"}
    with reading(path.name, path):
        if path.name and path.suffix.lower() not in known:
            header = path.with_name(path.name + ".hea")
            if header.is_file():
                return header
        if path.is_dir():
            raise refusal(path, "is a folder; name a recording in it")
        if not path.is_file():
            raise refusal(path, "is missing or no regular file; check the name")
        if path.suffix.lower() not in known:
            raise refusal(
                path,
                f"no recording has the suffix {path.suffix!r}; name a WFDB header (.hea), "
                "an EDF (.edf, .bdf), CSV (.csv, .txt) or NumPy file (.npy)",
            )
    return path


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


class _Voltages(NamedTuple):
    """The signals of a file to offer: their places in it, names, mV per unit, common rate."""

    places: list[int]
    leads: tuple[str, ...]
    per_unit: np.ndarray
    fs: float


_ECG_NAME = re.compile(r"\b(ECG|EKG|M?C?L?I{1,3}|AV[RLF]|V[1-9])\b", re.IGNORECASE)


def voltages(
    file: Path,
    labels: Sequence[str | None],
    units: Sequence[str],
    rates: Sequence[float],
    fs: float | None,
    unit: str | None,
) -> _Voltages:
    """Which of a file's signals are leads; InputError where `fs` or `unit` contradicts them."""
    per_unit = [in_millivolts(text) for text in units]
    volts = [i for i, factor in enumerate(per_unit) if factor is not None]
    if not volts:
        said = ", ".join(sorted(set(units)))[:80] or "none"
        raise refusal(
            file, f"no signal is a voltage (units: {said}); choose a recording with an ECG"
        )
    named = [i for i in volts if _ECG_NAME.search(labels[i] or "")]
    votes = Counter(rates[i] for i in named or volts)
    rate = max(votes, key=lambda rate: (votes[rate], rate))
    places = [i for i in volts if rates[i] == rate]
    if fs is not None and abs(fs - rate) > 1e-3 * rate:
        raise refusal(file, f"it says {rate:g} Hz, not {fs:g}; leave fs out")
    other = [units[i] for i in places if unit is not None and unit_key(units[i]) != unit_key(unit)]
    if other:
        raise refusal(file, f"it says {other[0]}, not {unit}; leave units out")
    return _Voltages(
        places,
        tuple(np.array(lead_names(labels), object)[places]),
        np.array([per_unit[i] for i in places], np.float64),
        rate,
    )
