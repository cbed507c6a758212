"""A run directory: names of its files, its config and result, its networks; `load_run`.

What is wrong with a run is reported before JAX is imported, which takes seconds.
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from kdjax.beats import WINDOW
from kdjax.detection import detector_files
from kdjax.detection.detector import Detector
from kdjax.errors import InputError, counted
from kdjax.files import read_json, read_sealed, sha256
from kdjax.runs import config as configs
from kdjax.runs.checkpoints import LAST, newest_whole, read_model, read_progress, steps, verify
from kdjax.scores.calibration import Calibration

if TYPE_CHECKING:
    from kdjax.models.networks import Discriminator, Generator

CONFIG = "config.json"
RESULT = "result.json"
REPORT = "report.html"
METRICS = "metrics.jsonl"
SCORES = "scores.npz"
CALIBRATION = "calibration.npz"


class Model(NamedTuple):
    """A run's networks and the contents of their checkpoint.

    variables: {'generator', 'discriminator'}, each {'params', 'batch_stats'}; progress: the
    training's own record; fingerprint: SHA-256 over the variables.
    """

    generator: "Generator"
    discriminator: "Discriminator"
    variables: Any
    progress: dict[str, Any]
    fingerprint: str


class Finished(NamedTuple):
    """A finished run: its networks and its result."""

    model: Model
    result: dict[str, Any]


def networks(model: Mapping, shape: tuple[int, int]) -> "tuple[Generator, Discriminator]":
    """The networks of a config's `model` block for beats of that shape: samples, leads."""
    from kdjax.models.networks import Discriminator, Generator

    length, channels = shape
    return (
        Generator(
            width=model["width"],
            latent_dim=model["latent_dim"],
            length=length,
            channels=channels,
            output_bias=model["output_bias"],
        ),
        Discriminator(width=model["width"]),
    )


def empty_model(generator: "Generator", discriminator: "Discriminator") -> dict[str, Any]:
    """Shapes of both networks' variables, without computing any."""
    beat = generator.length, generator.channels
    # Flax's modules are frozen and have a hash, though their type does not say so.
    networks: dict[str, Any] = {"generator": generator, "discriminator": discriminator}
    return {name: dict(_shapes(network, beat)) for name, network in networks.items()}


@functools.cache
def _shapes(module: Any, beat: tuple[int, int]) -> Any:
    import jax
    import jax.numpy as jnp

    x = jax.ShapeDtypeStruct((1, *beat), jnp.float32)
    return jax.eval_shape(lambda x: module.init(jax.random.key(0), x, False), x)


def check_there(run: Path) -> None:
    """Raises InputError if a run was moved or deleted after it was started."""
    if not (run / CONFIG).exists():
        raise InputError(
            f"{run}: its {CONFIG} is gone, so the run was moved or deleted; put it back, or choose "
            "another run directory"
        )


def read_config(run: Path) -> dict[str, Any]:
    """The config of a run; InputError if the file is not one."""
    remedy = "run the command that trained it again, which restores it"
    config = read_json(run / CONFIG, remedy)
    if not isinstance(config, dict):
        raise InputError(f"{run / CONFIG}: is not a config; {remedy}")
    if "imported" not in config:
        config = configs.complete(config)
        try:
            configs.check(ConfigDict(config))
        except (InputError, ValueError) as error:  # ValueError: a name with a dot in it
            raise InputError(f"{run / CONFIG}: was changed or damaged ({error})") from error
    return config


