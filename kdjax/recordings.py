"""A recording: signals in millivolts with their lead names, and the readers that make one."""

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdjax.errors import InputError


@dataclass(frozen=True, eq=False)
class Annotations:
    """What a file's annotator wrote: `sample` int64 [A] and `symbol` str [A], beats or not."""

    sample: np.ndarray
    symbol: np.ndarray

    def __post_init__(self):
        if self.sample.ndim != 1 or self.sample.shape != self.symbol.shape:
            raise InputError(
                f"annotations need as many samples as symbols, got shapes {self.sample.shape} and "
                f"{self.symbol.shape}"
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


def read_wfdb(path: str | Path) -> Recording:
    """The WFDB record whose header is `path` (the suffix .hea may be left out), all leads.

    Annotations come from the .atr file beside it, where there is one. InputError when a file is
    missing, damaged or shorter than the header says, when a signal is no voltage, or when a lead
    holds invalid samples.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wfdb 4.3 uses what pandas 3 has deprecated
        import wfdb  # here, because with pandas it takes a second that other formats need not wait

    header = Path(path)
    if header.suffix != ".hea":
        header = header.with_name(header.name + ".hea")
    name, stem, annotator = header.stem, str(header.with_suffix("")), header.with_suffix(".atr")
    if not header.is_file():
        raise InputError(f"record {name}: {header} is missing; name a WFDB header (.hea)")
    with _reading(name, header):
        record: Any = wfdb.rdrecord(stem)
    annotations = None
    if annotator.is_file():
        with _reading(name, annotator):
            read = wfdb.rdann(stem, "atr")
            annotations = Annotations(
                sample=np.asarray(read.sample, np.int64), symbol=np.asarray(read.symbol, "<U4")
            )
    signal = _millivolts(record.p_signal, record.units, header)
    for lead, column in zip(record.sig_name, signal.T, strict=True):
        invalid = np.flatnonzero(~np.isfinite(column))
        if len(invalid):
            raise InputError(
                f"record {name}: lead {lead} has invalid samples ({len(invalid)}, the first is "
                f"sample {invalid[0]}); cut them out or repair the file"
            )
    return Recording(name, signal, float(record.fs), tuple(record.sig_name), annotations)


@contextmanager
def _reading(record: str, file: Path):
    """Turns whatever wfdb raises on a bad file into one line that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # wfdb warns of what it then gets right or raises
            yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"record {record}: cannot read {file} ({reason}); it or a file that it names is "
            "missing, truncated or damaged: copy the record again"
        ) from error


def _millivolts(signal: np.ndarray, units: list[str], header: Path) -> np.ndarray:
    """`signal` [T, leads] in the header's units as float32 mV."""
    per_unit = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "µv": 1e-3, "nv": 1e-6}
    unknown = [unit for unit in units if unit.lower() not in per_unit]
    if unknown:
        raise InputError(
            f"record {header.stem}: unit {unknown[0]!r} in {header} is not a voltage; "
            "leave that signal out of the record"
        )
    return (signal * [per_unit[unit.lower()] for unit in units]).astype(np.float32)
