"""The sections of the detection page on synthetic rhythms, P waves and changing conduction."""

from collections.abc import Iterable
from typing import Any

from benchmarks.pages.kinds import KINDS, TWELFTH, by_people, flagged, kinds_table, pair, percent
from benchmarks.shared import folded, read, source, table

# Versions of the detector, by what they know of P waves.
VERSIONS = {
    "no P waves (9th version)": "kinds-ninth.json",
    "usual P wave (10th)": "kinds-tenth.json",
    "usual and visible P wave (11th, in use)": TWELFTH,
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
    yield from _rhythms(read(KINDS)["rhythms"])
    yield from _p_waves()
    yield from _conduction()


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
        f"It is not in use: with it, Se of SVEBs goes from {on_ds1[1]['S Se']:.1f} to "
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
        "The sign counts beats that are late without an early beat before them, and early runs "
        "that end without a longer interval, and gives timing less weight there. It was made for "
        f"the synthetic rhythms; with it, {percent(flutter['N called S'])} of the normal beats of "
        "flutter are called SVEB. It was tried before the signs of P waves, and DS2 was read once "
        "with it. The code no longer has it; `kinds-conduction.json` names "
        "the version that did."
    )
    yield source(
        ["kinds-conduction.json", "kinds-ninth.json"], f"`{tried['command']}`", tried["date"]
    )
