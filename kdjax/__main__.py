"""The `kdjax` command, also as python -m kdjax."""

import sys

from kdjax import signals


def run() -> int:
    """The command that the process's arguments ask for."""
    return signals.run(_command)


def _command() -> int:
    from kdjax.cli import main

    return main()


if __name__ == "__main__":
    sys.exit(run())
