"""How long a user waits for `kdjax detect` on half an hour of one lead, stage by stage.

python -m benchmarks.speed.detect_start --out docs/results/perf-detect_start.json

The recording, a usual beat with noise, early beats and broad ones, is stored as WFDB. Every start
is a process of its own. `command` is `kdjax detect` itself. Its stages are measured in another
process, which goes through the same steps: imports, Python's own start among them; load, the
shipped detector and its recording opened; work, detection; write, the files and the report. Seconds
of the clock, and seconds of processor time, which other work on the machine lengthens less. Nothing
is compiled, so that a first start is like any other once the files have been read from the disk.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.speed.measure import out_argument, spread, write

NAME = "mitbih-w8"
BEATS = 2300  # half an hour and more
STAGES = ("imports", "load", "work", "write")
SCRIPT = Path(__file__).with_name("detect_stages.py")


def main() -> None:
    """Writes the times of some starts."""
    args = out_argument(__doc__.splitlines()[0]).parse_args()
    rounds = 1 if args.quick else 5
    with TemporaryDirectory() as folder:
        draw(Path(folder))
        record = Path(folder, "half.hea")
        start(record, Path(folder, "before"))  # files are read from the disk
        starts = [start(record, Path(folder, f"{number}")) for number in range(rounds)]
    rows = {key: spread([row[key] for row in starts]) for key in starts[0]}
    load = round(os.getloadavg()[1], 1)
    write(
        args.out,
        "detect_start",
        {"detector": NAME, "rounds": rounds, "load": load, "rows": rows},
    )


def draw(folder: Path) -> None:
    """Writes the recording half.hea, half.dat."""
    import wfdb

    from kdjax.embedded import trials
    from kdjax.runs import directory

    calibration = directory.load_run(NAME).calibration
    assert calibration is not None
    x = np.repeat(calibration.beat[None], BEATS, axis=0)
    signal = trials.signal(x, rng=np.random.default_rng(0))[: 1800 * 360, None] / 1000
    wfdb.wrsamp("half", 360, ["mV"], ["MLII"], signal, fmt=["16"], write_dir=str(folder))


def start(record: Path, out: Path) -> dict[str, float]:
    """One start: seconds of the clock and of the processor, of the command and of its stages."""
    environment = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # a user's are not set
        environment.pop(name, None)
    arguments = ["-m", "kdjax", "detect", NAME, str(record), "--out", f"{out}-command"]
    seconds, processor, _ = timed(arguments, environment)
    result = {"command": seconds, "command, processor": processor}
    begun = time.time()
    *_, marks = timed([str(SCRIPT), NAME, str(record), str(out)], environment)
    before = (begun, 0.0)
    for stage, mark in zip(STAGES, json.loads(marks), strict=True):
        result[stage] = mark[0] - before[0]
        result[f"{stage}, processor"] = mark[1] - before[1]
        before = mark
    return result


def timed(arguments: list[str], environment: dict[str, str]) -> tuple[float, float, str]:
    """Seconds of the clock and of the processor that a Python process takes; its last line."""
    used, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    seconds, now = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = now.ru_utime - used.ru_utime + now.ru_stime - used.ru_stime
    return seconds, processor, done.stdout.splitlines()[-1]


if __name__ == "__main__":
    main()
