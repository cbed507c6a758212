"""Signs of a beat: how its shape and its timing differ from the person's normal ones.

A person's normal beat is the running mean of the shape that most often comes in time; of shapes
that do so about as often it is the narrowest, since ventricular beats may alternate with normal
ones. The usual RR interval is the median of the last 16 that were neither early nor late. So it
stays as it was through a run of early beats. After 100 early beats in a row it is the median of the
last 16 of all. After 16 in a row of half the usual interval it is theirs: every other beat was
blocked or missed before. A pause follows an early beat, so where late beats outnumber early ones
the usual interval was too short: it is taken anew, between the median and the 90th percentile of
the last 32.

A beat is early when its interval is well below the usual one and it came suddenly, or after another
early beat: a rate that rises slowly makes no early beats.
"""

from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import maximum_filter1d, minimum_filter1d, uniform_filter1d

from kdjax.beats import BEFORE, FS
from kdjax.detection.shapes import Shapes

# Each is 0 where it is unknown.
SIGNS = (
    "qrs",  # log of 1 - correlation with the normal QRS complex, as much as 0.02 added
    "t",  # the same of the T wave, 0.1 added
    "p",  # of the P wave, 0.1 added
    "height",  # log of the standard deviation over the normal one, QRS to T
    "width",  # log of the QRS width over the normal one
    "interval",  # log of the RR interval over the usual one
    "early",  # the same with its sign turned, of early beats
    "step",  # log of the RR interval over the one before
    "pause",  # log of the RR interval that follows over the usual one
    "irregularity",  # log of the median change between intervals, 0.01 added
    "prematurity",  # of `scores.fitted.rhythm`
    "anomaly",  # log of the score of the detector
    "seen",  # 0 to 1: how well the P waves of beats in time can be seen
    "sinus",  # 0 to 1: how far a P wave, if they can be seen, is the person's usual one
)

_QRS = (-0.10, 0.14)  # s about the R-peak
_T = (0.14, 0.36)
_P = (-0.31, -0.08)
# The sign "p" of most beats in time at correlations of 0.88 and 0.96 with the normal P wave: up to
# the first none can be told from noise, from the second on it is seen well.
_HIDDEN, _SEEN = np.log(0.22), np.log(0.14)
_OTHER_P = 0.4  # of the sign "p" above that of most beats: such a P wave is another
_P_WAVES = 100  # of beats in time, which say what is usual
_SHIFTS = range(-9, 10, 3)  # samples
_USUAL = 16  # intervals
_STEADY = 32
_LAGS = (1, 2, 3, 4)  # beats: bigeminy to quadrigeminy are regular
MEMORY = _STEADY + max(_LAGS)  # intervals before the first whose irregularity is wanted
# In an irregular rhythm the least of more medians is lower by chance: quadrigeminy repeats itself
# within this, of log RR.
_REPEATS = 0.05
_EARLY = 0.12  # of log RR below the usual one: such a beat is early
_EARLY_IRREGULARITIES = 2.0  # the same, where that is more
_LATE = 0.25  # of log RR above the usual one; twice the irregularity where that is more
_OUTNUMBERED = 8  # more late than early ones among the last 32
_LONG = 0.9  # the quantile of intervals that are long
_ABRUPT = 0.6  # of that: how much shorter than the one before the first early interval is
_TOO_MANY = 100  # beats in a row
_HALF, _NEAR_HALF, _HALVED = np.log(2), 0.06, 16  # of log RR below the usual one; beats in a row
_FADE = 0.8  # of a shape's count, each core
_AS_OFTEN = 0.5


class Timing(NamedTuple):
    """The timing of beats, float64 [B]; early: bool."""

    interval: np.ndarray
    step: np.ndarray
    usual: np.ndarray
    irregularity: np.ndarray
    early: np.ndarray


