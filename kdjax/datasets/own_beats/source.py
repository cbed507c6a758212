"""Own recordings in a folder, with or without annotations -> examples as stored."""

import csv
import glob
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kdjax import beats
from kdjax.datasets import storage
from kdjax.datasets.storage import CLASSES, LABELS
from kdjax.errors import InputError, option, options
from kdjax.recordings import (
    Annotations,
    Source,
    annotator_suffix,
    look_into,
    open_source,
    read_annotations,
)
from kdjax.recordings.leads import place_of

ANNOTATIONS = ".annotations.csv"  # after the stem of a recording that is no WFDB record
USUAL_LEADS = ("MLII", "II")
_LARGEST = 1_900_000_000  # bytes; an example ends at 2 GiB
_PER_BEAT = ("x", "label", "sample", "rr_before", "rr_after", "rr_median", "near_peak")
_MANY = 0.25  # of a recording's normal beats, far from every R-peak, that the user is told of


class Own(NamedTuple):
    """Examples as stored, the names of their leads, whether they are annotated, and remarks."""

    examples: list[dict]
    leads: tuple[str, ...]
    annotated: bool
    remarks: list[str]


def read(
    folder: Path,
    *,
    leads: Sequence[str] = (),
    classes: Path | None = None,
    fs: float | None = None,
    units: str | None = None,
    gain: float | None = None,
    annotator: str | None = None,
) -> Own:
    """The beats of all recordings in `folder`.

    Annotations are read from the file of that annotator (None: .atr) beside a WFDB header, or from
    NAME.annotations.csv beside NAME of another format. `leads` are names or numbers from 1.
    `classes` is a file that maps symbols to classes (None: the map of MIT-BIH's data set); without
    any annotations, all R-peaks are normal beats. `fs`, `units`, `gain`: see `open_source`. An
    example has, besides what `storage.cut` returns, `at_gap`: int64 [5], the number of beats of
    each class left out because a gap in the signal touches their window; and `ignored`: JSON, the
    number of annotations of each symbol without a class.

    InputError if there are no recordings, one is damaged or lacks a lead, two have the same name,
    or some have annotations and others do not.
    """
    suffix = annotator_suffix("annotator", annotator or "atr")
    labels = LABELS if classes is None else read_classes(classes)
    inside = look_into(folder)
    files = [file for file in inside.recordings if not (classes and file.samefile(classes))]
    if not files:
        raise InputError(
            f"{folder} holds no recordings; name a folder with WFDB, EDF, ISHNE, CSV or NPY files"
        )
    sources = [open_source(file, fs, units, gain=gain) for file in files]
    _check_names(files, sources)
    leads, chosen = choose_leads(sources, leads)
    pairs = zip(files, sources, strict=True)
    annotations = [_annotations(file, source.fs, suffix) for file, source in pairs]
    annotated = _check_annotated(sources, annotations)
    if not annotated and classes is not None:
        raise InputError(
            f"{classes}: no recording in {folder} has annotations, so there is nothing to map; "
            f"add annotations or leave {option('classes')} out"
        )
    if not annotated and annotator is not None:
        raise InputError(f"{folder}: no record in it has annotations .{suffix}; choose others")
    remarks = [f"{source.name}: {note}" for source in sources for note in source.notes]
    others = [file for file in inside.others if not (classes and file.samefile(classes))]
    remarks += _of_other_files(others, _unknown_suffixes(files) if not annotated else [])
    examples = []
    for source, columns, found in zip(sources, chosen, annotations, strict=True):
        made, said = example(source, columns, annotations=found, labels=labels)
        examples.append(made)
        remarks += [f"{source.name}: {words}" for words in said]
        names = tuple(source.leads[column] for column in columns)
        if names != leads:
            remarks.append(f"{source.name}: {', '.join(names)} read as {', '.join(leads)}")
    return Own(examples, leads, annotated, remarks)


def _of_other_files(others: Sequence[Path], suffixes: Sequence[str]) -> list[str]:
    """What to say of files that are not read; suffixes: those that may be annotators'."""
    remarks = []
    if others:
        names = ", ".join(file.name for file in others[:5])
        remarks.append(f"skipped, not recordings: {names}{' …' * (len(others) > 5)}")
    if suffixes:
        remarks.append(
            f"there are files {', '.join(suffixes)} beside the records; if these are annotations, "
            f"give {options(annotator=suffixes[0].removeprefix('.'))}"
        )
    return remarks


