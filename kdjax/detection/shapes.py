"""Groups beats by shape, online and in bounded memory.

A beat joins the shape whose template it correlates with best, if at 0.9 or more, and starts a new
shape otherwise. A template is a running mean, so it follows a person's slow drift. When there is no
room for another shape, the rarest is dropped and its beats are pooled.
"""

from typing import Any

import numpy as np

from kdjax.beats import BEFORE, FS

POOLED = -1  # the shape of beats whose own was dropped

_MOST = 48  # shapes
_ALIKE = 0.9  # correlation from which a beat has a shape's form
_SPAN = slice(BEFORE - round(0.1 * FS), BEFORE + round(0.3 * FS))  # from before the QRS to the T
_STEP = 3  # every third sample is looked at: 120 Hz hold what passes the band of 45 Hz
_SHIFTS = np.arange(-12, 13, 3)  # samples by which a beat may be off its template
_FOLLOWS = 1 / 32  # the least weight of a new beat in its template
_SMALLEST = 1e-9  # mV^2


class Shapes:
    """Plain arrays, a row for each of at most 48 shapes.

    number: int64 [F], in the order in which shapes appeared, from 0. template: float32 [F, D],
    mean-free; energy: float32 [F], its squared norm. recent: float32 [F, T, C], the running mean
    beat in mV. count: int64 [F], beats. last: int64 [F], when the shape last had a beat, counted in
    beats. early: int64 [F, 2], how many beats were in time and how many early; total, square:
    float64 [F, 2, T, C], the sums of those beats and of their squares. pooled: early, total and
    square of the shapes that were dropped.
    """

    def __init__(self) -> None:
        self.number = np.empty(0, np.int64)
        self.template = np.empty((0, 0), np.float32)
        self.energy = np.empty(0, np.float32)
        self.count = np.empty(0, np.int64)
        self.last = np.empty(0, np.int64)
        self.total = self.square = np.empty((0, 2, 0, 0))
        self.early = np.empty((0, 2), np.int64)
        self.recent = np.empty((0, 0, 0), np.float32)
        self.pooled: tuple[Any, ...] = (np.zeros(2, np.int64), 0.0, 0.0)
        self._seen = self._next = 0

    def update(self, windows: np.ndarray, early: np.ndarray) -> np.ndarray:
        """The shapes int64 [B] of the next beats, which change the templates.

        windows: float32 [B, T, C] in mV. early: bool [B].
        """
        if not len(self.number):
            self.template = np.empty((0, len(_PLACES[0]) * windows.shape[2]), np.float32)
            self.total = self.square = np.empty((0, 2, *windows.shape[1:]))
            self.recent = np.empty((0, *windows.shape[1:]), np.float32)
        forms = _forms(windows)
        energy = np.einsum("bsd,bsd->bs", forms, forms)[..., None]
        shape = np.array(list(map(self._place, forms, energy)), np.int64)
        for row in np.flatnonzero(np.isin(self.number, shape)).tolist():
            self._sum(row, windows, shape == self.number[row], early=early)
        dropped = ~np.isin(shape, self.number)
        self._pool(_sums(windows[dropped], early[dropped]))
        return shape

    def held(self, shape: np.ndarray) -> np.ndarray:
        """The shapes [B], POOLED where they were dropped since."""
        return np.where(np.isin(shape, self.number), shape, POOLED)

    def _sum(self, row: int, windows: np.ndarray, own: np.ndarray, *, early: np.ndarray) -> None:
        """Adds those of the beats [B, T, C] that are the row's `own` to its sums and mean."""
        count, total, square = _sums(windows[own], early[own])
        self.early[row] += count
        self.total[row] += total
        self.square[row] += square
        new = int(own.sum())
        weight = max(new / self.early[row].sum(), 1 - (1 - _FOLLOWS) ** new)
        change = windows[own].mean(axis=0) - self.recent[row]
        self.recent[row] += np.float32(weight) * change

    def _pool(self, sums: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        self.pooled = tuple(old + new for old, new in zip(self.pooled, sums, strict=True))

    def _place(self, shifted: np.ndarray, energy: np.ndarray) -> int:
        """The shape of the next beat, given as [S, D], with its energy [S, 1]."""
        row, beat = self._nearest(shifted, energy)
        if row is None:
            row = self._new(beat)
        weight = max(1 / (self.count[row] + 1), _FOLLOWS)
        self.template[row] += np.float32(weight) * (beat - self.template[row])
        self.energy[row] = self.template[row] @ self.template[row]
        self.count[row] += 1
        self.last[row] = self._seen
        self._seen += 1
        return int(self.number[row])

    def _nearest(self, shifted: np.ndarray, energy: np.ndarray) -> tuple[int | None, np.ndarray]:
        """The row of the shape that a beat [S, D] has, and the beat in its place."""
        if len(self.number):
            norm = np.sqrt(energy * self.energy)
            alike = shifted @ self.template.T / np.maximum(norm, _SMALLEST)
            shift, row = divmod(int(np.argmax(alike)), len(self.number))
            if alike[shift, row] >= _ALIKE:
                return row, shifted[shift]
        return None, shifted[len(_SHIFTS) // 2]

    def _new(self, beat: np.ndarray) -> int:
        """A new shape's row, in place of the rarest where there is no room."""
        kept = np.arange(len(self.number))
        if len(kept) >= _MOST:
            rarest = np.lexsort([self.last, self.count])[0]
            self._pool((self.early[rarest], self.total[rarest], self.square[rarest]))
            kept = np.delete(kept, rarest)
        for name in ("template", "energy", "count", "last", "total", "square", "early", "recent"):
            old = getattr(self, name)
            setattr(
                self, name, np.concatenate([old[kept], np.zeros((1, *old.shape[1:]), old.dtype)])
            )
        self.number = np.append(self.number[kept], self._next)
        self.template[-1] = beat
        self._next += 1
        return len(kept)


def _sums(windows: np.ndarray, early: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number [2], sum and sum of squares float64 [2, T, C] of beats, in time and early."""
    parts = [windows[early == part].astype(np.float64) for part in (0, 1)]
    return (
        np.array([len(part) for part in parts]),
        np.stack([part.sum(axis=0) for part in parts]),
        np.stack([np.square(part).sum(axis=0) for part in parts]),
    )


def _forms(windows: np.ndarray) -> np.ndarray:
    """What is compared of beats [B, T, C], at each shift, without its mean: [B, S, D]."""
    forms = windows[:, _PLACES]
    forms = forms - forms.mean(axis=2, keepdims=True)
    return forms.reshape(*forms.shape[:2], forms.shape[2] * forms.shape[3])


_PLACES = np.arange(_SPAN.start, _SPAN.stop, _STEP) + _SHIFTS[:, None]  # [S, D]
