"""A run directory: config, checkpoints with a manifest of checksums, results; `load_run`."""

import contextlib
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from ml_collections import ConfigDict

import kdjax
from kdjax import checksums, detector_files
from kdjax import config as configs
from kdjax.beats import WINDOW
from kdjax.checksums import sha256
from kdjax.detector import Detector
from kdjax.errors import InputError
from kdjax.models import Discriminator, Generator

LAST = "checkpoints/last"
BEST = "checkpoints/best"
CONFIG = "config.json"
RESULT = "result.json"
METRICS = "metrics.jsonl"
SCORES = "scores.npz"
CALIBRATION = "calibration.npz"

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scikit-learn")

_MANIFEST = "manifest.json"
_PROGRESS = "progress.json"
_MODEL = "model"
_OPTIMIZER = "optimizer"
UNFINISHED = ".unfinished"


class DamagedCheckpointError(InputError):
    """A checkpoint whose files are not those that were written."""


class Model(NamedTuple):
    """A run's networks and what their checkpoint holds.

    variables: {'generator', 'discriminator'}, each {'params', 'batch_stats'}; progress: what
    training noted beside them; fingerprint: SHA-256 over the variables.
    """

    generator: Generator
    discriminator: Discriminator
    variables: Any
    progress: dict[str, Any]
    fingerprint: str


# --- plain files -------------------------------------------------------------------------------


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all. The OSError of a full disk names it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + UNFINISHED)
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)  # gives back what it took
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file whole or not at all."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    write_bytes(path, text.encode())


def read_json(path: Path) -> Any:
    """Raises InputError when the file is missing or is not JSON."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; is {path.parent} a run directory?") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); restore it or train anew") from error


def write_sealed(path: Path, value: Mapping[str, Any]) -> dict[str, Any]:
    """Writes a JSON object with its own checksum, whole or not at all; gives what was written."""
    sealed = checksums.sealed(value)
    write_json(path, sealed)
    return sealed


def read_sealed(path: Path) -> Any:
    """A JSON file as `read_json`; InputError also where its checksum is missing or another's."""
    value = read_json(path)
    if not isinstance(value, dict) or not checksums.is_whole(value):
        raise InputError(f"{path}: not what was written; restore it or make it anew")
    return value


# --- what computes --------------------------------------------------------------------------------


def made_by() -> dict[str, Any]:
    """What computes here and now: code, versions, device."""
    return {"code": _code(), "versions": _versions(), "device": _device()}


def _versions() -> dict[str, str]:
    """Versions of Python, kdjax and the packages that compute."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), "kdjax": kdjax.__version__, **found}


def _device() -> str:
    """The devices in words, such as '1 x cpu (x86_64, 2 cores)'; those of each process."""
    devices = jax.local_devices()
    kind = devices[0].device_kind
    detail = f" ({platform.machine()}, {os.cpu_count()} cores)" if kind == "cpu" else ""
    processes = jax.process_count()
    each = f" in each of {processes} processes" if processes > 1 else ""
    return f"{len(devices)} x {kind}{detail}{each}"


def _code() -> str:
    """SHA-256 over the package's source files."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


# --- checkpoints -------------------------------------------------------------------------------


