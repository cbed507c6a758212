"""Data sets of beats: prepared once with TFDS (array_record, no TensorFlow), read into memory."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kdjax.datasets import mitbih_beats, storage, synthetic_beats
from kdjax.datasets.storage import CLASSES, BeatSet
from kdjax.errors import InputError

__all__ = ["CLASSES", "BeatSet", "load", "prepare_mitbih"]


_BUILDERS = {"mitbih": mitbih_beats.MitbihBeats, "synthetic": synthetic_beats.SyntheticBeats}


def load(name: str, data_dir: str | Path | None = None) -> BeatSet:
    """The prepared beats of "mitbih" or "synthetic" from `data_dir` (None: TFDS's default).

    Synthetic beats are made on first use. InputError when there is no such data set, when mitbih
    is not prepared there, or when its files are damaged.
    """
    if name not in _BUILDERS:
        raise InputError(f"data.dataset is {name!r}; choose one of {', '.join(_BUILDERS)}")
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
    return storage.beat_set(name, str(builder.version), examples, builder.LEADS)


def prepare_mitbih(
    source: str | Path | None,
    data_dir: str | Path | None = None,
    download: bool = False,
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


def loss_table(examples: list[dict]) -> list[dict]:
    """A row for each record: beats kept by class, beats dropped by reason, and the lost share.

    Dropped are beats of which the recording holds no whole window, and normal beats that lie 10
    samples or more from every detected R-peak.
    """
    rows = []
    for e in examples:
        far = (e["label"] == CLASSES.index("N")) & (e["near_peak"] == 0)
        kept = np.bincount(e["label"][~far], minlength=len(CLASSES))
        cut_off, far = int(e["cut_off"].sum()), int(far.sum())
        rows.append(
            {"record": e["record"]}
            | {name: int(count) for name, count in zip(CLASSES, kept, strict=True)}
            | {"no whole window": cut_off, "far from an R-peak": far}
            | {"lost": (cut_off + far) / max(cut_off + len(e["label"]), 1)}
        )
    return rows
