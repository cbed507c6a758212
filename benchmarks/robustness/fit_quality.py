"""The constants of the signal quality index, fitted on DS1 with noise added.

python -m benchmarks.robustness.fit_quality --records DIR

DIR holds the MIT-BIH records. The weights of `kdjax.detection.quality` are those of a logistic
regression on the peaks of minutes 5 to 30, without noise and with motion of 24 and 6 dB in turns
of two minutes. A ventricular beat weighs as much as five others; a wave of flutter is no beat. The
least index of a good beat is that at which 8 % of the false beats under 6 dB are good: the
records of `noise_stress` are harder than the others, and of theirs a tenth may be. Writes
docs/results/quality.json, whose constants a test compares with the code's.
"""

import argparse
import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.robustness import records
from benchmarks.robustness.noise import START, noisy, stressed
from benchmarks.shared import FOLDER, write_rows
from kdjax import beats, rpeaks
from kdjax.detection import quality
from kdjax.runs import provenance

SEEN = None, 24.0, 6.0  # dB of motion, None for records as they are
GOOD_OF_FALSE = 0.08  # under 6 dB
VENTRICULAR = 5.0  # the weight of a ventricular beat


class Examples(NamedTuple):
    """Peaks: what is measured of them, `quality.measures` float64 [P, 5]; kind [P], "V" for
    ventricular beats, "N" for others, "" for no beat; whether they lie in noise, bool [P]."""

    measures: np.ndarray
    kind: np.ndarray
    noisy: np.ndarray


def main() -> None:
    """Writes the constants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True)
    folder = parser.parse_args().records
    seen = {snr: examples(folder, snr) for snr in SEEN}
    made = {
        "command": "python -m benchmarks.robustness.fit_quality --records DIR",
        **constants(seen),
        "made_by": provenance.made_by(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    write_rows(FOLDER / "quality.json", made)
    print(made)


def constants(seen: dict[float | None, Examples]) -> dict[str, Any]:
    """The weights, the least index of a good beat, and how many beats are good by noise."""
    every = Examples(*map(np.concatenate, zip(*seen.values(), strict=True)))
    weight = np.where(every.kind == "V", VENTRICULAR, 1.0)
    model = LogisticRegression(C=1e6, max_iter=1000)
    model.fit(every.measures, every.kind != "", sample_weight=weight)
    fitted = np.concatenate([model.intercept_, model.coef_[0]]).round(2)
    weights = quality.Weights(*fitted.tolist())
    index = {snr: quality.index(of.measures, weights) for snr, of in seen.items()}
    false = (seen[6.0].kind == "") & seen[6.0].noisy
    least = round(float(np.quantile(index[6.0][false], 1 - GOOD_OF_FALSE)), 3)
    return {
        "weights": weights._asdict(),
        "least": least,
        "good": [{"snr_db": snr, **counts(of, index[snr] >= least)} for snr, of in seen.items()],
    }


def counts(of: Examples, good: np.ndarray) -> dict[str, int]:
    """How many peaks of each kind there are, in noise where there is any, and are good."""
    where = of.noisy if of.noisy.any() else np.ones(len(good), bool)
    kinds = {"false": of.kind == "", "other": of.kind == "N", "ventricular": of.kind == "V"}
    return {
        name + suffix: int((own & where & chosen).sum())
        for name, own in kinds.items()
        for suffix, chosen in (("", True), ("_good", good))
    }


def examples(folder: Path, snr: float | None) -> Examples:
    """The peaks of DS1 from minute 5 on."""
    parts = []
    for number, name in enumerate(records.DS1):
        record = records.read(folder, name)
        lead = record.lead
        if snr is not None:
            lead = stressed(lead, record.normal, beats.FS, kind="motion", snr=snr, seed=number)
        measured = rpeaks.measured(beats.bandpass(lead, beats.FS))
        peaks = rpeaks.r_peaks(measured, np.zeros(len(lead), bool))
        kind = np.where(records.true(peaks, record.beats), "N", "")
        kind[records.true(peaks, record.ventricular) & (kind == "N")] = "V"
        under = noisy(len(lead), beats.FS)[peaks] if snr is not None else np.zeros(len(peaks), bool)
        late = peaks >= START * beats.FS
        made = Examples(quality.measures(measured, peaks), kind, under)
        parts.append(Examples(*(values[late] for values in made)))
        print(name, snr, flush=True)
    return Examples(*map(np.concatenate, zip(*parts, strict=True)))


if __name__ == "__main__":
    main()
