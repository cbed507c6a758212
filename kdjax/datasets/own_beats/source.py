"""Own recordings in a folder, with or without annotations -> examples as stored."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kdjax import beats
from kdjax.datasets import storage
from kdjax.datasets.storage import CLASSES, LABELS
from kdjax.errors import InputError
from kdjax.recordings import Annotations, Source, find_sources, open_source, read_annotations

ANNOTATIONS = ".annotations.csv"  # after the stem of a recording that is no WFDB record
USUAL_LEADS = ("MLII", "II")
_LARGEST = 1_900_000_000  # bytes; an example ends at 2 GiB
_PER_BEAT = ("x", "label", "sample", "rr_before", "rr_after", "rr_median", "near_peak")


def read(
    folder: Path,
    leads: Sequence[str] = (),
    classes: Path | None = None,
    fs: float | None = None,
    units: str | None = None,
) -> tuple[list[dict], tuple[str, ...], bool]:
    """The examples of all recordings in `folder`, their leads, and whether they are annotated.

    Annotations stand in the .atr file beside a WFDB header or in NAME.annotations.csv beside NAME
    of another format. `classes` is a file that maps symbols to classes (None: the map of MIT-BIH's
    data set); without any annotations all R-peaks are normal beats. `fs` and `units` are those of
    formats that state none. An example has, beside what `storage.cut` gives, `at_gap`: int64 [5],
    beats by class left out because a gap in the signal touches their window; `ignored`: JSON,
    symbol -> how many annotations of that symbol are of no class.

    InputError when there are no recordings, one is damaged or lacks a lead, two have one name, or
    some have annotations and others none.
    """
    labels = LABELS if classes is None else read_classes(classes)
    files = [
        file
        for file in find_sources(folder)
        if not file.name.endswith(ANNOTATIONS) and not (classes and file.samefile(classes))
    ]
    if not files:
        raise InputError(f"{folder} holds no recordings; name a folder with WFDB, EDF, CSV or NPY")
    sources = [open_source(file, fs, units) for file in files]
    names = [source.name for source in sources]
    for file, name in zip(files, names, strict=True):
        if names.count(name) > 1:
            raise InputError(f"{file}: another recording there is called {name} too; rename one")
    leads = choose_leads(sources, leads)
    pairs = zip(files, sources, strict=True)
    annotations = [_annotations(file, source.fs) for file, source in pairs]
    lacking = [name for name, found in zip(names, annotations, strict=True) if found is None]
    annotated = len(lacking) < len(names)
    if annotated and lacking:
        raise InputError(
            f"recording {lacking[0]} has no annotations, others have; add them "
            f"(.atr or {lacking[0]}{ANNOTATIONS}) or move it to another folder"
        )
    if classes is not None and not annotated:
        raise InputError(
            f"{classes}: no recording in {folder} has annotations, so there is nothing to map; "
            "add annotations or leave --classes out"
        )
    parts = zip(sources, annotations, strict=True)
    return [example(source, leads, found, labels) for source, found in parts], leads, annotated


def example(
    source: Source, leads: Sequence[str], annotations: Annotations | None, labels: Mapping[str, int]
) -> dict:
    """The beats of a recording at 360 Hz, as stored: see `read`."""
    columns = [source.leads.index(lead) for lead in leads]
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
    made = storage.cut(source.name, beats.resample(signal, source.fs), annotations, labels)
    edges = made["sample"][:, None] + [-beats.BEFORE, beats.AFTER]
    first, end = np.clip(np.rint(edges / float(ratio)).astype(np.int64), 0, len(gap)).T
    missing = np.concatenate([[0], np.cumsum(gap)])
    whole = missing[end] == missing[first]
    at_gap = np.bincount(made["label"][~whole], minlength=len(CLASSES)).astype(np.int64)
    kept = {name: made[name][whole] for name in _PER_BEAT}
    if kept["x"].nbytes > _LARGEST:
        raise InputError(
            f"recording {source.name} has {len(kept['x'])} beats, too many for one; cut it in two"
        )
    kept["symbol"] = "".join(np.array(list(made["symbol"]), "<U1")[whole])
    return made | kept | {"at_gap": at_gap, "ignored": json.dumps(ignored)}


def choose_leads(sources: Sequence[Source], wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """The leads to take of every recording: those wanted, else the only one, MLII or II.

    InputError when a recording has not the wanted ones, or when none of the others is in all.
    """
    first = sources[0]
    for lead in dict.fromkeys(wanted):
        for source in sources:
            if lead not in source.leads:
                raise InputError(
                    f"recording {source.name} has no lead {lead}: its leads are "
                    f"{', '.join(source.leads)}; choose another lead or move it to another folder"
                )
    if wanted:
        return tuple(dict.fromkeys(wanted))
    only = first.leads if len(first.leads) == 1 else ()
    for lead in (*only, *USUAL_LEADS):
        if all(lead in source.leads for source in sources):
            return (lead,)
    raise InputError(
        f"no lead to take of all recordings: {first.name} has {', '.join(first.leads)}; "
        "choose with --lead NAME, a lead that all of them have"
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
        rows = _columns(file, text, "symbol", "class")
    labels: dict[str, int] = {}
    for symbol, name in rows:
        if len(symbol) != 1:
            raise InputError(f"{file}: symbol {symbol!r} is not one character; rename it")
        if name not in CLASSES:
            raise InputError(
                f"{file}: class {name!r} of symbol {symbol!r}; choose one of {', '.join(CLASSES)}"
            )
        if labels.setdefault(symbol, CLASSES.index(name)) != CLASSES.index(name):
            raise InputError(f"{file}: symbol {symbol!r} has two classes; keep one")
    if not labels:
        raise InputError(f"{file}: maps no symbol; give lines such as A,S under symbol,class")
    return labels


def _annotations(file: Path, fs: float) -> Annotations | None:
    """A recording's annotations, None where it has none; samples are those of its signals."""
    if file.suffix.lower() == ".hea":
        return read_annotations(file, fs)
    sidecar = file.with_name(file.stem + ANNOTATIONS)
    if not sidecar.is_file():
        return None
    rows = _columns(sidecar, _text(sidecar), "sample", "symbol")
    try:
        sample = np.array([int(sample) for sample, _ in rows], np.int64)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{sidecar}: a sample is no whole number ({error})") from error
    return Annotations(sample, np.array([symbol for _, symbol in rows], str))


def _columns(file: Path, text: str, first: str, second: str) -> list[tuple[str, str]]:
    """Two columns of a CSV file by their names in its first line."""
    try:
        reader = csv.DictReader(io.StringIO(text), skipinitialspace=True, strict=True)
        if not {first, second} <= set(reader.fieldnames or ()):
            raise InputError(f"{file}: the first line must name the columns {first},{second}")
        rows = [(row[first], row[second]) for row in reader]
    except csv.Error as error:
        raise InputError(f"{file}: not CSV ({error})") from error
    if any(a is None or b is None for a, b in rows):
        raise InputError(f"{file}: a line has fewer columns than the first; complete it")
    return [(a.strip(), b.strip()) for a, b in rows]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"{file}: cannot be read ({reason}); name another file") from error
