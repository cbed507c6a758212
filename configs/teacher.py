"""BeatGAN, the teacher.

python train.py --config configs/teacher.py            # synthetic ECG, offline
python train.py --config configs/teacher.py:mitbih     # MIT-BIH, see `kdjax prepare mitbih`

docs/reference/config.md says what each field means and may be.
"""

from ml_collections import ConfigDict

from kdjax.runs.config import defaults

DATASETS = ("synthetic", "mitbih")  # beside those of own recordings, see `kdjax prepare`


def get_config(dataset: str = "synthetic") -> ConfigDict:
    """The published settings; a smaller network and fewer epochs on synthetic ECG."""
    config = defaults()
    config.data.dataset = dataset
    if dataset == "synthetic":
        config.epochs = 12
        config.model.width = 16
    return config
