"""The sections of the detection page on synthetic rhythms, P waves and changing conduction."""

from collections.abc import Iterable
from typing import Any

from benchmarks.pages.kinds import (
    KINDS,
    SEVENTEENTH,
    by_people,
    flagged,
    kinds_table,
    pair,
    percent,
)
from benchmarks.pages.operating_point import THIRTEENTH
from benchmarks.shared import folded, read, source, table
from kdjax.detection.events import WITHOUT_P

# Versions of the detector, by what they know of P waves.
VERSIONS = {
    "no P waves (9th version)": "kinds-ninth.json",
    "usual P wave (10th)": "kinds-tenth.json",
    "usual and visible P wave (11th)": "kinds-eleventh.json",
}
CHANGED = (
    ("atrial fibrillation", "normal"),
    ("atrial flutter", "normal"),
    ("AV block, Wenckebach", "normal"),
    ("AV block, type II", "normal"),
    ("sinus pauses", "normal"),
    ("single premature beats", "premature"),
    ("runs of premature beats", "premature"),
)
MANY = 0.1  # of the normal beats of a rhythm


def sections() -> Iterable[str]:
    """What synthetic rhythms show, and what was tried against it."""
    yield from _fibrillation()
    yield from _rhythms(read(KINDS)["rhythms"])
    yield from _p_waves()
    yield from _conduction()


def _fibrillation() -> Iterable[str]:
    """How much fibrillation is found, and what that changed."""
    found, before, after = map(read, (KINDS, THIRTEENTH, SEVENTEENTH))
    rows = {(row["people"], row["events"]): row for row in found["fibrillation"]}
    ds1, ds2 = (rows[people, WITHOUT_P] for people in ("DS1", "DS2"))
    now, then = by_people(after, "DS2"), by_people(before, "DS2")
    yield "## Is atrial fibrillation found?"
    yield (
        f"On DS2, kdjax marks {ds2['Se']:.0f} % of the time in atrial fibrillation or flutter as "
        f"*{WITHOUT_P}*. Of the time so marked, {ds2['+P']:.0f} % is atrial "
        f"fibrillation or flutter. On DS1, which set the limits, these shares are {ds1['Se']:.0f} "
        f"and {ds1['+P']:.0f} %. In marked stretches, being early counts for little. From the 13th "
        "to the 17th evaluation, this changed false alarms on DS2 from "
        f"{then['false_alarms_per_hour']:.0f} to {now['false_alarms_per_hour']:.0f} an hour, and "
        f"SVEB Se from {pair(then, 'S')} to {pair(now, 'S')}."
    )
    head = ("people", "events", "in the reference, min", "marked, min", "Se, %", "+P, %", "number")
    yield table(head, ((row["people"], row["events"], *_found(row)) for row in rows.values()))
    records = [row | {"people": p} for (p, _), one in rows.items() for row in one["records"]
               if one["events"] == WITHOUT_P]  # fmt: skip
    by_record = table(
        ("people", "record", *head[2:]),
        ((row["people"], row["record"], *_found(row)) for row in records),
    )
    yield folded("By record", by_record)
    yield (
        "Both rates count time: *Se* is the share of the reference's AFIB and AFL that is marked, "
        "*+P* the share of marked time that is AFIB or AFL. *Irregular rhythm* includes stretches "
        "with P waves. A stretch lasts at least a minute; intervals from and to ventricular beats "
        "are left out. The limits were set on records 201 and 203; the person of 201 also has "
        "record 202 in DS2. Without 202, DS2 has " + _without(ds2, "202") + "."
    )
    yield source(
        [KINDS, THIRTEENTH, SEVENTEENTH],
        f"`{found['command']}`",
        *dict.fromkeys([found["date"], after["date"], before["date"]]),
    )


def _without(row: dict[str, Any], record: str) -> str:
    """Se and +P without one record."""
    one = next(r for r in row["records"] if r["record"] == record)
    both, reference, found = (row[n] - one[n] for n in ("both", "reference", "found"))
    return f"Se {100 * both / reference:.0f} % and +P {100 * both / found:.0f} %"


def _found(row: dict[str, Any]) -> tuple[str, ...]:
    rates = (
        f"{100 * row['both'] / row[name]:.1f}" if row[name] else ""
        for name in ("reference", "found")
    )
    return (f"{row['reference'] / 60:.1f}", f"{row['found'] / 60:.1f}", *rates, str(row["number"]))


