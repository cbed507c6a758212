"""The `kdjax` command: parses the arguments and calls the command they name."""

from collections.abc import Sequence

from kdjax.arguments import parser
from kdjax.commands import recordings, runs
from kdjax.commands.status import status_of

_COMMANDS = {
    "train": runs.train,
    "prepare": runs.prepare,
    "evaluate": runs.evaluate,
    "detect": recordings.detect,
    "review": recordings.review,
    "calibrate": recordings.calibrate,
    "ec57": recordings.ec57,
    "benchmark": runs.benchmark,
    "study": runs.study,
    "export": runs.export,
    "import-beatgan": runs.import_beatgan,
}


def main(argv: Sequence[str] | None = None, program: str = "kdjax") -> int:
    """Runs a command.

    Args:
        argv: the arguments; those of the process unless given.
        program: the name that messages begin with.

    Returns:
        The exit status: 0 done, 2 the input is wrong, explained in one line, 128 and the signal's
        number when one stopped a training.
    """
    args = parser(program).parse_args(argv)
    args.called = program if program != "kdjax" else f"kdjax {args.command}"
    return status_of(args, lambda: _COMMANDS[args.command](args))
