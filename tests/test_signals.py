"""Signals end a command from its first line to its last, whatever it is doing."""

import signal
import subprocess
import sys

import pytest

BEGIN = """
import sys
from kdjax import signals
signals._PATIENCE = 0.1
signals.leave_at_once()
def ready():
    print("ready", flush=True)
"""
# An exception would be dropped in each of these: by a destructor, by compiled code, by an import.
BUSY = {
    "a destructor": """
import time
class Callback:
    def __del__(self):
        ready()
        time.sleep(60)
while True:
    Callback()
""",
    "compiled code": """
import hashlib
ready()
hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
""",
    "an import": """
import importlib.abc, time
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, *_):
        ready()
        try:
            time.sleep(60)
        except BaseException as error:
            raise ImportError from error
sys.meta_path.insert(0, Finder())
try:
    import there_is_no_such_module
except ImportError:
    time.sleep(60)
""",
}


def send(code, *signums):
    """The status and what was said after each signal in turn, once the process is ready."""
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = []
        for signum in signums:
            said.append(process.stdout.readline())
            process.send_signal(signum)
        out, error = process.communicate(timeout=30)
    return process.returncode, "".join(said) + out, error


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("busy", BUSY)
def test_a_signal_ends_a_process_that_is_busy_in(busy, signum):
    status, _, said = send(BUSY[busy], signum)
    assert status == 128 + signum
    assert said == f"stopped by {signum.name}; what was finished is kept\n"


def test_what_is_half_written_is_removed(tmp_path):
    code = f"""
import time
from pathlib import Path
from kdjax import files
files._flush = lambda path: (ready(), time.sleep(60))
with files.new_folder(Path({str(tmp_path)!r}) / "step") as folder:
    (folder / "inner").mkdir()
    files.write_bytes(folder / "inner" / "a", b"1")
"""
    assert send(code, signal.SIGTERM)[0] == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())


def test_a_held_signal_is_noted_and_a_second_one_ends_the_process():
    """Also where the first comes while the main thread hears nothing, and for each kind alone."""
    code = """
import hashlib
with signals.Hold() as hold:
    hold.begin()
    ready()
    while not hold.caught:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 10**5)
    ready()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
"""
    status, _, said = send(code, signal.SIGTERM, signal.SIGTERM)
    assert status == 128 + signal.SIGTERM
    assert said.splitlines()[0] == "stopping at the end of this chunk of steps"
    assert said.splitlines()[1:] == ["stopped by SIGTERM; what was finished is kept"]


def test_after_a_hold_signals_end_the_process_again():
    code = """
import time
with signals.Hold() as hold:
    hold.begin()
ready()
time.sleep(60)
"""
    assert send(code, signal.SIGINT)[0] == 128 + signal.SIGINT


def test_work_that_ends_with_a_summary_is_interrupted():
    code = """
import time
try:
    with signals.interrupting():
        ready()
        time.sleep(60)
except KeyboardInterrupt:
    ready()
    time.sleep(60)
"""
    status, said, _ = send(code, signal.SIGINT, signal.SIGINT)
    assert (status, said) == (128 + signal.SIGINT, "ready\nready\n")
