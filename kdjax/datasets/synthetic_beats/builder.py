"""TFDS builder of the synthetic beats, without TensorFlow."""

import hashlib
from pathlib import Path

import tensorflow_datasets as tfds

from kdjax import beats
from kdjax.datasets import storage
from kdjax.datasets.synthetic_beats import generator

LEADS = (generator.LEAD,)


def version(source: str) -> str:
    """The data set's version when `source` is the text of its generator.

    The major number is the beat pipeline's; the patch number is the first 32 bits of the text's
    SHA-256, so that a changed generator is another data set and is built anew.
    """
    digest = hashlib.sha256(source.encode()).hexdigest()
    return f"{beats.PIPELINE}.0.{int(digest[:8], 16)}"


class SyntheticBeats(tfds.core.GeneratorBasedBuilder):
    """Beats of the generator's patients, one example a recording."""

    LEADS = LEADS
    VERSION = tfds.core.Version(version(Path(generator.__file__).read_text(encoding="utf-8")))

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="Band-passed windows of beats in synthetic ECG recordings.",
            features=storage.features(len(LEADS)),
            citation=(
                "McSharry PE, Clifford GD, Tarassenko L, Smith LA. A dynamical model for "
                "generating synthetic electrocardiogram signals. IEEE Trans Biomed Eng "
                "50(3):289-294, 2003. doi:10.1109/TBME.2003.808805"
            ),
        )

    def _split_generators(self, dl_manager):
        return {storage.SPLIT: self._generate_examples()}

    def _generate_examples(self):
        for recording in generator.recordings():
            yield recording.name, storage.example(recording, LEADS)
