"""RR intervals of rhythms that few records of a database have, as textbooks describe them.

In some every beat is normal, though many come early or late; in others some are premature.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

Rng = np.random.Generator

SECONDS = (0.6, 1.1)  # of a sinus interval


def fibrillation(rng: Rng, beats: int) -> np.ndarray:
    """Atrial fibrillation: intervals that do not depend on one another, [B] in s."""
    mean, variation = rng.uniform(0.5, 1.0), rng.uniform(0.1, 0.28)
    shape = variation**-2
    return np.maximum(rng.gamma(shape, mean / shape, beats), 0.3)


def flutter(rng: Rng, beats: int) -> np.ndarray:
    """Atrial flutter: every second to fifth wave is conducted, in turns."""
    wave = rng.uniform(0.18, 0.25)
    waves = _in_turns(rng, beats, among=(2, 3, 4, 5), weight=(2.0, 1.5, 2.0, 0.3))
    return wave * waves * (1 + rng.normal(0, 0.015, beats))


def second_degree_block(rng: Rng, beats: int) -> np.ndarray:
    """AV block of type II: each P wave is conducted, or every second or third, in turns."""
    sinus = rng.uniform(0.5, 0.95)
    waves = _in_turns(rng, beats, among=(1, 2, 3), weight=(2.0, 1.5, 0.15))
    return sinus * waves * np.exp(_breathing(rng, beats, 0.03)) * (1 + rng.normal(0, 0.01, beats))


def wenckebach(rng: Rng, beats: int) -> np.ndarray:
    """AV block of type I: PR lengthens by less each beat, until a P wave is not conducted."""
    sinus, size, intervals = rng.uniform(*SECONDS), rng.uniform(2.5, 6), []
    while len(intervals) < beats:
        if rng.random() < 0.1:
            steady = rng.integers(5, 40)
            intervals += (sinus * np.exp(rng.normal(0, 0.015, steady))).tolist()
        conducted = max(2, round(rng.normal(size, 0.8)))
        longer = rng.uniform(0.05, 0.15) * 0.5 ** np.arange(conducted - 1)
        intervals += [*(sinus + longer), 2 * sinus - longer.sum()]
    return np.array(intervals[:beats])


def sinus_arrhythmia(rng: Rng, beats: int) -> np.ndarray:
    """Sinus rhythm that breathing changes by 8 to 20 %."""
    change = _breathing(rng, beats, rng.uniform(0.08, 0.2))
    return rng.uniform(*SECONDS) * np.exp(change + rng.normal(0, 0.02, beats))


def sinus_pauses(rng: Rng, beats: int) -> np.ndarray:
    """Sinus rhythm with single pauses of 1.4 to 2.2 times the interval."""
    intervals = rng.uniform(*SECONDS) * np.exp(rng.normal(0, 0.02, beats))
    pause = rng.random(beats) < rng.uniform(0.02, 0.15)
    return intervals * np.where(pause, rng.uniform(1.4, 2.2, beats), 1.0)


def premature(
    rng: Rng, beats: int, *, share: tuple[float, float], run: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Sinus rhythm in which a share of the beats begins a run of up to so many premature ones.

    They reset the sinus node: a longer interval follows. Intervals [B] in s; which are premature.
    """
    sinus, coupled, often = rng.uniform(*SECONDS), rng.uniform(0.5, 0.8), rng.uniform(*share)
    ratios, early = [], []
    while len(ratios) < beats:
        length = int(rng.integers(1, run + 1)) if rng.random() < often else 0
        ratios += [coupled] * length + [rng.uniform(1.0, 1.3) if length else 1.0]
        early += [True] * length + [False]
    return sinus * _varied(rng, np.array(ratios[:beats])), np.array(early[:beats])


def patterned(rng: Rng, beats: int, *, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Bigeminy, where every second beat is premature, and so on; as `premature` gives them."""
    coupled, longer = rng.uniform(0.5, 0.8), rng.uniform(1.03, 1.25)
    place = np.arange(beats) % every
    ratios = np.select([place == 0, place == 1], [coupled, longer], 1.0)
    return rng.uniform(*SECONDS) * _varied(rng, ratios), place == 0


RHYTHMS: dict[str, Callable[[Rng, int], np.ndarray]] = {
    "atrial fibrillation": fibrillation,
    "atrial flutter": flutter,
    "AV block, Wenckebach": wenckebach,
    "AV block, type II": second_degree_block,
    "sinus arrhythmia": sinus_arrhythmia,
    "sinus pauses": sinus_pauses,
}
PREMATURE: dict[str, Callable[[Rng, int], tuple[np.ndarray, np.ndarray]]] = {
    "single premature beats": partial(premature, share=(0.03, 0.15)),
    "runs of premature beats": partial(premature, share=(0.03, 0.15), run=5),
    "many premature beats": partial(premature, share=(0.2, 0.5)),
    "bigeminy": partial(patterned, every=2),
    "trigeminy": partial(patterned, every=3),
    "quadrigeminy": partial(patterned, every=4),
}
WITHOUT_P = ("atrial fibrillation", "atrial flutter")


def _varied(rng: Rng, ratios: np.ndarray) -> np.ndarray:
    beats = len(ratios)
    return ratios * np.exp(_breathing(rng, beats, 0.03) + rng.normal(0, 0.02, beats))


def _in_turns(rng: Rng, beats: int, *, among: Sequence[int], weight: Sequence[float]) -> np.ndarray:
    """One of some numbers for each beat [B], drawn anew now and then."""
    share = rng.dirichlet(weight)
    anew = rng.random(beats) > rng.uniform(0.3, 0.97)
    anew[0] = True
    drawn = rng.choice(among, size=beats, p=share)
    return drawn[np.maximum.accumulate(np.where(anew, np.arange(beats), 0))]


def _breathing(rng: Rng, beats: int, most: float) -> np.ndarray:
    """Log changes [B] of up to `most`, over three to six beats a breath."""
    return most * np.sin(2 * np.pi * np.arange(beats) / rng.uniform(3, 6))
