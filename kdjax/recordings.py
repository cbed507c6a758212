"""A recording: signals in millivolts with their lead names, and the readers that make one.

`Recording` is a whole record in memory, as data sets are prepared from it. `Source` is a recording
of any format and length, read block by block.
"""

import csv
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from kdjax.errors import InputError

MILLIVOLTS = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "nv": 1e-6}
LOWEST_FS, HIGHEST_FS = 50.0, 20_000.0  # Hz
MOST_LEADS = 256
MOST_SAMPLES = 2**32  # 138 days at 360 Hz
BLOCK_SECONDS = 300
BLOCK_VALUES = 4_000_000  # of all signals in the file; 32 MB as float64
HEADER_BYTES = 1 << 20
LINE_BYTES = 1 << 20
WFDB_HEADER_LINES = 20_000  # wfdb takes 0.2 ms a line


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
        name = _words(self.name)
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
            for start, stop in _spans(len(block), int(2 * BLOCK_SECONDS * self.fs)):
                with np.errstate(over="ignore", invalid="ignore"):
                    signal = block[start:stop].astype(np.float32)
                signal[~np.isfinite(signal)] = np.nan
                yield signal
        if done != self.length:
            raise InputError(
                f"recording {_words(self.name)} had {self.length} samples when it was opened and "
                f"{done} when it was read; keep the file as it is meanwhile"
            )


def open_source(path: str | Path, fs: float | None = None, units: str | None = None) -> Source:
    """Opens a recording of any format; its suffix says which, in either case of letters.

    WFDB (.hea, which may be left out; of one segment or of several), EDF, EDF+C, BDF (.edf, .bdf),
    CSV (.csv, .txt) and NumPy arrays (.npy). `fs` in Hz and `units` (V, mV, uV or nV) are needed
    where the file does not state them, that is for CSV and NPY; where it does they must agree.

    Leads are the signals in volts. WFDB and EDF files may hold signals of several rates: the rate
    at which most signals named like an ECG lead are sampled counts, others are left out.

    CSV: fields parted by semicolons, tabs, commas or spaces, a header line of lead names or none,
    decimal commas where semicolons or tabs part the fields; '', '-', 'nan' and 'NA' are NaN.
    Columns whose name says time, sample or index are left out.

    NPY: [T] or [T, leads] of real numbers, at most 64 leads; an array of at most 16 rows and more
    than 100 times as many columns is taken as [leads, T].

    InputError, one line, when the file is missing, damaged, not what its suffix says, when it
    states another fs or unit, or when it is shorter than its header says.
    """
    file = _find(Path(path))
    if fs is not None and not LOWEST_FS <= fs <= HIGHEST_FS:
        raise InputError(
            f"fs is {fs:g} Hz; give the recording's sampling rate, "
            f"{LOWEST_FS:g} to {HIGHEST_FS:g} Hz"
        )
    if units is not None and _in_millivolts(units) is None:
        raise InputError(f"units is {_words(units)!r}; give mV, uV or V")
    match file.suffix.lower():
        case ".hea":
            return _open_wfdb(file, fs, units)
        case ".edf" | ".bdf":
            return _open_edf(file, fs, units)
    missing = [name for name, value in (("fs", fs), ("units", units)) if value is None]
    if fs is None or units is None:
        raise _refusal(
            file,
            f"this format does not state {' and '.join(missing)}; give them, as in "
            "--fs 360 --units mV",
        )
    read = _open_npy if file.suffix.lower() == ".npy" else _open_csv
    return read(file, fs, MILLIVOLTS[_unit(units)])


