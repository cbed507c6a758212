"""SHA-256 of what is written, kept in it or beside it: what is read is what was written."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SUMS = "SHA256SUMS"

_SEAL = "sha256_of_the_rest"


def sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON can hold, with a checksum of all the rest as its last entry."""
    rest = {name: entry for name, entry in value.items() if name != _SEAL}
    return rest | {_SEAL: _digest(rest)}


def is_whole(value: Mapping[str, Any]) -> bool:
    """Whether a value read back from JSON is one that was sealed, and the same."""
    try:
        return value.get(_SEAL) == sealed(value)[_SEAL]
    except ValueError:  # a number that has become infinite, which was never written
        return False


def write_sums(folder: Path) -> None:
    """Writes SHA256SUMS, as `sha256sum -c` reads it, of all files in the folder and below it."""
    partial = folder / f".{SUMS}.{os.getpid()}"
    partial.write_text(_sums(folder))
    os.replace(partial, folder / SUMS)


def changed(folder: Path) -> str | None:
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
