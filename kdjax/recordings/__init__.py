"""Recordings of any format: `open_source` reads block by block, `read_wfdb` a whole record."""

from dataclasses import replace
from pathlib import Path

from kdjax.errors import InputError, option
from kdjax.recordings.annotations import (
    annotations_beside,
    annotator_suffix,
    read_annotation_file,
    read_annotations,
)
from kdjax.recordings.csv import open_csv
from kdjax.recordings.edf import open_edf
from kdjax.recordings.folders import find_sources, look_into, result_names
from kdjax.recordings.formats import find, identity, kind
from kdjax.recordings.ishne import open_ishne
from kdjax.recordings.npy import open_npy
from kdjax.recordings.source import (
    HIGHEST_FS,
    LOWEST_FS,
    RATES,
    Annotations,
    Given,
    Recording,
    Source,
    words,
)
from kdjax.recordings.units import in_millivolts
from kdjax.recordings.wfdb import frame_rate, open_wfdb, read_wfdb

__all__ = [
    "Annotations",
    "Recording",
    "Source",
    "annotations_beside",
    "annotator_suffix",
    "find",
    "find_sources",
    "frame_rate",
    "identity",
    "look_into",
    "open_source",
    "read_annotation_file",
    "read_annotations",
    "read_wfdb",
    "result_names",
]

_LOWEST_GAIN, _HIGHEST_GAIN = 1e-3, 1e9  # steps per mV; converters have 10 to 100,000
_READERS = {
    "wfdb": open_wfdb,
    "edf": open_edf,
    "ishne": open_ishne,
    "npy": open_npy,
    "csv": open_csv,
}


def open_source(
    path: str | Path,
    fs: float | None = None,
    units: str | None = None,
    *,
    gain: float | None = None,
) -> Source:
    """Opens a recording of any format; the content decides the format, not the suffix.

    The formats are WFDB records (named by the header or without a suffix; of one or more segments),
    EDF, EDF+ and BDF, ISHNE Holter files, text tables (CSV) and NumPy arrays.

    Leads are the signals that are voltages. If a WFDB or EDF file has signals of several rates,
    those at the rate of most signals with an ECG lead's name are read.

    Text tables: fields are separated by semicolons, tabs, commas or spaces; any line end and
    decimal commas are allowed. Lines above the rows may state names, units, rate or start. Empty
    fields, '-', 'nan' and 'NA' are NaN. Columns of times give rate, gaps (NaN) and start. Times,
    counters and text are not leads.

    NPY: [T] or [T, leads] of real numbers, at most 64 leads. An array of at most 16 rows and more
    than 100 times as many columns is read as [leads, T].

    If a file is shorter or longer than its header says, the notes of the source say so.

    Args:
        path: the file.
        fs: sampling rate in Hz, needed if the file does not state it. A rate that the file states
            must agree with it; the clock in a table's time column takes precedence over it.
        units: V, mV, uV or nV, needed if the file does not state them; override the file's.
        gain: instead of units, the A/D converter's steps per mV.

    Raises:
        InputError: the file is missing, damaged or of another format, or states another rate.
    """
    if fs is not None and not LOWEST_FS <= fs <= HIGHEST_FS:
        raise InputError(
            f"{option('fs')} is {fs:g} Hz; give the recording's sampling rate, {RATES}"
        )
    if units is not None and in_millivolts(units) is None:
        raise InputError(f"{option('units')} is {words(units)!r}; give mV, uV or V")
    if gain is not None and not _LOWEST_GAIN <= gain <= _HIGHEST_GAIN:
        raise InputError(
            f"{option('gain')} is {gain:g}; give the converter's steps per mV, {_LOWEST_GAIN:g} to "
            f"{_HIGHEST_GAIN:g}"
        )
    if gain is not None and units is not None:
        raise InputError("gain and units both say how many mV a number is; give one of them")
    file = identity(Path(path))
    return replace(_READERS[kind(file)](file, Given(fs, units, gain)), file=str(file))
