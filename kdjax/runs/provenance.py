"""What made a result: the code's hash, package versions and the device."""

import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import kdjax

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scikit-learn")


def made_by(*, by_jax: bool = True) -> dict[str, Any]:
    """What computes here and now: code, versions, device; JAX's devices, or the processor."""
    device = _devices() if by_jax else _in_words(1, "cpu")
    return {"code": _code(), "versions": _versions(), "device": device}


def _versions() -> dict[str, str]:
    """Versions of Python, kdjax and the packages that compute."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), "kdjax": kdjax.__version__, **found}


def _devices() -> str:
    """JAX's devices in words, such as '1 x cpu (x86_64, 2 cores)'; those of each process."""
    import jax  # here, because not everything is computed by it

    devices = jax.local_devices()
    processes = jax.process_count()
    each = f" in each of {processes} processes" if processes > 1 else ""
    return _in_words(len(devices), devices[0].device_kind) + each


def _in_words(count: int, kind: str) -> str:
    detail = f" ({platform.machine()}, {os.cpu_count()} cores)" if kind == "cpu" else ""
    return f"{count} x {kind}{detail}"


_COMPUTES = {".py", ".json", ".c", ".h"}


def _code() -> str:
    """SHA-256 over the package's files that compute: code, and the weights of kinds of beats."""
    package = Path(kdjax.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for path in package.rglob("*") if path.suffix in _COMPUTES):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