def save_checkpoint(
    folder: Path, step: int, model: Any, optimizer: Any | None, progress: Mapping, keep: int
) -> None:
    """Writes folder/step whole or not at all, then deletes all but the newest `keep`.

    Trees hold NumPy arrays. Every file's SHA-256 goes into a manifest: Orbax itself restores a file
    with a flipped bit without a word.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"*{UNFINISHED}"):
        shutil.rmtree(leftover)
    partial = folder / f"{step}{UNFINISHED}"
    try:
        _write_tree(partial / _MODEL, model)
        if optimizer is not None:
            _write_tree(partial / _OPTIMIZER, optimizer)
        (partial / _PROGRESS).write_text(json.dumps(progress, allow_nan=False))
        (partial / _MANIFEST).write_text(json.dumps(_checksums(partial), indent=1))
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)  # gives back what it took
        raise OSError(error.errno, error.strerror, str(partial)) from error
    target = folder / str(step)
    if target.exists():
        shutil.rmtree(target)
    os.replace(partial, target)
    # A later step is of a course that was given up, after its checkpoints were found damaged.
    later, others = [s for s in steps(folder) if s > step], [s for s in steps(folder) if s <= step]
    for old in later + others[keep:]:
        shutil.rmtree(folder / str(old))


def steps(folder: Path) -> list[int]:
    """The steps of the checkpoints there, newest first."""
    if not folder.is_dir():
        return []
    return sorted((int(p.name) for p in folder.iterdir() if p.name.isdigit()), reverse=True)


def verify(checkpoint: Path) -> None:
    """Raises DamagedCheckpointError unless every file of the checkpoint is as it was written."""
    remedy = "restore it from a copy or train anew with --overwrite"
    try:
        manifest = dict(json.loads((checkpoint / _MANIFEST).read_text()))
        found = _checksums(checkpoint)
    except (OSError, TypeError, ValueError) as error:
        reason = type(error).__name__
        raise DamagedCheckpointError(
            f"{checkpoint}: damaged checkpoint, {_MANIFEST} unreadable ({reason}); {remedy}"
        ) from error
    if found != manifest:
        changed = sorted(
            name for name in found.keys() | manifest.keys() if found.get(name) != manifest.get(name)
        )
        raise DamagedCheckpointError(
            f"{checkpoint}: damaged checkpoint, {changed[0]} is not what was written; {remedy}"
        )


def newest_whole(folder: Path, say: Callable[[str], None]) -> Path | None:
    """The newest checkpoint that is whole, None when there is none; says which are skipped."""
    for step in steps(folder):
        try:
            verify(folder / str(step))
            return folder / str(step)
        except DamagedCheckpointError as error:
            say(f"skipped: {error}")
    return None


def read_progress(checkpoint: Path) -> dict[str, Any]:
    """What training noted beside the weights; the checkpoint must have been verified."""
    return json.loads((checkpoint / _PROGRESS).read_text())


def read_model(checkpoint: Path, like: Any) -> Any:
    """The networks' variables of a verified checkpoint, in the structure and shapes of `like`.

    Raises InputError when they do not fit.
    """
    return _read_tree(checkpoint / _MODEL, like)


def read_optimizer(checkpoint: Path, like: Any) -> Any:
    """The optimiser's state of a verified checkpoint."""
    return _read_tree(checkpoint / _OPTIMIZER, like)


def _checkpointer() -> ocp.Checkpointer:
    """Orbax's, for this process alone: it would have all processes of a training come here."""
    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=me, active_processes={me}, barrier_sync_key_prefix=str(me)
    )
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _write_tree(path: Path, tree: Any) -> None:
    """Raises OSError where the disk is full or fails; Orbax gives a ValueError and a traceback."""
    said = logging.getLogger("absl")
    level = said.level
    try:
        said.setLevel(logging.CRITICAL)
        with _checkpointer() as checkpointer:
            checkpointer.save(path.absolute(), args=ocp.args.StandardSave(tree))
    except ValueError as error:
        code = re.search(r"os_error_code='(\d+)'", str(error))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from error
    finally:
        said.setLevel(level)


def _read_tree(path: Path, like: Any) -> Any:
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), like)
    with _checkpointer() as checkpointer:
        try:
            tree = checkpointer.restore(path.absolute(), args=ocp.args.StandardRestore(shapes))
        except (ValueError, KeyError, FileNotFoundError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{path}: does not fit the networks of its config ({reason}); train anew"
            ) from error
    for (where, have), want in zip(
        jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(shapes), strict=True
    ):
        if have.shape != want.shape or have.dtype != want.dtype:
            name = jax.tree_util.keystr(where)
            raise InputError(
                f"{path}: {name} is {have.dtype}{have.shape}, the config's network has "
                f"{want.dtype}{want.shape}; train anew"
            )
    return tree


def _checksums(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _MANIFEST
    }


# --- finished runs -----------------------------------------------------------------------------


