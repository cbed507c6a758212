"""docs/evidence/results.md, what networks are worth, from the committed JSON in docs/results/.

python -m benchmarks.pages.results
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.pages import evidence as evidence_page
from benchmarks.pages import study as study_page
from benchmarks.shared import FOLDER, bracket, folded, read, table
from kdjax.files import write_text

PAGE = Path(__file__).parents[2] / "docs/evidence/results.md"

# BeatGAN with a distilled copy of itself, as its authors reported it: one run each, best epoch and
# best threshold by test labels, and a distillation term that was a constant.
REFERENCE = {
    "reference teacher": {"epochs": 100, "auc": 0.9372, "ap": 0.9048, "best_f1": 0.8075},
    "reference student": {"epochs": 100, "auc": 0.9464, "ap": 0.9134, "best_f1": 0.8224},
}


def main() -> None:
    """Writes the page; every figure on it is read from a file."""
    sections = [
        "# Results",
        *evidence_page.verdict(),
        "`python -m benchmarks.pages.results` makes this page from the JSON in "
        "[results/](../results/). Each file names device, versions, code, seeds and date. Those of "
        "MIT-BIH are the `result.json` of `train.py`; `initialisation.json` and `synthetic.json` "
        "name their commands. [Protocols](protocol.md) explains the splits; "
        "[Detection](detection.md) is about whole recordings.",
        *study_page.in_short(read("study-confirm.json"), read("study-screen.json")),
        *evidence_page.headline(),
        *evidence_page.narrow(),
        *evidence_page.long(),
        *evidence_page.encoder_only(),
        *evidence_page.asymmetry(),
        *evidence_page.inputs(),
        *evidence_page.averaging(),
        *evidence_page.opinions(),
        *study_page.sections(),
        *mitbih(),
        *initialisation(),
        *synthetic(),
    ]
    write_text(PAGE, "\n\n".join(sections) + "\n")


def mitbih() -> Iterable[str]:
    """Teacher and student on the real records, beside the reference's figures."""
    results = {name: read(f"mitbih-{name}.json") for name in ("teacher", "student")}
    first = results["teacher"]
    yield "## MIT-BIH"
    yield (
        f"Protocol `{first['protocol']}`, fold {first['fold']}, {first['n_test']:,} test beats, "
        f"one seed ({first['seed']}), {first['device']}, {first['date']}. With one run each, the "
        "difference between the two is not evidence of a gain: repeated runs of the reference "
        "range from 0.937 to 0.946. Brackets are 95 % bootstrap intervals over records."
    )
    yield _beside_reference(results)
    yield (
        "AUC and AP are those of the network after the last epoch. Oracle figures need labelled "
        "anomalies: the epoch is the best on validation beats, and F1 is at the best threshold on "
        "the test beats. The published figures are of that kind."
    )
    yield table(
        ("AUC by class", *(f"{k} (n {v['n']:,})" for k, v in first["per_class"].items())),
        [(name, *(claim(row) for row in r["per_class"].values())) for name, r in results.items()],
    )
    yield "A class with fewer than 50 test beats gets no claim."
    yield table(
        ("label-free threshold", "false positives asked for", "measured", "recall", "F1"),
        [
            (
                name,
                f"{100 * row['fpr_target']:.0f} %",
                f"{100 * row['fpr']:.2f} %",
                f"{100 * row['recall']:.2f} %",
                f"{row['f1']:.4f}",
            )
            for name, r in results.items()
            for row in r["label_free"]
        ],
    )
    yield from _over_epochs()


def _beside_reference(results: dict[str, Any]) -> str:
    """A table of both networks and of the reference's."""
    return table(
        ("", "epochs", "AUC", "AP", "AUC, oracle", "AP, oracle", "best F1, oracle"),
        [
            *(
                (
                    name,
                    r["epochs"],
                    f"{r['auc']:.4f} {bracket(r['ci95']['auc'])}",
                    f"{r['ap']:.4f} {bracket(r['ci95']['ap'])}",
                    f"{r['oracle']['auc']:.4f} (epoch {r['oracle']['epoch']})",
                    f"{r['oracle']['ap']:.4f}",
                    f"{r['oracle']['best_f1']:.4f}",
                )
                for name, r in results.items()
            ),
            *(
                (
                    f"{name} (published)",
                    r["epochs"],
                    "",
                    "",
                    f"{r['auc']:.4f}",
                    f"{r['ap']:.4f}",
                    f"{r['best_f1']:.4f}",
                )
                for name, r in REFERENCE.items()
            ),
        ],
    )


