"""A detector in integers: quality lost, the front end, memory and instructions.

python -m benchmarks.quality.embedded --records DIR [--data-dir DIR] [--run RUN ...]

Writes docs/results/embedded.json. DIR holds the MIT-BIH records. Without --run: the shipped
detector; runs are cells of `kdjax study configs/study.py:embedded`. Under `cores` stands a network
of width 4 too, with weights that were only drawn: bytes and instructions do not depend on them.

quality: AUC of the plain score and of the full one on the beats of DS2, cut around their
annotations, of the float detector and of its integers. `full, float score` rounds the network
alone, `full, integers` everything, beat by beat as the C library does, from the beat on where its
score has adapted; beside it the float score on the same beats.

stream: whole records through the library's front end, against their annotations by EC57, the first
five minutes apart. cores: the export of the detector compiled and run under QEMU.
"""

import argparse
import datetime
import re
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.shared import write_rows
from kdjax import datasets, ec57, recordings
from kdjax.datasets.protocols import MITBIH_GROUPS, Split, split
from kdjax.datasets.storage import BeatSet
from kdjax.detection.detector import Detector
from kdjax.detection.stream import FPR
from kdjax.ec57 import rates, tables
from kdjax.embedded import frontend, library, quantise, score, stream
from kdjax.embedded.stream import Integers
from kdjax.recordings import Annotations, read_annotations
from kdjax.runs import directory, evaluation, provenance
from kdjax.scores import fitted, metrics

SHIPPED = "mitbih-w8"
RESULT = Path("docs/results/embedded.json")
COMMAND = "python -m benchmarks.quality.embedded --records DIR"
PEOPLE = {
    "DS1": sorted(MITBIH_GROUPS["train"] + MITBIH_GROUPS["heldout"]),
    "DS2": list(MITBIH_GROUPS["test"]),
}
_SAID = {
    "instructions a beat": r"instructions a beat: (\d+)",
    "most": r"at most: (\d+)",
    "instructions a sample": r"instructions a sample: (\d+)",
    "stack": r"stack in bytes: (\d+)",
}
_BEATS_ON_QEMU = 100


def main() -> None:
    """Writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=Path, required=True, metavar="DIR")
    parser.add_argument("--data-dir", type=Path, help="where mitbih is prepared")
    parser.add_argument("--run", action="append", default=[], help="a study's cell; repeat it")
    args = parser.parse_args()
    beats = datasets.load("mitbih", args.data_dir)
    parts = split(beats, "interpatient", 0, 0)
    result: dict[str, Any] = {"command": COMMAND, "fpr": FPR}
    result |= {"cores": {}, "quality": {}, "stream": {}}
    result |= provenance.made_by()
    result["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
    detectors = {run: load(run, beats, parts) for run in args.run or [SHIPPED]}
    narrow = drawn(directory.load_run(SHIPPED), 4)
    for name, detector in [*detectors.items(), ("width 4, weights drawn", narrow)]:
        result["cores"][name] = device(detector, library.integers(detector))
        write_rows(RESULT, result)
    for name, detector in detectors.items():
        found = library.integers(detector)
        for people, names in PEOPLE.items():
            result["stream"][f"{name}, {people}"] = on_records(found, args.records, names)
            write_rows(RESULT, result)
        result["quality"][name] = quality(detector, found, beats, parts)
        write_rows(RESULT, result)


def drawn(detector: Detector, width: int) -> Detector:
    """The detector with a network of another width that nobody has trained."""
    shape = (1, detector.generator.length, detector.generator.channels)
    generator = replace(detector.generator, width=width, parent=None)
    variables = generator.init(jax.random.key(0), jnp.zeros(shape), False)
    return Detector(generator, variables, None, detector.calibration)


def load(run: str, beats: BeatSet, parts: Split) -> Detector:
    """A shipped detector, or a study's cell with a calibration of its own."""
    if not Path(run).exists():
        return directory.load_run(run)
    model = directory.load_model(Path(run))
    calibration = evaluation.calibrated(model, beats, parts)
    return Detector(model.generator, model.variables["generator"], None, calibration)


# --- quality on annotated beats ----------------------------------------------------------------


