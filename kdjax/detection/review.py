"""What a person decides about a detection, as plain data, and what follows from it.

A decision is one of five mappings, as in review.json:

    {"family": 3, "kind": "V"}          all beats of family 3 are ventricular
    {"families": [4, 9], "kind": "V"}   the same of several families
    {"beat": 81234, "kind": "N"}        the beat at this sample is normal, whatever its family
    {"merge": [3, 7]}                   the beats of family 7 become family 3's, and take its kind
    {"split": 3, "beats": [812, 1730]}  these beats of family 3 become a new family, the last one

Families are numbered from 1, as in the files. Decisions are applied in their order to what was
detected. A beat that was named alone keeps its kind. The page's script does the same
(kdjax/pages/script/review.js); both are tested against the same cases.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kdjax import beats as pipeline
from kdjax import filters
from kdjax.detection.deciding import Beats
from kdjax.detection.events import WITHOUT_P, find_events, trimmed
from kdjax.detection.families import Family
from kdjax.detection.notes import many_abnormal
from kdjax.detection.recording import Detection
from kdjax.detection.report import beats_digest
from kdjax.detection.signs import Rhythm, qrs_width
from kdjax.detection.summary import KINDS, without_artefacts
from kdjax.detection.tape import RATE
from kdjax.errors import InputError
from kdjax.files import read_json

FORMAT = 1
_EXAMPLES = np.array([1 / 6, 1 / 2, 5 / 6])  # where in a family its three examples lie
_AROUND = 2  # s about a beat that are filtered
_AVERAGED = 1000  # beats
_NOT_NORMAL = ("S", "V", "F", "Q")
_ROUNDED = 0.01  # beats or s that a spreadsheet may take from a number


def reviewed(detection: Detection, decisions: Sequence[Mapping[str, Any]]) -> Detection:
    """The detection after the decisions; InputError where one does not fit it."""
    beats, families = detection.beats, list(detection.families)
    beats = beats._replace(
        **{name: getattr(beats, name).copy() for name in ("kind", "family", "confidence")}
    )
    by_hand = np.zeros(len(beats.sample), bool)
    changed: set[int] = set()
    for number, decision in enumerate(decisions, 1):
        try:
            changed |= _apply(decision, beats, families, by_hand=by_hand)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"decision {number} does not fit this recording: {error}") from error
    families = [
        replace(family, count=int((beats.family == i).sum())) for i, family in enumerate(families)
    ]
    if changed:
        families = _regrouped(families, changed, detection, beats=beats)
    beats = beats._replace(abnormal=np.isin(beats.kind, _NOT_NORMAL))
    hearts = without_artefacts(beats)
    answered = set(many_abnormal(detection.beats) if _names_first(decisions) else ())
    return replace(
        detection,
        beats=beats,
        notes=tuple(note for note in detection.notes if note not in answered),
        families=tuple(families),
        events=find_events(
            hearts,
            detection.fs,
            trimmed(hearts, [e for e in detection.events if e.name == WITHOUT_P], detection.fs),
        ),
    )


def _names_first(decisions: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the largest family has a name."""
    return any(1 in numbers_of(decision) for decision in decisions)


def _apply(
    decision: Mapping[str, Any], beats: Beats, families: list[Family], *, by_hand: np.ndarray
) -> set[int]:
    """Applies a decision to `beats`, `families` and `by_hand`; which families have other beats."""
    if "merge" in decision:
        into, *others = (_family(number, families) for number in decision["merge"])
        if not others or len({into, *others}) != len(others) + 1:
            raise ValueError("a merge needs two or more different families")
        moved = np.isin(beats.family, others)
        beats.family[moved] = into
        beats.kind[moved & ~by_hand] = families[into].kind
        return {into, *others}
    if "split" in decision:
        parent = _family(decision["split"], families)
        own = [_beat(sample, beats) for sample in decision["beats"]]
        if not own or (beats.family[own] != parent).any():
            raise ValueError(f"not all beats are of family {parent + 1}")
        beats.family[own] = len(families)
        families.append(families[parent])
        return {parent, len(families) - 1}
    kind = decision.get("kind")
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is none of {', '.join(KINDS)}")
    if "family" in decision or "families" in decision:
        named = [_family(number, families) for number in numbers_of(decision)]
        if not named:
            raise ValueError("it names no family")
        own = np.isin(beats.family, named) & ~by_hand
        for family in named:
            families[family] = replace(families[family], kind=kind, confidence=1.0)
    else:
        own = np.zeros(len(by_hand), bool)
        own[_beat(decision["beat"], beats)] = True
        by_hand |= own
    beats.kind[own] = kind
    beats.confidence[own] = 1.0
    return set()


def numbers_of(decision: Mapping[str, Any]) -> list[Any]:
    """The numbers of the families that a decision names, from 1."""
    if "families" in decision:
        return list(decision["families"])
    return [decision["family"]] if "family" in decision else []


def _family(number: Any, families: Sequence[Family]) -> int:
    if type(number) is not int or not 1 <= number <= len(families):
        raise ValueError(f"there is no family {number!r}")
    return number - 1


def _beat(sample: Any, beats: Beats) -> int:
    place = int(np.searchsorted(beats.sample, sample)) if type(sample) is int else -1
    if not 0 <= place < len(beats.sample) or beats.sample[place] != sample:
        raise ValueError(f"there is no beat at sample {sample!r}")
    return place


