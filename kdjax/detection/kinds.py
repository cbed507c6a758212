"""Kinds of beats: opinions about single beats and the families they belong to.

A beat is ventricular where its shape and its family's tell it from the person's normal beat,
supraventricular where its shape is normal, it comes too early for the rhythm around it, and its P
wave, if P waves can be seen, is not the usual one. Two logistic scores of the beat's signs
(`signs`) and of their medians over its shape say how likely each is. Their weights were fitted with
the labelled beats of MIT-BIH's DS1 (without record 201, whose person DS2 holds, too): they are
constants here, no label of a new person is ever needed.
Fusion beats (F) look like both and are not told apart; only a reviewer gives F or Q (undecided).
"""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kdjax.detection.shapes import POOLED
from kdjax.detection.signs import SIGNS
from kdjax.errors import InputError

KINDS = {
    "N": "normal",
    "S": "supraventricular",
    "V": "ventricular",
    "F": "fusion",
    "Q": "undecided",
    "X": "artefact",
}
HEARTBEATS = ("N", "S", "V", "F", "Q")
ABNORMAL = HEARTBEATS[1:]
UNSCORED = -2  # the shape of a beat that is not scored

_REMEMBERED = 64  # beats of a shape, whose medians a stream decides with
_MAIN = 6  # shapes that hold most beats, where shapes are few
# The sign "qrs" of a shape at correlations of 0.98 and 0.90 with the normal QRS complex: up to the
# first it is the normal shape, from the second on another.
_LIKE, _UNLIKE = np.log(0.04), np.log(0.12)
_STEADY = 0.08  # irregularity at which timing says half as much
_SHORTER = 0.08  # of log RR below the usual one
_BY_P_WAVES = 0.3  # how steady a rhythm counts at least whose P waves are seen well
_BY_SINUS = 0.8  # of timing's weight, which a beat loses whose P wave is surely the usual one
_PLACES = "hazen"  # of quantiles: those of `normal_scores`
_SIGN = {name: column for column, name in enumerate(SIGNS)}


class Opinion(NamedTuple):
    """About beats, float64 [B]: the log odds of being ventricular, and of being supraventricular
    if not ventricular."""

    ventricular: np.ndarray
    supraventricular: np.ndarray

    @property
    def score(self) -> np.ndarray:
        """The larger of the two log odds [B]."""
        return np.maximum(self.ventricular, self.supraventricular)

    def kind(self, threshold: float) -> np.ndarray:
        """N where the score is not above the threshold, else V or S, whichever is likelier [B]."""
        ventricular, early = map(_probability, self)
        likelier = np.where(ventricular > (1 - ventricular) * early, "V", "S")
        return np.where(self.score > threshold, likelier, "N")

    def confidence(self, kind: np.ndarray) -> np.ndarray:
        """How likely each beat [B] is of the kind it was given, float32 in [0, 1]."""
        ventricular, early = map(_probability, self)
        by_kind = {
            "N": (1 - ventricular) * (1 - early),
            "S": (1 - ventricular) * early,
            "V": ventricular,
        }
        return np.select([kind == name for name in by_kind], list(by_kind.values())).astype(
            np.float32
        )


class Groups(NamedTuple):
    """Medians over shapes. number: int64 [F], ascending; median: float32 [F, K] of SIGNS; share:
    float64 [F], of all beats."""

    number: np.ndarray
    median: np.ndarray
    share: np.ndarray


def grouped(signs: np.ndarray, shape: np.ndarray) -> Groups:
    """Medians of signs [B, K] over shapes int64 [B]; beats without one are left out."""
    number, count = np.unique(shape[shape >= 0], return_counts=True)
    order = np.argsort(shape, kind="stable")
    first = np.searchsorted(shape[order], number)
    parts = [order[a : a + n] for a, n in zip(first, count, strict=True)]
    median = [np.median(signs[part], axis=0) for part in parts]
    return Groups(
        number,
        np.array(median, np.float32).reshape(len(number), signs.shape[1]),
        count / max(count.sum() + (shape == POOLED).sum(), 1),
    )


