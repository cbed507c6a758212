"""The MIT-BIH Arrhythmia Database's beats: where the records come from, and their TFDS builder."""

from kdjax.datasets.mitbih_beats.builder import MitbihBeats
from kdjax.datasets.mitbih_beats.source import CHECKSUMS, URL, download, verify

__all__ = ["CHECKSUMS", "URL", "MitbihBeats", "download", "verify"]
