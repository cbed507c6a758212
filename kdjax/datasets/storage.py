"""How beats and windows are stored and read back: examples, their TFDS features, a BeatSet.

An example holds all beats of one recording, band-passed in mV, so that a hundred thousand beats
load in about a second. Scaling to [-1, 1] happens on reading.
"""

import contextlib
import errno
import hashlib
import io
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import utils as tfds_utils

from kdjax import beats, rpeaks
from kdjax.errors import InputError, reason_of, remedy_of
from kdjax.files import SUMS, changed_files, locked, make_folder, new_folder, write_sums
from kdjax.recordings import Annotations, Recording

CLASSES = ("N", "S", "V", "F", "Q")
# BeatGAN's map, not AAMI's: e and j are supraventricular here. Other symbols are no beats to it.
SYMBOLS = {"N": "NLR", "S": "aJASje", "V": "VE", "F": "F", "Q": "/fQ"}
LABELS = {symbol: CLASSES.index(name) for name, symbols in SYMBOLS.items() for symbol in symbols}

_FEWEST = 10  # normal beats by which an offset of annotations is measured
_REACH = 54  # samples, 150 ms: an R-peak further away is another beat's
_STEADY = 4  # samples, 11 ms, from which on an offset counts

SPLIT = "beats"  # TFDS's split; train and test are the protocols' affair


@dataclass(frozen=True, eq=False, kw_only=True)
class BeatSet:
    """Beats in memory, ordered by record and sample.

    x: float32 [B, T, C] scaled to [-1, 1]; label: int8 [B], index into CLASSES; symbol: the
    annotator's, '<U1' [B]; record: '<U16' or longer [B]; sample: int64 [B], the window's centre;
    rr_before, rr_after, rr_median: float32 [B] in seconds, NaN where there is none;
    near_peak: bool [B], the centre lies less than 10 samples from a detected R-peak;
    fingerprint: SHA-256 of all that, whatever files it was read from; leads: names of the C leads;
    classes: names of the classes, the normal one first; ecg: whether these are heartbeats. Windows
    of anything else have their group as record and their time as sample (float64), no symbol and no
    intervals, and fs is NaN.
    """

    name: str
    version: str
    fs: float
    x: np.ndarray
    label: np.ndarray
    symbol: np.ndarray
    record: np.ndarray
    sample: np.ndarray
    rr_before: np.ndarray
    rr_after: np.ndarray
    rr_median: np.ndarray
    near_peak: np.ndarray
    fingerprint: str
    leads: tuple[str, ...] = ()
    classes: tuple[str, ...] = CLASSES
    ecg: bool = True

    @property
    def unit(self) -> str:
        """What one of them is called."""
        return "beat" if self.ecg else "window"


def features(n_leads: int) -> tfds.features.FeaturesDict:
    """The TFDS features of an example with that many leads."""

    def per_beat(dtype, *shape):
        # As bytes: a list of numbers takes half a minute to write and seconds to read.
        return tfds.features.Tensor(shape=(None, *shape), dtype=dtype, encoding="bytes")

    return tfds.features.FeaturesDict(
        {
            "record": tfds.features.Text(),
            "x": per_beat(np.float32, beats.WINDOW, n_leads),
            "label": per_beat(np.int8),
            "symbol": tfds.features.Text(),
            "sample": per_beat(np.int64),
            "rr_before": per_beat(np.float32),
            "rr_after": per_beat(np.float32),
            "rr_median": per_beat(np.float32),
            "near_peak": per_beat(np.uint8),
            "cut_off": tfds.features.Tensor(shape=(len(CLASSES),), dtype=np.int64),
        }
    )


def example(recording: Recording, leads: Sequence[str]) -> dict:
    """All annotated beats of `recording` with a whole window, as stored; R-peaks of leads[0].

    InputError when the recording has not the leads, the rate or annotations.
    """
    if recording.fs != beats.FS:
        raise InputError(
            f"record {recording.name} is sampled at {recording.fs:g} Hz, beats need {beats.FS} Hz; "
            "resample it"
        )
    if recording.annotations is None:
        raise InputError(f"record {recording.name} has no annotations; put its .atr file beside it")
    raw = np.stack([recording.lead(lead) for lead in leads], axis=1)
    return cut(recording.name, raw, recording.annotations)[0]


