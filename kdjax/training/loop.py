"""train(config, workdir): the loop over epochs and its side effects."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.summary import scalar
from tqdm import tqdm

from kdjax import signals
from kdjax.datasets.protocols import Split
from kdjax.datasets.storage import BeatSet
from kdjax.detection.detector import Detector
from kdjax.errors import InputError, counted
from kdjax.files import write_bytes, write_json
from kdjax.models.distillation import Teacher
from kdjax.runs import checkpoints, directory, provenance
from kdjax.runs import config as configs
from kdjax.runs.claim import (
    check_directory,
    disk_errors,
    locked,
    make_directory,
    restore_config,
)
from kdjax.runs.evaluation import (
    beside_teacher,
    check_fingerprints,
    evaluate_run,
    load_data,
    result_block,
    two_kinds,
)
from kdjax.scores import metrics
from kdjax.training import compilation, epochs, parallel, processes
from kdjax.training.assemble import (
    batch_order,
    fingerprints,
    make_teacher,
    make_trainer,
    products,
    run_key,
)
from kdjax.training.progress import KEPT_CHECKPOINTS, Progress, model_tree, read_state, write_state
from kdjax.training.step import Trainer, TrainState, fresh_state, init_state


class Stopped(Exception):
    """Training stopped after SIGTERM or SIGINT; everything up to the chunk's end is saved."""

    def __init__(self, signum: int, step: int) -> None:
        super().__init__(f"stopped at step {step}, saved; run the same command again to continue")
        self.signum = signum


@dataclass(frozen=True, kw_only=True)
class Run:
    """One network's training: everything that stays the same from the first step to the last."""

    config: configs.Config
    workdir: Path
    trainer: Trainer
    teacher: Teacher | None
    beats: BeatSet
    parts: Split
    devices: parallel.Devices

    @property
    def saved(self) -> Path:
        """The folder of its checkpoints."""
        return self.workdir / checkpoints.LAST

    @property
    def steps_per_epoch(self) -> int:
        return len(self.parts.train) // self.config.batch_size

    @property
    def key(self) -> jax.Array:
        """The run's key, see `run_key`."""
        return run_key(self.config)

    def order(self, epoch: int) -> np.ndarray:
        """Beats of every batch of an epoch, as positions in `parts.train`: int32 [steps, batch]."""
        return batch_order(self.config, len(self.parts.train), epoch)


def train(config: configs.Config, workdir: str | Path, overwrite: bool = False) -> dict[str, Any]:
    """Trains what `config` describes in `workdir` and returns the result.

    A student's teacher comes first: the finished run `teacher.workdir`, or else one in
    `workdir`/teacher, trained by the same rules. A finished run of the same config is not trained
    again; an unfinished one continues from its newest whole checkpoint; `overwrite` starts again.

    All processes of a distributed training call this with the same arguments, on one file system;
    only process 0 writes and evaluates.

    Raises InputError for a config, data or run directory that cannot be used, and Stopped after a
    signal to any of the processes.
    """
    workdir = Path(workdir)
    configs.check(config)
    compilation.keep_programs()
    _check_alike(config, workdir, overwrite)
    if spelt := processes.told(lambda: check_directory(config, workdir, overwrite)):
        config = configs.with_teacher(config, spelt)
    if processes.told(lambda: not overwrite and (workdir / directory.RESULT).exists()):
        return _finished(config, workdir)
    devices = jax.local_devices()
    processes.check_alike({"the number of devices": len(devices)})
    parallel.check_batch(config.batch_size, len(parallel.everywhere(devices)))
    beats, parts = processes.in_turn(lambda: load_data(config))
    processes.check_alike({"the data": beats.fingerprint, "the split": parts.fingerprint})
    _check_parts(config, beats, parts)
    teacher = None
    own_teacher = configs.distils(config) and config.teacher.scorer == "network"
    if own_teacher and config.teacher.workdir:
        teacher = _named_teacher(Path(config.teacher.workdir), beats, parts)
        if overwrite and Path(config.teacher.workdir).resolve().is_relative_to(workdir.resolve()):
            raise InputError(
                f"overwriting would delete teacher.workdir {config.teacher.workdir}; "
                "choose another run directory"
            )
    processes.told(lambda: make_directory(workdir, overwrite))
    with _reserved(workdir), disk_errors(workdir), products(config):
        if own_teacher and teacher is None:
            teacher = _own_teacher(config, workdir / "teacher", beats, parts=parts, devices=devices)
            print(f"Student: {workdir}, {counted(config.epochs, 'epoch')}", flush=True)
        result = _train_network(
            config, workdir, beats, parts=parts, devices=devices, teacher=teacher
        )
        if teacher is not None:
            taught_by = directory.read_result(Path(config.teacher.workdir or workdir / "teacher"))
            print(beside_teacher(result, taught_by), flush=True)
        return result


