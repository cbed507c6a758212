"""BeatGAN's PyTorch weights, under its state_dict names, as kdjax variables and a Detector."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from kdjax.beats import WINDOW
from kdjax.detection.detector import Detector
from kdjax.errors import InputError
from kdjax.files import new_folder, sha256, write_json
from kdjax.models.networks import Discriminator, Generator
from kdjax.models.sizes import REDUCTION, STAGES
from kdjax.runs import checkpoints, directory, provenance

Arrays = Mapping[str, np.ndarray]

# Positions in BeatGAN's nn.Sequential: conv, LeakyReLU, then (conv, BatchNorm, LeakyReLU) four
# times, conv; and (transposed conv, BatchNorm, ReLU) five times, transposed conv, tanh.
_ENCODER_CONVS = (0, 2, 5, 8, 11)
_ENCODER_NORMS = (3, 6, 9, 12)
_ENCODER_HEAD = 14
_DECODER_CONVS = (3, 6, 9, 12, 15)
_DECODER_NORMS = (1, 4, 7, 10, 13)


class BeatGAN(NamedTuple):
    """Both networks and their variables {'params', 'batch_stats'}, NumPy arrays."""

    generator: Generator
    generator_variables: dict[str, Any]
    discriminator: Discriminator
    discriminator_variables: dict[str, Any]


def from_beatgan(generator: Arrays, discriminator: Arrays) -> Detector:
    """A Detector without threshold from state_dicts of NumPy arrays; see `convert_beatgan`."""
    beatgan = convert_beatgan(generator, discriminator)
    return Detector(beatgan.generator, beatgan.generator_variables)


def convert_beatgan(generator: Arrays, discriminator: Arrays) -> BeatGAN:
    """Both networks from PyTorch state_dicts; width, latent, length and leads are inferred.

    Convolutions [out, in, k] and transposed ones [in, out, k] become [k, in, out]. Names may hold
    BeatGAN's own 'encoder1.main.0.weight' or the plain 'encoder1.0.weight', with the 'module.' that
    DataParallel puts before them or without. Raises InputError that names an array that is missing
    or whose shape does not fit.
    """
    g = _plain_names(generator)
    d = _plain_names(discriminator)
    for state in (g, d):
        _check_convolutional(state)
    first = _array(g, "encoder1.0.weight", 3)
    head = _array(g, f"encoder1.{_ENCODER_HEAD}.weight", 3)
    module = Generator(
        width=first.shape[0],
        latent_dim=head.shape[0],
        length=head.shape[2] * REDUCTION,
        channels=first.shape[1],
    )
    encoder_params, encoder_stats = _encoder(g, "encoder1", f"encoder1.{_ENCODER_HEAD}")
    decoder_params, decoder_stats = _decoder(g)
    critic = Discriminator(width=_array(d, "features.0.weight", 3).shape[0])
    critic_params, critic_stats = _encoder(d, "features", "classifier.0")
    converted = BeatGAN(
        module,
        {
            "params": {"encoder": encoder_params, "decoder": decoder_params},
            "batch_stats": {"encoder": encoder_stats, "decoder": decoder_stats},
        },
        critic,
        {"params": {"encoder": critic_params}, "batch_stats": {"encoder": critic_stats}},
    )
    _check_shapes(converted)
    return converted


def import_run(generator: Path, discriminator: Path, out: Path, *, dataset: str = "mitbih") -> None:
    """Makes a run directory of two PyTorch files.

    It is to be scored on `dataset`, beats with as many leads, under protocol beatgan, fold 0. What
    the networks were trained on is not known: `kdjax evaluate` scores the run, and it is refused as
    a teacher. Raises InputError as `read_torch` and `convert_beatgan` do, and when `out` exists.
    """
    if out.exists():
        raise InputError(f"{out}: already exists; name another --out")
    converted = convert_beatgan(read_torch(generator), read_torch(discriminator))
    _check_run(converted, generator, discriminator)
    model = {
        "width": converted.generator.width,
        "latent_dim": converted.generator.latent_dim,
        "output_bias": False,
    }
    progress = {
        "channels": converted.generator.channels,
        "length": converted.generator.length,
        "fingerprints": {},
        "teacher": None,
        "made_by": provenance.made_by() | {"device": "unknown (imported)"},
        "epoch": 0,
        "epoch_seconds": None,
        "rows": [],
    }
    variables = {
        "generator": converted.generator_variables,
        "discriminator": converted.discriminator_variables,
    }
    source = {
        "generator": sha256(generator),
        "discriminator": sha256(discriminator),
    }
    data = {"dataset": dataset, "protocol": "beatgan", "fold": 0, "split_seed": 0, "dir": None}
    config = {
        "imported": source,
        "epochs": 0,
        "seed": None,
        "data": data,
        "model": model,
        "eval": {"fpr_targets": [0.01, 0.05, 0.1]},
    }
    with new_folder(out) as folder:
        last = folder / checkpoints.LAST
        checkpoints.save_checkpoint(last, 0, variables, optimizer=None, progress=progress, keep=1)
        write_json(folder / directory.CONFIG, config)


def _check_run(converted: BeatGAN, generator: Path, discriminator: Path) -> None:
    """Raises InputError unless the networks of two files can make a run."""
    if converted.generator.length != WINDOW:
        raise InputError(
            f"{generator}: made for beats of {converted.generator.length} samples, a run's have "
            f"{WINDOW}; use kdjax.runs.interop.from_beatgan"
        )
    if converted.discriminator.width != converted.generator.width:
        raise InputError(
            f"{discriminator}: width {converted.discriminator.width}, the generator's is "
            f"{converted.generator.width}; give the two networks of one run"
        )


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """A state_dict from a PyTorch file, through torch's safe loader (`weights_only`).

    Raises InputError when torch is not installed, the file is missing, or it holds anything but a
    dict of tensors.
    """
    try:
        import torch
    except ImportError:
        raise InputError(
            "reading PyTorch files needs torch, which is not installed; install kdjax with the "
            "extra torch: pip install -e '.[torch]' -c constraints.txt"
        ) from None
    if not path.is_file():
        raise InputError(f"{path}: no such file; name a state_dict saved by torch.save")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {str(name): np.asarray(tensor.numpy()) for name, tensor in state.items()}
    except Exception as error:  # torch raises many kinds for a file that is not one of its own
        raise InputError(
            f"{path}: not a state_dict that torch loads safely ({type(error).__name__}); save one "
            "with torch.save(network.state_dict(), file)"
        ) from error


def _plain_names(state: Arrays) -> dict[str, np.ndarray]:
    return {re.sub(r"^(module\.)?(\w+)\.(main\.)?", r"\2.", name): a for name, a in state.items()}


def _check_convolutional(state: Arrays) -> None:
    """Raises InputError for BeatGAN's other networks, which are of fully connected layers."""
    axes = {np.ndim(array) for array in state.values()}
    if 2 in axes and 3 not in axes:
        raise InputError(
            "fully connected networks, such as BeatGAN's for motion capture; only its "
            "convolutional ones can be imported"
        )


