"""A student of the teacher's size, distilled from it.

python train.py --config configs/student.py            # synthetic ECG, offline: teacher, student
python train.py --config configs/student.py:mitbih     # MIT-BIH, see `kdjax prepare mitbih`
"""

from typing import Any

from ml_collections import ConfigDict

from configs import teacher
from kdjax.models.objective import Distillation
from kdjax.runs.config import TeacherFields, defaults


def get_config(dataset: str = "synthetic") -> ConfigDict:
    """The teacher's config, and what is distilled from it."""
    config: Any = teacher.get_config(dataset)
    config.kd = defaults(Distillation)
    config.kd.response = 0.1
    config.teacher = defaults(TeacherFields)
    config.teacher.epochs = config.epochs
    config.teacher.model = config.model.copy_and_resolve_references()
    return config
