"""TFDS builder of own windows, without TensorFlow: one class, any name."""

from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds

from kdjax import beats
from kdjax.datasets import storage


class OwnWindows(tfds.core.GeneratorBasedBuilder):
    """Windows of own data, one example a group; the metadata holds the names of the classes.

    What has been prepared is read with `tfds.builder_from_directory`, which needs no class.
    """

    VERSION = tfds.core.Version(f"{beats.PIPELINE}.0.0")

    def __init__(self, *, name: str, examples: Sequence[dict], classes: Sequence[str], **kwargs):
        """`examples` and `classes` are what to prepare, see `own_windows.read`."""
        self.name = name  # pyright: ignore[reportAttributeAccessIssue]; TFDS names a folder by it
        self.examples, self.classes = tuple(examples), tuple(classes)
        super().__init__(**kwargs)

    def _info(self):
        def per_window(dtype, *shape):
            return tfds.features.Tensor(shape=(None, *shape), dtype=dtype, encoding="bytes")

        return tfds.core.DatasetInfo(
            builder=self,
            description="Windows of a user's own data, not scaled.",
            features=tfds.features.FeaturesDict(
                {
                    "record": tfds.features.Text(),
                    "x": per_window(np.float32, *self.examples[0]["x"].shape[1:]),
                    "label": per_window(np.int8),
                    "time": per_window(np.float64),
                }
            ),
            metadata=tfds.core.MetadataDict(classes=list(self.classes)),
        )

    def _split_generators(self, dl_manager):
        return {storage.SPLIT: self._generate_examples()}

    def _generate_examples(self):
        for example in self.examples:
            yield example["record"], example
