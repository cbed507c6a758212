"""Config files: finds one, runs its `get_config`, and changes single fields. Loads no JAX."""

import ast
import difflib
import importlib.util
import inspect
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

import kdjax
from kdjax.errors import InputError, reason_of

_PACKAGE = Path(kdjax.__file__).parent
# A wheel holds the configs inside the package, a clone beside it.
_SHIPPED = (_PACKAGE / "configs", _PACKAGE.parent / "configs")


def load(given: str) -> Any:
    """The config of 'FILE', 'FILE:ARGUMENT', or a shipped config's name in place of the file.

    The file's `get_config` is called with the argument, or without one. The file may import its
    neighbours: `from configs import teacher` as well as `from . import teacher`.

    Raises:
        InputError: there is no such file, or it fails.
    """
    name, _, argument = given.partition(":")
    path = find(name)
    if path.suffix != ".py":
        raise InputError(f"{path}: a config is a Python file; its name ends in .py")
    try:
        with _importable(path.parent):
            get_config = _run(path).get_config
            if argument and not inspect.signature(get_config).parameters:
                raise ValueError(f"its get_config takes no argument; leave :{argument} out")
            return ConfigDict(get_config(argument) if argument else get_config())
    except Exception as error:  # a config file is Python and may raise anything
        reason = reason_of(error, None)
        if not isinstance(error, ValueError):
            reason = f"{type(error).__name__}: {reason}"
        raise InputError(f"{given}: {reason}") from error


def find(name: str) -> Path:
    """The file of a config, given by path or by the name of a shipped one; InputError if none."""
    path = Path(name)
    if path.is_file():
        return path
    for folder in _SHIPPED:
        if name in names() and (shipped := folder / f"{name}.py").is_file():
            return shipped
    raise InputError(f"{name}: no such config file; give a file, or one of {', '.join(names())}")


def names() -> list[str]:
    """The names of the shipped configs."""
    folder = next((folder for folder in _SHIPPED if folder.is_dir()), None)
    files = folder.glob("*.py") if folder else ()
    return sorted(file.stem for file in files if file.stem != "__init__")


def override(config: Any, settings: Sequence[str]) -> None:
    """Changes fields of a config: each setting is 'a.b=value', the value as Python writes it.

    Text needs no quotes. Raises InputError for a field that is not there and for a value of
    another type.
    """
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"{setting!r}: give FIELD=VALUE, for example epochs=20")
        *blocks, field = name.split(".")
        block = config
        for depth, part in enumerate(blocks):
            block = _within(block, part, ".".join(blocks[:depth]))
            if not isinstance(block, ConfigDict):
                raise InputError(f"{name}: {'.'.join(blocks[: depth + 1])} holds no fields")
        before = _within(block, field, ".".join(blocks))
        if isinstance(before, ConfigDict):
            raise InputError(f"{name}: holds {', '.join(before)}; set one of them")
        block[field] = _value(name, text, before, wanted=block.get_type(field))


def _within(block: Any, field: str, where: str) -> Any:
    """A field of a block; InputError that lists the fields that there are."""
    if field in block:
        return block[field]
    near = difflib.get_close_matches(field, list(block), n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else f"; the fields are {', '.join(block)}"
    place = f"{where} has no field" if where else "no field"
    raise InputError(f"{place} {field!r}{hint}")


def _value(name: str, text: str, before: Any, *, wanted: type) -> Any:
    """The value that a text means for a field of type `wanted`."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        value = text
    if value is None and (before is None or wanted in (str, type(None))):
        return None
    if wanted is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if wanted is str:
        return text if not isinstance(value, str) else value
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        with suppress(OverflowError):
            return float(value)
    if wanted is tuple and isinstance(value, int | float | list):
        value = tuple(value) if isinstance(value, list) else (value,)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        kinds = {int: "a whole number", float: "a number", bool: "True or False", tuple: "a list"}
        raise InputError(f"{name}: {text!r} is not {kinds.get(wanted, wanted.__name__)}")
    return value


def _run(path: Path) -> types.ModuleType:
    """Runs a config file as a module of a package of its folder's files."""
    package = types.ModuleType("kdjax_configs")
    package.__path__ = [str(path.parent.resolve())]
    name = f"{package.__name__}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[package.__name__] = package
    try:
        spec.loader.exec_module(module)
    finally:
        for loaded in [n for n in sys.modules if n.split(".")[0] == package.__name__]:
            del sys.modules[loaded]
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Lets a config file import its neighbours by the name of their folder."""
    root, writes = str(folder.resolve().parent), sys.dont_write_bytecode
    sys.path.insert(0, root)
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.path.remove(root)
        sys.dont_write_bytecode = writes
