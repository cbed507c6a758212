"""An archive of windows (.npz) -> examples as stored. Nothing in it is trusted or unpickled."""

import math
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kdjax.beats import MULTIPLE, pad
from kdjax.errors import InputError, counted, reason_of
from kdjax.files import DAMAGED_NPZ, npy_header

NORMAL, ABNORMAL = "normal", "abnormal"  # the classes of labels 0 and 1
_ARRAYS = ("x", "label", "group", "time")
_SHORTEST = 16  # samples; a shorter window would be padding for the most part
_COLUMNS = {"group", "record", "lost"}  # of the tables that count classes
_MOST_CLASSES = 100  # labels are stored as int8
_FINEST = 1e-3  # of a window's span: a step of float32 is at most that
_LONGEST_NAME = 64
_LARGEST = 1_900_000_000  # bytes of a group; an example of TFDS ends at 2 GiB
_COPIES = 4  # of x in memory at the same time: read, padded, sorted, written


class Windows(NamedTuple):
    """Examples as stored, names of their classes, the normal one first, and remarks."""

    examples: list[dict]
    classes: tuple[str, ...]
    remarks: list[str]


def read(file: Path) -> Windows:
    """The windows in an archive of NumPy arrays.

    The archive holds `x`, real numbers [B, T, C], and optionally `label` [B], 0 for normal and 1
    for abnormal or the names of classes, one of them "normal"; `group` [B], text or whole numbers:
    the person or machine of each window; `time` [B], real numbers in any unit. Without labels all
    windows are normal, without groups they are of one, without time they are in order.

    There is an example for each group: `record` (its name), `x` float32 [N, T, C], padded with the
    last sample to a multiple of 32 samples and not scaled, `label` int8 [N], `time` float64 [N],
    ascending.

    InputError names the array and the remedy where the archive is anything else.
    """
    arrays = _read(file)
    x, remarks = _padded(file, arrays["x"])
    label, classes = _labels(file, arrays.get("label", np.zeros(len(x), int)))
    group = _groups(file, arrays.get("group", np.full(len(x), "all")))
    time = _times(file, arrays.get("time", np.arange(len(x))))
    if not (label == 0).any():
        raise InputError(f"{file}: no window is labelled as normal; training needs some that are")
    if "label" not in arrays:
        remarks.append("no labels: every window counts as normal, and there will be no AUC")
    names = [str(name) for name in np.unique(group)]
    if len(names) < 3:
        remarks.append(
            f"groups: {_listed(names)}; the protocol interpatient needs three, beatgan none"
        )
    examples = []
    for name in names:
        mine = np.flatnonzero(group == name)
        mine = mine[np.argsort(time[mine], kind="stable")]
        if x[:1].nbytes * len(mine) > _LARGEST:
            raise InputError(
                f"{file}: the windows of group {name} exceed {_LARGEST / 1e9} GB; divide the group"
            )
        examples.append({"record": name, "x": x[mine], "label": label[mine], "time": time[mine]})
    return Windows(examples, classes, remarks)


# --- arrays ------------------------------------------------------------------------------------


