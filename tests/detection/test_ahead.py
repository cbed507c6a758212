"""Beats found by a second process: the same beats, and its end whatever happens."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from kdjax import cli
from kdjax.datasets.synthetic_beats import generator
from kdjax.detection import ahead, cores
from kdjax.errors import InputError

FS = 360.0


@pytest.fixture(scope="module")
def blocks():
    """Two and a half minutes of one lead in blocks of 40 s, the last one shorter."""
    signal = generator.recording(0).signal[: 150 * int(FS)].astype(np.float32)
    return np.split(signal, range(40 * int(FS), len(signal), 40 * int(FS)))


@pytest.fixture
def ended(monkeypatch):
    """The processes that the test started, all of which must have ended."""
    started, popen = [], ahead.subprocess.Popen

    def remembered(*args, **kwargs):
        started.append(popen(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(ahead.subprocess, "Popen", remembered)
    yield started
    assert started
    assert all(process.poll() is not None for process in started)


def test_it_finds_the_same_beats_to_the_last_bit(blocks, ended):
    counted = []
    there = list(ahead.all_cores(cores.BeatStream(1, FS), iter(blocks), counted.append))
    here = list(cores.all_cores(cores.BeatStream(1, FS), iter(blocks), lambda samples: None))
    assert counted == [len(block) for block in blocks]
    assert len(there) == len(here) == 3
    for one, other in zip(there, here, strict=True):
        for name, value, same in zip(one._fields, one, other, strict=True):
            np.testing.assert_array_equal(value, same, err_msg=name)
            assert np.asarray(value).dtype == np.asarray(same).dtype


def test_a_recording_without_samples_has_no_beats(ended):
    assert list(ahead.all_cores(cores.BeatStream(1, FS), iter([]), lambda samples: None)) == []


def test_what_the_reader_raises_comes_through(blocks, ended):
    def damaged():
        yield blocks[0]
        raise InputError("x.dat: damaged")

    with pytest.raises(InputError, match=r"x\.dat: damaged"):
        list(ahead.all_cores(cores.BeatStream(1, FS), damaged(), lambda samples: None))


def test_a_fault_in_finding_beats_is_printed_and_ends_it(ended, capfd):
    two_leads = iter([np.zeros((100, 2), np.float32)])
    with pytest.raises(ChildProcessError, match="was ended, with status 1"):
        list(ahead.all_cores(cores.BeatStream(1, FS), two_leads, lambda samples: None))
    printed = capfd.readouterr().err
    assert "in push" in printed  # where it was raised
    assert "[n, 1] needed" in printed


def test_the_process_ends_when_nobody_wants_more(blocks, ended):
    found = ahead.all_cores(cores.BeatStream(1, FS), iter(blocks), lambda samples: None)
    next(found)
    assert os.getsid(ended[0].pid) == ended[0].pid  # Ctrl-C is for the first process alone
    found.close()


def test_a_process_that_is_ended_from_outside_is_said(blocks, ended):
    def killed():
        yield blocks[0]
        yield blocks[1]
        ended[0].kill()
        yield blocks[2]
        yield blocks[3]

    with pytest.raises(ChildProcessError, match="was ended, with status -9; if memory was short"):
        list(ahead.all_cores(cores.BeatStream(1, FS), killed(), lambda samples: None))


def test_detect_finds_the_beats_of_long_recordings_so(blocks, ended, monkeypatch, tmp_path, capsys):
    np.save(tmp_path / "mine.npy", np.concatenate(blocks))
    typed = ["detect", "mitbih-w8", str(tmp_path / "mine.npy"), "--fs", "360", "--units", "mV"]
    assert cli.main([*typed, "--out", str(tmp_path / "here")]) == 0
    assert not ended
    monkeypatch.setattr(ahead, "LONG", 60.0)
    assert cli.main([*typed, "--out", str(tmp_path / "there")]) == 0
    assert len(ended) == 1
    one, other = (tmp_path / out / "mine" / "beats.csv" for out in ("here", "there"))
    assert one.read_bytes() == other.read_bytes()

    capsys.readouterr()
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    np.save(tmp_path / "short.npy", blocks[0])
    both = [*typed[:3], str(tmp_path / "short.npy"), *typed[3:]]
    assert cli.main([*both, "--out", str(tmp_path / "broken")]) == 2
    line, last = capsys.readouterr().err.splitlines()
    ended = "the process that finds the beats was ended, with status 1"
    assert line.startswith(f"kdjax detect: {tmp_path / 'mine.npy'}: {ended}")
    assert last == "kdjax detect: recordings refused: 1 of 2"
    assert (tmp_path / "broken" / "short").is_dir()
    assert not (tmp_path / "broken" / "mine").exists()


@pytest.mark.parametrize("bytes_of_a_block", [0, 99])
def test_the_process_ends_silently_where_the_first_one_has(blocks, bytes_of_a_block):
    message = io.BytesIO()
    ahead._send([blocks[0]], message)
    sent = json.dumps({"path": sys.path, "channels": 1, "fs": FS}).encode() + b"\n"
    sent += message.getvalue()[:bytes_of_a_block]
    reader, writer = os.pipe()
    os.close(reader)  # nobody will read what it says
    with os.fdopen(writer, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-c", ahead._SECOND],
            input=sent,
            stdout=nobody,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


@pytest.mark.parametrize("printed", ["", "hello, world"])
def test_what_others_print_in_the_process_holds_nothing_up(blocks, ended, monkeypatch, printed):
    monkeypatch.setattr(ahead, "_SECOND", f"print({printed!r}, flush=True); {ahead._SECOND}")
    with pytest.raises(ChildProcessError, match="was ended, with status -9"):
        list(ahead.all_cores(cores.BeatStream(1, FS), iter(blocks), lambda samples: None))
