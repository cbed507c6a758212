"""Memory that does not suffice: seen beforehand where a limit is set, and in what is raised.

Some libraries abort the process where they get none, so that nothing can be said any more.
"""

import errno
import resource

from kdjax.errors import InputError

LACKING = "out of memory; end other programs, raise the limit (ulimit -v) or take a larger machine"

# GB of address space that a command takes on two cores, most of it never touched: training took
# 3.4, detection less than 2.9.
NEEDED = {"train": 4.0, "study": 4.0, "detect": 3.0, "review": 0.0, "ec57": 0.0}
_OTHERS = 2.5

# What is said where no MemoryError is raised: by XLA, the loader of shared objects, Python.
_SAID = (
    "ut of memory",
    "annot allocate memory",
    "nable to allocate",
    "failed to map segment",
    "std::bad_alloc",
    "can't start new thread",
)


def check_limit(command: str) -> None:
    """Raises InputError when a limit leaves a command less address space than it takes."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    needed = NEEDED.get(command, _OTHERS)
    if limit != resource.RLIM_INFINITY and limit < needed * 1e9:
        raise InputError(
            f"a limit of {limit / 1e9:.3g} GB of address space is set, {needed:g} GB are needed; "
            f"raise it: ulimit -v {needed * 1e6:.0f}"
        )


def lacks(error: BaseException | None) -> bool:
    """Whether an exception, or what caused it, means that the memory did not suffice."""
    while error is not None:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        if not isinstance(error, InputError) and any(words in str(error) for words in _SAID):
            return True
        context = None if error.__suppress_context__ else error.__context__
        error = error.__cause__ or context
    return False
