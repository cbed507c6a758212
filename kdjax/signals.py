"""SIGTERM and SIGINT: a command ends with 128 + the signal, whatever it is doing.

No exception is raised for a signal: Python drops one that comes up in a library's callback, and an
import turns it into another. This module loads nothing slow, so that it can come first.
"""

import atexit
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)

_PATIENCE = 2.0  # seconds for the main thread to notice: it cannot while compiled code runs
_before_leaving: list[Callable[[int], Any]] = []


def run(command: Callable[[], int]) -> int:
    """Runs a command and gives its exit status, with which the process will end.

    Signals end the process from here to its last moment. Python alone would lose one that comes
    while it takes the process down, or fall back to its own handling of it; so the process ends as
    soon as what libraries do at the exit is done. `command` should import what takes time.
    """
    _open_standard_files()
    _print_any_letter()
    leave_at_once()
    status = 1  # of an exception, which Python prints before it gets to the exit

    def leave() -> None:
        end(status)

    atexit.register(leave)  # the first to be registered is the last to be called
    try:
        status = command()
    except SystemExit as leaving:  # argparse's, or that of a user's config
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
    return status


def _open_standard_files() -> None:
    """Opens the null device for standard files that are closed, as a service may start a command.

    Otherwise the files that are opened next take their numbers, and what libraries print with them.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w")


def _print_any_letter() -> None:
    """Letters that the encoding of standard output lacks are written as \\xc9."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def leave_at_once() -> None:
    """Makes SIGTERM and SIGINT end the process; to be called from the main thread.

    A second thread ends it where the main thread is busy in compiled code.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for signum in SIGNALS:
        signal.signal(signum, _leave)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()


def end(status: int) -> None:
    """Ends a command with this status, and takes nothing down; returns in any other process.

    The status is 2 where all went well but for the output, which could not be written.
    """
    if signal.getsignal(signal.SIGTERM) is not _leave:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads it
        status = status or 128 + signal.SIGPIPE
    except OSError as error:
        _say(f"standard output: {error.strerror}")
        status = status or 2
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


def before_leaving(work: Callable[[int], Any]) -> None:
    """Registers work to do, given the signal's number, before the process ends; keep it quick."""
    _before_leaving.append(work)


class Hold:
    """A block that notes signals from `begin` on instead of ending the process.

    A second signal of a kind ends it. `caught` holds the numbers; look at it after the block too,
    since a signal may come at its very end.
    """

    noted = 0  # of all holds

    def __init__(self) -> None:
        self.caught: list[int] = []
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Hold":
        return self

    def begin(self) -> None:
        """Notes signals from here on. Does nothing the second time, or outside the main thread."""
        if self._previous or threading.current_thread() is not threading.main_thread():
            return
        for signum in SIGNALS:
            self._previous[signum] = signal.signal(signum, self)

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        self.caught.append(signum)
        signal.signal(signum, self._previous[signum])
        Hold.noted += 1
        _say("stopping at the end of this chunk of steps")

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)


@contextmanager
def interrupting() -> Iterator[None]:
    """A block in which SIGINT raises KeyboardInterrupt, for work that ends with a summary."""
    before = signal.getsignal(signal.SIGINT)
    if before is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if before is _leave:
            signal.signal(signal.SIGINT, before)


def _leave(signum: int, frame: FrameType | None = None) -> None:
    _say(f"stopped by {signal.Signals(signum).name}; what was finished is kept")
    with suppress(OSError):  # other threads may still complain about what is taken from them
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for work in _before_leaving:
        with suppress(Exception):
            work(signum)
    os._exit(128 + signum)


def _watch(reader: int) -> None:
    """Leaves in the main thread's place when that has not done so after `_PATIENCE`."""
    held = 0  # signals that a Hold has noted, or will as soon as the main thread runs
    while received := os.read(reader, 1):
        signum = received[0]
        handler = signal.getsignal(signum)
        if handler is not _leave and not isinstance(handler, Hold):
            continue
        if held < Hold.noted or (held == Hold.noted and isinstance(handler, Hold)):
            held += 1
            continue
        threading.Event().wait(_PATIENCE)
        _leave(signum)


def _say(line: str) -> None:
    """A line on stderr; `print` must not be called where a signal has interrupted it."""
    with suppress(OSError):
        os.write(2, f"{line}\n".encode())
