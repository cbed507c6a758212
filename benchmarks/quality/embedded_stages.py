"""Which stage of the score in integers loses against the float one, on DS1.

python -m benchmarks.quality.embedded_stages [--data-dir DIR] [--run RUN ...]

Writes docs/results/embedded_stages.json. Without --run: the shipped detector alone. The float score
is computed with one stage at a time replaced by what the C library does, in floating point: the
network, the covariance, the adaptation. AUC is that of the beats after the five minutes of
adaptation. Every recording is begun at five places, since what an adaptation is worth depends on
the beats it meets; people with fewer than 64 beats in time in either half of the five minutes are
left out. `even steps` is the adaptation that `own steps`, the one in use, has replaced: a step of
the same size for every number, the centre learnt in the first half and the usual distances in the
second.
"""

import argparse
import datetime
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.quality.embedded import PEOPLE, SHIPPED, load
from benchmarks.shared import write_rows
from kdjax import datasets
from kdjax.datasets.protocols import split
from kdjax.embedded import library, quantise, score, stream
from kdjax.embedded.stream import Integers
from kdjax.runs import provenance
from kdjax.scores import fitted, metrics
from kdjax.scores.fitted import Evidence, FittedScore

RESULT = Path("docs/results/embedded_stages.json")
STARTS = (0, 4, 8, 12, 16)  # min
FEWEST = 64  # beats in time in either half
HALF = score.LEARNT / 2  # s
UNIT = 2.0**-quantise.BEAT_BITS
EVEN_STEP, EVEN_DELAY = 8192, 16  # the n-th step, in units, is the first over n + the second

Distance = Callable[[np.ndarray], np.ndarray]


class First(NamedTuple):
    """What an adaptation sees: values [N, D] of the beats in time, and their seconds [N].

    centre: [D], fitted on others. unit: what 1 stands for in integers.
    """

    values: np.ndarray
    second: np.ndarray
    centre: np.ndarray
    unit: float
    distance: Distance


def main() -> None:
    """Writes the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="where mitbih is prepared")
    parser.add_argument("--run", action="append", default=[], help="a study's cell; repeat it")
    args = parser.parse_args()
    beats = datasets.load("mitbih", args.data_dir)
    parts = split(beats, "interpatient", 0, split_seed=0)
    index = np.flatnonzero(np.isin(beats.record, PEOPLE["DS1"]))
    result: dict[str, Any] = {"command": "python -m benchmarks.quality.embedded_stages --run RUN"}
    result |= {"starts_min": STARTS, "lost": {}, "by_start": {}}
    result |= {"made_by": provenance.made_by()}
    result["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
    rows: dict[str, list[list[float]]] = {}
    for run in args.run or [SHIPPED]:
        detector = load(run, beats, parts)
        integers = library.integers(detector)
        x, record, sample = beats.x[index], beats.record[index], beats.sample[index]
        rhythm = fitted.rhythm(beats.record, beats.sample, beats.rr_before)[index]
        evidence = detector.evidence(x, rhythm, record, sample=sample, fs=beats.fs)
        assert detector.calibration is not None
        fit = detector.calibration.score
        for name, lost in stages(
            fit, integers, evidence, x=x, abnormal=beats.label[index] > 0
        ).items():
            rows.setdefault(name, []).append(lost)
        name = run if run == SHIPPED else "/".join(Path(run).parts[-2:])
        result["by_start"][name] = {stage: lost[-1] for stage, lost in rows.items()}
        result["lost"] = {stage: summary(lost) for stage, lost in rows.items()}
        write_rows(RESULT, result)


def summary(lost: list[list[float]]) -> dict[str, float]:
    """Over all runs and starts."""
    return {"mean": float(np.mean(lost)), "sd": float(np.std(lost)), "most": float(np.max(lost))}


def stages(
    fit: FittedScore, integers: Integers, evidence: Evidence, *, x: np.ndarray, abnormal: np.ndarray
) -> dict[str, list[float]]:
    """AUC of the float score less AUC with a stage replaced, by stage, at each start."""
    rounded = of_integers(integers, evidence, x)
    exact, coarse = distances_of(fit), distances_in(integers)
    units = UNIT, integers.network.layers["head"].scale
    ways: dict[str, tuple[Evidence, tuple[Distance, Distance], Callable]] = {
        "float": (evidence, exact, medians),
        "network": (rounded, exact, medians),
        "covariance": (evidence, coarse, medians),
        "even steps": (evidence, exact, even_steps),
        "own steps": (evidence, exact, own_steps),
        "all three, own steps": (rounded, coarse, own_steps),
    }
    auc: dict[str, list[float]] = {name: [] for name in ways}
    for start in STARTS:
        chosen, judged = begun(evidence, start * 60)
        for name, (whole, distance, adapt) in ways.items():
            part = whole.of(chosen)
            part = part._replace(sample=part.sample - int(start * 60 * part.fs))
            scores = scored(fit, part, units, distance=distance, adapt=adapt)[judged]
            auc[name].append(float(metrics.auc(abnormal[chosen][judged], scores)))
    first = auc.pop("float")
    return {name: [a - b for a, b in zip(first, of, strict=True)] for name, of in auc.items()}


def of_integers(integers: Integers, evidence: Evidence, x: np.ndarray) -> Evidence:
    """The evidence of the network in integers."""
    whole = np.rint(x[..., 0].astype(np.float64) / UNIT).astype(np.int64)
    residual, latent = stream.reconstruct(integers.network, whole)
    z = latent * integers.network.layers["head"].scale
    return evidence._replace(residual=residual[..., None] * UNIT, z=z)


def distances_of(fit: FittedScore) -> tuple[Distance, Distance]:
    """Squared distances of residuals and of latents."""
    residual, latent = (fit.arrays[f"{name}.whiten"] for name in ("mahalanobis", "latent"))
    return (
        lambda away: np.square(away @ residual).sum(axis=1),
        lambda away: np.square(away @ latent).sum(axis=1),
    )


def distances_in(integers: Integers) -> tuple[Distance, Distance]:
    """The same as the C library computes them."""
    fixed, z_unit = integers.score, integers.network.layers["head"].scale

    def residual(away: np.ndarray) -> np.ndarray:
        return 2.0 ** (score.log_residual(fixed, np.rint(away / UNIT).astype(np.int64)) / 2**16)

    def latent(away: np.ndarray) -> np.ndarray:
        return 2.0 ** (score.log_latent(fixed, np.rint(away / z_unit).astype(np.int64)) / 2**16)

    return residual, latent


def begun(evidence: Evidence, start: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the beats from a start in seconds on, and which of them are judged."""
    second = evidence.sample / evidence.fs - start
    in_time = (evidence.rhythm[:, 1] < fitted.IN_TIME) & (second >= 0)
    kept = [
        name
        for name in np.unique(evidence.record)
        if min(
            (in_time & (evidence.record == name) & (second < HALF)).sum(),
            (in_time & (evidence.record == name) & (second >= HALF) & (second < 2 * HALF)).sum(),
        )
        >= FEWEST
    ]
    chosen = np.flatnonzero(np.isin(evidence.record, kept) & (second >= 0))
    return chosen, second[chosen] >= score.LEARNT


