"""Sections of the results page: scores with a network and without one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.pages import figures
from benchmarks.shared import (
    folded,
    mean,
    picture,
    read_if_made,
    score_name,
    seeded,
    signed,
    source,
    table,
)

IN_USE = "fusion, first_5_minutes"
_MAPS = {"beatgan": "BeatGAN's", "aami": "AAMI's"}
_PRIMARY = "network", "beatgan"  # the comparison that the protocol names first; no other is
_NAMED = 10  # networks that the protocol names
_FINE = 5  # digits of a difference, where some are below 0.0001
_AUC = "the AUC of the adapted fusion, a score of shape and timing,"
_JUST = 1e-4  # AUC: an interval that begins nearer to 0 is just above it
# Names in the JSON, in a reader's words.
SIGNALS = {
    "shape and prematurity": "shape and prematurity",
    "prematurity alone": "prematurity alone",
    "shape alone": "shape alone",
    "components and prematurity": "principal components and prematurity",
    "P wave as a third opinion": "shape, prematurity and P wave",
    "QRS as a third opinion": "shape, prematurity and QRS complex",
    "T wave as a third opinion": "shape, prematurity and T wave",
    "parts in place of the beat": "P, QRS and T in place of the whole beat, and prematurity",
    "interval after as a third opinion": "shape, prematurity and the RR interval after the beat",
    "interval after with prematurity": "shape, and the mean of prematurity and RR interval after",
}


def verdict() -> Iterable[str]:
    """What the network adds to the adapted fusion."""
    found = read_if_made("headline.json")
    if found is None:
        return
    lines, gains = [], False
    for key, name in _MAPS.items():
        row, without = (_row(found, IN_USE, form, name=key) for form in ("network", "no network"))
        less = row["less no network"]
        gains |= less["ci95"][0] > 0
        lines.append(
            f"{_changes(less)} {'it' if lines else _AUC} under {name} class map "
            f"({mean(row['auc'])} with the network, {without['auc']:.4f} without; difference "
            f"{signed(less, _FINE)})"
        )
    yield (
        f"**The network {'improves' if gains else 'is not shown to improve'} the score.** On "
        f"people outside the training data, it {' and '.join(lines)}.{_secondary(found)}"
    )


def _secondary(found: Mapping[str, Any]) -> str:
    """The gains with the network that the protocol does not name as its primary comparison."""
    forms = {"network": "the network alone", "both": "raw beat and network together"}
    gains = [
        f"{what} under {_MAPS[key]} map ({signed(less, _FINE)}, an interval "
        f"{'just ' if less['ci95'][0] < _JUST else ''}above 0)"
        for form, what in forms.items()
        for key in _MAPS
        for less in [_row(found, IN_USE, form, name=key)["less no network"]]
        if (form, key) != _PRIMARY and less["ci95"][0] > 0
    ]
    if not gains:
        return " No secondary comparison shows a gain either."
    those = "That comparison is" if len(gains) == 1 else "Those comparisons are"
    return (
        f" A gain is seen with {' and with '.join(gains)}. {those} secondary and not corrected for "
        "the number of comparisons."
    )


def headline() -> Iterable[str]:
    """Every score with and without the network, under both class maps."""
    found = read_if_made("headline.json")
    if found is None:
        return
    yield "## Does the network add anything?"
    first, second = (
        _changes(_row(found, IN_USE, "network", name=key)["less no network"]) for key in _MAPS
    )
    yield (
        f"The network {first} the AUC of the adapted fusion under BeatGAN's class map and {second} "
        "it under AAMI's. The raw beat and the network together (*both*) change the AUC without a "
        f"network by {_by_map(found, 'both')}, the network before training (*untrained*) by "
        f"{_by_map(found, 'untrained')}.{_secondary(found)}"
    )
    compared = [
        (f"{what}, {_MAPS[name]} map", _row(found, IN_USE, form, name=name)["less no network"])
        for form, what in (
            ("network", "network"),
            ("both", "network and raw beat"),
            ("untrained", "untrained network"),
        )
        for name in _MAPS
    ]
    yield picture(
        figures.differences(compared, "AUC of the adapted fusion minus that without a network"),
        "headline.png",
        "AUC of the adapted fusion minus its AUC without a network, by class map: mean and 95 % "
        "interval over seeds. Orange diamonds: the interval excludes 0.",
    )
    scores = ("mse, none", "mahalanobis, none", "mahalanobis, first_5_minutes", "fusion, none")
    yield table(
        ("score", "class map", "no network", "network", "difference", "both", "untrained"),
        [
            (score_name(score), _MAPS[name], *_forms(found, score, name))
            for score in (*scores, IN_USE)
            for name in _MAPS
        ],
    )
    by_class = table(
        ("class map", "input", "AP", "AUC of S", "of V", "of F"),
        [
            (_MAPS[name], form, *(_figure(row[figure]) for figure in ("ap", "S", "V", "F")))
            for name in _MAPS
            for form in ("no network", "network", "both")
            for row in [_row(found, IN_USE, form, name=name)]
        ],
    )
    yield folded("Adapted fusion: AP, and AUC of each class", by_class)
    yield source(
        "headline.json",
        *seeded(found),
        *(
            [f"{len(found['seeds'])} of the {_NAMED} networks that the protocol names"]
            if len(found["seeds"]) < _NAMED
            else []
        ),
        f"width {found['width']}",
        f"{found['epochs']} epochs",
        f"{found['n_test']:,} test beats",
    )


def _by_map(found: Mapping[str, Any], form: str) -> str:
    """What a form changes in the adapted fusion against no network, under each class map."""
    rows = {name: _row(found, IN_USE, form, name=key) for key, name in _MAPS.items()}
    less = {name: signed(row["less no network"], _FINE) for name, row in rows.items()}
    return " and ".join(f"{change} ({name})" for name, change in less.items())


def _forms(found: Mapping[str, Any], score: str, name: str) -> tuple[str, ...]:
    """AUC without and with the network, their difference, both together, before training."""
    without, network, both, fresh = (
        _row(found, score, form, name=name)
        for form in ("no network", "network", "both", "untrained")
    )
    less = network.get("less no network")
    return (
        f"{without['auc']:.4f}" if less else "",
        mean(network["auc"]),
        signed(less, _FINE) if less else "",
        mean(both["auc"]) if both else "",
        mean(fresh["auc"]) if less else "",
    )


def asymmetry() -> Iterable[str]:
    """The discrepancy of a student and a teacher that has seen abnormal beats."""
    found = read_if_made("asymmetry.json")
    if found is None:
        return
    yield "## Does it help if the teacher has seen abnormal beats?"
    yield _in_use(found, ("discrepancy", "attention", "no network and discrepancy"))
    yield (
        f"The teachers learned, without labels, from {found['n_teacher']:,} beats of the training "
        f"people, abnormal ones included; the students learned the teachers' output on the "
        f"{found['n_student']:,} normal ones. *Student* is the student's own residual and latent; "
        "*discrepancy* is the difference between the "
        "reconstructions and latents of teacher and student; *attention* is that between their "
        "attention maps, of all stages, and latents."
    )
    yield _drawn(found, "asymmetry.png")
    yield _of_forms(found, "shape from")
    yield _of_trial("asymmetry.json", found)


def inputs() -> Iterable[str]:
    """Networks that see more than one beat."""
    found = read_if_made("inputs.json")
    if found is None:
        return
    forms = list(dict.fromkeys(row["form"] for row in found["rows"]))[1:]
    yield "## Does it help if the network sees more than one beat?"
    yield _in_use(found, forms)
    yield (
        "Further input channels hold the person's usual beat (the median of the beats that came "
        "on time in the first five minutes) or the beats before and after. Only the beat's own "
        "residual and the latent are scored."
    )
    yield _drawn(found, "inputs.png")
    yield _of_forms(found, "input of the network")
    yield _of_trial("inputs.json", found)


def _of_trial(name: str, found: Mapping[str, Any]) -> str:
    return source(name, *seeded(found), f"width {found['width']}", f"{found['epochs']} epochs")


def _in_use(found: Mapping[str, Any], forms: Sequence[str]) -> str:
    """What each form changes in the adapted fusion against no network, BeatGAN's class map.

    A form gains where its p value, corrected for the number of forms (Bonferroni), is below 0.05.
    """
    without = _row(found, IN_USE, "no network", name="beatgan")["auc"]
    less = {form: _row(found, IN_USE, form, name="beatgan")["less no network"] for form in forms}
    gains = [f for f, row in less.items() if row["mean"] > 0 and row["p"] * len(less) < 0.05]
    improves = "improves" if len(gains) == 1 else "improve"
    each = "; ".join(f"{form} {signed(row)}" for form, row in less.items())
    verdict = (
        f"{' and '.join(gains).capitalize()} {improves}"
        if gains
        else f"None of the {len(less)} variants is shown to improve"
    )
    return (
        f"{verdict} on the adapted fusion without a network (AUC {without:.4f}). Differences from "
        f"it: {each}."
    )


def _drawn(found: Mapping[str, Any], name: str) -> str:
    """What each form changes in the adapted fusion, under both class maps."""
    forms = list(dict.fromkeys(row["form"] for row in found["rows"]))[1:]
    compared = [
        (f"{form}, {_MAPS[key]} map", _row(found, IN_USE, form, name=key)["less no network"])
        for form in forms
        for key in _MAPS
    ]
    return picture(
        figures.differences(compared, "AUC of the adapted fusion minus that without a network"),
        name,
        "AUC of the adapted fusion minus its AUC without a network, by class map: mean and 95 % "
        "interval over seeds, not corrected for their number. Orange diamonds: the interval "
        "excludes 0.",
    )


def _of_forms(found: Mapping[str, Any], form: str) -> str:
    """AUC of every form under both class maps, and by class of BeatGAN's."""
    forms = dict.fromkeys(row["form"] for row in found["rows"])
    rows = []
    for name in forms:
        alone = _row(found, "mahalanobis, first_5_minutes", name, name="beatgan")
        row, aami = (_row(found, IN_USE, name, name=key) for key in _MAPS)
        less = row.get("less no network")
        rows.append(
            (
                name,
                _figure(alone["auc"]) if alone else "",
                row["auc"] if not less else mean(row["auc"]),
                signed(less) if less else "",
                _figure(aami["auc"]),
                *(_figure(row[kind]) for kind in "SVF"),
            )
        )
    head = (form, "AUC, shape alone", "AUC, adapted fusion", "minus no network")
    head = (*head, "AUC, AAMI's map", "AUC of S", "of V", "of F")
    return table(head, [[_short(cell) for cell in row] for row in rows])


