"""Files: written whole or not at all, with checksums that are checked when they are read."""

import errno
import fcntl
import hashlib
import io
import json
import lzma
import math
import os
import shutil
import tempfile
import time
import tokenize
import weakref
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from kdjax import signals
from kdjax.errors import InputError

if TYPE_CHECKING:
    import numpy as np  # which most that needs files does without

SUMS = "SHA256SUMS"
UNFINISHED = ".unfinished"
# What zipfile, zlib and NumPy raise on the changed bytes of an .npz file, and readers on another
# program's arrays. A defect of ours that raises anything else is not called damage.
DAMAGED_NPZ = (
    *(OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(SyntaxError, tokenize.TokenError),  # of an array's header
    *(KeyError, TypeError, ValueError, OverflowError),
)

_SEAL = "sha256_of_the_rest"
_TRIES = 20
_PAUSE = 0.01  # seconds between two of them
_unfinished: set[Path] = set()  # what is to go with the process, whatever ends it


def read_npz(path: Path) -> "dict[str, np.ndarray]":
    """The arrays of an .npz file by name; what DAMAGED_NPZ lists where it is none, or damaged.

    An array that claims to be longer than it is there is damage, and no lack of memory.
    """
    import numpy as np

    arrays = {}
    # Given as bytes: zipfile leaves a file open that turns out to be no archive.
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            with archive.open(member) as opened:
                shape, dtype = npy_header(opened)
                if opened.tell() + math.prod(shape) * dtype.itemsize != member.file_size:
                    raise ValueError(f"{name} is not as long as it says")
            with archive.open(member) as opened:
                arrays[name] = np.lib.format.read_array(opened, allow_pickle=False)
    return arrays


def npy_header(opened: IO[bytes]) -> "tuple[tuple[int, ...], np.dtype]":
    """Shape and type of the array of an .npy file that stands at its beginning.

    It stands at its values then. ValueError where it holds no array.
    """
    from numpy.lib import format as npy

    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(opened)
    if version not in readers:
        raise ValueError(f"an array of format {version}")
    shape, _, dtype = readers[version](opened)
    return shape, dtype


def sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(content: bytes) -> str:
    """SHA-256 of bytes, hex."""
    return hashlib.sha256(content).hexdigest()


def with_seal(value: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON can hold, with a checksum of all the rest as its last entry."""
    rest = {name: entry for name, entry in value.items() if name != _SEAL}
    return rest | {_SEAL: _digest(rest)}


def is_whole(value: Mapping[str, Any]) -> bool:
    """Whether a value read back from JSON is one that was sealed, and the same."""
    try:
        return value.get(_SEAL) == with_seal(value)[_SEAL]
    except ValueError:  # a number that has become infinite, which was never written
        return False


def write_sums(folder: Path) -> None:
    """Writes SHA256SUMS, as `sha256sum -c` reads it, of all files in the folder and below it."""
    write_text(folder / SUMS, _sums(folder))


def changed_files(folder: Path) -> str | None:
    """The first file in a folder that is not as its SHA256SUMS says; None where all are.

    None also where there is no SHA256SUMS.
    """
    path = folder / SUMS
    if not path.exists():
        return None
    written, found = path.read_bytes(), _sums(folder).encode()
    if written == found:
        return None
    lines = set(written.splitlines()) ^ set(found.splitlines())
    return min(line[66:].decode(errors="replace") for line in lines) or SUMS


def _sums(folder: Path) -> str:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return "".join(
        f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n"
        for path in files
        if not path.name.startswith(SUMS)
    )


def _digest(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Writes files whole or not at all; makes their folders.

    All are on the disk under other names before the first takes its place, in the order given. A
    power cut leaves the old files or the new ones. The OSError of a full disk names the file.
    """
    partial = {path: path.with_name(f"{path.name}.{os.getpid()}{UNFINISHED}") for path in contents}
    _unfinished.update(partial.values())
    path = None
    try:
        for path, content in contents.items():
            make_folder(path.parent)
            partial[path].write_bytes(content)
            _flush(partial[path])
        for path, written in partial.items():
            os.replace(written, path)
        for folder in {path.parent for path in contents}:
            _flush(folder)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        for written in partial.values():
            with suppress(OSError):
                written.unlink(missing_ok=True)  # gives back what it took
        _unfinished.difference_update(partial.values())


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to be filled under another name, which takes the target's place when it is whole.

    When filling it fails, nothing of it is left, and what the target held stays.
    """
    partial = target.with_name(target.name + UNFINISHED)
    _unfinished.add(partial)
    _remove(partial)
    try:
        make_folder(target.parent)
        partial.mkdir()
        yield partial
        for path in (*partial.rglob("*"), partial):
            _flush(path)
        if target.exists():
            shutil.rmtree(target)
        os.replace(partial, target)
        _flush(target.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(partial)) from error
    finally:
        _remove(partial)  # gives back what it took
        _unfinished.discard(partial)


def temporary_folder(owner: object) -> Path:
    """A folder that goes with its owner, or with the process where that ends first."""
    path = Path(tempfile.mkdtemp(prefix="kdjax-"))
    _unfinished.add(path)
    weakref.finalize(owner, _discard, path)
    return path


def discard_unfinished() -> None:
    """Removes what is being written and what is temporary, of a process that is about to end."""
    for path in list(_unfinished):
        _remove(path)


signals.before_leaving(lambda _: discard_unfinished())


def _discard(path: Path) -> None:
    _remove(path)
    _unfinished.discard(path)


@contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Keeps other processes that lock it out of a folder, until the process ends at the latest.

    Raises BlockingIOError while another process has it, unless it is to wait for that. A disk that
    locks nothing, as some over a network, is written to without.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
        yield
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Removes a file or a folder, again where another thread has just written into it."""
    for _ in range(_TRIES):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if not path.exists():
            return
        time.sleep(_PAUSE)


def check_folder(folder: Path) -> None:
    """Raises InputError where no folder of that name can be made or written to."""
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not there.exists():
        raise InputError(f"{there}: is a link to nothing; remove it or choose another folder")
    if not there.is_dir():
        raise InputError(f"{there}: is a file, not a folder; choose another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{there}: is not writable; choose another folder")


def check_output(path: Path, suffix: str, *, begins: bytes = b"") -> None:
    """Raises InputError where a file cannot be written, or would replace one of another kind.

    suffix: what its name has to end in; begins: what an earlier one there has to begin with.
    """
    check_folder(path.parent)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file")
    if path.suffix != suffix:
        raise InputError(f"{path}: a {suffix} file is written; give a name that ends in {suffix}")
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(begins)) != begins:
                raise InputError(f"{path}: holds something else; name another file")


def make_folder(folder: Path) -> None:
    """Makes a folder, and those above it, unless they are there; the disk holds their names."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        _flush(path.parent)


def _flush(path: Path) -> None:
    """Waits until the disk holds a file's content, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that flushes no folders
            raise
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, as `write_files`."""
    write_files({path: content})


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file whole or not at all."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """What `write_json` writes."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    write_bytes(path, text.encode())


def read_json(path: Path, remedy: str = "restore it from a copy") -> Any:
    """Raises InputError when the file is missing or is not JSON, with what to do about that."""
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; is {path.parent} a run directory?") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: cannot be read (line {error.lineno} is not JSON); {remedy}"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: cannot be read (not text in UTF-8); {remedy}") from error
    except RecursionError:
        raise InputError(f"{path}: cannot be read (nested too deeply); {remedy}") from None


def write_sealed(path: Path, value: Mapping[str, Any]) -> dict[str, Any]:
    """Writes a JSON object with its own checksum, whole or not at all; gives what was written."""
    sealed = with_seal(value)
    write_json(path, sealed)
    return sealed


def read_sealed(path: Path, remedy: str = "restore it or make it anew") -> Any:
    """A JSON file as `read_json`; InputError also where its checksum is missing or another's."""
    value = read_json(path, remedy)
    if not isinstance(value, dict) or not is_whole(value):
        raise InputError(f"{path}: not what was written; {remedy}")
    return value
