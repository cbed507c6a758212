"""Data sets of beats or windows: prepared once with TFDS (array_record), read into memory."""

import difflib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow_datasets as tfds

from kdjax.datasets import mitbih_beats, own_beats, own_windows, storage, synthetic_beats
from kdjax.datasets.losses import loss_table, window_table
from kdjax.datasets.storage import CLASSES, BeatSet
from kdjax.errors import InputError, option

__all__ = ["CLASSES", "BeatSet", "load", "prepare_mitbih", "prepare_own", "prepare_windows"]

_BUILDERS = {"mitbih": mitbih_beats.MitbihBeats, "synthetic": synthetic_beats.SyntheticBeats}


# MIT's symbols of beats; all others mark rhythm, noise and so on.
_BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")


def load(name: str, data_dir: str | Path | None = None) -> BeatSet:
    """The prepared beats of "mitbih", "synthetic" or own data, from `data_dir`.

    None is TFDS's default folder. Synthetic beats are made on first use. InputError when there is
    no such data set there, or when its files are damaged.
    """
    place = check_prepared(name, data_dir)
    if name not in _BUILDERS:
        return _load_own(name, place)
    builder = storage.builder(_BUILDERS[name], data_dir)
    if name == "synthetic":
        storage.prepare(builder)
        builder = storage.builder(_BUILDERS[name], data_dir)
    examples = storage.read_examples(builder)
    return storage.beat_set(name, str(builder.version), examples, leads=_BUILDERS[name].LEADS)


def check_prepared(name: str, data_dir: str | Path | None = None) -> Path:
    """The folder of a data set; InputError unless it is prepared, or made on first use."""
    if name in _BUILDERS:
        builder = storage.builder(_BUILDERS[name], data_dir)
    else:
        _check_name(name, "data.dataset")
        builder = storage.builder(own_beats.OwnBeats, data_dir, name=name)
    place = Path(builder.data_path)
    if place.exists() or name == "synthetic":
        return place
    if name == "mitbih":
        raise InputError(
            f"mitbih is not prepared in {place}; run kdjax prepare mitbih --download or --from DIR"
        )
    near = difflib.get_close_matches(name, _BUILDERS, n=1)
    others = f"did you mean {near[0]}? If not," if near else f"choose {' or '.join(_BUILDERS)}, or"
    raise InputError(
        f"data.dataset is {name!r}, which is not prepared in {place}; {others} run kdjax prepare "
        f"FOLDER --name {name}"
    )


def _load_own(name: str, place: Path) -> BeatSet:
    builder, about = _own(place)
    version, examples = str(builder.version), storage.read_examples(builder)
    if "classes" in about:
        return storage.window_set(name, version, examples, classes=about["classes"])
    return storage.beat_set(name, version, examples, leads=about["leads"])


def _own(place: Path) -> tuple[tfds.core.DatasetBuilder, dict[str, list[str]]]:
    """What is prepared there, and of recordings the `leads`, of windows the `classes`."""
    try:
        builder = tfds.builder_from_directory(place)
        about = dict(builder.info.metadata or {})
        if not about.keys() & {"leads", "classes"}:
            raise ValueError("another data set")
    except Exception as error:  # TFDS raises all sorts on what it cannot read
        raise InputError(
            f"{place} holds no data set of kdjax, or it is damaged; delete that folder and prepare "
            "it again, or choose another name"
        ) from error
    return builder, about


def _check_name(name: str, what: str) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name):
        raise InputError(
            f"{what} is {name!r}; the name of a data set is a letter, followed by letters, digits, "
            "_ or -"
        )


def prepare_mitbih(
    source: str | Path | None,
    data_dir: str | Path | None = None,
    download: bool = False,
    *,
    checksums: Mapping[str, str] = mitbih_beats.CHECKSUMS,
    url: str = mitbih_beats.URL,
) -> list[dict]:
    """Prepare the MIT-BIH beats from the records in `source`, or download them first.

    Every file is checked against PhysioNet's SHA-256. Gives a row for each record, see
    `loss_table`. InputError names the file that is missing or differs, or the network's failure.
    """
    if (source is None) != download:
        raise InputError(
            f"give either the folder of the records, {option('source')}, or {option('download')}"
        )
    records = sorted({Path(name).stem for name in checksums})
    builder = storage.builder(mitbih_beats.MitbihBeats, data_dir, records=records)
    if source is None:
        source = Path(builder.data_path).parents[1] / "downloads" / "mitdb-1.0.0"
        mitbih_beats.download(source, checksums, url=url)
    mitbih_beats.verify(Path(source), checksums)
    storage.prepare(builder, Path(source))
    prepared = storage.builder(mitbih_beats.MitbihBeats, data_dir)
    return loss_table(storage.read_examples(prepared))


