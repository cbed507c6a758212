"""The sections of the results page on R-peaks and on noise."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.shared import folded, read, table

GROUPS, DETECTORS = ("48", "DS1", "DS2", "paced"), ("kdjax", "sleepecg", "NeuroKit2")
SHOWN = ("48", "DS2")
MANY = 3  # errors more than another detector, from which on a reason is given
# Why a record costs kdjax more than another detector, seen by looking at the beats concerned.
WHY = {
    "104": "muscle noise that looks like beats, in the sixth minute",
    "105": "motion that looks like beats",
    "116": "the lead is lost for seconds",
    "222": "atrial waves between beats",
    "228": "normal beats, much lower than the ventricular ones with which they alternate",
    "232": "T waves before long pauses",
}


def sections() -> Iterable[str]:
    """What `benchmarks.quality.rpeaks`, `.robustness.noise_stress` and `.fit_quality` measured."""
    yield from _peaks(read("rpeaks.json"))
    yield from _noise(read("noise-stress.json"))
    yield from _index(read("quality.json"))


def _peaks(found: dict[str, Any]) -> Iterable[str]:
    yield "## R-peaks, by EC57"
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    yield (
        f"`{found['command']}`, {found['date']}, {found['made_by']['device']}; {versions}: the 48 "
        "records from minute 5, on lead MLII or, where there is none, the first lead; a match is "
        "within 150 ms. The detector was developed on DS1. Earlier forms of it were tested on DS2, "
        "but this form was not chosen there, although it was known from them that T waves before "
        "long pauses, in record 232, cost most. gqrs and EP Limited's analyser are quoted, not run "
        "here: `bxb` counted their results on the first lead of the same records."
    )
    head = ("records", "detector", "QRS Se", "+P", "average Se", "+P", "missed", "false")
    head = (*head, "VEBs missed")
    rows = [_gross(group, name, found) for group in GROUPS for name in DETECTORS]
    rows += [
        (
            *reversed(name.split(", ")),
            _percent(row["se"]),
            _percent(row["p"]),
            *[""] * 4,
            row["ventricular_missed"],
        )
        for name, row in found["quoted"].items()
    ]
    yield table(head, [row for row in rows if row[0] in SHOWN])
    yield folded("DS1 and the paced records", table(head, [r for r in rows if r[0] not in SHOWN]))
    lost = {
        name: _sum(of["kdjax"]) - min(_sum(row) for row in of.values())
        for name, of in found["records"].items()
    }
    few = sum(0 < count < MANY for count in lost.values())
    yield (
        f"Records on which another detector makes at least {MANY} errors fewer, counting missed "
        f"and false beats (on {few} more records it makes one or two fewer):"
    )
    yield table(
        ("record", "kdjax, missed + false", "sleepecg", "NeuroKit2", "why"),
        (
            (name, *(_errors(row) for row in of.values()), WHY.get(name, "not looked at"))
            for name, of in found["records"].items()
            if lost[name] >= MANY
        ),
    )
    every = table(
        ("record", "beats", "QRS Se", "+P", "missed", "false", "VEBs", "VEBs missed"),
        (
            (
                name,
                row["beats"],
                _percent(row["se"]),
                _percent(row["p"]),
                row["missed"],
                row["false"],
                row["ventricular"],
                row["ventricular_missed"],
            )
            for name, row in ((name, rows["kdjax"]) for name, rows in found["records"].items())
        ),
    )
    yield folded("Every record", every)
    yield from _taken_out(found["taken_out"])


def _taken_out(rows: Sequence[dict[str, Any]]) -> Iterable[str]:
    yield (
        "The same detector on DS1 with beats removed. P waves that no beat follows, as in AV "
        "block, must not count as beats, nor T waves before a pause. False beats are those found "
        "where none is left, and not in the whole record:"
    )
    made = {row["made"]: [one for one in rows if one["made"] == row["made"]] for row in rows}
    head = ("removed", "beats removed", "false", "missed", "records with most false")
    yield table(
        head,
        (
            (
                what,
                sum(row["taken_out"] for row in some),
                sum(row["false"] for row in some),
                f"{sum(row['missed'] for row in some)} of {sum(row['beats'] for row in some)}",
                ", ".join(
                    f"{row['record']} ({row['false']})"
                    for row in sorted(some, key=lambda row: -row["false"])[:3]
                ),
            )
            for what, some in made.items()
        ),
    )


def _gross(group: str, detector: str, found: dict[str, Any]) -> tuple[Any, ...]:
    gross, average = (found[kind][f"{detector}, {group}"] for kind in ("gross", "average"))
    rates = (_percent(row[name]) for row in (gross, average) for name in ("se", "p"))
    counts = (gross[name] for name in ("missed", "false", "ventricular_missed"))
    return (group, detector, *rates, *counts)


def _noise(found: dict[str, Any]) -> Iterable[str]:
    yield "## Noise"
    after = [row["lost_s"] for row in found["after"]]
    late = [row for row in found["after"] if row["lost_s"] > 3]
    yield (
        f"`{found['command']}`, {found['date']}, {found['made_by']['device']}: records "
        f"{', '.join(found['records'])} with noise added to two minutes of every four from minute "
        "5, after Moody et al. (1984); the noise is synthetic. Se and +P are of minutes 5 to 30, "
        "all other columns of the noisy minutes only. The signal quality index was fitted to the "
        "same kind of motion on DS1, to which these records belong."
    )
    yield "![R-peaks and signal quality under noise](../results/noise-stress.png)"
    head = ("noise", "dB", "QRS Se", "+P", "false beats in noise", "of these called good")
    head = (*head, "good beats lost", "time marked unfit")
    rows = [
        (
            row["kind"],
            "" if row["snr_db"] is None else f"{row['snr_db']:g}",
            _percent(row["se"]),
            _percent(row["p"]),
            row["noisy_false"],
            _share(row["noisy_false_good"], row["noisy_false"]),
            f"{row['good_lost']} of {row['good_before']}",
            _share(row["noisy_unfit_s"], row["noisy_s"]),
        )
        for row in found["by_snr"]
    ]
    yield table(head, [row for row in rows if row[0] in ("none", "motion")])
    others = [row for row in rows if row[0] not in ("none", "motion")]
    yield folded("Muscle, wander and hum", table(head, others))
    soon = len(after) - len(late)
    slow = "; ".join(
        f"{row['record']}, {row['kind']} at {row['db']} dB: {row['lost_s']:.1f} s" for row in late
    )
    yield (
        "After 30 s of noise with the power of the beats, or sixteen times that, the last beat "
        f"that is missed, added or not good comes at most 3 s later in {soon} of "
        f"{len(after)} cases{f' (the others: {slow})' if late else ''}."
    )


def _index(found: dict[str, Any]) -> Iterable[str]:
    weights = ", ".join(f"{name} {value:g}" for name, value in found["weights"].items())
    yield (
        f"The constants of the signal quality index (`{found['command']}`, {found['date']}, fitted "
        f"on DS1): {weights}; a beat is good from {found['least']:g} up. Peaks of DS1 whose index "
        "is good; with motion, those of the noisy minutes only:"
    )
    kinds = ("false", "other", "ventricular")
    rows = [
        (
            "none" if row["snr_db"] is None else f"{row['snr_db']:g}",
            *(f"{row[kind + '_good']} of {row[kind]}" for kind in kinds),
        )
        for row in found["good"]
    ]
    yield table(("motion, dB", "false beats", "other beats", "ventricular beats"), rows)


def _errors(row: dict[str, Any]) -> str:
    return f"{row['missed']} + {row['false']}"


def _sum(row: dict[str, Any]) -> int:
    return row["missed"] + row["false"]


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""
