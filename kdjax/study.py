"""A study: a grid of variants x seeds x splits, trained and scored cell by cell.

A cell is a run directory, <workdir>/<protocol>-<fold>/<variant>/seed<k>, with a cell.json beside
its checkpoint. The seeds of one variant train together, under vmap; variants follow one another,
teachers before their students. A cell that is there is not made again, so a study goes on where it
stopped, several processes share a folder, and folders of several machines are merged by copying.
"""

import datetime
import functools
import io
import re
import runpy
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
from ml_collections import ConfigDict
from scipy import stats

from kdjax import baselines, comparison, evaluation, metrics, parallel, runs, scoring, training
from kdjax import config as configs
from kdjax.datasets.protocols import Split
from kdjax.datasets.storage import CLASSES, BeatSet
from kdjax.distillation import Lesson
from kdjax.errors import InputError
from kdjax.evaluation import check_fingerprints, load_data
from kdjax.train_step import TrainState, init_state

CELL = "cell.json"
TOGETHER = "together"  # the folder of a group's checkpoints while it trains
SAVE_EVERY = 300  # seconds between two of them
BASELINES = "baselines.json"
SCORER = "nearest_neighbour"
_COMPONENTS = 32
_NEED_MORE = ("features", "memory")  # the discriminator, or all training beats
_NETWORK_FREE = ("mahalanobis", "latent", "fusion", "memory", "prematurity")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Variant:
    """One column of the grid: how its config differs from the study's base, and who teaches it.

    teacher: the name of an earlier variant, SCORER, or None for a network that learns alone.
    role: 'teacher' draws the numbers of a teacher, 'student' those that all students share.
    """

    name: str
    role: str
    teacher: str | None
    fields: Mapping[str, Any]


def read_config(name: str) -> configs.Config:
    """The study of a config file, 'FILE' or 'FILE:part', whose get_config(part) is run.

    The file may import its neighbours as `configs.x`: the folder above it is on the path while it
    runs. Raises InputError when there is no such file or it fails.
    """
    path, _, part = name.partition(":")
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; name a study, for example configs/study.py")
    root = str(Path(path).resolve().parent.parent)
    sys.path.insert(0, root)
    try:
        get_config = runpy.run_path(path)["get_config"]
        return ConfigDict(get_config(part) if part else get_config())
    except Exception as error:  # a config file is Python and may raise anything
        raise InputError(f"{name}: no study config ({type(error).__name__}: {error})") from error
    finally:
        sys.path.remove(root)


def check(study: configs.Config) -> None:
    """Raises InputError that names the first field of a study that cannot be used."""
    fields = ("base", "seeds", "splits", "variants", "scores", "scored_fully")
    for name in fields:
        if name not in study:
            raise InputError(f"study.{name}: missing; a study holds {', '.join(fields)}")
    seeds = study.seeds
    if len(set(seeds)) < max(len(seeds), 2) or not all(isinstance(s, int) for s in seeds):
        raise InputError(f"study.seeds: {seeds}; two different whole numbers or more are needed")
    for split in study.splits:
        if isinstance(split, str) or len(split) != 3:
            raise InputError(f"study.splits: {split!r}; each is (protocol, fold, epochs)")
    kinds = [kind for kind in scoring.SCORES if kind not in (comparison.PLAIN, *_NEED_MORE)]
    for kind in study.scores:
        if kind not in kinds:
            raise InputError(f"study.scores: {kind!r}; choose of {', '.join(kinds)}")
    grid = variants(study)
    for name in study.scored_fully:
        if name not in [variant.name for variant in grid]:
            raise InputError(f"study.scored_fully: {name!r} is no variant of this study")
    for variant in grid:
        for split in study.splits:
            cell_config(study, variant, tuple(split), 0, Path())


