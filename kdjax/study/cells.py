"""A study: a grid of variants x seeds x splits, trained and scored cell by cell.

A cell is a run directory, <workdir>/<protocol>-<fold>/<variant>/seed<k>, with a cell.json beside
its checkpoint. The seeds of one variant train together, under vmap; variants follow one another,
teachers before their students. A cell that is there is not made again, so a study goes on where it
stopped, several processes share a folder, and folders of several machines are merged by copying.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from kdjax.datasets.protocols import Split
from kdjax.datasets.storage import BeatSet
from kdjax.errors import InputError
from kdjax.files import write_json
from kdjax.models.distillation import Teacher
from kdjax.runs import checkpoints, claim, directory, provenance
from kdjax.runs import config as configs
from kdjax.runs.evaluation import check_fingerprints
from kdjax.study import comparison
from kdjax.study.grid import (
    CELL,
    SCORER,
    TOGETHER,
    Group,
    Say,
    Variant,
    cell_config,
    cells_of,
    read_cell,
    split_name,
    variants,
)
from kdjax.study.scores import data_of, make_baselines, score_cell
from kdjax.training import assemble, epochs, parallel
from kdjax.training.progress import (
    KEPT_CHECKPOINTS,
    Progress,
    model_tree,
    read_state,
    write_state,
)
from kdjax.training.step import TrainState, init_state

SAVE_EVERY = 300  # seconds between two of them


def run_study(study: configs.Config, workdir: Path, say: Say) -> None:
    """Trains and scores every cell and fits every baseline that is not there yet.

    The study must have been checked. Raises InputError, before anything is trained, where a split
    has too few beats for it.
    """
    check_data(study)
    make_cells(study, workdir, say)
    for split in study.splits:
        folder = workdir / split_name(tuple(split))
        try:
            with claim.locked(folder):
                make_baselines(study, workdir, tuple(split), say=say)
        except claim.Busy:
            say(f"{folder}: another process fits the baselines")


def check_data(study: configs.Config) -> None:
    """Raises InputError where a split of the data cannot be trained on, or not be scored."""
    for split in map(tuple, study.splits):
        for variant in variants(study):
            cell = cell_config(study, variant, split, seed=study.seeds[0], teacher=Path())
            beats, parts, _ = data_of(cell)
            if len(parts.train) < cell.batch_size:
                raise InputError(
                    f"study.base.batch_size is {cell.batch_size}, the {split_name(split)} split of "
                    f"{beats.name} trains on {len(parts.train)} beats; lower it"
                )


def make_cells(study: configs.Config, workdir: Path, say: Say) -> None:
    """Trains and scores every cell that is not there yet."""
    groups = [
        Group(study, workdir, variant, tuple(split))
        for split in study.splits
        for variant in variants(study)
    ]
    waiting = False
    begun, at_first = time.monotonic(), _left(groups)
    while left := [g for g in groups if g.missing() or g.unscored()]:
        for group in left:
            if group.ready() and _make(group, say):
                waiting = False
                say(_outlook(groups, at_first, time.monotonic() - begun))
                break
        else:
            if not waiting:
                say(f"{len(left)} groups of cells are being made by other processes; waiting")
            waiting = True
            time.sleep(5)


def _left(groups: Sequence[Group]) -> tuple[int, int]:
    """The cells that are not made yet, and their epochs."""
    cells = [(len({*g.missing(), *g.unscored()}), g.split[2]) for g in groups]
    return sum(n for n, _ in cells), sum(n * epochs for n, epochs in cells)


def _outlook(groups: Sequence[Group], at_first: tuple[int, int], seconds: float) -> str:
    """How many cells are made and how long the others will take at the pace so far."""
    total = sum(len(group.study.seeds) for group in groups)
    cells, work = _left(groups)
    line = f"{total - cells} of {total} cells are made"
    done = at_first[1] - work
    if not cells or not done:
        return line
    minutes = seconds * work / done / 60
    left = f"{minutes / 60:.1f} hours" if minutes >= 90 else f"{max(round(minutes), 1)} min"
    return f"{line}; the others take about {left} if they go as fast"


def _make(group: Group, say: Say) -> bool:
    """Trains and scores a group's missing cells, unless another process is at it."""
    group.folder.mkdir(parents=True, exist_ok=True)
    try:
        with claim.locked(group.folder):
            seeds = group.missing()  # again: another process may just have finished
            if seeds:
                with assemble.products(group.config(seeds[0])):
                    train_group(group, seeds, say)
            shutil.rmtree(group.folder / TOGETHER, ignore_errors=True)
            for seed in group.unscored():
                score_cell(group, seed)
            say(_progress_line(group))
        return True
    except claim.Busy:
        return False


