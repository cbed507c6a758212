"""WFDB records, of one segment or of several."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kdjax.errors import InputError
from kdjax.recordings import wfdbsignals
from kdjax.recordings.annotations import read_annotations
from kdjax.recordings.formats import find
from kdjax.recordings.source import (
    BLOCK_VALUES,
    MOST_LEADS,
    Given,
    Recording,
    Source,
    beside,
    block_length,
    check_missing,
    missing_blocks,
    name_of,
    reading,
    refusal,
    spans,
    voltages,
)
from kdjax.recordings.units import in_millivolts, is_known, is_raw
from kdjax.recordings.wfdbheader import Header, header_lines, read_header, wfdb

_FLAC = {"508", "516", "524"}


def read_wfdb(path: str | Path) -> Recording:
    """Reads all leads of the WFDB record whose header is `path`, with or without .hea.

    Annotations come from the .atr file beside it, if there is one; they count samples at the rate
    of the leads. Signals that `open_source` leaves out are left out here too. Stricter than
    `open_source`: InputError also if there are fewer samples than the header states, or if a lead
    holds invalid samples.
    """
    header = Path(path)
    if header.suffix.lower() != ".hea":
        name = header.name + ".hea"
        header = beside(header, name) or header.with_name(name)
    if not header.is_file():
        raise InputError(f"record {header.stem}: {header} is missing; name a WFDB header (.hea)")
    stated = read_header(header)
    source = _open(header, stated, Given())
    length, held = stated.record.length or 0, round(source.length * stated.record.fs / source.fs)
    if held < length:
        raise refusal(
            header,
            f"it says {length} samples, but its signal files hold {held}; copy the record again or "
            "repair it",
        )
    signal = np.concatenate(list(source.blocks(range(len(source.leads)))))
    annotations = read_annotations(header, source.fs)
    for lead, column in zip(source.leads, signal.T, strict=True):
        invalid = np.flatnonzero(np.isnan(column))
        if len(invalid):
            raise InputError(
                f"record {source.name}: lead {lead} has invalid samples ({len(invalid)}, the first "
                f"is sample {invalid[0]}); cut them out or repair the file"
            )
    return Recording(
        name=source.name,
        signal=signal,
        fs=source.fs,
        leads=source.leads,
        annotations=annotations,
    )


def frame_rate(header: Path) -> float:
    """The rate in Hz that a WFDB header states, at which annotations count; else InputError."""
    return read_header(header).record.fs


def open_wfdb(file: Path, given: Given) -> Source:
    """A WFDB record by its header."""
    return _open(file, read_header(file), given)


def _open(file: Path, header: Header, given: Given) -> Source:
    if header.record.segments is not None:
        return _open_segments(file, header, given)
    return _open_record(file, header, given)


def _open_record(file: Path, header: Header, given: Given) -> Source:
    """A WFDB record of one segment. Its frames hold several samples of a signal that is faster."""
    with reading(file.stem, file):
        record, signals = header.record, header.record.signals
        if not 1 <= len(signals) == record.stated <= MOST_LEADS:
            raise refusal(
                file,
                f"it says {record.stated} signals and describes {len(signals)}; "
                f"1 to {MOST_LEADS} can be read",
            )
        per_frame = [signal.samples_per_frame for signal in signals]
        found = voltages(
            file,
            [signal.name for signal in signals],
            units=[signal.units for signal in signals],
            rates=[record.fs * samples for samples in per_frame],
            steps=[signal.gain for signal in signals],
            given=given,
        )
        header, frames, remarks = _frames(file, header, found.places)
        step = block_length(record.fs, sum(per_frame))

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        channels = [found.places[column] for column in columns]
        own = all(signal.format in wfdbsignals.PACKING for signal in signals)
        for start, stop in spans(frames, step):
            with reading(file.stem, file):
                frames_of = _unpacked if own else _by_wfdb
                block = frames_of(file, header, channels, start=start, stop=stop)
                values = np.stack(block, axis=1) * found.per_unit[columns]
            yield values

    return Source(
        name=name_of(file),
        fs=found.fs,
        leads=found.leads,
        length=frames * per_frame[found.places[0]],
        read=read,
        start=header.start,
        notes=(*header.notes, *found.notes, *remarks),
    )


def _unpacked(
    file: Path, header: Header, channels: list[int], *, start: int, stop: int
) -> list[np.ndarray]:
    """The frames [start, stop) of signals, each [n] in its unit.

    A skewed signal stands so many frames later in its file; NaN where the record ends before.
    """
    signals, held = header.record.signals, {}
    assert header.record.length is not None
    for name in {signals[channel].file for channel in channels}:
        rows = [row for row, signal in enumerate(signals) if signal.file == name]
        widths = [signals[row].samples_per_frame for row in rows]
        frame, first = sum(widths), signals[rows[0]]
        path = header.files.get(name) or file.with_name(name)
        latest = min(stop + max(signals[row].skew for row in rows), header.record.length)
        values = wfdbsignals.read(
            path,
            first.format,
            offset=first.offset,
            first=start * frame,
            count=(latest - start) * frame,
        ).reshape(-1, frame)
        ends = np.cumsum(widths)
        for row, width, end in zip(rows, widths, ends, strict=True):
            held[row] = _aligned(values[:, end - width : end], signals[row].skew, stop - start)
    return [(held[c] - signals[c].baseline) / signals[c].gain for c in channels]


def _aligned(values: np.ndarray, skew: int, frames: int) -> np.ndarray:
    """A signal's `frames` frames of values [later ones too, width], as [frames * width]."""
    there = values[skew : skew + frames]
    return np.pad(there, ((0, frames - len(there)), (0, 0)), constant_values=np.nan).ravel()


