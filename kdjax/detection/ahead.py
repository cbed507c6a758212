"""Beats found by a second process while the first one decides on those before them.

Finding the beats of a long recording takes about as long as all else that is done with it. Threads
do not help, since both halves are many short steps of Python. `kdjax detect` uses it; a library
that starts processes unasked would surprise those who embed it.
"""

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kdjax.detection.cores import BeatStream, Found

LONG = 3600.0  # s: a shorter recording is done before a second process saves its own start

# glibc gives freed memory back to the system, page by page, unless told to keep it. A core's arrays
# take it again at once; without these two, a fifth of the process's time goes into that.
_KEEP = {"MALLOC_TRIM_THRESHOLD_": str(2**28), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
_SECOND = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from kdjax.detection import ahead; ahead.reply()"
)


def all_cores(
    stream: BeatStream, blocks: Iterator[np.ndarray], progress: Callable[[int], Any]
) -> Iterator[Found]:
    """As `cores.all_cores`, by a second process on a copy of `stream`: the same to the last bit.

    Raises what finding beats raises; ChildProcessError where the process was ended from outside.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", _SECOND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**_KEEP, **os.environ},
        start_new_session=True,  # an interrupt is for the first process, which ends this one
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        _send(sys.path, process.stdin)
        _send(stream, process.stdin)
        block, found = next(blocks, None), list[Found]()
        _send(block, process.stdin)
        while block is not None:
            yield from found  # what is done with them is done while the block is searched
            samples, block = len(block), next(blocks, None)
            found = _received(process.stdout)
            _send(block, process.stdin)
            progress(samples)
        yield from found
        yield from _received(process.stdout)
    except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
        process.kill()  # it lives on where something else has printed into its pipe
        raise ChildProcessError(
            f"the process that finds the beats was ended, with status {process.wait()}; if memory "
            "was short, end other programs; then try again"
        ) from error
    finally:
        process.kill()
        process.communicate()


def reply() -> None:
    """In the second process: takes a stream, then blocks, None the last; gives what they complete.

    It ends silently where the first process does.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # to write what nobody reads is its end
    blocks, beats = sys.stdin.buffer, sys.stdout.buffer
    try:
        stream: BeatStream = pickle.load(blocks)
        while (block := pickle.load(blocks)) is not None:
            _send(list(stream.push(block)), beats)
        _send(list(stream.finish()), beats)
    except Exception as error:  # raised where the user can be told of it
        error.add_note("".join(traceback.format_exception(error)))
        _send(error, beats)


def _send(what: Any, pipe: Any) -> None:
    pickle.dump(what, pipe, pickle.HIGHEST_PROTOCOL)
    pipe.flush()


def _received(pipe: Any) -> list[Found]:
    reply = pickle.load(pipe)
    if isinstance(reply, Exception):
        raise reply
    return reply
