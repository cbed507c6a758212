"""Events: what several beats make together, or their absence."""

from typing import NamedTuple

import numpy as np

from kdjax.detection.deciding import Beats
from kdjax.detection.signs import Rhythm

PAUSE = 2.0  # s between beats

_RUN = 3  # beats
_TIMES = 3  # that a pattern repeats before it is bigeminy or trigeminy
_IRREGULAR = 0.1, 60.0  # median change of log RR, and s that it lasts


class Event(NamedTuple):
    """What happened: couplet, run, bigeminy, trigeminy, pause or irregular rhythm.

    name: with the kind of its beats, as "V run". first, last: samples of the recording, of the
    first and the last beat that belong to it. beats: how many of them make it, both ends included.
    """

    name: str
    first: int
    last: int
    beats: int


def find_events(beats: Beats, fs: float) -> tuple[Event, ...]:
    """The events of a recording at `fs` Hz, given all its beats, in the order of time."""
    found = [
        *(event for kind in "VS" for event in _together(beats, kind)),
        *(event for kind in "VS" for event in _patterns(beats, kind)),
        *_pauses(beats),
        *_irregular(beats, fs),
    ]
    return tuple(sorted(found, key=lambda event: (event.first, event.last, event.name)))


def _event(name: str, beats: Beats, first: int, *, last: int) -> Event:
    return Event(name, int(beats.sample[first]), int(beats.sample[last]), last - first + 1)


def _together(beats: Beats, kind: str) -> list[Event]:
    """Couplets and runs: beats of one kind with nothing between them."""
    own = beats.kind == kind
    own_after = own[1:] & own[:-1] & np.isfinite(beats.rr[1:])
    events = []
    for first, end in _stretches(own_after):
        name = "run" if end - first + 1 >= _RUN else "couplet"
        events.append(_event(f"{kind} {name}", beats, first, last=end))
    return events


def _patterns(beats: Beats, kind: str) -> list[Event]:
    """Bigeminy and trigeminy: a beat of the kind after every one or two normal ones.

    Where an interval is unknown a pattern ends: beats may have been missed there.
    """
    events = []
    normal, own = beats.kind == "N", beats.kind == kind
    follows = np.isfinite(beats.rr)
    for name, period in (("bigeminy", 2), ("trigeminy", 3)):
        unit = own.copy()
        for back in range(1, period):
            unit[back:] &= normal[:-back] & follows[1 : len(own) - back + 1]
        unit[: period - 1] = False
        last: list[int] = []
        for beat in [*np.flatnonzero(unit).tolist(), len(own) + period]:
            if last and (beat != last[-1] + period or not follows[last[-1] + 1]):
                if len(last) >= _TIMES:
                    first = last[0] - period + 1
                    events.append(_event(f"{kind} {name}", beats, first, last=last[-1]))
                last = []
            last.append(beat)
    return events


def _pauses(beats: Beats) -> list[Event]:
    long = np.flatnonzero(beats.rr > PAUSE)
    return [_event("pause", beats, beat - 1, last=beat) for beat in long.tolist() if beat]


def _irregular(beats: Beats, fs: float) -> list[Event]:
    """Stretches of a minute or more whose intervals keep changing, as in atrial fibrillation."""
    least, seconds = _IRREGULAR
    irregularity = Rhythm().timing(beats.rr.astype(np.float64)).irregularity
    events = []
    for first, end in _stretches((irregularity > least) & (beats.kind != "")):
        if beats.sample[end - 1] - beats.sample[first] >= seconds * fs:
            events.append(_event("irregular rhythm", beats, first, last=end - 1))
    return events


def _stretches(mask: np.ndarray) -> np.ndarray:
    """First and end index [K, 2] of each stretch of True in bool [B]."""
    edges = np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8))
    return np.flatnonzero(edges).reshape(-1, 2)