def _array(state: Arrays, name: str, ndim: int) -> np.ndarray:
    if name not in state:
        raise InputError(f"BeatGAN weights lack {name!r}; give the state_dict of the whole network")
    array = np.asarray(state[name], np.float32)
    if array.ndim != ndim:
        raise InputError(f"BeatGAN weights {name!r}: shape {array.shape}, {ndim} axes expected")
    if not np.isfinite(array).all():
        raise InputError(f"BeatGAN weights {name!r}: NaN or infinity among them; give whole ones")
    return array


def _encoder(state: Arrays, prefix: str, head: str) -> tuple[dict, dict]:
    params: dict[str, Any] = {
        f"conv{stage}": _array(state, f"{prefix}.{position}.weight", 3).transpose(2, 1, 0)
        for stage, position in enumerate(_ENCODER_CONVS)
    }
    params["head"] = _array(state, f"{head}.weight", 3).transpose(2, 1, 0)
    norms, stats = _norms(state, prefix, dict(zip(_ENCODER_NORMS, range(1, STAGES), strict=True)))
    return params | norms, stats


def _decoder(state: Arrays) -> tuple[dict, dict]:
    params: dict[str, Any] = {
        f"conv{stage}": _array(state, f"decoder.{position}.weight", 3).transpose(2, 0, 1)
        for stage, position in enumerate(_DECODER_CONVS)
    }
    params["tail"] = _array(state, "decoder.0.weight", 3).transpose(2, 0, 1)
    norms, stats = _norms(state, "decoder", dict(zip(_DECODER_NORMS, range(STAGES), strict=True)))
    return params | norms, stats


def _norms(state: Arrays, prefix: str, stages: dict[int, int]) -> tuple[dict, dict]:
    params, stats = {}, {}
    for position, stage in stages.items():
        name = f"{prefix}.{position}"
        params[f"norm{stage}"] = {
            "scale": _array(state, f"{name}.weight", 1),
            "bias": _array(state, f"{name}.bias", 1),
        }
        stats[f"norm{stage}"] = {
            "mean": _array(state, f"{name}.running_mean", 1),
            "var": _array(state, f"{name}.running_var", 1),
        }
    return params, stats


def _check_shapes(converted: BeatGAN) -> None:
    """Raises InputError unless the arrays have the shapes that the inferred networks have."""
    g = converted.generator
    beat = jax.ShapeDtypeStruct((1, g.length, g.channels), np.float32)
    pairs = (
        ("generator", g, converted.generator_variables),
        ("discriminator", converted.discriminator, converted.discriminator_variables),
    )
    for label, module, variables in pairs:
        expected = jax.eval_shape(lambda x, m=module: m.init(jax.random.key(0), x, False), beat)
        for path, want in jax.tree_util.tree_flatten_with_path(dict(expected))[0]:
            have: Any = variables
            for key in path:
                have = have[key.key]
            if have.shape != want.shape:
                name = jax.tree_util.keystr(path)
                raise InputError(
                    f"BeatGAN weights of the {label}, {name}: shape {have.shape}, "
                    f"{want.shape} expected from the first and the last layer"
                )
