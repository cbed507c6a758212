"""A recording: signals in millivolts with their lead names, and the readers that make one."""

import warnings
from dataclasses import dataclass
from pathlib import Path

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
    missing or not readable, is shorter than its header says, or holds invalid samples.
    """
    import wfdb  # here, because it imports pandas: a second that a reader of CSV need not wait

    header = Path(path)
    if header.suffix != ".hea":
        header = header.with_name(header.name + ".hea")
    if not header.is_file():
        raise InputError(f"record {header.stem}: {header} is missing; name a WFDB header (.hea)")
    stem = str(header.with_suffix(""))
    annotation_file = header.with_suffix(".atr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what wfdb warns about is checked below
        with _readable(header):
            facts = wfdb.rdheader(stem)
        for name in dict.fromkeys(facts.file_name or ()):
            if not (header.parent / name).is_file():
                raise InputError(
                    f"record {header.stem}: signal file {header.parent / name} is missing; "
                    "put it beside its header"
                )
        with _readable(header):
            record = wfdb.rdrecord(stem)
            annotation = wfdb.rdann(stem, "atr") if annotation_file.is_file() else None
    signal = record.p_signal
    if signal is None or record.sig_name is None:
        raise InputError(f"record {header.stem}: {header} describes no signal; name another record")
    if facts.sig_len is not None and len(signal) != facts.sig_len:
        raise InputError(
            f"record {header.stem}: {len(signal)} samples where {header} says {facts.sig_len}; "
            "copy the signal file again"
        )
    signal = _millivolts(signal, record.units, header)
    for lead, column in zip(record.sig_name, signal.T, strict=True):
        invalid = np.flatnonzero(~np.isfinite(column))
        if len(invalid):
            raise InputError(
                f"record {header.stem}: lead {lead} has {len(invalid)} invalid samples, the first "
                f"at sample {invalid[0]}; cut them out or repair the file"
            )
    return Recording(
        name=header.stem,
        signal=signal,
        fs=float(record.fs),
        leads=tuple(record.sig_name),
        annotations=annotation
        and Annotations(
            sample=np.asarray(annotation.sample, np.int64),
            symbol=np.asarray(annotation.symbol, "<U4"),
        ),
    )


class _readable:
    """Turns whatever wfdb raises on a bad file into one line that names it."""

    def __init__(self, header: Path):
        self.header = header

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, Exception):
            reason = " ".join(str(error).split()) or kind.__name__
            raise InputError(
                f"record {self.header.stem}: cannot read {self.header} and its files ({reason}); "
                "they are damaged or truncated: copy them again"
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
