"""The exit status of a command, and what it says where the input is wrong."""

import argparse
import signal
import sys
from collections.abc import Callable

from kdjax import memory, signals
from kdjax.errors import InputError, of_disk, one_line, typed


def status_of(args: argparse.Namespace, work: Callable[[], int | None]) -> int:
    """The exit status of a command's work; what is wrong with the input is said in one line."""
    try:
        memory.check_limit(args.command)
        with typed():
            return work() or 0
    except BrokenPipeError:  # of `head`, say: nobody reads what comes
        return 128 + signal.SIGPIPE
    except Exception as error:  # lack of memory is raised as anything; a defect is raised again
        said = _in_one_line(error)
        if said is None:
            raise
        print(f"{args.called}: {one_line(said)}", file=sys.stderr)
        if said is memory.LACKING:
            signals.end(2)  # libraries that got no memory crash when they are taken down
        return 2
    except KeyboardInterrupt:
        if args.command in ("train", "study"):
            print("stopped; run the same command again to continue", file=sys.stderr)
        return 130


def _in_one_line(error: Exception) -> str | None:
    """What a user is told of an exception; None where it is a defect."""
    if memory.lacks(error):  # first: a reader may have taken it for a damaged file
        return memory.LACKING
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError):
        return of_disk(error)
    return None
