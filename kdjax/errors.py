"""The one exception that means 'the user's input is wrong', and how messages are worded."""

import contextlib
import errno
from collections.abc import Iterator
from typing import Any

_FLAGS = {"leads": "--lead", "source": "--from"}  # where the flag is not the argument's name
_typed = False  # whether the arguments were typed on the command line


def one_line(text: object) -> str:
    """`text` on one line that a terminal may show: blanks for control signs."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def reason_of(error: BaseException, most: int | None = 200) -> str:
    """What an exception of a library says, on one line, or else its type's name."""
    return one_line(error)[:most] or type(error).__name__


def counted(number: int, noun: str) -> str:
    """A number with its noun, whose plural ends in s: '1 epoch', '2 epochs'."""
    return f"{number} {noun}{'s' * (number != 1)}"


def of_disk(error: OSError) -> str:
    """What a user is told of an OSError: the file, the reason and the remedy."""
    if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "No space left on device; make room, or send the output elsewhere"
    if error.filename is None:  # of a pipe or a socket
        return str(error) or type(error).__name__
    return f"{error.filename}: {error.strerror}; {remedy_of(error.errno)}"


def remedy_of(code: int | None, choose: str = "choose another folder") -> str:
    """The remedy for an errno: of a full disk, of missing permission, of anything else."""
    if code in (errno.ENOSPC, errno.EDQUOT):
        return f"make room or {choose}"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"allow writing there or {choose}"
    return choose


@contextlib.contextmanager
def typed() -> Iterator[None]:
    """Within it, messages name the flags of the command line instead of Python's arguments."""
    global _typed
    before, _typed = _typed, True
    try:
        yield
    finally:
        _typed = before


def option(name: str) -> str:
    """An argument's name as the caller knows it: `--fs` on the command line, `fs` in Python."""
    return _FLAGS.get(name, f"--{name}") if _typed else name


def options(**values: Any) -> str:
    """Arguments as the caller writes them: `--fs 360 --units mV`, or `fs=360, units='mV'`."""
    if _typed:
        return " ".join(f"{option(name)} {value}" for name, value in values.items())
    return ", ".join(f"{name}={value!r}" for name, value in values.items())


class InputError(ValueError):
    """One line that names the file, field or value and the remedy; the commands exit 2 on it."""


class ParityError(RuntimeError):
    """An exported file that does not compute what the Detector does: a defect, not the user's."""
