"""A student of the teacher's size, distilled from it.

python train.py --config configs/student.py            # synthetic ECG, offline: teacher, student
python train.py --config configs/student.py:mitbih     # MIT-BIH, see `kdjax prepare mitbih`
"""

from typing import Any

from ml_collections import ConfigDict, config_dict

from configs import teacher


def get_config(dataset: str = "synthetic") -> ConfigDict:
    """The teacher's config, and what is distilled from it."""
    config: Any = teacher.get_config(dataset)
    config.teacher = ConfigDict(
        {
            "scorer": "network",  # or nearest_neighbour: of all training beats; only scores
            # A finished run on the same split; None: trained first, in <workdir>/teacher.
            "workdir": config_dict.placeholder(str),
            "epochs": config.epochs,  # of a teacher trained here
            "model": config.model.to_dict(),  # its network, likewise
        }
    )
    config.kd = ConfigDict(
        {  # weights of the distillation terms; 0 is off
            "response": 0.1,  # KL between softmaxes over the scores of a batch
            "response_scores": "standardised",  # or raw, minmax, log
            "temperature": 4.0,  # of both softmaxes
            "log_ratio": 0.0,  # squared log-ratio of the scores
            "reconstruction": 0.0,  # distance to the teacher's reconstruction
            "feature": 0.0,  # attention transfer over the stages of encoder and decoder
            "latent": 0.0,  # distance to the teacher's latent, projected where sizes differ
            "relation": 0.0,  # distances and angles between the latents of a batch
            "discriminator_features": 0.0,  # the teacher's, of both reconstructions
            "select": "all",  # beats distilled: all, teacher_better or quantile
            "select_quantile": 0.5,  # for quantile: of the teacher's error, kept up to it
            "transfer": "none",  # or perturbed: the terms see perturbed beats as well
        }
    )
    return config
