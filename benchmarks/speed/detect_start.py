"""How long a user waits for `kdjax detect` on half an hour of one lead, stage by stage.

python -m benchmarks.speed.detect_start --out docs/results/perf-detect_start.json

The recording, a usual beat with noise, early beats and broad ones, is stored as WFDB. A first start
has an empty folder of compiled programs, a second one finds them. Every start is a process of its
own and goes through the steps of `kdjax detect`: imports; load, the shipped detector and its
recording opened; compile, its network called for the first time; work, detection; write, the files
and the report. Seconds of the clock since the process was started, and seconds of processor time,
which other work on the machine does not lengthen as much.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.speed.measure import out_argument, spread, write

NAME = "mitbih-w8"
BEATS = 2300  # half an hour and more
STAGES = ("imports", "load", "compile", "work", "write")


def main() -> None:
    """Writes the times of first and of second starts."""
    args = out_argument(__doc__.splitlines()[0]).parse_args()
    rounds = 1 if args.quick else 3
    starts: dict[str, list[dict[str, float]]] = {"first": [], "second": []}
    with TemporaryDirectory() as folder:
        draw(Path(folder))
        for number in range(rounds):
            for name, found in starts.items():
                cache, out = Path(folder, f"cache{number}"), Path(folder, f"{name}{number}")
                found.append(start(Path(folder, "half.hea"), out, cache))
    rows = {
        name: {key: spread([row[key] for row in found]) for key in found[0]}
        for name, found in starts.items()
    }
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


def start(record: Path, out: Path, cache: Path) -> dict[str, float]:
    """One start: seconds of the clock and of the processor for each stage and in all."""
    environment = os.environ | {
        "XDG_CACHE_HOME": str(cache),
        "JAX_ENABLE_COMPILATION_CACHE": "true",
    }
    cache.mkdir(exist_ok=True)
    code = "from benchmarks.speed import detect_start; detect_start.stages()"
    command = [sys.executable, "-c", code, str(record), str(out), str(time.time())]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def stages() -> None:
    """Goes through the steps of `kdjax detect` and prints what each has taken."""
    record, out, started = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    marks = [(started, 0.0)]

    def done() -> None:
        marks.append((time.time(), time.process_time()))

    from kdjax.detection import files
    from kdjax.detection.recording import detect
    from kdjax.recordings import open_source
    from kdjax.runs import directory, provenance
    from kdjax.training import compilation

    done()
    compilation.keep_programs()
    detector = directory.load_run(NAME)
    made_by = provenance.made_by()
    source = open_source(record, None, None)
    done()
    call_once(detector)
    done()
    found = detect(detector, source, made_by=made_by)
    done()
    files.write(found, out)
    done()
    result = {}
    for stage, before, after in zip(STAGES, marks, marks[1:], strict=False):
        result[stage] = after[0] - before[0]
        result[f"{stage}, processor"] = after[1] - before[1]
    result["in all"] = marks[-1][0] - started
    result["in all, processor"] = marks[-1][1]
    print(json.dumps(result))


def call_once(detector: Any) -> None:
    """The network on a minute's beats."""
    count = 64
    x = np.zeros((count, detector.generator.length, detector.generator.channels))
    beat = np.arange(count)
    detector.evidence(x, np.zeros((count, 2)), np.zeros(count, int), beat * 300, 360.0)


if __name__ == "__main__":
    main()
