"""What `kdjax detect` writes: beats.csv, WFDB annotations, summary.json, report.html."""

import datetime
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kdjax.detection import report
from kdjax.detection.recording import Detection
from kdjax.detection.stream import Beats
from kdjax.errors import InputError
from kdjax.files import UNFINISHED
from kdjax.pages import page

ANNOTATOR = "kdjax"

_HEADER = "time_s,sample,score,normalised_score,abnormal,quality,rr_s"
# WFDB's codes: https://physionet.org/physiotools/wpg/wpg_36.htm
_NORMAL, _UNCLASSIFIABLE, _LEARN, _NOTE, _SKIP, _AUX = 1, 13, 30, 22, 59, 63


def write(detection: Detection, out: Path) -> list[Path]:
    """Writes the files into the folder, made if absent, and returns their paths.

    All are written under other names before the first replaces one of an earlier detection, the
    summary last; any other file stays. OSError where the folder cannot be written.
    """
    stretches = union(detection.unscorable)
    rate = heart_rate(detection, stretches)
    numbers = summary(detection, stretches, rate)
    contents = {
        "beats.csv": csv(detection.beats, detection.fs),
        numbers["annotation_file"]: annotations(detection.beats, detection.fs),
        "report.html": report.render(detection, numbers, rate, stretches),
        "summary.json": json.dumps(numbers, indent=2, allow_nan=False) + "\n",
    }
    out.mkdir(parents=True, exist_ok=True)
    partial = {out / (name + UNFINISHED): content for name, content in contents.items()}
    try:
        for path, content in partial.items():
            # A file name may hold what is no Unicode, and comes with it as lone surrogates.
            path.write_bytes(
                content if isinstance(content, bytes) else content.encode(errors="replace")
            )
        return [path.replace(out / name) for path, name in zip(partial, contents, strict=True)]
    finally:
        for path in partial:
            path.unlink(missing_ok=True)


