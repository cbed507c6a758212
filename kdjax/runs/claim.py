"""Who may write in a run directory: its checks, its lock and the errors of its disk."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from kdjax import files
from kdjax.errors import InputError, remedy_of
from kdjax.files import UNFINISHED, make_folder, read_json, write_json
from kdjax.runs import checkpoints, directory
from kdjax.runs import config as configs


class Busy(InputError):
    """Another process is at work in a run directory."""


def check_directory(config: configs.Config, workdir: Path, overwrite: bool) -> str | None:
    """Refuses a folder with other files, or with another run unless `overwrite`.

    Gives the teacher's folder as the run there spells it, None where it names none.
    """
    if not workdir.exists():
        return None
    if not workdir.is_dir():
        raise InputError(f"{workdir}: is a file, not a folder; choose another run directory")
    recorded = _recorded(workdir, config, overwrite)
    if recorded is None:
        # A teacher of ours may be all there is: the student's own files come after it.
        strangers = [
            p.name
            for p in workdir.iterdir()
            if not p.name.endswith(UNFINISHED)
            and (
                p.name != "teacher"
                or (_recorded(p, _of_teacher(config), overwrite) is None and any(p.iterdir()))
            )
        ]
        if strangers:
            raise InputError(
                f"{workdir}: holds {min(strangers)} but no run; choose another run directory"
            )
        return None
    if overwrite:
        return None
    differ = configs.differences(recorded, config.to_dict())
    if differ:
        raise InputError(
            f"{workdir}: holds a run of another config ({'; '.join(differ)}); "
            "choose another run directory (--workdir), or start again (--overwrite)"
        )
    return recorded["teacher"]["workdir"] if configs.is_student(config) else None


def _of_teacher(config: configs.Config) -> configs.Config:
    """The config of the teacher that a student's config asks for; any other as it is."""
    return configs.teacher_config(config) if configs.is_student(config) else config


def _recorded(folder: Path, config: configs.Config, overwrite: bool) -> dict | None:
    """The config of the run in a folder; None if there is none, or another program's config.json.

    An unreadable config.json counts as `config` if a checkpoint there was trained with it, or if
    the run is to be deleted; otherwise it is an InputError.
    """
    path = folder / directory.CONFIG
    try:
        found = read_json(path) if path.exists() else None
    except InputError:
        if _trained_with(folder, config) or (overwrite and (folder / checkpoints.LAST).exists()):
            return config.to_dict()
        raise
    ours = isinstance(found, dict) and isinstance(found.get("data"), dict) and "model" in found
    return found if ours else None


def _trained_with(run: Path, config: configs.Config) -> bool:
    """Whether the newest whole checkpoint of a run is of this config."""
    newest = checkpoints.newest_whole(run / checkpoints.LAST, lambda _: None)
    if newest is None:
        return False
    recorded = checkpoints.read_progress(newest)["fingerprints"].get("config")
    return recorded == configs.fingerprint(config.to_dict())


def restore_config(config: configs.Config, run: Path) -> None:
    """Rewrites an unreadable config.json, which `check_directory` has accepted."""
    try:
        read_json(run / directory.CONFIG)
    except InputError:
        write_json(run / directory.CONFIG, config.to_dict())


def make_directory(workdir: Path, overwrite: bool) -> None:
    """Called after all checks, so that a typing error never deletes a run."""
    try:
        if overwrite and workdir.exists():
            with locked(workdir):
                shutil.rmtree(workdir)
        make_folder(workdir)
    except OSError as error:
        raise InputError(
            f"{workdir}: cannot be written ({error.strerror}); choose another run directory"
        ) from error


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keeps other processes out of a run directory until the block or the process ends.

    Raises Busy when another process holds it.
    """
    with ExitStack() as held:
        try:
            held.enter_context(files.locked(run))
        except BlockingIOError:
            raise Busy(
                f"{run}: another process is training there; wait for it, or choose another folder"
            ) from None
        yield


@contextmanager
def disk_errors(workdir: Path) -> Iterator[None]:
    """Reports in one line that a file could not be written or read."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOENT:
            directory.check_there(workdir)
        remedy = remedy_of(error.errno, "repair the disk")
        raise InputError(
            f"{error.filename or workdir}: {error.strerror or error}; the checkpoints in "
            f"{workdir}/{checkpoints.LAST} are kept: {remedy}, then run the same command again to "
            "continue"
        ) from error
