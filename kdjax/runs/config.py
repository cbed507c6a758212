"""What a config may hold, checked before anything is started or written."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ml_collections import ConfigDict

from kdjax.errors import InputError
from kdjax.models.augmentation import AUGMENTATIONS
from kdjax.models.distillation import SCORE_TRANSFORMS, SELECTIONS, TRANSFERS, Distillation

Config: TypeAlias = Any  # a ConfigDict, whose fields have no static types

SCORERS = ("network", "nearest_neighbour")
# Of matrix products, and how JAX calls what does that and nothing less on every device: its own
# "bfloat16" is TF32 on a GPU. CPUs compute all three in float32.
PRECISIONS = {
    "float32": "float32",
    "tensorfloat32": "tensorfloat32",
    "bfloat16": "BF16_BF16_F32",
}


def _integer(low: int, high: float = math.inf) -> tuple[Callable[[Any], bool], str]:
    return (
        lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high,
        f"a whole number from {low}" + (f" to {high}" if high < math.inf else ""),
    )


def _number(v: Any) -> bool:
    return isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)


def _choice(*values: str) -> tuple[Callable[[Any], bool], str]:
    return lambda v: v in values, f"one of {', '.join(values)}"


_POSITIVE = (lambda v: _number(v) and v > 0, "a number above 0")
# Below 1 the exponentials of standardised scores leave float32 on large batches.
_TEMPERATURE = (lambda v: _number(v) and v >= 1, "a number from 1")
_WEIGHT = (lambda v: _number(v) and v >= 0, "a weight, 0 (off) or above")
_SHARE = (lambda v: _number(v) and 0 < v <= 1, "a number above 0, at most 1")
_DECAY = (lambda v: _number(v) and 0 <= v < 1, "0 (off) or a number below 1")
_FLAG = (lambda v: isinstance(v, bool), "True or False")
_TEXT = (lambda v: isinstance(v, str) and bool(v), "a name")
_PATH = (lambda v: v is None or isinstance(v, str), "a folder, or None")

_MODEL = {"width": _integer(1), "latent_dim": _integer(1), "output_bias": _FLAG}

_FIELDS: dict[str, Any] = {
    "epochs": _integer(1),
    "batch_size": _integer(2),
    "seed": _integer(0, 2**32 - 1),  # JAX's keys drop what is beyond 32 bits
    "learning_rate": _POSITIVE,
    "precision": _choice(*PRECISIONS),
    "grad_clip": (lambda v: v is None or (_number(v) and v > 0), "a number above 0, or None"),
    "average_decay": _DECAY,
    "data": {
        "dataset": _TEXT,
        "protocol": _TEXT,
        "fold": _integer(0),
        "split_seed": _integer(0),
        "dir": _PATH,
        "augment": _choice(*AUGMENTATIONS),
    },
    "model": _MODEL,
    "loss": {"reconstruction": _WEIGHT, "feature_matching": _WEIGHT, "adversarial": _WEIGHT},
    "eval": {
        "fpr_targets": (
            lambda v: (
                isinstance(v, list | tuple) and v and all(_number(a) and 0 < a < 1 for a in v)
            ),
            "rates between 0 and 1",
        )
    },
}

# A config with these trains a student.
_STUDENT_FIELDS: dict[str, Any] = {
    "kd": {
        "response": _WEIGHT,
        "response_scores": _choice(*SCORE_TRANSFORMS),
        "temperature": _TEMPERATURE,
        "log_ratio": _WEIGHT,
        "reconstruction": _WEIGHT,
        "feature": _WEIGHT,
        "latent": _WEIGHT,
        "relation": _WEIGHT,
        "discriminator_features": _WEIGHT,
        "select": _choice(*SELECTIONS),
        "select_quantile": _SHARE,
        "transfer": _choice(*TRANSFERS),
    },
    "teacher": {
        "scorer": _choice(*SCORERS),
        "workdir": _PATH,
        "epochs": _integer(1),
        "model": _MODEL,
    },
}

# Fields that runs made before there were such fields do not name, and what they had instead.
_ADDED_LATER = {
    "average_decay": 0.0,
    "data": {"augment": "none"},
    "kd": {
        "log_ratio": 0.0,
        "latent": 0.0,
        "relation": 0.0,
        "discriminator_features": 0.0,
        "transfer": "none",
    },
    "teacher": {"scorer": "network"},
}


def is_student(config: Mapping) -> bool:
    """Whether this config is a student's: it draws other numbers than a teacher of its seed."""
    return "kd" in config


