"""WFDB annotation files in the MIT format: https://physionet.org/physiotools/wag/annot-5.htm

`wfdb.rdann` (4.3.1) never ends on a note that begins with '## ' and is neither a time resolution
nor a definition, so they are read here.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kdjax.errors import InputError, option
from kdjax.recordings.source import Annotations, beside, reading, words
from kdjax.recordings.wfdbheader import header_lines, stated_rate

_SYMBOLS = dict(enumerate(' NLRaVFJASEj/Q~ | sT*D"=pB^t+u?![]en@xf()r')) | {0: ""}
_NOTE, _SKIP, _NUM, _SUB, _CHN, _AUX = 22, 59, 60, 61, 62, 63
_CODES = {symbol: code for code, symbol in _SYMBOLS.items() if symbol.strip()}
_RESOLUTION = re.compile(r"## time resolution: (\d+\.?\d*)")
_DEFINITIONS = "## annotation type definitions"
_DEFINITION = re.compile(r"(\d+) (\S+) .+")


class _Annotation(NamedTuple):
    sample: int
    code: int
    subtype: int = 0
    note: str = ""


def annotator_suffix(name: str, annotator: str) -> str:
    """The suffix of an annotator's files without its dot; InputError where it can be none.

    name: of the argument that gave it.
    """
    if not re.fullmatch(r"\.?[\w-]+", annotator):
        raise InputError(
            f"{option(name)} {annotator!r}: not an annotator's name; give a suffix such as atr"
        )
    return annotator.removeprefix(".")


def annotations_beside(recording: Path, annotator: str) -> Path:
    """An annotator's file beside a recording's own file, there or not.

    That of r.hea is r.atr, that of r.edf r.edf.atr; the case of letters does not matter.
    """
    stem = recording.stem if recording.suffix.lower() == ".hea" else recording.name
    name = f"{stem}.{annotator}"
    return beside(recording, name) or recording.with_name(name)


def read_annotations(
    header: str | Path, fs: float | None = None, annotator: str = "atr"
) -> Annotations | None:
    """Reads an annotator's file beside a WFDB header; None if there is none.

    Samples count at `fs` Hz, or if None, at the rate that the annotator used. Raises InputError if
    the file is damaged.
    """
    file = annotations_beside(Path(header).with_suffix(".hea"), annotator)
    return read_annotation_file(file, fs) if file.is_file() else None


def read_annotation_file(file: Path, fs: float | None = None) -> Annotations:
    """Reads a WFDB annotation file; see `read_annotations`.

    If it states no rate, its samples count at that of the header beside it or, without one, at fs.
    """
    with reading(file.stem, file):
        about, own = _apart(list(_annotations(file)))
        symbols = _SYMBOLS | {int(m[1]): m[2] for note in about if (m := _DEFINITION.match(note))}
        sample = np.array([a.sample for a in own], np.int64)
        counted = next((float(m[1]) for note in about if (m := _RESOLUTION.match(note))), None)
        counted = counted or _header_rate(file)
        if fs is not None and counted and counted != fs:
            sample = np.rint(sample * (fs / counted)).astype(np.int64)
        return Annotations(
            sample,
            np.array([symbols.get(a.code, str(a.code)) for a in own], "<U4"),
            np.array([a.subtype for a in own], np.int64),
            np.array([a.note for a in own], str) if own else np.zeros(0, "<U1"),
        )


def _header_rate(file: Path) -> float | None:
    """The rate in Hz that the WFDB header beside a file states, None where it does not."""
    header = beside(file, f"{file.stem}.hea")
    if header is None:
        return None
    first = next((line.split() for line in header_lines(header)), [])
    return stated_rate(first[2]) if len(first) > 2 else None


def _annotations(file: Path) -> Iterator[_Annotation]:
    """What stands in the file; marks that are no annotations are left out."""
    data = file.read_bytes()
    pairs = np.frombuffer(data[: len(data) // 2 * 2], "<u2").tolist()
    sample, place, waiting = 0, 0, None
    while place < len(pairs):
        code, value = pairs[place] >> 10, pairs[place] & 0x3FF
        place += 1
        if code == 0 and value == 0:
            if waiting is not None:
                yield waiting
            return
        if code == _SKIP and place + 1 < len(pairs):
            step = pairs[place] << 16 | pairs[place + 1]
            sample += step - (1 << 32 if step >= 1 << 31 else 0)
            place += 2
        elif code == _AUX:
            note = data[2 * place : 2 * place + value].decode("latin-1").rstrip("\0")
            place += (value + 1) // 2
            if waiting is not None:
                waiting = waiting._replace(note=note)
        elif code == _SUB:
            if waiting is not None:
                signed = (value & 0xFF) - (256 if value & 0x80 else 0)
                waiting = waiting._replace(subtype=signed)
        elif code not in (_SKIP, _NUM, _CHN):
            if waiting is not None:
                yield waiting
            sample += value
            waiting = _Annotation(sample, code) if code else None
    raise InputError(
        f"record {words(file.stem)}: {words(file)}: has no end mark; the annotations are "
        "truncated: copy the record again"
    )


def annotation_bytes(
    sample: np.ndarray, symbols: Iterable[str], notes: Iterable[str], *, fs: float
) -> bytes:
    """An annotation file with its sampling frequency, which `read_annotation_file` reads.

    sample: int64 [N], ascending, not below 0. symbols: of each, standard ones. notes: of each,
    ASCII of up to 255 letters; "" for none.
    """
    rate = f"## time resolution: {np.format_float_positional(fs, trim='-')}"
    # The rate is a note at sample 0; a mark that is no annotation ends such definitions.
    parts = [_word(_NOTE, 0), _aux(rate), _skip(-1), _word(0, 1)]
    encoded: dict[str, bytes] = {"": b""}
    steps = np.diff(sample, prepend=0).tolist()
    for step, symbol, note in zip(steps, symbols, notes, strict=True):
        while step > 0x3FF:
            jump = min(step, 0x7FFFFFFF)
            parts.append(_skip(jump))
            step -= jump
        parts.append(_word(_CODES[symbol], step))
        if note not in encoded:
            encoded[note] = _aux(note)
        parts.append(encoded[note])
    return b"".join([*parts, _word(0, 0)])


def _word(code: int, step: int) -> bytes:
    return (code << 10 | step).to_bytes(2, "little")


def _skip(step: int) -> bytes:
    """A step too long for an annotation's 10 bits: 4 bytes, the upper two first."""
    low_first = step.to_bytes(4, "little", signed=True)
    return _word(_SKIP, 0) + low_first[2:] + low_first[:2]


def _aux(note: str) -> bytes:
    content = note.encode("ascii")
    return _word(_AUX, len(content)) + content + b"\0" * (len(content) % 2)


def _apart(found: list[_Annotation]) -> tuple[list[str], list[_Annotation]]:
    """What notes say of the file itself, its rate and symbols of its own, and the annotations."""
    about, own, defining = [], [], False
    for annotation in found:
        note = annotation.note
        if annotation.code == _NOTE and (defining or note.startswith("## ")):
            defining = note != "## end of definitions" if defining else note == _DEFINITIONS
            about.append(note)
        else:
            own.append(annotation)
    return about, own
