"""The samples of WFDB signal files: https://physionet.org/physiotools/wag/signal-5.htm

They are unpacked here, because importing wfdb with pandas takes longer than detecting beats in half
an hour. wfdb reads records with a signal that is compressed (FLAC).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np


class Packing(NamedTuple):
    """How a format packs samples: so many in so many bytes; the number that means 'invalid'."""

    samples: int
    size: int
    invalid: int


PACKING = {
    "16": Packing(1, 2, -(2**15)),
    "24": Packing(1, 3, -(2**23)),
    "32": Packing(1, 4, -(2**31)),
    "61": Packing(1, 2, -(2**15)),
    "80": Packing(1, 1, -(2**7)),
    "160": Packing(1, 2, -(2**15)),
    "212": Packing(2, 3, -(2**11)),
    "310": Packing(3, 4, -(2**9)),
    "311": Packing(3, 4, -(2**9)),
}
_TYPES = {"16": "<i2", "32": "<i4", "61": ">i2", "80": "u1", "160": "<u2"}
_MIDDLE = {"80": 2**7, "160": 2**15}  # of formats without signs


def read(file: Path, format_: str, *, offset: int, first: int, count: int) -> np.ndarray:
    """Samples [first, first + count) of a signal file as float64, NaN where they are invalid.

    format_: one of PACKING. offset: bytes before the first sample. ValueError where the file ends
    before them.
    """
    packing = PACKING[format_]
    skipped = first % packing.samples
    groups = -(-(skipped + count) // packing.samples)
    with file.open("rb") as opened:
        opened.seek(offset + first // packing.samples * packing.size)
        data = opened.read(groups * packing.size)
    whole = data + b"\0" * (-len(data) % packing.size)
    values = _unpacked(np.frombuffer(whole, np.uint8), format_)
    held = len(data) * packing.samples // packing.size - skipped
    if held < count:
        raise ValueError(f"it ends {count - held} samples too early")
    values = values[skipped : skipped + count].astype(np.float64)
    values[values == packing.invalid] = np.nan
    return values


def _unpacked(data: np.ndarray, format_: str) -> np.ndarray:
    """The numbers in bytes uint8 [n], whole groups."""
    if format_ in _TYPES:
        return data.view(_TYPES[format_]).astype(np.int64) - _MIDDLE.get(format_, 0)
    if format_ == "310":
        first, second = data.view("<u2").reshape(-1, 2).astype(np.int64).T
        return _tens([first >> 1, second >> 1, first >> 11 | second >> 11 << 5])
    if format_ == "311":
        word = data.view("<u4").astype(np.int64)
        return _tens([word, word >> 10, word >> 20])
    first, second, third = data.reshape(-1, 3).astype(np.int64).T
    if format_ == "24":
        return _signed(first | second << 8 | third << 16, 24)
    pairs = [first | (second & 0x0F) << 8, third | (second & 0xF0) << 4]
    return _signed(np.stack(pairs, axis=1).ravel(), 12)


def _tens(columns: list[np.ndarray]) -> np.ndarray:
    """The numbers in the lowest ten bits of columns, row by row."""
    return _signed(np.stack(columns, axis=1).ravel() & 0x3FF, 10)


def _signed(values: np.ndarray, bits: int) -> np.ndarray:
    """Numbers in two's complement of so many bits."""
    return values - (values >> (bits - 1) << bits)