def distils(config: Mapping) -> bool:
    """Whether any distillation term is on: a student without one is trained alone."""
    return is_student(config) and bool(Distillation(**config["kd"]).weights())


def complete(config: Mapping) -> dict[str, Any]:
    """The config as plain data, with the fields that came after it was written."""
    plain = json.loads(json.dumps(_plain(config)))
    for name, was in _ADDED_LATER.items():
        if not isinstance(was, dict):
            plain.setdefault(name, was)
        elif isinstance(plain.get(name), dict):
            plain[name] = was | plain[name]
    return plain


def check(config: Config) -> None:
    """Raises InputError that names the first field that is missing, unknown or out of range."""
    fields = _FIELDS | (_STUDENT_FIELDS if "kd" in config or "teacher" in config else {})
    _check_fields(config.to_dict(), fields, "config.")
    if not any(config.loss[name] for name in config.loss):
        raise InputError("config.loss: every term is 0; give at least one of them a weight")
    if not is_student(config):
        return
    kd = Distillation(**config.kd)
    if config.teacher.scorer != "network" and not kd.needs_only_scores():
        asks = ", ".join(f"kd.{name.removeprefix('kd_')}" for name in kd.weights())
        raise InputError(
            f"config.teacher.scorer: {config.teacher.scorer} has only scores to teach, the terms "
            f"that are on are {asks}; keep kd.response and kd.log_ratio"
        )
    if config.data.augment == "none" or not distils(config):
        return
    for field, value, wanted in (
        ("teacher.scorer", config.teacher.scorer, "network"),
        ("kd.transfer", config.kd.transfer, "none"),
    ):
        if value != wanted:
            raise InputError(
                f"config.data.augment: {config.data.augment} makes new beats at every step, and "
                f"config.{field} {value} is asked about beats before the first; make it {wanted}, "
                "or data.augment none"
            )


def identity(config: Mapping) -> dict[str, Any]:
    """The config as plain data without `data.dir`, which says where the beats are, not what."""
    plain = complete(config)
    plain["data"].pop("dir", None)
    return plain


def differences(a: Mapping, b: Mapping) -> list[str]:
    """'field: value of a, value of b' for each field in which two configs differ."""
    flat_a, flat_b = _flat(identity(a)), _flat(identity(b))
    absent = "absent"
    return [
        f"{name}: {flat_a.get(name, absent)} there, {flat_b.get(name, absent)} now"
        for name in sorted(flat_a.keys() | flat_b.keys())
        if flat_a.get(name, absent) != flat_b.get(name, absent)
    ]


def fingerprint(config: Mapping) -> str:
    """SHA-256 of the config's identity; fields added later count once they are used."""
    plain = identity(config)
    if not plain["average_decay"]:
        del plain["average_decay"]
    if plain["data"]["augment"] == "none":
        del plain["data"]["augment"]
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


def _check_fields(values: Mapping, fields: Mapping, prefix: str) -> None:
    for name in values:
        if name not in fields:
            raise InputError(f"{prefix}{name}: no such field; there are {', '.join(fields)}")
    for name, rule in fields.items():
        if name not in values:
            raise InputError(f"{prefix}{name}: missing; see configs/ for a whole config")
        value = values[name]
        if isinstance(rule, Mapping):
            if not isinstance(value, Mapping):
                raise InputError(f"{prefix}{name}: {value!r}; it holds {', '.join(rule)}")
            _check_fields(value, rule, f"{prefix}{name}.")
        else:
            accepts, wanted = rule
            if not accepts(value):
                raise InputError(f"{prefix}{name}: {value!r}; it must be {wanted}")


def _flat(values: Mapping, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= (
            _flat(value, f"{prefix}{name}.")
            if isinstance(value, Mapping)
            else {f"{prefix}{name}": value}
        )
    return flat
