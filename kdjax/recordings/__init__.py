"""Recordings of any format: `open_source` reads block by block, `read_wfdb` a whole record."""

from pathlib import Path

from kdjax.errors import InputError, option
from kdjax.recordings.annotations import read_annotation_file, read_annotations
from kdjax.recordings.csv import open_csv
from kdjax.recordings.edf import open_edf
from kdjax.recordings.folders import find_sources, look_into, result_names
from kdjax.recordings.formats import find, kind
from kdjax.recordings.ishne import open_ishne
from kdjax.recordings.npy import open_npy
from kdjax.recordings.source import (
    HIGHEST_FS,
    LOWEST_FS,
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
    "find",
    "find_sources",
    "frame_rate",
    "look_into",
    "open_source",
    "read_annotation_file",
    "read_annotations",
    "read_wfdb",
    "result_names",
]

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
    """Opens a recording; its content says of which format it is, whatever its suffix.

    WFDB records (named by the header or without a suffix; of one segment or of several), EDF, EDF+
    and BDF, ISHNE Holter files, text tables (CSV) and NumPy arrays.

    Args:
        path: the file.
        fs: the sampling rate in Hz, needed where the file says none. A rate that a file states must
            agree with it; the clock in a table's time column is believed before it.
        units: V, mV, uV or nV, needed where the file says none; counts more than what it states.
        gain: steps of the converter a mV, in place of units.

    Leads are the signals in volts. WFDB and EDF files may hold signals of several rates: the rate
    at which most signals named like an ECG lead are sampled counts, others are left out.

    Text tables: fields parted by semicolons, tabs, commas or spaces, any line end, decimal commas.
    Lines above the rows may name the columns, their units, the rate or the start. '', '-', 'nan'
    and 'NA' are NaN. Columns of times give rate, gaps (NaN) and start; they, counters and text are
    no leads.

    NPY: [T] or [T, leads] of real numbers, at most 64 leads; an array of at most 16 rows and more
    than 100 times as many columns is taken as [leads, T].

    InputError, one line, when the file is missing, damaged or of another format, or when it states
    another fs. What a file has less than its header says is told in the source's notes.
    """
    if fs is not None and not LOWEST_FS <= fs <= HIGHEST_FS:
        raise InputError(
            f"{option('fs')} is {fs:g} Hz; give the recording's sampling rate, "
            f"{LOWEST_FS:g} to {HIGHEST_FS:g} Hz"
        )
    if units is not None and in_millivolts(units) is None:
        raise InputError(f"{option('units')} is {words(units)!r}; give mV, uV or V")
    if gain is not None and not 0 < gain < float("inf"):
        raise InputError(
            f"{option('gain')} is {gain:g}; give the converter's steps per mV, a number above 0"
        )
    if gain is not None and units is not None:
        raise InputError("gain and units both say how many mV a number is; give one of them")
    file = find(Path(path))
    return _READERS[kind(file)](file, Given(fs, units, gain))