def networks(model: Mapping, channels: int) -> tuple[Generator, Discriminator]:
    """The networks of a config's `model` block for beats of so many leads."""
    return (
        Generator(
            width=model["width"],
            latent_dim=model["latent_dim"],
            length=WINDOW,
            channels=channels,
            output_bias=model["output_bias"],
        ),
        Discriminator(width=model["width"]),
    )


def empty_model(generator: Generator, discriminator: Discriminator) -> dict[str, Any]:
    """Shapes of both networks' variables, without computing any."""
    beat = jax.ShapeDtypeStruct((1, generator.length, generator.channels), jnp.float32)

    def shapes(module: Generator | Discriminator) -> Any:
        return jax.eval_shape(lambda x: module.init(jax.random.key(0), x, False), beat)

    return {"generator": dict(shapes(generator)), "discriminator": dict(shapes(discriminator))}


def read_config(run: Path) -> dict[str, Any]:
    """The config that a run was made with; InputError unless it is one."""
    config = read_json(run / CONFIG)
    if not isinstance(config, dict):
        raise InputError(f"{run / CONFIG}: holds no config; restore it or train anew")
    if "imported" not in config:
        config = configs.complete(config)
        try:
            configs.check(ConfigDict(config))
        except (InputError, ValueError) as error:  # ValueError: a name with a dot in it
            raise InputError(f"{run / CONFIG}: not what was written ({error})") from error
    return config


def read_result(run: Path) -> dict[str, Any]:
    """The result of a finished run; InputError when there is none, or it is incomplete."""
    if run.is_dir() and not (run / RESULT).exists():
        raise InputError(f"{run}: not a finished run; train it first, with train.py")
    result = read_sealed(run / RESULT)
    needed = ("auc", "ap", "label_free", "oracle", "dataset", "protocol", "fold", "fingerprints")
    missing = [name for name in needed if not isinstance(result, dict) or name not in result]
    if missing:
        raise InputError(f"{run / RESULT}: lacks {missing[0]}; make it anew with kdjax evaluate")
    return result


def fingerprint(variables: Any) -> str:
    """SHA-256 over names, dtypes, shapes and values of a tree of arrays."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        digest.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape} ".encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def load_model(run: Path, folder: str = LAST) -> Model:
    """The networks and the newest checkpoint of a run.

    Raises InputError when there is none, or when any of its files is not as it was written.
    """
    config = read_config(run)
    found = steps(run / folder)
    if not found:
        raise InputError(f"{run}: no checkpoint in {folder}; train it first")
    checkpoint = run / folder / str(found[0])
    verify(checkpoint)
    progress = read_progress(checkpoint)
    recorded = progress.get("fingerprints", {}).get("config")
    if "imported" not in config and recorded != configs.fingerprint(config):
        raise InputError(
            f"{run / CONFIG}: not the config that {checkpoint} was trained with; restore it or "
            "train anew with --overwrite"
        )
    generator, discriminator = networks(config["model"], progress["channels"])
    variables = read_model(checkpoint, empty_model(generator, discriminator))
    return Model(generator, discriminator, variables, progress, fingerprint(variables))


def load_run(path: str | Path) -> Detector:
    """The Detector of a finished run, or of a name in `detector_files.shipped()`.

    Its threshold is that of the run's first false-positive-rate target. Raises InputError when the
    run is missing, unfinished or damaged.
    """
    run = Path(path)
    if not run.exists() and str(path) in detector_files.shipped():
        return detector_files.read(detector_files.shipped()[str(path)])
    if not run.exists():
        shipped = ", ".join(detector_files.shipped())
        raise InputError(f"{run}: no such run; name a run directory, or one of {shipped}")
    result = read_result(run)
    model = load_model(run)
    calibration = None
    if (run / CALIBRATION).exists():
        recorded = result["fingerprints"].get("calibration")
        if sha256(run / CALIBRATION) != recorded:
            raise InputError(
                f"{run / CALIBRATION}: not what was written; make it anew with kdjax evaluate"
            )
        calibration = detector_files.read_calibration(run / CALIBRATION)
    return Detector(
        model.generator,
        model.variables["generator"],
        result["label_free"][0]["threshold"],
        calibration,
    )
