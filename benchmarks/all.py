"""Every comparison of speed and memory, one after another, and the page that they make.

python -m benchmarks.all            # most of an hour on two cores
"""

import subprocess
import sys
import time

from benchmarks.pages.performance import FOLDER, SECTIONS, file


def main() -> None:
    """Runs them; one that fails is named at the end, and the others run all the same."""
    failed = []
    for name in SECTIONS:
        started = time.perf_counter()
        module = f"benchmarks.speed.{name}"
        print(module, flush=True)
        out = FOLDER / file(name)
        out.unlink(missing_ok=True)  # no figures of other code beside new ones
        command = [sys.executable, "-m", module, "--out", str(out)]
        if subprocess.run(command).returncode:
            failed.append(module)
        print(f"  {time.perf_counter() - started:.0f} s", flush=True)
    subprocess.run([sys.executable, "-m", "benchmarks.pages.performance"], check=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
