"""Starts of train.py without its first seconds: a process that has imported all of it forks.

What follows the imports is as in any start: no device is asked for before.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path


class Server:
    """The process that has imported train.py's modules, and forks."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._fifo = folder / "said"
        self._fifo.unlink(missing_ok=True)
        os.mkfifo(self._fifo)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, str(self._fifo)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=environment,
        )

    def start(self, command: Sequence[str]) -> "Forked":
        """A process with these arguments, as `subprocess.Popen` starts one; one at a time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(list(command)) + "\n")
        pid = int(self._process.stdout.readline())
        return Forked(pid, self._process.stdout, self._fifo)

    def close(self) -> None:
        """Ends the process, once those that it started have ended."""
        self._process.communicate()


class Forked:
    """As much of subprocess.Popen as an experiment needs."""

    def __init__(self, pid: int, answers, fifo: Path) -> None:
        self._pid, self._answers = pid, answers
        self._status: int | None = None
        self._ended = threading.Event()
        self.stdout = fifo.open()
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        self._status = int(self._answers.readline())
        self._ended.set()

    def poll(self) -> int | None:
        return self._status if self._ended.is_set() else None

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("train.py", timeout or 0)
        assert self._status is not None
        return self._status

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self._pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def serve(fifo: str) -> list[str]:
    """Forks for each line of stdin; gives the arguments in a child, and never in the parent."""
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            said = os.open(fifo, os.O_WRONLY)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for old, new in ((nothing, 0), (said, 1), (said, 2)):
                os.dup2(old, new)
            return json.loads(line)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    sys.exit()


if __name__ == "__main__":
    import importlib
    import runpy

    for module in ("kdjax.cli", "kdjax.pages.plots", "kdjax.training.loop"):
        importlib.import_module(module)  # so that no child has to
    arguments = serve(sys.argv[1])
    sys.argv = arguments
    runpy.run_path(arguments[0], run_name="__main__")
