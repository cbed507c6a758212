"""Section of the results page: how AUC changes from epoch to epoch, and what makes it steadier."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from benchmarks.pages.epochs import epochs
from benchmarks.shared import FOLDER, mean, read_if_made, seeded, signed, source, table
from kdjax.scores import metrics

FILE = "steadiness.json"
LONG = "long-*.metrics.jsonl"  # the trainings of 40 and 60 epochs
WEAK = 0.1  # mean loss of a discriminator in an epoch, from which on it is weak
FROM = 11  # the first epoch that counts in long trainings
AIM = 0.005


def steadiness() -> Iterable[str]:
    """AUC over the late epochs, by training and weights; long trainings, by discriminator."""
    found = read_if_made(FILE)
    if found is None:
        return
    rows = found["compared"]
    first, (chosen,) = rows[0], [row for row in rows if _is_chosen(row, found)]
    steadiest = min(rows, key=lambda row: row["spread"]["mean"])
    yield "## What makes AUC steadier from epoch to epoch?"
    yield (
        f"Over epochs {found['from_epoch']} to {found['epochs']}, a seed's AUC spans "
        f"{mean(first['spread'])} as published. It is steadiest with {_named(steadiest)}: "
        f"{mean(steadiest['spread'])}; {_against(steadiest, first)}. The aim, at most {AIM}, was "
        f"{'reached' if steadiest['spread']['mean'] <= AIM else 'missed'}. The reconstruction "
        f"error of held-out normal beats chose {_named(chosen)}; with it, AUC spans "
        f"{mean(chosen['spread'])}; {_against(chosen, first)}."
    )
    yield table(
        (
            "training",
            "weights",
            "error of normal beats",
            "AUC",
            "AUC of the last epoch",
            "span of AUC",
            "minus the first row",
            "change from epoch to epoch",
        ),
        [
            (
                row["training"],
                row["weights"] + (" (chosen)" if row is chosen else ""),
                mean(row["normal_error"]),
                mean(row["auc"]),
                mean(row["auc_of_last_epoch"]),
                mean(row["spread"]),
                signed(row["spread_change"]) if "spread_change" in row else "",
                mean(row["jump"]),
            )
            for row in rows
        ],
    )
    yield (
        "Numbers are decays of an average of the weights over steps (`average_decay`); BatchNorm "
        "statistics are averaged like weights. The falling learning rate follows half a cosine. "
        "The steadiest row was picked by these very spans, and no interval is corrected for the "
        f"number of rows. {_collapsed(rows)}"
    )
    yield _long()
    yield source(
        FILE, *seeded(found), f"`{found['protocol']}` fold {found['fold']}, width {found['width']}"
    )


def _is_chosen(row: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    return all(row[name] == value for name, value in found["chosen"].items())


def _named(row: Mapping[str, Any]) -> str:
    weights = row["weights"]
    kind = weights if weights.startswith("last") else f"averaged weights of decay {weights}"
    return f"{kind} ({row['training']})"


def _against(row: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    """How its span differs from the first row's, seed by seed."""
    if row is first:
        return "that is the published training"
    low, high = row["spread_change"]["ci95"]
    shown = "is shown" if high < 0 or low > 0 else "is not shown"
    return f"the difference, {signed(row['spread_change'])}, {shown}"


def _collapsed(rows: Iterable[Mapping[str, Any]]) -> str:
    """Whether discriminators collapsed in the trainings of the table."""
    count = sum(sum(row["collapsed"]) for row in rows)
    if not count:
        return "No discriminator collapsed in these trainings, so none was drawn anew."
    return f"Discriminators collapsed, and were drawn anew, {count} times."


def _long() -> str:
    """How much validation AUC changes in epochs with a weak discriminator, and in others."""
    weak, strong, difference = [], [], []
    for path in sorted(FOLDER.glob(LONG)):
        rows = epochs(path.name.removesuffix(".metrics.jsonl") + ".json")
        auc = np.array([row["val_auc"] for row in rows])
        loss = np.array([row["D_real"] + row["D_fake"] for row in rows])
        late = np.array([row["epoch"] >= FROM for row in rows])[1:]
        change, is_weak = np.abs(np.diff(auc))[late], (loss > WEAK)[1:][late]
        weak.append(float(change[is_weak].mean()))
        strong.append(float(change[~is_weak].mean()))
        difference.append(weak[-1] - strong[-1])
    return (
        f"Of the {len(weak)} long trainings of widths 16 and 32, it is not recorded when "
        "discriminators were drawn anew, but their losses are: one that was, is weak at first. In "
        f"an epoch with a mean loss above {WEAK}, validation AUC changes by {np.mean(weak):.4f}; "
        f"in the others by {np.mean(strong):.4f} (from epoch {FROM} on; "
        f"difference {signed(metrics.t_interval(difference))} over trainings, some of which share "
        "a seed)."
    )
