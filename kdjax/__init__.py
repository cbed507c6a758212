"""kdjax: BeatGAN and its distilled students in JAX. `load_run(path)` gives a Detector."""

from typing import Any

__version__ = "0.1.0"
__all__ = ["Detector", "interop", "load_run"]


def __getattr__(name: str) -> Any:
    """Loads JAX only when something of it is asked for."""
    if name == "load_run":
        from kdjax.runs import load_run

        return load_run
    if name == "Detector":
        from kdjax.detector import Detector

        return Detector
    if name == "interop":
        import importlib

        return importlib.import_module("kdjax.interop")
    raise AttributeError(f"module 'kdjax' has no attribute {name!r}")
