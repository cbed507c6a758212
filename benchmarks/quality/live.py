"""How often a provisional decision on a live beat is another than the final one, and its delay.

python -m benchmarks.quality.live --records DIR

DIR holds the MIT-BIH records. Of six records of DS2, three minutes from minute 7 on are pushed
second by second. Writes docs/results/live.json.
"""

import argparse
import datetime
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.fit_kinds import DETECTOR
from benchmarks.shared import write_rows
from kdjax import recordings
from kdjax.detection.deciding import StreamingDetector, join_beats
from kdjax.detection.detector import Detector
from kdjax.runs import directory, provenance

RESULT = Path("docs/results/live.json")
RECORDS = ("100", "200", "213", "221", "231", "233")
FIRST, LAST = 420, 600  # s


def main() -> None:
    """Writes the result."""
    parser = argparse.ArgumentParser(description="Provisional decisions against final ones")
    parser.add_argument("--records", type=Path, required=True)
    args = parser.parse_args()
    detector = directory.load_run(DETECTOR)
    rows = [on_record(detector, args.records / name) for name in RECORDS]
    total = {name: sum(row[name] for row in rows) for name in ("beats", "missed", "changed")}
    out = {
        "command": "python -m benchmarks.quality.live --records DIR",
        "detector": DETECTOR,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "made_by": provenance.made_by(),
        "gross": total | {"changed_share": round(total["changed"] / total["beats"], 4)},
        "records": rows,
    }
    write_rows(RESULT, out)
    print(out["gross"], rows)


def on_record(detector: Detector, path: Path) -> dict[str, Any]:
    """Final beats of the stretch, how many had no provisional decision, how many another kind."""
    record = recordings.read_wfdb(path)
    fs = round(record.fs)
    signal = record.lead("MLII")[:, None]
    stream = StreamingDetector(detector, record.fs)
    final = [stream.push(signal[: FIRST * fs])]
    seen: dict[int, str] = {}
    delays, seconds = [], []
    for end in range((FIRST + 1) * fs, (LAST + 1) * fs, fs):
        final.append(stream.push(signal[end - fs : end]))
        begun = time.perf_counter()
        now = stream.provisional()
        seconds.append(time.perf_counter() - begun)
        for sample, kind in zip(now.sample.tolist(), now.kind.tolist(), strict=True):
            if sample not in seen:
                seen[sample] = kind
                if sample >= FIRST * fs:
                    delays.append((end - sample) / fs)
    final.append(stream.push(signal[LAST * fs : (LAST + 70) * fs]))
    beats = join_beats(final)
    judged = (beats.sample >= (FIRST + 2) * fs) & (beats.sample < (LAST - 3) * fs)
    pairs = [
        (kind, seen.get(sample))
        for sample, kind in zip(
            beats.sample[judged].tolist(), beats.kind[judged].tolist(), strict=True
        )
    ]
    return {
        "record": path.name,
        "beats": len(pairs),
        "missed": sum(now is None for _, now in pairs),
        "changed": sum(now is not None and now != kind for kind, now in pairs),
        "delay_median": round(float(np.median(delays)), 2),
        "delay_95": round(float(np.quantile(delays, 0.95)), 2),
        "seconds_a_call": round(float(np.median(seconds)), 3),
    }


if __name__ == "__main__":
    main()
