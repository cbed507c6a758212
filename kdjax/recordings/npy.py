"""NumPy arrays."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kdjax.recordings.source import (
    Given,
    Source,
    block_length,
    check_stated,
    lead_names,
    name_of,
    reading,
    refusal,
    spans,
)


def open_npy(file: Path, given: Given) -> Source:
    """[T], or [T, leads] of at most 64 leads; wide arrays of few rows are [leads, T]."""

    def load() -> np.ndarray:
        """[T, leads], mapped anew for each block so that what was read does not stay in memory."""
        try:
            array = np.load(file, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            if "Python objects" in str(error):
                raise refusal(file, "holds Python objects; write it as float32") from error
            raise
        if array.ndim == 1:
            return array[:, None]
        across = array.ndim == 2 and array.shape[0] <= 16 and array.shape[1] > 100 * array.shape[0]
        return array.T if across else array

    with reading(file.stem, file):
        array = load()
        if array.dtype.kind not in "iuf":
            raise refusal(file, f"holds {array.dtype}, not real numbers; write it as float32")
        if array.ndim != 2 or array.shape[1] > 64 or len(array) <= array.shape[1]:
            raise refusal(
                file, f"an array of shape {array.shape} is not a recording; write it as [T, leads]"
            )
        if not array.size:
            raise refusal(file, "holds no samples; export it again")
        length, n = array.shape
        over = file.stat().st_size - getattr(array, "offset", 0) - array.nbytes
        notes = (f"{over} bytes after the first array were left out",) if over else ()
        del array
    fs, factor = check_stated(file, given.fs, given.factor())

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        for start, stop in spans(length, block_length(fs, n)):
            with reading(file.stem, file), np.errstate(all="ignore"):
                signal = load()[start:stop, columns] * np.float64(factor)
            yield signal

    return Source(
        name=name_of(file),
        fs=fs,
        leads=lead_names([None] * n),
        length=length,
        read=read,
        notes=notes,
    )
