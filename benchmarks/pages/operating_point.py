"""The section of the detection page on the false-positive rate in use."""

from collections.abc import Iterable
from typing import Any

from benchmarks.pages.kinds import (
    COSTS,
    DECISIONS,
    by_people,
    costs,
    exactly,
    pair,
    percent,
    reviewed,
)
from benchmarks.shared import folded, read, source, table
from kdjax.detection.deciding import FPR

TWELFTH = "kinds-twelfth.json"  # the evaluation before the false-positive rate was lowered
THIRTEENTH = "kinds-thirteenth.json"  # the one after it
BEFORE = 0.0075  # the false-positive rate of the 12th version


def operating_point() -> Iterable[str]:
    """What chose the rate on DS1, and what came of it on DS2."""
    found = read(THIRTEENTH)
    yield "## How was the operating point chosen?"
    chosen, before = (_at_rate(found, rate, DECISIONS) for rate in (FPR, BEFORE))
    yield (
        f"A false-positive rate of {exactly(FPR)} was chosen on DS1, with the weights for each "
        f"record fitted on the other records. After {DECISIONS} decisions in each recording, VEB "
        f"Se is {pair(chosen, 'V')} with it and {pair(before, 'V')} with {exactly(BEFORE)}, the "
        f"rate before; SVEB Se is {pair(chosen, 'S')} and {pair(before, 'S')}, and there are "
        f"{chosen['false_alarms_per_hour']:.0f} and {before['false_alarms_per_hour']:.0f} false "
        "alarms an hour. The balance between VEB and SVEB, each of which has its own log odds, was "
        "chosen on DS1, too."
    )
    yield _confirmed(found)
    yield table(
        ("rate", "decisions", *COSTS),
        ((exactly(row["rate"]), row["decisions"], *costs(row)) for row in found["rates"]),
    )
    yield (
        "This section has the figures of the 13th evaluation, which followed the choice. The "
        "thresholds of its table are quantiles of the scores of all normal beats. The detector's "
        "own threshold was slightly lower then, because of a bug that was fixed before the 18th "
        f"evaluation. So VEB Se was {by_people(found, 'DS1')['V Se']:.1f} % on DS1 with the "
        "detector's threshold, and "
        f"is {_at_rate(found, FPR, 0)['V Se']:.1f} % at {exactly(FPR)} in this table."
    )
    yield from _tried(found)
    yield source([THIRTEENTH, TWELFTH], f"`{found['command']}`", found["date"])


def _at_rate(found: dict[str, Any], rate: float, decisions: int) -> dict[str, Any]:
    """DS1 at a false-positive rate, after so many decisions."""
    return next(r for r in found["rates"] if (r["rate"], r["decisions"]) == (rate, decisions))


def _tried(found: dict[str, Any]) -> Iterable[str]:
    """What was tried on DS1 beside the operating point."""
    personal = table(
        ("share", "achieved, median", "achieved, worst", *COSTS),
        (
            (f"{row['share']:g}", percent(row["median"]), percent(row["worst"]), *costs(row))
            for row in found["personal"]
        ),
    )
    what = (
        "The threshold is raised for a person by a share of the distance between the median score "
        "of their commonest shape in the first five minutes and the usual one (DS1, rate "
        f"{exactly(FPR)}). *Achieved* is the share of a person's normal beats that is flagged."
    )
    yield folded("Tried and not in use: a threshold for each person", f"{what}\n\n{personal}")
    steady = table(
        ("terms of a steady rhythm", "rate", *COSTS),
        (
            ("yes" if row["terms"] == "all" else "no", exactly(row["rate"]), *costs(row))
            for row in read(TWELFTH)["rates"]
        ),
    )
    what = (
        "Some terms of SVEBs weigh timing by how steady the rhythm is. Without them, what remains "
        "is how early a beat is, weighed by how regular the rhythm is or how well P waves are seen "
        "(DS1, no decisions, 12th evaluation)."
    )
    yield folded("Tried and not in use: no terms of a steady rhythm", f"{what}\n\n{steady}")


def _confirmed(found: dict[str, Any]) -> str:
    """What the rate and the one before give on DS2, where neither was chosen."""
    now, then = reviewed(found), reviewed(read(TWELFTH))
    names = {"VEB Se": "V Se", "VEB +P": "V +P", "SVEB Se": "S Se", "SVEB +P": "S +P"}
    lower = [words for words, name in names.items() if now[name] < then[name]]
    verdict = f"lower with {exactly(FPR)}: {', '.join(lower)}" if lower else "no rate is lower"
    return (
        f"On DS2, VEB Se after {DECISIONS} decisions is {pair(now, 'V')} with {exactly(FPR)} and "
        f"{pair(then, 'V')} with {exactly(BEFORE)}, SVEB Se {pair(now, 'S')} and "
        f"{pair(then, 'S')}, with {now['false_alarms_per_hour']:.0f} and "
        f"{then['false_alarms_per_hour']:.0f} false alarms an hour ({verdict})."
    )
