"""docs/reference/mitbih-w8.md, what a reader wants to know of the shipped detector.

python -m benchmarks.pages.card
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.shared import bracket, folded, table
from kdjax.detection import detector_files
from kdjax.files import write_text

NAME = "mitbih-w8"
PAGE = Path(__file__).parents[2] / f"docs/reference/{NAME}.md"


def main() -> None:
    """Writes the page; all of it is read from the card."""
    card = detector_files.read_card(detector_files.shipped()[NAME])["card"]
    sections = [
        f"# The shipped detector {NAME}",
        f"{card['what']}. It comes with kdjax: `kdjax detect {NAME} RECORDING` uses it. Programs "
        f"find all of this in `kdjax/shipped/{NAME}/card.json`, from which `python -m "
        "benchmarks.pages.card` makes this page.",
        "## Limits",
        "\n".join(f"- {limit[0].upper()}{limit[1:]}." for limit in card["limits"]),
        "## Figures",
        f"Beats of people who are not in the training data ({card['protocol']}), cut around their "
        "annotations. Intervals are 95 % t intervals over ten networks that differ in their seeds "
        "alone; the shipped one is the first of them, which no score chose. *Fusion* joins shape "
        "and timing "
        "([Results](../evidence/results.md#how-do-scores-and-simple-detectors-compare)). "
        "`kdjax detect` decides by kinds of beats, in which the anomaly of the shape is one term; "
        "[Detection](../evidence/detection.md) has their figures.",
        _figures(card),
        "## How it was made",
        _facts(card),
        folded("Versions and fingerprints", _fingerprints(card)),
    ]
    write_text(PAGE, "\n\n".join(sections) + "\n")


def _figures(card: Mapping[str, Any]) -> str:
    """AUC and AP by score, of the shipped network and of all ten."""
    head = ("score", "AUC", "AUC of ten", "AP", "AP of ten", "S", "V", "F")
    rows = []
    for score, found in card["figures"].items():
        own = card["this_one"][score]
        pairs = [
            text
            for name in ("auc", "ap")
            for text in (f"{own[name]:.4f}", f"{found[name]['mean']:.4f} {_interval(found[name])}")
        ]
        rows.append((score, *pairs, *(f"{found['per_class'][k]['mean']:.3f}" for k in "SVF")))
    return (
        f"{table(head, rows)}\n\nS, V and F: AUC of each class against normal beats, mean of ten."
    )


def _interval(found: Mapping[str, Any]) -> str:
    return bracket(found["ci95"])


def _facts(card: Mapping[str, Any]) -> str:
    size = f"{card['params']:,} parameters, {card['bytes'] / 1e6:.2f} MB"
    return table(
        ("", ""),
        (
            ("trained on", card["trained_on"]),
            ("made with", card["made_with"]),
            ("data", card["data"]),
            ("licence", card["licence"]),
            ("what labels chose", card["chosen_how"]),
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
    return table(("", "SHA-256, except of versions"), rows)


if __name__ == "__main__":
    main()
