"""The `kdjax` command, also as python -m kdjax."""

import sys

from kdjax import signals


def run() -> int:
    """The command, from its first line on ended by signals as `signals` says."""
    signals.leave_at_once()  # before anything that takes time is imported
    from kdjax.cli import main

    return main()


if __name__ == "__main__":
    sys.exit(run())