def scored(
    fit: FittedScore,
    evidence: Evidence,
    units: Sequence[float],
    *,
    distance: Sequence[Distance],
    adapt: Callable,
) -> np.ndarray:
    """The fused score [B], each person adapted to by `adapt`."""
    shape = np.empty(len(evidence.record))
    whole = evidence.residual.reshape(len(shape), -1), evidence.z
    for name in np.unique(evidence.record):
        own = np.flatnonzero(evidence.record == name)
        own = own[np.argsort(evidence.sample[own], kind="stable")]
        second = evidence.sample[own] / evidence.fs
        first = (evidence.rhythm[own, 1] < fitted.IN_TIME) & (second < score.LEARNT)
        logs = []
        kinds = ("mahalanobis", "latent")
        for of, kind, unit, values in zip(distance, kinds, units, whole, strict=True):
            part = values[own].astype(np.float64)
            seen = First(part[first], second[first], fit.arrays[f"{kind}.centre"], unit, of)
            centre, usual = adapt(seen)
            logs.append(np.log(of(part - centre) / usual))
        shape[own] = np.mean(logs, axis=0)
    tails = fit.arrays["tails"]
    timing = fitted.surprise(evidence.rhythm[:, 1], tails[1])
    return fitted.surprise(shape, tails[0]) + timing


def medians(first: First) -> tuple[np.ndarray, float]:
    """Centre and usual distance as the float score has them."""
    centre = np.median(first.values, axis=0)
    return centre, float(np.median(first.distance(first.values - centre)))


def even_steps(first: First) -> tuple[np.ndarray, float]:
    """A running median with steps of one size, then the distances of the second half."""
    centre, half = first.centre.copy(), first.second < HALF
    for number, value in enumerate(first.values[half]):
        step = first.unit * (EVEN_STEP // (number + EVEN_DELAY) + 1)
        centre += step * np.sign(value - centre)
    return centre, float(np.median(first.distance(first.values[~half] - centre)))


def own_steps(first: First) -> tuple[np.ndarray, float]:
    """As `score.Person` learns: steps of each number's own size, and distances on the way."""
    centre, deviation, away = first.centre.copy(), 0.0, np.empty_like(first.values)
    for number, value in enumerate(first.values, 1):
        away[number - 1] = value - centre
        deviation = deviation + np.abs(value - centre)
        centre += 1.5 * deviation / number**2 * np.sign(value - centre)
    return centre, float(np.median(first.distance(away[score.UNSETTLED :])))


if __name__ == "__main__":
    main()