def _check_names(files: Sequence[Path], sources: Sequence[Source]) -> None:
    """Raises InputError when two recordings have one name."""
    names = [source.name for source in sources]
    for file, name in zip(files, names, strict=True):
        if names.count(name) > 1:
            raise InputError(
                f"{file}: another recording in the folder has the name {name} too; rename one"
            )


def _check_annotated(sources: Sequence[Source], annotations: Sequence[Annotations | None]) -> bool:
    """Whether the recordings have annotations. Raises InputError when some have and others none."""
    pairs = zip(sources, annotations, strict=True)
    lacking = [source.name for source, found in pairs if found is None]
    if lacking and len(lacking) < len(sources):
        raise InputError(
            f"recording {lacking[0]} has no annotations, but others have; add some (.atr or "
            f"{lacking[0]}{ANNOTATIONS}) or move it to another folder"
        )
    return not lacking


def _unknown_suffixes(files: Sequence[Path]) -> list[str]:
    """Suffixes of what lies beside WFDB headers under their names and is no signal file."""
    headers = [file for file in files if file.suffix.lower() == ".hea"]
    found = {
        other.suffix
        for file in headers
        for other in file.parent.glob(f"{glob.escape(file.stem)}.*")
    }
    return sorted(found - {".hea", ".HEA", ".dat", ".DAT", ".atr"})


def example(
    source: Source,
    columns: Sequence[int],
    *,
    annotations: Annotations | None,
    labels: Mapping[str, int],
) -> tuple[dict, list[str]]:
    """The beats of a recording at 360 Hz, as stored (see `read`), and what to say of them."""
    signal = np.concatenate(list(source.blocks(columns)))
    signal, gap = beats.bridge(signal, source.fs)
    try:
        ratio, ignored = beats.rate_ratio(source.fs), {}
    except InputError as error:
        raise InputError(f"recording {source.name}: {error}") from error
    if annotations is not None:
        sample = np.rint(annotations.sample * float(ratio)).astype(np.int64)
        order = np.argsort(sample, kind="stable")
        annotations = Annotations(sample[order], annotations.symbol[order])
        strange = annotations.symbol[~np.isin(annotations.symbol, list(labels))]
        found, count = np.unique(strange, return_counts=True)
        ignored = {str(symbol): int(n) for symbol, n in zip(found, count, strict=True)}
    made, moved = storage.cut(
        source.name, beats.resample(signal, source.fs), annotations, labels=labels, centred=True
    )
    remarks = _of_annotations(made, moved)
    edges = made["sample"][:, None] + [-beats.BEFORE, beats.AFTER]
    first, end = np.clip(np.rint(edges / float(ratio)).astype(np.int64), 0, len(gap)).T
    missing = np.concatenate([[0], np.cumsum(gap)])
    whole = missing[end] == missing[first]
    at_gap = np.bincount(made["label"][~whole], minlength=len(CLASSES)).astype(np.int64)
    kept = {name: made[name][whole] for name in _PER_BEAT}
    if kept["x"].nbytes > _LARGEST:
        raise InputError(
            f"recording {source.name} has {len(kept['x'])} beats, too many; cut it in two"
        )
    kept["symbol"] = "".join(np.array(list(made["symbol"]), "<U1")[whole])
    return made | kept | {"at_gap": at_gap, "ignored": json.dumps(ignored)}, remarks


def _of_annotations(made: Mapping[str, Any], moved: int) -> list[str]:
    """How annotations stand to the R-peaks, where that moved or costs beats."""
    remarks = []
    if moved:
        side = "before" if moved > 0 else "after"
        remarks.append(
            f"annotations are {abs(moved) / beats.FS * 1e3:.0f} ms {side} the R-peaks; beats are "
            "centred on the peaks"
        )
    normal = made["label"] == CLASSES.index("N")
    far = normal & (made["near_peak"] == 0)
    if far.sum() > _MANY * normal.sum():
        remarks.append(
            f"{100 * far.sum() / normal.sum():.0f} % of its normal beats are annotated far from "
            "every R-peak and are not trained on; check the annotations and the lead"
        )
    return remarks


