"""kdjax: BeatGAN and its distilled students in JAX.

`load_run(path)` gives a Detector, `open_source(path)` a recording, `detect(detector, source)` what
is found in it; `StreamingDetector` decides on a live signal.
"""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["Detector", "StreamingDetector", "detect", "interop", "load_run", "open_source"]

_ROOMS = {
    "Detector": "detection.detector",
    "StreamingDetector": "detection.stream",
    "detect": "detection.recording",
    "load_run": "runs.directory",
    "open_source": "recordings",
}


def __getattr__(name: str) -> Any:
    """Loads JAX only when something of it is asked for."""
    if name in _ROOMS:
        return getattr(importlib.import_module(f"kdjax.{_ROOMS[name]}"), name)
    if name == "interop":
        return importlib.import_module("kdjax.runs.interop")
    raise AttributeError(f"module 'kdjax' has no attribute {name!r}")
