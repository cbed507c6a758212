"""A detector as a folder of C: made, run on a test signal and compared with the float detector."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdjax import beats
from kdjax.detection import deciding
from kdjax.detection.detector import Detector
from kdjax.embedded import emit, frontend, quantise, score, trials
from kdjax.embedded.stream import Decision, Integers
from kdjax.errors import InputError, ParityError
from kdjax.models.folded import fold
from kdjax.scores.calibration import adapting_to_all
from kdjax.scores.fitted import rhythm_after

FPR = 0.01  # of the calibration's normal beats
BEATS = 640  # of the test signal, some nine minutes
TOLERANCE = 2.0  # how far a score may lie from the float detector's where it matters

_SEED = 0
_KIND, _ADAPTATION = "fusion", "first_5_minutes"


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How the integers decide beside the float detector on the test signal, once adapted.

    beats: how many were compared; abnormal: of these, by the float detector; near: whose float
    score is within TOLERANCE of the threshold; differ: decisions that are not the same. median,
    most: of the scores' absolute difference, for beats that score up to twice the threshold.
    """

    beats: int
    abnormal: int
    near: int
    differ: int
    median: float
    most: float


def integers(detector: Detector, fpr: float = FPR) -> Integers:
    """The detector in integers, its ranges set by beats drawn from its own calibration.

    InputError as `check_fits`, and for a network too wide for 32-bit sums.
    """
    check_fits(detector)
    assert detector.calibration is not None
    network = quantise.quantise(fold(detector.variables), drawn(detector))
    return Integers(network, score.score_of(detector.calibration, network, fpr))


def check_fits(detector: Detector) -> None:
    """InputError for a detector that cannot be put into integers.

    One of windows that are no heartbeats, that is not calibrated, or not by the score and the
    adaptation that the C library knows, or that takes more than one lead.
    """
    if not detector.ecg:
        raise InputError(
            "a detector in integers finds heartbeats, this run was trained on other windows; "
            "export it as onnx or stablehlo"
        )
    calibration = detector.calibration
    if calibration is None:
        raise InputError("integers need a calibration; kdjax evaluate RUN makes it")
    if (calibration.score.kind, calibration.score.adaptation) != (_KIND, _ADAPTATION):
        raise InputError(
            f"its score is {calibration.score.kind}, {calibration.score.adaptation}; a detector in "
            f"integers knows {_KIND}, {_ADAPTATION}: calibrate the run with kdjax evaluate RUN"
        )
    if detector.generator.channels != 1:
        raise InputError("a detector in integers takes one lead; train the run with one lead")


def drawn(detector: Detector) -> np.ndarray:
    """The beats [B, T, 1] that set the ranges, the same every time; of a calibrated detector."""
    assert detector.calibration is not None
    rng = np.random.default_rng(_SEED)
    folded = fold(detector.variables)
    return trials.normal_beats(detector.calibration, folded, count=BEATS, rng=rng)


def test_signal(detector: Detector) -> np.ndarray:
    """Nine minutes int64 [T] in microvolts, the same every time."""
    return trials.signal(drawn(detector), rng=np.random.default_rng(_SEED + 1))


def files(quantised: Integers, signal: np.ndarray, decisions: list[Decision]) -> dict[str, bytes]:
    """The folder's files by name: sources, test signal and the decisions expected on it."""
    expected = "".join(decision.line() + "\n" for decision in decisions)
    content = {name: text.encode() for name, text in emit.sources(quantised).items()}
    return content | {
        "signal.bin": signal.astype("<i2").tobytes(),
        "expected.txt": expected.encode(),
    }


def check(
    detector: Detector, quantised: Integers, *, signal: np.ndarray, decisions: list[Decision]
) -> Parity:
    """Compares decisions on a signal with those of the float detector on the same beats.

    ParityError where a decision differs though the float score is further than TOLERANCE from the
    threshold, or a score up to twice the threshold differs by more than that. InputError where no
    score is below that, so that nothing can be compared.
    """
    expected = _float_scores(detector, signal)
    threshold = quantised.score.threshold / 2**16
    judged = np.array([d.scored and not d.learning for d in decisions])
    ours = np.array([d.score for d in decisions])[judged] / 2**16
    theirs = expected[judged]
    near = np.abs(theirs - threshold) <= TOLERANCE
    differ = (ours > threshold) != (theirs > threshold)
    away = np.abs(ours - theirs)[theirs < 2 * threshold]
    if not len(away):
        raise InputError(
            "no score on the test signal is below twice the threshold, so that nothing can be "
            "compared; train the run for longer"
        )
    parity = Parity(
        beats=len(theirs),
        abnormal=int((theirs > threshold).sum()),
        near=int(near.sum()),
        differ=int(differ.sum()),
        median=float(np.median(away)),
        most=float(away.max()),
    )
    if (differ & ~near).any() or not parity.most <= TOLERANCE:  # NaN is no agreement
        raise ParityError(
            f"the detector in integers does not decide as the float one does: {parity}; "
            f"{TOLERANCE:g} is allowed; please report it"
        )
    return parity


def _float_scores(detector: Detector, signal: np.ndarray) -> np.ndarray:
    """The float detector's scores float64 [B] of the beats that the front end finds; NaN unscored.

    Adapted to the beats of the first five minutes, as `kdjax detect` does.
    """
    assert detector.calibration is not None
    detected = list(frontend.find_beats(signal))
    whole = np.array([beat.window is not None for beat in detected])
    windows = np.array([beat.window for beat in detected if beat.window is not None])
    sample = np.array([beat.sample for beat in detected])[whole]
    rr = np.array([beat.rr or np.nan for beat in detected])[whole] / frontend.FS
    x = beats.scale((windows / frontend.OUTPUT_PER_MILLIVOLT).astype(np.float32)[..., None])
    rhythm = rhythm_after(np.empty(0), rr)
    person = np.zeros(len(x), np.int64)
    evidence = detector.evidence(x, rhythm, person, sample=sample, fs=frontend.FS)
    early = sample < sample[0] + score.LEARNT * frontend.FS
    fitted = adapting_to_all(detector.calibration.score).adapted_to(evidence.of(early))
    scores = np.full(len(detected), np.nan)
    scores[whole] = fitted.score(evidence)
    return scores


def readme(quantised: Integers, parity: Parity, about: Mapping[str, Any]) -> str:
    """The folder's README.md: what the library is, how it is used, the figures of this export."""
    network = quantised.network
    return _README.read_text().format(
        latent=network.latent,
        width=network.width,
        weights=sum(layer.weights.size for layer in network.layers.values()),
        multiplies=quantise.multiply_accumulates(network),
        delay=(beats.AFTER + len(frontend.taps()) - 2) / frontend.FS,
        threshold=quantised.score.threshold / 2**16,
        tolerance=TOLERANCE,
        percent=100 * FPR,
        percent_of_detect=100 * deciding.FPR,
        parity=parity,
        leads=", ".join(about["lead_names"]),
        fingerprint=about["weights"],
        version=about["kdjax"],
    )


_README = Path(__file__).parent / "README.md.in"
