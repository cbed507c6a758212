"""Notes: what the user should know about a recording before looking at its scores."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kdjax.beats import FS
from kdjax.detection.cores import Found
from kdjax.detection.deciding import ADAPTED_BEATS, Beats, Decided
from kdjax.detection.events import PAUSE, Event, covered
from kdjax.detection.quality import SEEN_ABOVE_BAND, noise_band
from kdjax.errors import counted
from kdjax.rpeaks import REFRACTORY
from kdjax.scores.fitted import ADAPTATION_SECONDS

_FASTEST = 240.0  # beats a minute, near which every second beat may be missed
_USUAL_RATES = 40.0, 140.0  # median beats a minute, outside of which fs is doubted
_COMPARED = 300  # beats that are compared with the normal one
_INVERTED = 0.3  # of correlation: how much better a beat fits upside down
# Correlation below which a calibration is another's: on DS1 one person of 22 is that unlike their
# own beats of a quarter of an hour earlier, and 81 % of pairs of people are.
_ANOTHER = 0.93
_HEIGHTS = (0.05, 20.0)  # mV: what a beat's height may be before the units are doubted
_MANY = 0.1  # of the scored beats that are not normal
_OTHERS = 0.2  # of the first minutes' beats that are not normal
_ONE_IN_200 = 0.005  # a smaller share would be called 0 %
_IRREGULAR = 60.0  # s of the first minutes that are irregular
_RHYTHMS = ("irregular", "bigeminy", "trigeminy")  # in the names of events

ADDED = "added"  # the quality of a beat that a person adds, which kdjax did not judge

MEANING = {
    "gap": "samples are missing",
    "flat": "the signal does not change",
    "clipped": "the signal is at the limit of its range",
    "hum": "mains hum that remains after its 50 or 60 Hz line was filtered out",
    "muscle": "noise above the ECG's band, as from muscles",
    "motion": "noise inside the ECG's band, as from moving electrodes",
    "edge": "too close to an end of the recording for a whole window",
    ADDED: "a reviewer added these beats, which kdjax did not detect",
}


class Handling:
    """What was done to the signal before beats were looked for, gathered as cores pass by."""

    def __init__(self, fs: float):
        self._fs = fs
        self._notched = defaultdict[float, float](float)  # seconds by mains frequency
        self._bridged = 0
        self._fast: list[tuple[float, float]] = []  # seconds, how often a minute they repeat

    def passing(self, cores: Iterator[Found]) -> Iterator[Found]:
        for found in cores:
            if found.hum:
                self._notched[found.hum] += len(found.samples) / self._fs
            self._bridged += found.bridged
            if found.repeats:
                self._fast.append((len(found.samples) / self._fs, found.repeats))
            yield found

    def facts(self) -> dict[str, Any]:
        """For the summary: Hz resampled to, seconds notched by mains frequency, samples bridged."""
        return {
            "resampled_to_hz": None if self._fs == FS else FS,
            "notched_s": {f"{hertz:g}": seconds for hertz, seconds in self._notched.items()},
            "bridged_samples": self._bridged,
        }

    def notes(self) -> Iterator[str]:
        """What the user should know of it."""
        if self._fs != FS:
            yield f"resampled from {self._fs:g} to {FS} Hz"
        for hertz, seconds in sorted(self._notched.items()):
            yield f"mains hum of {hertz:g} Hz was filtered out of {clock(seconds)}"
        if self._bridged:
            were = "sample was" if self._bridged == 1 else "samples were"
            yield (
                f"{self._bridged} missing {were} bridged by straight lines; gaps of more than "
                "0.1 s are marked"
            )
        if self._fast:
            seconds, rates = np.array(self._fast).T
            yield (
                f"the signal repeats {np.median(rates):.0f} times a minute for "
                f"{clock(seconds.sum())}; the detector is made for human hearts: it expects beats "
                f"at least {REFRACTORY:g} s apart and misses those of faster hearts"
            )


class Likeness:
    """How high the first good beats are, and how much they look like a normal one."""

    def __init__(self, normal: np.ndarray, *, own: bool = False):
        """normal: a normal beat [T, C]; own: whether it is said to be this person's."""
        self._normal, self._own = normal[:, 0], own
        self._beats: list[np.ndarray] = []
        self._heights: list[float] = []

    def add(self, decided: Decided) -> None:
        if len(self._beats) < _COMPARED:
            good = decided.beats.quality == "good"
            self._beats.extend(decided.x[good, :, 0])
            self._heights.extend(decided.beats.height[good])

    def doubts(self) -> Iterator[str]:
        """What should make the user look again."""
        if not self._beats:
            return
        height, own = np.median(self._heights), np.median(self._beats, axis=0)
        if not _HEIGHTS[0] < height < _HEIGHTS[1]:
            high = float(f"{height:.3g}")  # of three digits, without an exponent
            yield f"a usual beat is {high:g} mV high; the unit of the samples is probably wrong"
        if _fit(-own, self._normal) - _fit(own, self._normal) > _INVERTED:
            yield "the lead looks inverted; check whether its electrodes were swapped"
        elif self._own and _fit(own, self._normal) < _ANOTHER:
            yield "usual beats differ from those of the calibration, which may be another person's"


def _fit(beat: np.ndarray, normal: np.ndarray) -> float:
    """The highest correlation [T] with [T] over shifts of up to 50 ms."""
    reach = round(0.05 * FS)
    centred = [values - values.mean() for values in (beat, normal)]
    norm = np.sqrt(np.prod([np.square(values).sum() for values in centred]))
    products = np.correlate(*centred, mode="full")
    middle = len(beat) - 1
    return float(products[middle - reach : middle + reach + 1].max() / max(norm, 1e-12))