def _over_epochs() -> Iterable[str]:
    """How figures vary from epoch to epoch, and the gradients of the student's terms."""
    late = {name: [row["val_auc"] for row in epochs(name)[-10:]] for name in ("teacher", "student")}
    ranges = ", ".join(f"{name} {min(v):.4f} to {max(v):.4f}" for name, v in late.items())
    yield (
        "Figures vary from epoch to epoch. Validation AUC (oracle) over the last "
        f"{len(late['teacher'])} epochs: {ranges}. The network after the last epoch is one draw "
        "from that range."
    )
    rows = epochs("student")
    names = [name for name in rows[0] if name.startswith("grad_norm/")]
    yield (
        "The gradient norm of each weighted term in the student's parameters, after the epoch, "
        "shows that the distillation term has an effect on training."
    )
    shown = [row for row in rows if row["epoch"] in (1, 2, 5, 10, 15, 20, len(rows))]
    norms = table(
        ("epoch", *(name.removeprefix("grad_norm/") for name in names)),
        [(row["epoch"], *(f"{row[name]:.4f}" for name in names)) for row in shown],
    )
    yield folded("Gradient norms by epoch", norms)


def initialisation() -> Iterable[str]:
    """Worst and median over seeds of both starts."""
    found = read("initialisation.json")
    yield "## The first draw of the weights"
    yield (
        f"A full-size teacher on MIT-BIH after {found['steps']} steps, with the same seeds and "
        f"batches for both starts; validation AUC (oracle). {found['device']}, {found['date']}. "
        "`model.output_bias` adds a bias before the last tanh, which starts at the mean beat, and "
        "draws the last kernel with mean zero. Without it the network is the published one."
    )
    yield table(
        ("start", "seeds", "worst", "median", "best"),
        [
            (arm, r["seeds"], *(f"{r[name]:.4f}" for name in ("worst", "median", "best")))
            for arm, r in found["arms"].items()
        ],
    )


def synthetic() -> Iterable[str]:
    """The default command over seeds."""
    found = read("synthetic.json")
    config, pca = found["config"], found["pca"]
    yield "## Synthetic ECG"
    yield (
        f"`python train.py --config configs/student.py` for {len(found['rows'])} seeds: "
        f"{config['epochs']} epochs each of teacher and student, width "
        f"{config['model']['width']}, {found['n_test']:,} test beats, "
        f"{found['device']}, {found['date']}. Intervals are t intervals over seeds."
    )
    yield table(
        ("", "AUC", "95 %", "worst seed"),
        [
            *(
                (
                    name,
                    f"{found[f'{name}_auc']['mean']:.4f}",
                    bracket(found[f"{name}_auc"]["ci95"]),
                    f"{found[f'{name}_auc']['worst']:.4f}",
                )
                for name in ("teacher", "student")
            ),
            (f"PCA reconstruction, {pca['components']} components", f"{pca['auc']:.4f}", "", ""),
        ],
    )
    for name in ("teacher", "student"):
        low, high = found[f"{name}_auc"]["ci95"]
        if low <= pca["auc"] <= high:
            yield f"The {name}'s interval includes the PCA's figure: no difference is shown."


def epochs(name: str) -> list[dict]:
    """The lines of a MIT-BIH run's metrics.jsonl."""
    lines = (FOLDER / f"mitbih-{name}.metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def claim(row: dict) -> str:
    """A class's AUC when it has the beats for it."""
    return f"{row['auc']:.4f}" if row["n"] >= 50 else "no claim"


if __name__ == "__main__":
    main()
