"""Beats of a user's own recordings: how they are read, and their TFDS builder."""

from kdjax.datasets.own_beats.builder import OwnBeats
from kdjax.datasets.own_beats.source import read

__all__ = ["OwnBeats", "read"]