def choose_leads(
    sources: Sequence[Source], wanted: Sequence[str] = ()
) -> tuple[tuple[str, ...], list[list[int]]]:
    """Names of the leads to take, and their columns in every recording.

    Those wanted, by name or number, else the only one, MLII or II. InputError when a recording has
    not the wanted ones, or when none of the others is in all.
    """
    first = sources[0]
    chosen = [[place_of(source.leads, lead) for lead in wanted] for source in sources]
    for source, columns in zip(sources, chosen, strict=True):
        if None in columns:
            raise InputError(
                f"recording {source.name} has no lead {wanted[columns.index(None)]}, only "
                f"{', '.join(source.leads)}; choose another lead or move it to another folder"
            )
    if wanted:
        columns = [list(dict.fromkeys(c for c in row if c is not None)) for row in chosen]
        if len({len(row) for row in columns}) > 1 or len(columns[0]) < len(set(wanted)):
            raise InputError(
                f"{option('leads')} {', '.join(wanted)}: two of these are one lead; name it once"
            )
        return tuple(first.leads[column] for column in columns[0]), columns
    only = first.leads if len(first.leads) == 1 else ()
    for lead in (*only, *USUAL_LEADS):
        columns = [place_of(source.leads, lead) for source in sources]
        if None not in columns:
            return (lead,), [[column] for column in columns if column is not None]
    raise InputError(
        f"no usual lead is in every recording; {first.name} has {', '.join(first.leads)}; choose "
        f"one that all of them have with {option('leads')}"
    )


def read_classes(file: Path) -> dict[str, int]:
    """The class map in a file: symbol -> index into CLASSES.

    CSV with the columns symbol and class, or JSON {symbol: class}. InputError for another class, a
    symbol that is not one character, a symbol of two classes, or a file that cannot be read.
    """
    text = _text(file)
    if file.suffix.lower() == ".json":
        try:
            pairs = list(json.loads(text, object_pairs_hook=list))
            rows = [(str(symbol), str(name)) for symbol, name in pairs]
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f'{file}: not a map such as {{"N": "N", "A": "S"}}') from error
    else:
        rows = _columns(file, text, "symbol", second="class")
    labels: dict[str, int] = {}
    for symbol, name in rows:
        if len(symbol) != 1:
            raise InputError(f"{file}: symbol {symbol!r} is not one character; rename it")
        if name not in CLASSES:
            raise InputError(
                f"{file}: class {name!r} of symbol {symbol!r}; choose one of {', '.join(CLASSES)}"
            )
        if labels.setdefault(symbol, CLASSES.index(name)) != CLASSES.index(name):
            raise InputError(f"{file}: symbol {symbol!r} has two classes; keep one of them")
    if not labels:
        raise InputError(f"{file}: maps no symbol; give lines such as A,S under symbol,class")
    return labels


def _annotations(file: Path, fs: float, annotator: str) -> Annotations | None:
    """A recording's annotations, None where it has none; samples are those of its signals."""
    if file.suffix.lower() == ".hea":
        return read_annotations(file, fs, annotator)
    sidecar = file.with_name(file.stem + ANNOTATIONS)
    if not sidecar.is_file():
        return None
    rows = _columns(sidecar, _text(sidecar), "sample", second="symbol")
    for sample, _ in rows:
        if not re.fullmatch(r"[-+]?\d{1,18}", sample):  # what int64 holds
            raise InputError(
                f"{sidecar}: sample {sample[:40]!r} is not a whole number; count samples from 0"
            )
    sample = np.array([int(sample) for sample, _ in rows], np.int64)
    return Annotations(sample, np.array([symbol for _, symbol in rows], str))


def _columns(file: Path, text: str, first: str, *, second: str) -> list[tuple[str, str]]:
    """Two columns of a CSV file by their names in its first line."""
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True, strict=True)
    try:
        if not {first, second} <= set(reader.fieldnames or ()):
            raise InputError(f"{file}: the first line must name the columns {first},{second}")
        rows = [(row[first], row[second]) for row in reader]
    except csv.Error as error:
        raise InputError(
            f"{file}: line {reader.reader.line_num} is not CSV; check its quotes"
        ) from error
    if any(a is None or b is None for a, b in rows):
        raise InputError(f"{file}: a line has fewer columns than the first; complete it")
    return [(a.strip(), b.strip()) for a, b in rows]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"{file}: cannot be read ({reason}); name another file") from error
