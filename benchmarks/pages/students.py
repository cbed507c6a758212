"""Sections of the results page: students that are narrow, trained for long, or encoders alone."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.pages import figures
from benchmarks.pages.epochs import Line, aucs, drawn
from benchmarks.pages.study import NEAR, made
from benchmarks.shared import (
    PLAIN_AUC,
    bracket,
    folded,
    mean,
    picture,
    read,
    read_if_made,
    seeded,
    shown,
    signed,
    source,
    table,
)
from kdjax.scores import metrics

IN_USE_LATENT = "latent in use"
MOST_ROWS = 10  # of a table that is not folded
LONG = ("study-long-8.json", "study-long.json")
LONG_16 = "long-16"  # three networks of a seed each, by epoch
SEEDS = (50, 51, 52)
COPY = "response"  # the variant of a long study that is taught
STYLES = {"teacher": ("#1a1a1a", "-"), "alone": ("#0072b2", "--"), COPY: ("#d55e00", "-")}
BY_EPOCH = tuple(STYLES)
# Names in the JSON, in a reader's words.
TARGETS = {
    "teacher score": "teacher's score",
    "teacher latent": "teacher's latent",
    "memory score": "distance to the nearest training beat",
}
SCORED = {
    "plain": "plain score",
    "latent": "distance of the latent",
    "latent in use": "adapted fusion of the latent",
    "in use": "adapted fusion",
}


def narrow() -> Iterable[str]:
    """Narrow students beside the same student alone and beside the control; then fresh seeds."""
    found, again = read_if_made("study-narrow.json"), read_if_made("study-narrow-confirm.json")
    if found is None:
        return
    yield "## Does a narrower student learn more from its teacher?"
    primary, secondary = (
        [name for name in _compared_with_both(found) if name.startswith("reconstruction-q") == own]
        for own in (True, False)
    )
    yield (
        f"**In the comparisons named before the runs, {_claims(found, primary)}** In secondary "
        f"comparisons, not corrected for their number, {_claims(found, secondary)}"
    )
    if again is not None:
        yield (
            "What stood out was repeated with fresh seeds, as announced before those runs: "
            f"{_claims(again, _compared_with_both(again))}"
        )
    yield (
        "The teacher has width 8; the number at the end of a student's name is the student's "
        "width. A teacher helps only if its student exceeds both the student alone and the "
        "control of the same width, which has no teacher: its own reconstruction term has the "
        "weight that distillation has in the student. p is the larger of the two."
    )
    (split,) = found["splits"]
    differences = [
        (f"{name} minus {other}", split["differences"][name][key])
        for name in _compared_with_both(found)
        for other, key in (("alone", PLAIN_AUC), ("control", "to control"))
    ]
    yield picture(
        figures.differences(differences, "difference in AUC"),
        "study-narrow.png",
        "AUC of narrow students, plain score, minus that of the student alone and of the control: "
        "mean and 95 % interval over seeds, not corrected for their number. Orange diamonds: the "
        "interval excludes 0.",
    )
    yield from _narrow_table("study-narrow.json", found, "Every network of the first runs")
    if again is not None:
        yield "With fresh seeds:"
        yield from _narrow_table("study-narrow-confirm.json", again, "Every network, fresh seeds")


def _narrow_table(name: str, found: Mapping[str, Any], title: str) -> Iterable[str]:
    (split,) = found["splits"]
    rows = {
        name: (
            f"`{name}`",
            f"{v['macs'] / 1e6:.2f} M",
            mean(v["scores"][0]["auc"]),
            *_compared(split["differences"].get(name)),
        )
        for name, v in split["variants"].items()
    }
    head = ("network", "MACs", "AUC", "minus alone", "minus control", "p")
    if len(rows) <= MOST_ROWS:
        yield table(head, rows.values())
    else:
        yield table(head, [rows[name] for name in _compared_with_both(found)])
        yield folded(title, table(head, rows.values()))
    missing = [f"not run: {', '.join(found['missing'])}"] if found["missing"] else []
    yield source(name, *made(found), *missing)


def _compared_with_both(found: Mapping[str, Any]) -> list[str]:
    """The variants that are compared with the student alone and with the control."""
    (split,) = found["splits"]
    return [name for name, row in split["differences"].items() if "to control" in row]


def _claims(found: Mapping[str, Any], names: Sequence[str]) -> str:
    """What the intervals of these variants show, the same words for several at once."""
    (split,) = found["splits"]
    of_words: dict[str, list[str]] = {}
    for name in names:
        words = _shown(_gains(split["differences"][name]))
        of_words.setdefault(words, []).append(f"`{name}`")
    return "; ".join(f"{words} for {' and '.join(of)}" for words, of in of_words.items()) + "."


def long() -> Iterable[str]:
    """A distilled copy beside the same copy alone, trained for many epochs."""
    studies = {name: found for name in LONG if (found := read_if_made(name)) is not None}
    if studies:
        yield "## Does distillation help when training is long?"
    for name, found in studies.items():
        yield from _beside_its_copy(name, found)
    yield from _by_seed()


def _beside_its_copy(name: str, found: Mapping[str, Any]) -> Iterable[str]:
    (split,) = found["splits"]
    gain, width = split["differences"][COPY][PLAIN_AUC], found["fields"][COPY]["model"]["width"]
    yield (
        f"**{shown(gain)}** Width {width}, {split['epochs']} epochs, {len(found['seeds'])} seeds: "
        f"the distilled copy of the teacher (`{COPY}`, with the reference's distillation term, "
        f"here with a gradient) minus the same copy trained alone, AUC {signed(gain)} "
        f"(plain score, p {gain['p']:.3f}). This comparison was named before the runs."
    )
    yield table(
        ("network", "AUC", "AP", "AUC, worst seed", "AUC, `mahalanobis`", "AUC, `fusion`"),
        [
            (
                f"`{name}`",
                mean(plain["auc"]),
                mean(plain["ap"]),
                f"{min(cell['auc'] for cell in variant['cells']):.4f}",
                *(mean(score["auc"]) for score in others),
            )
            for name, variant in split["variants"].items()
            for plain, *others in [variant["scores"]]
        ],
    )
    yield source(
        name,
        *made(found),
        f"`{split['protocol']}` fold {split['fold']}",
        f"{split['epochs']} epochs of each network, figures of the last",
    )


def _by_seed() -> Iterable[str]:
    """Width 16: every epoch of each network, seed by seed."""
    runs = {seed: {name: read(_file(seed, name)) for name in BY_EPOCH} for seed in SEEDS}
    files = {(seed, name): _file(seed, name) for seed in runs for name in BY_EPOCH}
    curves = {key: aucs(file) for key, file in files.items()}
    first = runs[min(runs)]["teacher"]
    halves = ", ".join(
        f"{name} {np.mean([curves[seed, name][:10] for seed in runs]):.3f} and "
        f"{np.mean([curves[seed, name][-10:] for seed in runs]):.3f}"
        for name in BY_EPOCH
    )
    yield (
        f"{_gain_of_copies(runs)} Length alone does not raise validation AUC; its means over the "
        f"first and the last ten epochs: {halves}."
    )
    yield picture(
        drawn(Line(name, *STYLES[name], curve) for (_, name), curve in curves.items()),
        f"{LONG_16}.png",
        "Validation AUC by epoch: plain score, one line for each network of width 16 and seed. It "
        "needs labelled anomalies (oracle).",
    )
    yield table(
        ("seed", "network", "AUC", "AP", "AUC (oracle)", "epoch of the oracle", "best F1 (oracle)"),
        [
            (
                seed,
                f"`{name}`",
                f"{run['auc']:.4f} {bracket(run['ci95']['auc'])}",
                f"{run['ap']:.4f} {bracket(run['ci95']['ap'])}",
                f"{run['oracle']['auc']:.4f}",
                run["oracle"]["epoch"],
                f"{run['oracle']['best_f1']:.4f}",
            )
            for seed, of_seed in runs.items()
            for name, run in of_seed.items()
        ],
    )
    yield "Brackets: 95 % bootstrap intervals over the records of the test half."
    yield source(
        list(files.values()),
        "the `result.json` of `kdjax train`",
        f"`{first['protocol']}` fold {first['fold']}",
        f"{first['n_test']:,} test beats",
        *dict.fromkeys(run["date"] for of_seed in runs.values() for run in of_seed.values()),
    )


def _gain_of_copies(runs: Mapping[int, Mapping[str, Any]]) -> str:
    """The distilled copies minus the copies alone, paired by seed, and how near they are."""
    copies, alone, teachers = (
        [of_seed[name]["auc"] for of_seed in runs.values()] for name in (COPY, "alone", "teacher")
    )
    gain = metrics.paired_difference(copies, alone)
    nearest, farthest = (
        choose(abs(a - b) for a, b in zip(copies, others, strict=True))
        for choose, others in ((max, teachers), (min, alone))
    )
    return (
        f"**{shown(gain)}** Width 16, {runs[min(runs)][COPY]['epochs']} epochs, {len(runs)} seeds: "
        f"the distilled copy minus the same copy alone, AUC {signed(gain)} (plain score, p "
        f"{gain['p']:.3f}). The distilled copy follows its teacher: their AUC differs by at most "
        f"{nearest:.4f}, that of the distilled copy and the copy alone by at least {farthest:.4f}."
    )


def _file(seed: int, name: str) -> str:
    return f"{LONG_16}-{seed}-{name}.json"


def encoder_only() -> Iterable[str]:
    """Encoders that predict a teacher's output."""
    found = read_if_made("encoder-only.json")
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
    yield "## Can the student be an encoder alone?"
    yield (
        f"An encoder that predicts the {TARGETS[best[0]]} needs "
        f"{100 * found['students'][best[0]]['macs'] / teacher['macs']:.0f} % of its teacher's "
        f"MACs; its AUC minus that of the teacher's plain score is {signed(best[2])}. The "
        f"aim, an interval above {-NEAR}, was "
        f"{'reached' if best[2]['ci95'][0] > -NEAR else 'missed'}. In the adapted fusion, the best "
        f"encoder reaches an AUC of {mean(in_use)}; 32 principal components, without a network, "
        f"reach {found['no network']['scores'][IN_USE_LATENT]['auc']:.4f}."
    )
    rows = [
        (f"teacher, {SCORED[name]}", f"{_share(name, teacher):.2f} M", mean(row["auc"]), "")
        for name, row in teacher["scores"].items()
    ]
    simple = found["no network"]
    rows += [
        (
            f"principal components, {SCORED[name]}",
            f"{simple['macs'] / 1e6:.2f} M",
            f"{row['auc']:.4f}",
            "",
        )
        for name, row in simple["scores"].items()
    ]
    rows += [
        (
            f"encoder for the {TARGETS[target]}" + (f", {SCORED[name]}" if name != "plain" else ""),
            f"{student['macs'] / 1e6:.2f} M",
            mean(row["auc"]),
            signed(student["less teacher"][name]),
        )
        for target, student in found["students"].items()
        for name, row in student["scores"].items()
    ]
    yield table(("score", "MACs", "AUC", "minus teacher"), rows)
    yield (
        "Each encoder is compared with its teacher in the same use: plain score, or adapted "
        "fusion. Encoders were trained on normal beats and perturbed copies of them."
    )
    yield source(
        "encoder-only.json",
        *seeded(found),
        f"encoders of width {found['width']}",
        f"teachers of width {teacher['width']}",
    )


def _gains(row: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether the intervals of the differences to alone and to the control lie above 0."""
    return row[PLAIN_AUC]["ci95"][0] > 0, row["to control"]["ci95"][0] > 0


def _shown(gains: tuple[bool, bool]) -> str:
    return {
        (True, True): "a gain over both the student alone and the control is shown",
        (True, False): "a gain over the student alone, but not over the control, is shown",
        (False, True): "a gain over the control, but not over the student alone, is shown",
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
