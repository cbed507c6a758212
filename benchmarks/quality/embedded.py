"""A detector in integers: what it loses against the float one, and its figures on whole records.

python -m benchmarks.quality.embedded --records DIR [--data-dir DIR] [--run RUN ...]

Writes docs/results/embedded.json. DIR holds the MIT-BIH records. Without --run: the shipped
detector alone. Cells of `kdjax study configs/study.py:embedded` are runs too; their losses are
summed up by width, over seeds.

quality: AUC of the plain score and of the full one on the beats of DS2, cut around their
annotations, of the float detector and of its integers. `full, float score of the integer network`
rounds the network alone. `full, integers, once adapted` is all in integers, beat by beat as the C
library computes it, on the beats after the score has adapted; beside it stands the float score on
the same beats.

stream: whole records through the shipped detector's library, compared with their annotations by
EC57 from the fifth minute on; beside it the R-peaks of `kdjax detect` on the same records.
"""

import argparse
import datetime
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import write_rows
from kdjax import datasets, ec57, recordings
from kdjax.datasets.protocols import MITBIH_GROUPS, Split, split
from kdjax.datasets.storage import BeatSet
from kdjax.detection.detector import Detector
from kdjax.detection.recording import detect
from kdjax.ec57 import rates, tables
from kdjax.embedded import frontend, library, quantise, score, stream
from kdjax.embedded.stream import Integers
from kdjax.recordings import Annotations, read_annotations
from kdjax.recordings.in_memory import of_array
from kdjax.runs import directory, evaluation, provenance
from kdjax.scores import fitted, metrics

SHIPPED = "mitbih-w8"
RESULT = Path("docs/results/embedded.json")
COMMAND = "python -m benchmarks.quality.embedded --records DIR --run RUN"
PEOPLE = {
    "DS1": sorted(MITBIH_GROUPS["train"] + MITBIH_GROUPS["heldout"]),
    "DS2": list(MITBIH_GROUPS["test"]),
}
LOST = (  # name, the float score, the same in integers
    ("plain", "plain, float", "plain, integers"),
    ("full", "full, float, once adapted", "full, integers, once adapted"),
)


def given(about: str) -> tuple[argparse.Namespace, BeatSet, Split]:
    """What a benchmark of the C library is called with, the beats and their split."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--records", type=Path, required=True, metavar="DIR")
    parser.add_argument("--data-dir", type=Path, help="where mitbih is prepared")
    parser.add_argument("--run", action="append", default=[], help="a study's cell; repeat it")
    args = parser.parse_args()
    beats = datasets.load("mitbih", args.data_dir)
    return args, beats, split(beats, "interpatient", 0, split_seed=0)


def main() -> None:
    """Writes the result."""
    args, beats, parts = given(__doc__)
    result: dict[str, Any] = {"command": COMMAND, "fpr": library.FPR, "lost": {}, "quality": {}}
    result |= {"stream": {}, "r_peaks": {}, "made_by": provenance.made_by()}
    result["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
    for run in [SHIPPED, *args.run]:
        detector = load(run, beats, parts)
        name = run if run == SHIPPED else "/".join(Path(run).parts[-2:])
        row = quality(detector, library.integers(detector), beats, parts=parts)
        result["quality"][name] = {"width": detector.generator.width} | row
        result["lost"] = lost([row for n, row in result["quality"].items() if n != SHIPPED])
        write_rows(RESULT, result)
    shipped = directory.load_run(SHIPPED)
    integers = library.integers(shipped)
    for people, names in PEOPLE.items():
        result["stream"][f"{SHIPPED}, {people}"] = on_records(integers, args.records, names)
        write_rows(RESULT, result)
    result["r_peaks"] = r_peaks(shipped, args.records)
    write_rows(RESULT, result)


def lost(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """AUC of the float detector less AUC of its integers by width, over seeds."""
    widths = sorted({row["width"] for row in rows}, reverse=True)
    found: dict[str, Any] = {}
    for width in widths:
        auc = [row["auc"] for row in rows if row["width"] == width]
        if len(auc) > 1:
            found[f"width {width}"] = {
                name: {
                    "float": metrics.t_interval([one[whole] for one in auc]),
                    "integers": metrics.t_interval([one[rounded] for one in auc]),
                    "lost": metrics.paired_difference(
                        [one[whole] for one in auc], [one[rounded] for one in auc]
                    ),
                    "most": max(one[whole] - one[rounded] for one in auc),
                }
                for name, whole, rounded in LOST
            }
    return found


def load(run: str, beats: BeatSet, parts: Split) -> Detector:
    """A shipped detector, or a study's cell with a calibration of its own."""
    if not Path(run).exists():
        return directory.load_run(run)
    model = directory.load_model(Path(run))
    calibration = evaluation.calibrated(model, beats, parts)
    return Detector(model.generator, model.variables["generator"], None, calibration)


# --- quality on annotated beats ----------------------------------------------------------------


