"""What the cells of a study say together: means over seeds, paired differences, a table.

A cell is the plain data of a cell.json; `scores` in it is a list with the plain score first.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kdjax.scores import metrics

ALONE = "alone"  # the variant that all students are compared with
CONTROL = "alone-reconstruction"  # without a teacher, with reconstruction's own weight raised
PLAIN = "mse"

Cell = Mapping[str, Any]


def together(cells: Mapping[str, Sequence[Cell]], scores: Sequence[str]) -> dict[str, Any]:
    """One split: every variant's figures over its seeds, and the students' differences.

    Args:
        cells: by variant, one a seed, in the same order of seeds.
        scores: kinds of score, beside the plain one, that differences are taken of.
    """
    first = next(iter(cells.values()))[0]
    return {
        "n_test": first["n_test"],
        "n_abnormal": first["n_abnormal"],
        "variants": {name: _over_seeds(of_variant) for name, of_variant in cells.items()},
        "differences": _differences(cells, scores),
    }


def figures(cells: Sequence[Cell], name: str, kind: str = PLAIN) -> list[float]:
    """'auc', 'ap' or 'validation_auc' of each seed, under a score without adaptation."""
    return [
        row[name]
        for cell in cells
        for row in cell["scores"]
        if (row["score"], row["adaptation"]) == (kind, "none")
    ]


def in_short(cells: Sequence[Cell], alone: Sequence[Cell] | None) -> str:
    """A variant's AUC in a line, beside the student that learnt alone where that is known."""
    auc = figures(cells, "auc")
    if len(auc) < 2:
        return f"AUC {auc[0]:.4f}"
    found = metrics.t_interval(auc)
    line = f"AUC {found['mean']:.4f} {_bracket(found)}"
    if alone is None or alone[0]["variant"] == cells[0]["variant"]:
        return line
    difference = metrics.paired_difference(auc, figures(alone, "auc"))
    return f"{line}, {difference['mean']:+.4f} {_bracket(difference)} against {ALONE}"


def table(split: Mapping[str, Any]) -> str:
    """One split of study.json as lines of text."""
    lines = [
        f"{split['protocol']}, fold {split['fold']}, "
        f"{split['epochs']} epoch{'s' * (split['epochs'] != 1)}, "
        f"{split['n_test']} test beats, plain score"
    ]
    for name, variant in split["variants"].items():
        auc = variant["scores"][0]["auc"]
        line = f"{name:28} AUC {auc['mean']:.4f} {_bracket(auc)}"
        if name in split["differences"]:
            difference = split["differences"][name][f"auc ({PLAIN})"]
            line += f"  {difference['mean']:+.4f} {_bracket(difference)}"
            line += f" Holm p {difference['p_holm']:.3f}"
        lines.append(line)
    lines += [f"{name:28} AUC {row['auc']:.4f}" for name, row in split["baselines"].items()]
    return "\n".join(lines)


def _bracket(found: Mapping[str, Any]) -> str:
    return f"[{found['ci95'][0]:.4f}, {found['ci95'][1]:.4f}]"


def _over_seeds(cells: Sequence[Cell]) -> dict[str, Any]:
    """One variant on one split: every figure over its seeds."""
    first = cells[0]
    agreement = [cell["agreement"] for cell in cells]
    return {
        "teacher": first["teacher"],
        "scores": [
            {"score": row["score"], "adaptation": row["adaptation"]}
            | {
                name: metrics.t_interval([cell["scores"][i][name] for cell in cells])
                for name in ("auc", "ap", "validation_auc")
            }
            | {"per_class": _classes([cell["scores"][i] for cell in cells])}
            for i, row in enumerate(first["scores"])
        ],
        "agreement": None if None in agreement else metrics.t_interval(agreement),
        "selected": [cell["metrics"][-1].get("selected") for cell in cells],
        "epoch_seconds": sum(cell["epoch_seconds"] for cell in cells) / len(cells),
        **{name: first[name] for name in ("params", "macs", "bytes")},
        "cells": [
            {name: cell[name] for name in ("seed", "device", "code", "versions", "date")}
            | {"model": cell["fingerprints"]["model"]}
            | {name: cell["scores"][0][name] for name in ("auc", "ap", "validation_auc")}
            for cell in cells
        ],
    }


def _classes(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """AUC by class over seeds; a class with fewer than 50 test beats makes no claim."""
    return {
        name: metrics.t_interval([row["per_class"][name]["auc"] for row in rows])
        for name, found in rows[0]["per_class"].items()
        if found["n"] >= metrics.FEWEST_FOR_A_CLAIM
    }


def _differences(cells: Mapping[str, Sequence[Cell]], scores: Sequence[str]) -> dict[str, Any]:
    """Every student against the one of its size that learnt alone, paired by seed.

    Students with a teacher are compared with it, where it is a network, and with the control of
    their size, where there is one. p values of the plain AUC are corrected for their number (Holm);
    the others are not.
    """
    found: dict[str, Any] = {}
    for name, mine in cells.items():
        other = _of_size(cells, ALONE, mine)
        if mine[0]["role"] != "student" or other in (None, name):
            continue
        alone = cells[other]
        found[name] = {"against": other} | {
            f"{what} ({kind})": metrics.paired_difference(
                figures(mine, what, kind), figures(alone, what, kind)
            )
            for kind in (PLAIN, *scores)
            for what in ("auc", "ap")
        }
        if len(mine) > 2:
            found[name]["spread"] = metrics.pitman_morgan(
                figures(mine, "auc"), figures(alone, "auc")
            )
        teacher, control = mine[0]["teacher"], _of_size(cells, CONTROL, mine)
        if teacher and control:
            found[name]["to control"] = metrics.paired_difference(
                figures(mine, "auc"), figures(cells[control], "auc")
            )
        if teacher in cells:
            found[name]["to teacher"] = metrics.paired_difference(
                figures(mine, "auc"), figures(cells[teacher], "auc")
            )
    corrected = metrics.holm([row[f"auc ({PLAIN})"]["p"] for row in found.values()])
    for row, p in zip(found.values(), corrected, strict=True):
        row[f"auc ({PLAIN})"]["p_holm"] = p
    return found


def is_sized(name: str, what: str) -> bool:
    """Whether a variant's name is `what`, or that with a width behind it."""
    return re.fullmatch(rf"{what}(-\d+)?", name) is not None


def _of_size(cells: Mapping[str, Sequence[Cell]], name: str, mine: Sequence[Cell]) -> str | None:
    """The variant of this size and name: `name` itself, or `name`-<width>."""
    sized = [other for other in cells if is_sized(other, name)]
    same = [other for other in sized if cells[other][0]["params"] == mine[0]["params"]]
    return same[0] if same else None
