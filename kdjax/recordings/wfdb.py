"""WFDB records and their annotations."""

import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np

from kdjax.errors import InputError
from kdjax.recordings.source import (
    BLOCK_VALUES,
    HEADER_BYTES,
    MOST_LEADS,
    Annotations,
    Recording,
    Source,
    block_length,
    find,
    in_millivolts,
    reading,
    refusal,
    spans,
    voltages,
)

WFDB_HEADER_LINES = 20_000  # wfdb takes 0.2 ms a line


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
    with reading(name, header):
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


def read_annotations(
    header: str | Path, fs: float | None = None, annotator: str = "atr"
) -> Annotations | None:
    """What an annotator's file beside a WFDB header says, None without one.

    Samples are those of signals at `fs` Hz (None: at the rate that the annotator counted in).
    InputError when the file is damaged.
    """
    file = Path(header).with_suffix(f".{annotator}")
    return read_annotation_file(file, fs) if file.is_file() else None


def frame_rate(header: Path) -> float:
    """The rate in Hz that a WFDB header states, at which annotations count; else InputError."""
    return float(_wfdb_header(header).fs)


def read_annotation_file(file: Path, fs: float | None = None) -> Annotations:
    """A WFDB annotation file; see `read_annotations`. Without a rate of its own it counts at fs."""
    wfdb = _wfdb()
    with reading(file.stem, file), _readable(file) as stem:
        read = wfdb.rdann(stem, file.suffix[1:])
        sample = np.asarray(read.sample, np.int64)
        if fs is not None and read.fs is not None and read.fs != fs:
            sample = np.rint(sample * (fs / read.fs)).astype(np.int64)
        notes = [note.rstrip("\0") for note in read.aux_note]
        return Annotations(
            sample,
            np.asarray(read.symbol, "<U4"),
            np.asarray(read.subtype, np.int64),
            np.asarray(notes, str) if notes else np.zeros(0, "<U1"),
        )


# rdann never returns from a note that begins with ## and is neither the first time resolution nor
# part of a whole definition of annotation types (wfdb 4.3.1).
_UNDERSTOOD = re.compile(
    rb"## time resolution: \d"
    rb"|\x1e\xfc## annotation type definitions.*?\x15\xfc## end of definitions",
    re.DOTALL,
)


@contextmanager
def _readable(file: Path) -> Iterator[str]:
    """A path for rdann, without its suffix: the file itself, or a copy without such notes."""
    data = file.read_bytes()
    plain, end, known = b"", 0, set()
    for match in _UNDERSTOOD.finditer(data):
        if match[0][:8] not in known:
            known.add(match[0][:8])
            plain += data[end : match.start()].replace(b"## ", b"#  ") + match[0]
            end = match.end()
    plain += data[end:].replace(b"## ", b"#  ")
    if plain == data and "::" not in str(file):  # which would be an address to fsspec
        yield str(file.with_suffix(""))
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder) / f"record{file.suffix}"
        copy.write_bytes(plain)
        if file.with_suffix(".hea").is_file():  # it may state the rate
            shutil.copyfile(file.with_suffix(".hea"), copy.with_suffix(".hea"))
        yield str(copy.with_suffix(""))


def _millivolts(signal: np.ndarray, units: list[str], header: Path) -> np.ndarray:
    """`signal` [T, leads] in the header's units as float32 mV."""
    per_unit = [in_millivolts(unit) for unit in units]
    if None in per_unit:
        raise InputError(
            f"record {header.stem}: unit {units[per_unit.index(None)]!r} in {header} is not a "
            "voltage; leave that signal out of the record"
        )
    return (signal * np.array(per_unit, np.float64)).astype(np.float32)


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
    with reading(file.stem, file):
        if "::" in str(file.resolve()):
            # wfdb opens files by fsspec, to which this parts protocols, the network's too
            raise refusal(file, "wfdb cannot open a path with '::'; rename it")
        if file.stat().st_size > HEADER_BYTES or file.read_bytes().count(b"\n") > WFDB_HEADER_LINES:
            raise refusal(file, "too long for a WFDB header; check what it is")
        return _wfdb().rdheader(str(file.with_suffix("")))


def open_wfdb(header: Path, fs: float | None, units: str | None) -> Source:
    record = _wfdb_header(header)
    if isinstance(record, _wfdb().MultiRecord):
        return _open_segments(header, record, fs, units)
    return _open_record(header, record, fs, units)


