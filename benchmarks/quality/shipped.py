"""Makes the detector that comes with the package from a run of the distillation study.

python -m benchmarks.quality.shipped STUDY --data-dir DIR

STUDY is the folder of `kdjax study configs/study.py:confirm`. Of the ten students the first seed is
taken, so that no score chose it; the card's figures are those of all ten.
"""

import argparse
import datetime
import json
from pathlib import Path

import numpy as np

from configs import study as studies
from kdjax.detection import detector_files
from kdjax.detection.detector import Detector
from kdjax.files import write_bytes
from kdjax.runs import cost, directory, evaluation
from kdjax.scores import metrics

NAME = "mitbih-w8"
RESULT = Path("docs/results/study-confirm.json")
FPR = 0.01
SCORES = {
    "mean squared error": ("mse", "none"),
    "fusion": ("fusion", "none"),
    "fusion, adapted to the first 5 minutes": ("fusion", "first_5_minutes"),
}


LIMITS = (
    "trained on 17 adults, lead MLII at 360 Hz; no children, no exercise, no other lead",
    "a supraventricular beat with a normal QRS is recognized by timing and P wave alone",
    "atrial fibrillation that is not found raises many alarms: on DS2, 77 % of its time is found",
    "paced beats were left out",
)


def main() -> None:
    """Writes kdjax/shipped/<name>."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--data-dir", type=Path)
    args = parser.parse_args()
    study = studies.get_config("confirm")
    protocol, fold, epochs = study.splits[0]
    run = args.study / f"{protocol}-{fold}" / studies.CHOSEN / f"seed{study.seeds[0]}"
    config = directory.read_config(run)
    config["data"]["dir"] = None if args.data_dir is None else str(args.data_dir)
    beats, parts = evaluation.load_data(config)
    model = directory.load_model(run)
    evaluation.check_fingerprints(run, model.progress["fingerprints"], beats, parts=parts)
    calibration = evaluation.calibrated(model, beats, parts)
    assert calibration is not None
    plain = Detector(model.generator, model.variables["generator"])
    normal = np.sort(plain.score(beats.x[parts.calibrate]).astype(np.float64))
    detector = Detector(
        model.generator,
        model.variables["generator"],
        metrics.conformal_quantile(normal, FPR),
        calibration,
    )
    card = {
        "name": NAME,
        "what": "BeatGAN generator of width 8, distilled from one of width 16, for lead MLII",
        "made_with": f"kdjax study configs/study.py:confirm, {studies.CHOSEN}, the first seed",
        "trained_on": f"{len(parts.train)} normal beats of 17 records of DS1, {epochs} epochs",
        "data": (
            "MIT-BIH Arrhythmia Database 1.0.0, doi:10.13026/C2F305, ODC-BY 1.0; Moody GB, Mark "
            "RG, IEEE Eng in Med and Biol 20(3):45-50, 2001"
        ),
        "licence": "MIT for the weights; attribute the data as its licence asks",
        "protocol": f"{protocol}: tested on {len(parts.test)} beats of 22 people of DS2",
        "figures_of": "ten students of other seeds, this one among them: mean, 95 % t interval",
        "figures": figures(),
        "this_one": this_one(run),
        "chosen_how": (
            "the term by labelled validation beats; the score and its constants by labelled beats "
            "of DS1 and knowing record 232 of DS2; the limits of signal quality on all of MIT-BIH"
        ),
        "fpr_target": FPR,
        "thresholds": (
            f"of the adapted fusion, from {len(calibration.normal)} normal beats of 4 people; "
            "those of kdjax detect come with the weights of kinds, from DS1 "
            "(docs/results/kinds.json)"
        ),
        "limits": [*LIMITS, without_network()],
        "seed": config["seed"],
        **cost.of_generator(model.generator, model.variables["generator"]),
        "fingerprints": {
            "data": beats.fingerprint,
            "split": parts.fingerprint,
            "model": model.fingerprint,
            "teacher": model.progress["teacher"],
        },
        "made_by": model.progress["made_by"],
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    for name, content in detector_files.pack(detector, card).items():
        write_bytes(Path("kdjax/shipped") / NAME / name, content)
        print(f"{name}: {len(content)} bytes")


def without_network() -> str:
    """What the score in use reaches without the network, in words."""
    baselines = json.loads(RESULT.read_text())["splits"][0]["baselines"]
    auc = baselines["no network, fusion, first_5_minutes"]["auc"]
    return f"the network adds nothing to the adapted fusion: without one its AUC is {auc:.4f}"


def this_one(run: Path) -> dict:
    """The shipped network's own test figures, by score."""
    rows = json.loads((run / "cell.json").read_text())["scores"]
    found = {(row["score"], row["adaptation"]): row for row in rows}
    return {words: {n: found[which][n] for n in ("auc", "ap")} for words, which in SCORES.items()}


def figures() -> dict:
    """Test AUC and AP of the ten students of the study, mean and 95 % t interval, by score."""
    scores = json.loads(RESULT.read_text())["splits"][0]["variants"][studies.CHOSEN]["scores"]
    found = {(row["score"], row["adaptation"]): row for row in scores}
    return {
        words: {name: found[which][name] for name in ("auc", "ap", "per_class")}
        for words, which in SCORES.items()
    }


if __name__ == "__main__":
    main()