def variants(study: configs.Config) -> list[Variant]:
    """The variants of a study in the order they are made; InputError for a study that is none."""
    found: list[Variant] = []
    for entry in study.variants:
        plain = entry.to_dict() if hasattr(entry, "to_dict") else dict(entry)
        unknown = plain.keys() - {"name", "role", "teacher", "fields"}
        if unknown or "name" not in plain:
            raise InputError(
                f"study.variants: {min(unknown) if unknown else 'an entry without a name'}; an "
                "entry holds name, role, teacher and fields"
            )
        variant = Variant(
            plain["name"],
            plain.get("role", "student"),
            plain.get("teacher"),
            plain.get("fields", {}),
        )
        if not re.fullmatch(r"[\w-]+", str(variant.name)) or variant.name == SCORER:
            raise InputError(
                f"study.variants: {variant.name!r} is no name for a variant; use letters, digits "
                f"and hyphens, and not {SCORER}"
            )
        if variant.role not in ("teacher", "student"):
            raise InputError(
                f"study.variants: {variant.name} has role {variant.role!r}; teacher or student"
            )
        earlier = [v.name for v in found]
        if variant.name in earlier:
            raise InputError(f"study.variants: {variant.name} stands there twice; rename one")
        if variant.teacher not in (None, SCORER, *earlier):
            raise InputError(
                f"study.variants: {variant.name} learns from {variant.teacher}, which does not "
                f"stand before it; there are {', '.join([*earlier, SCORER])}"
            )
        found.append(variant)
    return found


def cell_config(
    study: configs.Config,
    variant: Variant,
    split: tuple[str, int, int],
    seed: int,
    teacher: Path,
) -> configs.Config:
    """The config of one run, as `train.py` would take it; `teacher` is its teacher's run."""
    config = study.base.copy_and_resolve_references()
    try:
        config.update(dict(variant.fields))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"study.variants: fields of {variant.name}: {reason}") from error
    config.data.protocol, config.data.fold, config.epochs = split
    config.seed = seed
    if variant.role == "teacher":
        config.teacher.epochs, config.teacher.model = config.epochs, config.model
        config = configs.teacher_config(config)
    elif variant.teacher == SCORER:
        config.teacher.scorer = SCORER
    elif variant.teacher is not None:
        config.teacher.workdir = str(teacher)
    configs.check(config)
    if configs.distils(config) != (variant.teacher is not None):
        raise InputError(
            f"study.variants: {variant.name} has "
            + ("a teacher but no kd weight" if variant.teacher else "kd weights but no teacher")
        )
    return config


@dataclass(frozen=True)
class Group:
    """The cells of one variant on one split: all seeds."""

    study: configs.Config
    workdir: Path
    variant: Variant
    split: tuple[str, int, int]  # protocol, fold, epochs

    @property
    def folder(self) -> Path:
        return self.of(self.variant.name)

    def of(self, variant: str) -> Path:
        return self.workdir / split_name(self.split) / variant

    def cell(self, seed: int) -> Path:
        return self.folder / f"seed{seed}"

    def config(self, seed: int) -> configs.Config:
        teacher = self.of(self.variant.teacher or "") / f"seed{seed}"
        return cell_config(self.study, self.variant, self.split, seed, teacher)

    def missing(self) -> list[int]:
        """The seeds that are not trained; InputError where a cell was made by another config."""
        left = []
        for seed in self.study.seeds:
            if not runs.steps(self.cell(seed) / runs.LAST):
                left.append(seed)
                continue
            there, wanted = runs.read_config(self.cell(seed)), self.config(seed).to_dict()
            for config in (there, wanted):
                if "teacher" in config:
                    config["teacher"]["workdir"] = None  # where, not what
            differ = configs.differences(there, wanted)
            if differ:
                raise InputError(
                    f"{self.cell(seed)}: made by another config ({'; '.join(differ)}); name "
                    "another --workdir or move that folder away"
                )
        return left

    def unscored(self) -> list[int]:
        """The seeds that are not scored, or not with all that the study asks for."""
        fully = self.variant.name in self.study.scored_fully
        wanted = _scores(self.study, fully)
        left = []
        for seed in self.study.seeds:
            path = self.cell(seed) / CELL
            rows = read_cell(path)["scores"] if path.exists() else []
            there = [(row["score"], row["adaptation"]) for row in rows]
            if not set(wanted) <= set(there):
                left.append(seed)
        return left

    def ready(self) -> bool:
        """Whether the teacher's cells are there."""
        if self.variant.teacher in (None, SCORER):
            return True
        teacher = self.of(self.variant.teacher)
        return all((teacher / f"seed{s}" / CELL).exists() for s in self.study.seeds)


