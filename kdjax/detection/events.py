"""Events: what several beats make together, or their absence."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from kdjax.beats import runs_of
from kdjax.detection.deciding import Beats
from kdjax.detection.signs import MEMORY, SIGNS, irregularity

PAUSE = 2.0  # s between beats

_RUN = 3  # beats
_TIMES = 3  # that a pattern repeats before it is bigeminy or trigeminy
WITHOUT_P = "irregular rhythm without P waves"
_IRREGULAR = 0.1  # median change of log RR
_LASTING = 60.0  # s that it lasts, or is interrupted for at most
_ATRIAL = ("N", "S")  # beats whose intervals tell of the atria
_UNSEEN = 0.5  # the sign "seen" where no P waves are seen


class Event(NamedTuple):
    """What happened: couplet, run, bigeminy, trigeminy, pause or irregular rhythm.

    An irregular rhythm without P waves is most often atrial fibrillation.

    name: with the kind of its beats, as "V run". first, last: samples of the recording, of the
    first and the last beat that belong to it. beats: how many of them make it, both ends included.
    """

    name: str
    first: int
    last: int
    beats: int


def find_events(beats: Beats, fs: float, without_p: Sequence[Event] = ()) -> tuple[Event, ...]:
    """The events of a recording at `fs` Hz, given all its beats, in the order of time.

    without_p: those of `without_p_waves`, which tells irregular rhythms from each other. The
    page's script (kdjax/pages/script/rhythms.js) finds the same after each decision.
    """
    found = [
        *(event for kind in "VS" for event in _together(beats, kind)),
        *(event for kind in "VS" for event in _patterns(beats, kind)),
        *_pauses(beats),
        *without_p,
        *_irregular("irregular rhythm", beats, ~inside(beats, without_p), fs=fs),
    ]
    return in_order(found)


def in_order(events: Iterable[Event]) -> tuple[Event, ...]:
    """In the order of time."""
    return tuple(sorted(events, key=lambda event: (event.first, event.last, event.name)))


def event_between(name: str, beats: Beats, first: int, *, last: int) -> Event | None:
    """From the first to the last beat between two samples, artefacts aside, which `beats` lack.

    None where fewer than two are there.
    """
    begin, end = np.searchsorted(beats.sample, [first, last + 1]).tolist()
    return _event(name, beats, begin, last=end - 1) if end - begin > 1 else None


def _event(name: str, beats: Beats, first: int, *, last: int) -> Event:
    return Event(name, int(beats.sample[first]), int(beats.sample[last]), last - first + 1)


def _together(beats: Beats, kind: str) -> list[Event]:
    """Couplets and runs: beats of one kind with nothing between them."""
    own = beats.kind == kind
    own_after = own[1:] & own[:-1] & np.isfinite(beats.rr[1:])
    events = []
    for first, end in runs_of(own_after):
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


def without_p_waves(beats: Beats, signs: np.ndarray, fs: float) -> tuple[Event, ...]:
    """Irregular rhythms of a minute or more in which no P waves are seen.

    beats: all those of a recording at `fs` Hz; signs: float32 [B, K], of `signs.SIGNS`.
    """
    unseen = signs[:, SIGNS.index("seen")] < _UNSEEN
    return tuple(_irregular(WITHOUT_P, beats, unseen, fs=fs))


def inside(beats: Beats, events: Sequence[Event]) -> np.ndarray:
    """Whether each beat lies in one of the events, which follow each other, bool [B]."""
    if not events:
        return np.zeros(len(beats.sample), bool)
    first, last = np.array([(event.first, event.last) for event in events]).T
    event = np.searchsorted(first, beats.sample, "right") - 1  # that began last
    return (event >= 0) & (beats.sample <= last[event])


def covered(stretches: Iterable[tuple[float, float]], first: float, last: float) -> float:
    """How much of what lies between `first` and `last` stretches (first, last) cover together."""
    length, end = 0.0, first
    for a, b in sorted(stretches):
        length += max(min(b, last) - max(a, end), 0)
        end = max(end, b)
    return length


def trimmed(beats: Beats, events: Iterable[Event], fs: float) -> list[Event]:
    """Irregular rhythms after a review: from their first beat that is still N or S to the last.

    Those of which less than a minute is left are none.
    """
    found = []
    atrial = np.isin(beats.kind, _ATRIAL)
    for event in events:
        first, end = np.searchsorted(beats.sample, [event.first, event.last + 1])
        own = first + np.flatnonzero(atrial[first:end])
        if len(own) and beats.sample[own[-1]] - beats.sample[own[0]] >= _LASTING * fs:
            found.append(_event(event.name, beats, int(own[0]), last=int(own[-1])))
    return found


def _irregular(name: str, beats: Beats, among: np.ndarray, *, fs: float) -> list[Event]:
    """Stretches whose intervals keep changing for a minute or more, as in atrial fibrillation.

    Intervals from or to a ventricular beat say nothing of the atria. Beats that are not `among`
    these, bool [B], belong to none, but may stand in one for a minute, as may ventricular ones and
    those that are not scored.
    """
    other = ~np.isin(beats.kind, _ATRIAL)
    own = np.flatnonzero(~(other | np.concatenate([[False], other])[: len(other)]))
    unbroken = np.split(own, 1 + np.flatnonzero(np.diff(beats.sample[own]) > _LASTING * fs))
    found: list[list[int]] = []  # first beat, last beat, samples of irregular rhythm
    for part in unbroken:
        so_far = len(found)
        for first, end in runs_of(_is_irregular(beats.rr[part]) & among[part]):
            begins, ends = int(part[first]), int(part[end - 1])
            lasts = int(beats.sample[ends] - beats.sample[begins])
            apart = beats.sample[begins] - beats.sample[found[-1][1]] if found else np.inf
            if len(found) > so_far and apart <= _LASTING * fs:
                found[-1][1:] = ends, found[-1][2] + lasts
            else:
                found.append([begins, ends, lasts])
    return [
        _event(name, beats, first, last=last)
        for first, last, lasts in found
        if lasts >= _LASTING * fs
    ]


def _is_irregular(rr: np.ndarray) -> np.ndarray:
    """Of intervals that follow each other, bool [B]."""
    if not len(rr):
        return np.zeros(0, bool)
    log_rr = np.log(np.where(rr > 0, rr, np.nan).astype(np.float64))
    return irregularity(np.concatenate([np.full(MEMORY, np.nan), log_rr])) > _IRREGULAR