class Memory:
    """The signs of the latest 64 beats of each shape."""

    def __init__(self) -> None:
        self._signs: dict[int, np.ndarray] = {}
        self._median: dict[int, np.ndarray] = {}
        self._count: dict[int, int] = {}
        self._beats = 0

    def add(self, signs: np.ndarray, shape: np.ndarray, held: np.ndarray) -> None:
        """Beats' signs [B, K] and shapes [B]; held: the numbers of the shapes that are kept."""
        for number in np.unique(shape[np.isin(shape, held)]).tolist():
            own = signs[shape == number]
            old = self._signs.get(number, own[:0])
            self._signs[number] = np.concatenate([old, own])[-_REMEMBERED:]
            self._median[number] = np.median(self._signs[number], axis=0)
            self._count[number] = self._count.get(number, 0) + len(own)
        for number in set(self._signs) - set(held.tolist()):
            del self._signs[number], self._median[number], self._count[number]
        self._beats += len(shape)

    def groups(self) -> Groups:
        """The medians over the shapes that are kept."""
        number = sorted(self._signs)
        return Groups(
            np.array(number, np.int64),
            np.array([self._median[n] for n in number], np.float32).reshape(-1, len(SIGNS)),
            np.array([self._count[n] for n in number]) / max(self._beats, 1),
        )


def opinion(
    signs: np.ndarray, shape: np.ndarray, groups: Groups, *, model: dict | None = None
) -> Opinion:
    """The opinion about beats of signs [B, K] and shapes [B].

    A beat whose shape has no medians speaks for itself. model: of `read_model` unless it is given.
    """
    model = model or read_model()
    return Opinion(
        _log_odds(model["V"], ventricular_terms(signs, shape, groups)),
        supraventricular(signs, model),
    )


def supraventricular(signs: np.ndarray, model: dict) -> np.ndarray:
    """The log odds [B] of being supraventricular if not ventricular, of beats of signs [B, K]."""
    return _log_odds(model["S"], supraventricular_terms(signs))


