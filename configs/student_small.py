"""A student of width 8, with about a fifteenth of the work of the full-size one.

python train.py --config configs/student_small.py            # synthetic ECG, offline
python train.py --config configs/student_small.py:mitbih     # MIT-BIH, see `kdjax prepare mitbih`
"""

from typing import Any

from ml_collections import ConfigDict

from configs import student


def get_config(dataset: str = "synthetic") -> ConfigDict:
    """The student's config with a narrow network; the teacher keeps its width."""
    config: Any = student.get_config(dataset)
    config.model.width = 8
    return config
