"""What an annotator says, in the words of EC57: beats of five classes, and breaks between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdjax.recordings import Annotations

BEATS = "NSVFQ"  # normal, supraventricular ectopic, ventricular ectopic, fusion, paced or unknown

# Symbols: https://physionet.org/physiotools/wpg/wpg_36.htm. The WFDB tools, and BeatGAN with
# them, count atrial and nodal escape beats (e, j) as supraventricular ectopic.
WFDB = {
    symbol: beat
    for beat, symbols in zip(BEATS, ("NLRB", "AaJSnej", "VEr", "F", "/fQ?"), strict=True)
    for symbol in symbols
}
# Escape beats are normal in the classes that most papers call AAMI's, after de Chazal et al.
# (IEEE Trans. Biomed. Eng. 51, 2004).
AAMI = WFDB | {"e": "N", "j": "N"}
CLASSES: Mapping[str, Mapping[str, str]] = {"wfdb": WFDB, "aami": AAMI}

NOISE = "~"
_UNREADABLE = 0x30  # both bits set in a noise annotation's subtype: shutdown
_FLUTTER_ON, _FLUTTER_WAVE, _FLUTTER_OFF = "[", "!", "]"
_RHYTHM = "+"
_ATRIAL_FIBRILLATION = ("(AFIB", "(AFL")


@dataclass(frozen=True, eq=False, kw_only=True)
class Labels:
    """One annotator's beats in time order; times are samples.

    `sample` int64 [B] and `kind` int8 [B], an index into BEATS. `shutdown` int64 [S, 2]: first and
    last sample of each stretch that the annotator did not analyse. `breaks` int64 [K], sorted:
    where a shutdown or ventricular flutter begins. No RR interval spans one. `atrial` int64 [R, 2]:
    atrial fibrillation and flutter; `flutter` int64 [F, 2]: ventricular flutter or fibrillation;
    `waves` int64 [W]: its waves.
    """

    sample: np.ndarray
    kind: np.ndarray
    shutdown: np.ndarray
    breaks: np.ndarray
    atrial: np.ndarray
    flutter: np.ndarray
    waves: np.ndarray


def read(annotations: Annotations, classes: Mapping[str, str], window: int) -> Labels:
    """An annotator's labels; a symbol that is not in `classes` is no beat.

    `window`, in samples: a shutdown that is marked once begins so long after the annotation before
    it and ends so long before the next one.
    """
    order = np.argsort(annotations.sample, kind="stable")
    sample, symbol = annotations.sample[order].astype(np.int64), annotations.symbol[order]
    subtype = np.zeros(len(order), int) if annotations.subtype is None else annotations.subtype
    note = np.full(len(order), "") if annotations.note is None else annotations.note
    subtype, note = subtype[order], note[order]

    kind = np.full(len(symbol), -1, np.int8)
    for name in np.unique(symbol):
        if name in classes:
            kind[symbol == name] = BEATS.index(classes[name])
    beat = kind >= 0
    shutdown = _shutdown(sample, symbol, subtype, beat=beat, window=window)
    flutter = _between(sample, symbol == _FLUTTER_ON, symbol == _FLUTTER_OFF)
    rhythm = symbol == _RHYTHM
    atrial = rhythm & np.isin(note, _ATRIAL_FIBRILLATION)
    return Labels(
        sample=sample[beat],
        kind=kind[beat],
        shutdown=shutdown,
        breaks=np.sort(np.concatenate([shutdown[:, 0], flutter[:, 0]])),
        atrial=_between(sample, atrial, rhythm & (note != "")),
        flutter=flutter,
        waves=sample[symbol == _FLUTTER_WAVE],
    )


def within(sample: np.ndarray, stretches: np.ndarray) -> np.ndarray:
    """bool [B]: which samples lie in one of the stretches [S, 2], their ends included."""
    begun = np.searchsorted(np.sort(stretches[:, 0]), sample, "right")
    over = np.searchsorted(np.sort(stretches[:, 1]), sample, "left")
    return begun > over


def _between(sample: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """int64 [S, 2]: from each start to the next end, or to the last annotation."""
    first, end = np.flatnonzero(starts), np.flatnonzero(ends)
    stops = np.append(end, len(sample) - 1)[np.searchsorted(end, first, "right")]
    return np.stack([sample[first], sample[stops]], axis=1)


def _shutdown(
    sample: np.ndarray, symbol: np.ndarray, subtype: np.ndarray, *, beat: np.ndarray, window: int
) -> np.ndarray:
    """int64 [S, 2]: the stretches that a detector did not analyse; see the manual page of bxb.

    A shutdown ends at the next noise annotation of another subtype. Where a beat comes first, the
    one mark stands for an unreadable stretch around it, as in the AHA database.
    """
    noise = symbol == NOISE
    off = noise & ((subtype & _UNREADABLE) == _UNREADABLE)
    marks, never = np.flatnonzero(off), len(sample)
    resumed, next_beat = (
        np.append(places, never)[np.searchsorted(places, marks)]
        for places in (np.flatnonzero(noise & ~off), np.flatnonzero(beat))
    )
    stretches: list[tuple[Any, Any]] = []
    for mark, end, after in zip(marks, resumed, next_beat, strict=True):
        if stretches and sample[mark] <= stretches[-1][1]:
            continue  # a second mark in the same stretch
        if after < end:
            first = sample[mark - 1] + window if mark else 0
            last = sample[after] - window
            stretches.append((min(first, sample[mark]), max(last, sample[mark])))
        else:
            stretches.append((sample[mark], sample[min(end, never - 1)]))
    return np.array(stretches, np.int64).reshape(-1, 2)