def quality(detector: Detector, found: Integers, beats: BeatSet, *, parts: Split) -> dict[str, Any]:
    """AUC on the test beats, float and integers."""
    index = parts.test
    x = beats.x[index]
    rhythm = fitted.rhythm(beats.record, beats.sample, beats.rr_before)[index]
    evidence = detector.evidence(
        x, rhythm, beats.record[index], sample=beats.sample[index], fs=beats.fs
    )
    whole = np.rint(x[..., 0].astype(np.float64) * 2**quantise.BEAT_BITS).astype(np.int64)
    residual, latent = stream.reconstruct(found.network, whole)
    rounded = evidence._replace(
        residual=(residual / 2**quantise.BEAT_BITS).astype(np.float32)[..., None],
        z=(latent * found.network.layers["head"].scale).astype(np.float32),
    )
    abnormal = beats.label[index] > 0
    fit = detector.calibration.score  # pyright: ignore[reportOptionalMemberAccess]
    full = fit.score(evidence)
    ours, learning = _integer_scores(found, beats, index, residual=residual, latent=latent)
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
    found: Integers, beats: BeatSet, index: np.ndarray, *, residual: np.ndarray, latent: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scores [B] in natural units, and which were made while learning [B]."""
    scores, learning = np.empty(len(index)), np.empty(len(index), bool)
    rr = np.rint(np.nan_to_num(beats.rr_before[index]) * beats.fs).astype(int)
    record, sample = beats.record[index], beats.sample[index]
    for name in np.unique(record):
        own = np.flatnonzero(record == name)
        person = score.Person(found.score, frontend.FS)
        for beat in own[np.argsort(sample[own], kind="stable")]:
            opinion = person.push(
                residual[beat], latent[beat], sample=int(sample[beat]), rr=int(rr[beat])
            )
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
        said(Path(folder), "make", "check-host", "CFLAGS=-O2")
        for name in names:
            (Path(folder) / "signal.bin").write_bytes(signal(records, name).astype("<i2").tobytes())
            lines = said(Path(folder), "./check-host", "signal.bin").splitlines()
            beats = [line.split() for line in lines]
            test = Annotations(
                np.array([int(b[0]) for b in beats]), np.array([b[6] for b in beats])
            )
            reference = read_annotations(records / f"{name}.hea", frontend.FS)
            assert reference is not None
            results.append(ec57.compare(reference, test, frontend.FS).beats)
    of = rates.of_beats(tables.total_matrix(results), gross=True)
    return {key: ratio.percent for key, ratio in of.items()} | {"records": len(names)}


def r_peaks(detector: Detector, records: Path) -> dict[str, Any]:
    """QRS sensitivity and precision over all records from the fifth minute on, in per cent.

    Of the library's front end and of `kdjax detect` on the same leads, and the library's delay from
    an R-peak to its decision in seconds.
    """
    ways: dict[str, list[ec57.Comparison]] = {"library": [], "kdjax detect": []}
    delays = []
    for path in sorted(records.glob("*.hea")):
        whole = signal(records, path.stem)
        beats = list(frontend.find_beats(whole))
        delays += [(beat.decided - beat.sample) / frontend.FS for beat in beats]
        source = of_array(whole / 1000, frontend.FS, leads=("MLII",), name=path.stem)
        found = {
            "library": np.array([beat.sample for beat in beats]),
            "kdjax detect": detect(detector, source).beats.sample,
        }
        reference = read_annotations(path, frontend.FS)
        assert reference is not None
        for way, sample in found.items():
            test = Annotations(sample, np.full(len(sample), "N"))
            ways[way].append(ec57.compare(reference, test, frontend.FS))
    rows = {way: _qrs(compared) for way, compared in ways.items()}
    low, middle, high = np.quantile(delays, [0, 0.5, 0.99]).round(3).tolist()
    delay = {"least": low, "median": middle, "99 %": high, "most": round(max(delays), 3)}
    return rows | {"delay of the library": delay}


def _qrs(compared: Sequence[ec57.Comparison]) -> dict[str, float]:
    gross = rates.of_beats(tables.total_matrix([one.beats for one in compared]), gross=True)
    average = tables.average_beats([one.beats for one in compared])
    names = ("Q Se", "Q +P")
    return (
        {f"{name}, gross": gross[name].percent for name in names}
        | {f"{name}, average": average[tables.BEAT_RATES.index(name)] for name in names}
        | {"records": len(compared)}
    )


def signal(records: Path, name: str) -> np.ndarray:
    """The lead MLII of a record in whole microvolts."""
    source = recordings.open_source(records / f"{name}.hea", None, None)
    column = source.leads.index("MLII") if "MLII" in source.leads else 0
    blocks = np.concatenate(list(source.blocks([column])))[:, 0]
    return np.rint(np.nan_to_num(blocks) * 1000).astype(np.int64)


def said(folder: Path, *command: str) -> str:
    """What a command prints; SystemExit with it where the command fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