def numbered(shape: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """A number int64 [B] for each shape [B] and kind [B] of HEARTBEATS."""
    place = np.select([kind == name for name in HEARTBEATS], range(len(HEARTBEATS)))
    return len(HEARTBEATS) * shape + place


def ventricular_terms(
    signs: np.ndarray, shape: np.ndarray, groups: Groups
) -> dict[str, np.ndarray]:
    """What speaks for and against a ventricular beat, by name, each float64 [B].

    To be early speaks for it only as far as the shape is not the person's normal one: early beats
    of that shape are supraventricular, however many they are.
    """
    of_shape, share = _of_shape(signs, shape, groups)
    own = {name: signs[:, column].astype(np.float64) for name, column in _SIGN.items()}
    median = {name: of_shape[:, column].astype(np.float64) for name, column in _SIGN.items()}
    few = 1 - np.sort(groups.share)[::-1][:_MAIN].sum()
    differs = np.clip((median["qrs"] - _LIKE) / (_UNLIKE - _LIKE), 0, 1)
    return {
        "shape's qrs": median["qrs"],
        "shape's t": median["t"],
        "shape is wide": np.clip(median["width"], 0, 1),
        "shape is low": np.clip(-median["height"], 0, 2),
        "shape differs, is early": differs * _below(median["interval"]),
        "shape's pause": _above(median["pause"]),
        "shape's anomaly": np.clip(median["anomaly"], -1, 4),
        "shape's share": np.log(share + 1e-3),
        "many shapes": np.full(len(signs), few),
        "qrs": own["qrs"],
        "shape differs, early": differs * _below(own["interval"]),
        "pause": _above(own["pause"]),
    }


def supraventricular_terms(signs: np.ndarray) -> dict[str, np.ndarray]:
    """What speaks for and against a supraventricular beat, if it is not ventricular.

    Timing says less where the rhythm is irregular and no P waves are seen, as in atrial
    fibrillation. It also says less of a beat with the usual P wave: that comes from the sinus
    node, and only conduction or rate has changed. A supraventricular beat resets the sinus node,
    so the interval after it is the longer one; a heart that only beats faster, or conducts again,
    has none.
    """
    own = {name: signs[:, column].astype(np.float64) for name, column in _SIGN.items()}
    irregularity = np.exp(own["irregularity"]) - 0.01
    regular = _STEADY**2 / (_STEADY**2 + np.square(irregularity))
    steady = np.maximum(regular, _BY_P_WAVES * own["seen"])
    longer = np.where(own["interval"] < -_SHORTER, own["pause"] - own["interval"], 0)
    ectopic = 1 - _BY_SINUS * own["sinus"]
    return {
        "early": ectopic * np.clip(own["early"], 0, 0.8) * steady,
        "step": ectopic * np.minimum(10 * _below(own["step"]) * steady, 4),
        "premature": ectopic * np.clip(own["prematurity"], -1, 4) * steady,
        "longer after": ectopic * np.clip(longer, 0, 0.7) * steady,
        "p": own["p"],
        "qrs": own["qrs"],
    }


def _of_shape(
    signs: np.ndarray, shape: np.ndarray, groups: Groups
) -> tuple[np.ndarray, np.ndarray]:
    """Medians [B, K] and share [B] of each beat's shape, or its own signs where it has none."""
    if not len(groups.number):
        return signs, np.zeros(len(shape))
    row = np.minimum(np.searchsorted(groups.number, shape), len(groups.number) - 1)
    known = groups.number[row] == shape
    return (
        np.where(known[:, None], groups.median[row], signs),
        np.where(known, groups.share[row], 0.0),
    )


def _below(log_ratio: np.ndarray) -> np.ndarray:
    return np.clip(-log_ratio, 0, 1)


def _above(log_ratio: np.ndarray) -> np.ndarray:
    return np.clip(log_ratio, 0, 0.7)


def _probability(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(log_odds, -30, 30)))


def _log_odds(weights: dict[str, float], terms: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(
        weights["constant"] + sum(weights[name] * values for name, values in terms.items())
    )


# --- thresholds --------------------------------------------------------------------------------


def threshold(fpr: float) -> float:
    """The score that a share `fpr` of the normal beats of others exceeds.

    Those beats are DS1's; each record was scored with weights fitted on the other records.
    InputError for a rate that is not between 0 and 1, or too small for so many beats.
    """
    if not 0 < fpr < 1:
        raise InputError(f"fpr is {fpr}; it must lie between 0 and 1")
    normal = normal_scores()
    if fpr * len(normal) < 1:
        raise InputError(
            f"no threshold is known for a false-positive rate of {fpr:g}; ask for "
            f"{1 / len(normal):g} or more, or give the threshold"
        )
    return float(np.quantile(normal, 1 - fpr, method=_PLACES))


def normalised(score: np.ndarray) -> np.ndarray:
    """The share of normal beats that score no higher, [B] in [0, 1]; NaN stays NaN."""
    normal = normal_scores()
    share = np.searchsorted(normal, score, side="right") / len(normal)
    return np.where(np.isnan(score), np.nan, share)


def normal_scores() -> np.ndarray:
    """Quantiles float64 [n] of the scores of other people's normal beats, at (i + 0.5) / n."""
    return np.array(read_model()["normal"])


def normal_count() -> int:
    """How many normal beats have these scores."""
    return read_model()["normal_beats"]


@cache
def read_model() -> dict:
    """The weights of both scores by the names of their terms, and what normal beats score."""
    return json.loads(Path(__file__).with_suffix(".json").read_text())
