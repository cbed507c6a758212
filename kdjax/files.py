"""Files: written whole or not at all, with checksums that are checked when they are read."""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdjax.errors import InputError

SUMS = "SHA256SUMS"
UNFINISHED = ".unfinished"

_SEAL = "sha256_of_the_rest"


def sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    partial = folder / f".{SUMS}.{os.getpid()}"
    partial.write_text(_sums(folder))
    os.replace(partial, folder / SUMS)


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
        if not path.name.startswith((SUMS, f".{SUMS}"))
    )


def _digest(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all. The OSError of a full disk names it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + UNFINISHED)
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)  # gives back what it took
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file whole or not at all."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    write_bytes(path, text.encode())


def read_json(path: Path) -> Any:
    """Raises InputError when the file is missing or is not JSON."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; is {path.parent} a run directory?") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); restore it or train anew") from error


def write_sealed(path: Path, value: Mapping[str, Any]) -> dict[str, Any]:
    """Writes a JSON object with its own checksum, whole or not at all; gives what was written."""
    sealed = with_seal(value)
    write_json(path, sealed)
    return sealed


def read_sealed(path: Path) -> Any:
    """A JSON file as `read_json`; InputError also where its checksum is missing or another's."""
    value = read_json(path)
    if not isinstance(value, dict) or not is_whole(value):
        raise InputError(f"{path}: not what was written; restore it or make it anew")
    return value
