"""The one exception that means 'the user's input is wrong', and how a terminal shows it."""

import errno

LACKS_MEMORY = (
    "out of memory; end other programs, raise the limit (ulimit -v) or take a larger machine"
)
# What libraries say where they raise no MemoryError: XLA, the loader of shared objects, Python.
_OUT_OF_MEMORY = (
    "RESOURCE_EXHAUSTED",
    "ut of memory",
    "annot allocate memory",
    "failed to map segment",
    "std::bad_alloc",
    "can't start new thread",
)


def one_line(text: object) -> str:
    """`text` on one line that a terminal may show: blanks for control signs."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


class InputError(ValueError):
    """One line that names the file, field or value and the remedy; the commands exit 2 on it."""


class ParityError(RuntimeError):
    """An exported file that does not compute what the Detector does: a defect, not the user's."""


def lacks_memory(error: BaseException | None) -> bool:
    """Whether an exception, or what caused it, means that the memory did not suffice."""
    while error is not None:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        if any(words in str(error) for words in _OUT_OF_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False