def split_name(split: tuple[str, int, int]) -> str:
    """The folder of a split's cells."""
    return f"{split[0]}-{split[1]}"


def run_study(study: configs.Config, workdir: Path, say: Say) -> None:
    """Trains and scores every cell and fits every baseline that is not there yet.

    The study must have been checked.
    """
    make_cells(study, workdir, say)
    for split in study.splits:
        folder = workdir / split_name(tuple(split))
        try:
            with training.locked(folder):
                make_baselines(study, workdir, tuple(split), say)
        except training.Busy:
            say(f"{folder}: another process fits the baselines")


def make_cells(study: configs.Config, workdir: Path, say: Say) -> None:
    """Trains and scores every cell that is not there yet."""
    groups = [
        Group(study, workdir, variant, tuple(split))
        for split in study.splits
        for variant in variants(study)
    ]
    waiting = False
    while left := [g for g in groups if g.missing() or g.unscored()]:
        for group in left:
            if group.ready() and _make(group, say):
                waiting = False
                break
        else:
            if not waiting:
                say(f"{len(left)} groups of cells are being made by other processes; waiting")
            waiting = True
            time.sleep(5)


def _make(group: Group, say: Say) -> bool:
    """Trains and scores a group's missing cells, unless another process is at it."""
    group.folder.mkdir(parents=True, exist_ok=True)
    try:
        with training.locked(group.folder):
            seeds = group.missing()  # again: another process may just have finished
            if seeds:
                with training.products(group.config(seeds[0])):
                    train_group(group, seeds, say)
            shutil.rmtree(group.folder / TOGETHER, ignore_errors=True)
            for seed in group.unscored():
                score_cell(group, seed)
            say(_progress_line(group))
        return True
    except training.Busy:
        return False


def train_group(group: Group, seeds: Sequence[int], say: Say) -> None:
    """Trains the cells of these seeds together and saves each as a run directory.

    All that changes is saved at an epoch's end when that was not done for some minutes, so that a
    long group goes on where it stopped. Raises InputError when a figure or a weight is not finite.
    """
    cells = [group.config(seed) for seed in seeds]
    config = cells[0]
    beats, parts, _ = _data(
        config.data.dataset, config.data.dir, group.split[0], group.split[1], config.data.split_seed
    )
    x = beats.x[parts.train]
    taught_by_network = group.variant.teacher not in (None, SCORER)
    teachers = (
        [_teacher(Path(c.teacher.workdir), beats, parts) for c in cells]
        if taught_by_network
        else []
    )
    trainer = training.make_trainer(config, x.shape[2], teachers[0] if teachers else None)
    lesson = _lessons(cells, x, teachers)
    mean = x.mean(axis=(0, 1))
    fresh = _stack([init_state(trainer, training.run_key(c), mean) for c in cells])
    every = [
        training.Progress(
            x.shape[2],
            training.fingerprints(cell, beats, parts),
            teachers[i].fingerprint if teachers else None,
            runs.made_by(),
        )
        for i, cell in enumerate(cells)
    ]
    who = [_who(cell, progress) for cell, progress in zip(cells, every, strict=True)]
    state, every = _go_on(group, fresh, every, who, say)
    train_epoch = _compile_epoch(group, cells, x, trainer, teachers, lesson)
    saved = time.monotonic()
    for epoch in range(every[0].epoch + 1, config.epochs + 1):
        state, figures, seconds = train_epoch(state, epoch)
        for i, progress in enumerate(every):
            row = {name: float(value[i]) for name, value in figures.items()}
            progress.rows.append({"epoch": epoch, "seconds": round(seconds, 4)} | row)
            progress.epoch = epoch
        say(
            f"{group.folder}: epoch {epoch}/{config.epochs}, {len(cells)} seeds, "
            f"{seconds:.1f} s a seed, G_loss {figures['G_loss'].mean():.5f}"
        )
        if time.monotonic() - saved > SAVE_EVERY:
            together = [
                {"who": mine, "progress": progress.plain()}
                for mine, progress in zip(who, every, strict=True)
            ]
            training.write_state(
                group.folder / TOGETHER,
                epoch,
                _host(group, epoch, state),
                {"seeds": together},
                training.KEPT_CHECKPOINTS,
            )
            saved = time.monotonic()
    _save_cells(group, seeds, _host(group, config.epochs, state), every)


