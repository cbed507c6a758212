"""Several processes on this machine, each with two virtual devices, train like one with four."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import test_parallel
from hypothesis import given
from hypothesis import strategies as st

from kdjax.errors import InputError
from kdjax.runs import checkpoints, directory
from kdjax.training import joining, processes

JOINED = Path(__file__).parents[1] / "joined.py"
ENDED = 60  # s; docs/guides/clusters.md says half a minute, and this machine may be busy

# --- one process ---------------------------------------------------------------------------------


def test_a_program_that_joins_nothing_is_process_0_of_1():
    processes.join(None, None, None, cluster=False)
    assert processes.is_main()
    assert processes.told(lambda: {"a": 1}) == {"a": 1}
    assert processes.in_turn(lambda: 7) == 7
    assert processes.largest(15) == 15
    processes.check_alike({"the config": "abc"})
    processes.leave(0)  # returns


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (("a:1", None, 0), "--processes is missing; .* go together"),
        ((None, 2, 0), "--coordinator is missing"),
        (("a:1", 2, None), "--process is missing"),
        (("host", 2, 0), "--coordinator: 'host'; give HOST:PORT"),
        ((":80", 2, 0), "--coordinator: ':80'"),
        (("a:b", 2, 0), "--coordinator: 'a:b'"),
        (("a:70000", 2, 0), "--coordinator: 'a:70000'"),
        (("a:1", 2, 2), "--process: 2 of 2 --processes"),
        (("a:1", 2, -1), "--process: -1 of 2"),
        (("a:1", 0, 0), "--process: 0 of 0"),
    ],
)
def test_flags_that_name_no_process_are_refused(flags, line):
    with pytest.raises(InputError, match=line):
        joining.check(*flags, cluster=False)


@pytest.mark.parametrize("flags", [(None, None, None), ("[::1]:8476", 1, 0), ("10.0.0.1:80", 3, 2)])
def test_flags_that_name_a_process_or_nothing_are_taken(flags):
    joining.check(*flags, cluster=False)


def test_a_cluster_needs_no_other_flags_and_takes_none():
    joining.check(None, None, None, cluster=True)
    with pytest.raises(InputError, match="--cluster: "):
        joining.check("a:1", 2, 0, cluster=True)


def test_train_py_says_so_in_one_line(tmp_path):
    command = [sys.executable, "train.py", "--config=configs/teacher.py", "--process=0"]
    done = subprocess.run(
        [*command, f"--workdir={tmp_path / 'run'}"],
        cwd=JOINED.parent.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("train.py: --")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_process_that_stays_alone_says_so():
    code = (
        "from kdjax.training import processes as p; p.MEETING = 1.0; "
        "p.join('127.0.0.1:{}', 2, 1, cluster=False)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code.format(free_port())],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "kdjax train: --coordinator 127.0.0.1:" in done.stderr
    assert "not all processes came within 1 s; start all processes" in done.stderr


def test_a_cluster_that_is_none_is_refused(monkeypatch):
    def nothing_found(*_, **__):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", nothing_found)
    preempted = jax.config.jax_enable_preemption_service
    with pytest.raises(
        InputError, match=r"--cluster: cannot join .*; start all processes, by srun"
    ):
        processes.join(None, None, None, cluster=True)
    jax.config.update("jax_enable_preemption_service", preempted)


@pytest.mark.parametrize(
    ("me", "done"),
    [(0, ["kdjax/left/0", "kdjax/left/1", "kdjax/left/2", 1.0]), (2, ["kdjax/left/2"])],
)
def test_process_0_leaves_a_moment_after_the_last(me, done, monkeypatch):
    """JAX prints a stack trace in a process that finds process 0 gone before its own end."""
    calls = []
    client = SimpleNamespace(
        key_value_set=lambda key, _: calls.append(key),
        blocking_key_value_get=lambda key, _: calls.append(key),
    )
    monkeypatch.setattr(processes.time, "sleep", calls.append)
    processes._depart(client, me, 3)
    assert calls == done


# --- signs of life -------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0.1, 60), st.sets(st.integers(0, 3))), max_size=20))
def test_a_process_is_dead_when_its_sign_of_life_has_not_changed_for_long(looks):
    now, heard, beats = 0.0, [0.0] * 4, [0] * 4
    seen = dict.fromkeys(range(4), ("", now))
    for seconds, lively in looks:
        now += seconds
        for process in lively:
            beats[process] += 1
            heard[process] = now
        alive = {process: str(n) for process, n in enumerate(beats) if n}
        seen, dead = processes.silent(seen, alive, now)
        assert dead == [p for p in range(4) if now - heard[p] > processes.SILENCE]


# --- several processes ---------------------------------------------------------------------------


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-u", str(JOINED), *map(str, arguments)],
        cwd=JOINED.parent.parent,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_pair(workdir):
    """train.py of a student and its teacher in two processes with two devices each."""
    port = free_port()
    return [
        start("train", 2, *FLAGS, f"--workdir={workdir}", *these)
        for these in [
            (f"--coordinator=127.0.0.1:{port}", "--processes=2", f"--process={i}") for i in (0, 1)
        ]
    ]


FLAGS = (
    "--config=configs/student.py",
    "--config.epochs=2",
    "--config.batch_size=24",
    "--config.learning_rate=1e-5",  # rounding grows with what is learnt
    "--config.model.width=4",
    "--config.model.latent_dim=5",
    "--config.teacher.epochs=1",
    "--config.teacher.model.width=4",
    "--config.teacher.model.latent_dim=6",
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A run of two processes that nobody disturbs, and what each printed."""
    workdir = tmp_path_factory.mktemp("runs") / "pair"
    two = start_pair(workdir)
    said = [process.communicate(timeout=600) for process in two]
    assert [process.returncode for process in two] == [0, 0], said
    return workdir, said


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_two_processes_of_two_devices_take_the_steps_of_one_with_four(tmp_path):
    coordinator = f"127.0.0.1:{free_port()}"
    two = [start("steps", 2, tmp_path / f"{i}.npz", coordinator, 2, i) for i in range(2)]
    objective = test_parallel.OBJECTIVES["every term, of beats below a quantile"]
    one = jax.device_get(test_parallel.on_devices(4, *objective, test_parallel.some_beats()))
    for i, process in enumerate(two):
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
        with np.load(tmp_path / f"{i}.npz") as file:
            ours = [file[name] for name in file.files]
        for a, b in zip(ours, jax.tree.leaves(one), strict=True):
            assert a.shape == (2, *b.shape[1:])
            np.testing.assert_allclose(a, b[:2], rtol=1e-9, atol=1e-9)


