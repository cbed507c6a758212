"""Fits the weights of `kdjax.detection.kinds` with the labelled beats of MIT-BIH's DS1.

python -m benchmarks.quality.fit_kinds --records DIR

DIR holds the MIT-BIH records. Writes kdjax/detection/kinds.json: the weights of both scores, and
what normal beats of DS1 score, each record's with weights fitted on the others. Record 201 fits
nothing, since DS2 holds its person as 202. DS2 is not read.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from kdjax import recordings
from kdjax.datasets.protocols import MITBIH_GROUPS
from kdjax.detection import kinds
from kdjax.detection.deciding import FPR, Beats, Decided, StreamingDetector, join_beats
from kdjax.detection.detector import Detector
from kdjax.detection.events import Event, inside, without_p_waves
from kdjax.detection.signs import in_fibrillation
from kdjax.ec57.labels import CLASSES
from kdjax.ec57.pairing import align
from kdjax.recordings import Annotations
from kdjax.runs import directory, provenance

DETECTOR = "mitbih-w8"
FITTING = (*MITBIH_GROUPS["train"], *MITBIH_GROUPS["heldout"])
DS1 = (*FITTING, "201")
RESULT = Path(kinds.__file__).with_suffix(".json")

_MATCH = 0.15  # s
_SCORES = 2000  # of normal beats, that are kept
_RIDGE = 1e-3
# Of the weight of all beats: what the beats of the kind have together, so that no kind is lost.
_VENTRICULAR, _SUPRAVENTRICULAR = 0.3, 0.1
# Then the constant is moved to this share. It balances the kinds, which share a threshold.
_VENTRICULAR_IN_USE = 0.15
# The sign that physiology gives a weight; other terms may have either.
_SIGN = {"shape's share": -1, "many shapes": -1, "shape is low": 0, "shape's t": 0}
_SIGN_S = {"qrs": 0}


class Read(NamedTuple):
    """A record as it was decided on. label: N, S, V, F, Q of each beat, O where the reference has
    none; reference: its annotations; shape: as the families are at the end."""

    name: str
    fs: float
    seconds: float
    parts: list[Decided]
    stream: StreamingDetector
    label: np.ndarray
    reference: Annotations
    signs: np.ndarray
    shape: np.ndarray


def main() -> None:
    """Writes the weights."""
    parser = argparse.ArgumentParser(description="Fit the weights of kinds of beats on DS1")
    parser.add_argument("--records", type=Path, required=True)
    args = parser.parse_args()
    detector = directory.load_run(DETECTOR)
    reads = [read(detector, args.records / name) for name in FITTING]
    models = [fit([other for other in reads if other is not one]) for one in reads]
    first = _of_normal(reads, [decided_first(*pair) for pair in zip(reads, models, strict=True)])
    limit = float(np.quantile(first, 1 - FPR))
    normal = _of_normal(
        reads, [scored(*pair, limit=limit) for pair in zip(reads, models, strict=True)]
    )
    places = (np.arange(_SCORES) + 0.5) / _SCORES
    model = fit(reads) | {
        "normal": np.quantile(normal, places).round(3).tolist(),
        "normal_beats": len(normal),
        "records": list(FITTING),
        "command": "python -m benchmarks.quality.fit_kinds --records DIR",
        "made_by": provenance.made_by(),
    }
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in model.items()]
    RESULT.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def read(detector: Detector, path: Path, noise: np.ndarray | None = None) -> Read:
    """A record, decided on as a stream does; noise [T] in mV is added to its lead."""
    record = recordings.read_wfdb(path)
    assert record.annotations is not None
    signal = record.lead("MLII")[:, None]
    if noise is not None:
        signal = signal + noise[:, None]
    stream = StreamingDetector(detector, record.fs)
    parts = [
        *stream.decide(stream.stream.push(signal)),
        *stream.decide(stream.stream.finish()),
        *stream.decide_waiting(),
    ]
    shape = np.concatenate([part.shape for part in parts])
    return Read(
        name=path.name,
        fs=record.fs,
        seconds=len(signal) / record.fs,
        parts=parts,
        stream=stream,
        label=labels(join_beats([part.beats for part in parts]).sample, record),
        reference=record.annotations,
        signs=np.concatenate([part.signs for part in parts]),
        shape=np.where(shape == kinds.UNSCORED, shape, stream.person.shapes.held(shape)),
    )


def labels(sample: np.ndarray, record: Any) -> np.ndarray:
    """AAMI's class of each beat [B], O where the reference has no beat within 150 ms."""
    classes = CLASSES["aami"]
    is_beat = np.isin(record.annotations.symbol, list(classes))
    at = record.annotations.sample[is_beat]
    label = np.full(len(sample), "O")
    for reference, found in align(at.tolist(), sample.tolist(), round(_MATCH * record.fs)):
        if reference >= 0 and found >= 0:
            label[found] = classes[record.annotations.symbol[is_beat][reference]]
    return label


def _of_normal(reads: Sequence[Read], opinions: Sequence[kinds.Opinion]) -> np.ndarray:
    """The scores of all normal beats."""
    return np.concatenate(
        [
            opinion.score[one.label[one.shape != kinds.UNSCORED] == "N"]
            for one, opinion in zip(reads, opinions, strict=True)
        ]
    )