def _compile_epoch(
    group: Group,
    cells: Sequence[configs.Config],
    x: np.ndarray,
    trainer: training.Trainer,
    teachers: Sequence[runs.Model],
    lesson: Lesson | None,
) -> Callable[[TrainState, int], tuple[TrainState, dict[str, np.ndarray], float]]:
    """What trains all seeds for one epoch of beats x [B, T, C].

    It gives the state, the figures of every seed [seeds] and the seconds a seed took; it raises
    InputError when a figure is not finite.
    """
    teacher = _stack([t.variables for t in teachers]) if teachers else None
    keys = _stack([training.run_key(c) for c in cells])
    on_device = jax.numpy.asarray(x)
    lesson = jax.tree.map(jax.numpy.asarray, lesson)
    steps = parallel.compile_seeds(trainer, lesson)
    norms = parallel.compile_seed_norms(trainer, lesson)
    n = len(x) // cells[0].batch_size

    def train_epoch(
        state: TrainState, epoch: int
    ) -> tuple[TrainState, dict[str, np.ndarray], float]:
        order = np.stack([training.batch_order(c, len(x), epoch) for c in cells])
        sums: dict[str, np.ndarray] = {}
        started = time.perf_counter()
        for first in range(0, n, training.CHUNK):
            bounds = np.array([first, min(first + training.CHUNK, n)], np.int32)
            state, means = steps(state, teacher, on_device, order, bounds, keys, lesson)
            for name, value in means.items():
                share = np.asarray(value, np.float64) * (bounds[1] - bounds[0]) / n
                sums[name] = sums.get(name, 0) + share
            _check_finite(group, epoch, sums)
        seconds = (time.perf_counter() - started) / len(cells)
        after = jax.device_get(norms(state, teacher, on_device, order[:, 0], lesson))
        figures = sums | {f"grad_norm/{name}": norm for name, norm in after.items()}
        _check_finite(group, epoch, figures)
        return state, figures, seconds

    return train_epoch


def _save_cells(
    group: Group, seeds: Sequence[int], state: TrainState, every: Sequence[training.Progress]
) -> None:
    """Writes a run directory for each seed, out of the state of all on the host."""
    for i, (seed, progress) in enumerate(zip(seeds, every, strict=True)):
        model = jax.tree.map(
            lambda leaf, i=i: leaf[i],
            {"generator": state.generator, "discriminator": state.discriminator},
        )
        folder = group.cell(seed)
        (folder / CELL).unlink(missing_ok=True)  # figures of other weights
        runs.write_json(folder / runs.CONFIG, group.config(seed).to_dict())
        runs.save_checkpoint(
            folder / runs.LAST, int(state.step[i]), model, None, progress.plain(), keep=1
        )


def _who(config: configs.Config, progress: training.Progress) -> dict[str, Any]:
    """What makes a seed's training what it is; where its teacher lies is no part of it."""
    known = config.copy_and_resolve_references()
    if configs.is_student(known):
        known.teacher.workdir = None
    same = {"config": configs.fingerprint(known), "teacher": progress.teacher}
    return progress.fingerprints | same | {"code": progress.made_by["code"]}