def metrics_bytes(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """The contents of METRICS: a line of JSON for each epoch."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def read_result(run: Path) -> dict[str, Any]:
    """The result of a finished run; InputError if there is none or it is incomplete."""
    if run.is_dir() and not (run / RESULT).exists():
        raise InputError(f"{run}: is not a finished run; {remedy(run)}")
    result = read_sealed(run / RESULT, f"make it again with kdjax evaluate {run}")
    needed = ("auc", "ap", "label_free", "oracle", "dataset", "protocol", "fold", "fingerprints")
    missing = [name for name in needed if not isinstance(result, dict) or name not in result]
    if missing:
        raise InputError(f"{run / RESULT}: lacks {missing[0]}; make it again with kdjax evaluate")
    return result


def check_run(run: Path) -> None:
    """Raises InputError unless `run` is a folder that a training or an import made."""
    if not run.exists():
        raise InputError(f"{run}: no such run; name a run directory")
    if not (run / CONFIG).exists():
        raise InputError(f"{run}: is not a run directory, because it has no {CONFIG}; name another")


def check_finished(run: Path) -> None:
    """Raises InputError unless `run` is a finished run with a config and a result."""
    if not run.exists():
        shipped = ", ".join(detector_files.shipped())
        raise InputError(f"{run}: no such run; name a run directory, or {shipped}")
    check_run(run)
    read_config(run)
    read_result(run)


def remedy(run: Path) -> str:
    """How to get a result for a run that has none, or whose result belongs to other weights."""
    newest = newest_whole(run / LAST, lambda _: None)
    if newest is None:
        return "it has no whole checkpoint; train it with kdjax train, or restore a copy"
    epochs, trained = read_config(run)["epochs"], read_progress(newest)["epoch"]
    if trained >= epochs:
        return f"make its result with kdjax evaluate {run}"
    first = f"delete {run / RESULT}, then " if (run / RESULT).exists() else ""
    done = f"{trained} of {counted(epochs, 'epoch')} trained"
    return f"{done}; {first}run the command that trains it again"


def fingerprint(variables: Any) -> str:
    """SHA-256 over names, dtypes, shapes and values of a tree of arrays."""
    import jax

    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        digest.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape} ".encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def load_model(run: Path, folder: str = LAST) -> Model:
    """The networks and the newest checkpoint of a run.

    Raises InputError if there is none, or if any of its files has changed since.
    """
    config = read_config(run)
    found = steps(run / folder)
    if not found:
        raise InputError(
            f"{run}: no checkpoint in {folder}; train it with kdjax train, or restore a copy"
        )
    checkpoint = run / folder / str(found[0])
    verify(checkpoint)
    progress = read_progress(checkpoint)
    recorded = progress.get("fingerprints", {}).get("config")
    if "imported" not in config and recorded != configs.fingerprint(config):
        raise InputError(
            f"{run / CONFIG}: is not the config that {checkpoint} was trained with; restore it, or "
            "overwrite the run to train again"
        )
    # Before windows had other lengths, checkpoints did not note theirs.
    shape = progress.get("length", WINDOW), progress["channels"]
    generator, discriminator = networks(config["model"], shape)
    variables = read_model(checkpoint, empty_model(generator, discriminator))
    return Model(generator, discriminator, variables, progress, fingerprint(variables))


def load_run(path: str | Path) -> Detector:
    """The Detector of a finished run, or of a name in `detector_files.shipped()`.

    Its threshold is that of the run's first false-positive-rate target that has one. Raises
    InputError when the run is missing, unfinished or damaged.
    """
    run = Path(path)
    if (shipped_one := detector_files.shipped_one(str(path))) is not None:
        return shipped_one
    check_finished(run)
    model, result = load_finished(run)
    return Detector(
        model.generator,
        model.variables["generator"],
        decided_by(result)["threshold"],
        _calibration(run, model, result),
        ecg=model.progress.get("ecg", True),
        name=str(path),
    )


def decided_by(result: Mapping) -> Mapping[str, Any]:
    """The rates at the threshold in use: the first that is known, held-out beats being enough."""
    rows = result["label_free"]
    return next((row for row in rows if row["threshold"] is not None), rows[0])


def load_finished(run: Path) -> Finished:
    """The networks of a finished run with its result.

    Raises InputError if the run is unfinished or damaged, or if the result does not belong to the
    newest checkpoint: a threshold is valid only for the weights that it was set on.
    """
    result = read_result(run)
    model = load_model(run)
    if result["fingerprints"].get("model") != model.fingerprint:
        raise InputError(
            f"{run}: {RESULT} is not that of the newest checkpoint in {LAST}; restore both from "
            f"a copy, or {remedy(run)}"
        )
    return Finished(model, result)


def _calibration(run: Path, model: Model, result: Mapping) -> Calibration | None:
    """The calibration of a finished run; InputError unless it is of this model and result."""
    file, recorded = run / CALIBRATION, result["fingerprints"].get("calibration")
    if recorded is None and not file.exists():
        return None
    made_anew = f"make it again with kdjax evaluate {run}"
    if not file.exists():
        raise InputError(f"{file}: no such file, although {RESULT} was made with it; {made_anew}")
    if sha256(file) != recorded:
        raise InputError(f"{file}: is not the one that {RESULT} was made with; {made_anew}")
    calibration = detector_files.read_calibration(file)
    if calibration.model != model.fingerprint:
        raise InputError(f"{file}: was made for other weights than the run's; {made_anew}")
    return calibration
