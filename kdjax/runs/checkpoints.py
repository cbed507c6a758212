"""Checkpoints of a run: written whole, checked against SHA-256 when they are read."""

import asyncio
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdjax.errors import InputError
from kdjax.files import UNFINISHED, make_folder, new_folder, sha256

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

LAST = "checkpoints/last"
BEST = "checkpoints/best"

_MANIFEST = "manifest.json"
_PROGRESS = "progress.json"
_MODEL = "model"
_OPTIMIZER = "optimizer"
_PATIENCE = 10.0  # seconds for writes whose fellows have failed


class DamagedCheckpointError(InputError):
    """A checkpoint whose files are not those that were written."""


def save_checkpoint(
    folder: Path, step: int, model: Any, *, optimizer: Any | None, progress: Mapping, keep: int
) -> None:
    """Writes folder/step whole or not at all, then deletes all but the newest `keep`.

    Trees hold NumPy arrays. Every file's SHA-256 goes into a manifest: Orbax itself restores a file
    with a flipped bit without a word.
    """
    make_folder(folder)
    for leftover in folder.glob(f"*{UNFINISHED}"):
        shutil.rmtree(leftover)
    with new_folder(folder / str(step)) as partial:
        _write_tree(partial / _MODEL, model)
        if optimizer is not None:
            _write_tree(partial / _OPTIMIZER, optimizer)
        (partial / _PROGRESS).write_text(json.dumps(progress, allow_nan=False))
        (partial / _MANIFEST).write_text(json.dumps(_checksums(partial), indent=1))
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
    remedy = "restore it from a copy or train it again with --overwrite"
    try:
        manifest = dict(json.loads((checkpoint / _MANIFEST).read_text()))
        found = _checksums(checkpoint)
    except (OSError, TypeError, ValueError, RecursionError) as error:
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


def _checkpointer() -> "ocp.Checkpointer":
    """Orbax's, for this process alone: it would have all processes of a training come here."""
    # Imported here because what is wrong with a run is reported without them.
    import jax
    import orbax.checkpoint as ocp

    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=me, active_processes={me}, barrier_sync_key_prefix=str(me)
    )
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


class _PatientLoop(asyncio.SelectorEventLoop):
    """An event loop that waits for what it has begun before it closes, and keeps quiet about it.

    When one array cannot be written or read Orbax gives up at once. The others would go on, into a
    folder that is gone by then or for a loop that is closed, and complain on the terminal.
    """

    def close(self) -> None:
        if not self.is_closed() and (begun := asyncio.all_tasks(self)):
            self.set_exception_handler(lambda *_: None)
            self.run_until_complete(asyncio.wait(begun, timeout=_PATIENCE))
        super().close()


@contextmanager
def _patient_loops() -> Iterator[None]:
    """Has Orbax, which makes itself event loops, make patient ones."""
    make = asyncio.new_event_loop
    asyncio.new_event_loop = _PatientLoop
    try:
        yield
    finally:
        asyncio.new_event_loop = make


def _write_tree(path: Path, tree: Any) -> None:
    """Raises OSError where the disk is full or fails; Orbax gives a ValueError and a traceback."""
    import orbax.checkpoint as ocp

    said = logging.getLogger("absl")
    level = said.level
    try:
        said.setLevel(logging.CRITICAL)
        with _patient_loops(), _checkpointer() as checkpointer:
            checkpointer.save(path.absolute(), args=ocp.args.StandardSave(tree))
    except ValueError as error:
        _raise_of_the_disk(error, path)
        raise
    finally:
        said.setLevel(level)


def _raise_of_the_disk(error: Exception, path: Path) -> None:
    """Raises OSError where that is what Orbax's error comes from."""
    code = re.search(r"os_error_code='(\d+)'", str(error))
    if code is not None:
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from error


def _read_tree(path: Path, like: Any) -> Any:
    import jax
    import orbax.checkpoint as ocp

    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), like)
    with _patient_loops(), _checkpointer() as checkpointer:
        try:
            tree = checkpointer.restore(path.absolute(), args=ocp.args.StandardRestore(shapes))
        except (ValueError, KeyError, FileNotFoundError) as error:
            _raise_of_the_disk(error, path)
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{path}: does not fit the networks of its config ({reason}); train it again"
            ) from error
    for (where, have), want in zip(
        jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(shapes), strict=True
    ):
        if have.shape != want.shape or have.dtype != want.dtype:
            name = jax.tree_util.keystr(where)
            raise InputError(
                f"{path}: {name} is {have.dtype}{have.shape}, the config's network has "
                f"{want.dtype}{want.shape}; train it again"
            )
    return tree


def _checksums(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _MANIFEST
    }
