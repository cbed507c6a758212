"""ISHNE Holter files.

Badilini, The ISHNE Holter Standard Output File Format, Annals of Noninvasive Electrocardiology
3 (1998) 263-266: 8 bytes of magic, a checksum, a header of 512 bytes, a block of any length, the
samples of all leads by turns as 16-bit numbers.
"""

import binascii
import datetime
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kdjax.recordings.source import (
    Given,
    Source,
    block_length,
    name_of,
    reading,
    refusal,
    spans,
    voltages,
)

_BEFORE = 10  # bytes of magic and checksum
_HEADER = struct.Struct("<4i h40s40s20s2h3h3h3h3h h12h12h12h h40s h80s80s88s")
_LEADS = (
    "", "bipolar", "X", "Y", "Z", "I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4",
    "V5", "V6", "ES", "AS", "AI",
)  # fmt: skip
_MOST_BLOCK = 1 << 20
_FAULT = -32768  # a sample of a lead that is off


class _Header(NamedTuple):
    """samples: as stated; offset: where they begin; resolution: nV a step, of each lead.

    A resolution that is not stated is 0 or less. whole: the checksum agrees.
    """

    samples: int
    offset: int
    fs: int
    leads: tuple[str, ...]
    resolution: tuple[int, ...]
    start: datetime.datetime | None
    whole: bool


def open_ishne(file: Path, given: Given) -> Source:
    """An ISHNE Holter file; what its header says of its length and checksum is checked and told."""
    with reading(file.stem, file):
        header = _read_header(file)
        n = len(header.leads)
        found = voltages(
            file,
            header.leads,
            units=["nV" if nanovolts > 0 else "" for nanovolts in header.resolution],
            rates=[float(header.fs)] * n,
            steps=[1 / max(nanovolts, 1) for nanovolts in header.resolution],
            given=given,
        )
        length, over = divmod(file.stat().st_size - header.offset, 2 * n)
        if length < 1:
            raise refusal(file, "holds no samples; it is truncated: copy it again")
        notes = list(found.notes)
        if not header.whole:
            notes.append("the checksum of its header does not agree; the header may be damaged")
        if header.samples not in (length, length * n) or over:
            notes.append(f"its header says {header.samples} samples; the file has {length} a lead")

    per_step = found.per_unit * np.maximum(header.resolution, 1)[found.places]

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        places = [found.places[column] for column in columns]
        for start, stop in spans(length, block_length(header.fs, n)):
            with reading(file.stem, file):
                with file.open("rb") as opened:
                    opened.seek(header.offset + 2 * n * start)
                    data = opened.read(2 * n * (stop - start))
                steps = np.frombuffer(data, "<i2").reshape(-1, n)[:, places]
                signal = np.where(steps == _FAULT, np.nan, steps * per_step[columns])
            yield signal

    return Source(
        name=name_of(file),
        fs=found.fs,
        leads=found.leads,
        length=length,
        read=read,
        start=header.start,
        notes=tuple(notes),
    )


def _read_header(file: Path) -> _Header:
    with file.open("rb") as opened:
        start = opened.read(_BEFORE + _HEADER.size)
        if len(start) < _BEFORE + _HEADER.size:
            raise refusal(file, "its header is truncated; copy it again")
        fields = _HEADER.unpack(start[_BEFORE:])
        block, samples, _, offset = fields[:4]
        rest = opened.read(max(0, min(block, _MOST_BLOCK)))
    date, time, n = fields[13:16], fields[19:22], fields[22]
    codes, resolution, fs = fields[23:35], fields[47:59], fields[61]
    if not 1 <= n <= len(codes):
        raise refusal(file, f"its header says {n} leads, 1 to {len(codes)} are possible; repair it")
    if offset < _BEFORE + _HEADER.size:
        raise refusal(file, "its header does not say where samples begin; copy it again")
    stated = int.from_bytes(start[8:10], "little")
    return _Header(
        samples=samples,
        offset=offset,
        fs=fs,
        leads=tuple(_LEADS[code] if 0 <= code < len(_LEADS) else "" for code in codes[:n]),
        resolution=resolution[:n],
        start=_moment(date, time),
        whole=binascii.crc_hqx(start[_BEFORE:] + rest, 0xFFFF) == stated,
    )


def _moment(date: tuple[int, ...], time: tuple[int, ...]) -> datetime.datetime | None:
    day, month, year = date
    hour, minute, second = time
    try:
        return datetime.datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
