"""What a person said of an earlier recording, taken over for the next one of the same person."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdjax.detection import files, review
from kdjax.detection.decisions import numbers_of
from kdjax.detection.families import Family
from kdjax.detection.recording import Detection
from kdjax.detection.signs import likeness
from kdjax.errors import InputError

_COMPARED = (-0.1, 0.3)  # s about the R-peak: QRS and T wave
_ALIKE = 0.9  # correlation from which two mean beats are of one shape


def read(folder: Path) -> tuple[Detection, list[dict[str, Any]]]:
    """The detection in a folder and the decisions about it.

    InputError without a review, or where the review names no family.
    """
    detection = files.read(folder)
    decisions = review.read(folder / files.REVIEW, detection)
    if not any(named for _, named in _known(detection, decisions)):
        raise InputError(f"{detection.recording}: none of its families was named; review it first")
    return detection, decisions


def carried(
    earlier: Detection, decisions: Sequence[Mapping[str, Any]], detection: Detection
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The decisions about an earlier recording, for the families of a new one, and doubts.

    None is carried over, and a doubt says so, where the usual beats of the two are unlike each
    other, as two persons' are.

    A family takes the kind of the earlier one that its mean beat is most like, from a correlation
    of 0.9 on, if that one was named. First come those that were detected as the same kind. Without
    one, a shape that is known as normal or ventricular decides between these two. That premature
    beats of a shape were normal says nothing of the next ones, nor do names of doubtful beats; they
    stay as detected, as all others do. InputError where the recordings have different leads.

    Args:
        earlier: the earlier detection, before its review.
        decisions: those about it.
        detection: the new one.
    """
    if earlier.leads != detection.leads:
        raise InputError(
            f"{earlier.recording} has leads {', '.join(earlier.leads)}, {detection.recording} has "
            f"{', '.join(detection.leads)}; names are carried over only between recordings whose "
            "leads have the same names"
        )
    doubts = _doubts_of_person(earlier, detection)
    if doubts:
        return [], doubts
    known = _known(earlier, decisions)
    kinds = [_known_kind(family, known) for family in detection.families]
    new = [{"family": number, "kind": kind} for number, kind in enumerate(kinds, 1) if kind]
    return new, ()


def carried_if_alike(
    known: tuple[Detection, list[dict[str, Any]]] | None, detection: Detection
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """As `carried`; where that is refused a doubt says why, and the new detection is not lost."""
    if known is None:
        return [], ()
    try:
        return carried(*known, detection)
    except InputError as error:
        return [], (f"no name of an earlier recording was carried over: {error}",)


def _known(earlier: Detection, decisions: Sequence[Mapping[str, Any]]) -> list[tuple[Family, bool]]:
    """The families of an earlier recording after its review, and whether each was named."""
    families = review.reviewed(earlier, decisions).families
    named = {number for decision in decisions for number in numbers_of(decision)}
    return [(family, n in named) for n, family in enumerate(families, 1) if family.count]


def _known_kind(family: Family, known: Sequence[tuple[Family, bool]]) -> str:
    """The kind that families, named or not, give one of the next recording, "" where none does."""
    if family.pooled or family.doubtful:
        return ""
    alike = [
        (float(likeness(family.mean[None], other.mean, _COMPARED)[0]), other, named)
        for other, named in known
        if not (other.pooled or other.doubtful)
    ]
    alike = sorted((one for one in alike if one[0] >= _ALIKE), key=lambda one: -one[0])
    pairs = [(other, named) for _, other, named in alike]
    if family.detected == "S":
        pairs = [(other, named) for other, named in pairs if other.kind != "N"]
    same = [pair for pair in pairs if pair[0].detected == family.detected]
    of_shape = [pair for pair in pairs if {family.detected, pair[0].kind} <= {"N", "V"}]
    nearest, named = next(iter([*same, *of_shape]), (family, False))
    return nearest.kind if named else ""


def _doubts_of_person(earlier: Detection, detection: Detection) -> tuple[str, ...]:
    if not earlier.families or not detection.families:
        return ()
    one, other = (found.families[0].mean for found in (earlier, detection))
    alike = float(likeness(other[None], one, _COMPARED)[0])
    if alike >= _ALIKE:
        return ()
    return (
        f"the usual beat of {detection.recording} is unlike that of {earlier.recording} "
        f"(correlation {alike:.2f}), so no name was carried over; are they from the same person?",
    )
