"""Section of the results page: networks of full size beside the reference's published figures."""

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.pages.epochs import Line, aucs, drawn, epochs
from benchmarks.shared import FOLDER, bracket, folded, picture, read, source, table

# BeatGAN with a distilled copy of itself, as its authors reported it: one run each, best epoch and
# best threshold by test labels, and a distillation term that was a constant.
REFERENCE = {
    "reference teacher": {"epochs": 100, "auc": 0.9372, "ap": 0.9048, "best_f1": 0.8075},
    "reference student": {"epochs": 100, "auc": 0.9464, "ap": 0.9134, "best_f1": 0.8224},
}
NEAR = 0.005  # of the reference student, without looking at labels: the aim
LAST = 10  # epochs whose spread is shown
STUDENT = "mitbih-student.json"
# Full size, in the order of the table; those of 60 epochs as they are made.
FILES = (
    ("teacher", "long-32-50-teacher.json"),
    ("student", "long-32-50-response.json"),
    ("student alone", "long-32-50-alone.json"),
    ("teacher", "mitbih-teacher.json"),
    ("student", STUDENT),
)
COLOURS = {"teacher": "#1a1a1a", "student": "#d55e00", "student alone": "#0072b2"}


def reference() -> Iterable[str]:
    """Teacher and student on the real records, beside the reference's figures."""
    runs = [(name, file, read(file)) for name, file in FILES if (FOLDER / file).exists()]
    results = [(name, result) for name, _, result in runs]
    first = results[0][1]
    yield "## How does kdjax compare with the published reference?"
    yield _said(results)
    yield _beside_reference(runs)
    yield (
        "The reference is the PyTorch work that kdjax began from: BeatGAN with a distilled copy of "
        "itself, one run each. AUC and AP without *oracle* are those of the network after the last "
        "epoch, with 95 % bootstrap intervals over records. Oracle figures take the best epoch on "
        "validation beats, and F1 at the best threshold on the test beats; the published figures "
        "are of that kind."
    )
    yield table(
        ("AUC of a class", *(f"{k} (n {v['n']:,})" for k, v in first["per_class"].items())),
        [
            (_called(name, r), *(claim(row) for row in r["per_class"].values()))
            for name, r in results
        ],
    )
    yield "Nothing is claimed for a class with fewer than 50 test beats."
    thresholds = table(
        ("network", "false-positive rate requested", "measured", "recall", "F1"),
        [
            (
                _called(name, r),
                f"{100 * row['fpr_target']:.0f} %",
                f"{100 * row['fpr']:.2f} %",
                f"{100 * row['recall']:.2f} %",
                f"{row['f1']:.4f}",
            )
            for name, r in results
            for row in r["label_free"]
        ],
    )
    yield folded("Thresholds set without labels", thresholds)
    yield from _over_epochs(runs)
    yield source(
        [file for _, file, _ in runs],
        "the `result.json` of `kdjax train`",
        f"protocol `{first['protocol']}`, fold {first['fold']}",
        *dict.fromkeys(f"seed {r['seed']}" for _, r in results),
        f"{first['n_test']:,} test beats",
        *dict.fromkeys(r["date"] for _, r in results),
    )


def claim(row: Mapping[str, Any]) -> str:
    """A class's AUC when it has the beats for it."""
    return f"{row['auc']:.4f}" if row["n"] >= 50 else "no claim"


def _called(name: str, result: Mapping[str, Any]) -> str:
    return f"{name}, {result['epochs']} epochs"


def _said(results: list[tuple[str, Any]]) -> str:
    """What each length of training reached, whether the aim was, and what one run shows."""
    lengths = dict.fromkeys(result["epochs"] for _, result in results)
    sentences = []
    for length in lengths:
        own = [(name, r) for name, r in results if r["epochs"] == length]
        names = _and([f"the {name}" for name, _ in own])
        last = _and([f"{r['auc']:.4f}" for _, r in own])
        best = _and([f"{r['oracle']['auc']:.4f}" for _, r in own])
        has = "has" if len(own) == 1 else "have"
        sentences.append(
            f"After {length} epochs, {names} {has} an AUC of {last}; at the best epoch, which an "
            f"oracle chose, {best}."
        )
    published = REFERENCE["reference student"]
    least = published["auc"] - NEAR
    reached = any(name == "student" and result["auc"] >= least for name, result in results)
    both = _and([f"{row['auc']:.4f}" for row in REFERENCE.values()])
    return (
        f"{' '.join(sentences)} The reference reports {both} for the best of "
        f"{published['epochs']} epochs. The student's aim, {least:.4f} without looking at labels, "
        f"was {'reached' if reached else 'missed'}. With one run each, a difference between "
        "networks is not evidence of a gain."
    )


def _and(words: list[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def _beside_reference(runs: list[tuple[str, str, Any]]) -> str:
    """A table of all networks and of the reference's."""
    return table(
        ("", "epochs", "hours", "AUC", "AP", "AUC (oracle)", "AP (oracle)", "best F1 (oracle)"),
        [
            *(
                (
                    name,
                    r["epochs"],
                    f"{sum(row['seconds'] for row in epochs(file)) / 3600:.1f}",
                    f"{r['auc']:.4f} {bracket(r['ci95']['auc'])}",
                    f"{r['ap']:.4f} {bracket(r['ci95']['ap'])}",
                    f"{r['oracle']['auc']:.4f} (epoch {r['oracle']['epoch']})",
                    f"{r['oracle']['ap']:.4f}",
                    f"{r['oracle']['best_f1']:.4f}",
                )
                for name, file, r in runs
            ),
            *(
                (
                    f"{name} (published)",
                    r["epochs"],
                    "",
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


def _over_epochs(runs: list[tuple[str, str, Any]]) -> Iterable[str]:
    """How figures vary from epoch to epoch, and the gradients of the student's terms."""
    curves = [(name, result["epochs"], aucs(file)) for name, file, result in runs]
    late = ", ".join(
        f"{name} of {length} epochs {min(auc[-LAST:]):.4f} to {max(auc[-LAST:]):.4f}"
        for name, length, auc in curves
    )
    yield (
        "AUC varies from epoch to epoch, so the network after the last epoch is one draw. "
        f"Validation AUC (oracle) over the last {LAST} epochs: {late}."
    )
    longest = max(length for _, length, _ in curves)
    yield picture(
        drawn(
            Line(name, COLOURS[name], "-" if length == longest else ":", auc)
            for name, length, auc in curves
        ),
        "reference.png",
        "Validation AUC by epoch: plain score, one line for each network of full size, dotted for "
        "the shorter trainings. It needs labelled anomalies (oracle).",
    )
    rows = epochs(STUDENT)
    names = [name for name in rows[0] if name.startswith("grad_norm/")]
    some = [row for row in rows if row["epoch"] in (1, 2, 5, 10, 15, 20, len(rows))]
    norms = table(
        ("epoch", *(f"`{name.removeprefix('grad_norm/')}`" for name in names)),
        [(row["epoch"], *(f"{row[name]:.4f}" for name in names)) for row in some],
    )
    what = (
        "Norm of the gradient of each weighted term in the student's parameters, after the epoch, "
        f"in the training of {rows[-1]['epoch']} epochs. "
        "`kd_response` is the distillation term: it has an effect on training."
    )
    yield folded("Gradient norms by epoch", f"{what}\n\n{norms}")
