"""BeatGAN, the teacher.

python train.py --config configs/teacher.py            # synthetic ECG, offline
python train.py --config configs/teacher.py:mitbih     # MIT-BIH, see `kdjax prepare mitbih`
"""

from ml_collections import ConfigDict, config_dict

DATASETS = ("synthetic", "mitbih")  # beside those of own recordings, see `kdjax prepare`


def get_config(dataset: str = "synthetic") -> ConfigDict:
    """The published settings; a smaller network and fewer epochs on synthetic ECG."""
    real = dataset != "synthetic"
    return ConfigDict(
        {
            "epochs": 100 if real else 12,  # passes over the training beats
            "batch_size": 64,  # beats, over all devices; what remains of an epoch is dropped
            "seed": 0,  # weights and order of batches; never the split
            "learning_rate": 1e-4,  # of Adam with b1 0.5, b2 0.999
            "precision": "float32",  # of products on a GPU; or tensorfloat32, bfloat16
            "grad_clip": config_dict.placeholder(float),  # a gradient's global norm; None: no limit
            "average_decay": 0.0,  # of an average of the generator over steps, e.g. 0.999; 0: none
            "data": {
                "dataset": dataset,  # synthetic, mitbih or the name of prepared recordings
                "protocol": "beatgan",  # or interpatient; see docs/evidence/protocol.md
                "fold": 0,  # 0 to 4 under beatgan
                "split_seed": 0,  # who trains, validates, calibrates and tests
                "augment": "none",  # or time_warp: a few ticks doubled, as many dropped
                "dir": config_dict.placeholder(str),  # prepared data; None: where TFDS keeps it
            },
            "model": {
                "width": 32 if real else 16,  # channels of the first stage, doubled at each of five
                "latent_dim": 50,  # numbers that a beat is squeezed into
                # A bias at the mean beat and a centred last kernel; False: the published network.
                "output_bias": True,
            },
            "loss": {  # weights of the generator's own terms; 0 is off
                "reconstruction": 1.0,  # squared error of the beat
                "feature_matching": 1.0,  # squared error of the discriminator's features
                "adversarial": 0.0,  # cross-entropy of the fake against 1, the alternative
            },
            "eval": {
                "fpr_targets": (0.01, 0.05, 0.1),  # false positive rates that get a threshold
            },
        }
    )
