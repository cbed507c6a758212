"""Signals that are in memory already."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from kdjax.errors import InputError
from kdjax.recordings.source import MOST_LEADS, Source, block_length, spans


def of_array(
    signal: ArrayLike, fs: float, *, leads: Sequence[str] | None = None, name: str = "signal"
) -> Source:
    """A recording of a signal [T] or [T, leads] in mV at `fs` Hz.

    Samples are missing where they are NaN or, in a masked array, masked.

    Raises:
        InputError: the signal is of another shape or not of real numbers, it has another number of
            leads than `leads` names, or the rate or length is none of an ECG.
    """
    if isinstance(signal, np.ma.MaskedArray) and signal.dtype.kind in "iuf":
        signal = np.ma.filled(signal.astype(np.float64), np.nan)
    try:
        signal = np.asarray(signal)
        signal = signal.astype(np.float64) if signal.dtype.kind == "O" else signal
    except (TypeError, ValueError):  # rows of different lengths, or what is no number
        raise InputError(f"{name}: not an array; give real numbers [T] or [T, leads]") from None
    signal = signal[:, None] if signal.ndim == 1 else signal
    if signal.ndim != 2 or signal.dtype.kind not in "iuf":
        raise InputError(
            f"{name}: {signal.dtype} of shape {signal.shape}; give real numbers [T] or [T, leads]"
        )
    length, n = signal.shape
    if n > MOST_LEADS >= length:
        raise InputError(f"{name}: of shape {signal.shape}; [T, leads] is needed, transpose it")
    names = tuple(leads) if leads is not None else tuple(str(i + 1) for i in range(n))
    if len(names) != n:
        raise InputError(f"{name}: {n} leads, of which {len(names)} are named; name each")

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        for start, stop in spans(length, block_length(fs, n)):
            yield signal[start:stop, columns]

    return Source(name=name, fs=float(fs), leads=names, length=length, read=read)