def _by_wfdb(
    file: Path, header: Header, channels: list[int], *, start: int, stop: int
) -> list[np.ndarray]:
    """The same of formats that are not unpacked here."""
    block: Any = wfdb().rdrecord(header.stem, start, stop, channels, smooth_frames=False)
    return block.e_p_signal


def _frames(file: Path, header: Header, places: list[int]) -> tuple[Header, int, list[str]]:
    """How many frames can be read, a header that states it, and what to say.

    Refuses what would fail half-way or take the memory of a header's false figures.
    """
    record, signals = header.record, header.record.signals
    if any(not 1 <= signal.samples_per_frame <= BLOCK_VALUES for signal in signals):
        raise refusal(file, "a signal needs at least one sample a frame; repair the header")
    if max(signal.skew for signal in signals) > 10 * record.fs:
        raise refusal(file, "a signal is skewed by more than 10 seconds; repair the header")
    held, stated = _held(file, header, places), record.length
    if not held:
        if stated is None:
            raise refusal(file, "it does not say how many samples there are; add their number")
        return header, stated, []
    name = min(held, key=lambda name: held[name])
    if not held[name]:
        raise refusal(file, f"its signal file {name} holds no samples; copy the record again")
    if stated is None:
        note = f"its header does not say how many samples there are; {name} holds {held[name]}"
        return header.with_length(held[name]), held[name], [note]
    if held[name] < stated:
        note = f"its header says {stated} samples, but {name} holds {held[name]}; these are read"
        short = header._replace(record=record._replace(length=held[name]))
        return short, held[name], [note]
    packed = [s.format for s in signals if s.format in wfdbsignals.PACKING]
    filling = max(wfdbsignals.PACKING[format_].samples for format_ in packed) - 1  # of last bytes
    if held[name] > stated + filling:
        note = f"its header says {stated} samples, but {name} holds {held[name]}; {stated} are read"
        return header, stated, [note]
    return header, stated, []