def _check_alike(config: configs.Config, workdir: Path, overwrite: bool) -> None:
    """Refuses processes that were started with different arguments, code or packages."""
    made_by = provenance.made_by()
    processes.check_alike(
        {
            "the config": configs.fingerprint(config),
            "--workdir": str(workdir),
            "--overwrite": overwrite,
            "the code": made_by["code"],
            "the versions": made_by["versions"],
        }
    )


def _check_parts(config: configs.Config, beats: BeatSet, parts: Split) -> None:
    """Refuses data on which the config cannot be trained."""
    if len(parts.train) < config.batch_size:
        raise InputError(
            f"batch_size is {config.batch_size}, but the {parts.protocol} split of {beats.name} "
            f"trains on {len(parts.train)} {beats.unit}s; lower it"
        )
    if config.data.augment != "none" and not beats.ecg:
        raise InputError(
            f"data.augment is {config.data.augment}, which warps heartbeats around their R-peak, "
            f"but {beats.name} holds other windows; set it to none"
        )
    for part in ("validation", "test"):
        if not len(getattr(parts, part)):
            raise InputError(
                f"the {parts.protocol} split of {beats.name} leaves no {beats.unit}s for "
                f"{part}; prepare more of them or choose another data.protocol"
            )


def _reserved(run: Path) -> AbstractContextManager[None]:
    """`locked`, by process 0 on behalf of all."""
    return locked(run) if processes.is_main() else nullcontext()


def _finished(config: configs.Config, workdir: Path) -> dict[str, Any]:
    """Prints the results of a finished run, first that of its teacher."""
    with disk_errors(workdir):
        processes.told(lambda: restore_config(config, workdir))
    for run in (workdir / "teacher", workdir):
        if (run / directory.RESULT).exists():
            result = directory.read_result(run)
            print(f"{run} is finished; its result:\n{result_block(result)}", flush=True)
    return directory.read_result(workdir)


def _named_teacher(run: Path, beats: BeatSet, parts: Split) -> directory.Model:
    """A finished run of the same split; InputError for anything else."""
    if not (run / directory.RESULT).exists():
        raise InputError(
            f"teacher.workdir {run}: is not a finished run; finish it with kdjax train, or leave "
            "teacher.workdir out to train a new teacher"
        )
    if "imported" in directory.read_config(run):
        raise InputError(
            f"teacher.workdir {run}: was imported, so the beats it was trained on are not known "
            "and may be the student's test beats; train a teacher on this split"
        )
    model, result = directory.load_finished(run)
    _check_same_split(run, result, beats, parts=parts)
    return model


def _own_teacher(
    config: configs.Config, run: Path, beats: BeatSet, *, parts: Split, devices: parallel.Devices
) -> directory.Model:
    """The teacher that a student's config describes; trains it if it is not there."""
    wanted = configs.teacher_config(config)
    processes.told(lambda: check_directory(wanted, run, overwrite=False))
    print(f"Teacher: {run}, {counted(wanted.epochs, 'epoch')}", flush=True)
    if processes.told(lambda: (run / directory.RESULT).exists()):
        _finished(wanted, run)
    else:
        processes.told(lambda: run.mkdir(exist_ok=True))
        with _reserved(run):
            _train_network(wanted, run, beats, parts=parts, devices=devices, teacher=None)
    return _named_teacher(run, beats, parts)


def _check_same_split(run: Path, result: dict, beats: BeatSet, *, parts: Split) -> None:
    """Refuses a teacher that may have seen the student's test beats."""
    mine = {"dataset": beats.name, "protocol": parts.protocol, "fold": parts.fold}
    for name, value in mine.items():
        if result[name] != value:
            raise InputError(
                f"teacher.workdir {run}: its {name} is {result[name]}, the student's is {value}; "
                "the teacher may have seen the student's test beats"
            )
    check_fingerprints(run, result["fingerprints"], beats, parts=parts)


