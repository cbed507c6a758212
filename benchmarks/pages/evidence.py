"""Sections of the results page: the network's worth, narrow students, encoders, averages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.shared import (
    FOLDER,
    PLAIN_AUC,
    folded,
    mean,
    picture,
    read,
    shown,
    signed,
    table,
)
from kdjax.pages import plots

IN_USE = "fusion, first_5_minutes"
IN_USE_LATENT = "latent in use"
MOST_ROWS = 10  # of a table that is not folded
NEAR = 0.005  # AUC: how near to its teacher an encoder alone is asked to come
LONG = ("study-long-8.json", "study-long.json")
COPY = "response"  # the variant of a long study that is taught
_MAPS = {"beatgan": "BeatGAN's", "aami": "AAMI's"}


def verdict() -> Iterable[str]:
    """One sentence on what the network adds to the score in use."""
    found = _read("headline.json")
    if found is None:
        return
    lines, gains = [], False
    for key, name in (("beatgan", "BeatGAN's"), ("aami", "AAMI's")):
        row, without = (_row(found, IN_USE, form, key) for form in ("network", "no network"))
        gains |= row["less no network"]["ci95"][0] > 0
        lines.append(
            f"under {name} class map AUC is {mean(row['auc'])} with the network and "
            f"{without['auc']:.4f} without one, a difference of {signed(row['less no network'])}"
        )
    verdict = "adds to" if gains else "is not shown to add anything to"
    yield (
        f"**The network {verdict} the score in use:** {'; '.join(lines)} "
        f"({len(found['seeds'])} seeds)."
    )


def headline() -> Iterable[str]:
    """Every score with and without the network, under both class maps."""
    found = _read("headline.json")
    if found is None:
        return
    network, both, fresh = (
        _row(found, IN_USE, form, "beatgan")["less no network"]
        for form in ("network", "both", "untrained")
    )
    yield "## Does the network add anything?"
    yield (
        f"On people who are not in the training data, the network {_changes(network)} the AUC of "
        f"the score in use. Fused with the raw beat's evidence, it {_changes(both)} the AUC of "
        f"that evidence alone: {signed(both)}. The same network before training differs from no "
        f"network by {signed(fresh)}. {_made(found)} "
        f"({len(found['seeds'])} of the ten networks that were named), "
        f"{found['epochs']} epochs, width {found['width']}, {found['n_test']:,} test beats. *No "
        "network* scores the raw beat and its 32 principal components; *both* judges the shape by "
        "all four distances. BeatGAN's class map counts e and j as S, AAMI's as normal."
    )
    compared = [
        (f"{what}, {_MAPS[name]} map", _row(found, IN_USE, form, name)["less no network"])
        for form, what in (
            ("network", "network"),
            ("both", "network and raw beat"),
            ("untrained", "network before training"),
        )
        for name in _MAPS
    ]
    yield picture(
        plots.differences(compared, "AUC of the score in use less that without a network"),
        "headline.png",
        "What the network changes in the score in use, by class map; 95 % intervals over seeds.",
    )
    scores = ("mse, none", "mahalanobis, none", "mahalanobis, first_5_minutes", "fusion, none")
    yield table(
        ("score", "class map", "no network", "network", "difference", "both", "untrained"),
        [
            (score.removesuffix(", none"), _MAPS[name], *_forms(found, score, name))
            for score in (*scores, IN_USE)
            for name in _MAPS
        ],
    )
    yield "By class, the score in use:"
    yield table(
        ("class map", "of", "AP", "S", "V", "F"),
        [
            (_MAPS[name], form, *(_figure(row[figure]) for figure in ("ap", "S", "V", "F")))
            for name in _MAPS
            for form in ("no network", "network", "both")
            for row in [_row(found, IN_USE, form, name)]
        ],
    )


def _forms(found: Mapping[str, Any], score: str, name: str) -> tuple[str, ...]:
    """AUC without and with the network, their difference, both together, before training."""
    without, network, both, fresh = (
        _row(found, score, form, name) for form in ("no network", "network", "both", "untrained")
    )
    less = network.get("less no network")
    return (
        f"{without['auc']:.4f}" if less else "",
        mean(network["auc"]),
        signed(less) if less else "",
        mean(both["auc"]) if both else "",
        mean(fresh["auc"]) if less else "",
    )


def narrow() -> Iterable[str]:
    """Narrow students beside the same student alone and beside the control; then fresh seeds."""
    found, again = _read("study-narrow.json"), _read("study-narrow-confirm.json")
    if found is None:
        return
    yield "## Does a narrower student learn more from its teacher?"
    primary, secondary = (
        [name for name in _compared_with_both(found) if name.startswith("reconstruction-q") == own]
        for own in (True, False)
    )
    yield (
        f"Named before the runs: {_claims(found, primary)} Secondary, not corrected for their "
        f"number: {_claims(found, secondary)}"
    )
    if again is not None:
        yield (
            "**What stood out, repeated with fresh seeds** and named before they ran: "
            f"{_claims(again, _compared_with_both(again))}"
        )
    yield (
        "The control has no teacher; its own reconstruction has the same weight instead. "
        "Comparisons and corrections were named before the runs "
        "([Protocols](protocol.md#the-distillation-study)). Differences are paired by seed."
    )
    for study in (found, again):
        if study is not None:
            yield from _narrow_table(study)


def _narrow_table(found: Mapping[str, Any]) -> Iterable[str]:
    (split,) = found["splits"]
    cells = next(iter(split["variants"].values()))["cells"]
    yield (
        f"`{found['command']}`, seeds {found['seeds'][0]} to {found['seeds'][-1]}, "
        f"{cells[0]['device']}, {cells[0]['date']}:"
        + (f" not run: {', '.join(found['missing'])}." if found["missing"] else "")
    )
    rows = [
        (
            name,
            f"{v['macs'] / 1e6:.2f} M",
            mean(v["scores"][0]["auc"]),
            *_compared(split["differences"].get(name)),
        )
        for name, v in split["variants"].items()
    ]
    every = table(("student", "MACs", "AUC", "less alone", "less control", "p of both"), rows)
    yield every if len(rows) <= MOST_ROWS else folded("Every student", every)


def _compared_with_both(found: Mapping[str, Any]) -> list[str]:
    """The variants that are compared with the student alone and with the control."""
    (split,) = found["splits"]
    return [name for name, row in split["differences"].items() if "to control" in row]


def _claims(found: Mapping[str, Any], names: Sequence[str]) -> str:
    """What the intervals of these variants show, the same words for several at once."""
    (split,) = found["splits"]
    of_words: dict[str, list[str]] = {}
    for name in names:
        gains = _gains(split["differences"][name])
        words = "a gain over both" if all(gains) else _some(gains)
        of_words.setdefault(words, []).append(f"`{name}`")
    return "; ".join(f"{words} ({', '.join(of)})" for words, of in of_words.items()) + "."


def long() -> Iterable[str]:
    """A distilled copy beside the same copy alone, trained for many epochs."""
    studies = [found for found in map(_read, LONG) if found is not None]
    if studies:
        yield "## Does distillation help when training is long?"
    for found in studies:
        yield from _beside_its_copy(found)


def _beside_its_copy(found: Mapping[str, Any]) -> Iterable[str]:
    (split,) = found["splits"]
    cell = split["variants"][COPY]["cells"][0]
    gain = split["differences"][COPY][PLAIN_AUC]
    yield (
        f"`{found['command']}`, seeds {found['seeds'][0]} to {found['seeds'][-1]}, "
        f"{cell['device']}, {cell['date']}: width {found['base']['model']['width']}, "
        f"`{split['protocol']}` fold {split['fold']}, {split['epochs']} epochs of each network, "
        f"the network after the last epoch. Named before the runs: `{COPY}` (the reference's "
        f"distillation term, with a gradient) less `alone`, paired by seed: AUC {signed(gain)} "
        f"(p {gain['p']:.3f}). {shown(gain)}"
    )
    yield table(
        ("network", "AUC", "AP", "worst seed", "`mahalanobis`", "`fusion`"),
        [
            (
                name,
                mean(plain["auc"]),
                mean(plain["ap"]),
                f"{min(cell['auc'] for cell in variant['cells']):.4f}",
                *(mean(score["auc"]) for score in others),
            )
            for name, variant in split["variants"].items()
            for plain, *others in [variant["scores"]]
        ],
    )


def encoder_only() -> Iterable[str]:
    """Encoders that regress a teacher's answers."""
    found = _read("encoder-only.json")
    if found is None:
        return
    teacher = found["teacher"]
    best = max(
        ((n, s, d) for n, st in found["students"].items() for s, d in st["less teacher"].items()),
        key=lambda item: item[2]["mean"] if item[2]["against"] == "plain" else -1,
    )
    in_use = max(
        (
            st["scores"][IN_USE_LATENT]["auc"]
            for st in found["students"].values()
            if IN_USE_LATENT in st["scores"]
        ),
        key=lambda auc: auc["mean"],
    )
    yield "## A student that is an encoder alone"
    yield (
        f"With {100 * found['students'][best[0]]['macs'] / teacher['macs']:.0f} % of its teacher's "
        f"multiply-accumulates, an encoder that regresses the {best[0]} differs from its "
        f"teacher's plain score by {signed(best[2])} in AUC. The aim was an interval above "
        f"{-NEAR}: {'reached' if best[2]['ci95'][0] > -NEAR else 'missed'}. In use, the best "
        f"encoder reaches {mean(in_use)}; 32 principal components without a network reach "
        f"{found['no network']['scores'][IN_USE_LATENT]['auc']:.4f}. {_made(found)}, width "
        f"{found['width']}, teachers of width {teacher['width']}; trained on normal beats and "
        "perturbed copies of them. *In use* means fused with prematurity and adapted to the person."
    )
    rows = [
        (f"teacher, {name}", f"{_share(name, teacher):.2f} M", mean(row["auc"]), "")
        for name, row in teacher["scores"].items()
    ]
    simple = found["no network"]
    rows += [
        (
            f"no network, components, {name}",
            f"{simple['macs'] / 1e6:.2f} M",
            f"{row['auc']:.4f}",
            "",
        )
        for name, row in simple["scores"].items()
    ]
    rows += [
        (
            f"regresses {target}" + (f", {name}" if name != "plain" else ""),
            f"{student['macs'] / 1e6:.2f} M",
            mean(row["auc"]),
            signed(student["less teacher"][name]),
        )
        for target, student in found["students"].items()
        for name, row in student["scores"].items()
    ]
    yield table(("score", "MACs", "AUC", "less its teacher"), rows)


