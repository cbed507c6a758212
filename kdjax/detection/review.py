"""Reviews: the decisions of a file, and the detection after them; see `decisions`."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kdjax import beats as pipeline
from kdjax import filters
from kdjax.detection.deciding import Beats
from kdjax.detection.decisions import Replay, moved, numbers_of
from kdjax.detection.events import WITHOUT_P, find_events, trimmed
from kdjax.detection.families import Family
from kdjax.detection.kinds import ABNORMAL, KINDS
from kdjax.detection.notes import long_pauses, many_abnormal
from kdjax.detection.recording import Detection
from kdjax.detection.report import beats_digest
from kdjax.detection.signs import Rhythm, qrs_width
from kdjax.detection.summary import without_artefacts
from kdjax.detection.tape import RATE
from kdjax.errors import InputError
from kdjax.files import read_json

FORMAT = 1
_EXAMPLES = np.array([1 / 6, 1 / 2, 5 / 6])  # where in a family its three examples lie
_AROUND = 2  # s about a beat that are filtered
_AVERAGED = 1000  # beats
_ROUNDED = 0.01  # beats or s that a spreadsheet may take from a number


def reviewed(detection: Detection, decisions: Sequence[Mapping[str, Any]]) -> Detection:
    """The detection after the decisions; InputError where one does not fit it."""
    replay = Replay(detection)
    for number, decision in enumerate(decisions, 1):
        try:
            replay.apply(decision)
        except (TypeError, ValueError) as error:
            raise InputError(f"decision {number} does not fit this recording: {error}") from error
    beats = replay.beats
    families = [
        moved(replace(family, count=int((beats.family == i).sum())), detection.beats, beats)
        for i, family in enumerate(replay.families)
    ]
    if replay.changed:
        families = _regrouped(families, replay.changed, detection, beats=beats)
    beats = beats._replace(abnormal=np.isin(beats.kind, ABNORMAL))
    hearts = without_artefacts(beats)
    without_p = [event for event in detection.events if event.name == WITHOUT_P]
    found = find_events(hearts, detection.fs, trimmed(hearts, without_p, detection.fs))
    events = replay.settled(found, hearts)
    answered = set(many_abnormal(detection.beats) if _names_first(decisions) else ())
    if not any(event.name == "pause" for event in events):
        answered |= set(long_pauses(detection.beats, detection.fs))
    return replace(
        detection,
        beats=beats,
        notes=tuple(note for note in detection.notes if note not in answered),
        families=tuple(families),
        events=events,
    )


def _names_first(decisions: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the largest family has a name."""
    return any(1 in numbers_of(decision) for decision in decisions)


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
    slow = signal[reach[:, None] + centres]  # [t, B, C]: all are filtered as one signal's leads
    middle = _AROUND * pipeline.FS
    window = slice(middle - pipeline.BEFORE, middle + pipeline.AFTER)
    up = pipeline.FS // RATE
    taps = filters.resampling(up, 1)
    fast = filters.resample(slow.reshape(len(reach), -1), up, 1, taps=taps)
    beats = pipeline.bandpass(fast, pipeline.FS)[window].reshape(-1, *slow.shape[1:])
    return beats.mean(axis=1), beats.std(axis=1)


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
        if not number:
            raise InputError(f"{path}: a row has no family; name a families.csv")
        is_known = re.fullmatch(r"\d{1,9}", number) and 1 <= int(number) <= len(detection.families)
        if not is_known:
            raise InputError(
                f"{path}: there is no family {number[:20]}; families are numbered 1 to "
                f"{len(detection.families)}"
            )
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