def doubts(
    beats: Beats,
    fs: float,
    *,
    bad: Sequence[tuple[float, float, str]],
    adapted_to: int | None,
    seconds: float,
) -> Iterator[str]:
    """What the user should know before looking at the scores; seconds: of the recording."""
    if not len(beats.sample):
        yield f"no beats found: {_why_none(bad)}"
    elif not np.isfinite(beats.score).any():
        yield f"no beat could be scored: {_why_not_scored(beats.quality)}"
    elif adapted_to is not None and adapted_to < ADAPTED_BEATS:
        few = counted(adapted_to, "good beat")
        yield f"the score could adapt to only {few}, so kinds and scores are less certain"
    elif adapted_to is not None and seconds < ADAPTATION_SECONDS:
        yield (
            f"the recording is shorter than {ADAPTATION_SECONDS / 60:g} minutes, so the score "
            f"adapted to its {seconds:.0f} s alone"
        )
    if noise_band(fs) < SEEN_ABOVE_BAND:
        yield f"at {fs:g} Hz, noise cannot be distinguished from the ECG and is not marked"
    known = beats.rr[np.isfinite(beats.rr)]
    if not len(known):  # no two good beats in a row
        known = np.diff(beats.sample) / fs
    if len(known) and 60 / np.median(known) > _FASTEST:
        yield (
            f"the median heart rate is {60 / np.median(known):.0f} beats per minute; the detector "
            f"is made for human hearts, up to {_FASTEST:g}, and misses beats of faster ones; if "
            f"the rate is implausible, check the sampling rate, {fs:g} Hz"
        )
    elif len(known) and not _USUAL_RATES[0] <= (rate := 60 / np.median(known)) <= _USUAL_RATES[1]:
        yield (
            f"the median heart rate is {rate:.0f} beats per minute; if that is implausible, check "
            f"the sampling rate, {fs:g} Hz"
        )
    yield from long_pauses(beats, fs)
    still = [(start, stop) for start, stop, reason in bad if reason == "flat"]
    if still:
        start, stop = max(still, key=lambda stretch: stretch[1] - stretch[0])
        yield (
            f"flat stretches: {len(still)}, the longest of {stop - start:.1f} s, {clock(start)} "
            "after the start; the lead was off, the heart stopped, or the unit of the samples "
            "is wrong"
        )


def long_pauses(beats: Beats, fs: float) -> Iterator[str]:
    """That some RR intervals are longer than two seconds; fs in Hz."""
    pauses = np.flatnonzero(beats.rr > PAUSE)
    if len(pauses):
        longest = pauses[np.argmax(beats.rr[pauses])]
        when = f"{clock(float(beats.sample[longest]) / fs)} after the start"
        seconds = f"{beats.rr[longest]:.1f} s"
        if len(pauses) == 1:
            yield (
                f"an interval of {seconds} without a beat ends {when}; check whether it is a "
                "pause or a missed beat, which kdjax cannot tell apart"
            )
        else:
            yield (
                f"{len(pauses)} intervals of more than {PAUSE:g} s without a beat, the longest of "
                f"{seconds}, ending {when}; check whether they are pauses or missed beats, "
                "which kdjax cannot tell apart"
            )


def _why_none(bad: Sequence[tuple[float, float, str]]) -> str:
    seconds = defaultdict[str, float](float)
    for start, stop, reason in bad:
        seconds[reason] += stop - start
    longest = sorted(seconds.items(), key=lambda item: -item[1])
    parts = [f"{MEANING[reason]} for {clock(time)}" for reason, time in longest]
    return "; ".join(parts) or "nothing in the lead looks like a QRS complex"


def many_abnormal(beats: Beats) -> Iterator[str]:
    """That more than a tenth of the beats are called abnormal."""
    scored = beats.kind != ""
    share = (scored & (beats.kind != "N")).sum() / max(scored.sum(), 1)
    if share > _MANY:
        yield (
            f"{100 * share:.0f} % of the scored beats are called abnormal; check that family 1 is "
            "this person's normal beat, and name the first families on the page"
        )


def doubts_of_kinds(
    beats: Beats, events: Sequence[Event], fs: float, *, span: str | None
) -> Iterator[str]:
    """Where many beats are not normal, or the first minutes are not one rhythm; fs in Hz.

    span: what the score adapted to, as "first 5 minutes"; None where it did not adapt.
    """
    yield from many_abnormal(beats)
    scored = beats.kind != ""
    if span is None or not scored.any():
        return
    other = scored & (beats.kind != "N")
    start = float(beats.sample[scored][0] / fs)
    early = scored & (beats.sample / fs < start + ADAPTATION_SECONDS)
    others = other[early].mean()
    rhythms = (event for event in events if any(rhythm in event.name for rhythm in _RHYTHMS))
    stretches = ((event.first / fs, event.last / fs) for event in rhythms)
    irregular = covered(stretches, start, start + ADAPTATION_SECONDS)
    why = (
        [f"{100 * others:.0f} % of their beats are called abnormal"] if others > _ONE_IN_200 else []
    )
    if irregular:
        why.append(f"{irregular:.0f} s are irregular or in bigeminy or trigeminy")
    if others > _OTHERS or irregular > _IRREGULAR:
        yield (
            f"the {span}, to which the score adapts, are not a steady rhythm: "
            f"{' and '.join(why)}; so kinds are less certain"
        )


def _why_not_scored(quality: np.ndarray) -> str:
    parts = [
        f"{count} {reason} ({MEANING[reason]})" for reason, count in Counter(quality).most_common()
    ]
    return f"of {len(quality)} beats, {', '.join(parts)}"


def clock(seconds: float) -> str:
    """A time from the start as h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