def averaging() -> Iterable[str]:
    """AUC by epoch, with the last weights and with averages."""
    found = _read("averaging.json")
    if found is None:
        return
    kinds, chosen = found["weights"], found["chosen"]
    last = kinds["last weights"]
    yield "## Averaged weights"
    yield (
        f"Over epochs {found['from_epoch']} to {found['epochs']}, a seed's AUC varies by "
        f"{last['spread']['mean']:.4f} with the last weights and by "
        f"{kinds[chosen]['spread']['mean']:.4f} with `average_decay` {chosen}, which was chosen "
        f"for its error on held-out normal beats. {_made(found)}, `{found['protocol']}` fold "
        f"{found['fold']}, width {found['width']}. BatchNorm statistics are averaged like weights."
    )
    yield table(
        ("weights", "error of normal beats", "AUC", "spread of AUC", "change by epoch"),
        [
            (
                f"{name}{' (chosen)' if name == chosen else ''}",
                mean(row["normal_error"]),
                mean(row["auc"]),
                mean(row["spread"]),
                mean(row["jump"]),
            )
            for name, row in kinds.items()
        ],
    )


def asymmetry() -> Iterable[str]:
    """The discrepancy of a student and a teacher that has seen abnormal beats."""
    found = _read("asymmetry.json")
    if found is None:
        return
    yield "## A teacher that knows more than its student"
    yield (
        f"{_in_use(found, ('discrepancy', 'attention', 'no network and discrepancy'))} "
        f"{_made(found)}, width {found['width']}, {found['epochs']} epochs. The teachers learned "
        f"from {found['n_teacher']:,} beats of the training people, abnormal ones included, "
        "without labels; the students learned the teachers' output on the "
        f"{found['n_student']:,} normal ones. *Discrepancy* is the difference between the "
        "reconstructions and latents of teacher and student, *attention* that between their "
        "attention maps of all stages and latents."
    )
    yield _of_forms(found)