@pytest.mark.long
def test_a_run_of_two_processes_is_that_of_one(pair, tmp_path):
    workdir, ((output, _), (silence, _)) = pair
    alone = start("train", 4, *FLAGS, f"--workdir={tmp_path / 'run'}")
    said, errors = alone.communicate(timeout=600)
    assert alone.returncode == 0, errors
    # Once, and by process 0.
    assert silence == ""
    for line in ("Teacher: ", "Student: ", "[2] auc:", "Avg one epoch time: "):
        assert output.count(line) == said.count(line)
    for run in ("teacher", "."):
        ours, theirs = (folder / run for folder in (workdir, tmp_path / "run"))
        rows = [
            [json.loads(line) for line in (r / directory.METRICS).read_text().splitlines()]
            for r in (ours, theirs)
        ]
        for a, b in zip(*rows, strict=True):
            assert a.keys() == b.keys()
            for name in a.keys() - {"seconds"}:
                # Rounding grows from 1e-7 at first; exactness is the float64 test's.
                close = 5e-2 if name.startswith("grad_norm") else 1e-3
                np.testing.assert_allclose(a[name], b[name], rtol=close, err_msg=name)
        models = [directory.load_model(r).variables for r in (ours, theirs)]
        for a, b in zip(*map(jax.tree.leaves, models), strict=True):
            # Adam moves a weight without a gradient by the sign of its rounding, 14 times 1e-5.
            np.testing.assert_allclose(a, b, rtol=1e-2, atol=3e-4)
        assert directory.read_result(ours)["device"].endswith("in each of 2 processes")
        assert {p.name for p in ours.iterdir()} == {p.name for p in theirs.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_dies_or_freezes_ends_the_other_which_says_so(victim, signum):
    address = f"127.0.0.1:{free_port()}"
    two = [start("wait", 1, address, 2, i, 3) for i in range(2)]
    for process in two:
        assert process.stderr is not None
        assert any("all are here" in line for line in process.stderr)
    two[victim].send_signal(signum)
    other = 1 - victim
    errors = two[other].communicate(timeout=ENDED)[1]
    two[victim].kill()
    two[victim].communicate()
    assert two[other].returncode == processes.ABANDONED
    assert f"kdjax train: process {other} stops: process {victim} of 2 " in errors
    assert "; start all again" in errors


@pytest.mark.long
def test_processes_stopped_and_killed_go_on_and_end_as_if_left_alone(pair, tmp_path):
    workdir = tmp_path / "run"

    def disturb(line, victim, signum):
        """Statuses and errors of both, once process 0 has printed the line and one got a signal."""
        two = start_pair(workdir)
        for said in two[0].stdout:
            if line in said:
                break
        two[victim].send_signal(signum)
        since = time.monotonic()
        errors = [process.communicate(timeout=300)[1] for process in two]
        seconds = time.monotonic() - since
        return [process.returncode for process in two], errors, seconds

    status, errors, _ = disturb("Epoch: [1] [   3/   7]", 1, signal.SIGTERM)
    assert status == [143, 143]
    for error in errors:
        assert "run the same command again to continue" in error
        assert "Traceback" not in error
    assert checkpoints.steps(workdir / "teacher" / checkpoints.LAST)[0] < 7

    for victim in (1, 0):
        other = 1 - victim
        status, errors, seconds = disturb(f"Epoch: [{2 - victim}] [   6/", victim, signal.SIGKILL)
        assert status[victim] == -signal.SIGKILL
        assert status[other] == processes.ABANDONED
        assert f"train.py: process {other} stops: process {victim} of 2 " in errors[other]
        assert "start all again" in errors[other]
        assert seconds < ENDED

    two = start_pair(workdir)
    (output, errors), _ = [process.communicate(timeout=600) for process in two]
    assert [process.returncode for process in two] == [0, 0], errors
    assert "continues from" in output
    for run in ("teacher", "."):
        models = [directory.load_model(folder / run).fingerprint for folder in (workdir, pair[0])]
        assert models[0] == models[1]
    results = [directory.read_result(folder) for folder in (workdir, pair[0])]
    assert results[0]["auc"] == results[1]["auc"]


@pytest.mark.slow
def test_processes_started_with_different_commands_are_refused(tmp_path):
    port = free_port()
    two = [
        start(
            "train",
            2,
            *FLAGS,
            f"--config.seed={i}",
            f"--workdir={tmp_path / 'run'}",
            f"--coordinator=127.0.0.1:{port}",
            "--processes=2",
            f"--process={i}",
        )
        for i in (0, 1)
    ]
    errors = [process.communicate(timeout=300)[1] for process in two]
    assert [process.returncode for process in two] == [processes.ABANDONED, 2]
    assert "process 1 of 2 failed; what it printed says why" in errors[0]
    assert "train.py: process 1: the config is" in errors[1]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_batch_that_all_devices_cannot_share_is_refused(tmp_path):
    port = free_port()
    flags = [flag for flag in FLAGS if "batch_size" not in flag] + ["--config.batch_size=6"]
    two = [
        start("train", 2, *flags, f"--workdir={tmp_path / 'run'}", *these)
        for these in [
            (f"--coordinator=127.0.0.1:{port}", "--processes=2", f"--process={i}") for i in (0, 1)
        ]
    ]
    for process in two:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 2
        assert "batch_size is 6, which 4 devices cannot share evenly" in errors
