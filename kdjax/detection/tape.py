"""The signal that a person looks at: lightly filtered, at 120 Hz, compressed as it passes by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from kdjax import beats, filters
from kdjax.pages import packing

RATE = 120  # Hz
STEP = 0.02  # mV: 0.2 mm on paper, less than the width of the line
CHUNK = 600  # s
_AROUND = 10  # s that the filter sees on either side of a chunk
_BAND = filters.butterworth(2, 0.5, 40, fs=RATE)


@dataclass(frozen=True, eq=False)
class Tape:
    """The recording from 0.5 to 40 Hz at 120 Hz, in steps of 20 µV, ten minutes a chunk.

    chunks: int16 [C * n] each, one lead after the other, as `packing.deflated` leaves them.
    leads: their names, those that the detector read first. length: samples of a lead at 120 Hz.
    """

    chunks: tuple[bytes, ...] = field(repr=False)
    leads: tuple[str, ...]
    length: int

    def signal(self) -> np.ndarray:
        """float32 [length, C] in mV."""
        parts = [
            packing.inflated(chunk, "int16").reshape(len(self.leads), -1).T for chunk in self.chunks
        ]
        whole = np.concatenate([np.empty((0, len(self.leads)), np.int16), *parts])
        return whole * np.float32(STEP)


class Recorder:
    """Makes a tape of the blocks of a recording that pass by."""

    def __init__(self, leads: Sequence[str], fs: float):
        """leads: their names; fs in Hz."""
        self._leads, self._fs = tuple(leads), fs
        self._ratio = Fraction(RATE / fs).limit_denominator(1000)
        self._blocks: list[np.ndarray] = []
        self._start = self._end = 0  # what they hold of the recording
        self._chunks: list[bytes] = []
        self._length = 0

    def passing(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """The blocks [n, C] in mV as they come, NaN where samples are missing."""
        for block in blocks:
            self._blocks.append(block)
            self._end += len(block)
            while self._end >= self._place(self._next_chunk + CHUNK + _AROUND):
                self._record(CHUNK * RATE)
            yield block

    def tape(self) -> Tape:
        """What was recorded, once all blocks have passed."""
        whole = round(self._end / self._fs * RATE)
        while self._length < whole:
            self._record(min(CHUNK * RATE, whole - self._length))
        return Tape(tuple(self._chunks), self._leads, self._length)

    @property
    def _next_chunk(self) -> int:
        """Where the next chunk begins, in s."""
        return len(self._chunks) * CHUNK

    def _place(self, seconds: float) -> int:
        return max(round(seconds * self._fs), 0)

    def _record(self, length: int) -> None:
        """Appends a chunk of so many samples at 120 Hz, and lets go of what is not needed again."""
        held = np.concatenate(self._blocks)
        first = self._place(self._next_chunk - _AROUND)
        stop = self._place(self._next_chunk + length / RATE + _AROUND)
        around, _ = beats.bridge(held[first - self._start : stop - self._start], self._fs)
        skipped = round((self._next_chunk - first / self._fs) * RATE)
        chunk = _filtered(around, self._ratio)[skipped : skipped + length]
        chunk = np.pad(chunk, ((0, length - len(chunk)), (0, 0)), mode="edge")
        values = np.clip(np.rint(chunk / STEP), -32768, 32767).astype(np.int16)
        self._chunks.append(packing.deflated(values.T.ravel()))
        self._length += length
        forgotten = self._place(self._next_chunk - _AROUND)
        self._blocks = [held[forgotten - self._start :].copy()]
        self._start = forgotten


def _filtered(signal: np.ndarray, ratio: Fraction) -> np.ndarray:
    """The signal [n, C] without NaN at 120 Hz, without its drift and what is above 40 Hz."""
    up, down = ratio.numerator, ratio.denominator
    slow = filters.resample(signal, up, down, taps=filters.resampling(up, down))
    return filters.without_phase(_BAND, slow, min(len(slow) - 1, 5 * RATE))
