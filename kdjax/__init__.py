"""kdjax: BeatGAN and its distilled students in JAX, for abnormal heartbeats in ECG.

    detector = kdjax.load_run("mitbih-w8")            # a Detector; or a run directory of yours
    detection = kdjax.detect(detector, "a.hea")       # a Detection; or of (signal, fs=360)
    detection.to_frame()                              # a row per beat
    detection.save("detections/a")                    # the files of `kdjax detect`

`StreamingDetector` decides on a live signal, `open_source` reads a recording block by block,
`ec57` compares annotations by ANSI/AAMI EC57, `interop` reads BeatGAN's PyTorch weights.
What cannot be read or does not fit raises `InputError`, in one line that says what to do.
Importing kdjax does not import JAX; the names below import what they need when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdjax import ec57
    from kdjax.detection.api import Detection, detect
    from kdjax.detection.deciding import StreamingDetector
    from kdjax.detection.detector import Detector
    from kdjax.errors import InputError
    from kdjax.recordings import open_source
    from kdjax.runs import interop
    from kdjax.runs.directory import load_run

__version__ = "0.1.0"
__all__ = [
    "Detection",
    "Detector",
    "InputError",
    "StreamingDetector",
    "detect",
    "ec57",
    "interop",
    "load_run",
    "open_source",
]

_ROOMS = {
    "Detection": "detection.api",
    "Detector": "detection.detector",
    "InputError": "errors",
    "StreamingDetector": "detection.deciding",
    "detect": "detection.api",
    "load_run": "runs.directory",
    "open_source": "recordings",
}
_MODULES = {"ec57": "ec57", "interop": "runs.interop"}


if not TYPE_CHECKING:  # so that a type checker finds a misspelt name

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return importlib.import_module(f"kdjax.{_MODULES[name]}")
        if name in _ROOMS:
            return getattr(importlib.import_module(f"kdjax.{_ROOMS[name]}"), name)
        raise AttributeError(f"module 'kdjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    dunders = {name for name in globals() if name.startswith("__")}
    return sorted({*dunders, *__all__})