def scored(one: Read, model: dict[str, Any], *, limit: float | None = None) -> kinds.Opinion:
    """The opinion about a record's good beats with all of them known, and where it fibrillates.

    limit: above which score a beat is abnormal before that is known, else the one in use.
    """
    good = one.shape != kinds.UNSCORED
    fibrillates = inside(streamed(one), fibrillation(one, model, limit=limit)) & good
    signs = in_fibrillation(one.signs, fibrillates)[good]
    groups = kinds.grouped(signs, one.shape[good])
    return kinds.opinion(signs, one.shape[good], groups, model=model)


def fibrillation(
    one: Read, model: dict[str, Any], *, limit: float | None = None
) -> tuple[Event, ...]:
    """Where a record's rhythm is irregular and without P waves."""
    return without_p_waves(beats_of(one, model, limit=limit), one.signs, one.fs)


def beats_of(one: Read, model: dict[str, Any], *, limit: float | None = None) -> Beats:
    """A record's beats as `revised` decides them first, before it knows where they fibrillate."""
    good = one.shape != kinds.UNSCORED
    kind = np.full(len(good), "", "<U1")
    kind[good] = decided_first(one, model).kind(kinds.threshold(FPR) if limit is None else limit)
    return streamed(one)._replace(kind=kind)


def decided_first(one: Read, model: dict[str, Any]) -> kinds.Opinion:
    """The opinion about a record's good beats before it is known where they fibrillate."""
    good = one.shape != kinds.UNSCORED
    groups = kinds.grouped(one.signs[good], one.shape[good])
    return kinds.opinion(one.signs[good], one.shape[good], groups, model=model)


def streamed(one: Read) -> Beats:
    """A record's beats as a stream decides them."""
    return join_beats([part.beats for part in one.parts])


def fit(reads: Sequence[Read], without: Sequence[str] = ()) -> dict[str, Any]:
    """The weights by kind and the names of their terms; those in `without` have none.

    Beats of a kind in a record weigh as much as the root of their number, so that no record
    outvotes the others.
    """
    ventricular, supraventricular = [], []
    for one in reads:
        good = one.shape != kinds.UNSCORED
        signs, shape, label = one.signs[good], one.shape[good], one.label[good]
        groups = kinds.grouped(signs, shape)
        terms = kinds.ventricular_terms(signs, shape, groups)
        ventricular.append((terms, label, np.isin(label, ["N", "S", "V"]), label == "V"))
        terms = kinds.supraventricular_terms(signs)
        supraventricular.append((terms, label, np.isin(label, ["N", "S"]), label == "S"))
    return {
        "V": _moved(_weights(ventricular, _VENTRICULAR, _SIGN, without=without)),
        "S": _weights(supraventricular, _SUPRAVENTRICULAR, _SIGN_S, without=without),
    }


def _weights(
    rows: Sequence[tuple], share: float, sign: dict[str, int], *, without: Sequence[str]
) -> dict[str, float]:
    """Ridge-penalised logistic regression with signs given, on standardised terms."""
    names = list(rows[0][0])
    x = np.concatenate([np.stack(list(t.values()), axis=1)[used] for t, _, used, _ in rows])
    y = np.concatenate([is_kind[used] for _, _, used, is_kind in rows])
    weight = np.concatenate([_balance(is_kind[used]) for _, _, used, is_kind in rows])
    for kind, part in ((True, share), (False, 1 - share)):
        weight[y == kind] *= part / weight[y == kind].sum()
    centre, scale = x.mean(axis=0), x.std(axis=0) + 1e-9
    z, side = (x - centre) / scale, np.where(y, 1.0, -1.0)

    def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
        margin = side * (beta[0] + z @ beta[1:])
        slope = -side * weight / (1 + np.exp(np.clip(margin, -500, 500)))
        value = (weight * np.logaddexp(0, -margin)).sum() + _RIDGE / 2 * np.square(beta[1:]).sum()
        return value, np.concatenate([[slope.sum()], z.T @ slope + _RIDGE * beta[1:]])

    limits = {1: (0, None), -1: (None, 0), 0: (None, None)}
    bounds = [(None, None), *(limits[sign.get(name, 1)] for name in names)]
    bounds = [
        (0, 0) if name in without else limit
        for name, limit in zip(["constant", *names], bounds, strict=True)
    ]
    beta = minimize(loss, np.zeros(len(bounds)), jac=True, bounds=bounds, method="L-BFGS-B").x
    weights = beta[1:] / scale
    constant = beta[0] - weights @ centre
    found = dict(zip(["constant", *names], [constant, *weights], strict=True))
    return {name: round(float(value), 4) for name, value in found.items()}


def _moved(weights: dict[str, float]) -> dict[str, float]:
    odds = [share / (1 - share) for share in (_VENTRICULAR_IN_USE, _VENTRICULAR)]
    return weights | {"constant": round(weights["constant"] + float(np.log(odds[0] / odds[1])), 4)}


def _balance(is_kind: np.ndarray) -> np.ndarray:
    count = np.where(is_kind, is_kind.sum(), (~is_kind).sum())
    return 1 / np.sqrt(np.maximum(count, 1))


if __name__ == "__main__":
    main()
