"""A user's own windows, of anything: how they are read, and their TFDS builder."""

from kdjax.datasets.own_windows.builder import OwnWindows
from kdjax.datasets.own_windows.source import read

__all__ = ["OwnWindows", "read"]
