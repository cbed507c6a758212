"""Recordings of any format: `open_source` reads block by block, `read_wfdb` a whole record."""

from pathlib import Path

from kdjax.errors import InputError
from kdjax.recordings.csv import open_csv
from kdjax.recordings.edf import open_edf
from kdjax.recordings.npy import open_npy
from kdjax.recordings.source import (
    HIGHEST_FS,
    LOWEST_FS,
    MILLIVOLTS,
    Annotations,
    Recording,
    Source,
    find,
    in_millivolts,
    reading,
    refusal,
    unit_key,
    words,
)
from kdjax.recordings.wfdb import (
    frame_rate,
    open_wfdb,
    read_annotation_file,
    read_annotations,
    read_wfdb,
    segments,
)

__all__ = [
    "Annotations",
    "Recording",
    "Source",
    "find_sources",
    "frame_rate",
    "open_source",
    "read_annotation_file",
    "read_annotations",
    "read_wfdb",
]


def open_source(path: str | Path, fs: float | None = None, units: str | None = None) -> Source:
    """Opens a recording of any format; its suffix says which, in either case of letters.

    WFDB (.hea, which may be left out; of one segment or of several), EDF, EDF+C, BDF (.edf, .bdf),
    CSV (.csv, .txt) and NumPy arrays (.npy). `fs` in Hz and `units` (V, mV, uV or nV) are needed
    where the file does not state them, that is for CSV and NPY; where it does they must agree.

    Leads are the signals in volts. WFDB and EDF files may hold signals of several rates: the rate
    at which most signals named like an ECG lead are sampled counts, others are left out.

    CSV: fields parted by semicolons, tabs, commas or spaces, a header line of lead names or none,
    decimal commas where semicolons or tabs part the fields; '', '-', 'nan' and 'NA' are NaN.
    Columns whose name says time, sample or index are left out.

    NPY: [T] or [T, leads] of real numbers, at most 64 leads; an array of at most 16 rows and more
    than 100 times as many columns is taken as [leads, T].

    InputError, one line, when the file is missing, damaged, not what its suffix says, when it
    states another fs or unit, or when it is shorter than its header says.
    """
    file = find(Path(path))
    if fs is not None and not LOWEST_FS <= fs <= HIGHEST_FS:
        raise InputError(
            f"fs is {fs:g} Hz; give the recording's sampling rate, "
            f"{LOWEST_FS:g} to {HIGHEST_FS:g} Hz"
        )
    if units is not None and in_millivolts(units) is None:
        raise InputError(f"units is {words(units)!r}; give mV, uV or V")
    match file.suffix.lower():
        case ".hea":
            return open_wfdb(file, fs, units)
        case ".edf" | ".bdf":
            return open_edf(file, fs, units)
    missing = [name for name, value in (("fs", fs), ("units", units)) if value is None]
    if fs is None or units is None:
        raise refusal(
            file,
            f"this format does not state {' and '.join(missing)}; give them, as in "
            "--fs 360 --units mV",
        )
    read = open_npy if file.suffix.lower() == ".npy" else open_csv
    return read(file, fs, MILLIVOLTS[unit_key(units)])


def find_sources(folder: str | Path) -> list[Path]:
    """The recordings directly in `folder`, sorted.

    A WFDB record is named by its header, a record of several segments by its first header alone.
    Text files (.txt) are left out: they are seldom recordings; hidden files and annotations too.
    """
    folder = Path(folder)
    with reading(folder.name, folder):
        if not folder.is_dir():
            raise refusal(folder, "is no folder; name one that holds recordings")
        files = [
            file
            for file in sorted(folder.iterdir())
            if file.suffix.lower() in {".hea", ".edf", ".bdf", ".csv", ".npy"}
            and not file.name.startswith(".")
            and not file.name.endswith(".annotations.csv")
            and file.is_file()
        ]
        parts = {name for file in files if file.suffix == ".hea" for name in segments(file)}
    return [file for file in files if file.suffix != ".hea" or file.stem not in parts]
