"""python train.py --config FILE[:DATA] [--config.a.b=value] is `kdjax train FILE[:DATA] …`."""

import sys

from kdjax import signals


def command() -> int:
    """The training that the process's arguments ask for."""
    from kdjax.arguments import of_flags
    from kdjax.cli import main

    return main(["train", *of_flags(sys.argv[1:])], program="train.py")


if __name__ == "__main__":
    sys.exit(signals.run(command))
