"""The raw MIT-BIH records: PhysioNet's checksums, the check of a folder, the download."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path

from kdjax.errors import InputError, remedy_of
from kdjax.files import sha256, sha256_of, write_bytes

URL = "https://physionet.org/files/mitdb/1.0.0/"
TIMEOUT = 30  # seconds without a byte


def _published() -> dict[str, str]:
    listed = resources.files("kdjax.datasets.mitbih_beats").joinpath("SHA256SUMS.txt").read_text()
    return {name: digest for digest, name in map(str.split, listed.splitlines())}


# {file: SHA-256} as PhysioNet publishes it, for the 44 records that are not of paced hearts.
CHECKSUMS = _published()


def verify(folder: Path, checksums: Mapping[str, str] = CHECKSUMS) -> None:
    """InputError unless `folder` holds every file of `checksums` exactly as published."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name the one with the MIT-BIH records")
    missing = [name for name in checksums if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{folder / missing[0]} is missing ({len(missing)} of {len(checksums)} files are); "
            f"copy it from {URL} or use --download"
        )
    for name, digest in checksums.items():
        if not _whole(folder / name, digest):
            raise InputError(
                f"{folder / name} differs from the published file (truncated or changed); "
                f"copy it again from {URL} or use --download"
            )


def download(
    folder: Path,
    checksums: Mapping[str, str] = CHECKSUMS,
    *,
    url: str = URL,
    report: Callable[[str], None] = print,
) -> None:
    """Fetch every file of `checksums` from `url` into `folder`, except those already whole there.

    A file is checked before it is moved to its name, so an interrupted download leaves only whole
    files and goes on where it stopped. InputError when a file cannot be fetched or differs.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        wanted = [name for name in checksums if not _whole(folder / name, checksums[name])]
        for count, name in enumerate(wanted, 1):
            report(f"downloading {url}{name} ({count} of {len(wanted)})")
            content = _fetch(url + name)
            if sha256_of(content) != checksums[name]:
                raise InputError(
                    f"{url}{name} arrived damaged ({len(content)} bytes that differ from the "
                    "published file); run the command again"
                )
            write_bytes(folder / name, content)
    except OSError as error:
        remedy = remedy_of(error.errno, "choose another folder with --data-dir or TFDS_DATA_DIR")
        raise InputError(f"cannot write {folder} ({error.strerror or error}); {remedy}") from error


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            return response.read()
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(error, urllib.error.HTTPError):  # an answer, with a connection to close
            reason = error
            error.close()
        raise InputError(
            f"cannot download {url} ({reason}); check the network and run the command again, "
            "which continues the download"
        ) from error


def _whole(file: Path, digest: str) -> bool:
    return file.is_file() and sha256(file) == digest
