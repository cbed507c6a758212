"""The constants of the signal quality index, fitted on DS1 with noise added.

python -m benchmarks.robustness.fit_quality --records DIR

Prints the weights of `kdjax.detection.quality`, and the least index of a good beat: that at which a
tenth of the false beats at 6 dB of motion is good. A ventricular beat weighs as much as five
others, a wave of flutter is no beat. DIR holds the MIT-BIH records.
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
VENTRICULAR = 5.0  # the weight of a ventricular beat


def main() -> None:
    """Prints the constants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True)
    folder = parser.parse_args().records
    seen = {snr: examples(folder, snr) for snr in SEEN}
    x, kind = (np.concatenate(parts) for parts in zip(*seen.values(), strict=True))
    weight = np.where(kind == "V", VENTRICULAR, 1.0)
    model = LogisticRegression(C=1e6).fit(x, kind != "", sample_weight=weight)
    weights = (model.intercept_[0], *model.coef_[0])
    print("_SQI =", ", ".join(f"{weight:.3g}" for weight in weights))
    x, kind = seen[6]
    least = np.quantile(model.predict_proba(x[kind == ""])[:, 1], 1 - GOOD_OF_FALSE)
    print("LEAST =", round(float(least), 3))
    for snr, (x, kind) in seen.items():
        good = model.predict_proba(x)[:, 1] >= least
        print(
            f"{snr} dB: good {good[kind == ''].mean():.3f} of {(kind == '').sum()} false, "
            f"{good[kind != ''].mean():.4f} of true, {good[kind == 'V'].mean():.4f} of ventricular"
        )


def examples(folder: Path, snr: float | None) -> tuple[np.ndarray, np.ndarray]:
    """`quality.measures` [P, 4] of the peaks of DS1 from minute 5 on, and what they are [P]: "V"
    for ventricular beats, "N" for others, "" for no beat."""
    parts = []
    for number, name in enumerate(records.DS1):
        record = records.read(folder, name)
        lead = record.lead
        if snr is not None:
            lead = stressed(lead, record.normal, beats.FS, "motion", snr, number)
        measured = rpeaks.measured(beats.bandpass(lead, beats.FS))
        peaks = rpeaks.r_peaks(measured, np.zeros(len(lead), bool))
        kind = np.where(records.true(peaks, record.beats), "N", "")
        kind[records.true(peaks, record.ventricular) & (kind == "N")] = "V"
        late = peaks >= START * beats.FS
        parts.append((quality.measures(measured, peaks)[late], kind[late]))
    x, kind = (np.concatenate(part) for part in zip(*parts, strict=True))
    return x, kind


if __name__ == "__main__":
    main()
