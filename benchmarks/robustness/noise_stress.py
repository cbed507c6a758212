"""R-peaks and signal quality under added noise.

python -m benchmarks.robustness.noise_stress --records DIR

DIR holds the MIT-BIH records. Five of DS1, 118 and 119 of Moody's noise stress test among them, get
the noise of `benchmarks.robustness.noise` in turns of two minutes from minute 5 on, after the
recipe of Moody et al. (1984). Minutes 5 to 30 are compared with the annotations, within 150 ms; the
noisy turns alone give what is said of noise: how many beats are good, false ones among them, how
many good beats of the record as it is are lost or no longer good, and how many seconds are marked
unfit. `after`: 90 s of each record, the first 30 s under
noise as strong as the beats or four times as strong, and how long after it a beat is missed, added
or not good. The index was fitted to the same kind of motion on DS1, so what stands here is no test
on other people or other noise. Writes docs/results/noise-stress.json and the figure beside it.
"""

import argparse
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.robustness import records
from benchmarks.robustness.noise import KINDS, SNRS, START, noise, noisy, signal_power, stressed
from benchmarks.shared import FOLDER, write_rows
from kdjax.runs import provenance

NAMES = ("101", "106", "118", "119", "208")
SEED = 1
BURST, REST = 30.0, 60.0  # s
AFTER_DB = (0, -12)
FS = records.FS


def main() -> None:
    """Writes the JSON and the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True)
    read = {name: records.read(parser.parse_args().records, name) for name in NAMES}
    clean = {name: records.detected(record.lead) for name, record in read.items()}
    rows = [gross([counts(read[name], clean[name], clean[name]) for name in NAMES], "none", None)]
    for kind in KINDS:
        for snr in SNRS:
            seen = [stress(read[name], clean[name], kind, snr=snr) for name in NAMES]
            rows.append(gross(seen, kind, snr))
            print(rows[-1], flush=True)
    after = [
        {"record": name, "kind": kind, "db": db, "lost_s": after_noise(record, kind, db)}
        for name, record in read.items()
        for kind in KINDS
        for db in AFTER_DB
    ]
    made = {
        "command": "python -m benchmarks.robustness.noise_stress --records DIR",
        "records": list(NAMES),
        "seed": SEED,
        "by_snr": rows,
        "after": after,
        "made_by": provenance.made_by(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    write_rows(FOLDER / "noise-stress.json", made)
    draw(rows, FOLDER / "noise-stress.png")


def stress(
    record: records.Record, clean: records.Detected, kind: str, *, snr: float
) -> dict[str, int]:
    """`counts` of a record under noise."""
    lead = stressed(record.lead, record.normal, FS, kind=kind, snr=snr, seed=SEED)
    return counts(record, clean, records.detected(lead))


def counts(
    record: records.Record, clean: records.Detected, found: records.Detected
) -> dict[str, int]:
    """What was found of a record, beside what is found without noise; `noisy_` in noise alone."""
    turns = noisy(len(record.lead), FS)
    late = found.peaks >= START * FS
    peaks, good = found.peaks[late], found.good[late]
    beats = record.beats[record.beats >= START * FS]
    right = records.true(peaks, beats)
    under = turns[peaks]
    known = clean.peaks[clean.good & records.true(clean.peaks, record.beats)]
    known = known[turns[known]]
    kept = near(known, peaks[good])
    return {
        "beats": len(beats),
        "true": int(right.sum()),
        "false": int((~right).sum()),
        "noisy_true": int((right & under).sum()),
        "noisy_true_good": int((right & under & good).sum()),
        "noisy_false": int((~right & under).sum()),
        "noisy_false_good": int((~right & under & good).sum()),
        "good_before": len(known),
        "good_lost": int((~kept).sum()),
        "noisy_s": round(turns.sum() / FS),
        "noisy_unfit_s": round((turns & found.unfit).sum() / FS),
    }


def near(these: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of `these` [P] samples lie within 150 ms of one of `others` [Q], both ascending."""
    edges = np.concatenate([[-np.inf], others, [np.inf]])
    after = np.searchsorted(edges, these)
    return np.minimum(these - edges[after - 1], edges[after] - these) <= records.MATCH


def gross(seen: list[dict[str, int]], kind: str, snr: float | None) -> dict[str, Any]:
    """Counts of all records together, with sensitivity and positive predictivity."""
    total = {name: sum(row[name] for row in seen) for name in seen[0]}
    return {
        "kind": kind,
        "snr_db": snr,
        "se": total["true"] / total["beats"],
        "p": total["true"] / (total["true"] + total["false"]),
        **total,
    }


def after_noise(record: records.Record, kind: str, db: float) -> float:
    """Seconds after 30 s of noise to the last beat that is missed, added or not good; 0 if none.

    The 90 s begin at minute 5; beats that are not good without noise are none of its doing.
    """
    part = slice(round(START * FS), round((START + BURST + REST) * FS))
    clean = record.lead[part]
    added = noise(kind, len(clean), FS, seed=SEED)
    gain = np.sqrt(signal_power(record.lead, record.normal, FS) / 10 ** (db / 10))
    spoilt = clean + gain * added * (np.arange(len(clean)) < BURST * FS)
    last = len(clean) - 180
    (before, fine, _), (peaks, good, _) = (records.detected(lead) for lead in (clean, spoilt))
    wanted = before[(before >= BURST * FS) & fine & (before < last)]
    lost = wanted[~near(wanted, peaks[good])]
    extra = peaks[(peaks >= BURST * FS) & good & (peaks < last)]
    added_at = extra[~near(extra, before)]
    worst = np.concatenate([lost, added_at])
    return round(float(worst.max() / FS - BURST), 2) if len(worst) else 0.0


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Rates by noise, and how much of the noisy parts is good or marked."""
    figure, axes = plt.subplots(1, 4, figsize=(11, 2.9), layout="constrained", sharey=True)
    panels: dict[str, Callable[[dict[str, Any]], float]] = {
        "QRS Se": lambda row: row["se"],
        "QRS +P": lambda row: row["p"],
        "good beats still good": lambda row: 1 - row["good_lost"] / row["good_before"],
        "seconds marked unfit": lambda row: row["noisy_unfit_s"] / row["noisy_s"],
    }
    for axis, (title, value) in zip(axes, panels.items(), strict=True):
        for kind in KINDS:
            own = [row for row in rows if row["kind"] == kind]
            snr = [row["snr_db"] for row in own]
            axis.plot(snr, [100 * value(row) for row in own], "o-", ms=3, label=kind)
        axis.set(title=f"{title} (%)", xlabel="signal-to-noise ratio (dB)")
        axis.invert_xaxis()
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
