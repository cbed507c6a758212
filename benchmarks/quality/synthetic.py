"""The default command over seeds, against a PCA reconstruction of the same latent size.

python -m benchmarks.quality.synthetic --runs runs/synthetic-seeds --out docs/results/synthetic.json
"""

import argparse
import datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from sklearn.decomposition import PCA

from benchmarks.shared import write_rows
from configs import student
from kdjax.datasets.protocols import Split
from kdjax.datasets.storage import BeatSet
from kdjax.files import read_json
from kdjax.runs import directory, evaluation, provenance
from kdjax.scores import metrics
from kdjax.training import loop


def main() -> None:
    """Trains every seed (finished runs are read, not trained again) and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    config: Any = student.get_config("synthetic")
    config.data.dir = args.data_dir
    beats, parts = evaluation.load_data(config)
    rows = []
    for seed in range(args.seeds):
        config.seed = seed
        run = args.runs / f"seed{seed}"
        result = loop.train(config, run)
        taught = read_json(run / "teacher" / directory.RESULT)
        figures = ("auc", "ap", "epoch_seconds")
        rows.append(
            {
                "seed": seed,
                "student": {name: result[name] for name in figures},
                "teacher": {name: taught[name] for name in figures},
            }
        )
    out = {
        "command": f"python -m benchmarks.quality.synthetic --seeds {args.seeds}",
        "config": config.to_dict() | {"seed": list(range(args.seeds))},
        "student_auc": interval([row["student"]["auc"] for row in rows]),
        "teacher_auc": interval([row["teacher"]["auc"] for row in rows]),
        "pca": pca_reconstruction(beats, parts, config.model.latent_dim),
        "rows": rows,
        "n_test": len(parts.test),
        "fingerprints": {
            "data": beats.fingerprint,
            "split": parts.fingerprint,
        },
        **provenance.made_by(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    out["config"]["data"].pop("dir")
    write_rows(args.out, out)


def pca_reconstruction(beats: BeatSet, parts: Split, components: int) -> dict[str, Any]:
    """AUC and AP of the squared error of a PCA fitted on the training beats."""
    flat = beats.x.reshape(len(beats.x), -1)
    pca = PCA(components, random_state=0).fit(flat[parts.train])
    test = flat[parts.test]
    score = np.mean(np.square(pca.inverse_transform(pca.transform(test)) - test), axis=1)
    abnormal = beats.label[parts.test] > 0
    return {
        "components": components,
        "auc": metrics.auc(abnormal, score),
        "ap": metrics.average_precision(abnormal, score),
    }


def interval(values: list[float]) -> dict[str, Any]:
    """Mean over seeds with its 95 % t interval, and the worst."""
    mean, n = float(np.mean(values)), len(values)
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return {"mean": mean, "ci95": [mean - half, mean + half], "worst": min(values), "n": n}


if __name__ == "__main__":
    main()