def train_group(group: Group, seeds: Sequence[int], say: Say) -> None:
    """Trains the cells of these seeds together and saves each as a run directory.

    All that changes is saved at an epoch's end when that was not done for some minutes, so that a
    long group goes on where it stopped. Raises InputError when a figure or a weight is not finite.
    """
    cells = [group.config(seed) for seed in seeds]
    config = cells[0]
    beats, parts, _ = data_of(config)
    x = beats.x[parts.train]
    models = []
    if group.variant.teacher not in (None, SCORER):
        models = [_teacher(Path(cell.teacher.workdir), beats, parts) for cell in cells]
    teacher = _make_teacher(cells, x, models)
    trainer = assemble.make_trainer(config, x.shape[1:])
    keys = [assemble.run_key(cell) for cell in cells]
    mean = x.mean(axis=(0, 1))
    fresh = parallel.stack([init_state(trainer, key, mean, teacher=teacher) for key in keys])
    every = [
        Progress(
            channels=x.shape[2],
            length=x.shape[1],
            fingerprints=assemble.fingerprints(cell, beats, parts),
            teacher=models[i].fingerprint if models else None,
            made_by=provenance.made_by(),
        )
        for i, cell in enumerate(cells)
    ]
    who = [_who(cell, progress) for cell, progress in zip(cells, every, strict=True)]
    state, every = _go_on(group, fresh, every, who=who, say=say)
    program = epochs.of_seeds(trainer, teacher, x, keys=keys)
    together = group.folder / TOGETHER
    saved = time.monotonic()
    for epoch in range(every[0].epoch + 1, config.epochs + 1):
        order = np.stack([assemble.batch_order(cell, len(x), epoch) for cell in cells])
        for latest, _ in epochs.train_epoch(program, state, every, order=order, saved=together):
            state = latest
        say(_finish_epoch(group, program, state, every=every, order=order))
        if time.monotonic() - saved > SAVE_EVERY:
            _save_together(together, epochs.saveable(program, state, together), every, who=who)
            saved = time.monotonic()
    _save_cells(group, seeds, epochs.saveable(program, state, together), every=every)


def _finish_epoch(
    group: Group,
    program: epochs.Program,
    state: TrainState,
    *,
    every: Sequence[Progress],
    order: np.ndarray,
) -> str:
    """Ends an epoch of all seeds and gives a line of the log."""
    norms = program.norms(state, program.place(order[:, :1]))
    epochs.check_finite(group.folder / TOGETHER, norms, (every[0].epoch + 1) * order.shape[1])
    for i, progress in enumerate(every):
        figures = {f"grad_norm/{name}": float(norm[i]) for name, norm in norms.items()}
        progress.rows.append(progress.row(figures))
        progress.finish(progress.epoch + 1)
    rows = [progress.rows[-1] for progress in every]
    loss = np.mean([row["G_loss"] for row in rows])
    return (
        f"{group.folder}: epoch {every[0].epoch}/{group.split[2]}, {len(every)} seeds, "
        f"{rows[0]['seconds']:.1f} s a seed, G_loss {loss:.5f}"
    )


def _save_together(
    folder: Path, state: TrainState, every: Sequence[Progress], *, who: Sequence[dict[str, Any]]
) -> None:
    """Writes a checkpoint of all seeds, out of their state on the host."""
    plain = [
        {"who": mine, "progress": progress.plain()}
        for mine, progress in zip(who, every, strict=True)
    ]
    write_state(folder, every[0].epoch, state, progress={"seeds": plain}, keep=KEPT_CHECKPOINTS)


