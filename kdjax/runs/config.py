"""The fields of a config, checked before anything is started or written. Loads no JAX.

Those of `loss` and `kd` are declared in `models.objective`.
"""

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ml_collections import ConfigDict, config_dict

from kdjax.errors import InputError
from kdjax.fields import (
    DECAY,
    FLAG,
    FOLDER,
    NAME,
    POSITIVE,
    POSITIVE_OR_NONE,
    RATES,
    choice,
    declare,
    integer,
    walk,
)
from kdjax.fields import check as check_fields
from kdjax.models.objective import Distillation, OwnTerms

Config: TypeAlias = Any  # a ConfigDict, whose fields have no static types

_TEACHER = "teacher.workdir"  # where that is, however it is spelt

SCORERS = ("network", "nearest_neighbour")
# Of matrix products, and how JAX calls what does that and nothing less on every device: its own
# "bfloat16" is TF32 on a GPU. CPUs compute all three in float32.
PRECISIONS = {
    "float32": "float32",
    "tensorfloat32": "tensorfloat32",
    "bfloat16": "BF16_BF16_F32",
}


@dataclass(frozen=True, kw_only=True)
class DataFields:
    """The beats, and who trains, validates, calibrates and tests."""

    dataset: str = declare(
        "synthetic", NAME, "synthetic, mitbih, or the name of your own prepared data"
    )
    protocol: str = declare(
        "beatgan", NAME, "how beats are split: beatgan or interpatient (see Protocols)"
    )
    fold: int = declare(0, integer(0), "fold of the split, 0 to 4 under beatgan")
    split_seed: int = declare(0, integer(0), "seed of the split")
    augment: str = declare(
        "none",
        choice("none", "time_warp"),
        "time_warp: at every step, doubles a few samples of each beat and drops as many",
        added=True,
        counts=False,
    )
    dir: str | None = declare(
        None, FOLDER, "folder of the prepared data; None: where TFDS keeps its data"
    )


@dataclass(frozen=True, kw_only=True)
class ModelFields:
    """The networks."""

    width: int = declare(
        32,
        integer(1),
        "channels of the first of five stages; each stage doubles those of the one before",
    )
    latent_dim: int = declare(50, integer(1), "size of the latent vector")
    output_bias: bool = declare(
        True,
        FLAG,
        "a last bias that starts at the mean beat, and a centred last kernel; False: as published",
    )


@dataclass(frozen=True, kw_only=True)
class EvalFields:
    """The evaluation at the end."""

    fpr_targets: tuple[float, ...] = declare(
        (0.01, 0.05, 0.1), RATES, "false-positive rates, each of which gets a threshold"
    )


@dataclass(frozen=True, kw_only=True)
class TeacherFields:
    """A student's teacher."""

    scorer: str = declare(
        "network",
        choice(*SCORERS),
        "what scores the beats: a network, or the distance to the nearest training beat",
        added=True,
    )
    workdir: str | None = declare(
        None,
        FOLDER,
        "a finished run on the same split; None: one is trained first, in WORKDIR/teacher",
    )
    epochs: int = declare(100, integer(1), "epochs of a teacher that is trained first")
    model: ModelFields = dataclasses.field(default_factory=ModelFields)


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """The config of a network that learns alone: BeatGAN with the published settings."""

    epochs: int = declare(100, integer(1), "passes over the training beats")
    batch_size: int = declare(
        64, integer(2), "beats in a batch, over all devices; an incomplete last batch is dropped"
    )
    # JAX's keys drop what is beyond 32 bits.
    seed: int = declare(0, integer(0, 2**32 - 1), "seed of the weights and of the order of beats")
    learning_rate: float = declare(
        1e-4, POSITIVE, "learning rate of Adam, with b1 0.5 and b2 0.999"
    )
    precision: str = declare(
        "float32",
        choice(*PRECISIONS),
        "precision of matrix products on a GPU; a CPU always computes in float32",
    )
    grad_clip: float | None = declare(
        None, POSITIVE_OR_NONE, "limit of each gradient's global norm; None: no limit"
    )
    average_decay: float = declare(
        0.0,
        DECAY,
        "decay of a running average of the generator's weights, for example 0.999; 0: no average",
        added=True,
        counts=False,
    )
    data: DataFields = dataclasses.field(default_factory=DataFields)
    model: ModelFields = dataclasses.field(default_factory=ModelFields)
    loss: OwnTerms = dataclasses.field(default_factory=OwnTerms)
    eval: EvalFields = dataclasses.field(default_factory=EvalFields)


@dataclass(frozen=True, kw_only=True)
class StudentConfig(TeacherConfig):
    """The config of a student."""

    kd: Distillation = dataclasses.field(default_factory=Distillation)
    teacher: TeacherFields = dataclasses.field(default_factory=TeacherFields)


def defaults(kind: type = TeacherConfig) -> Config:
    """A config, or a block of one, with every field at its default."""
    config = ConfigDict()
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(field.type):
            config[field.name] = defaults(field.type)  # type: ignore[arg-type]
        elif field.default is None:
            of = next(t for t in typing.get_args(field.type) if t is not type(None))
            config[field.name] = config_dict.placeholder(of)
        else:
            config[field.name] = field.default
    return config


