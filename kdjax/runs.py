"""A run directory: config, checkpoints with a manifest of checksums, results; `load_run`."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from kdjax.beats import WINDOW
from kdjax.detector import Detector
from kdjax.errors import InputError
from kdjax.models import Discriminator, Generator

LAST = "checkpoints/last"
BEST = "checkpoints/best"
CONFIG = "config.json"
RESULT = "result.json"
METRICS = "metrics.jsonl"
SCORES = "scores.npz"

_MANIFEST = "manifest.json"
_PROGRESS = "progress.json"
_MODEL = "model"
_OPTIMIZER = "optimizer"
_UNFINISHED = ".unfinished"


class DamagedCheckpointError(InputError):
    """A checkpoint whose files are not those that were written."""


class Model(NamedTuple):
    """A run's networks and what their checkpoint holds.

    variables: {'generator', 'discriminator'}, each {'params', 'batch_stats'}; progress: what
    training noted beside them; fingerprint: SHA-256 over the checkpoint's files.
    """

    generator: Generator
    discriminator: Discriminator
    variables: Any
    progress: dict[str, Any]
    fingerprint: str


# --- plain files -------------------------------------------------------------------------------


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file whole or not at all."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + _UNFINISHED)
    partial.write_text(text)
    os.replace(partial, path)


def read_json(path: Path) -> Any:
    """Raises InputError when the file is missing or is not JSON."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; is {path.parent} a run directory?") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); restore it or train anew") from error


def sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- checkpoints -------------------------------------------------------------------------------


def save_checkpoint(
    folder: Path, step: int, model: Any, optimizer: Any | None, progress: Mapping, keep: int
) -> None:
    """Writes folder/step whole or not at all, then deletes all but the newest `keep`.

    Trees hold NumPy arrays. Every file's SHA-256 goes into a manifest: Orbax itself restores a file
    with a flipped bit without a word.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"*{_UNFINISHED}"):
        shutil.rmtree(leftover)
    partial = folder / f"{step}{_UNFINISHED}"
    _write_tree(partial / _MODEL, model)
    if optimizer is not None:
        _write_tree(partial / _OPTIMIZER, optimizer)
    (partial / _PROGRESS).write_text(json.dumps(progress, allow_nan=False))
    (partial / _MANIFEST).write_text(json.dumps(_checksums(partial), indent=1))
    target = folder / str(step)
    if target.exists():
        shutil.rmtree(target)
    os.replace(partial, target)
    for old in steps(folder)[keep:]:
        shutil.rmtree(folder / str(old))


def steps(folder: Path) -> list[int]:
    """The steps of the checkpoints there, newest first."""
    if not folder.is_dir():
        return []
    return sorted((int(p.name) for p in folder.iterdir() if p.name.isdigit()), reverse=True)


def verify(checkpoint: Path) -> str:
    """The checkpoint's fingerprint; DamagedCheckpointError unless every file is as written."""
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
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


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


def _write_tree(path: Path, tree: Any) -> None:
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
        checkpointer.save(path.absolute(), args=ocp.args.StandardSave(tree))


def _read_tree(path: Path, like: Any) -> Any:
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), like)
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
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


def load_model(run: Path, folder: str = LAST) -> Model:
    """The networks and the newest checkpoint of a run.

    Raises InputError when there is none, or when any of its files is not as it was written.
    """
    config = read_json(run / CONFIG)
    found = steps(run / folder)
    if not found:
        raise InputError(f"{run}: no checkpoint in {folder}; train it first")
    checkpoint = run / folder / str(found[0])
    fingerprint = verify(checkpoint)
    progress = read_progress(checkpoint)
    try:
        generator, discriminator = networks(config["model"], progress["channels"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{run / CONFIG}: not a run's config ({error!r}); restore it") from error
    variables = read_model(checkpoint, empty_model(generator, discriminator))
    return Model(generator, discriminator, variables, progress, fingerprint)


def load_run(path: str | Path) -> Detector:
    """The Detector of a finished run, with the threshold of its first false-positive-rate target.

    Raises InputError when the run is missing, unfinished or damaged.
    """
    run = Path(path)
    result = read_json(run / RESULT)
    model = load_model(run)
    return Detector(
        model.generator,
        model.variables["generator"],
        threshold=result["label_free"][0]["threshold"],
    )