def quality(detector: Detector, found: Integers, beats: BeatSet, parts: Split) -> dict[str, Any]:
    """AUC on the test beats, float and integers."""
    index = parts.test
    x = beats.x[index]
    rhythm = fitted.rhythm(beats.record, beats.sample, beats.rr_before)[index]
    evidence = detector.evidence(x, rhythm, beats.record[index], beats.sample[index], beats.fs)
    whole = np.rint(x[..., 0].astype(np.float64) * 2**quantise.BEAT_BITS).astype(np.int64)
    residual, latent = stream.reconstruct(found.network, whole)
    rounded = evidence._replace(
        residual=(residual / 2**quantise.BEAT_BITS).astype(np.float32)[..., None],
        z=(latent * found.network.layers["head"].scale).astype(np.float32),
    )
    abnormal = beats.label[index] > 0
    fit = detector.calibration.score  # pyright: ignore[reportOptionalMemberAccess]
    full = fit.score(evidence)
    ours, learning = _integer_scores(found, beats, index, residual, latent)
    threshold = found.score.threshold / 2**16
    judged = ~learning
    same = (ours > threshold) == (full > threshold)

    def auc(values: np.ndarray, of: np.ndarray | slice = slice(None)) -> float:
        return float(metrics.auc(abnormal[of], values[of]))

    return {
        "auc": {
            "plain, float": auc(np.square(evidence.residual).mean(axis=(1, 2))),
            "plain, integers": auc(np.square(residual).mean(axis=1)),
            "full, float": auc(full),
            "full, float score of the integer network": auc(fit.score(rounded)),
            "full, float, once adapted": auc(full, judged),
            "full, integers, once adapted": auc(ours, judged),
        },
        "adapted_share": float(judged.mean()),
        "decisions_that_differ": float((~same)[judged].mean()),
        "false_alarms": {
            "float": float((full > threshold)[judged & ~abnormal].mean()),
            "integers": float((ours > threshold)[judged & ~abnormal].mean()),
        },
    }


def _integer_scores(
    found: Integers, beats: BeatSet, index: np.ndarray, residual: np.ndarray, latent: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scores [B] in natural units, and which were made while learning [B]."""
    scores, learning = np.empty(len(index)), np.empty(len(index), bool)
    rr = np.rint(np.nan_to_num(beats.rr_before[index]) * beats.fs).astype(int)
    record, sample = beats.record[index], beats.sample[index]
    for name in np.unique(record):
        own = np.flatnonzero(record == name)
        person = score.Person(found.score, frontend.FS)
        for beat in own[np.argsort(sample[own], kind="stable")]:
            opinion = person.push(residual[beat], latent[beat], int(sample[beat]), int(rr[beat]))
            scores[beat], learning[beat] = opinion.score / 2**16, opinion.learning
    return scores, learning


# --- whole records -----------------------------------------------------------------------------


def on_records(found: Integers, records: Path, names: list[str]) -> dict[str, Any]:
    """EC57's gross figures over the records, in per cent, of the compiled library."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        nothing = np.zeros(0, np.int64)
        for name, content in library.files(found, nothing, []).items():
            (Path(folder) / name).write_bytes(content)
        _said(Path(folder), "make", "check-host", "CFLAGS=-O2")
        for name in names:
            (Path(folder) / "signal.bin").write_bytes(signal(records, name).astype("<i2").tobytes())
            lines = _said(Path(folder), "./check-host", "signal.bin").splitlines()
            beats = [line.split() for line in lines]
            test = Annotations(
                np.array([int(b[0]) for b in beats]), np.array([b[6] for b in beats])
            )
            reference = read_annotations(records / f"{name}.hea", frontend.FS)
            results.append(ec57.compare(reference, test, frontend.FS).beats)
    of = rates.of_beats(tables.total_matrix(results), gross=True)
    return {key: ratio.percent for key, ratio in of.items()} | {"records": len(names)}


def signal(records: Path, name: str) -> np.ndarray:
    """The lead MLII of a record in whole microvolts."""
    source = recordings.open_source(records / f"{name}.hea", None, None)
    column = source.leads.index("MLII") if "MLII" in source.leads else 0
    blocks = np.concatenate(list(source.blocks([column])))[:, 0]
    return np.rint(np.nan_to_num(blocks) * 1000).astype(np.int64)


# --- the device --------------------------------------------------------------------------------


def device(detector: Detector, found: Integers) -> dict[str, Any]:
    """Flash, memory and instructions on two cores; None where the tools are not installed."""
    if not all(map(shutil.which, ("arm-none-eabi-gcc", "qemu-system-arm", "make"))):
        print("no arm-none-eabi-gcc or qemu-system-arm: nothing is said of a device")
        return {}
    whole = library.test_signal(detector)[: _BEATS_ON_QEMU * 300]
    with tempfile.TemporaryDirectory() as folder:
        for name, content in library.files(found, whole, stream.decide(found, whole)).items():
            (Path(folder) / name).write_bytes(content)
        about = {
            "width": found.network.width,
            "weights": sum(layer.weights.size for layer in found.network.layers.values()),
            "multiply_accumulates": quantise.multiply_accumulates(found.network),
        }
        return about | {core: _core(Path(folder), core) for core in ("m4", "m0")}


def _core(folder: Path, core: str) -> dict[str, int]:
    sizes = _said(folder, "make", "-s", f"size-{core}")
    flash, state = (int(n) for n in re.findall(r"(?:flash|state): (\d+)", sizes))
    said = _said(folder, "make", "-s", f"check-{core}")
    found = {name: int(re.findall(pattern, said)[0]) for name, pattern in _SAID.items()}
    return {"flash": flash, "state": state} | found


def _said(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