def inputs() -> Iterable[str]:
    """Networks that see more than one beat."""
    found = _read("inputs.json")
    if found is None:
        return
    forms = list(dict.fromkeys(row["form"] for row in found["rows"]))[1:]
    yield "## A network that sees more than one beat"
    yield (
        f"{_in_use(found, forms)} {_made(found)}, width {found['width']}, {found['epochs']} "
        "epochs. The further channels hold the person's usual beat (the median of their timely "
        "beats over the first five minutes), or the beats before and after. Only the residual of "
        "the beat itself is scored, and the latent."
    )
    yield _of_forms(found)


def _in_use(found: Mapping[str, Any], forms: Sequence[str]) -> str:
    """One sentence: what each form in use changes against no network, BeatGAN's class map.

    A form gains where its p value, corrected for the number of forms (Bonferroni), is below 0.05.
    """
    without = _row(found, IN_USE, "no network", "beatgan")["auc"]
    less = {form: _row(found, IN_USE, form, "beatgan")["less no network"] for form in forms}
    gains = [f for f, row in less.items() if row["mean"] > 0 and row["p"] * len(less) < 0.05]
    adds = "adds" if len(gains) == 1 else "add"
    verdict = f"{' and '.join(gains).capitalize()} {adds}" if gains else "None is shown to add"
    each = "; ".join(f"{form} {signed(row)}" for form, row in less.items())
    return f"{verdict} to the score in use without a network, {without:.4f}: {each}."