def cut(
    name: str,
    raw: np.ndarray,
    annotations: Annotations | None,
    *,
    labels: Mapping[str, int] = LABELS,
    centred: bool = False,
) -> tuple[dict, int]:
    """The beats in `raw` [T, C], mV at 360 Hz, as stored, and by how much they were moved.

    R-peaks are those of raw[:, 0].

    Beats are the annotations whose symbol is in `labels` (symbol -> index into CLASSES). Without
    annotations they are the R-peaks, all normal. `cut_off` int64 [5] counts by class the beats left
    out because the recording begins or ends within their window. `centred`: where annotations stand
    at a steady distance from the R-peaks, as those of QRS onsets do, beats move by it, in samples
    from annotation to peak.
    """
    filtered = beats.bandpass(raw, beats.FS)
    peaks = rpeaks.protocol_r_peaks(raw[:, 0], filtered[:, 0], beats.FS)
    if annotations is None:
        annotations = Annotations(peaks, np.full(len(peaks), "N"))
        labels = {"N": 0}
    is_beat = np.isin(annotations.symbol, list(labels))
    symbol = annotations.symbol[is_beat]
    sample = annotations.sample[is_beat]
    label = np.array([labels[s] for s in symbol], np.int8)
    moved = offset(sample[label == 0], peaks) if centred else 0
    sample = sample + moved
    whole = beats.whole(sample, len(raw))
    cut_off = np.bincount(label[~whole], minlength=len(CLASSES))
    symbol, sample, label = symbol[whole], sample[whole], label[whole]
    rr_before, rr_after, rr_median = beats.rr_intervals(sample, peaks, beats.FS)
    stored = {
        "record": name,
        "x": beats.windows(filtered, sample),
        "label": label,
        "symbol": "".join(symbol),
        "sample": sample,
        "rr_before": rr_before,
        "rr_after": rr_after,
        "rr_median": rr_median,
        "near_peak": (beats.distance_to_peak(sample, peaks) < beats.NEAR).astype(np.uint8),
        "cut_off": cut_off.astype(np.int64),
    }
    return stored, moved


def offset(sample: np.ndarray, peaks: np.ndarray) -> int:
    """Samples from annotations [B] to their R-peaks: the median where most agree on it, else 0.

    Small ones count as 0 too: annotators seldom hit a peak to the sample.
    """
    if len(sample) < _FEWEST or not len(peaks):
        return 0
    after = np.searchsorted(peaks, sample)
    later = peaks[np.minimum(after, len(peaks) - 1)] - sample
    earlier = peaks[np.maximum(after - 1, 0)] - sample
    nearest = np.where(np.abs(later) < np.abs(earlier), later, earlier)
    nearest = nearest[np.abs(nearest) < _REACH]
    if 2 * len(nearest) < len(sample):
        return 0
    middle = int(np.median(nearest))
    agree = np.abs(nearest - middle) < beats.NEAR / 2
    return middle if abs(middle) >= _STEADY and 2 * agree.sum() > len(sample) else 0


def builder(
    cls: type[tfds.core.GeneratorBasedBuilder], data_dir: str | Path | None, **kwargs
) -> tfds.core.GeneratorBasedBuilder:
    """A builder of `cls` whose data stands in `data_dir` (None: where TFDS keeps its data).

    InputError when what is prepared there is damaged.
    """
    folder = None if data_dir is None else str(Path(data_dir).expanduser().resolve())
    try:
        return cls(data_dir=folder, file_format="array_record", **kwargs)
    except Exception as error:  # of reading what is there; TFDS raises all sorts
        what = f"{kwargs.get('name', cls.name)} in {folder or 'the data folder of TFDS'}"
        raise InputError(
            f"the prepared data of {what} is damaged ({reason_of(error)}); "
            "delete that folder and prepare it again"
        ) from error


def prepare(to_prepare: tfds.core.GeneratorBasedBuilder, source: Path | None = None) -> None:
    """Write the beats of a builder, from the records in `source` where it needs any.

    What is prepared already is kept. A preparation that fails or is stopped leaves nothing; what a
    killed one leaves is never read, and removed by the next. Where another process is preparing the
    same, waits for it. InputError when the folder cannot be written. The files' checksums stand
    beside them.
    """
    place = Path(to_prepare.data_path)
    if place.exists():
        _keep_sums(place)
        return
    print(f"preparing {to_prepare.name} {to_prepare.version} in {place}", file=sys.stderr)
    try:
        make_folder(place.parent)
        with locked(place.parent, wait=True), _whole_folders():
            if not place.exists():
                _write(to_prepare, source)
    except (OSError, RuntimeError) as error:
        code = error.errno if isinstance(error, OSError) else _errno_of_array_record(error)
        if code is None:
            raise
        place = getattr(error, "filename", None) or place
        remedy = remedy_of(code, "choose another folder with data.dir or TFDS_DATA_DIR")
        raise InputError(f"cannot write {place} ({os.strerror(code)}); {remedy}") from error


def _errno_of_array_record(error: Exception) -> int | None:
    """What the disk said to a writer of array_record, which raises RuntimeError for everything."""
    found = re.search(r"\w+\(\) failed: ([^;]+);", str(error))
    numbers = {os.strerror(code): code for code in errno.errorcode}
    return None if found is None else numbers.get(found[1], errno.EIO)


