"""Trains what a config asks for: python train.py --config configs/student.py:mitbih"""

import signal
import sys
from pathlib import Path

from absl import app, flags
from ml_collections import config_flags

CONFIG = config_flags.DEFINE_config_file("config", help_string="Config file, :dataset after it.")
WORKDIR = flags.DEFINE_string("workdir", None, "Run directory; runs/<config>-<dataset> without.")
OVERWRITE = flags.DEFINE_bool("overwrite", False, "Deletes the run in the directory first.")
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, for several.")
PROCESSES = flags.DEFINE_integer("processes", None, "How many processes train together.")
PROCESS = flags.DEFINE_integer("process", None, "Which of them this is, from 0.")
CLUSTER = flags.DEFINE_bool("cluster", False, "SLURM or Open MPI says who trains together.")


def main(argv: list[str]) -> int:
    """Parses flags, trains; the exit status."""
    try:
        unknown = flags.FLAGS(argv)[1:]
        if CONFIG.value is not None:
            CONFIG.value.to_dict()  # a file that is missing raises on its first use
    except SystemExit:  # absl has shown its help
        return 0
    except Exception as error:  # a config file is Python and may raise anything
        what, _, trace = (" ".join(map(str, error.args)) or type(error).__name__).partition(
            "Traceback"
        )
        return _wrong(what + "".join(trace.splitlines()[-1:]))
    if unknown:
        return _wrong(f"{unknown[0]!r}: not a flag; give --config FILE[:dataset] and --workdir DIR")
    if CONFIG.value is None:
        return _wrong("--config is missing; for example --config configs/student.py")

    from kdjax.errors import InputError
    from kdjax.training import processes

    try:
        processes.check(COORDINATOR.value, PROCESSES.value, PROCESS.value, CLUSTER.value)
    except InputError as error:
        return _wrong(str(error))
    status = 1
    try:
        status = _train()
    finally:
        processes.leave(status)
    return status


def _train() -> int:
    from kdjax.errors import InputError
    from kdjax.runs import config
    from kdjax.training import processes
    from kdjax.training.loop import Stopped, train

    name = Path(config_flags.get_config_filename(flags.FLAGS["config"]).split(":")[0]).stem
    try:
        config.check(CONFIG.value)
        processes.join(COORDINATOR.value, PROCESSES.value, PROCESS.value, CLUSTER.value)
        workdir = WORKDIR.value or f"runs/{name}-{CONFIG.value.data.dataset}"
        train(CONFIG.value, workdir, OVERWRITE.value)
    except InputError as error:
        return _wrong(str(error))
    except OSError as error:
        return _wrong(f"{error.filename}: {error.strerror}; make room or name another --workdir")
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 128 + stopped.signum
    except KeyboardInterrupt:
        print("stopped; type the same command to go on", file=sys.stderr)
        return 130
    return 0


def _wrong(message: str) -> int:
    print("train.py: " + " ".join(message.split()), file=sys.stderr)
    return 2


if __name__ == "__main__":
    app.define_help_flags()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv))