def _held(file: Path, header: Header, places: list[int]) -> dict[str, int]:
    """How many frames each file of the signals at `places` holds; compressed ones are left out."""
    signals, held = header.record.signals, {}
    for name in {signals[i].file for i in places}:
        path = header.files.get(name) or file.with_name(name)
        if not path.is_file():
            raise refusal(file, f"its signal file {path.name} is missing; copy the record again")
        rows = [signal for signal in signals if header.files.get(signal.file) == path]
        formats = sorted({signal.format for signal in rows})
        if len(formats) > 1:
            said = " and ".join(formats)
            raise refusal(file, f"signals of {path.name} have the formats {said}; repair it")
        format_, offset = rows[0].format, rows[0].offset
        if format_ in _FLAC:
            continue  # what it holds is known when it is read
        if format_ not in wfdbsignals.PACKING:
            # 8 holds differences: no block can be read without those before it
            raise refusal(file, f"format {format_} cannot be read; convert it to 16 by xform")
        packing = wfdbsignals.PACKING[format_]
        frame, there = sum(s.samples_per_frame for s in rows), path.stat().st_size - offset
        held[path.name] = max(0, there * packing.samples // packing.size // frame)
    return held


def _open_segments(file: Path, header: Header, given: Given) -> Source:
    """A WFDB record of several segments: one after the other, NaN where a lead has none."""
    record, named = header.record, header.record.segments or ()
    parts: list[tuple[Source | None, int]] = []
    lacking = []
    with reading(file.stem, file):
        if record.stated != len(named):
            raise refusal(
                file, f"it says {record.stated} segments and names {len(named)}; repair it"
            )
        for name, frames in named:
            if frames == 0:
                continue  # the layout of a record whose segments differ
            part = None if name == "~" else _segment(file, name, given)
            parts.append((part, frames))
            lacking += [name] if part is None and name != "~" else []
        sources = [source for source, _ in parts if source is not None]
        if not sources:
            raise refusal(file, "no segment holds a voltage; choose a recording with an ECG")
        rate = sources[0].fs
        per_frame = round(rate / record.fs)
        total = sum(frames for _, frames in parts)
        if (
            any(source.fs != rate for source in sources)
            or abs(rate - per_frame * record.fs) > 1e-3 * rate
            or any(source and source.length > frames * per_frame for source, frames in parts)
            or record.length not in (None, total)
        ):
            raise refusal(
                file, "rate or length of its segments is not what it says; repair the header"
            )
        there = sum(source.length for source in sources)
        check_missing(file, total * per_frame - there, length=total * per_frame, fs=rate)
    each = tuple(dict.fromkeys(lead for source in sources for lead in _told_apart(source.leads)))

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        for source, frames in parts:
            there = _told_apart(source.leads) if source else []
            held = [i for i, column in enumerate(columns) if each[column] in there]
            missing = frames * per_frame
            if source and held:
                missing -= source.length
                for block in source.blocks([there.index(each[columns[i]]) for i in held]):
                    signal = np.full((len(block), len(columns)), np.nan, np.float32)
                    signal[:, held] = block
                    yield signal
            yield from missing_blocks(missing, len(columns), rate)

    return Source(
        name=name_of(file),
        fs=rate,
        leads=tuple(lead for lead, _ in each),
        length=total * per_frame,
        read=read,
        start=header.start,
        notes=(*header.notes, *_segment_notes(sources), *_without_voltage(lacking)),
    )


def _told_apart(leads: Sequence[str]) -> list[tuple[str, int]]:
    """Each lead with how many of its name stand before it."""
    return [(lead, leads[:i].count(lead)) for i, lead in enumerate(leads)]


def _without_voltage(segments: list[str]) -> list[str]:
    """A note on segments that are missing because none of their signals is a voltage."""
    if not segments:
        return []
    return [f"missing, because no signal is a voltage: segments {', '.join(segments)[:80]}"]


def _segment(file: Path, name: str, given: Given) -> Source | None:
    """A segment of the record, None where none of its signals is a voltage, stated or given."""
    part = find(file.with_name(f"{name}.hea"))
    header = read_header(part)
    if header.record.segments is not None:
        raise refusal(file, f"its segment {name} has segments; repair the header")
    units = [signal.units for signal in header.record.signals]
    may_be = [is_raw(unit) or not is_known(unit) for unit in units]
    if not any(map(in_millivolts, units)) and not (given.factor() is not None and any(may_be)):
        return None
    return _open_record(part, header, given)


def _segment_notes(sources: list[Source]) -> list[str]:
    """The notes of the segments, of the first few by their names."""
    notes = [f"segment {source.name}: {note}" for source in sources for note in source.notes]
    more = [f"{len(notes) - 3} more notes of this kind on segments"] if len(notes) > 3 else []
    return notes[:3] + more


def segments(header: Path) -> list[str]:
    """The segments that a WFDB header names, in lower case; none where it is a record itself."""
    lines = [line.split() for line in header_lines(header)]
    if not lines or "/" not in lines[0][0]:
        return []
    return [line[0].lower() for line in lines[1:]]
