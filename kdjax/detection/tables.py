"""The tables of a recording as CSV text, which `files` writes: beats, families, events, RR."""

import numpy as np

from kdjax.detection.events import WITHOUT_P, inside
from kdjax.detection.recording import Detection
from kdjax.detection.summary import without_artefacts


def beats(detection: Detection) -> str:
    """A row per beat; what is not known stays empty, as does abnormal without a kind."""
    found, fs = detection.beats, detection.fs
    judged = (found.kind != "").tolist()
    rr = np.full(len(found.sample), np.nan, np.float32)  # no beat is measured from an artefact
    rr[found.kind != "X"] = without_artefacts(found).rr
    columns = {
        "time_s": [f"{sample / fs:.6f}" for sample in found.sample.tolist()],
        "sample": map(str, found.sample.tolist()),
        "kind": found.kind.tolist(),
        "family": ["" if i < 0 else str(i + 1) for i in found.family.tolist()],
        "confidence": _all_known(found.confidence, ".3f"),
        "score": _all_known(found.score, ".9g"),
        "normalised_score": _all_known(found.normalised, ".6f"),
        "abnormal": [
            str(int(abnormal)) if known else ""
            for abnormal, known in zip(found.abnormal.tolist(), judged, strict=True)
        ],
        "quality": found.quality.tolist(),
        "sqi": _all_known(found.sqi, ".3f"),
        "rr_s": _all_known(rr, ".6f"),
        "height_mv": _all_known(found.height, ".3f"),
    }
    rows = map(",".join, zip(*columns.values(), strict=True))
    return "\n".join([",".join(columns), *rows, ""])


def families(detection: Detection) -> str:
    """A row per family that has beats, numbered as everywhere from 1."""
    rows = [
        "family,kind,doubtful,confidence,count,share,qrs_ms,prematurity,score,first_s,last_s,"
        "artefact"
    ]
    total = max(int((detection.beats.family >= 0).sum()), 1)
    for number, family in enumerate(detection.families, 1):
        if family.count:
            cells = (
                str(number),
                family.kind,
                str(int(family.doubtful)),
                _known(family.confidence, ".3f"),
                str(family.count),
                f"{family.count / total:.6f}",
                _known(family.qrs_ms, ".0f"),
                _known(family.prematurity, ".3f"),
                _known(family.score, ".6g"),
                f"{family.first / detection.fs:.6f}",
                f"{family.last / detection.fs:.6f}",
                str(int(family.artefact)),
            )
            rows.append(",".join(cells))
    return "\n".join([*rows, ""])


def events(detection: Detection) -> str:
    """A row per event; the samples are those of its first and last R-peak."""
    rows = ["event,first_s,last_s,first_sample,last_sample,beats"]
    rows += [
        f"{event.name},{event.first / detection.fs:.6f},{event.last / detection.fs:.6f},"
        f"{event.first},{event.last},{event.beats}"
        for event in detection.events
    ]
    return "\n".join([*rows, ""])


def rr(detection: Detection) -> str:
    """A row per known RR interval: when it ends, how long it is, the kind of the beat that ends it.

    nn is 1 where both of its beats are of kind N and neither lies in an irregular rhythm without P
    waves: intervals between sinus beats, as measures of heart-rate variability need them (Task
    Force, Circulation 93:1043-1065, 1996). What a person calls an artefact ends no interval: that
    of the next beat reaches over it.
    """
    hearts = without_artefacts(detection.beats)
    known = np.isfinite(hearts.rr)
    fibrillating = inside(hearts, [e for e in detection.events if e.name == WITHOUT_P])
    is_normal = (hearts.kind == "N") & ~fibrillating
    nn = is_normal & np.concatenate([[False], is_normal])[:-1]
    rows = ["time_s,interval_s,kind,nn"]
    rows += [
        f"{sample / detection.fs:.6f},{interval:.6f},{kind},{both:d}"
        for sample, interval, kind, both in zip(
            hearts.sample[known].tolist(),
            hearts.rr[known].tolist(),
            hearts.kind[known].tolist(),
            nn[known].tolist(),
            strict=True,
        )
    ]
    return "\n".join([*rows, ""])


def _all_known(values: np.ndarray, form: str) -> list[str]:
    return [_known(value, form) for value in values.tolist()]


def _known(value: float, form: str) -> str:
    return "" if value != value else format(value, form)
