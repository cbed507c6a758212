"""Several processes that train one network: who takes part, what all must know, who is gone.

They talk through the key-value store of JAX's own coordination service, which lives in process 0;
arrays go through the devices' collectives. A program that joins nothing is one process, and every
function here is then as good as absent.
"""

import ctypes
import itertools
import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jax._src import distributed  # the store has no public name; Orbax takes it from here as well
from jax.errors import JaxRuntimeError
from jax.experimental import multihost_utils

from kdjax import signals
from kdjax.errors import InputError

T = TypeVar("T")

MEETING = 300.0  # s that a process waits for the others to come
SILENCE = 20.0  # s without a sign of life, and a process counts as dead
ABANDONED = 75  # exit status when another process failed (sysexits.h: a temporary failure)
_HOUR = 3_600_000  # ms, in which slow machines read their data
_PULSE = 1.0  # s between two signs of life
_GRACE = 3.0  # s for processes that fail alike to say so themselves, and for the last to be heard
_TOGETHER = (0, 128 + signal.SIGTERM, 128 + signal.SIGINT)  # exit statuses on which all agreed

_ALIVE, _LEFT, _TOLD, _FAILED = (f"kdjax/{name}" for name in ("alive", "left", "told", "failed"))
_numbers = itertools.count()
_leaving = threading.Event()


# --- joining and leaving -------------------------------------------------------------------------


def join(
    coordinator: str | None, processes: int | None, process: int | None, *, cluster: bool
) -> None:
    """Takes part in a training of several processes; before anything asks JAX for a device.

    All but process 0 lose their standard output: what it says is true of all. From here on every
    process is watched: when one dies or fails the others end too, see `SILENCE` and `ABANDONED`.
    The arguments are as `joining.check` takes them. Raises InputError when the processes cannot
    meet; waits `MEETING` seconds for those that do not come, and then ends this one.
    """
    if coordinator is None and not cluster:
        return
    # JAX would take SIGTERM for itself.
    jax.config.update("jax_enable_preemption_service", False)
    where = "--cluster" if cluster else f"--coordinator {coordinator}"
    remedy = "start all processes, by srun or with --coordinator, --processes and --process"
    # JAX itself would end with an abort.
    nobody = f"{where}: not all processes came within {MEETING:.0f} s; {remedy}"
    patience = threading.Timer(MEETING, _end, (nobody, 2))
    patience.daemon = True
    patience.start()
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            # Flags give a process all devices of its machine, even where SLURM is.
            cluster_detection_method=None if cluster else "deactivate",
            initialization_timeout=int(2 * MEETING),
        )
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{where}: cannot join ({reason}); {remedy}") from error
    finally:
        patience.cancel()
    me, n = distributed.global_state.process_id, distributed.global_state.num_processes
    _hold_aborts()
    threading.Thread(target=_watch, args=(_client(), me, n), daemon=True).start()
    signals.before_leaving(lambda signum: _give_up(_client(), me, n, signum=signum))
    if me:
        address = distributed.global_state.coordinator_address
        threading.Thread(target=_knock, args=(address, me, n), daemon=True).start()
        sys.stdout.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def leave(status: int) -> None:
    """Ends a process that has joined, with this exit status; returns in one that has not.

    Called last, while an exception that nobody foresaw is on its way as well: it is printed. JAX's
    own way out would wait minutes for processes that failed.
    """
    client = _client()
    if client is None:
        return
    me, n = distributed.global_state.process_id, distributed.global_state.num_processes
    error = sys.exception()
    if isinstance(error, JaxRuntimeError):
        time.sleep(SILENCE + 2 * _GRACE)  # a collective without a partner: the watch knows whose
    if error is not None:
        traceback.print_exc()
    _leaving.set()
    if status not in _TOGETHER:
        _post(client, _FAILED, f"process {me} of {n} failed; what it printed says why")
    sys.stdout.flush()
    sys.stderr.flush()
    _depart(client, me, n)
    os._exit(status)


def _give_up(client: Any, me: int, n: int, *, signum: int) -> None:
    """Tells the others that a signal ends this process."""
    _post(client, _FAILED, f"process {me} of {n} was stopped by {signal.Signals(signum).name}")
    if me == 0:
        time.sleep(2 * _PULSE)  # the others are still to read it


def _depart(client: Any, me: int, n: int) -> None:
    """Process 0 goes a moment after the last: JAX prints a stack trace in one that outlives it."""
    _post(client, f"{_LEFT}/{me}", "")
    for other in range(1, n) if me == 0 else ():
        try:
            client.blocking_key_value_get(f"{_LEFT}/{other}", int(2000 * _GRACE))
        except JaxRuntimeError:
            return
    if me == 0:
        time.sleep(_PULSE)


# --- what all know -------------------------------------------------------------------------------


def is_main() -> bool:
    """Whether this is process 0, the one that writes."""
    return distributed.global_state.process_id == 0


