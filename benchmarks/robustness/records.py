"""MIT-BIH records as R-peak and quality benchmarks take them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from kdjax.datasets.protocols import MITBIH_GROUPS
from kdjax.detection import cores
from kdjax.recordings import Annotations, read_annotations, read_wfdb

DS1 = sorted({*MITBIH_GROUPS["train"], *MITBIH_GROUPS["heldout"], "201"})
DS2 = sorted(MITBIH_GROUPS["test"])
PACED = ["102", "104", "107", "217"]  # in neither
NORMAL = tuple("NLRe")
VENTRICULAR = tuple("VE")
BEATS = tuple("NLRBAaJSVrFejnE/fQ?")
FS = 360
MATCH = round(0.15 * FS)


class Record(NamedTuple):
    """lead: float64 [T] in mV, MLII, or the first where there is none. reference: all annotations.
    beats: int64, the samples of its beats; normal, ventricular: those of its normal and
    ventricular ones."""

    lead: np.ndarray
    reference: Annotations
    beats: np.ndarray
    normal: np.ndarray
    ventricular: np.ndarray


def read(folder: Path, name: str) -> Record:
    """A record of the folder."""
    recording = read_wfdb(folder / name)
    column = recording.leads.index("MLII") if "MLII" in recording.leads else 0
    reference = read_annotations(folder / f"{name}.hea", FS)
    assert reference is not None, f"{name} has no annotations"
    is_beat = np.isin(reference.symbol, BEATS)
    return Record(
        lead=recording.signal[:, column].astype(np.float64),
        reference=reference,
        beats=reference.sample[is_beat],
        normal=reference.sample[np.isin(reference.symbol, NORMAL)],
        ventricular=reference.sample[np.isin(reference.symbol, VENTRICULAR)],
    )


def true(peaks: np.ndarray, beats: np.ndarray) -> np.ndarray:
    """Which peaks [P] lie within 150 ms of a beat, the nearest peak of each beat alone."""
    edges = np.concatenate([[-np.inf], peaks, [np.inf]])
    after = np.searchsorted(edges, beats, side="right")
    nearest = np.where(beats - edges[after - 1] <= edges[after] - beats, after - 2, after - 1)
    near = nearest[np.abs(peaks[np.clip(nearest, 0, len(peaks) - 1)] - beats) <= MATCH]
    return np.isin(np.arange(len(peaks)), near)


class Detected(NamedTuple):
    """peaks: int64 [P]; good: bool [P], which of them are; unfit: bool [T], samples marked so."""

    peaks: np.ndarray
    good: np.ndarray
    unfit: np.ndarray


def detected(lead: np.ndarray) -> Detected:
    """The R-peaks of a lead at FS and its quality, as `kdjax detect` has them."""
    stream = cores.BeatStream(1, FS)
    found = [*stream.push(lead), *stream.finish()]
    return Detected(
        peaks=np.concatenate([core.sample for core in found]),
        good=np.concatenate([core.quality for core in found]) == 0,
        unfit=np.concatenate([core.samples for core in found]) != 0,
    )