def _write(to_prepare: tfds.core.GeneratorBasedBuilder, source: Path | None) -> None:
    config = tfds.download.DownloadConfig(manual_dir=None if source is None else str(source))
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS speaks of a download; there is none
            to_prepare.download_and_prepare(download_config=config)
    finally:
        tfds.enable_progress_bar()


@contextlib.contextmanager
def _whole_folders() -> Iterator[None]:
    """Has TFDS write its folders as `files.new_folder` does, with the checksums.

    TFDS's own unfinished folders stay where a signal ends the process, and are not flushed.
    """
    theirs = tfds_utils.incomplete_dir

    @contextlib.contextmanager
    def ours(dirname: str, **_: Any) -> Iterator[str]:
        with new_folder(Path(dirname)) as folder:
            yield str(folder)
            write_sums(folder)

    tfds_utils.incomplete_dir = ours
    try:
        yield
    finally:
        tfds_utils.incomplete_dir = theirs


def _keep_sums(place: Path) -> None:
    """Writes the checksums that are missing: the data is of an older kdjax, or somebody's else."""
    if not (place / SUMS).exists():
        with contextlib.suppress(OSError):  # a folder that may only be read
            write_sums(place)


def read_examples(prepared: tfds.core.DatasetBuilder) -> list[dict]:
    """The examples that a builder has prepared, by record name; InputError for damaged files."""
    changed = changed_files(Path(prepared.data_path))
    if changed:
        raise InputError(
            f"the prepared data in {prepared.data_path} is damaged ({changed} is not what was "
            "written); delete that folder and prepare it again"
        )
    try:
        # TFDS decorates this method in a way that hides its parameters from a type checker.
        source = prepared.as_data_source(split=SPLIT)  # pyright: ignore[reportCallIssue]
        examples = [dict(e) for e in source]
    except Exception as error:  # array_record and TFDS raise all sorts on what they cannot read
        raise InputError(
            f"the prepared data in {prepared.data_path} is damaged ({reason_of(error)}); "
            "delete that folder and prepare it again"
        ) from error
    for e in examples:
        e |= {name: e[name].decode() for name in ("record", "symbol") if name in e}
    return sorted(examples, key=lambda e: e["record"])


def beat_set(
    name: str, version: str, examples: list[dict], *, leads: Sequence[str] = ()
) -> BeatSet:
    """The examples' beats as one BeatSet; `leads` names what they are of."""
    longest = max([16, *(len(e["record"]) for e in examples)])

    def joined(field):
        return np.concatenate([e[field] for e in examples])

    arrays = {
        "x": beats.scale(joined("x")),
        "label": joined("label"),
        "symbol": np.array(list("".join(e["symbol"] for e in examples)), "<U1"),
        "record": np.repeat(
            [e["record"] for e in examples], [len(e["label"]) for e in examples]
        ).astype(f"<U{longest}"),
        "sample": joined("sample"),
        "rr_before": joined("rr_before"),
        "rr_after": joined("rr_after"),
        "rr_median": joined("rr_median"),
        "near_peak": joined("near_peak").astype(bool),
    }
    return BeatSet(
        name=name,
        version=version,
        fs=float(beats.FS),
        **arrays,
        fingerprint=fingerprint(f"{name} {version} {beats.FS}", arrays),
        leads=tuple(leads),
    )


def window_set(name: str, version: str, examples: list[dict], *, classes: Sequence[str]) -> BeatSet:
    """The examples' windows, see `own_windows.read`, as one BeatSet."""
    record = [np.repeat(e["record"], len(e["label"])) for e in examples]
    arrays = {
        "x": beats.scale(np.concatenate([e["x"] for e in examples])),
        "label": np.concatenate([e["label"] for e in examples]),
        "record": np.concatenate(record).astype(str),
        "sample": np.concatenate([e["time"] for e in examples]),
    }
    unknown = np.full(len(arrays["x"]), np.nan, np.float32)
    return BeatSet(
        name=name,
        version=version,
        fs=math.nan,
        **arrays,
        symbol=np.full(len(unknown), "", "<U1"),
        rr_before=unknown,
        rr_after=unknown,
        rr_median=unknown,
        near_peak=np.ones(len(unknown), bool),
        fingerprint=fingerprint(f"{name} {version} {list(classes)}", arrays),
        classes=tuple(classes),
        ecg=False,
    )


def fingerprint(about: str, arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of a text and of arrays with their names, dtypes and shapes."""
    digest = hashlib.sha256(about.encode())
    for field in sorted(arrays):
        values = np.ascontiguousarray(arrays[field])
        digest.update(f"{field} {values.dtype.str} {values.shape}".encode())
        digest.update(values.view(np.uint8).data)
    return digest.hexdigest()