def _rhythms(rows: list[dict[str, Any]]) -> Iterable[str]:
    wrong = sorted(
        (row for row in rows if row["normal"] > MANY), key=lambda row: row["normal"], reverse=True
    )
    named = ", ".join(f"{percent(row['normal'])} in {row['rhythm']}" for row in wrong)
    fewest = min(
        (row for row in rows if row["premature"] is not None), key=lambda row: row["premature"]
    )
    yield "## In which rhythms are normal beats called supraventricular?"
    yield (
        "Where conduction changes, many normal beats are called supraventricular, most where no P "
        f"wave is seen: {named or 'none'} (mean over people; synthetic rhythms). Of the premature "
        f"beats, fewest are recognized in the rhythm of {fewest['rhythm']}: "
        f"{percent(fewest['premature'])}."
    )
    head = ("rhythm", "normal beats called SVEB", "premature beats called SVEB")
    normal = [row for row in rows if row["premature"] is None]
    yield table(head[:2], ((row["rhythm"], _called(row, "normal")) for row in normal))
    every = ((row["rhythm"], _called(row, "normal"), _called(row, "premature")) for row in rows)
    yield folded("Every rhythm", table(head, every))
    yield (
        "Mean over people; in brackets, the person with the highest share of normal beats or the "
        "lowest share of premature beats. The timing follows textbook descriptions "
        "(`benchmarks.quality.made_rhythms`). Normal beats have the shapes of a person of DS1, "
        "premature beats those of other people's SVEBs; weights were fitted on the other people."
    )
    yield source(KINDS, f"`{read(KINDS)['command']}`", read(KINDS)["date"])


def _called(row: dict[str, Any], beats: str) -> str:
    share, worst = row[beats], row[f"{beats}, worst"]
    return "" if share is None else f"{percent(share)} ({percent(worst)})"


def _p_waves() -> Iterable[str]:
    """What the signs of P waves changed."""
    versions = {version: read(name) for version, name in VERSIONS.items()}
    first, *_, last = (by_people(found, "DS2") for found in versions.values())
    yield "## Do P waves help?"
    yield (
        f"With two signs of P waves, SVEB Se on DS2 goes from {pair(first, 'S')} to "
        f"{pair(last, 'S')}, VEB Se from {pair(first, 'V')} to {pair(last, 'V')}, and false alarms "
        f"from {first['false_alarms_per_hour']:.0f} to {last['false_alarms_per_hour']:.0f} an "
        "hour, at the false-positive rate of 0.75 % that was in use then."
    )
    yield (
        "An early beat counts less towards SVEB if its P wave can be seen and is the person's "
        "usual one, because it then comes from the sinus node. In an irregular rhythm, timing "
        "counts less if no P waves are seen, because the rhythm is then most likely atrial "
        "fibrillation."
    )
    yield kinds_table(
        [
            row | {"version": version}
            for people in ("DS1", "DS2")
            for version, found in versions.items()
            for row in [by_people(found, people)]
        ],
        of="version",
    )
    by_rhythm = [{row["rhythm"]: row for row in found["rhythms"]} for found in versions.values()]
    synthetic = table(
        ("beats called SVEB", *versions),
        (
            (f"{beats} beats, {rhythm}", *(_called(rows[rhythm], beats) for rows in by_rhythm))
            for rhythm, beats in CHANGED
        ),
    )
    yield folded("On synthetic rhythms", synthetic)
    yield source(
        list(VERSIONS.values()),
        f"`{versions[next(iter(versions))]['command']}`",
        *dict.fromkeys(found["date"] for found in versions.values()),
    )


def _conduction() -> Iterable[str]:
    """What the sign that is not in use did."""
    tried, without = read("kinds-conduction.json"), read("kinds-ninth.json")
    flutter = next(row for row in tried["rhythms"] if row["rhythm"] == "atrial flutter")
    new, old = by_people(tried, "DS2"), by_people(without, "DS2")
    on_ds1 = [by_people(found, "DS1") for found in (tried, without)]
    yield "## Would a sign of changing conduction help?"
    yield (
        f"Such a sign is not in use: with it, Se of SVEBs goes from {on_ds1[1]['S Se']:.1f} to "
        f"{on_ds1[0]['S Se']:.1f} % on DS1 and from {old['S Se']:.1f} to {new['S Se']:.1f} % on "
        "DS2, where the premature beats of record 232 were taken for changing conduction."
    )
    yield table(
        ("people", "version", "SVEB Se, %", "SVEB +P, %", "false alarms per hour", "flagged"),
        [
            (
                people,
                version,
                f"{row['S Se']:.1f}",
                f"{row['S +P']:.1f}",
                f"{row['false_alarms_per_hour']:.0f}",
                flagged(row),
            )
            for people, version, row in (
                ("DS1", "with the sign", on_ds1[0]),
                ("DS1", "without it", on_ds1[1]),
                ("DS2", "with the sign", new),
                ("DS2", "without it", old),
            )
        ],
    )
    yield (
        "The sign counts two things: late beats that no early beat precedes, and runs of early "
        "beats that end without a longer interval. Where they are found, timing has less weight. "
        "The sign was made for "
        f"the synthetic rhythms; with it, {percent(flutter['N called S'])} of the normal beats of "
        "flutter are called SVEB. It was tried before the signs of P waves, and DS2 was read once "
        "with it. The code no longer has it; `kinds-conduction.json` names "
        "the version that did."
    )
    yield source(
        ["kinds-conduction.json", "kinds-ninth.json"], f"`{tried['command']}`", tried["date"]
    )