def _padded(file: Path, x: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """float32 [B, T, C] with T a multiple of 32, and what to say of it."""
    low, high = (ends(axis=1).astype(np.float64) for ends in (x.min, x.max))
    with np.errstate(over="ignore", invalid="ignore"):
        x = x.astype(np.float32)
        span = (high - low).astype(np.float32)
        largest = np.maximum(np.abs(low), np.abs(high)).astype(np.float32)
    finite = np.isfinite(span).all(axis=1) & np.isfinite(largest).all(axis=1)
    if not finite.all():
        raise InputError(
            f"{file}: {(~finite).sum()} windows hold NaN, infinity or numbers beyond float32, the "
            f"first is x[{np.argmin(finite)}]; leave them out or fill the gaps"
        )
    coarse = ((span > 0) & (np.spacing(largest) > _FINEST * span)).any(axis=1)
    if coarse.any():
        raise InputError(
            f"{file}: {coarse.sum()} windows lie too far from 0 for float32 to tell their samples "
            f"apart, the first is x[{np.argmax(coarse)}]; subtract each window's mean"
        )
    samples, channels = x.shape[1:]
    remarks = [f"windows of {samples} samples, {counted(channels, 'channel')}"]
    if still := int((span == 0).all(axis=1).sum()):
        remarks.append(f"constant: {still} of {len(x)} windows, which say nothing of a shape")
    if missing := -samples % MULTIPLE:
        x = pad(x)
        remarks.append(
            f"padded to {samples + missing} samples by repeating the last: the length must be a "
            f"multiple of {MULTIPLE}"
        )
    return x, remarks


def _labels(file: Path, values: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """int8 [B], and the names of the classes that they are indices into."""
    numbers = values.dtype.kind in "biu"
    if numbers and np.isin(values, (0, 1)).all():
        return values.astype(np.int8), (NORMAL, ABNORMAL)
    if numbers or values.dtype.kind != "U":
        strange = values[~np.isin(values, (0, 1))][0] if numbers else values.dtype
        raise InputError(
            f"{file}: label holds {strange}; give 0 for normal and 1 for abnormal, or the names of "
            "classes as text"
        )
    names, place = np.unique(values, return_inverse=True)
    _check_names(file, "label", names)
    if taken := sorted(_COLUMNS & set(names.tolist())):
        raise InputError(f"{file}: label holds {taken[0]!r}, a column of tables; rename that class")
    if NORMAL not in names:
        raise InputError(
            f"{file}: label holds {_listed(names)}; the normal class must be called {NORMAL!r}"
        )
    if len(names) > _MOST_CLASSES:
        raise InputError(
            f"{file}: label holds {len(names)} classes, at most {_MOST_CLASSES} are possible; "
            "merge some"
        )
    classes = (NORMAL, *(str(name) for name in names if name != NORMAL))
    index = np.array([classes.index(name) for name in names], np.int8)
    return index[place], classes


def _groups(file: Path, values: np.ndarray) -> np.ndarray:
    """Names [B]."""
    if values.dtype.kind not in "iuU":
        raise InputError(f"{file}: group holds {values.dtype}; give text or whole numbers")
    names = values.astype(str)
    _check_names(file, "group", np.unique(names))
    return names


def _times(file: Path, values: np.ndarray) -> np.ndarray:
    """float64 [B]."""
    if values.dtype.kind not in "iuf":
        raise InputError(f"{file}: time holds {values.dtype}; give real numbers, such as seconds")
    time = values.astype(np.float64)
    if not np.isfinite(time).all():
        raise InputError(f"{file}: time[{np.argmin(np.isfinite(time))}] is not finite; correct it")
    return time


def _check_names(file: Path, array: str, names: Sequence[str] | np.ndarray) -> None:
    for name in names:
        if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
            raise InputError(
                f"{file}: {array} holds {str(name)[:_LONGEST_NAME]!r}; a name has 1 to "
                f"{_LONGEST_NAME} printable characters"
            )


def _listed(names: Sequence[str] | np.ndarray) -> str:
    return ", ".join(names[:5]) + ", …" * (len(names) > 5)


# --- the archive -------------------------------------------------------------------------------


def _read(file: Path) -> dict[str, np.ndarray]:
    """The arrays by name; their shapes and sizes are checked before any is read."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = _members(file, archive)
            shapes = {name: _shape(file, archive, member) for name, member in members.items()}
            _check_shapes(file, shapes)
            arrays = {}
            for name, member in members.items():
                with archive.open(member) as opened:
                    arrays[name] = np.lib.format.read_array(opened, allow_pickle=False)
            return arrays
    except FileNotFoundError:
        raise InputError(
            f"{file}: no such file; name an .npz file, as numpy.savez writes"
        ) from None
    except MemoryError:
        raise InputError(f"{file}: too large for the memory; prepare fewer windows") from None
    except InputError:
        raise
    except DAMAGED_NPZ as error:
        raise InputError(
            f"{file}: cannot be read ({reason_of(error, 100)}); write it with numpy.savez"
        ) from error


def _members(file: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """What the archive holds by the names of arrays."""
    members = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name not in _ARRAYS or name == member.filename or name in members:
            raise InputError(
                f"{file}: holds {member.filename[:_LONGEST_NAME]}; it may hold the arrays "
                f"{', '.join(_ARRAYS)}, each once"
            )
        members[name] = member
    if "x" not in members:
        raise InputError(f"{file}: has no array x; put the windows [B, T, C] there")
    return members


def _shape(file: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[int, ...]:
    """What an array's header says; InputError for one that is no array of plain values."""
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as opened:
        shape, dtype = npy_header(opened)
        offset = opened.tell()
    if dtype.hasobject or dtype.fields is not None:
        raise InputError(f"{file}: {name} holds objects; write numbers or text (dtype U)")
    if name == "x" and dtype.kind not in "iuf":
        raise InputError(f"{file}: x holds {dtype}; give real numbers")
    if offset + math.prod(shape) * dtype.itemsize != member.file_size:
        raise InputError(f"{file}: {name} is not as long as it says; write the file again")
    return shape


def _check_shapes(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """InputError for windows that are none, or too many for the memory."""
    windows = shapes["x"]
    if len(windows) != 3 or 0 in windows:
        raise InputError(
            f"{file}: x has shape {windows}; it must be [windows, samples, channels], for one "
            "channel x[:, :, None]"
        )
    if windows[1] < _SHORTEST:
        raise InputError(
            f"{file}: x has windows of {windows[1]} samples; {_SHORTEST} are the fewest"
        )
    for name, shape in shapes.items():
        if name != "x" and shape != windows[:1]:
            raise InputError(
                f"{file}: {name} has shape {shape}, x has {windows[0]} windows; give one for each"
            )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    size = _COPIES * 4 * math.prod(windows)
    if size > memory:
        raise InputError(
            f"{file}: x needs {size / 1e9:.0f} GB of memory, there are {memory / 1e9:.0f}; prepare "
            "fewer windows"
        )