def check_free(out: Path, recording: Path) -> None:
    """InputError where the folder holds what was found in another recording."""
    try:
        there = json.loads((out / "summary.json").read_text())["file"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if there != str(recording.absolute()):
        raise InputError(f"{out} holds what was found in {there}; choose another folder with --out")


def csv(beats: Beats, fs: float) -> str:
    """A line a beat; what is not known stays empty, as does abnormal where there is no score."""
    columns = zip(*(values.tolist() for values in beats[:6]), strict=True)
    lines = [
        f"{sample / fs:.6f},{sample},{score:.9g},{normalised:.6f},{abnormal:d},{quality},{rr:.6f}"
        if score == score and rr == rr
        else f"{sample / fs:.6f},{sample},{_known(score, '.9g')},{_known(normalised, '.6f')},"
        f"{'' if score != score else int(abnormal)},{quality},{_known(rr, '.6f')}"
        for sample, score, normalised, abnormal, quality, rr in columns
    ]
    return "\n".join([_HEADER, *lines, ""])


def annotations(beats: Beats, fs: float) -> bytes:
    """A WFDB annotation file in the MIT format, with the sampling frequency.

    N: scored and not abnormal; Q: abnormal; ?: not scored, with the quality as its note. The
    format: https://physionet.org/physiotools/wag/annot-5.htm
    """
    rate = f"## time resolution: {np.format_float_positional(fs, trim='-')}"
    # The rate is a note at sample 0; a mark that is no annotation ends such definitions.
    parts = [_word(_NOTE, 0), _note(rate), _skip(-1), _word(0, 1)]
    scored = np.isfinite(beats.score)
    codes = np.where(scored, np.where(beats.abnormal, _UNCLASSIFIABLE, _NORMAL), _LEARN)
    steps = np.diff(beats.sample, prepend=0)
    notes = {str(quality): _note(str(quality)) for quality in np.unique(beats.quality)}
    for step, code, quality in zip(
        steps.tolist(), codes.tolist(), beats.quality.tolist(), strict=True
    ):
        while step > 0x3FF:
            jump = min(step, 0x7FFFFFFF)
            parts.append(_skip(jump))
            step -= jump
        parts.append(_word(code, step))
        if code == _LEARN:
            parts.append(notes[quality])
    return b"".join([*parts, _word(0, 0)])


def summary(
    detection: Detection, stretches: Sequence[tuple[float, float]], rate: np.ndarray
) -> dict[str, Any]:
    """What summary.json holds; None where there is nothing to compute a number from.

    Args:
        detection: what was found.
        stretches: what is not scorable, from `union`.
        rate: from `heart_rate`.
    """
    beats, seconds = detection.beats, detection.seconds
    scored, abnormal = np.isfinite(beats.score), int(beats.abnormal.sum())
    lost = sum(stop - start for start, stop in stretches)
    by_reason: dict[str, dict[str, float]] = {}
    for start, stop, reason in detection.unscorable:
        row = by_reason.setdefault(reason, {"stretches": 0, "seconds": 0.0})
        row["stretches"] += 1
        row["seconds"] = round(row["seconds"] + stop - start, 6)
    missed, counts = np.unique(beats.quality[~scored], return_counts=True)
    known = rate[np.isfinite(rate)]
    return {
        "recording": detection.recording,
        "file": detection.file,
        "fs": detection.fs,
        "leads": list(detection.leads),
        "start": None if detection.start is None else detection.start.isoformat(),
        "seconds": seconds,
        "beats": len(beats.sample),
        "scored": int(scored.sum()),
        "abnormal": abnormal,
        "abnormal_share": abnormal / int(scored.sum()) if scored.any() else None,
        "abnormal_per_hour": abnormal / (seconds - lost) * 3600 if scored.any() else None,
        "mean_heart_rate": float(len(known) / np.sum(1 / known)) if len(known) else None,
        "hours": _hours(beats, scored, rate, detection.fs, seconds),
        "not_scored": dict(zip(missed.tolist(), counts.tolist(), strict=True)),
        "unscorable": {
            "seconds": lost,
            "share": lost / seconds,
            "by_reason": by_reason,
            "stretches": [list(stretch) for stretch in detection.unscorable],
        },
        "threshold": detection.threshold if np.isfinite(detection.threshold) else None,
        "fpr": detection.fpr,
        "normal_beats": len(detection.normal),
        "score": detection.score,
        "detector": detection.detector,
        "calibration": detection.calibration,
        "notes": list(detection.notes),
        "annotation_file": f"{safe(detection.recording)}.{ANNOTATOR}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "made_by": detection.made_by,
        "disclaimer": page.NO_DEVICE,
    }


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
    """Beats a minute [B], from each beat's RR interval.

    NaN where there is no interval, or where it reaches into one of the `stretches` that are not
    scorable: a beat may have been missed there.
    """
    rr = detection.beats.rr.astype(np.float64)
    stop = detection.beats.sample / detection.fs
    starts, stops = np.reshape(np.array(stretches, np.float64), (-1, 2)).T
    before, after = np.searchsorted(starts, stop), np.searchsorted(stops, stop - rr, side="right")
    known = (rr > 0) & (before == after)
    return np.divide(60, rr, where=known, out=np.full(len(rr), np.nan))


def _hours(
    beats: Beats, scored: np.ndarray, rate: np.ndarray, fs: float, seconds: float
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
                "scored": int((inside & scored).sum()),
                "abnormal": int((inside & beats.abnormal).sum()),
                "median_heart_rate": float(np.median(known)) if len(known) else None,
            }
        )
    return rows


def _known(value: float, form: str) -> str:
    return "" if value != value else format(value, form)


def safe(name: str) -> str:
    """The name with what WFDB takes, letters, digits, hyphens, underscores, and not too long."""
    return re.sub(r"[^-0-9A-Za-z_]", "_", name)[:100] or "_"


def _word(code: int, step: int) -> bytes:
    return (code << 10 | step).to_bytes(2, "little")


def _skip(step: int) -> bytes:
    """A step too long for an annotation's 10 bits: 4 bytes, the upper two first."""
    low_first = step.to_bytes(4, "little", signed=True)
    return _word(_SKIP, 0) + low_first[2:] + low_first[:2]


def _note(text: str) -> bytes:
    content = text.encode("ascii")
    return _word(_AUX, len(content)) + content + b"\0" * (len(content) % 2)
