"""Detection as `import kdjax` offers it: from whatever holds a recording, to files and tables."""

import os
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdjax.detection import files, recording
from kdjax.detection.detector import Detector
from kdjax.errors import InputError
from kdjax.recordings import Source, open_source
from kdjax.recordings.in_memory import of_array

if TYPE_CHECKING:
    import pandas as pd


class Detection(recording.Detection):
    """The result of `kdjax.detect`; its fields are those of `recording.Detection`."""

    def to_frame(self) -> "pd.DataFrame":
        """A row for each beat: time in s, and the fields of `Beats`. `family` counts from 1."""
        import pandas as pd

        columns = dict(self.beats._asdict())
        columns["family"] = columns["family"] + 1
        return pd.DataFrame({"time": self.beats.sample / self.fs} | columns)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Writes the files of `kdjax detect` into a folder and returns their paths.

        The folder is made if it is absent. If it holds a review of this same detection, the review
        is applied again.

        Raises InputError if the folder holds the detection of another file or, for a signal from
        memory, of a signal of another name.
        """
        files.check_free(Path(folder), self.file or self.recording)
        return files.write(self, Path(folder)).paths


def detect(
    detector: Detector,
    signal: Source | str | os.PathLike[str] | np.ndarray,
    *,
    fs: float | None = None,
    units: str | None = None,
    gain: float | None = None,
    **options: Any,
) -> Detection:
    """Reads a recording to its end and decides on every beat.

    Args:
        detector: from `kdjax.load_run`, with a calibration.
        signal: the path of a recording, an array [T] or [T, leads] in mV, or a source from
            `kdjax.open_source`.
        fs: sampling rate in Hz; needed for an array, and for files that do not state it.
        units: unit of a file's samples: V, mV, uV or nV; overrides the one that it states.
        gain: instead of units, the A/D converter's steps per mV.
        options: those of `recording.detect`: leads, fpr, alarms_per_hour, threshold, progress.

    Raises:
        InputError: `detector` is a name, an array comes without `fs` or with units or gain, a file
            cannot be read, or as in `recording.detect`.
    """
    if isinstance(detector, str | os.PathLike):
        raise InputError(
            f"{detector} is a name; give the detector: kdjax.load_run({str(detector)!r})"
        )
    file = ""
    if isinstance(signal, list | tuple):
        signal = np.asarray(signal, np.float64)
    if isinstance(signal, np.ndarray | Source) and (units, gain) != (None, None):
        raise InputError("units and gain are for files; a signal is in mV already: scale it first")
    if isinstance(signal, np.ndarray):
        if fs is None:
            raise InputError("fs is missing; give the signal's sampling rate in Hz")
        source = of_array(signal, fs)
    elif isinstance(signal, Source):
        source = signal
    else:
        file = str(Path(signal).absolute())
        source = open_source(Path(signal), fs=fs, units=units, gain=gain)
    found = replace(recording.detect(detector, source, **options), file=file)
    return Detection(**{field.name: getattr(found, field.name) for field in fields(found)})
