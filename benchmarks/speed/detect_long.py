"""Time and memory of `kdjax detect` on long recordings, its page and tables included.

python -m benchmarks.speed.detect_long --records DIR

DIR holds the MIT-BIH records, which are joined to 1, 6 and 24 hours of two leads at 360 Hz: more
people and shapes than any single recording has. Each is a process of its own, from its start to its
end: seconds of the clock, seconds of processor time, which other work on the machine lengthens
less, and the largest resident size, with that of the second process, which finds the beats. Writes
docs/results/perf-detect_long.json.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import FOLDER
from benchmarks.speed.measure import write
from kdjax.recordings import read_wfdb

NAME = "mitbih-w8"
HOURS = (1, 6, 24)
GAIN = 200  # steps of the converter in a millivolt
# The command's is the kernel's own mark: RUSAGE_CHILDREN counts this process, of which a new one is
# first a copy. So it may overstate the second process, but not understate it.
_TYPED = """
import resource, sys
from kdjax import cli
status = cli.main(sys.argv[1:])
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print("peak", int(peak.split()[1]) + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


def main() -> None:
    """Writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True)
    args = parser.parse_args()
    rows = [long_recording(args.records, hours) for hours in HOURS]
    found = {"detector": NAME, "load": round(os.getloadavg()[2], 1), "rows": rows}
    write(FOLDER / "perf-detect_long.json", "detect_long --records DIR", found)


def long_recording(folder: Path, hours: int) -> dict[str, Any]:
    """`kdjax detect` on the records joined to so many hours."""
    with tempfile.TemporaryDirectory() as scratch:
        joined(folder, hours, Path(scratch))
        typed = [sys.executable, "-c", _TYPED, "detect", NAME, f"{scratch}/long.hea"]
        started, before = time.perf_counter(), processor_seconds()
        done = subprocess.run(
            [*typed, "--out", scratch], check=True, stdout=subprocess.PIPE, text=True
        )
        seconds, processor = time.perf_counter() - started, processor_seconds() - before
        files = {path.name: path.stat().st_size for path in Path(scratch, "long").iterdir()}
    return {
        "hours": hours,
        "seconds": round(seconds, 1),
        "processor_s": round(processor, 1),
        "peak_mib": round(int(done.stdout.split()[-1]) / 1024),
        "page_bytes": files["report.html"],
    }


def processor_seconds() -> float:
    """Of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def joined(folder: Path, hours: int, out: Path) -> None:
    """Writes out/long.{hea,dat}: the records one after the other, 2 leads at 360 Hz, as int16."""
    names = sorted({path.stem for path in folder.glob("*.hea")})
    parts, length = [], 0
    while length < hours * 3600 * 360:
        signal = read_wfdb(folder / names[len(parts) % len(names)]).signal
        parts.append(np.rint(GAIN * signal).astype(np.int16))
        length += len(signal)
    signal = np.concatenate(parts)[: hours * 3600 * 360]
    signal.tofile(out / "long.dat")
    lead = f"long.dat 16 {GAIN} 11 0 0 0 0"
    lines = [f"long 2 360 {len(signal)}", f"{lead} MLII", f"{lead} V1"]
    (out / "long.hea").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
