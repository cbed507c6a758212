"""Calibrates a detector to one person, from recordings without labels."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kdjax.detection.cores import BeatStream, all_cores
from kdjax.detection.deciding import Witness, calibration_of, joined_evidence
from kdjax.detection.detector import Detector
from kdjax.detection.leads import choose_leads
from kdjax.detection.notes import many_abnormal
from kdjax.detection.recording import detect
from kdjax.detection.threads import one_thread
from kdjax.errors import InputError
from kdjax.recordings import Source
from kdjax.scores.calibration import Calibration, personal
from kdjax.scores.fitted import Evidence

_FEWEST, _KEPT = 100, 20_000  # beats of a person's calibration
_MANY = "more than a tenth of its beats are called abnormal; a calibration is made of usual ones"
_USUAL = 1000  # beats, or a few more, whose median is the person's usual one


@one_thread()
def calibrate(
    detector: Detector,
    sources: Sequence[Source],
    *,
    leads: Sequence[str] = (),
    progress: Callable[[int], Any] = lambda samples: None,
) -> tuple[Calibration, np.ndarray, list[str]]:
    """A calibration moved to one person by recordings without labels, their scores, and notes.

    The scores ascend; the notes are those of the recordings, detected with the calibration.

    Medians over the beats that are in time move it, which a few abnormal beats hardly shift. Of
    very long recordings an even share of the beats is looked at. `progress` is told of the samples
    read, of each twice.

    Raises:
        InputError: as `detect`; fewer than 100 beats that could be scored.
    """
    base = calibration_of(detector)
    seen: list[Evidence] = []
    usual: list[np.ndarray] = []
    stride, used = 1, set()
    notes: list[str] = []
    for source in sources:
        columns, chosen = choose_leads(source, leads, base.leads)
        notes += [f"{source.name}: {note}" for note in chosen]
        used.add(tuple(source.leads[column] for column in columns))
        stream, witness = BeatStream(len(columns), source.fs), Witness(detector, source.fs)
        for found in all_cores(stream, source.blocks(columns), progress):
            seen.append(_every(stride, witness.evidence(found)))
            if sum(map(len, usual)) < _USUAL:
                usual.append(found.x[found.quality == 0])
            if sum(len(e.sample) for e in seen) > _KEPT:
                seen, stride = [_every(2, e) for e in seen], 2 * stride
    names, together = ", ".join(source.name for source in sources), joined_evidence(seen)
    if len(used) > 1:
        apart = "; ".join(", ".join(leads) for leads in sorted(used))
        raise InputError(f"{names}: leads differ ({apart}); calibrate on one kind of lead")
    if len(together.sample) < _FEWEST:
        raise InputError(
            f"{names}: {len(together.sample)} beats could be scored, {_FEWEST} are needed; give a "
            "longer or a better recording"
        )
    moved = personal(base, together, leads=used.pop(), source=f"the beats of {names}")
    moved = replace(moved, beat=np.median(np.concatenate(usual), axis=0))
    there = replace(detector, calibration=moved)
    scores = []
    for source in sources:
        detection = detect(there, source, leads=leads, progress=progress)
        scores.append(detection.beats.score)  # what else it holds is large
        told = set(many_abnormal(detection.beats))  # in words for those who look at its page
        about = [note for note in detection.notes if note not in told] + [_MANY] * bool(told)
        notes += [f"{source.name}: {note}" for note in about]
    score = np.concatenate(scores)
    return moved, np.sort(score[np.isfinite(score)]), notes


def _every(stride: int, evidence: Evidence) -> Evidence:
    return evidence.of(np.arange(0, len(evidence.sample), stride))
