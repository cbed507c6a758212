"""docs/reference/mitbih-w8.md, what a reader wants to know about the shipped detector.

python -m benchmarks.pages.card
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.shared import folded, mean, page, table
from kdjax.detection import detector_files
from kdjax.files import write_text

NAME = "mitbih-w8"
ADAPTED = "fusion, adapted to the first 5 minutes"
PAGE = Path(__file__).parents[2] / f"docs/reference/{NAME}.md"


def main() -> None:
    """Writes the page; all of it is read from the card."""
    card = detector_files.read_card(detector_files.shipped()[NAME])["card"]
    sections = [
        f"# The shipped detector {NAME}",
        f"{card['what']}. It comes with kdjax; `kdjax detect {NAME} RECORDING` uses it. "
        "[Detection](../evidence/detection.md) has its figures on whole recordings.",
        "## Limits",
        "\n".join(f"- {limit[0].upper()}{limit[1:]}." for limit in card["limits"]),
        "## Scores of single beats",
        f"On people outside the training data, the fused score, adapted to the first five minutes, "
        f"has an AUC of {card['this_one'][ADAPTED]['auc']:.4f}; the mean of ten networks that "
        f"differ only in their seeds is {mean(card['figures'][ADAPTED]['auc'])}.",
        _figures(card),
        f"Beats were cut around their annotations ({card['protocol']}). Brackets are 95 % t "
        "intervals over the ten networks; the shipped one is the first of them, and no score chose "
        "it. AUC of S, V and F is that of supraventricular, ventricular and fusion beats against "
        "normal beats, mean of ten. *Fusion* combines residual, latent and prematurity "
        "([Results](../evidence/results.md#how-do-scores-and-simple-detectors-compare)). "
        "`kdjax detect` decides by the log odds of kinds of beats. One of their terms is the "
        "adapted fusion, there called anomaly score.",
        "## How it was made",
        _facts(card),
        folded("Versions and fingerprints", _fingerprints(card)),
        f"This page shows what `kdjax/shipped/{NAME}/card.json` holds for programs; `python -m "
        "benchmarks.pages.card` makes it.",
    ]
    write_text(PAGE, page(sections))


def _figures(card: Mapping[str, Any]) -> str:
    """AUC and AP by score, of the shipped network and of all ten."""
    head = ("score", "AUC", "AUC, ten networks", "AP", "AP, ten networks")
    head = (*head, "AUC of S", "of V", "of F")
    rows = []
    for score, found in card["figures"].items():
        own = card["this_one"][score]
        pairs = [text for name in ("auc", "ap") for text in (f"{own[name]:.4f}", mean(found[name]))]
        rows.append((score, *pairs, *(f"{found['per_class'][k]['mean']:.3f}" for k in "SVF")))
    return table(head, rows)


def _facts(card: Mapping[str, Any]) -> str:
    size = f"{card['params']:,} parameters, {card['bytes'] / 1e6:.2f} MB"
    return table(
        ("", ""),
        (
            ("trained on", card["trained_on"]),
            ("made with", card["made_with"]),
            ("data", card["data"]),
            ("licence", card["licence"]),
            ("chosen with labels", card["chosen_how"]),
            ("thresholds", card["thresholds"]),
            ("size", f"{size}; {card['macs']:,} multiply-accumulates a beat"),
            ("date", card["date"]),
            ("device", card["made_by"]["device"]),
        ),
    )


def _fingerprints(card: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {v}" for name, v in card["made_by"]["versions"].items())
    prints = card["fingerprints"] | {"code": card["made_by"]["code"]}
    rows = [("versions", versions), *((name, f"`{value}`") for name, value in prints.items())]
    return table(("", "SHA-256, or versions"), rows)


if __name__ == "__main__":
    main()
