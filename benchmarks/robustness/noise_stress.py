"""R-peaks and signal quality under added noise.

python -m benchmarks.robustness.noise_stress --records DIR

DIR holds the MIT-BIH records. Five of DS1, 118 and 119 of Moody's noise stress test among them, get
the noise of `benchmarks.robustness.noise` in turns of two minutes from minute 5 on, after the
recipe of Moody et al. (1984). Minutes 5 to 30 are compared with the annotations, within 150 ms; the
noisy turns alone give the shares of good beats. `after`: 90 s of each record, the first 30 s under
noise as strong as the beats or four times as strong, and how long after it a beat is missed, added
or not good. The index was fitted to the same kind of motion on DS1, so what stands here is no test
on other people or other noise. Writes docs/results/noise-stress.json and the figure beside it.
"""

import argparse
import datetime
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
    rows = [gross([stress(record, None, None) for record in read.values()], "none", None)]
    for kind in KINDS:
        for snr in SNRS:
            seen = [stress(record, kind, snr) for record in read.values()]
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


def stress(record: records.Record, kind: str | None, snr: float | None) -> dict[str, int]:
    """Counts of a record under noise; those of `noisy` parts are named so."""
    lead = record.lead
    if kind is not None and snr is not None:
        lead = stressed(lead, record.normal, FS, kind, snr, SEED)
    peaks, good = records.detected(lead)
    late = peaks >= START * FS
    peaks, good = peaks[late], good[late]
    beats = record.beats[record.beats >= START * FS]
    right = records.true(peaks, beats)
    under = noisy(len(lead), FS)[peaks]
    return {
        "beats": len(beats),
        "true": int(right.sum()),
        "false": int((~right).sum()),
        "noisy_true": int((right & under).sum()),
        "noisy_true_good": int((right & under & good).sum()),
        "noisy_false": int((~right & under).sum()),
        "noisy_false_good": int((~right & under & good).sum()),
    }


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
    added = noise(kind, len(clean), FS, SEED)
    gain = np.sqrt(signal_power(record.lead, record.normal, FS) / 10 ** (db / 10))
    spoilt = clean + gain * added * (np.arange(len(clean)) < BURST * FS)
    last = len(clean) - 180
    (before, fine), (peaks, good) = (records.detected(lead) for lead in (clean, spoilt))
    wanted = before[(before >= BURST * FS) & fine & (before < last)]
    apart = np.abs(wanted[:, None] - peaks[good][None]).min(axis=1, initial=len(clean))
    lost = wanted[apart > records.MATCH]
    extra = peaks[(peaks >= BURST * FS) & good & (peaks < last)]
    added_at = extra[np.abs(extra[:, None] - before[None]).min(axis=1) > records.MATCH]
    worst = np.concatenate([lost, added_at])
    return round(float(worst.max() / FS - BURST), 2) if len(worst) else 0.0


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Sensitivity and positive predictivity by noise, and the share of beats that are good."""
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3), layout="constrained", sharey=True)
    for kind in KINDS:
        own = [row for row in rows if row["kind"] == kind]
        snr = [row["snr_db"] for row in own]
        under = [(row["noisy_true"], row["noisy_true_good"]) for row in own]
        axes[0].plot(snr, [100 * row["se"] for row in own], "o-", ms=3, label=kind)
        axes[1].plot(snr, [100 * row["p"] for row in own], "o-", ms=3)
        axes[2].plot(snr, [100 * good / max(true, 1) for true, good in under], "o-", ms=3)
    titles = "QRS Se", "QRS +P", "true beats in noise that are good"
    for axis, title in zip(axes, titles, strict=True):
        axis.set(title=f"{title} (%)", xlabel="signal-to-noise ratio (dB)")
        axis.invert_xaxis()
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