def prepare_own(
    folder: str | Path,
    name: str,
    leads: Sequence[str] = (),
    *,
    classes: str | Path | None = None,
    fs: float | None = None,
    units: str | None = None,
    data_dir: str | Path | None = None,
    gain: float | None = None,
    annotator: str | None = None,
) -> tuple[list[dict], list[str]]:
    """Prepare the recordings in `folder` as the data set `name`; see `own_beats.read`.

    Returns a row for each record, see `loss_table`, and notes on them. InputError for an invalid
    name, recordings that `own_beats.read` refuses or that hold no beats, and when other beats are
    prepared under that name.
    """
    _check_new(name)
    examples, leads, annotated, remarks = own_beats.read(
        Path(folder),
        leads=leads,
        classes=None if classes is None else Path(classes),
        fs=fs,
        units=units,
        gain=gain,
        annotator=annotator,
    )
    if not any(len(e["label"]) for e in examples):
        raise InputError(f"no beats in any of the {len(examples)} recordings in {folder}")
    examples.sort(key=lambda e: e["record"])
    builder = storage.builder(
        own_beats.OwnBeats, data_dir, name=name, examples=examples, leads=leads
    )
    _write(builder, storage.beat_set(name, str(builder.version), examples, leads=leads))
    return loss_table(examples), _remarks(examples, leads, annotated) + remarks


def prepare_windows(
    file: str | Path, name: str, data_dir: str | Path | None = None
) -> tuple[list[dict], list[str]]:
    """Prepare the windows in an .npz file as the data set `name`; see `own_windows.read`.

    Returns a row for each group, see `window_table`, and notes on them.
    InputError as `own_windows.read`, for an invalid name, and when other data is prepared
    under that name.
    """
    _check_new(name)
    examples, classes, remarks = own_windows.read(Path(file))
    builder = storage.builder(
        own_windows.OwnWindows, data_dir, name=name, examples=examples, classes=classes
    )
    _write(builder, storage.window_set(name, str(builder.version), examples, classes=classes))
    return window_table(examples, classes), remarks


def _check_new(name: str) -> None:
    """Refuses names that a user's data set cannot have."""
    _check_name(name, option("name"))
    if name in _BUILDERS:
        raise InputError(f"{option('name')} is {name}, a data set of kdjax; choose another name")


def _write(builder: tfds.core.GeneratorBasedBuilder, wanted: BeatSet) -> None:
    """Prepares what a builder holds; InputError when there is something else of that name."""
    storage.prepare(builder)
    there = _load_own(wanted.name, Path(builder.data_path))
    if (there.fingerprint, there.leads) != (wanted.fingerprint, wanted.leads):
        raise InputError(
            f"other data is prepared under the name {wanted.name} in {builder.data_path}; delete "
            f"that folder or choose another {option('name')}"
        )


def _remarks(examples: list[dict], leads: Sequence[str], annotated: bool) -> list[str]:
    """What a user must know of data prepared from own recordings, beside the counts."""
    remarks = [f"leads: {', '.join(leads)}"]
    if not annotated:
        remarks.append(
            "no annotations: every detected beat counts as normal, and there will be no AUC"
        )
    ignored = sum((Counter(json.loads(e["ignored"])) for e in examples), Counter())
    for beats, text in (
        (False, "annotations ignored because their symbol is not a beat"),
        (True, f"beats left out because their symbol has no class (see {option('classes')})"),
    ):
        found = [f"{n} {s!r}" for s, n in sorted(ignored.items()) if (s in _BEAT_SYMBOLS) == beats]
        if found:
            remarks.append(f"{text}: {', '.join(found)}")
    return remarks
