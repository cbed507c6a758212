"""BeatGAN, the teacher.

python train.py --config configs/teacher.py            # synthetic ECG, offline
python train.py --config configs/teacher.py:mitbih     # MIT-BIH, see `kdjax prepare mitbih`
"""

from ml_collections import ConfigDict, config_dict

DATASETS = ("synthetic", "mitbih")


def get_config(dataset: str = "synthetic") -> ConfigDict:
    """The published settings on MIT-BIH; a smaller network and fewer epochs on synthetic ECG."""
    if dataset not in DATASETS:
        raise ValueError(
            f"{dataset!r} is no data set of this config; choose {' or '.join(DATASETS)}"
        )
    real = dataset == "mitbih"
    config = ConfigDict()
    config.epochs = 100 if real else 12
    config.batch_size = 64  # beats, over all devices; what remains of an epoch is dropped
    config.seed = 0  # weights and order of batches; never the split
    config.learning_rate = 1e-4  # Adam with b1 0.5, b2 0.999
    config.precision = "float32"  # of matrix products: float32, tensorfloat32 or bfloat16
    config.grad_clip = config_dict.placeholder(float)  # global norm of a gradient; None: no limit

    config.data = ConfigDict()
    config.data.dataset = dataset
    config.data.protocol = "beatgan"  # or interpatient; see docs/protocol.md
    config.data.fold = 0  # 0 to 4 under beatgan
    config.data.split_seed = 0  # who trains, validates, calibrates and tests
    config.data.dir = config_dict.placeholder(str)  # prepared data; None: where TFDS keeps it

    config.model = ConfigDict()
    config.model.width = (
        32 if real else 16
    )  # channels of the first layer; the fifth has 16 times that
    config.model.latent_dim = 50
    config.model.output_bias = True  # a bias started at the mean beat; False: the published network

    config.loss = ConfigDict()  # weights of the generator's own terms; 0 is off
    config.loss.reconstruction = 1.0
    config.loss.feature_matching = 1.0
    config.loss.adversarial = 0.0  # cross-entropy of the fake against 1, the alternative

    config.eval = ConfigDict()
    config.eval.fpr_targets = (0.01, 0.05, 0.1)  # false positive rates that get a threshold
    return config
