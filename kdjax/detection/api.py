"""Detection as `import kdjax` offers it: from whatever holds a recording, to files and tables."""

import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from kdjax.detection import files, recording
from kdjax.detection.detector import Detector
from kdjax.errors import InputError
from kdjax.files import check_folder
from kdjax.recordings import Source, open_source
from kdjax.recordings.in_memory import of_array

if TYPE_CHECKING:
    import pandas as pd


class Detection(recording.Detection):
    """The result of `kdjax.detect`.

    Its most useful fields, all of which `recording.Detection` documents:

        beats       arrays with a value for each beat: sample, kind, family, abnormal, score, ...
        families    families of similar beats, the largest first
        events      couplets, runs, pauses and other events, in order of time
        notes       what to know before relying on the result
        recording, fs, leads, seconds, threshold
    """

    def to_frame(self) -> "pd.DataFrame":
        """A row for each beat.

        Columns: time in s, sample, score, normalised (share of other people's normal beats that
        score no higher), abnormal, quality, rr (interval before, in s), kind, family (from 1, a
        nullable integer), confidence, height in mV, sqi (signal quality, 0 to 1). Beats that are
        not scored have no kind, no family and NaN scores.
        """
        import pandas as pd

        columns = dict(self.beats._asdict())
        unscored = columns["family"] < 0
        columns["family"] = pd.arrays.IntegerArray(columns["family"] + 1, unscored)
        return pd.DataFrame({"time": self.beats.sample / self.fs} | columns)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Writes the files of `kdjax detect` into a folder and returns their paths.

        The folder is made if it is absent. If it holds a review of this same detection, the review
        is applied again.

        Raises InputError if `folder` is a file or holds the detection of another file or, for a
        signal from memory, of a signal of another name.
        """
        check_folder(Path(folder))
        files.check_free(Path(folder), self.file or self.recording)
        return files.write(self, Path(folder)).paths


def detect(
    detector: Detector,
    signal: Source | str | os.PathLike[str] | ArrayLike,
    *,
    fs: float | None = None,
    units: str | None = None,
    gain: float | None = None,
    leads: str | int | Sequence[str | int] = (),
    fpr: float | None = None,
    alarms_per_hour: float | None = None,
    threshold: float | None = None,
    progress: Callable[[int], object] | None = None,
) -> Detection:
    """Reads a recording to its end and decides on every beat.

    Args:
        detector: from `kdjax.load_run`, with a calibration.
        signal: the path of a recording; an array [T] or [T, leads] in mV, or anything that NumPy
            turns into one; or a source from `kdjax.open_source`.
        fs: sampling rate in Hz; needed for an array, and for files that do not state it.
        units: unit of a file's samples: V, mV, uV or nV; overrides the one that it states.
        gain: instead of units, the A/D converter's steps per mV.
        leads: name or number (from 1) of a lead, or several, as many as the detector takes; if
            empty, those that it was calibrated on.
        fpr: false-positive rate, the share of other people's normal beats that score above the
            threshold; 0.005 unless one of the next two is given.
        alarms_per_hour: instead of fpr, the false alarms an hour to aim at.
        threshold: instead of fpr, the score above which a beat is abnormal.
        progress: called with the number of samples in each block that was read.

    Raises:
        InputError: `detector` is a name, an array comes without `fs` or with units or gain or is
            not one of numbers, a source comes with `fs`, a file cannot be read or lacks a lead,
            the rate is 90 Hz or less, fpr, alarms_per_hour or threshold is impossible, or more
            than one of them is given.
    """
    is_file = isinstance(signal, str | os.PathLike)
    if not is_file and (units, gain) != (None, None):
        raise InputError("units and gain are for files; leave them out and give a signal in mV")
    if is_file:
        source = open_source(Path(signal), fs=fs, units=units, gain=gain)
    elif isinstance(signal, Source):
        if fs is not None:
            raise InputError("fs is for files and arrays; leave it out, the source has its own")
        source = signal
    elif fs is None:
        raise InputError("fs is missing; give the signal's sampling rate in Hz")
    else:
        source = of_array(signal, fs)
    found = recording.detect(
        detector,
        source,
        leads=np.atleast_1d(np.asarray(leads, str)).tolist(),
        fpr=fpr,
        alarms_per_hour=alarms_per_hour,
        threshold=threshold,
        progress=progress or (lambda samples: None),
    )
    return Detection(**{field.name: getattr(found, field.name) for field in fields(found)})