def _open_record(header: Path, record: Any, fs: float | None, units: str | None) -> Source:
    """A WFDB record of one segment. Its frames hold several samples of a signal that is faster."""
    wfdb, stem = _wfdb(), str(header.with_suffix(""))
    with reading(header.stem, header):
        lines = len(record.file_name or ())
        if not 1 <= lines == record.n_sig <= MOST_LEADS:
            raise refusal(
                header,
                f"it says {record.n_sig} signals and describes {lines}; "
                f"1 to {MOST_LEADS} can be read",
            )
        per_frame = record.samps_per_frame
        rates = [float(record.fs * samples) for samples in per_frame]
        found = voltages(header, record.sig_name, record.units, rates, fs, units)
        _check_signal_files(header, record, found.places)
        frames, step = record.sig_len, block_length(record.fs, sum(per_frame))

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        channels = [found.places[column] for column in columns]
        for start, stop in spans(frames, step):
            with reading(header.stem, header):
                block: Any = wfdb.rdrecord(stem, start, stop, channels, smooth_frames=False)
                signal = np.stack(block.e_p_signal, axis=1) * found.per_unit[columns]
            yield signal

    length = frames * per_frame[found.places[0]]
    return Source(header.stem, found.fs, found.leads, length, read)


def _check_signal_files(header: Path, record: Any, places: list[int]) -> None:
    """Refuses what would fail half-way or take the memory of a header's false figures."""
    if record.sig_len is None:
        raise refusal(header, "it does not say how many samples there are; add their number")
    if any(not 1 <= samples <= BLOCK_VALUES for samples in record.samps_per_frame):
        raise refusal(header, "a signal needs at least one sample a frame; repair the header")
    if max(skew or 0 for skew in record.skew) > 10 * record.fs:
        raise refusal(header, "a signal is skewed by more than 10 seconds; repair the header")
    for name in {record.file_name[i] for i in places}:
        file = header.parent / name
        if not file.is_file():
            raise refusal(header, f"its signal file {name} is missing; copy the record again")
        rows = [i for i, other in enumerate(record.file_name) if other == name]
        format_, offset = record.fmt[rows[0]], record.byte_offset[rows[0]] or 0
        if format_ in _WFDB_FLAC:
            continue  # what it holds is known when it is read
        if format_ not in _WFDB_PACKING:
            # 8 holds differences: no block can be read without those before it
            raise refusal(header, f"format {format_} cannot be read; convert it to 16 by xform")
        samples, size = _WFDB_PACKING[format_]
        frame = sum(record.samps_per_frame[i] for i in rows)
        stored = (file.stat().st_size - offset) * samples // size // frame
        if stored < record.sig_len:
            raise refusal(
                header,
                f"it says {record.sig_len} samples, but {name} holds {max(0, stored)}; it "
                "is truncated or damaged: copy the record again",
            )


def _open_segments(header: Path, record: Any, fs: float | None, units: str | None) -> Source:
    """A WFDB record of several segments: one after the other, NaN where a lead has none."""
    parts: list[tuple[Source | None, int]] = []
    with reading(header.stem, header):
        if record.n_seg != len(record.seg_name):
            raise refusal(
                header,
                f"it says {record.n_seg} segments and names {len(record.seg_name)}; repair it",
            )
        for name, frames in zip(record.seg_name, record.seg_len, strict=True):
            if frames == 0:
                continue  # the layout of a record whose segments differ
            source = None
            if name != "~":
                file = find(header.with_name(f"{name}.hea"))
                segment = _wfdb_header(file)
                if isinstance(segment, _wfdb().MultiRecord):
                    raise refusal(header, f"its segment {name} has segments; repair the header")
                if any(in_millivolts(unit) for unit in segment.units or ()):
                    source = _open_record(file, segment, fs, units)
            parts.append((source, frames))
        sources = [source for source, _ in parts if source is not None]
        if not sources:
            raise refusal(header, "no segment holds a voltage; choose a recording with an ECG")
        rate = sources[0].fs
        per_frame = round(rate / record.fs)
        total = sum(frames for _, frames in parts)
        if (
            any(source.fs != rate for source in sources)
            or abs(rate - per_frame * record.fs) > 1e-3 * rate
            or any(source and source.length != frames * per_frame for source, frames in parts)
            or record.sig_len not in (None, total)
        ):
            raise refusal(
                header, "rate or length of its segments is not what it says; repair the header"
            )
    leads = tuple(dict.fromkeys(lead for source in sources for lead in source.leads))

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        step = block_length(rate, len(columns))
        for source, frames in parts:
            there = source.leads if source else ()
            held = [i for i, column in enumerate(columns) if leads[column] in there]
            if source and held:
                for block in source.blocks([there.index(leads[columns[i]]) for i in held]):
                    signal = np.full((len(block), len(columns)), np.nan, np.float32)
                    signal[:, held] = block
                    yield signal
            else:
                for start, stop in spans(frames * per_frame, step):
                    yield np.full((stop - start, len(columns)), np.nan, np.float32)

    return Source(header.stem, rate, leads, total * per_frame, read)


def segments(header: Path) -> list[str]:
    """The segments that a WFDB header names, none where it is a record of its own."""
    with header.open("rb") as opened:
        text = opened.read(HEADER_BYTES).decode("ascii", "ignore")
    lines = [line.split() for line in text.splitlines() if line.strip() and line[:1] != "#"]
    if not lines or "/" not in lines[0][0]:
        return []
    return [line[0] for line in lines[1:]]
