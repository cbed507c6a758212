"""The steps of `kdjax detect` in a process that imports nothing else, for `detect_start`.

python benchmarks/speed/detect_stages.py DETECTOR RECORDING OUT

Prints, as JSON, the time of the clock and the seconds of the processor at the end of each stage.
"""

import json
import sys
import time
from pathlib import Path


def main() -> None:
    """Goes through the steps."""
    name, record, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    marks = []

    def done() -> None:
        marks.append((time.time(), time.process_time()))

    from kdjax.detection import detector_files, files
    from kdjax.detection.recording import detect
    from kdjax.recordings import open_source
    from kdjax.runs import provenance

    done()
    detector = detector_files.shipped_one(name)
    assert detector is not None
    made_by = provenance.made_by(by_jax=not detector.small)
    source = open_source(record, None, None)
    done()
    found = detect(detector, source, made_by=made_by)
    done()
    files.write(found, out)
    done()
    print(json.dumps(marks))


if __name__ == "__main__":
    main()