def told(make: Callable[[], T]) -> T:
    """What `make` gives in process 0, known to all; anything that JSON holds.

    The others wait as long as process 0 takes and lives. All must come here in the same order.
    """
    client = _client()
    if client is None:
        return make()
    key = f"{_TOLD}/{next(_numbers)}"
    if is_main():
        answer = make()
        client.key_value_set(key, json.dumps(answer))
        return answer
    while True:
        try:
            return json.loads(client.blocking_key_value_get(key, 10_000))
        except JaxRuntimeError as error:
            if not _timed_out(error):
                raise


def in_turn(make: Callable[[], T]) -> T:
    """What `make` gives here, in process 0 first: what that leaves in files the others find."""
    if is_main():
        made = make()
        told(lambda: None)
        return made
    told(lambda: None)
    return make()


def check_alike(mine: Mapping[str, Any]) -> None:
    """Raises InputError in a process that differs from process 0 in any of these.

    None goes on before all have agreed.
    """
    for name, theirs in told(lambda: dict(mine)).items():
        if json.loads(json.dumps(mine[name])) != theirs:
            raise InputError(
                f"process {distributed.global_state.process_id}: {name} is {mine[name]}, "
                f"in process 0 {theirs}; start all with the same command, code and data"
            )
    if _client() is not None:
        _client().wait_at_barrier(f"kdjax/alike/{next(_numbers)}", _HOUR)


def largest(value: int) -> int:
    """The largest of all processes' values; all must come here."""
    if _client() is None:
        return value
    return int(np.max(multihost_utils.process_allgather(np.int32(value))))


# --- watching ------------------------------------------------------------------------------------


def silent(
    seen: Mapping[int, tuple[str, float]], alive: Mapping[int, str], now: float
) -> tuple[dict[int, tuple[str, float]], list[int]]:
    """The last sign of life of each process with the time it was first seen, and who is overdue."""
    news = {
        process: (alive[process], now) if alive.get(process, last) != last else (last, when)
        for process, (last, when) in seen.items()
    }
    return news, [process for process, (_, when) in news.items() if now - when > SILENCE]


def _hold_aborts() -> None:
    """Lets `_knock` say its line when process 0 dies: JAX aborts in the same millisecond.

    JAX takes no callback for that which Python can be. A thread that aborts runs libc's own `sleep`
    first, which takes the number of the signal, 6, for seconds, and is safe in a signal handler.
    """
    libc = ctypes.CDLL(None)
    libc.signal(signal.SIGABRT, libc.sleep)


def _watch(client: Any, me: int, n: int) -> None:
    """Gives a sign of life each second, and ends this process when another gives none or failed."""
    seen = dict.fromkeys(range(n), ("", time.monotonic()))
    for pulse in itertools.count():
        if _leaving.is_set():
            return
        # The calls below would wait for minutes where process 0 is there and does not answer.
        unanswered = threading.Timer(SILENCE, _stop, (me, _silence(0, n)))
        unanswered.daemon = True
        unanswered.start()
        try:
            client.key_value_set(f"{_ALIVE}/{me}", str(pulse), allow_overwrite=True)
            found = client.key_value_dir_get(f"{_ALIVE}/")
            alive = {int(key.rpartition("/")[2]): value for key, value in found}
            seen, dead = silent(seen, alive, time.monotonic())
            if dead:
                _post(client, _FAILED, _silence(dead[0], n))
            reason = client.blocking_key_value_get(_FAILED, int(1000 * _PULSE))
        except JaxRuntimeError as error:
            if _timed_out(error):
                continue
            reason = f"process 0 of {n} no longer answers"
        finally:
            unanswered.cancel()
        time.sleep(_GRACE)
        _stop(me, reason)


def _knock(address: str, me: int, n: int) -> None:
    """Ends this process when nobody listens where process 0 did; JAX's calls may try for long."""
    host, _, port = address.rpartition(":")
    while not _leaving.is_set():
        time.sleep(_PULSE)
        try:
            socket.create_connection((host.strip("[]"), int(port)), SILENCE).close()
        except ConnectionError:
            _stop(me, f"process 0 of {n} is gone")
        except OSError:
            continue  # no network, perhaps for a moment: `_watch` counts the seconds


def _silence(process: int, n: int) -> str:
    return f"process {process} of {n} gave no sign of life for {SILENCE:.0f} s"


def _stop(me: int, reason: str) -> None:
    """Ends this process because of another, unless it is about to leave."""
    if _leaving.is_set():
        return
    if me == 0:
        time.sleep(2 * _PULSE)  # the others are still to read why
    remedy = "start all again to continue from the last checkpoint"
    _end(f"process {me} stops: {reason}; {remedy}", ABANDONED)


def _end(line: str, status: int) -> None:
    """Ends this process from a thread, whatever its others wait for."""
    program = "train.py" if Path(sys.argv[0]).name == "train.py" else "kdjax train"
    os.write(2, f"{program}: {line}\n".encode())
    os._exit(status)


def _post(client: Any, key: str, value: str) -> None:
    """Sets a key unless another process has, or nobody is there any more to read it."""
    with suppress(JaxRuntimeError):
        client.key_value_set(key, value)


def _timed_out(error: RuntimeError) -> bool:
    return "DEADLINE_EXCEEDED" in str(error)


def _client() -> Any:
    return distributed.global_state.client
