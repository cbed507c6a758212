"""The constants of the signal quality index, fitted on DS1 with noise added.

python -m benchmarks.robustness.fit_quality --records DIR

Prints the three weights of `kdjax.detection.quality` and the least index at which a second is good:
that at which a tenth of the false beats at 6 dB of motion is, those apart that are like their
neighbours. DIR holds the MIT-BIH records.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.robustness import records
from benchmarks.robustness.noise import START, stressed
from kdjax import beats, rpeaks
from kdjax.detection import quality

SEEN = None, 24.0, 6.0  # dB of motion, None for records as they are
GOOD_OF_FALSE = 0.1  # at 6 dB


def main() -> None:
    """Prints the constants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True)
    folder = parser.parse_args().records
    seen = {snr: examples(folder, snr) for snr in SEEN}
    x, _, y = (np.concatenate(parts) for parts in zip(*seen.values(), strict=True))
    model = LogisticRegression(C=1e6).fit(x, y)
    weights = (model.intercept_[0], *model.coef_[0])
    print("_SQI =", ", ".join(f"{weight:.3g}" for weight in weights))
    x, own, y = seen[6]
    false = model.predict_proba(x)[~y & (own >= quality.ALIKE), 1]
    tenth = GOOD_OF_FALSE * (~y).sum() - (~y & (own < quality.ALIKE)).sum()
    least = np.quantile(false, 1 - tenth / len(false))
    print("_SQI_LEAST =", round(float(least), 3))
    for snr, (x, own, y) in seen.items():
        good = (model.predict_proba(x)[:, 1] >= least) | (own < quality.ALIKE)
        print(f"{snr} dB: good {good[~y].mean():.3f} of {(~y).sum()} false, {good[y].mean():.4f}")


def examples(folder: Path, snr: float | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [P, 2] of the seconds of the peaks of DS1 from minute 5 on, how unlike their
    neighbours the peaks are [P], and which of them are beats [P]."""
    parts = []
    for number, name in enumerate(records.DS1):
        record = records.read(folder, name)
        lead = record.lead
        if snr is not None:
            lead = stressed(lead, record.normal, beats.FS, "motion", snr, number)
        filtered = beats.bandpass(lead, beats.FS)
        peaks = rpeaks.r_peaks(filtered, np.zeros(len(filtered), bool))
        unlike = quality.unlikeness(filtered, peaks)
        ratio = quality.noise_ratio(filtered, peaks)
        around = quality.median_around(unlike, peaks, len(ratio))
        late = peaks >= START * beats.FS
        at = peaks[late] // beats.FS
        x = np.stack([np.log(ratio[at]), around[at]], axis=1)
        parts.append((x, unlike[late], records.true(peaks, record.beats)[late]))
    x, unlike, y = (np.concatenate(part) for part in zip(*parts, strict=True))
    return x, unlike, y


if __name__ == "__main__":
    main()
