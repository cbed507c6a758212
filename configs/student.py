"""A student of the teacher's size, distilled from it.

python train.py --config configs/student.py            # synthetic ECG, offline: teacher, then student
python train.py --config configs/student.py:mitbih     # MIT-BIH, see `kdjax prepare mitbih`
"""

from ml_collections import ConfigDict, config_dict

from configs import teacher


def get_config(dataset: str = "synthetic") -> ConfigDict:
    """The teacher's config, and what is distilled from it."""
    config = teacher.get_config(dataset)

    config.teacher = ConfigDict()
    # A finished run on the same split; None: one is trained first, in <workdir>/teacher.
    config.teacher.workdir = config_dict.placeholder(str)
    config.teacher.epochs = config.epochs
    config.teacher.model = config.model.copy_and_resolve_references()

    config.kd = ConfigDict()  # weights of the distillation terms; 0 is off
    config.kd.response = 0.1  # KL between softmaxes over the scores of a batch
    config.kd.response_scores = "standardised"  # or raw, minmax, log
    config.kd.temperature = 4.0
    config.kd.reconstruction = 0.0  # distance to the teacher's reconstruction
    config.kd.feature = 0.0  # attention transfer over the stages of encoder and decoder
    config.kd.select = "all"  # beats distilled: all, teacher_better or quantile
    config.kd.select_quantile = 0.5  # quantile: of the teacher's error, kept below it
    return config
