"""The files of a recording: `kdjax detect` writes them, `kdjax review` reads and rewrites them."""

import dataclasses
import datetime
import io
import json
from collections.abc import Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kdjax.detection import annotations, report, review, tables
from kdjax.detection.deciding import Beats
from kdjax.detection.events import Event
from kdjax.detection.families import Family
from kdjax.detection.recording import Detection
from kdjax.detection.summary import ANNOTATOR, safe, summary
from kdjax.detection.tape import Tape
from kdjax.errors import InputError, counted
from kdjax.files import DAMAGED_NPZ, locked, make_folder, read_npz, sha256, sha256_of, write_files

WHOLE = "detection.npz"
REVIEW = "review.json"
FAMILIES = "families.csv"
SUMMARY = "summary.json"
_FORMAT = 4


class _OtherFormat(ValueError):
    """A detection.npz as another version of kdjax writes it."""


class Written(NamedTuple):
    """The files that were written, the detection as they show it, and what to say of its review."""

    paths: list[Path]
    detection: Detection
    said: str


def write(detection: Detection, out: Path, decisions: Sequence[dict[str, Any]] = ()) -> Written:
    """Writes the files of a new detection, with decisions about it, into the folder.

    It is made if absent. The decisions of a review that lies there are applied after these, if it
    is of this very detection. Another review is not applied; it stays as it is, or, where there are
    decisions to save, as review.previous.json.

    All files are written under other names before the first replaces one of an earlier detection,
    the summary last; any other file stays. One that was changed since kdjax wrote it is kept under
    another name, as families.previous.csv. OSError where the folder cannot be written.
    """
    whole: dict[str, str | bytes] = {WHOLE: whole_bytes(detection)}
    said = [f"{counted(len(decisions), 'decision')} carried over"] if decisions else []
    if (out / REVIEW).exists():
        try:
            own = review.read(out / REVIEW, detection)
            said.append(f"{counted(len(own), 'decision')} of {out / REVIEW} applied again")
            decisions = review.together(decisions, own)
        except InputError:
            said.append(
                f"{out / REVIEW} belongs to another detection and was not applied; to apply it, "
                "detect with the earlier options again"
            )
            if decisions:
                kept, words = _kept(out, detection, decisions)
                whole |= kept
                said.append(words)
    if not decisions:
        contents, reviewed = _contents(detection, detection, ()), detection
    else:
        contents, reviewed = _reviewed(detection, decisions)
    paths, words = _write(whole | contents, out)
    return Written(paths, reviewed, "; ".join(filter(None, [*said, words])))


def write_reviewed(
    detection: Detection,
    decisions: Sequence[dict[str, Any]],
    out: Path,
    *,
    applied: Path | None = None,
) -> Written:
    """Rewrites the files after a review, except detection.npz.

    A review in the folder that has other decisions is kept as review.previous.json, and what was
    changed since kdjax wrote it likewise. InputError where a decision does not fit; then nothing
    is written.

    Args:
        detection: what was detected, before any review.
        decisions: all of them.
        out: the folder.
        applied: the families.csv whose changes are among the decisions, if any.
    """
    contents, reviewed = _reviewed(detection, decisions)
    kept, said = _kept(out, detection, decisions)
    paths, words = _write(kept | contents, out, applied=applied)
    return Written(paths, reviewed, "; ".join(filter(None, [said, words])))


def _kept(
    out: Path, detection: Detection, decisions: Sequence[dict[str, Any]]
) -> tuple[dict[str, str | bytes], str]:
    """The folder's review under another name, if it has other decisions than these; in words."""
    path = out / REVIEW
    if not path.exists():
        return {}, ""
    try:
        lost = sum(one not in decisions for one in review.read(path, detection))
        has = f", which has {counted(lost, 'decision')} that this one lacks,"
    except InputError:
        lost, has = 1, ""
    if not lost:
        return {}, ""
    previous = _previous(out, REVIEW)
    said = f"the review before it{has} is kept as {out / previous}"
    return {previous: path.read_bytes()}, said


def _changed(
    out: Path, contents: Mapping[str, str | bytes], *, applied: Path | None
) -> tuple[dict[str, bytes], str]:
    """What a person changed in the folder, or put there, under other names; in words.

    contents: what is about to be written. Of the review, `_kept` knows more. An earlier version's
    summary holds no checksums: nothing is known of its files.
    """
    try:
        summary = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
        is_own = "annotation_file" in summary
        sums = dict(summary["sha256"]) if "sha256" in summary else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        is_own, sums = False, None
    if is_own and sums is None:
        return {}, ""
    kept, said = {}, []
    for name in contents:
        path = out / name
        is_known = name in (REVIEW, WHOLE) or (is_own and name == SUMMARY) or not path.is_file()
        if is_known or (sums and sha256(path) == sums.get(name)):
            continue
        if applied is None or not path.samefile(applied):
            previous = _previous(out, name)
            kept[previous] = path.read_bytes()
            how = " (kdjax review --families applies it)" if name == FAMILIES else ""
            said.append(f"{name} was not as kdjax wrote it and is kept as {out / previous}{how}")
    return kept, "; ".join(said)


def _previous(out: Path, name: str) -> str:
    """families.csv as families.previous.csv, or with a number where that is taken."""
    stem, suffix = Path(name).stem, Path(name).suffix
    names = (f"{stem}.previous{number}{suffix}" for number in chain([""], count(2)))
    return next(free for free in names if not (out / free).exists())


