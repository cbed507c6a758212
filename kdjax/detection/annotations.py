"""WFDB annotations of a detection in the MIT format, in standard codes.

The format: https://physionet.org/physiotools/wag/annot-5.htm
"""

import numpy as np

from kdjax.detection.deciding import Beats

# https://physionet.org/physiotools/wpg/wpg_36.htm: N, S, V, F and Q; | is an isolated QRS-like
# artefact, ? a beat that was not classified.
_CODES = {"N": 1, "S": 9, "V": 5, "F": 6, "Q": 13, "X": 16, "": 30}
_NOTE, _SKIP, _AUX = 22, 59, 63


def annotations(beats: Beats, fs: float) -> bytes:
    """The annotation file, with the sampling frequency.

    The auxiliary note of a beat is its family, "family 3", or where it was not scored its quality.
    """
    rate = f"## time resolution: {np.format_float_positional(fs, trim='-')}"
    # The rate is a note at sample 0; a mark that is no annotation ends such definitions.
    parts = [_word(_NOTE, 0), _note(rate), _skip(-1), _word(0, 1)]
    notes: dict[str, bytes] = {}
    for step, kind, family, quality in zip(
        np.diff(beats.sample, prepend=0).tolist(),
        beats.kind.tolist(),
        beats.family.tolist(),
        beats.quality.tolist(),
        strict=True,
    ):
        while step > 0x3FF:
            jump = min(step, 0x7FFFFFFF)
            parts.append(_skip(jump))
            step -= jump
        parts.append(_word(_CODES[kind], step))
        text = f"family {family + 1}" if family >= 0 else "" if quality == "good" else quality
        if text:
            if text not in notes:
                notes[text] = _note(text)
            parts.append(notes[text])
    return b"".join([*parts, _word(0, 0)])


def _word(code: int, step: int) -> bytes:
    return (code << 10 | step).to_bytes(2, "little")


def _skip(step: int) -> bytes:
    """A step too long for an annotation's 10 bits: 4 bytes, the upper two first."""
    low_first = step.to_bytes(4, "little", signed=True)
    return _word(_SKIP, 0) + low_first[2:] + low_first[:2]


def _note(text: str) -> bytes:
    content = text.encode("ascii")
    return _word(_AUX, len(content)) + content + b"\0" * (len(content) % 2)
