"""The sections of the detection page on R-peaks, and on R-peaks in noise."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.shared import captioned, folded, read, source, table

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
    """What `benchmarks.quality.rpeaks` measured."""
    found = read("rpeaks.json")
    yield from _peaks(found)
    yield from _others(found)
    yield from _taken_out(found)


def noise() -> Iterable[str]:
    """What `benchmarks.robustness.noise_stress` and `.fit_quality` measured."""
    yield from _noise(read("noise-stress.json"))
    yield from _index(read("quality.json"))


def _source(found: dict[str, Any], name: str) -> str:
    versions = [f"{software} {version}" for software, version in found.get("versions", {}).items()]
    return source(name, f"`{found['command']}`", *versions, found["date"])


def _higher(found: dict[str, Any]) -> str:
    """Which detectors have a higher Se or +P than kdjax, as printed."""
    higher = [
        f"{detector} on {group}"
        for group in SHOWN
        for name, row in (found["gross"] | found["quoted"]).items()
        for detector in [name.removesuffix(f", {group}")]
        if detector != name and any(_higher_than(found, group, row, of=of) for of in ("se", "p"))
    ]
    if not higher:
        return "In this table, no other detector has a higher Se or +P."
    return f"These have a higher Se or +P: {', '.join(higher)}."


def _higher_than(found: dict[str, Any], group: str, row: dict[str, Any], *, of: str) -> bool:
    return round(row[of], 4) > round(found["gross"][f"kdjax, {group}"][of], 4)


def _peaks(found: dict[str, Any]) -> Iterable[str]:
    yield "## How well are R-peaks detected?"
    of_48, of_ds2 = (found["gross"][f"kdjax, {group}"] for group in SHOWN)
    yield (
        f"On all 48 records, kdjax detects {_percent(of_48['se'])} % of the beats (+P "
        f"{_percent(of_48['p'])} %); on DS2, {_percent(of_ds2['se'])} % (+P "
        f"{_percent(of_ds2['p'])} %). {_higher(found)}"
    )
    head = ("records", "detector", "Se, %", "+P, %", "average Se, %", "average +P, %")
    head = (*head, "missed", "false", "VEBs missed")
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
    every = table(
        ("record", "beats", "Se, %", "+P, %", "missed", "false", "VEBs", "VEBs missed"),
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
    yield (
        "Se and +P are gross (every beat weighs the same), average Se and +P are means over "
        "records. Beats count from minute 5, on lead MLII or, where there is none, the first lead; "
        "a match is within 150 ms. The detector was developed on DS1. Earlier versions were tested "
        "on DS2; this one was not chosen there, but it was known that T waves before long pauses, "
        "in record 232, caused most errors. gqrs and EP Limited's analyser were not run here: "
        "their figures are those that `bxb` counted on the first lead of the same records."
    )
    yield _source(found, "rpeaks.json")


def _others(found: dict[str, Any]) -> Iterable[str]:
    """Records on which another detector does better, and why."""
    lost = {
        name: _sum(of["kdjax"]) - min(_sum(row) for row in of.values())
        for name, of in found["records"].items()
    }
    many = sum(count >= MANY for count in lost.values())
    few = sum(0 < count < MANY for count in lost.values())
    yield "### Where are other detectors better?"
    yield (
        f"On {many} records, another detector that was run makes at least {MANY} errors (missed or "
        f"false beats) fewer than kdjax; on {few} more, it makes one or two fewer."
    )
    yield table(
        ("record", "kdjax, missed + false", "sleepecg", "NeuroKit2", "what kdjax gets wrong"),
        (
            (name, *(_errors(row) for row in of.values()), WHY.get(name, "not looked at"))
            for name, of in found["records"].items()
            if lost[name] >= MANY
        ),
    )


def _taken_out(found: dict[str, Any]) -> Iterable[str]:
    made: dict[str, list[dict[str, Any]]] = {}
    for row in found["taken_out"]:
        made.setdefault(row["made"], []).append(row)
    false = "; ".join(
        f"{_total(some, 'false'):,} with {what} removed ({_total(some, 'taken_out'):,} beats)"
        for what, some in made.items()
    )
    yield "### Are P or T waves taken for beats?"
    yield (
        "For this test, beats were removed from the signals of DS1. Two kinds of waves remain that "
        "must not count as beats: P waves that no beat follows, as in AV block, and T waves before "
        f"a pause. False beats: {false}."
    )
    yield table(
        ("removed", "beats removed", "false", "missed", "records with most false beats"),
        (
            (
                what,
                f"{_total(some, 'taken_out'):,}",
                _total(some, "false"),
                f"{_total(some, 'missed')} of {_total(some, 'beats'):,}",
                ", ".join(
                    f"{row['record']} ({row['false']})"
                    for row in sorted(some, key=lambda row: -row["false"])[:3]
                ),
            )
            for what, some in made.items()
        ),
    )
    yield (
        "A false beat is one that is detected where none is left and that is not detected in the "
        "whole record."
    )


def _total(rows: Sequence[dict[str, Any]], name: str) -> int:
    return sum(row[name] for row in rows)


def _gross(group: str, detector: str, found: dict[str, Any]) -> tuple[Any, ...]:
    gross, average = (found[kind][f"{detector}, {group}"] for kind in ("gross", "average"))
    rates = (_percent(row[name]) for row in (gross, average) for name in ("se", "p"))
    counts = (gross[name] for name in ("missed", "false", "ventricular_missed"))
    return (group, detector, *rates, *counts)


def _noise(found: dict[str, Any]) -> Iterable[str]:
    after = [row["lost_s"] for row in found["after"]]
    late = [row for row in found["after"] if row["lost_s"] > 3]
    worst = min(found["by_snr"], key=lambda row: row["p"])["kind"]
    of_worst = {row["snr_db"]: row for row in found["by_snr"] if row["kind"] == worst}
    yield "## How well are R-peaks detected in noise?"
    yield (
        f"{worst.capitalize()} disturbs them most. "
        + " ".join(
            f"At {db} dB, Se is {_percent(row['se'])} % and +P {_percent(row['p'])} %; "
            f"{_share(row['noisy_false_good'], row['noisy_false'])} of the false beats in the "
            "noise count as good."
            for db in (12, 0)
            for row in [of_worst[db]]
        )
    )
    yield captioned(
        "noise-stress.png",
        "R-peaks and signal quality under noise: a line for each kind of noise, over the "
        "signal-to-noise ratio, all in per cent. Se and +P of R-peaks from minute 5 to 30; in the "
        "noise alone, the good beats that are still good and the seconds that are marked unfit.",
    )
    head = ("noise", "dB", "Se, %", "+P, %", "false beats in noise", "of these called good")
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
    yield table(head, [row for row in rows if row[0] in ("none", worst)])
    others = [row for row in rows if row[0] not in ("none", worst)]
    names = ", ".join(dict.fromkeys(row[0] for row in others))
    yield folded(f"Other noise: {names}", table(head, others))
    soon = len(after) - len(late)
    slow = "; ".join(
        f"{row['record']}, {row['kind']} at {row['db']} dB: {row['lost_s']:.1f} s" for row in late
    )
    yield (
        f"Records {', '.join(found['records'])}, with synthetic noise added to two minutes of "
        "every four from minute 5, after Moody et al. (1984). Se and +P are those of minutes 5 to "
        "30, all other columns those of the noisy minutes. The signal quality index was fitted to "
        "the same kind of motion on DS1, to which these records belong."
    )
    yield (
        "**After noise.** After 30 s of noise with the power of the beats, or sixteen times that, "
        f"the last error (a beat missed, added or not good) comes within 3 s in {soon} "
        f"of {len(after)} cases{f' (the others: {slow})' if late else ''}."
    )
    yield _source(found, "noise-stress.json")


def _index(found: dict[str, Any]) -> Iterable[str]:
    weights = ", ".join(f"{name} {value:g}" for name, value in found["weights"].items())
    clean = found["good"][0]
    yield "### How good is the signal quality index?"
    yield (
        f"Without added noise, {clean['false_good']} of {clean['false']} false beats of DS1 are "
        f"called good, and {clean['ventricular_good']:,} of {clean['ventricular']:,} ventricular "
        f"and {clean['other_good']:,} of {clean['other']:,} other beats. The waves of ventricular "
        "flutter in record 207 count as false here, but not in EC57's figures."
    )
    kinds = ("false", "other", "ventricular")
    rows = [
        (
            "none" if row["snr_db"] is None else f"{row['snr_db']:g}",
            *(f"{row[kind + '_good']} of {row[kind]}" for kind in kinds),
        )
        for row in found["good"]
    ]
    head = ("motion, dB", "false beats called good", "other beats", "ventricular beats")
    yield table(head, rows)
    yield (
        "With motion, the beats are those of the noisy minutes. The constants were fitted on DS1: "
        f"{weights}; a beat is good from {found['least']:g} up."
    )
    yield _source(found, "quality.json")


def _errors(row: dict[str, Any]) -> str:
    return f"{row['missed']} + {row['false']}"


def _sum(row: dict[str, Any]) -> int:
    return row["missed"] + row["false"]


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""
