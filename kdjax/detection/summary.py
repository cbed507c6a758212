"""The numbers of a recording: what summary.json holds."""

import datetime
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from kdjax.detection.deciding import Beats
from kdjax.detection.kinds import ABNORMAL, HEARTBEATS, normal_count
from kdjax.detection.recording import Detection

ANNOTATOR = "kdjax"


def summary(detection: Detection) -> dict[str, Any]:
    """What summary.json holds; None where there is nothing to compute a number from.

    detection: after a review, with its decisions.
    """
    stretches = union(detection.unscorable)
    rate = heart_rate(detection, stretches)
    beats, seconds = without_artefacts(detection.beats), detection.seconds
    scored, abnormal = np.isfinite(beats.score), int(beats.abnormal.sum())
    judged = beats.kind != ""  # scored, or named by a reviewer
    lost = sum(stop - start for start, stop in stretches)
    missed, counts = np.unique(beats.quality[~scored], return_counts=True)
    known = rate[np.isfinite(rate)]
    can_judge = judged.any() and lost < seconds
    per_hour = abnormal / (seconds - lost) * 3600 if can_judge else None
    return {
        "recording": detection.recording,
        "file": detection.file,
        "start": detection.start.isoformat() if detection.start else None,
        "fs": detection.fs,
        "leads": list(detection.leads),
        "seconds": seconds,
        "beats": len(beats.sample),
        "scored": int(scored.sum()),
        "judged": int(judged.sum()),
        "kinds": {kind: int((beats.kind == kind).sum()) for kind in HEARTBEATS},
        "artefacts": len(detection.beats.sample) - len(beats.sample),
        "families": sum(family.count > 0 for family in detection.families),
        "events": _counts([event.name for event in detection.events]),
        "abnormal": abnormal,
        "abnormal_share": abnormal / int(judged.sum()) if judged.any() else None,
        "abnormal_per_hour": per_hour,
        "mean_heart_rate": float(len(known) / np.sum(1 / known)) if len(known) else None,
        "hours": _hours(beats, judged, rate, fs=detection.fs, seconds=seconds),
        "not_scored": dict(zip(missed.tolist(), counts.tolist(), strict=True)),
        "unscorable": {
            "seconds": lost,
            "share": lost / seconds,
            "by_reason": _by_reason(detection.unscorable),
            "stretches": [list(stretch) for stretch in detection.unscorable],
        },
        "threshold": detection.threshold if np.isfinite(detection.threshold) else None,
        "fpr": detection.fpr,
        "normal_beats": normal_count(),
        "score": detection.score,
        "detector": detection.detector,
        "calibration": detection.calibration,
        "notes": list(detection.notes),
        "signal": detection.handling,
        "annotation_file": f"{safe(detection.recording)}.{ANNOTATOR}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "made_by": detection.made_by,
    }


def without_artefacts(beats: Beats) -> Beats:
    """The beats less those that a person calls artefacts.

    The RR interval of the beat after one reaches back over it.
    """
    kept = beats.kind != "X"
    if kept.all():
        return beats
    rr = beats.rr.astype(np.float64)
    unknown = np.isnan(rr)
    starts = np.flatnonzero(np.concatenate([[True], kept[:-1]]))  # of the intervals that join
    whole = np.add.reduceat(np.where(unknown, 0, rr), starts)
    broken = np.add.reduceat(unknown, starts) > 0
    beats = Beats(*(values[kept] for values in beats))
    count = len(beats.sample)
    rr = np.where(broken, np.nan, whole)[:count].astype(np.float32)
    return beats._replace(rr=rr)


def union(unscorable: Sequence[tuple[float, float, str]]) -> list[tuple[float, float]]:
    """Stretches (start, stop, reason) in seconds as (start, stop), ascending, none touching."""
    joined: list[tuple[float, float]] = []
    for start, stop, _ in sorted(unscorable):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined


def heart_rate(detection: Detection, stretches: Sequence[tuple[float, float]]) -> np.ndarray:
    """Beats per minute [B] from the RR interval of each beat that is no artefact.

    NaN where there is no interval, or where it reaches into one of the `stretches` that are not
    scorable: a beat may have been missed there.
    """
    beats = without_artefacts(detection.beats)
    rr = beats.rr.astype(np.float64)
    stop = beats.sample / detection.fs
    starts, stops = np.reshape(np.array(stretches, np.float64), (-1, 2)).T
    before, after = np.searchsorted(starts, stop), np.searchsorted(stops, stop - rr, side="right")
    known = (rr > 0) & (before == after)
    return np.divide(60, rr, where=known, out=np.full(len(rr), np.nan))


def safe(name: str) -> str:
    """The name with what WFDB takes, letters, digits, hyphens, underscores, and not too long."""
    return re.sub(r"[^-0-9A-Za-z_]", "_", name)[:100] or "_"


def _hours(
    beats: Beats, judged: np.ndarray, rate: np.ndarray, *, fs: float, seconds: float
) -> list[dict[str, Any]]:
    count = int(np.ceil(seconds / 3600))
    hour = np.minimum(beats.sample / fs // 3600, count - 1).astype(int)
    rows = []
    for i in range(count):
        inside = hour == i
        known = rate[inside & np.isfinite(rate)]
        rows.append(
            {
                "hour": i,
                "beats": int(inside.sum()),
                "judged": int((inside & judged).sum()),
                "abnormal": int((inside & beats.abnormal).sum()),
                **{kind: int((inside & (beats.kind == kind)).sum()) for kind in ABNORMAL},
                "median_heart_rate": float(np.median(known)) if len(known) else None,
            }
        )
    return rows


def _by_reason(unscorable: Sequence[tuple[float, float, str]]) -> dict[str, dict[str, float]]:
    by_reason: dict[str, dict[str, float]] = {}
    for start, stop, reason in unscorable:
        row = by_reason.setdefault(reason, {"stretches": 0, "seconds": 0.0})
        row["stretches"] += 1
        row["seconds"] = round(row["seconds"] + stop - start, 6)
    return by_reason


def _counts(names: Sequence[str]) -> dict[str, int]:
    return {name: names.count(name) for name in dict.fromkeys(names)}