def _go_on(
    group: Group,
    fresh: TrainState,
    every: list[training.Progress],
    who: list[dict[str, Any]],
    say: Say,
) -> tuple[TrainState, list[training.Progress]]:
    """The state and progress of all seeds to go on from.

    Out of the newest whole checkpoint of the group where it holds all these seeds, of these
    configs, beats, teachers and this code; what is given otherwise.
    """
    checkpoint = runs.newest_whole(group.folder / TOGETHER, say)
    if checkpoint is None:
        return fresh, every
    there = runs.read_progress(checkpoint)["seeds"]
    of_those = [seed["who"] for seed in there]
    if not all(mine in of_those for mine in who):
        say(f"{checkpoint}: of other seeds, configs, teachers or code; begun anew")
        return fresh, every
    place = np.array([of_those.index(mine) for mine in who])
    like = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((len(there), *leaf.shape[1:]), leaf.dtype), fresh
    )
    state = jax.tree.map(lambda leaf: leaf[place], training.read_state(checkpoint, like))
    found = [training.Progress.read(there[i]["progress"]) for i in place]
    for progress, mine in zip(found, every, strict=True):
        progress.fingerprints = mine.fingerprints  # a teacher may lie elsewhere now
    say(f"{group.folder}: goes on from epoch {found[0].epoch}")
    return state, found


def _host(group: Group, epoch: int, state: TrainState) -> TrainState:
    """The state of all seeds as NumPy arrays; InputError unless it is finite."""
    host = jax.device_get(state)
    leaves = jax.tree_util.tree_leaves_with_path(host)
    _check_finite(group, epoch, {jax.tree_util.keystr(path): leaf for path, leaf in leaves})
    return host


def _check_finite(group: Group, epoch: int, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if not np.isfinite(value).all():
            raise InputError(
                f"{group.folder}: {name} is not finite in epoch {epoch}; lower learning_rate, set "
                "grad_clip or lower the term's weight"
            )


@functools.lru_cache(maxsize=1)
def _data(
    dataset: str, folder: str | None, protocol: str, fold: int, split_seed: int
) -> tuple[BeatSet, Split, np.ndarray]:
    """The beats, their split, and every beat's rhythm."""
    data = {"dataset": dataset, "dir": folder, "protocol": protocol, "fold": fold}
    beats, parts = load_data({"data": data | {"split_seed": split_seed}})
    if not (beats.label[parts.test] > 0).any():
        raise InputError(f"{dataset}: no abnormal beat tests; a study compares AUCs and needs them")
    return beats, parts, scoring.rhythm(beats.record, beats.sample, beats.rr_before)


def _teacher(run: Path, beats: BeatSet, parts: Split) -> runs.Model:
    """A cell's networks; InputError unless it was trained on this very split."""
    model = runs.load_model(run)
    check_fingerprints(run, model.progress["fingerprints"], beats, parts)
    return model


def _lessons(
    cells: Sequence[configs.Config], x: np.ndarray, teachers: Sequence[runs.Model]
) -> Lesson | None:
    """The lessons of all seeds: targets with a first axis of seeds where teachers differ."""
    if not teachers:
        return training.make_lesson(cells[0], x, None)
    lessons = [training.make_lesson(c, x, t) for c, t in zip(cells, teachers, strict=True)]
    if lessons[0] is None:
        return None
    of_all = cast("list[Lesson]", lessons)
    return Lesson(
        _stack([lesson.targets for lesson in of_all]),
        of_all[0].transfer,
        _stack([lesson.transfer_targets for lesson in of_all]),
    )


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *trees)


# --- scoring -------------------------------------------------------------------------------------