def _train_network(
    config: configs.Config,
    workdir: Path,
    beats: BeatSet,
    *,
    parts: Split,
    devices: parallel.Devices,
    teacher: directory.Model | None,
) -> dict[str, Any]:
    processes.told(lambda: write_json(workdir / directory.CONFIG, config.to_dict()))
    run = Run(
        config=config,
        workdir=workdir,
        trainer=make_trainer(config, beats.x.shape[1:], parallel.AXIS),
        teacher=make_teacher(config, beats.x[parts.train], teacher),
        beats=beats,
        parts=parts,
        devices=devices,
    )
    state, progress = _start(run, None if teacher is None else teacher.fingerprint)
    with signals.Hold() as hold:
        _epochs(run, state, progress, hold=hold)
    _stop_if_told(run, progress, hold)
    result = processes.told(lambda: evaluate_run(workdir, beats, parts))
    total = sum(row["seconds"] for row in progress.rows)
    print(
        f"Avg one epoch time: {result['epoch_seconds']:.2f}, total {progress.epoch} epochs time: "
        f"{total:.2f}\n{result_block(result)}\nReport: {workdir / directory.REPORT}",
        flush=True,
    )
    return result


def _start(run: Run, teacher: str | None) -> tuple[TrainState, Progress]:
    """The state and progress to start from: those of the newest whole checkpoint, or fresh ones."""
    train = run.beats.x[run.parts.train]
    mean = train.mean(axis=(0, 1))
    recorded = fingerprints(run.config, run.beats, run.parts)
    fresh = Progress(
        channels=train.shape[2],
        length=train.shape[1],
        ecg=run.beats.ecg,
        fingerprints=recorded,
        teacher=teacher,
        made_by=provenance.made_by(),
    )
    checkpoint = processes.told(lambda: _newest_whole(run.workdir / checkpoints.LAST))
    if checkpoint is None:
        return jax.device_get(init_state(run.trainer, run.key, mean, teacher=run.teacher)), fresh
    checkpoint = run.workdir / checkpoints.LAST / checkpoint
    progress = Progress.read(checkpoints.read_progress(checkpoint))
    check_fingerprints(run.workdir, progress.fingerprints, run.beats, parts=run.parts)
    if progress.fingerprints.get("config") != recorded["config"]:
        raise InputError(
            f"{run.workdir}: checkpoint {checkpoint.name} was not trained with its "
            f"{directory.CONFIG}; restore that file, or overwrite the run"
        )
    if progress.teacher != teacher:
        raise InputError(
            f"{run.workdir}: was started with another teacher; restore it, or overwrite the run"
        )
    # Shapes alone: compiling the initialisation would take seconds.
    like = jax.eval_shape(partial(fresh_state, run.trainer), run.key, mean, teacher=run.teacher)
    resumed = read_state(checkpoint, like)
    print(f"{run.workdir}: continues from {checkpoint}, step {int(resumed.step)}", flush=True)
    return resumed, progress


def _newest_whole(folder: Path) -> str | None:
    found = checkpoints.newest_whole(folder, lambda line: print(line, flush=True))
    return None if found is None else found.name


def _epochs(run: Run, state: TrainState, progress: Progress, *, hold: signals.Hold) -> None:
    """Trains to the config's last epoch, saving at the end of each and on a signal."""
    x = run.beats.x[run.parts.train]
    program = epochs.on_devices(run.trainer, run.teacher, x, key=run.key, devices=run.devices)
    state = parallel.replicate(state, run.devices)
    with _writer(run, progress) if processes.is_main() else nullcontext() as writer:
        while progress.epoch < run.config.epochs:
            epoch = progress.epoch + 1
            order = run.order(epoch)[None]
            state = _chunks(run, program, state, progress=progress, order=order, hold=hold)
            norms = program.norms(state, program.place(order[:, :1]))
            finish = partial(_finish_epoch, run, program, state, progress=progress, norms=norms)
            processes.told(partial(finish, writer=writer))  # type: ignore[arg-type]
            progress.finish(epoch)  # as process 0 has done before it saved
            _stop_if_told(run, progress, hold)


def _stop_if_told(run: Run, progress: Progress, hold: signals.Hold) -> None:
    """After a signal to any process, raises Stopped at the end of an epoch, when all is saved."""
    if signum := processes.largest(max(hold.caught, default=0)):
        raise Stopped(signum, progress.epoch * run.steps_per_epoch)


def _chunks(
    run: Run,
    program: epochs.Program,
    state: TrainState,
    *,
    progress: Progress,
    order: np.ndarray,
    hold: signals.Hold,
) -> TrainState:
    """The state after the epoch's last step; logs each chunk, saves and stops on a signal.

    Signals are held from the first chunk on; before it there is nothing to save.
    """
    steps, epoch = run.steps_per_epoch, progress.epoch + 1
    hidden = not (processes.is_main() and sys.stderr.isatty())
    title = f"epoch {epoch}/{run.config.epochs}"
    with tqdm(total=steps, initial=progress.done, desc=title, disable=hidden, leave=False) as bar:
        for latest, means in epochs.train_epoch(
            program, state, [progress], order=order, saved=run.saved
        ):
            state = latest
            hold.begin()
            bar.update(progress.done - bar.n)
            _say(
                _step_line(
                    epoch, progress.done, steps, means={n: float(v[0]) for n, v in means.items()}
                )
            )
            signum = processes.largest(max(hold.caught, default=0))
            if signum and progress.done < steps:
                host = _host(run, program, state)
                processes.told(partial(_save, run, host, progress))
                raise Stopped(signum, int(host.step))
    return state


