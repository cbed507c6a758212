"""Fields of a config, each declared once: its default, what it may be, what it means."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from kdjax.errors import InputError


class Rule(NamedTuple):
    """What a field may be; `wanted` ends the sentence 'it must be'."""

    accepts: Callable[[Any], bool]
    wanted: str


_LARGEST = 2.0**127  # about half of what float32 holds


def declare(
    default: Any, rule: Rule, meaning: str, *, added: bool = False, counts: bool = True
) -> Any:
    """A field of a dataclass that is a config or a block of one.

    added: runs made before there was this field had its default. counts: whether a config's
    fingerprint holds the field also while it has its default.
    """
    about = {"rule": rule, "meaning": meaning, "added": added, "counts": counts}
    return dataclasses.field(default=default, metadata=about)


def check(values: Mapping[str, Any], kind: type, prefix: str = "") -> None:
    """Raises InputError that names the first field that is missing, unknown or out of range."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in values:
        if name not in fields:
            raise InputError(f"{prefix}{name}: no such field; the fields are {', '.join(fields)}")
    for name, field in fields.items():
        if name not in values:
            raise InputError(f"{prefix}{name}: missing; see configs/ for a whole config")
        value = values[name]
        if (block := _block(field)) is not None:
            if not isinstance(value, Mapping):
                inner = ", ".join(f.name for f in dataclasses.fields(block))
                raise InputError(f"{prefix}{name} is {value!r}; it must be a block with {inner}")
            check(value, block, f"{prefix}{name}.")
        elif not field.metadata["rule"].accepts(value):
            wanted = field.metadata["rule"].wanted
            within = ", within float32" if _is_beyond(value) else ""
            raise InputError(f"{prefix}{name} is {value!r}; it must be {wanted}{within}")


def walk(kind: type, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field]]:
    """Every field, also of blocks within, by its dotted name."""
    for field in dataclasses.fields(kind):
        if (block := _block(field)) is not None:
            yield from walk(block, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", field


def _block(field: dataclasses.Field) -> Any:
    """The dataclass of a block's fields; None for a field that is a value."""
    return field.type if dataclasses.is_dataclass(field.type) else None


def integer(low: int, high: float = math.inf) -> Rule:
    """A whole number between two bounds, both allowed."""
    return Rule(
        lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high,
        f"a whole number from {low} to {high}"
        if high < math.inf
        else f"a whole number, at least {low}",
    )


def choice(*values: str) -> Rule:
    """One of these."""
    return Rule(lambda v: v in values, f"one of {', '.join(values)}")


def _number(v: Any) -> bool:
    return isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= _LARGEST


def _is_beyond(v: Any) -> bool:
    return isinstance(v, int | float) and not isinstance(v, bool) and abs(v) > _LARGEST


def _rates(v: Any) -> bool:
    return isinstance(v, list | tuple) and bool(v) and all(_number(a) and 0 < a < 1 for a in v)


POSITIVE = Rule(lambda v: _number(v) and v > 0, "a number above 0")
POSITIVE_OR_NONE = Rule(lambda v: v is None or POSITIVE.accepts(v), "a number above 0, or None")
FROM_ONE = Rule(lambda v: _number(v) and v >= 1, "a number, at least 1")
WEIGHT = Rule(lambda v: _number(v) and v >= 0, "a weight: 0 (off) or more")
FRACTION = Rule(lambda v: _number(v) and 0 < v <= 1, "a number above 0, at most 1")
DECAY = Rule(lambda v: _number(v) and 0 <= v < 1, "0 (off) or a number below 1")
RATES = Rule(_rates, "rates between 0 and 1")
FLAG = Rule(lambda v: isinstance(v, bool), "True or False")
NAME = Rule(lambda v: isinstance(v, str) and bool(v), "a name")
FOLDER = Rule(lambda v: v is None or isinstance(v, str), "a folder, or None")