class Person:
    """What is known of a person: shapes, recent intervals, which shape is normal."""

    def __init__(self) -> None:
        self.shapes = Shapes()
        self._rhythm = Rhythm()
        self._often: dict[int, float] = {}  # in-time beats of each shape, of late
        self._widths: dict[int, float] = {}
        self._p = np.empty(0)  # the sign "p" of the latest beats in time

    def meet(
        self, windows: np.ndarray, good: np.ndarray, rr: np.ndarray
    ) -> tuple[np.ndarray, Timing]:
        """The shapes int64 [G] of the good beats of the next core, and every beat's timing.

        windows: float32 [B, T, C] in mV; good: bool [B]; rr: [B] in s, NaN where unknown.
        """
        timing = self._rhythm.timing(rr.astype(np.float64))
        shape = self.shapes.update(windows[good], timing.early[good])
        width = qrs_width(windows[good])
        held = set(self.shapes.number.tolist())
        self._often = {n: count * _FADE for n, count in self._often.items() if n in held}
        self._widths = {n: width for n, width in self._widths.items() if n in held}
        for number in np.intersect1d(shape, self.shapes.number).tolist():
            own = shape == number
            in_time = int((own & ~timing.early[good]).sum())
            self._often[number] = self._often.get(number, 0.0) + in_time
            change = float(np.median(width[own])) - self._widths.get(number, 0.0)
            weight = 0.3 if number in self._widths else 1.0
            self._widths[number] = self._widths.get(number, 0.0) + weight * change
        return shape, timing

    def normal(self) -> tuple[np.ndarray, float]:
        """The person's normal beat float32 [T, C] in mV, and its QRS width in ms.

        ValueError before the first good beat.
        """
        most = max(self._often.values())
        often = [number for number, count in self._often.items() if count >= _AS_OFTEN * most]
        number = min(often, key=lambda shape: (self._widths[shape], shape))
        row = int(np.flatnonzero(self.shapes.number == number)[0])
        return self.shapes.recent[row], self._widths[number]

    def signs(
        self,
        windows: np.ndarray,
        timing: Timing,
        *,
        after: np.ndarray,
        prematurity: np.ndarray,
        score: np.ndarray,
    ) -> np.ndarray:
        """SIGNS of the next good beats, float32 [B, K]: windows [B, T, C] in mV, the rest [B].

        They are remembered: what P wave is usual depends on the latest beats.
        """
        normal, width = self.normal()
        p = np.log(1.1 - likeness(windows, normal, _P))
        self._p = np.concatenate([self._p, p[~timing.early]])[-_P_WAVES:]
        with np.errstate(invalid="ignore", divide="ignore"):
            signs = {
                "qrs": np.log(1.02 - likeness(windows, normal, _QRS)),
                "t": np.log(1.1 - likeness(windows, normal, _T)),
                "height": np.log(_deviation(windows) / _deviation(normal[None])),
                "width": np.log((qrs_width(windows) + 10) / (width + 10)),
                **timing_signs(timing, after, prematurity),
                "anomaly": np.log(np.maximum(score, 0.01)),
                **p_wave_signs(p, self._p),
            }
        return stacked(signs)


def p_wave_signs(p: np.ndarray, in_time: np.ndarray) -> dict[str, np.ndarray]:
    """The signs [B] of the P wave, by name, from "p" [B]; in_time: "p" of beats in time, any n."""
    usual = float(np.median(in_time)) if len(in_time) else 0.0
    seen = np.clip((_HIDDEN - usual) / (_HIDDEN - _SEEN), 0, 1)
    return {
        "p": p,
        "seen": np.full(len(p), seen),
        "sinus": seen * np.clip(1 - (p - usual) / _OTHER_P, 0, 1),
    }


def timing_signs(
    timing: Timing, after: np.ndarray, prematurity: np.ndarray
) -> dict[str, np.ndarray]:
    """The signs [B] of timing, by name; after: the intervals that follow, in s."""
    return {
        "interval": timing.interval,
        "early": np.where(timing.early, -timing.interval, 0),
        "step": timing.step,
        "pause": np.log(after / timing.usual),
        "irregularity": np.log(timing.irregularity + 0.01),
        "prematurity": prematurity,
    }


def stacked(signs: dict[str, np.ndarray]) -> np.ndarray:
    """Signs [B] by name in the order of SIGNS, float32 [B, K]; 0 where one is unknown."""
    columns = np.stack([signs[name] for name in SIGNS], axis=1)
    return np.nan_to_num(columns, posinf=0, neginf=0).astype(np.float32)


class Rhythm:
    """The timing of consecutive beats: it remembers the intervals before."""

    def __init__(self) -> None:
        self._recent = np.empty(0)  # log RR of the latest beats, NaN where unknown
        self._accepted: list[float] = []  # of the latest that were neither early nor late
        self._run = self._halved = 0
        self._early = False
        self._balance: list[int] = []  # of the latest: 1 for a late one, -1 for an early one

    def timing(self, rr: np.ndarray) -> Timing:
        """The timing of the next beats, whose intervals are rr [B] in s, NaN where unknown."""
        if not len(rr):
            none = np.empty(0)
            return Timing(none, none, none, none, np.empty(0, bool))
        own = np.log(np.where(rr > 0, rr, np.nan))
        padding = np.full(MEMORY - len(self._recent), np.nan)
        log_rr = np.concatenate([padding, self._recent, own])
        irregular = irregularity(log_rr)
        bound = np.maximum(_EARLY, _EARLY_IRREGULARITIES * irregular)
        each = [self._next(log_rr[: MEMORY + n + 1], bound[n]) for n in range(len(own))]
        usual, early = np.array(each).reshape(-1, 2).T
        self._recent = log_rr[-MEMORY:]
        step = own - log_rr[MEMORY - 1 : -1]
        return Timing(own - usual, step, np.exp(usual), irregular, early > 0)

    def _next(self, log_rr: np.ndarray, bound: float) -> tuple[float, bool]:
        """Log of the usual interval before the beat whose own is the last; whether it is early."""
        own, before = float(log_rr[-1]), float(log_rr[-2])
        usual = median(self._accepted) if self._accepted else own
        if own != own:
            self._early = False
            return usual, False
        short = own - usual < -bound
        self._early = bool(short and (self._early or before - own > _ABRUPT * bound))
        late = own - usual > max(_LATE, bound)
        self._balance = [*self._balance, int(late) - int(self._early)][-_STEADY:]
        if not self._early and not late:
            self._accepted = [*self._accepted, own][-_USUAL:]
        self._run = self._run + 1 if self._early else 0
        is_half = abs(usual - own - _HALF) < _NEAR_HALF
        self._halved = self._halved + 1 if is_half else 0
        if sum(self._balance) >= _OUTNUMBERED:
            recent = log_rr[-_STEADY:]
            anew = float(np.nanquantile(recent, [0.5, _LONG]).mean())
            self._begin_anew([anew] * _USUAL)
        elif self._run >= _TOO_MANY or self._halved >= _HALVED:
            recent = log_rr[-_USUAL:]
            self._begin_anew(recent[np.isfinite(recent)].tolist())
        return usual, self._early

    def _begin_anew(self, accepted: list[float]) -> None:
        self._accepted, self._balance = accepted, []
        self._run = self._halved = 0


