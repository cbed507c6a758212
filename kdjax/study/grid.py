"""The grid of a study: variants, groups of seeds, the cells that are there."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdjax.errors import InputError, reason_of
from kdjax.files import read_sealed
from kdjax.runs import checkpoints, directory
from kdjax.runs import config as configs
from kdjax.scores import fitted
from kdjax.study import comparison

CELL = "cell.json"
TOGETHER = "together"  # the folder of a group's checkpoints while it trains
BASELINES = "baselines.json"
SCORER = "nearest_neighbour"
_NEED_MORE = ("features", "memory")  # the discriminator, or all training beats

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


def check(study: configs.Config) -> None:
    """Raises InputError that names the first field of a study that cannot be used."""
    fields = ("base", "seeds", "splits", "variants", "scores", "scored_fully")
    for name in fields:
        if name not in study:
            raise InputError(f"study.{name}: missing; a study holds {', '.join(fields)}")
    for name in fields[1:]:
        if not isinstance(study[name], tuple | list):
            raise InputError(f"study.{name}: {study[name]!r}; give a tuple, as ({study[name]!r},)")
        if not study[name] and name in ("splits", "variants"):
            raise InputError(f"study.{name}: is empty; a study needs one at least")
    if not configs.is_student(study.base):
        raise InputError("study.base: is not a student's config; use that of configs/student.py")
    seeds = study.seeds
    known = [seed for seed in seeds if type(seed) is int and 0 <= seed < 2**32]
    if len(set(known)) < max(len(seeds), 2):
        raise InputError(
            f"study.seeds: {seeds}; two different whole numbers from 0 on, or more, are needed"
        )
    for split in study.splits:
        types = [type(value) for value in split] if isinstance(split, tuple | list) else []
        if types != [str, int, int]:
            raise InputError(f"study.splits: {split!r}; each is (protocol, fold, epochs)")
    names = [split_name(tuple(split)) for split in study.splits]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"study.splits: {twice[0]} is listed twice; make a study of each")
    kinds = [kind for kind in fitted.SCORES if kind not in (comparison.PLAIN, *_NEED_MORE)]
    for kind in study.scores:
        if kind not in kinds:
            raise InputError(f"study.scores: {kind!r}; choose from {', '.join(kinds)}")
    grid = variants(study)
    for name in study.scored_fully:
        if name not in [variant.name for variant in grid]:
            raise InputError(f"study.scored_fully: {name!r} is not a variant of this study")
    sizes = {}
    for variant in grid:
        for split in study.splits:
            made = cell_config(study, variant, tuple(split), seed=0, teacher=Path())
            sizes[variant.name] = made.model.to_dict()
    _check_compared([variant for variant in grid if variant.role == "student"], sizes)


def _check_compared(students: Sequence[Variant], sizes: Mapping[str, Mapping]) -> None:
    """InputError where a student has none of its size that learns alone."""
    alone = [
        sizes[one.name]
        for one in students
        if one.teacher is None and comparison.is_sized(one.name, comparison.ALONE)
    ]
    for student in students:
        if sizes[student.name] not in alone:
            raise InputError(
                f"study.variants: {student.name} has nothing to be compared with; add a student of "
                f"its size without a teacher, named {comparison.ALONE} or "
                f"{comparison.ALONE}-{sizes[student.name]['width']}"
            )


def variants(study: configs.Config) -> list[Variant]:
    """The variants of a study in the order they are made; InputError for a study that is none."""
    found: list[Variant] = []
    for entry in study.variants:
        plain = entry.to_dict() if hasattr(entry, "to_dict") else entry
        if not isinstance(plain, Mapping):
            raise InputError(f"study.variants: {entry!r}; each is a dict with a name")
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
                f"study.variants: {variant.name!r} is not a name for a variant; use letters, "
                f"digits and hyphens, and not {SCORER}"
            )
        _check_parts(variant)
        if given := _of_the_study(variant.fields):
            raise InputError(
                f"study.variants: fields of {variant.name}: {given} is the study's own; variants "
                "are compared on the same beats, seeds and epochs"
            )
        if variant.role not in ("teacher", "student"):
            raise InputError(
                f"study.variants: {variant.name} has role {variant.role!r}; teacher or student"
            )
        earlier = [v.name for v in found]
        if variant.name in earlier:
            raise InputError(f"study.variants: {variant.name} is listed twice; rename one")
        if variant.teacher not in (None, SCORER, *earlier):
            raise InputError(
                f"study.variants: {variant.name} learns from {variant.teacher}, which is not "
                f"listed before it; choose from {', '.join([*earlier, SCORER])}"
            )
        found.append(variant)
    return found


def _check_parts(variant: Variant) -> None:
    """InputError where a variant's fields, or what they say of data or teacher, are no dicts."""
    fields = variant.fields
    parts = [fields.get(name, {}) for name in ("data", "teacher")] if _is_dict(fields) else [fields]
    if not all(map(_is_dict, parts)):
        raise InputError(
            f"study.variants: fields of {variant.name}: {fields!r}; give parts of a config, as "
            '{"kd": {"latent": 1.0}}'
        )


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping)


