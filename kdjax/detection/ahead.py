"""Beats found by a second process while the first one decides on those before them.

Finding the beats of a long recording takes about as long as all else that is done with it. Threads
do not help, since both halves are many short steps of Python. `kdjax detect` uses it; a library
that starts processes unasked would surprise those who embed it.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from typing import IO, Any

import numpy as np

from kdjax.detection.cores import BeatStream, Found

LONG = 3600.0  # s: a shorter recording is done before a second process saves its own start

# glibc gives freed memory back to the system, page by page, unless told to keep it. A core's arrays
# take it again at once; without these two, a fifth of the process's time goes into that.
_KEEP = {"MALLOC_TRIM_THRESHOLD_": str(2**28), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
_SECOND = (
    "import json, sys; told = json.loads(sys.stdin.buffer.readline()); sys.path[:] = told['path']; "
    "from kdjax.detection import ahead; ahead.reply(told['channels'], told['fs'])"
)
_HEAD, _SIZE = b"beats", 8  # before each message, and bytes that say how many follow


def all_cores(
    stream: BeatStream, blocks: Iterator[np.ndarray], progress: Callable[[int], object]
) -> Iterator[Found]:
    """As `cores.all_cores`, by a second process instead of `stream`: the same to the last bit.

    Args:
        stream: a new one, which stays as it is.
        blocks: each [n, C] in mV.
        progress: called with the number of samples of each block.

    Raises:
        ChildProcessError: the process was ended from outside or by a fault, which it has printed.
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
    told = {"path": sys.path, "channels": stream.channels, "fs": stream.fs}
    try:
        process.stdin.write(json.dumps(told).encode() + b"\n")
        found: list[Found] = []
        block = next(blocks, None)
        while block is not None:
            _send([block], process.stdin)
            yield from found  # what is done with them is done while the block is searched
            samples, block = len(block), next(blocks, None)
            found = _found(_received(process.stdout))
            progress(samples)
        process.stdin.close()
        yield from found
        yield from _found(_received(process.stdout))
    except (EOFError, BrokenPipeError) as error:
        process.kill()  # it lives on where something else has printed into its pipe
        raise ChildProcessError(
            f"the process that finds the beats was ended, with status {process.wait()}; if memory "
            "was short, end other programs; then try again"
        ) from error
    finally:
        process.kill()
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        process.wait()


def reply(channels: int, fs: float) -> None:
    """In the second process: takes blocks until there are no more, gives what each completes.

    channels: of a block; fs in Hz. It ends silently where the first process does.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # to write what nobody reads is its end
    stream, pipe = BeatStream(channels, fs), sys.stdout.buffer
    try:
        while True:
            (block,) = _received(sys.stdin.buffer)
            _send_found(stream.push(block), pipe)
    except EOFError:
        _send_found(stream.finish(), pipe)


def _send_found(found: Iterator[Found], pipe: IO[bytes]) -> None:
    _send([np.asarray(value) for core in found for value in core], pipe)


def _found(arrays: Sequence[np.ndarray]) -> list[Found]:
    """The cores whose fields follow each other; those without a dimension are numbers."""
    values: list[Any] = [array if array.ndim else array.item() for array in arrays]
    width = len(Found._fields)
    return [Found(*values[first : first + width]) for first in range(0, len(values), width)]


def _send(arrays: Sequence[np.ndarray], pipe: IO[bytes]) -> None:
    body = BytesIO()
    for array in arrays:
        np.save(body, array, allow_pickle=False)
    pipe.write(_HEAD + body.tell().to_bytes(_SIZE, "little"))
    pipe.write(body.getbuffer())
    pipe.flush()


def _received(pipe: IO[bytes]) -> list[np.ndarray]:
    """The arrays that were sent; EOFError where the other process ended or sent something else."""
    head = pipe.read(len(_HEAD) + _SIZE)
    if len(head) < len(_HEAD) + _SIZE or not head.startswith(_HEAD):
        raise EOFError
    size = int.from_bytes(head[len(_HEAD) :], "little")
    body = BytesIO(pipe.read(size))
    if len(body.getbuffer()) < size:
        raise EOFError
    arrays = []
    while body.tell() < size:
        arrays.append(np.load(body, allow_pickle=False))
    return arrays
