"""Signals end a command from its first line to its last, whatever it is doing."""

import os
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


# --- the end of a command ----------------------------------------------------------------------

RUN = """
import atexit, sys, time
from kdjax import signals
class Last:
    def __del__(self):
        print("taken down", flush=True)
last = Last()
def command():
"""


def run(body, **options):
    """A command with this body, run to its end; the object `last` would outlive all else."""
    code = f"{RUN}    {body}\nsys.exit(signals.run(command))"
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    return subprocess.run(
        [sys.executable, "-c", code], stderr=-1, text=True, timeout=30, env=buffered, **options
    )


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("return 5", 5, ""),
        ("sys.exit(2)", 2, ""),
        ("sys.exit()", 0, ""),
        ("raise KeyError('x')", 1, "KeyError: 'x'"),
    ],
)
def test_the_process_ends_with_the_command_s_status_and_nothing_comes_after(body, status, said):
    """After the exit functions no handler would be called, so there is no such time."""
    done = run(f"atexit.register(lambda: print('exit', flush=True)); {body}", stdout=-1)
    assert (done.returncode, done.stdout) == (status, "exit\n")
    assert done.stderr.strip().endswith(said)
    assert bool(done.stderr) == bool(said)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_libraries_do_their_last_is_not_lost(signum):
    code = """
import atexit, time
def command():
    atexit.register(lambda: (ready(), time.sleep(60)))
    return 0
sys.exit(signals.run(command))
"""
    assert send(code, signum)[0] == 128 + signum


def test_output_that_cannot_be_written_is_a_failure():
    with open("/dev/full", "w") as full:
        done = run("print('the result'); return 0", stdout=full)
    assert (done.returncode, done.stderr) == (2, "standard output: No space left on device\n")


@pytest.mark.parametrize("encoding", ["ascii", "ascii:surrogateescape", "latin-1", "utf-8"])
def test_letters_that_the_output_lacks_are_written_in_another_way(encoding, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    done = run(r"print('lead V\u0416\udcff'); return 0", stdout=-1)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\\udcff\n")


def test_a_reader_that_leaves_ends_a_command_without_a_word():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        done = run("print('the result'); return 0", stdout=gone)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("closed", ["2>&-", "1>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_standard_file_is_the_null_device(tmp_path, closed):
    """In Python, for libraries and for processes that the command starts; nothing else gets it."""
    code = f"""
import os, subprocess, sys
from kdjax import signals
def command():
    opened = open({str(tmp_path / "opened")!r}, "w")
    for name in ("stdout", "stderr"):
        print("as a progress bar does", file=getattr(sys, name), flush=True)
    subprocess.run(["sh", "-c", "echo a library; echo complains >&2"])
    files = [os.readlink(f"/proc/self/fd/{{number}}") for number in range(3)]
    opened.write("\\n".join(files))
    opened.close()
    return 3
sys.exit(signals.run(command))
"""
    shell = ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, code]
    done = subprocess.run(shell, stdin=subprocess.PIPE, capture_output=True)
    assert done.returncode == 3
    files = (tmp_path / "opened").read_text().splitlines()
    for number, file in enumerate(files):
        assert (file == "/dev/null") == (f"{number}>&-" in closed or f"{number}<&-" in closed)