def _regrouped(
    families: Sequence[Family], changed: set[int], detection: Detection, *, beats: Beats
) -> list[Family]:
    """The families, those in `changed` as their beats are now."""
    signal = detection.tape.signal()[:, : len(detection.leads)]
    interval = Rhythm().timing(beats.rr.astype(np.float64)).interval
    regrouped = list(families)
    for i in changed:
        own = np.flatnonzero(beats.family == i)
        if len(own):
            mean, spread = _mean_and_spread(signal, beats.sample[own] / detection.fs, families[i])
            typical = np.unique(np.rint(_EXAMPLES * (len(own) - 1)).astype(int))
            regrouped[i] = replace(
                families[i],
                mean=mean,
                spread=spread,
                qrs_ms=float(qrs_width(mean[None])[0]),
                prematurity=float(np.exp(_median(interval[own]))),
                score=_median(beats.score[own]),
                first=int(beats.sample[own[0]]),
                last=int(beats.sample[own[-1]]),
                examples=own[typical],
                unusual=-1,
            )
    return regrouped


def _median(values: np.ndarray) -> float:
    """Of the values that are known, NaN where none is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _mean_and_spread(
    signal: np.ndarray, times: np.ndarray, family: Family
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation float32 [T, C] in mV of beats at `times` in s.

    The tape's signal [n, C] holds 0.5 to 40 Hz; it is brought to the band and rate of all beats.
    Of more than a thousand beats an even share is taken; without a whole window those of `family`.
    """
    centres = np.rint(times * RATE).astype(np.int64)
    reach = np.arange(-_AROUND * RATE, _AROUND * RATE)
    centres = centres[(centres + reach[0] >= 0) & (centres + reach[-1] < len(signal))]
    if not len(centres):
        return family.mean, family.spread
    centres = centres[:: -(-len(centres) // _AVERAGED)]
    slow = signal[centres[:, None] + reach]
    middle = _AROUND * pipeline.FS
    window = slice(middle - pipeline.BEFORE, middle + pipeline.AFTER)
    up = pipeline.FS // RATE
    taps = filters.resampling(up, 1)
    windows = np.stack(
        [pipeline.bandpass(filters.resample(beat, up, 1, taps=taps), pipeline.FS) for beat in slow]
    )[:, window]
    return windows.mean(axis=0), windows.std(axis=0)


def read(path: Path, detection: Detection) -> list[dict[str, Any]]:
    """The decisions of a review.json; InputError where it belongs to another detection."""
    if not path.exists():
        raise InputError(f"{path}: no such file; save the review from report.html first")
    review = read_json(path, "save it again from report.html")
    if not isinstance(review, dict) or review.get("format") != FORMAT:
        raise InputError(f"{path}: not a review in format {FORMAT}; save it from report.html")
    if review.get("beats") != beats_digest(detection):
        raise InputError(
            f"{path}: belongs to another recording or detection; review the report.html of this one"
        )
    if not isinstance(review.get("decisions"), list):
        raise InputError(f"{path}: holds no list of decisions; save it from report.html")
    return review["decisions"]


def from_table(path: Path, detection: Detection) -> list[dict[str, Any]]:
    """The decisions that turn the kinds of a detection's families into those of a families.csv.

    InputError where the file is none, or is that of another detection, as its columns count,
    first_s and last_s tell where they are there.
    """
    kinds: dict[int, str] = {}
    for row in _rows(path):
        number, kind = row["family"].strip(), row["kind"].strip().upper()
        if not number.isdecimal() or not 1 <= int(number) <= len(detection.families):
            raise InputError(f"{path}: there is no family {number}; it has other families")
        if kind not in KINDS:
            raise InputError(
                f"{path}: family {number} has kind {kind!r}; use one of {', '.join(KINDS)}"
            )
        family = detection.families[int(number) - 1]
        if not _same(row, family, detection.fs):
            raise InputError(
                f"{path}: family {number} is another one here; it belongs to another recording or "
                "detection, or was written before families were split or merged: edit the "
                "families.csv of this detection"
            )
        if kinds.setdefault(int(number), kind) != kind:
            raise InputError(f"{path}: family {number} has two kinds; keep one row of it")
    return [
        {"family": number, "kind": kind}
        for number, kind in kinds.items()
        if kind != detection.families[number - 1].kind
    ]


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of a families.csv; separated by semicolons where a spreadsheet wrote them so."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        delimiter = ";" if lines and lines[0].count(";") > lines[0].count(",") else ","
        reader = csv.DictReader(lines, delimiter=delimiter)
        there, rows = {"family", "kind"} <= set(reader.fieldnames or ()), list(reader)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; name a families.csv") from None
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: not a table in UTF-8; name a families.csv") from error
    if not there or any(row["family"] is None or row["kind"] is None for row in rows):
        raise InputError(f"{path}: needs the columns family and kind; name a families.csv")
    return rows


def _same(row: Mapping[str, str], family: Family, fs: float) -> bool:
    """Whether what else a row tells of its family, if anything, is so."""
    own = {"count": family.count, "first_s": family.first / fs, "last_s": family.last / fs}
    try:
        told = {name: float(row[name].replace(",", ".")) for name in own if row.get(name)}
    except ValueError:
        return False
    return all(abs(value - own[name]) < _ROUNDED for name, value in told.items())


def together(
    names: Sequence[dict[str, Any]], own: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Names of an earlier recording, then the decisions about this one, which hold against them."""
    return [*(name for name in names if name not in own), *own]


def as_json(detection: Detection, decisions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What review.json holds."""
    return {
        "format": FORMAT,
        "recording": detection.recording.encode(errors="replace").decode(),
        "beats": beats_digest(detection),
        "decisions": [dict(decision) for decision in decisions],
    }