def _short(cell: Any) -> str:
    return f"{cell:.4f}" if isinstance(cell, float) else cell


def opinions() -> Iterable[str]:
    """Other signals beside shape and prematurity."""
    found = read_if_made("opinions.json")
    if found is None:
        return
    first, *others = found["rows"]
    better = [SIGNALS[row["opinions"]] for row in others if row["auc"] > first["auc"] + 0.002]
    precise = max(found["rows"], key=lambda row: row["ap"])
    verdict = (
        "Of the other combinations, " + ", ".join(better) if better else "No other combination"
    )
    yield "## Would other signals improve the score?"
    yield (
        f"{verdict} {'raise' if len(better) > 1 else 'raises'} the AUC of "
        f"{SIGNALS[first['opinions']]}, {first['auc']:.4f}, by more than 0.002 on DS1, the half "
        f"on which choices may be made. The highest AP is that of {SIGNALS[precise['opinions']]}: "
        f"{precise['ap']:.4f}, compared with {first['ap']:.4f}."
    )
    yield table(
        ("signals in the adapted fusion", "AUC", "AP", "AUC of S", "of V", "of F"),
        [
            (
                SIGNALS[row["opinions"]],
                *(f"{row[name]:.4f}" for name in ("auc", "ap")),
                *(f"{row[kind]:.3f}" for kind in "SVF"),
            )
            for row in found["rows"]
        ],
    )
    yield source(
        "opinions.json",
        f"`{found['command']}`",
        f"{found['n_test']:,} beats of DS1",
        "no network",
        found["date"],
    )


def _row(found: Mapping[str, Any], score: str, form: str, *, name: str) -> Any:
    """One row of the headline, None where there is no such score of that form."""
    rows = found["rows"]
    key = (score, form, name)
    return next((r for r in rows if (r["score"], r["form"], r["map"]) == key), None)


def _changes(difference: Mapping[str, Any]) -> str:
    low, high = difference["ci95"]
    return "raises" if low > 0 else "lowers" if high < 0 else "is not shown to change"


def _figure(value: Any) -> str:
    return f"{value if isinstance(value, float) else value['mean']:.3f}"
