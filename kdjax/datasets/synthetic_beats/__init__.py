"""Synthetic beats: the ECG generator (its patients and their groups) and its TFDS builder."""

from kdjax.datasets.synthetic_beats.builder import SyntheticBeats
from kdjax.datasets.synthetic_beats.generator import RECORD_GROUPS, recordings

__all__ = ["RECORD_GROUPS", "SyntheticBeats", "recordings"]