def _save_cells(
    group: Group, seeds: Sequence[int], state: TrainState, *, every: Sequence[Progress]
) -> None:
    """Writes a run directory for each seed, out of the state of all on the host."""
    for i, (seed, progress) in enumerate(zip(seeds, every, strict=True)):
        model = jax.tree.map(lambda leaf, i=i: leaf[i], model_tree(state))
        folder = group.cell(seed)
        (folder / CELL).unlink(missing_ok=True)  # figures of other weights
        write_json(folder / directory.CONFIG, group.config(seed).to_dict())
        checkpoints.save_checkpoint(
            folder / checkpoints.LAST,
            int(state.step[i]),
            model,
            optimizer=None,
            progress=progress.plain(),
            keep=1,
        )


def _who(config: configs.Config, progress: Progress) -> dict[str, Any]:
    """What makes a seed's training what it is; where its teacher lies is no part of it."""
    known = config.copy_and_resolve_references()
    if configs.is_student(known):
        known.teacher.workdir = None
    same = {"config": configs.fingerprint(known), "teacher": progress.teacher}
    return progress.fingerprints | same | {"code": progress.made_by["code"]}


def _go_on(
    group: Group,
    fresh: TrainState,
    every: list[Progress],
    *,
    who: list[dict[str, Any]],
    say: Say,
) -> tuple[TrainState, list[Progress]]:
    """The state and progress of all seeds to go on from.

    Out of the newest whole checkpoint of the group where it holds all these seeds, of these
    configs, beats, teachers and this code; what is given otherwise.
    """
    checkpoint = checkpoints.newest_whole(group.folder / TOGETHER, say)
    if checkpoint is None:
        return fresh, every
    there = checkpoints.read_progress(checkpoint)["seeds"]
    of_those = [seed["who"] for seed in there]
    if not all(mine in of_those for mine in who):
        say(f"{checkpoint}: of other seeds, configs, teachers or code; begun anew")
        return fresh, every
    place = np.array([of_those.index(mine) for mine in who])
    like = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((len(there), *leaf.shape[1:]), leaf.dtype), fresh
    )
    state = jax.tree.map(lambda leaf: leaf[place], read_state(checkpoint, like))
    found = [Progress.read(there[i]["progress"]) for i in place]
    for progress, mine in zip(found, every, strict=True):
        progress.fingerprints = mine.fingerprints  # a teacher may lie elsewhere now
    say(f"{group.folder}: continues from epoch {found[0].epoch}")
    return state, found


def _teacher(run: Path, beats: BeatSet, parts: Split) -> directory.Model:
    """A cell's networks; InputError unless they were scored there and trained on this split."""
    model = directory.load_model(run)
    if read_cell(run / CELL)["fingerprints"]["model"] != model.fingerprint:
        raise InputError(
            f"{run / CELL}: not that of the checkpoint beside it; restore both from a copy, or "
            "delete the folder to have it trained anew"
        )
    check_fingerprints(run, model.progress["fingerprints"], beats, parts=parts)
    return model


def _make_teacher(
    cells: Sequence[configs.Config], x: np.ndarray, models: Sequence[directory.Model]
) -> Teacher | None:
    """The teachers of all seeds as one; a scorer teaches all seeds alike."""
    if not models:
        return assemble.make_teacher(cells[0], x, None)
    made = [assemble.make_teacher(c, x, m) for c, m in zip(cells, models, strict=True)]
    return parallel.stack_teachers([teacher for teacher in made if teacher is not None])


def _progress_line(group: Group) -> str:
    """What a finished group came to, beside the student that learnt alone."""
    alone = replace(group, variant=Variant(comparison.ALONE, "student", None, {}))
    others = cells_of(alone) if not alone.unscored() else None
    return f"{group.folder}: {comparison.in_short(cells_of(group), others)}"
