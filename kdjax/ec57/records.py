"""WFDB records with the files of two annotators."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdjax.errors import InputError
from kdjax.recordings import (
    Annotations,
    annotations_beside,
    annotator_suffix,
    find_sources,
    frame_rate,
    identity,
    read_annotation_file,
)
from kdjax.recordings.source import beside


@dataclass(frozen=True, kw_only=True)
class Record:
    """A record's header and the annotation files to compare."""

    header: Path
    reference: Path
    test: Path

    @property
    def name(self) -> str:
        """The header's name without its suffix."""
        return self.header.stem

    def read(self) -> tuple[float, Annotations, Annotations]:
        """Sampling rate in Hz, the reference and the test annotations; InputError if damaged."""
        fs = frame_rate(self.header)
        return fs, read_annotation_file(self.reference, fs), read_annotation_file(self.test, fs)


def find(
    paths: Sequence[Path], *, reference: str, test: str, detections: Path | None
) -> tuple[list[Record], list[str]]:
    """The records with both annotators, and a line on each record of a folder that lacks one.

    A path is a record, with or without the suffix .hea, or a folder of records. The test file lies
    beside the header or, where `detections` names a folder, there as NAME.EXT or NAME/NAME.EXT.
    InputError when a named record lacks a file or no record is left.
    """
    reference, test = annotator_suffix("reference", reference), annotator_suffix("test", test)
    written = {} if detections is None else _written(detections)
    records: list[Record] = []
    left_out: list[str] = []
    for path in paths:
        for header in _headers(path):
            record = Record(
                header=header,
                reference=annotations_beside(header, reference),
                test=_test_file(header, test, detections, written=written),
            )
            missing = [file for file in (record.reference, record.test) if not file.is_file()]
            if not missing:
                records.append(record)
            elif path.is_dir():
                left_out.append(f"{record.name}: left out, {missing[0]} is missing")
            else:
                raise InputError(f"{missing[0]}: no such file; {_remedy(detections)}")
    if not records:
        files = f"annotations .{reference} and .{test}"
        raise InputError(f"{paths[0]}: no record with {files}; {_remedy(detections)}")
    names = [record.name for record in records]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{twice}: two records have this name; compare them one at a time")
    return records, left_out


def _headers(path: Path) -> list[Path]:
    """The headers in a folder, or the one that a path names with any of a record's suffixes."""
    if path.is_dir():
        return [file for file in find_sources(path) if file.suffix.lower() == ".hea"]
    for header in (path, beside(path, f"{path.name}.hea"), beside(path, f"{path.stem}.hea")):
        if header is not None and header.suffix.lower() == ".hea" and header.is_file():
            return [header]
    raise InputError(f"{path}: no such record; name a WFDB header (.hea) or a folder of them")


def _written(detections: Path) -> dict[Path, Path]:
    """The annotations that kdjax detect wrote, by the recordings that they are of.

    A recording whose name WFDB does not take has another there.
    """
    found = {}
    for path in detections.glob("*/summary.json"):
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
            found[Path(summary["file"])] = path.with_name(summary["annotation_file"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue  # another program's
    return found


def _test_file(
    header: Path, test: str, detections: Path | None, *, written: Mapping[Path, Path]
) -> Path:
    if detections is None:
        return annotations_beside(header, test)
    name = f"{header.stem}.{test}"
    own_folder = detections / header.stem / name
    for path in (own_folder, detections / name, written.get(identity(header))):
        there = None if path is None else beside(path, path.name)
        if there is not None and there.suffix.lower() == f".{test}".lower():
            return there
    return own_folder


def _remedy(detections: Path | None) -> str:
    if detections is None:
        return "if kdjax detect wrote it, name its folder with --detections"
    return "check --detections and the annotators' names"
