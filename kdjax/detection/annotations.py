"""WFDB annotations of a detection, in standard symbols."""

from kdjax.detection.deciding import Beats
from kdjax.recordings.annotations import annotation_bytes

# | is an isolated QRS-like artefact, ? a beat that was not classified:
# https://physionet.org/physiotools/wpg/wpg_36.htm
_SYMBOLS = {"N": "N", "S": "S", "V": "V", "F": "F", "Q": "Q", "X": "|", "": "?"}


def annotations(beats: Beats, fs: float) -> bytes:
    """The annotation file, with the sampling frequency.

    The auxiliary note of a beat is its family, "family 3", or where it was not scored its quality.
    """
    notes = (
        f"family {family + 1}" if family >= 0 else "" if quality == "good" else quality
        for family, quality in zip(beats.family.tolist(), beats.quality.tolist(), strict=True)
    )
    symbols = (_SYMBOLS[kind] for kind in beats.kind.tolist())
    return annotation_bytes(beats.sample, symbols, notes, fs=fs)
