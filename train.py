"""python train.py --config FILE[:DATA] [--config.a.b=value] is `kdjax train FILE[:DATA] …`."""

from kdjax import signals

if __name__ == "__main__":
    signals.leave_at_once()  # before anything that takes time is imported

import sys

from kdjax.arguments import of_flags
from kdjax.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *of_flags(sys.argv[1:])], program="train.py"))