def _finish_epoch(
    run: Run,
    program: epochs.Program,
    state: TrainState,
    *,
    progress: Progress,
    norms: epochs.Figures,
    writer: EventsWriter,
) -> None:
    """Validates, logs and saves at the end of an epoch."""
    host = _host(run, program, state)
    label = run.beats.label[run.parts.validation]
    detector = Detector(run.trainer.generator.clone(axis_name=None), host.trained)
    score = detector.score(run.beats.x[run.parts.validation])
    figures = {f"grad_norm/{name}": float(norm[0]) for name, norm in norms.items()}
    # The epoch's last update has no loss of its own yet.
    after = figures | {"the mean validation score": float(score.mean())}
    epochs.check_finite(run.saved, after, int(host.step))
    abnormal = label > 0
    auc = metrics.auc(abnormal, score) if two_kinds(label) else None
    if auc is not None:
        figures |= {"val_auc": auc, "val_ap": metrics.average_precision(abnormal, score)}
    row = progress.row(figures)
    progress.rows.append(row)
    progress.finish(row["epoch"])
    if auc is not None and auc > progress.best_auc:
        progress.best_auc, progress.best_epoch = auc, progress.epoch
        best, model = run.workdir / checkpoints.BEST, model_tree(host)
        checkpoints.save_checkpoint(
            best, progress.epoch, model, optimizer=None, progress=progress.plain(), keep=1
        )
    _save(run, host, progress)
    _log(run, row, writer)
    if auc is None:
        _say(
            f"[{progress.epoch}] mean validation score:{score.mean():.6f}"
            "  (no AUC: validation needs normal and abnormal labels)"
        )
        return
    f1, threshold = metrics.best_f1(abnormal, score)
    _say(
        f"[{progress.epoch}] auc:{auc:.4f} th:{threshold:.4f} f1:{f1:.4f} \t "
        f"best_auc:{progress.best_auc:.4f} in epoch[{progress.best_epoch}]"
        "  (validation with labelled anomalies: oracle)"
    )


def _log(run: Run, row: dict[str, Any], writer: EventsWriter) -> None:
    """Writes an epoch's figures to metrics.jsonl and TensorBoard."""
    with (run.workdir / directory.METRICS).open("ab") as file:
        file.write(directory.metrics_bytes([row]))
    for name, value in row.items():
        summary = scalar(name, value)
        writer.write_event(Event(wall_time=time.time(), step=row["epoch"], summary=summary))
    writer.flush()


def _host(run: Run, program: epochs.Program, state: TrainState) -> TrainState:
    """The state to save; InputError unless it is finite and the run directory is still there."""
    directory.check_there(run.workdir)
    return epochs.saveable(program, state, run.saved)


def _save(run: Run, host: TrainState, progress: Progress) -> None:
    write_state(run.saved, int(host.step), host, progress=progress.plain(), keep=KEPT_CHECKPOINTS)


def _say(line: str) -> None:
    """Prints a line of the log above the progress bar, at once even if stdout is a file."""
    tqdm.write(line)
    sys.stdout.flush()


def _step_line(epoch: int, step: int, steps: int, *, means: dict[str, float]) -> str:
    return (
        f"Epoch: [{epoch}] [{step:4d}/{steps:4d}] "
        f"D_loss(R/F): {means['D_real']:.6f}/{means['D_fake']:.6f}, G_loss: {means['G_loss']:.6f}"
    )


@contextmanager
def _writer(run: Run, progress: Progress) -> Iterator[EventsWriter]:
    """TensorBoard's writer; metrics.jsonl is first cut back to the epochs of the checkpoint.

    Not a SummaryWriter: on a full disk its thread dies, and training would wait for it forever.
    """
    write_bytes(run.workdir / directory.METRICS, directory.metrics_bytes(progress.rows))
    folder = run.workdir / "tensorboard"
    folder.mkdir(exist_ok=True)
    writer = EventsWriter(str(folder / "events"))
    # TensorBoard hides what an earlier start has written from this epoch on.
    begun = SessionLog(status=SessionLog.START)
    writer.write_event(Event(wall_time=time.time(), step=progress.epoch + 1, session_log=begun))
    try:
        yield writer
    finally:
        writer.close()
