"""Who trains, who is held out, who tests: index sets into a BeatSet, from data.split_seed alone."""

import hashlib
from dataclasses import dataclass

import numpy as np

from kdjax.datasets.storage import BeatSet
from kdjax.datasets.synthetic_beats.generator import RECORD_GROUPS as SYNTHETIC_GROUPS
from kdjax.errors import InputError

PROTOCOLS = ("beatgan", "interpatient")
FOLDS = 5

# De Chazal et al. 2004, IEEE TBME 51(7): DS1 is train and heldout, DS2 is test. 201 is left out of
# DS1 because 202, in DS2, is the same person.
MITBIH_GROUPS = {
    group: tuple(records.split())
    for group, records in {
        "train": "101 108 109 112 114 116 118 119 122 124 203 205 207 208 215 220 230",
        "heldout": "106 115 209 223",
        "test": "100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 "
        "233 234",
    }.items()
}
_GROUPS = {"mitbih": MITBIH_GROUPS, "synthetic": SYNTHETIC_GROUPS}


@dataclass(frozen=True, eq=False, kw_only=True)
class Split:
    """Ascending int64 indices into a BeatSet.

    train, select, calibrate: normal beats only. select may be looked at while choosing; calibrate
    (thresholds, score fusion) stays untouched until the end. validation: select and labelled
    abnormal beats, for what is reported as oracle. test: normal and abnormal beats.
    """

    protocol: str
    fold: int
    split_seed: int
    train: np.ndarray
    select: np.ndarray
    calibrate: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    fingerprint: str


def split(beats: BeatSet, protocol: str, fold: int, *, split_seed: int) -> Split:
    """The parts of `beats` under "beatgan" (fold 0 to 4) or "interpatient" (fold 0).

    A pure function of the beats, the protocol, the fold and the seed. InputError for another
    protocol or fold, or a negative seed.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"data.protocol is {protocol!r}; choose one of {', '.join(PROTOCOLS)}")
    folds = FOLDS if protocol == "beatgan" else 1
    if fold not in range(folds):
        raise InputError(
            f"data.fold is {fold}; protocol {protocol} has "
            + (f"folds 0 to {folds - 1}" if folds > 1 else "one fold, 0")
        )
    if split_seed < 0:
        raise InputError(f"data.split_seed is {split_seed}; it must not be negative")
    if protocol == "beatgan":
        train, heldout, abnormal, test = _beatgan(beats, fold, split_seed)
    else:
        train, heldout, abnormal, test = _interpatient(beats, split_seed)
    half = len(heldout) // 2
    select, calibrate = heldout[:half], heldout[half:]
    parts = {
        "train": train,
        "select": select,
        "calibrate": calibrate,
        "validation": np.concatenate([select, abnormal]),
        "test": test,
    }
    parts = {part: np.sort(indices).astype(np.int64) for part, indices in parts.items()}
    _check(beats, protocol, parts)
    digest = hashlib.sha256(f"{beats.fingerprint} {protocol} {fold} {split_seed}".encode())
    for part, indices in parts.items():
        digest.update(f" {part} {len(indices)} ".encode() + indices.astype("<i8").tobytes())
    return Split(
        protocol=protocol, fold=fold, split_seed=split_seed, **parts, fingerprint=digest.hexdigest()
    )


def _beatgan(beats: BeatSet, fold: int, seed: int):
    """Fold `fold` of the shuffled normal beats tests, a tenth of the others is held out.

    A tenth of each abnormal class validates, the same in every fold, and nine tenths test.
    """
    normal = _shuffled(np.flatnonzero((beats.label == 0) & beats.near_peak), seed, 0)
    first, last = (len(normal) * k // FOLDS for k in (fold, fold + 1))
    rest = np.concatenate([normal[:first], normal[last:]])
    train, heldout = _nine_to_one(rest)
    test, abnormal = [normal[first:last]], []
    for label in range(1, len(beats.classes)):
        nine, one = _nine_to_one(_shuffled(np.flatnonzero(beats.label == label), seed, label))
        test.append(nine)
        abnormal.append(one)
    return train, heldout, np.concatenate(abnormal), np.concatenate(test)


def _interpatient(beats: BeatSet, seed: int):
    """Normal beats of the training records train, those of the held-out records are held out.

    The held-out records' abnormal beats validate. Every beat of the test records tests: which of
    them lie near an R-peak is asked of no one whose label is to be found.
    """
    groups = _GROUPS.get(beats.name) or _own_groups(beats, seed)
    part = {name: np.isin(beats.record, records) for name, records in groups.items()}
    normal = (beats.label == 0) & beats.near_peak
    return (
        np.flatnonzero(part["train"] & normal),
        _shuffled(np.flatnonzero(part["heldout"] & normal), seed, 0),
        np.flatnonzero(part["heldout"] & (beats.label != 0)),
        np.flatnonzero(part["test"]),
    )


def _own_groups(beats: BeatSet, seed: int) -> dict[str, list[str]]:
    """A fifth of the records tests, a fifth is held out, one of each at least; the others train.

    The order of the records is that of hashes of their names, so that machines agree.
    """
    records = sorted(
        map(str, np.unique(beats.record)),
        key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest(),
    )
    if len(records) < 3:
        raise InputError(
            f"data.protocol is interpatient, which needs 3 records or groups; {beats.name} "
            f"has {len(records)}: use data.protocol=beatgan"
        )
    fifth = max(len(records) // 5, 1)
    return {
        "test": records[:fifth],
        "heldout": records[fifth : 2 * fifth],
        "train": records[2 * fifth :],
    }


def _shuffled(indices: np.ndarray, seed: int, stream: int) -> np.ndarray:
    # NumPy promises the raw bits of a bit generator for ever, permutations it does not.
    keys = np.random.PCG64([seed, stream]).random_raw(len(indices))
    return indices[np.argsort(keys, kind="stable")]


def _nine_to_one(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cut = len(indices) * 9 // 10
    return indices[:cut], indices[cut:]


def _check(beats: BeatSet, protocol: str, parts: dict[str, np.ndarray]) -> None:
    """No beat in two parts, save that validation contains select; no abnormal beat in training."""
    if protocol == "interpatient":
        people = [set(beats.record[parts[p]]) for p in ("train", "validation", "test")]
        _require(sum(map(len, people)) == len(set().union(*people)), "a record is on two sides")
    apart = np.concatenate([parts[p] for p in ("train", "calibrate", "validation", "test")])
    _require(len(np.unique(apart)) == len(apart), "a beat stands in two parts")
    _require(np.isin(parts["select"], parts["validation"]).all(), "validation must contain select")
    for part in ("train", "select", "calibrate"):
        _require((beats.label[parts[part]] == 0).all(), f"{part} must hold normal beats only")


def _require(condition: bool | np.bool_, otherwise: str) -> None:
    """An assertion that no interpreter flag takes out."""
    if not condition:
        raise AssertionError(otherwise)