def _reviewed(
    detection: Detection, decisions: Sequence[dict[str, Any]]
) -> tuple[dict[str, str | bytes], Detection]:
    """The files of a review, and the reviewed detection."""
    reviewed = review.reviewed(detection, decisions)
    content = json.dumps(review.as_json(detection, decisions), indent=1) + "\n"
    return {REVIEW: content} | _contents(detection, reviewed, decisions), reviewed


def _contents(
    detection: Detection, reviewed: Detection, decisions: Sequence[dict]
) -> dict[str, str | bytes]:
    numbers = summary(reviewed)
    numbers["decisions"] = len(decisions)
    contents: dict[str, str | bytes] = {
        "beats.csv": tables.beats(reviewed),
        FAMILIES: tables.families(reviewed),
        "events.csv": tables.events(reviewed),
        "rr.csv": tables.rr(reviewed),
        numbers["annotation_file"]: annotations.annotations(reviewed.beats, reviewed.fs),
        "report.html": report.render(detection, reviewed, summary=numbers, decisions=decisions),
    }
    numbers["sha256"] = {name: sha256_of(_encoded(content)) for name, content in contents.items()}
    return contents | {SUMMARY: json.dumps(numbers, indent=2, allow_nan=False) + "\n"}


def _write(
    contents: Mapping[str, str | bytes], out: Path, *, applied: Path | None = None
) -> tuple[list[Path], str]:
    """Writes the files, after what a person changed; what was kept of that, in words.

    What two processes write at once does not mix.
    """
    make_folder(out)
    with locked(out, wait=True):
        changed, said = _changed(out, contents, applied=applied)
        every = changed | {name: _encoded(content) for name, content in contents.items()}
        paths = {out / name: content for name, content in every.items()}
        write_files(paths)
    return list(paths), said


def _encoded(content: str | bytes) -> bytes:
    """A file name may hold what is no Unicode, and comes with it as lone surrogates."""
    return content if isinstance(content, bytes) else content.encode(errors="replace")


def annotation_file(folder: Path, detection: Detection) -> Path:
    """Where the annotations of a detection are."""
    return folder / f"{safe(detection.recording)}.{ANNOTATOR}"


def _resolved(path: str) -> Path:
    return Path(path).parent.resolve() / Path(path).name


def check_free(out: Path, recording: str) -> None:
    """InputError where the folder holds the detection of another recording.

    recording: the absolute path of its file, or the name of a signal that came from memory.
    """
    try:
        summary = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
        there = summary["file"] or summary["recording"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
    if there != recording and _resolved(there) != _resolved(recording):
        raise InputError(f"{out} holds the detection of {there}; choose another folder")


_PLAIN = ("recording", "fs", "leads", "seconds", "threshold", "fpr", "score", "detector",
          "calibration", "notes", "handling", "made_by", "file", "unscorable")  # fmt: skip
_FAMILY_ARRAYS = ("mean", "spread", "examples")


def whole_bytes(detection: Detection) -> bytes:
    """The whole detection as an .npz file."""
    families = [dataclasses.asdict(family) for family in detection.families]
    arrays = {f"beats_{name}": values for name, values in detection.beats._asdict().items()}
    arrays |= {
        f"family_{i}_{name}": family.pop(name)
        for i, family in enumerate(families)
        for name in _FAMILY_ARRAYS
    }
    arrays |= {
        f"tape_{i}": np.frombuffer(chunk, np.uint8) for i, chunk in enumerate(detection.tape.chunks)
    }
    meta = {
        "format": _FORMAT,
        **{name: getattr(detection, name) for name in _PLAIN},
        "start": detection.start.isoformat() if detection.start else None,
        "families": families,
        "events": [[event.name, *map(int, event[1:])] for event in detection.events],
        "tape": [detection.tape.leads, detection.tape.length, len(detection.tape.chunks)],
    }
    arrays["normal"] = detection.normal
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def read(folder: Path) -> Detection:
    """The detection that a folder holds, before any review; InputError where there is none."""
    path = folder / WHOLE
    try:
        return _from_arrays(read_npz(path))
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; name the folder of one recording, as kdjax detect writes it"
        ) from None
    except NotADirectoryError:
        raise InputError(f"{folder}: is a file; name the folder that kdjax detect wrote") from None
    except _OtherFormat as error:
        raise InputError(
            f"{path}: written by another version of kdjax ({error}); run kdjax detect again"
        ) from error
    except DAMAGED_NPZ as error:
        raise InputError(f"{path}: damaged; run kdjax detect again") from error


def _from_arrays(arrays: dict[str, np.ndarray]) -> Detection:
    meta = json.loads(arrays["meta"].tobytes())
    if meta["format"] != _FORMAT:
        raise _OtherFormat(f"its format is {meta['format']}, not {_FORMAT}")
    families = []
    for i, family in enumerate(meta["families"]):
        of_family: dict[str, Any] = {n: arrays[f"family_{i}_{n}"] for n in _FAMILY_ARRAYS}
        families.append(Family(**family, **of_family))
    leads, length, chunks = meta["tape"]
    plain = {name: meta[name] for name in _PLAIN}
    plain |= {name: tuple(plain[name]) for name in ("leads", "notes")}
    plain["unscorable"] = tuple((a, b, reason) for a, b, reason in plain["unscorable"])
    return Detection(
        **plain,
        start=datetime.datetime.fromisoformat(meta["start"]) if meta["start"] else None,
        beats=Beats(**{name: arrays[f"beats_{name}"] for name in Beats._fields}),
        families=tuple(families),
        events=tuple(Event(*event) for event in meta["events"]),
        tape=Tape(
            tuple(arrays[f"tape_{i}"].tobytes() for i in range(chunks)), tuple(leads), length
        ),
        normal=arrays["normal"],
    )