def find_sources(folder: str | Path) -> list[Path]:
    """The recordings directly in `folder`, sorted.

    A WFDB record is named by its header, a record of several segments by its first header alone.
    Text files (.txt) are left out: they are seldom recordings; hidden files and annotations too.
    """
    folder = Path(folder)
    with _reading(folder.name, folder):
        if not folder.is_dir():
            raise _refusal(folder, "is no folder; name one that holds recordings")
        files = [
            file
            for file in sorted(folder.iterdir())
            if file.suffix.lower() in {".hea", ".edf", ".bdf", ".csv", ".npy"}
            and not file.name.startswith(".")
            and not file.name.endswith(".annotations.csv")
            and file.is_file()
        ]
        segments = {name for file in files if file.suffix == ".hea" for name in _segments(file)}
    return [file for file in files if file.suffix != ".hea" or file.stem not in segments]


def read_wfdb(path: str | Path) -> Recording:
    """The WFDB record whose header is `path` (the suffix .hea may be left out), all leads.

    Annotations come from the .atr file beside it, where there is one. InputError when a file is
    missing, damaged or shorter than the header says, when a signal is no voltage, or when a lead
    holds invalid samples.
    """
    wfdb = _wfdb()
    header = Path(path)
    if header.suffix != ".hea":
        header = header.with_name(header.name + ".hea")
    name, stem = header.stem, str(header.with_suffix(""))
    if not header.is_file():
        raise InputError(f"record {name}: {header} is missing; name a WFDB header (.hea)")
    with _reading(name, header):
        record: Any = wfdb.rdrecord(stem)
    annotations = read_annotations(header)
    signal = _millivolts(record.p_signal, record.units, header)
    for lead, column in zip(record.sig_name, signal.T, strict=True):
        invalid = np.flatnonzero(~np.isfinite(column))
        if len(invalid):
            raise InputError(
                f"record {name}: lead {lead} has invalid samples ({len(invalid)}, the first is "
                f"sample {invalid[0]}); cut them out or repair the file"
            )
    return Recording(name, signal, float(record.fs), tuple(record.sig_name), annotations)


def read_annotations(header: str | Path, fs: float | None = None) -> Annotations | None:
    """What the .atr file beside a WFDB header says, None without one; InputError when damaged.

    Samples are those of signals at `fs` Hz (None: at the rate that the annotator counted in).
    """
    annotator = Path(header).with_suffix(".atr")
    if not annotator.is_file():
        return None
    wfdb = _wfdb()
    with _reading(annotator.stem, annotator):
        read = wfdb.rdann(str(annotator.with_suffix("")), "atr")
        sample = np.asarray(read.sample, np.int64)
        if fs is not None and read.fs is not None and read.fs != fs:
            sample = np.rint(sample * (fs / read.fs)).astype(np.int64)
        return Annotations(sample, np.asarray(read.symbol, "<U4"))


@contextmanager
def _reading(record: str, file: Path):
    """Turns whatever a library raises on a bad file into one line that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # libraries warn of what they then get right or raise
            yield
    except InputError:
        raise
    except Exception as error:
        reason = _words(error)[:200] or type(error).__name__
        raise InputError(
            f"record {_words(record)}: cannot read {_words(file)} ({reason}); it or a file that it "
            "names is missing, truncated or damaged: copy the record again"
        ) from error


def _refusal(file: Path, reason: str) -> InputError:
    return InputError(f"{_words(file)}: {_words(reason)}")


def _words(text: object) -> str:
    """`text` on one line that a terminal may show."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def _unit(text: str) -> str:
    """A unit's spelling in MILLIVOLTS: lower case, u for both signs of micro."""
    return re.sub("[\N{MICRO SIGN}\N{GREEK SMALL LETTER MU}]", "u", text.strip()).lower()


def _in_millivolts(unit: str) -> float | None:
    """How many mV the unit is; None where it is no voltage."""
    return MILLIVOLTS.get(_unit(unit))


def _millivolts(signal: np.ndarray, units: list[str], header: Path) -> np.ndarray:
    """`signal` [T, leads] in the header's units as float32 mV."""
    per_unit = [_in_millivolts(unit) for unit in units]
    if None in per_unit:
        raise InputError(
            f"record {header.stem}: unit {units[per_unit.index(None)]!r} in {header} is not a "
            "voltage; leave that signal out of the record"
        )
    return (signal * np.array(per_unit, np.float64)).astype(np.float32)


