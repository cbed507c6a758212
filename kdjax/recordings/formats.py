"""The format of a file, by its content: suffixes vary, first bytes do not.

The readers of the formats are listed in `kdjax.recordings`.
"""

from pathlib import Path

from kdjax.recordings.source import beside, reading, refusal
from kdjax.recordings.wfdbheader import header_lines

_MAGIC = {b"\x93NUMPY": "npy", b"0       ": "edf", b"\xffBIOSEMI": "edf", b"ISHNE1.0": "ishne"}
_OTHERS = {  # by first bytes: what it is, and what would help
    b"PK\x03\x04": "is a zip archive or an Excel workbook; unpack it, or save it as CSV",
    b"\x1f\x8b": "is packed by gzip; unpack it",
    b"BZh": "is packed by bzip2; unpack it",
    b"\xfd7zXZ": "is packed by xz; unpack it",
    b"7z\xbc\xaf": "is a 7z archive; unpack it",
    b"Rar!": "is a RAR archive; unpack it",
    b"\xd0\xcf\x11\xe0": "is an Excel workbook; save it as CSV",
    b"MATLAB": "is a MATLAB file; save the signal as CSV, or as .npy by scipy.io and numpy",
    b"\x89HDF": "is an HDF5 or a MATLAB file; save the signal as CSV or .npy",
    b"ANN  1.0": "is an ISHNE annotation file; name the Holter file that it belongs to",
    b"GDF ": "is a GDF file; convert it to EDF",
    b"%PDF": "is a PDF; export the signal as EDF or CSV",
    b"\x89PNG": "is a picture; export the signal as EDF or CSV",
    b"\xff\xd8\xff": "is a picture; export the signal as EDF or CSV",
    b"PAR1": "is a Parquet file; save it as CSV",
    b"\x80\x02": "is a Python pickle; save the array by numpy.save",
    b"\x80\x03": "is a Python pickle; save the array by numpy.save",
    b"\x80\x04": "is a Python pickle; save the array by numpy.save",
    b"\x80\x05": "is a Python pickle; save the array by numpy.save",
}
_BINARY = {".edf", ".bdf", ".npy"}
_UNKNOWN = (
    "is neither WFDB, EDF, BDF, ISHNE, NumPy nor a text table; export the recording as one of them"
)


def find(path: Path) -> Path:
    """The recording's own file: a WFDB record may be named by its header or any file beside it."""
    with reading(path.name, path):
        if path.is_dir():
            raise refusal(path, "is a folder; name a recording in it")
        if path.suffix.lower() == ".hea" and path.is_file():
            return path
        if path.name and not (path.suffix and path.is_file()):
            header = beside(path, path.name + ".hea") or beside(path, path.name)
            if header is not None:
                return header
        if not path.is_file():
            exists = path.exists()
            raise refusal(
                path, "is not a regular file" if exists else "no such file; check the name"
            )
    return path


def identity(path: Path) -> Path:
    """The one absolute path of a recording, whichever of its names is given; errors as `find`."""
    file = find(path)
    return file.parent.resolve() / file.name


def kind(file: Path) -> str:
    """wfdb, edf, ishne, npy or csv; InputError, with what would help, for anything else."""
    if file.suffix.lower() == ".hea":
        return "wfdb"
    with reading(file.stem, file), file.open("rb") as opened:
        first = opened.read(512)
        if not first:
            raise refusal(file, "the file is empty; export or copy it again")
        for magic, name in _MAGIC.items():
            if first.startswith(magic):
                return name
        if (header := _header_naming(file)) is not None:  # signals may look like anything
            raise refusal(file, f"belongs to a WFDB record; name its header, {header.name}")
        for magic, words in _OTHERS.items():
            if first.startswith(magic):
                raise refusal(file, words)
        if first[128:132] == b"DICM":
            raise refusal(file, "is a DICOM file; export the signal as EDF or CSV")
        text = first.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        if text.startswith((b"<?xml", b"<annotatedecg", b"<html", b"<!doctype")):
            raise refusal(file, "is XML or HTML, not a table; export the signal as EDF or CSV")
        if text.startswith((b"{", b"[")) and b"sampling rate" not in text:
            raise refusal(file, "is JSON, not a table; save the signal as CSV")
        if first.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise refusal(file, "is text in UTF-16; save it as CSV in UTF-8")
        if _is_binary(first):
            if (header := beside(file, file.stem + ".hea")) is not None:
                raise refusal(file, f"belongs to a WFDB record; name its header, {header.name}")
            raise refusal(file, _UNKNOWN)
        if file.suffix.lower() in _BINARY:
            raise refusal(file, f"is not in {file.suffix[1:].upper()} format; check what it is")
    return "csv"


def _header_naming(file: Path) -> Path | None:
    """The WFDB header of the same stem beside the file, if one of its signals is in the file."""
    header = beside(file, file.stem + ".hea")
    if header is None:
        return None
    named = {line.split()[0].lower() for line in header_lines(header)}
    return header if file.name.lower() in named else None


def _is_binary(first: bytes) -> bool:
    """Whether bytes are no text: control signs other than those of lines and tabs."""
    controls = sum(byte < 32 and byte not in b"\t\r\n\f\x1a\x1b" for byte in first)
    return b"\0" in first[:64] or controls > len(first) // 50