def score_cell(group: Group, seed: int) -> None:
    """Scores the test and validation beats of a trained cell; writes scores.npz and cell.json."""
    folder, split = group.cell(seed), group.split
    config = group.config(seed)
    beats, parts, rhythm = _data(
        config.data.dataset, config.data.dir, split[0], split[1], config.data.split_seed
    )
    model = runs.load_model(folder)
    evaluation.check_fingerprints(folder, model.progress["fingerprints"], beats, parts)
    fully = group.variant.name in group.study.scored_fully
    of = functools.partial(evaluation.evidence, model, beats, rhythm, features=fully)
    calibrate, validation, test = of(parts.calibrate), of(parts.validation), of(parts.test)
    train = of(parts.train) if fully else None
    label, of_validation = beats.label[parts.test], beats.label[parts.validation] > 0
    rows = []
    for kind, adaptation in _scores(group.study, fully):
        fitted = scoring.fit(calibrate, kind, adaptation, train)
        rows.append(
            {"score": kind, "adaptation": adaptation}
            | _quality(label, fitted.score(test))
            # Needs labelled anomalies: for choosing, as an oracle does.
            | {"validation_auc": metrics.auc(of_validation, fitted.score(validation))}
        )
    plain = np.square(test.residual).mean(axis=(1, 2), dtype=np.float64)
    cell = {
        "variant": group.variant.name,
        "role": group.variant.role,
        "teacher": group.variant.teacher,
        "seed": seed,
        "epochs": model.progress["epoch"],
        "epoch_seconds": model.progress["epoch_seconds"],
        "n_test": len(test.record),
        "n_abnormal": int((label > 0).sum()),
        "scores": rows,
        "agreement": _agreement(group, seed, plain),
        **evaluation.cost(model),
        "metrics": model.progress["rows"],
        "fingerprints": {
            **model.progress["fingerprints"],
            "config": configs.fingerprint(config),
            "model": model.fingerprint,
            "teacher": model.progress["teacher"],
        },
        **model.progress["made_by"],
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    scores = io.BytesIO()
    np.savez_compressed(scores, index=parts.test, score=plain)
    runs.write_bytes(folder / runs.SCORES, scores.getvalue())
    runs.write_sealed(folder / CELL, cell)


def _scores(study: configs.Config, fully: bool) -> list[tuple[str, str]]:
    """The kinds of score that a cell gets, and their adaptations; mean squared error first."""
    if not fully:
        return [("mse", "none"), *((kind, "none") for kind in study.scores)]
    return [
        (kind, adaptation)
        for kind in scoring.SCORES
        for adaptation in scoring.ADAPTATIONS
        if adaptation == "none" or kind in scoring.ADAPTED
    ]


def make_baselines(
    study: configs.Config, workdir: Path, split: tuple[str, int, int], say: Say
) -> None:
    """Fits the simple detectors on a split's training beats, unless that was done before."""
    path = workdir / split_name(split) / BASELINES
    data = study.base.data
    beats, parts, rhythm = _data(data.dataset, data.dir, split[0], split[1], data.split_seed)
    fingerprints = {"data": beats.fingerprint, "split": parts.fingerprint}
    if path.exists():
        evaluation.check_fingerprints(path, runs.read_sealed(path)["fingerprints"], beats, parts)
        return
    label = beats.label[parts.test]
    found: dict[str, Any] = {}
    for name, fit in baselines.BASELINES.items():
        score = fit(beats.x[parts.train]).score(beats.x[parts.test])
        found[name] = _quality(label, score)
        say(f"{split_name(split)}: {name}, AUC {found[name]['auc']:.4f}")
    # What the scores reach without a network: the beat for its residual, components for a latent.
    subspace = baselines.Principal.fit(beats.x[parts.train], _COMPONENTS)

    def raw(index: np.ndarray) -> scoring.Evidence:
        x = beats.x[index]
        error = np.full(len(x), np.nan)
        place = beats.record[index], beats.sample[index], beats.fs
        return scoring.Evidence(x, subspace.project(x), error, rhythm[index], *place)

    train, calibrate, test = raw(parts.train), raw(parts.calibrate), raw(parts.test)
    for kind, adaptation in _scores(study, fully=True):
        if kind not in _NETWORK_FREE:
            continue
        score = scoring.fit(calibrate, kind, adaptation, train).score(test)
        name = f"no network, {kind}, {adaptation}"
        found[name] = _quality(label, score)
        say(f"{split_name(split)}: {name}, AUC {found[name]['auc']:.4f}")
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    made = {"fingerprints": fingerprints, **runs.made_by(), "date": date}
    runs.write_sealed(path, {"rows": found} | made)


def _quality(label: np.ndarray, score: np.ndarray) -> dict[str, Any]:
    return {
        "auc": metrics.auc(label > 0, score),
        "ap": metrics.average_precision(label > 0, score),
        "per_class": metrics.per_class(label, score, CLASSES),
    }


def _agreement(group: Group, seed: int, score: np.ndarray) -> float | None:
    """Rank correlation (Spearman) of a student's scores of the test beats with its teacher's."""
    if group.variant.teacher in (None, SCORER):
        return None
    taught = group.of(group.variant.teacher) / f"seed{seed}" / runs.SCORES
    try:
        with np.load(taught, allow_pickle=False) as file:
            return float(stats.spearmanr(score, file["score"]).statistic)  # type: ignore
    except Exception as error:  # NumPy and zipfile raise all sorts on what they cannot read
        raise InputError(f"{taught}: damaged; delete that cell to have it made again") from error


def read_cell(path: Path) -> dict[str, Any]:
    """A cell.json; InputError when it is not one."""
    cell = runs.read_sealed(path)
    if not isinstance(cell, dict) or not {"scores", "fingerprints", "teacher"} <= cell.keys():
        raise InputError(f"{path}: not a cell's figures; delete it to have them made again")
    return cell


def _cells(group: Group) -> list[dict[str, Any]]:
    """The figures of a group's seeds; InputError where a teacher there is not the cell's own."""
    cells = []
    for seed in group.study.seeds:
        cell = read_cell(group.cell(seed) / CELL)
        rows = {(row["score"], row["adaptation"]): row for row in cell["scores"]}
        wanted = _scores(group.study, group.variant.name in group.study.scored_fully)
        cells.append(cell | {"scores": [rows[key] for key in wanted]})
        if group.variant.teacher in (None, SCORER):
            continue
        teacher = group.of(group.variant.teacher) / f"seed{seed}"
        if cell["fingerprints"]["teacher"] != read_cell(teacher / CELL)["fingerprints"]["model"]:
            raise InputError(
                f"{group.cell(seed)}: did not learn from {teacher}; delete the one that is not "
                "the other's to have it made again"
            )
    return cells


def _progress_line(group: Group) -> str:
    """What a finished group came to, beside the student that learnt alone."""
    alone = replace(group, variant=Variant(comparison.ALONE, "student", None, {}))
    others = _cells(alone) if not alone.unscored() else None
    return f"{group.folder}: {comparison.in_short(_cells(group), others)}"


def gather(study: configs.Config, workdir: Path) -> dict[str, Any]:
    """study.json: what the cells that are there say together; variants that lack some are named."""
    splits, missing = [], []
    for split in map(tuple, study.splits):
        cells = {}
        for variant in variants(study):
            group = Group(study, workdir, variant, split)
            if group.unscored():
                missing.append(f"{split_name(split)}/{variant.name}")
            else:
                cells[variant.name] = _cells(group)
        path = workdir / split_name(split) / BASELINES
        if cells:
            splits.append(
                {"protocol": split[0], "fold": split[1], "epochs": split[2]}
                | comparison.together(cells, study.scores)
                | {"baselines": runs.read_sealed(path)["rows"] if path.exists() else {}}
            )
    return {
        "base": configs.identity(study.base),
        "seeds": list(study.seeds),
        "fields": {v.name: {"teacher": v.teacher} | dict(v.fields) for v in variants(study)},
        "missing": missing,
        "splits": splits,
    }
