"""TFDS builder of the beats of own recordings, without TensorFlow: one class, any name."""

from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds

from kdjax import beats
from kdjax.datasets import storage


class OwnBeats(tfds.core.GeneratorBasedBuilder):
    """Beats of own recordings, one example a recording; the metadata holds the names of the leads.

    What has been prepared is read with `tfds.builder_from_directory`, which needs no class.
    """

    VERSION = tfds.core.Version(f"{beats.PIPELINE}.0.0")

    def __init__(self, *, name: str, examples: Sequence[dict] = (), leads=(), **kwargs):
        """`examples` are what to prepare, see `own_beats.read`; the place is known without them."""
        self.name = name  # pyright: ignore[reportAttributeAccessIssue]; TFDS names a folder by it
        self.examples, self.leads = tuple(examples), tuple(leads)
        super().__init__(**kwargs)

    def _info(self):
        per_class = tfds.features.Tensor(shape=(len(storage.CLASSES),), dtype=np.int64)
        own = {"at_gap": per_class, "ignored": tfds.features.Text()}
        return tfds.core.DatasetInfo(
            builder=self,
            description="Band-passed windows of the beats in a user's own recordings.",
            features=tfds.features.FeaturesDict({**storage.features(len(self.leads)), **own}),
            metadata=tfds.core.MetadataDict(leads=list(self.leads)),
        )

    def _split_generators(self, dl_manager):
        return {storage.SPLIT: self._generate_examples()}

    def _generate_examples(self):
        for example in self.examples:
            yield example["record"], example