def irregularity(log_rr: np.ndarray) -> np.ndarray:
    """Median change between log RR intervals [MEMORY + B] at the last B; 0 where none is known.

    NaN stands for an unknown interval. It is the least over the interval before and those two,
    three and four before, so that bigeminy, trigeminy and quadrigeminy are regular.
    """
    changes = [
        _medians(np.abs(log_rr[lag:] - log_rr[:-lag])[max(_LAGS) - lag + 1 :], _STEADY)
        for lag in _LAGS
    ]
    changes[-1] = np.where(changes[-1] < _REPEATS, changes[-1], np.nan)
    least = np.fmin.reduce([*changes, np.full(len(log_rr) - MEMORY, 1.0)])
    least[np.isnan(np.stack(changes)).all(axis=0)] = 0.0
    return least


def in_fibrillation(signs: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The signs [B, K] with those beats `inside` bool [B] an irregular rhythm without P waves.

    What single beats seem to show there is chance: no P waves are seen, and the rhythm is at least
    as irregular as for half of these beats.
    """
    signs = signs.copy()
    irregular, seen = SIGNS.index("irregularity"), SIGNS.index("seen")
    if inside.any():
        usual = np.median(signs[inside, irregular])
        signs[inside, irregular] = np.maximum(signs[inside, irregular], usual)
        signs[inside, seen] = 0
    return signs


def _medians(values: np.ndarray, length: int) -> np.ndarray:
    """Medians of each stretch of so many values without their NaN; NaN where there are no more."""
    stretches = np.sort(sliding_window_view(values, length), axis=1)
    known = np.isfinite(stretches).sum(axis=1)
    rows = np.arange(len(stretches))
    low, high = (np.maximum(known - 1, 0) // 2, np.minimum(known // 2, length - 1))
    return (stretches[rows, low] + stretches[rows, high]) / 2


def likeness(windows: np.ndarray, normal: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    """The highest correlation [B] of beats [B, T, C] with one [T, C] over shifts of up to 25 ms.

    span: the part of the normal beat, in s about the R-peak.
    """
    first, end = (BEFORE + round(second * FS) for second in span)
    model = normal[first:end] - normal[first:end].mean(axis=0)
    best = np.full(len(windows), -1.0, np.float32)
    for shift in _SHIFTS:
        part = windows[:, first + shift : end + shift]
        part = part - part.mean(axis=1, keepdims=True)
        norm = np.sqrt(np.square(part).sum(axis=(1, 2)) * np.square(model).sum())
        best = np.maximum(best, (part * model).sum(axis=(1, 2)) / np.maximum(norm, 1e-9))
    return np.minimum(best, 1.0)


def _deviation(windows: np.ndarray) -> np.ndarray:
    part = windows[:, BEFORE - round(0.1 * FS) : BEFORE + round(0.17 * FS)]
    return np.maximum(part.std(axis=1).max(axis=1), 1e-6)


def qrs_width(windows: np.ndarray) -> np.ndarray:
    """QRS widths [B] in ms of beats [B, T, C] in mV.

    How long the slope, smoothed over 20 ms, stays above a fifth of its highest value about the
    R-peak, breaks of up to 25 ms left out of account. The band-pass widens and narrows it: compare
    it among beats, not with a ruler's.
    """
    part = windows[:, BEFORE - round(0.17 * FS) : BEFORE + round(0.2 * FS)]
    slope = np.abs(np.diff(part, axis=1)).sum(axis=2)
    slope = uniform_filter1d(slope, round(0.02 * FS), axis=1)
    middle = slice(round(0.08 * FS), round(0.25 * FS))
    peak = slope[:, middle].argmax(axis=1) + middle.start
    steep = slope > 0.2 * slope[:, middle].max(axis=1, keepdims=True)
    breaks = round(0.025 * FS)
    bridged = minimum_filter1d(maximum_filter1d(steep, breaks, axis=1), breaks, axis=1)
    calm, place = np.equal(bridged, False), np.arange(steep.shape[1])
    before = np.where(calm & (place < peak[:, None]), place, -1).max(axis=1)
    after = np.where(calm & (place > peak[:, None]), place, len(place)).min(axis=1)
    return (after - before - 1) / FS * 1000
