"""TFDS builder of the MIT-BIH beats, without TensorFlow."""

from collections.abc import Sequence
from pathlib import Path

import tensorflow_datasets as tfds

from kdjax import beats
from kdjax.datasets import storage
from kdjax.recordings import read_wfdb

LEADS = ("MLII",)


class MitbihBeats(tfds.core.GeneratorBasedBuilder):
    """Beats of lead MLII, one example a record; the records are WFDB files in the manual_dir."""

    LEADS = LEADS
    VERSION = tfds.core.Version(f"{beats.PIPELINE}.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "kdjax prepare mitbih --from DIR | --download"

    def __init__(self, *, records: Sequence[str] = (), **kwargs):
        """`records` names what to prepare; reading what has been prepared needs none."""
        self.records = tuple(records)
        super().__init__(**kwargs)

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="Band-passed windows of the beats in the MIT-BIH Arrhythmia Database.",
            features=storage.features(len(LEADS)),
            homepage="https://physionet.org/content/mitdb/1.0.0/",
            license="ODC-BY 1.0",
            citation=(
                "Moody GB, Mark RG. The impact of the MIT-BIH Arrhythmia Database. "
                "IEEE Eng in Med and Biol 20(3):45-50, 2001. doi:10.13026/C2F305"
            ),
        )

    def _split_generators(self, dl_manager):
        return {storage.SPLIT: self._generate_examples(Path(dl_manager.manual_dir))}

    def _generate_examples(self, folder: Path):
        for record in self.records:
            yield record, storage.example(read_wfdb(folder / record), LEADS)