def _of_the_study(fields: Mapping[str, Any]) -> str:
    """The first of a variant's fields that the study sets itself, "" where there is none."""
    data, teacher = (fields.get(name, {}) for name in ("data", "teacher"))
    given = [name for name in ("seed", "epochs") if name in fields]
    given += [f"data.{name}" for name in data if name != "augment"]
    given += [f"teacher.{name}" for name in ("workdir", "scorer") if name in teacher]
    return given[0] if given else ""


def cell_config(
    study: configs.Config,
    variant: Variant,
    split: tuple[str, int, int],
    *,
    seed: int,
    teacher: Path,
) -> configs.Config:
    """The config of one run, as `train.py` would take it; `teacher` is its teacher's run."""
    config = study.base.copy_and_resolve_references()
    try:
        config.update(dict(variant.fields))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = reason_of(error, None)
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
        """Of the group's cells."""
        return self.of(self.variant.name)

    def of(self, variant: str) -> Path:
        """The folder of another variant's cells of the same split."""
        return self.workdir / split_name(self.split) / variant

    def cell(self, seed: int) -> Path:
        """The run directory of a seed."""
        return self.folder / f"seed{seed}"

    def config(self, seed: int) -> configs.Config:
        """What the run of a seed is trained by."""
        teacher = self.of(self.variant.teacher or "") / f"seed{seed}"
        return cell_config(self.study, self.variant, self.split, seed=seed, teacher=teacher)

    def missing(self) -> list[int]:
        """The seeds that are not trained; InputError where a cell was made by another config."""
        left = []
        for seed in self.study.seeds:
            if not checkpoints.steps(self.cell(seed) / checkpoints.LAST):
                left.append(seed)
                continue
            there, wanted = directory.read_config(self.cell(seed)), self.config(seed).to_dict()
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
        wanted = cell_scores(self.study, fully)
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


def cell_scores(study: configs.Config, fully: bool) -> list[tuple[str, str]]:
    """The kinds of score that a cell gets, and their adaptations; mean squared error first."""
    if not fully:
        return [("mse", "none"), *((kind, "none") for kind in study.scores)]
    return [
        (kind, adaptation)
        for kind in fitted.SCORES
        for adaptation in fitted.ADAPTATIONS
        if adaptation == "none" or kind in fitted.ADAPTED
    ]


def read_cell(path: Path) -> dict[str, Any]:
    """A cell.json; InputError when it is not one."""
    cell = read_sealed(path)
    if not isinstance(cell, dict) or not {"scores", "fingerprints", "teacher"} <= cell.keys():
        raise InputError(f"{path}: not a cell's figures; delete it to have them made again")
    return cell


def cells_of(group: Group) -> list[dict[str, Any]]:
    """The figures of a group's seeds; InputError where a teacher there is not the cell's own."""
    cells = []
    for seed in group.study.seeds:
        cell = read_cell(group.cell(seed) / CELL)
        rows = {(row["score"], row["adaptation"]): row for row in cell["scores"]}
        wanted = cell_scores(group.study, group.variant.name in group.study.scored_fully)
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
                cells[variant.name] = cells_of(group)
        path = workdir / split_name(split) / BASELINES
        if cells:
            splits.append(
                {"protocol": split[0], "fold": split[1], "epochs": split[2]}
                | comparison.together(cells, study.scores)
                | {"baselines": read_sealed(path)["rows"] if path.exists() else {}}
            )
    return {
        "base": configs.identity(study.base),
        "seeds": list(study.seeds),
        "fields": {v.name: {"teacher": v.teacher} | dict(v.fields) for v in variants(study)},
        "missing": missing,
        "splits": splits,
    }