def is_student(config: Mapping) -> bool:
    """Whether this config is a student's: it draws other numbers than a teacher of its seed."""
    return "kd" in config


def distils(config: Mapping) -> bool:
    """Whether any distillation term is on: a student without one is trained alone."""
    return is_student(config) and bool(Distillation(**config["kd"]).weights())


def complete(config: Mapping) -> dict[str, Any]:
    """The config as plain data, with the fields that came after it was written."""
    plain = json.loads(json.dumps(_plain(config)))
    for name, field in walk(StudentConfig):
        *blocks, last = name.split(".")
        place = plain.get(blocks[0]) if blocks else plain
        if field.metadata["added"] and isinstance(place, dict):
            place.setdefault(last, field.default)
    return plain


def check(config: Config) -> None:
    """Raises InputError that names the first field that is missing, unknown or out of range."""
    student = "kd" in config or "teacher" in config
    check_fields(config.to_dict(), StudentConfig if student else TeacherConfig)
    if not any(config.loss[name] for name in config.loss):
        raise InputError("loss: every term is 0; give at least one of them a weight")
    if not is_student(config):
        return
    kd = Distillation(**config.kd)
    if config.teacher.scorer != "network" and not kd.needs_only_scores():
        asks = ", ".join(f"kd.{name.removeprefix('kd_')}" for name in kd.weights())
        raise InputError(
            f"teacher.scorer: {config.teacher.scorer} gives only scores, too little for "
            f"{asks}; use kd.response and kd.log_ratio alone"
        )
    if config.data.augment == "none" or not distils(config):
        return
    for field, value, wanted in (
        ("teacher.scorer", config.teacher.scorer, "network"),
        ("kd.transfer", config.kd.transfer, "none"),
    ):
        if value != wanted:
            raise InputError(
                f"data.augment: {config.data.augment} makes new beats at every step, but "
                f"{field}={value} needs all beats before the first step; set it to {wanted}, "
                "or data.augment to none"
            )


def identity(config: Mapping) -> dict[str, Any]:
    """The config as plain data without `data.dir`, which says where the beats are, not what."""
    plain = complete(config)
    plain["data"].pop("dir", None)
    return plain


def differences(a: Mapping, b: Mapping) -> list[str]:
    """'field: value of a, value of b' for each field in which two configs differ."""
    flat_a, flat_b = _flat(identity(a)), _flat(identity(b))
    if _same_folder(*(flat.get(_TEACHER) for flat in (flat_a, flat_b))):
        flat_a[_TEACHER] = flat_b[_TEACHER]
    absent = "absent"
    return [
        f"{name}: {flat_a.get(name, absent)} there, {flat_b.get(name, absent)} now"
        for name in sorted(flat_a.keys() | flat_b.keys())
        if flat_a.get(name, absent) != flat_b.get(name, absent)
    ]


def with_teacher(config: Config, folder: str) -> Config:
    """The config with the teacher's folder spelt in this way."""
    changed = config.copy_and_resolve_references()
    changed.teacher.workdir = folder
    return changed


def _same_folder(one: str | None, other: str | None) -> bool:
    return bool(one and other) and Path(str(one)).resolve() == Path(str(other)).resolve()


def fingerprint(config: Mapping) -> str:
    """SHA-256 of the config's identity; some fields added later count once they are used."""
    plain = identity(config)
    for name, field in walk(StudentConfig):
        *blocks, last = name.split(".")
        if len(blocks) > 1:
            continue  # of the teacher's model; these have always counted
        place = plain.get(blocks[0], {}) if blocks else plain  # an import's lacks most of them
        if not field.metadata["counts"] and last in place and place[last] == field.default:
            del place[last]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def teacher_config(config: Config) -> Config:
    """The config of the teacher that a student's config asks for: the same but for its network."""
    teacher = config.copy_and_resolve_references()
    with teacher.unlocked():
        del teacher["kd"], teacher["teacher"]
        teacher.epochs = config.teacher.epochs
        teacher.model = config.teacher.model.copy_and_resolve_references()
    return teacher


def _plain(config: Mapping) -> dict[str, Any]:
    return config.to_dict() if isinstance(config, ConfigDict) else dict(config)


def _flat(values: Mapping, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= (
            _flat(value, f"{prefix}{name}.")
            if isinstance(value, Mapping)
            else {f"{prefix}{name}": value}
        )
    return flat


def page() -> str:
    """docs/reference/config.md: every field with its default, what is allowed and what it means."""
    lines = [
        "# Fields of a config",
        "",
        "`--set a.b=value` of `kdjax train` changes a field of a config; the files in `configs/` "
        "change the defaults below. A config with the blocks `kd` and `teacher` trains a student.",
        "",
        "| field | default | allowed | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for name, field in walk(StudentConfig):
        allowed, meaning = field.metadata["rule"].wanted, field.metadata["meaning"]
        lines.append(f"| `{name}` | {field.default} | {allowed} | {meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