def _find(path: Path) -> Path:
    """The regular file that `path` names, its suffix .hea put in where it was left out."""
    known = {".hea", ".edf", ".bdf", ".csv", ".txt", ".npy"}
    with _reading(path.name, path):
        if path.name and path.suffix.lower() not in known:
            header = path.with_name(path.name + ".hea")
            if header.is_file():
                return header
        if path.is_dir():
            raise _refusal(path, "is a folder; name a recording in it")
        if not path.is_file():
            raise _refusal(path, "is missing or no regular file; check the name")
        if path.suffix.lower() not in known:
            raise _refusal(
                path,
                f"no recording has the suffix {path.suffix!r}; name a WFDB header (.hea), "
                "an EDF (.edf, .bdf), CSV (.csv, .txt) or NumPy file (.npy)",
            )
    return path


def _lead_names(labels: Sequence[str | None]) -> tuple[str, ...]:
    """Names of one line each; 'lead 3' for the third where it has none."""
    return tuple(_words(label or "")[:64] or f"lead {i}" for i, label in enumerate(labels, start=1))


def _block_length(rate: float, width: int) -> int:
    """Frames of `width` values to a block of BLOCK_SECONDS or, if that is less, BLOCK_VALUES."""
    return max(1, min(int(BLOCK_SECONDS * rate), BLOCK_VALUES // width))


def _spans(length: int, step: int) -> Iterator[tuple[int, int]]:
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


def _voltages(
    file: Path,
    labels: Sequence[str | None],
    units: Sequence[str],
    rates: Sequence[float],
    fs: float | None,
    unit: str | None,
) -> _Voltages:
    """Which of a file's signals are leads; InputError where `fs` or `unit` contradicts them."""
    per_unit = [_in_millivolts(text) for text in units]
    volts = [i for i, factor in enumerate(per_unit) if factor is not None]
    if not volts:
        said = ", ".join(sorted(set(units)))[:80] or "none"
        raise _refusal(
            file, f"no signal is a voltage (units: {said}); choose a recording with an ECG"
        )
    named = [i for i in volts if _ECG_NAME.search(labels[i] or "")]
    votes = Counter(rates[i] for i in named or volts)
    rate = max(votes, key=lambda rate: (votes[rate], rate))
    places = [i for i in volts if rates[i] == rate]
    if fs is not None and abs(fs - rate) > 1e-3 * rate:
        raise _refusal(file, f"it says {rate:g} Hz, not {fs:g}; leave fs out")
    other = [units[i] for i in places if unit is not None and _unit(units[i]) != _unit(unit)]
    if other:
        raise _refusal(file, f"it says {other[0]}, not {unit}; leave units out")
    return _Voltages(
        places,
        tuple(np.array(_lead_names(labels), object)[places]),
        np.array([per_unit[i] for i in places], np.float64),
        rate,
    )


# WFDB

_WFDB_PACKING = {  # samples in so many bytes, by format
    "16": (1, 2), "24": (1, 3), "32": (1, 4), "61": (1, 2), "80": (1, 1), "160": (1, 2),
    "212": (2, 3), "310": (3, 4), "311": (3, 4),
}  # fmt: skip
_WFDB_FLAC = {"508", "516", "524"}


def _wfdb() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wfdb 4.3 uses what pandas 3 has deprecated
        import wfdb  # here, because with pandas it takes a second that other formats need not wait
    return wfdb


def _wfdb_header(file: Path) -> Any:
    """What the header says: wfdb's Record or, for several segments, its MultiRecord."""
    with _reading(file.stem, file):
        if "::" in str(file.resolve()):
            # wfdb opens files by fsspec, to which this parts protocols, the network's too
            raise _refusal(file, "wfdb cannot open a path with '::'; rename it")
        if file.stat().st_size > HEADER_BYTES or file.read_bytes().count(b"\n") > WFDB_HEADER_LINES:
            raise _refusal(file, "too long for a WFDB header; check what it is")
        return _wfdb().rdheader(str(file.with_suffix("")))


def _open_wfdb(header: Path, fs: float | None, units: str | None) -> Source:
    record = _wfdb_header(header)
    if isinstance(record, _wfdb().MultiRecord):
        return _open_segments(header, record, fs, units)
    return _open_record(header, record, fs, units)


def _open_record(header: Path, record: Any, fs: float | None, units: str | None) -> Source:
    """A WFDB record of one segment. Its frames hold several samples of a signal that is faster."""
    wfdb, stem = _wfdb(), str(header.with_suffix(""))
    with _reading(header.stem, header):
        lines = len(record.file_name or ())
        if not 1 <= lines == record.n_sig <= MOST_LEADS:
            raise _refusal(
                header,
                f"it says {record.n_sig} signals and describes {lines}; "
                f"1 to {MOST_LEADS} can be read",
            )
        per_frame = record.samps_per_frame
        rates = [float(record.fs * samples) for samples in per_frame]
        found = _voltages(header, record.sig_name, record.units, rates, fs, units)
        _check_signal_files(header, record, found.places)
        frames, step = record.sig_len, _block_length(record.fs, sum(per_frame))

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        channels = [found.places[column] for column in columns]
        for start, stop in _spans(frames, step):
            with _reading(header.stem, header):
                block: Any = wfdb.rdrecord(stem, start, stop, channels, smooth_frames=False)
                signal = np.stack(block.e_p_signal, axis=1) * found.per_unit[columns]
            yield signal

    length = frames * per_frame[found.places[0]]
    return Source(header.stem, found.fs, found.leads, length, read)


def _check_signal_files(header: Path, record: Any, places: list[int]) -> None:
    """Refuses what would fail half-way or take the memory of a header's false figures."""
    if record.sig_len is None:
        raise _refusal(header, "it does not say how many samples there are; add their number")
    if any(not 1 <= samples <= BLOCK_VALUES for samples in record.samps_per_frame):
        raise _refusal(header, "a signal needs at least one sample a frame; repair the header")
    if max(skew or 0 for skew in record.skew) > 10 * record.fs:
        raise _refusal(header, "a signal is skewed by more than 10 seconds; repair the header")
    for name in {record.file_name[i] for i in places}:
        file = header.parent / name
        if not file.is_file():
            raise _refusal(header, f"its signal file {name} is missing; copy the record again")
        rows = [i for i, other in enumerate(record.file_name) if other == name]
        format_, offset = record.fmt[rows[0]], record.byte_offset[rows[0]] or 0
        if format_ in _WFDB_FLAC:
            continue  # what it holds is known when it is read
        if format_ not in _WFDB_PACKING:
            # 8 holds differences: no block can be read without those before it
            raise _refusal(header, f"format {format_} cannot be read; convert it to 16 by xform")
        samples, size = _WFDB_PACKING[format_]
        frame = sum(record.samps_per_frame[i] for i in rows)
        stored = (file.stat().st_size - offset) * samples // size // frame
        if stored < record.sig_len:
            raise _refusal(
                header,
                f"it says {record.sig_len} samples, but {name} holds {max(0, stored)}; it "
                "is truncated or damaged: copy the record again",
            )


def _open_segments(header: Path, record: Any, fs: float | None, units: str | None) -> Source:
    """A WFDB record of several segments: one after the other, NaN where a lead has none."""
    parts: list[tuple[Source | None, int]] = []
    with _reading(header.stem, header):
        if record.n_seg != len(record.seg_name):
            raise _refusal(
                header,
                f"it says {record.n_seg} segments and names {len(record.seg_name)}; repair it",
            )
        for name, frames in zip(record.seg_name, record.seg_len, strict=True):
            if frames == 0:
                continue  # the layout of a record whose segments differ
            source = None
            if name != "~":
                file = _find(header.with_name(f"{name}.hea"))
                segment = _wfdb_header(file)
                if isinstance(segment, _wfdb().MultiRecord):
                    raise _refusal(header, f"its segment {name} has segments; repair the header")
                if any(_in_millivolts(unit) for unit in segment.units or ()):
                    source = _open_record(file, segment, fs, units)
            parts.append((source, frames))
        sources = [source for source, _ in parts if source is not None]
        if not sources:
            raise _refusal(header, "no segment holds a voltage; choose a recording with an ECG")
        rate = sources[0].fs
        per_frame = round(rate / record.fs)
        total = sum(frames for _, frames in parts)
        if (
            any(source.fs != rate for source in sources)
            or abs(rate - per_frame * record.fs) > 1e-3 * rate
            or any(source and source.length != frames * per_frame for source, frames in parts)
            or record.sig_len not in (None, total)
        ):
            raise _refusal(
                header, "rate or length of its segments is not what it says; repair the header"
            )
    leads = tuple(dict.fromkeys(lead for source in sources for lead in source.leads))

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        step = _block_length(rate, len(columns))
        for source, frames in parts:
            there = source.leads if source else ()
            held = [i for i, column in enumerate(columns) if leads[column] in there]
            if source and held:
                for block in source.blocks([there.index(leads[columns[i]]) for i in held]):
                    signal = np.full((len(block), len(columns)), np.nan, np.float32)
                    signal[:, held] = block
                    yield signal
            else:
                for start, stop in _spans(frames * per_frame, step):
                    yield np.full((stop - start, len(columns)), np.nan, np.float32)

    return Source(header.stem, rate, leads, total * per_frame, read)


def _segments(header: Path) -> list[str]:
    """The segments that a WFDB header names, none where it is a record of its own."""
    with header.open("rb") as opened:
        text = opened.read(HEADER_BYTES).decode("ascii", "ignore")
    lines = [line.split() for line in text.splitlines() if line.strip() and line[:1] != "#"]
    if not lines or "/" not in lines[0][0]:
        return []
    return [line[0] for line in lines[1:]]


# EDF and BDF: https://www.edfplus.info/specs/edf.html, https://www.biosemi.com/faq/file_format.htm


def _open_edf(file: Path, fs: float | None, units: str | None) -> Source:
    """An EDF or BDF file, which its first byte tells apart.

    edfio reads whole files: it is given the header with a few records at a time.
    """
    try:
        import edfio
    except ImportError as error:
        raise _refusal(file, "EDF needs one more package: pip install 'kdjax[edf]'") from error
    with _reading(file.stem, file):
        with file.open("rb") as opened:
            header = opened.read(256)
            if header[:8] not in (b"0       ", b"\xffBIOSEMI"):
                raise _refusal(file, "is neither EDF nor BDF; check what it is")
            n = int(header[252:256])
            header += opened.read(256 * max(0, n))
        if n < 1 or len(header) != 256 * (n + 1) or int(header[184:192]) != len(header):
            raise _refusal(file, "its header is truncated or damaged; copy it again")
        if not 0 < float(header[244:252]) < np.inf:
            raise _refusal(file, "its data records last no time; choose a file with signals")
        if header[192:197] in (b"EDF+D", b"BDF+D"):
            raise _refusal(file, "is an interrupted recording (EDF+D); convert it to EDF+C")
        at = 256 + 216 * n
        per_record = [int(header[at + 8 * i : at + 8 * i + 8]) for i in range(n)]
        if min(per_record) < 1 or sum(per_record) > 10 * BLOCK_VALUES:
            raise _refusal(file, f"{sum(per_record)} samples a data record cannot be read")
        bdf = header[0] == 0xFF
        parse: Any = edfio.read_bdf if bdf else edfio.read_edf
        edf = parse(header, header_encoding="latin-1")
        signals = edf.signals  # without annotations
        found = _voltages(
            file,
            [signal.label for signal in signals],
            [signal.physical_dimension or units or "" for signal in signals],
            [float(signal.sampling_frequency) for signal in signals],
            fs,
            units,
        )
        for signal in (signals[i] for i in found.places):
            physical, digital = signal.physical_range, signal.digital_range
            if not np.ptp(physical) > 0 or not np.isfinite(physical).all() or not np.ptp(digital):
                raise _refusal(file, f"{signal.label} has no range of values; repair the header")
        size = sum(per_record) * (3 if bdf else 2)
        stated = int(header[236:244])
        held = (file.stat().st_size - len(header)) // size
        if stated > held or stated < -1:
            raise _refusal(
                file,
                f"its header says {stated} data records, it holds {held}; it is truncated or "
                "damaged: copy it again",
            )
        records = held if stated == -1 else stated  # -1: the recorder was not stopped
        step = _block_length(1 / edf.data_record_duration, sum(per_record))

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        places = [found.places[column] for column in columns]
        for start, stop in _spans(records, step):
            with _reading(file.stem, file):
                with file.open("rb") as opened:
                    opened.seek(len(header) + start * size)
                    data = opened.read((stop - start) * size)
                part = header[:236] + b"%-8d" % (stop - start) + header[244:] + data
                signals = parse(part, header_encoding="latin-1").signals
                signal = np.stack([signals[i].data for i in places], axis=1)
                signal *= found.per_unit[columns]
            yield signal

    length = records * signals[found.places[0]].samples_per_data_record
    return Source(file.stem, found.fs, found.leads, length, read)


# NumPy


def _open_npy(file: Path, fs: float, per_unit: float) -> Source:
    def load() -> np.ndarray:
        """[T, leads], mapped anew for each block so that what was read does not stay in memory."""
        array = np.load(file, mmap_mode="r", allow_pickle=False)
        if array.ndim == 1:
            return array[:, None]
        across = array.ndim == 2 and array.shape[0] <= 16 and array.shape[1] > 100 * array.shape[0]
        return array.T if across else array

    with _reading(file.stem, file):
        with file.open("rb") as opened:
            if opened.read(6) != b"\x93NUMPY":
                raise _refusal(file, "is no NumPy array; write it by numpy.save")
        array = load()
        if array.dtype.kind not in "iuf":
            raise _refusal(file, f"holds {array.dtype}, not real numbers; write it as float32")
        if array.ndim != 2 or array.shape[1] > 64 or len(array) <= array.shape[1]:
            raise _refusal(
                file, f"an array of shape {array.shape} is no recording; write it as [T, leads]"
            )
        length, n = array.shape
        del array

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        for start, stop in _spans(length, _block_length(fs, n)):
            with _reading(file.stem, file), np.errstate(all="ignore"):
                signal = load()[start:stop, columns] * np.float64(per_unit)
            yield signal

    return Source(file.stem, fs, _lead_names([None] * n), length, read)


# CSV

_NO_NUMBER = ("", "-", "nan", "NaN", "NAN", "NA", "N/A", "null")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?inf(inity)?", re.IGNORECASE)
_SECONDS = {"seconds", "second", "sec", "secs", "s", "time s", "time sec", "time seconds"}
_CLOCK = {"time", "t", "timestamp", "elapsed time"}  # of a unit that it does not say
_COUNTER = {
    "sample", "samples", "sample number", "sample index", "index", "idx", "frame", "no", "nr",
    "number", "unnamed: 0", "ms", "milliseconds", "time ms", "us", "time us", "date", "datetime",
    "date time", "date/time", "hh:mm:ss", "hh:mm:ss.mmm",
}  # fmt: skip


class _Table(NamedTuple):
    """How a CSV is laid out.

    Its first row of numbers begins at byte `start`, in line `line` (from 1); `places` are the
    columns of `leads`.
    """

    start: int
    line: int
    delimiter: str
    decimal: str
    fields: int
    places: list[int]
    leads: tuple[str, ...]


def _open_csv(file: Path, fs: float, per_unit: float) -> Source:
    with _reading(file.stem, file), file.open("rb") as opened:
        table = _layout(file, opened.read(LINE_BYTES), fs)
        end = _text_end(opened)
        length = _count_lines(opened, table.start, end)
    size = (end - table.start) * _block_length(fs, table.fields) // max(1, length)
    size = min(max(size, LINE_BYTES), 8 * LINE_BYTES)

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        places = [table.places[column] for column in columns]
        at, line = table.start, table.line
        while at < end:
            with _reading(file.stem, file):
                with file.open("rb") as opened:
                    opened.seek(at)
                    text = opened.read(min(size, end - at))
                at += len(text)
                if at < end:
                    whole = text.rfind(b"\n") + 1
                    if not whole:
                        raise _refusal(file, f"line {line} is too long; check what the file is")
                    at -= len(text) - whole
                    text = text[:whole]
                rows = _parse(file, table, text, line, places) * per_unit
                line += len(rows)
            yield rows

    return Source(file.stem, fs, table.leads, length, read)


def _layout(file: Path, head: bytes, fs: float) -> _Table:
    """The layout that the file's first bytes show; InputError where they are no table."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head:
        raise _refusal(file, "is no text in UTF-8; save it as CSV in UTF-8")
    mark = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    if len(head) == LINE_BYTES:
        head = head[: head.rfind(b"\n") + 1]  # the last line may be cut
        if not head:
            raise _refusal(file, "line 1 is too long; check what the file is")
    try:
        text = head[mark:].decode()
    except UnicodeDecodeError:
        text = head[mark:].decode("latin-1")
    first, *others = [line.rstrip("\r") for line in text.rstrip("\r\n").split("\n", 1000)[:1000]]
    sample = others[0] if others else first
    delimiter = next((sign for sign in ";\t," if sign in sample), None)
    if delimiter is None:
        delimiter = " " if " " in sample.strip() else ","
    decimal = "," if delimiter in ";\t" and any("," in line for line in others) else "."
    names = _split(first, delimiter)
    headed = not all(_is_number(name, decimal) for name in names)
    fields = len(_split(sample, delimiter))
    if headed:
        names = _split(first.lstrip("#"), delimiter)
    if len(names) != fields or fields > MOST_LEADS:
        raise _refusal(
            file,
            f"line 1 has {len(names)} fields and line 2 has {fields}; a line of names and "
            f"rows of as many numbers are needed, {MOST_LEADS} at most",
        )
    words = [_plain(name) for name in names]
    clocks = [i for i, word in enumerate(words) if headed and word in _SECONDS | _CLOCK]
    counters = [i for i, word in enumerate(words) if headed and word in _COUNTER]
    if headed and words[0] == "" and fields > 1:
        counters.append(0)  # an index as pandas writes it
    for i in clocks:
        cells = [_split(line, delimiter)[i : i + 1] for line in others]
        _check_clock(file, [cell[0] for cell in cells if cell], words[i], decimal, fs)
    places = [i for i in range(fields) if i not in clocks + counters]
    if not places:
        raise _refusal(file, "has no column of a lead; name one in the header line")
    start = mark + (head[mark:].find(b"\n") + 1 or len(head) - mark) if headed else mark
    return _Table(
        start,
        2 if headed else 1,
        delimiter,
        decimal,
        fields,
        places,
        _lead_names([names[i] if headed else None for i in places]),
    )


def _split(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    row = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    return [field.strip().strip("'") for field in row] or [""]


def _plain(name: str) -> str:
    """A column's name in lower case, with blanks for what parts its words."""
    return " ".join(re.sub(r"[\s_#()\[\]]+", " ", name.lower()).split())


def _is_number(field: str, decimal: str) -> bool:
    field = field.strip()
    point = field.translate({ord(decimal): ".", ord("."): ","} if decimal == "," else {})
    return field in _NO_NUMBER or bool(_NUMBER.fullmatch(point))


def _check_clock(file: Path, cells: list[str], name: str, decimal: str, fs: float) -> None:
    """Refuses an `fs` that the times of the first rows contradict; clocks like 00:01 say nothing.

    A column that only says 'time' may count seconds, their thousandths, millionths or samples.
    """
    if len(cells) < 100 or not all(_is_number(c, decimal) and c not in _NO_NUMBER for c in cells):
        return  # the rounding of so few times is too coarse
    times = [float(cell.replace(decimal, ".")) for cell in (cells[0], cells[-1])]
    step = (times[1] - times[0]) / (len(cells) - 1)
    steps = [1 / fs] if name in _SECONDS else [1 / fs, 1e3 / fs, 1e6 / fs, 1.0]
    if not any(abs(step - other) <= 0.02 * other for other in steps):
        raise _refusal(
            file,
            f"its column {name!r} advances by {step:g} a row, which is not {fs:g} Hz; check fs",
        )


def _text_end(opened: Any) -> int:
    """Where the last line ends that is not blank."""
    end = opened.seek(0, 2)
    while end:
        start = max(0, end - (1 << 16))
        opened.seek(start)
        kept = opened.read(end - start).rstrip(b" \r\n")
        if kept:
            return start + len(kept)
        end = start
    return 0


def _count_lines(opened: Any, start: int, end: int) -> int:
    """The lines between two bytes, the last of which ends no line."""
    opened.seek(start)
    lines = 1 if end > start else 0
    for first, last in _spans(max(0, end - start), 1 << 22):
        lines += opened.read(last - first).count(b"\n")
    return lines


def _parse(file: Path, table: _Table, text: bytes, line: int, places: list[int]) -> np.ndarray:
    """float64 [rows, places] of whole lines, the first of which is the file's `line`-th."""
    import pandas as pd

    if not text.endswith(b"\n"):
        text += b"\n"
    if table.delimiter == " ":
        while b"  " in text:
            text = text.replace(b"  ", b" ")
        text = (
            text.replace(b"\n ", b"\n").replace(b" \n", b"\n").replace(b" \r", b"\r").lstrip(b" ")
        )
    raw = np.frombuffer(text, np.uint8)
    feed, sign = ord("\n"), ord(table.delimiter)
    stops = raw[(raw == feed) | (raw == sign)]  # what ends each field
    try:
        if len(stops) % table.fields:
            raise ValueError("ragged")
        ends = stops.reshape(-1, table.fields) == feed
        if not ends[:, -1].all() or ends[:, :-1].any():
            raise ValueError("ragged")
        frame = pd.read_csv(
            BytesIO(text),
            sep=table.delimiter,
            decimal=table.decimal,
            header=None,
            names=list(range(table.fields)),
            usecols=places,
            dtype=np.float64,
            na_values=list(_NO_NUMBER),
            keep_default_na=False,
            skip_blank_lines=False,
            skipinitialspace=True,
            engine="c",
        )
        if len(frame) != len(ends):
            raise ValueError("quotes or line ends")
    except ValueError as error:  # pandas' parser error is one
        raise _refusal(file, _first_bad_line(table, text, line, places)) from error
    return frame[places].to_numpy()


def _first_bad_line(table: _Table, text: bytes, line: int, places: list[int]) -> str:
    """What is wrong with the first line that is no row of numbers."""
    for number, row in enumerate(text.decode("latin-1").split("\n")[:-1], start=line):
        fields = _split(row.rstrip("\r"), table.delimiter)
        if len(fields) != table.fields:
            return f"line {number} has {len(fields)} fields, not {table.fields}; repair it"
        for field in (fields[place] for place in places):
            if not _is_number(field, table.decimal):
                return f"line {number}: {_words(field)[:40]!r} is no number; repair it"
    return f"after line {line}: quotes or line ends that cannot be read; save the file anew"
