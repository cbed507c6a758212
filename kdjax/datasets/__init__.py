"""Data sets of beats: prepared once with TFDS (array_record, no TensorFlow), read into memory."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from kdjax.datasets import mitbih_beats, own_beats, storage, synthetic_beats
from kdjax.datasets.storage import CLASSES, BeatSet
from kdjax.errors import InputError

__all__ = ["CLASSES", "BeatSet", "load", "prepare_mitbih", "prepare_own"]


_BUILDERS = {"mitbih": mitbih_beats.MitbihBeats, "synthetic": synthetic_beats.SyntheticBeats}


# MIT's symbols of beats; all others mark rhythm, noise and so on.
_BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")


def load(name: str, data_dir: str | Path | None = None) -> BeatSet:
    """The prepared beats of "mitbih", "synthetic" or own recordings, from `data_dir`.

    None is TFDS's default folder. Synthetic beats are made on first use. InputError when there is
    no such data set there, or when its files are damaged.
    """
    if name not in _BUILDERS:
        return _load_own(name, data_dir)
    builder = storage.builder(_BUILDERS[name], data_dir)
    if name == "synthetic":
        storage.prepare(builder)
        builder = storage.builder(_BUILDERS[name], data_dir)
    elif not Path(builder.data_path).exists():
        raise InputError(
            f"mitbih is not prepared in {builder.data_path}; run: "
            "kdjax prepare mitbih --from DIR | --download"
        )
    examples = storage.read_examples(builder)
    return storage.beat_set(name, str(builder.version), examples, _BUILDERS[name].LEADS)


def _load_own(name: str, data_dir: str | Path | None) -> BeatSet:
    _check_name(name, "data.dataset")
    place = Path(storage.builder(own_beats.OwnBeats, data_dir, name=name).data_path)
    if not place.exists():
        raise InputError(
            f"data.dataset is {name!r}, which is not prepared in {place}; choose one of "
            f"{', '.join(_BUILDERS)}, or run: kdjax prepare FOLDER --name {name}"
        )
    builder, leads = _own(place)
    return storage.beat_set(name, str(builder.version), storage.read_examples(builder), leads)


def _own(place: Path) -> tuple[tfds.core.DatasetBuilder, tuple[str, ...]]:
    """What is prepared there, and its leads."""
    try:
        builder = tfds.builder_from_directory(place)
        leads = tuple(builder.info.metadata["leads"])  # pyright: ignore
    except Exception as error:  # TFDS raises all sorts on what it cannot read
        raise InputError(
            f"{place} holds no beats of own recordings, or they are damaged; delete that folder "
            "and prepare it again, or choose another name"
        ) from error
    return builder, leads


def _check_name(name: str, what: str) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name):
        raise InputError(
            f"{what} is {name!r}; a data set's name begins with a letter and has letters, digits, "
            "_ and - only"
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
        raise InputError("prepare mitbih takes either --from DIR or --download")
    records = sorted({Path(name).stem for name in checksums})
    builder = storage.builder(mitbih_beats.MitbihBeats, data_dir, records=records)
    if source is None:
        source = Path(builder.data_path).parents[1] / "downloads" / "mitdb-1.0.0"
        mitbih_beats.download(source, checksums, url)
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

    Gives a row for each record, see `loss_table`, and what else there is to say of them. InputError
    for a name that cannot be, recordings that `own_beats.read` refuses or that hold no beats, and
    when other beats are prepared under that name.
    """
    _check_name(name, "--name")
    if name in _BUILDERS:
        raise InputError(f"--name {name} is a data set that kdjax has already; choose another name")
    classes = None if classes is None else Path(classes)
    examples, leads, annotated, remarks = own_beats.read(
        Path(folder), leads, classes, fs, units, gain=gain, annotator=annotator
    )
    if not any(len(e["label"]) for e in examples):
        raise InputError(f"no beats in any of the {len(examples)} recordings in {folder}")
    examples.sort(key=lambda e: e["record"])
    builder = storage.builder(
        own_beats.OwnBeats, data_dir, name=name, examples=examples, leads=leads
    )
    storage.prepare(builder)
    there = _load_own(name, data_dir)
    now = storage.beat_set(name, str(builder.version), examples, leads)
    if (there.fingerprint, there.leads) != (now.fingerprint, now.leads):
        raise InputError(
            f"other beats are prepared under the name {name} in {builder.data_path}; delete that "
            "folder or choose another --name"
        )
    return loss_table(examples), _remarks(examples, leads, annotated) + remarks


def _remarks(examples: list[dict], leads: Sequence[str], annotated: bool) -> list[str]:
    """What a user must know of data prepared from own recordings, beside the counts."""
    remarks = [f"leads: {', '.join(leads)}"]
    if not annotated:
        remarks.append(
            "no annotations: every beat that the R-peak detector found counts as normal, whatever "
            "it is, and there will be no AUC"
        )
    ignored = sum((Counter(json.loads(e["ignored"])) for e in examples), Counter())
    for beats, text in (
        (False, "annotations ignored, no beats by their symbol"),
        (True, "beats left out, their symbol is of no class (see --classes)"),
    ):
        found = [f"{n} {s!r}" for s, n in sorted(ignored.items()) if (s in _BEAT_SYMBOLS) == beats]
        if found:
            remarks.append(f"{text}: {', '.join(found)}")
    return remarks


def loss_table(examples: list[dict]) -> list[dict]:
    """A row for each record: beats kept by class, beats dropped by reason, and the lost share.

    Dropped are beats of which the recording holds no whole window, those whose window a gap in the
    signal touches (own recordings alone), and normal beats that lie 10 samples or more from every
    detected R-peak.
    """
    rows = []
    for e in examples:
        far = (e["label"] == CLASSES.index("N")) & (e["near_peak"] == 0)
        kept = np.bincount(e["label"][~far], minlength=len(CLASSES))
        dropped = {"no whole window": int(e["cut_off"].sum())}
        dropped |= {"at a gap": int(e["at_gap"].sum())} if "at_gap" in e else {}
        dropped |= {"far from an R-peak": int(far.sum())}
        lost = sum(dropped.values())
        rows.append(
            {"record": e["record"]}
            | {name: int(count) for name, count in zip(CLASSES, kept, strict=True)}
            | dropped
            | {"lost": lost / max(lost + int(kept.sum()), 1)}
        )
    return rows