def _of_forms(found: Mapping[str, Any]) -> str:
    """AUC of every form under both class maps, and by class of BeatGAN's."""
    forms = dict.fromkeys(row["form"] for row in found["rows"])
    rows = []
    for form in forms:
        alone = _row(found, "mahalanobis, first_5_minutes", form, "beatgan")
        row, aami = (_row(found, IN_USE, form, name) for name in _MAPS)
        less = row.get("less no network")
        rows.append(
            (
                form,
                _figure(alone["auc"]) if alone else "",
                row["auc"] if not less else mean(row["auc"]),
                signed(less) if less else "",
                _figure(aami["auc"]),
                *(_figure(row[kind]) for kind in "SVF"),
            )
        )
    head = ("form", "shape alone", "in use", "less no network", "AAMI's map", "S", "V", "F")
    return table(head, [[_short(cell) for cell in row] for row in rows])


def _short(cell: Any) -> str:
    return f"{cell:.4f}" if isinstance(cell, float) else cell


def opinions() -> Iterable[str]:
    """Other opinions beside shape and prematurity."""
    found = _read("opinions.json")
    if found is None:
        return
    first, *others = found["rows"]
    better = [row["opinions"] for row in others if row["auc"] > first["auc"] + 0.002]
    precise = max(found["rows"], key=lambda row: row["ap"])
    yield "## What limits the score?"
    yield (
        f"{', '.join(better).capitalize() if better else 'No other opinion'} raises the AUC of "
        f"{first['opinions']}, {first['auc']:.4f}, by more than 0.002 on DS1, on which choices may "
        f"be made; {precise['opinions']} reaches the highest AP, {precise['ap']:.4f} compared with "
        f"{first['ap']:.4f}. `{found['command']}`, {found['n_test']:,} beats, no network, adapted "
        f"to the person, {found['date']}."
    )
    yield table(
        ("opinions fused", "AUC", "AP", "S", "V", "F"),
        [
            (
                row["opinions"],
                *(f"{row[name]:.4f}" for name in ("auc", "ap")),
                *(f"{row[kind]:.3f}" for kind in "SVF"),
            )
            for row in found["rows"]
        ],
    )


def _read(name: str) -> Any:
    """A committed JSON, None before it was made."""
    return read(name) if (FOLDER / name).exists() else None


def _row(found: Mapping[str, Any], score: str, form: str, name: str) -> Any:
    """One row of the headline, None where there is no such score of that form."""
    rows = found["rows"]
    key = (score, form, name)
    return next((r for r in rows if (r["score"], r["form"], r["map"]) == key), None)


def _made(found: Mapping[str, Any]) -> str:
    seeds = found["seeds"]
    return (
        f"`{found['command']}`, seeds {seeds[0]} to {seeds[-1]}, {found['device']}, {found['date']}"
    )


def _changes(difference: Mapping[str, Any]) -> str:
    low, high = difference["ci95"]
    return "raises" if low > 0 else "lowers" if high < 0 else "is not shown to change"


def _figure(value: Any) -> str:
    return f"{value if isinstance(value, float) else value['mean']:.3f}"


def _gains(row: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether the intervals of the differences to alone and to the control lie above 0."""
    return row[PLAIN_AUC]["ci95"][0] > 0, row["to control"]["ci95"][0] > 0


def _some(gains: tuple[bool, bool]) -> str:
    return {
        (True, False): "a gain over the student alone, none over the control is shown",
        (False, True): "a gain over the control, none over the student alone is shown",
        (False, False): "no gain is shown",
    }[gains]


def _compared(row: Any) -> tuple[str, str, str]:
    if row is None:
        return "", "", ""
    if "to control" not in row:
        return signed(row[PLAIN_AUC]), "", ""
    larger = max(row[PLAIN_AUC]["p"], row["to control"]["p"])
    return signed(row[PLAIN_AUC]), signed(row["to control"]), f"{larger:.3f}"


def _share(name: str, teacher: Mapping[str, Any]) -> float:
    """Millions of multiply-accumulates: a latent asks for the encoder, half of them."""
    return teacher["macs"] / (2 if name.startswith("latent") else 1) / 1e6
