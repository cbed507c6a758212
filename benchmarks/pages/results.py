"""docs/evidence/results.md: networks, scores and distillation, from the JSON in docs/results/.

python -m benchmarks.pages.results
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.pages import evidence as evidence_page
from benchmarks.pages import reference as reference_page
from benchmarks.pages import steadiness as steadiness_page
from benchmarks.pages import students as students_page
from benchmarks.pages import study as study_page
from benchmarks.shared import FOLDER, devices, mean, page, read, source, table
from kdjax.files import write_text

PAGE = Path(__file__).parents[2] / "docs/evidence/results.md"


def main() -> None:
    """Writes the page; every figure on it is read from a file."""
    sections = [
        "# Results",
        *evidence_page.verdict(),
        *study_page.in_short(read("study-confirm.json"), read("study-screen.json")),
        *reading(),
        *evidence_page.headline(),
        *study_page.distillation(),
        *students_page.narrow(),
        *students_page.long(),
        *students_page.encoder_only(),
        *evidence_page.asymmetry(),
        *evidence_page.inputs(),
        *evidence_page.opinions(),
        *study_page.compared(),
        *reference_page.reference(),
        *synthetic(),
        *initialisation(),
        *steadiness_page.steadiness(),
        *study_page.costs(),
    ]
    write_text(PAGE, page(sections))


def reading() -> Iterable[str]:
    """What holds for all sections, and the words that they share."""
    names = [path.name for path in sorted(FOLDER.glob("*.json"))]
    yield "## How to read this page"
    yield (
        "This page is about networks, scores and distillation, on beats cut around their "
        "annotations. [Detection](detection.md) is about whole recordings, as `kdjax detect` reads "
        "them. It decides by the log odds of kinds of beats. One of their terms is the adapted "
        "fusion, there called anomaly score."
    )
    yield "\n".join(
        f"- **{word}**: {what}."
        for word, what in {
            "Data": "MIT-BIH, protocol `interpatient` (people of DS2, none of whom is in the "
            "training data), unless a section names `beatgan` or synthetic ECG; "
            "[Protocols](protocol.md) describes both and what was fixed before the runs",
            "DS2": "not an untouched test set, because most sections report it. Its labels "
            "chose which narrow student was repeated with fresh seeds, and two secondary "
            "comparisons of the confirmation. The constants of the RR intervals were set knowing "
            "that most of its supraventricular beats are of one record, 232 "
            "([Protocols](protocol.md#the-distillation-study))",
            "Brackets": "95 % t intervals over seeds; differences between networks are paired by "
            "seed. A gain is *shown* if the interval lies above 0 or, where many variants are "
            "compared, if the corrected p is below 0.05",
            "Plain score": "mean squared error between a beat and its reconstruction",
            "Adapted fusion": "the score `fusion`, which combines the shape of a beat (residual "
            "and latent) with its prematurity, adapted to the first five minutes of each recording",
            "Shape alone": "the score `mahalanobis`, adapted in the same way",
            "No network": "the same score with the raw beat in place of the residual and 32 "
            "principal components in place of the latent",
            "Class maps": "BeatGAN's counts escape beats (e, j) as supraventricular (S), AAMI's as "
            "normal. BeatGAN's is used unless AAMI's is named",
            "AUC of S, V, F": "supraventricular, ventricular or fusion beats against normal beats",
            "MACs": "multiply-accumulates for one beat, in millions (M)",
            "Oracle": "chosen with labelled anomalies, which a detector in use does not have",
        }.items()
    )
    yield (
        f"All figures were measured on {devices(names)}. `python -m benchmarks.pages.results` "
        "makes this page from the JSON that each section names, which also holds versions and "
        "code."
    )


def initialisation() -> Iterable[str]:
    """Worst and median over seeds of both starts."""
    found = read("initialisation.json")
    published, biased = found["arms"].values()
    yield "## Does the initialisation matter?"
    yield (
        f"With `model.output_bias`, the median AUC after {found['steps']} steps is "
        f"{biased['median']:.4f}; with the published initialisation it is "
        f"{published['median']:.4f} (validation beats, oracle). `model.output_bias` adds a bias "
        "before the last tanh, which starts at the mean beat, and draws the last kernel with mean "
        "zero. Seeds and batches of both are the same."
    )
    yield table(
        ("initialisation", "seeds", "worst AUC", "median", "best"),
        [
            (f"`{a}`", r["seeds"], *(f"{r[name]:.4f}" for name in ("worst", "median", "best")))
            for a, r in found["arms"].items()
        ],
    )
    yield source("initialisation.json", "full-size teacher on MIT-BIH", found["date"])


def synthetic() -> Iterable[str]:
    """The default command over seeds."""
    found = read("synthetic.json")
    config, pca = found["config"], found["pca"]
    networks = {name: found[f"{name}_auc"] for name in ("teacher", "student")}
    yield "## How well do networks work on synthetic ECG?"
    yield " ".join(_beside_pca(name, row, pca) for name, row in networks.items())
    yield table(
        ("", "AUC", "AUC, worst seed"),
        [
            *((name, mean(row), f"{row['worst']:.4f}") for name, row in networks.items()),
            (f"PCA reconstruction, {pca['components']} components", f"{pca['auc']:.4f}", ""),
        ],
    )
    yield source(
        "synthetic.json",
        "`python train.py --config configs/student.py`",
        f"{len(found['rows'])} seeds",
        f"{config['epochs']} epochs of each network",
        f"width {config['model']['width']}",
        f"{found['n_test']:,} test beats",
        found["date"],
    )


def _beside_pca(name: str, row: Any, pca: Any) -> str:
    """What a network's interval shows against the AUC of a PCA."""
    low, high = row["ci95"]
    if low <= pca["auc"] <= high:
        verdict = "is not shown to differ from"
    else:
        verdict = "is better than" if low > pca["auc"] else "is worse than"
    return f"The {name} (AUC {mean(row)}) {verdict} a PCA reconstruction ({pca['auc']:.4f})."


if __name__ == "__main__":
    main()
