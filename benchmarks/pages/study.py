"""The distillation study on the results page: its sections, from docs/results/study-*.json."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.pages import figures
from benchmarks.shared import (
    FOLDER,
    PLAIN_AUC,
    folded,
    mean,
    picture,
    read,
    score_name,
    seeded,
    shown,
    signed,
    source,
    table,
)

# As published, one run each; that their protocols are the same as ours is not shown.
_BEATGAN = "BeatGAN, Zhou et al., IJCAI 2019"
_ANOBEAT = "Anobeat, Ou et al., IEEE DSC 2020, doi:10.1109/DSC50466.2020.00029"
PUBLISHED = {
    "beatgan": {_BEATGAN: 0.9447, _ANOBEAT: 0.960},
    "interpatient": {_ANOBEAT: 0.894},
}


NEAR = 0.005  # AUC: how near to its teacher a student is meant to come
CHOSEN_ON = "interpatient"  # the protocol whose validation beats chose the student
SCORES = {
    "mse": "the plain score, mean squared error of the reconstruction",
    "standardised": "each sample's error over its standard deviation on held-out normal beats",
    "mahalanobis": "Mahalanobis distance of the residual",
    "latent": "Mahalanobis distance of the latent",
    "features": "squared error of the discriminator's features",
    "prematurity": "how early a beat comes, judged by the RR intervals before it",
    "fusion": "residual, latent and prematurity, each by its tail probability among normal beats",
    "memory": "distance to the nearest training beat, in latent and rhythm",
}
SIMPLE = {
    "nearest_neighbour": "nearest neighbour",
    "pca_reconstruction": "PCA reconstruction",
    "mahalanobis": "Mahalanobis distance",
    "isolation_forest": "isolation forest",
}


def distillation() -> Iterable[str]:
    """The primary comparison, then every term."""
    yield from primary(read("study-confirm.json"))
    yield from screen(read("study-screen.json"))


def compared() -> Iterable[str]:
    """Scores and simple detectors on both protocols, then every fold of `beatgan`."""
    confirmed = read("study-confirm.json")
    studies = {path.name: read(path.name) for path in sorted(FOLDER.glob("study-folds*.json"))}
    whole = by_fold(list(studies.values()))
    beside_simple = next((split for split in whole if split["baselines"]), whole[0])
    yield from landing([*confirmed["splits"], beside_simple], ["study-confirm.json", *studies])
    yield from folds(studies, whole)


def costs() -> Iterable[str]:
    """What training seeds together costs, and the weights of the terms."""
    yield from cost(read("study_cost.json"))
    yield from weights(read("term_weights.json"))


def in_short(confirmed: Any, screened: Any) -> Iterable[str]:
    """What the tables below say together."""
    (split,) = confirmed["splits"]
    _, scores = fully_scored(split)
    adapted = next(
        row for row in scores if (row["score"], row["adaptation"]) == ("fusion", "first_5_minutes")
    )
    without = split["baselines"]["no network, fusion, first_5_minutes"]["auc"]
    simple = max(
        (b["auc"], name)
        for name, b in split["baselines"].items()
        if not name.startswith("no network")
    )
    gains = [
        f"`{name}` under `{of['protocol']}`"
        for of in screened["splits"]
        for name, found in of["differences"].items()
        if found[PLAIN_AUC]["p_holm"] < 0.05 and found[PLAIN_AUC]["mean"] > 0
    ]
    little = ": timing and adaptation to the person contribute most, not the network"
    verdict = little if without > adapted["auc"]["ci95"][0] else ""
    named = split["differences"][chosen_of(confirmed)][PLAIN_AUC]["ci95"][0] > 0
    yield "## In short"
    yield (
        f"- **Distillation.** In the comparison named before the runs, a gain in AUC is "
        f"{'shown' if named else 'not shown'}. Of all terms, selections and teachers, "
        f"{', '.join(gains) or 'none'} show{'' if len(gains) > 1 else 's'} a gain once the p "
        "values are corrected for their number.\n"
        f"- **Simple detectors.** On people outside the training data, the plain score of the "
        f"student has an AUC of {mean(scores[0]['auc'])}; the best simple detector "
        f"({SIMPLE[simple[1]]}) has {simple[0]:.4f}.\n"
        "- **Adapted fusion.** It reaches an AUC of "
        f"{mean(adapted['auc'])} with the student, and {without:.4f} with the raw beat in its "
        f"place{verdict}."
    )


def chosen_of(confirmed: Any) -> str:
    """The student that the confirmation is about: the first that has a teacher."""
    differences = confirmed["splits"][0]["differences"]
    return next(n for n, f in confirmed["fields"].items() if f["teacher"] and n in differences)


def fully_scored(split: Any) -> tuple[str, list[Any]]:
    """The variant with every score, and these; the plain one first."""
    full = max(split["variants"], key=lambda n: len(split["variants"][n]["scores"]))
    return full, split["variants"][full]["scores"]


def primary(study: Any) -> Iterable[str]:
    """The comparison named before the runs, and what was named before the confirmation."""
    (split,) = study["splits"]
    variants, differences = split["variants"], split["differences"]
    chosen = chosen_of(study)
    teacher = study["fields"][chosen]["teacher"]
    gain, to_teacher = differences[chosen][PLAIN_AUC], differences[chosen]["to teacher"]
    spread = differences[chosen]["spread"]
    yield "## Does a student learn from its teacher?"
    yield (
        f"**{shown(gain)}** In the comparison named before the runs, the AUC of the distilled "
        f"student (`{chosen}`) minus that of the same student trained alone is {signed(gain)} "
        f"(p {gain['p']:.3f}; plain score, width {study['base']['model']['width']})."
    )
    networks = {n: (v["macs"], v["scores"][0]["auc"]) for n, v in variants.items()}
    simple = {SIMPLE[n]: b["auc"] for n, b in split["baselines"].items() if n in SIMPLE}
    yield picture(
        figures.quality_cost(networks, simple),
        "study-cost.png",
        "AUC of the plain score over multiply-accumulates for each beat, in millions: mean and 95 "
        "% interval over seeds. Lines are simple detectors. Networks of one size are drawn side "
        "by side.",
    )
    yield table(
        ("network", "AUC", "AP", "AUC, worst seed", "MACs", "parameters", "agreement with teacher"),
        [
            (
                f"`{name}`",
                mean(v["scores"][0]["auc"]),
                mean(v["scores"][0]["ap"]),
                f"{min(c['auc'] for c in v['cells']):.4f}",
                f"{v['macs'] / 1e6:.2f} M",
                f"{v['params']:,}",
                "" if v["agreement"] is None else f"{v['agreement']['mean']:.3f}",
            )
            for name, v in variants.items()
        ],
    )
    work = variants[teacher]["macs"] / variants[chosen]["macs"]
    facts = [
        "`alone` has no teacher; `-4` marks students of width 4. Agreement is the rank correlation "
        "of two networks' scores.",
        f"**Distance to the teacher** (`{teacher}`, with {work:.1f} times the MACs): the AUC minus "
        f"the teacher's is {signed(to_teacher)}. The aim was to show that they differ by at most "
        f"{NEAR}. {reach(to_teacher['ci95'])}",
        f"**Spread over seeds**: the standard deviation of the student's AUC is "
        f"{spread['sd_a']:.4f}, that of `alone` {spread['sd_b']:.4f} (Pitman-Morgan p "
        f"{spread['p']:.1g}).",
    ]
    control = variants.get("alone-reconstruction")
    if control:
        gained = signed(differences["alone-reconstruction"][PLAIN_AUC])
        facts.append(
            "**Control**, added after the first runs: `alone-reconstruction` has no teacher, but "
            "the weight of its own reconstruction term is raised by that of distillation. Its AUC "
            "is "
            f"{mean(control['scores'][0]['auc'])}, {gained} relative to `alone`. A gain that the "
            "control shares is not due to the teacher."
        )
    yield "\n".join(f"- {fact}" for fact in facts)
    yield source(
        "study-confirm.json",
        *made(study),
        f"{split['epochs']} epochs",
        f"{split['n_test']:,} test beats",
    )


def screen(study: Any) -> Iterable[str]:
    """Every term, selection and teacher, both protocols."""
    yield "## Which distillation terms help?"
    yield screened(study["splits"])
    yield (
        "Variants are named after their term. *better*: only beats that the teacher reconstructs "
        "better than the student; *quantile*: only the half that it reconstructs best; *transfer*: "
        "also perturbed beats; *memory*: the teacher is the nearest neighbour among all training "
        "beats; *autoencoder*: no teacher and no feature matching."
    )
    if study["missing"]:
        yield f"Not run: {', '.join(study['missing'])}."
    for split in study["splits"]:
        yield f"### `{split['protocol']}`, fold {split['fold']}, {split['epochs']} epochs"
        rows = [(n, d[PLAIN_AUC]) for n, d in split["differences"].items()]
        best, found = max(rows, key=lambda row: row[1]["mean"])
        yield (
            f"The highest mean difference of {len(rows)} variants is that of `{best}`: "
            f"{signed(found)}, corrected p {found['p_holm']:.3f}."
        )
        yield picture(
            figures.differences(rows, "AUC minus that of the student alone"),
            f"study-{split['protocol']}.png",
            f"AUC of each variant minus that of the student alone under `{split['protocol']}`, "
            "plain score: mean and 95 % interval over seeds, not corrected for the number of "
            "variants. Orange diamonds: the interval excludes 0.",
        )
        whole = table(
            (
                "variant",
                "teacher",
                "AUC",
                "AP",
                "AUC minus alone",
                "corrected p",
                "agreement with teacher",
                "validation AUC (oracle)",
            ),
            [
                (
                    f"`{name}`",
                    v["teacher"] or "",
                    mean(v["scores"][0]["auc"]),
                    mean(v["scores"][0]["ap"]),
                    *against(split["differences"].get(name)),
                    "" if v["agreement"] is None else f"{v['agreement']['mean']:.3f}",
                    f"{v['scores'][0]['validation_auc']['mean']:.4f}",
                )
                for name, v in split["variants"].items()
            ],
        )
        chosen = split["protocol"] == CHOSEN_ON
        oracle = "The validation AUC, on labelled beats, chose the student that was confirmed."
        yield folded("Every variant", f"{whole}\n\n{oracle}" if chosen else whole)
    yield source("study-screen.json", *made(study))


def screened(splits: Sequence[Any]) -> str:
    """Which variants differ from the student alone, corrected for their number."""
    apart = [
        f"`{name}` under `{split['protocol']}` ({signed(row[PLAIN_AUC])})"
        for split in splits
        for name, row in split["differences"].items()
        if row[PLAIN_AUC]["p_holm"] < 0.05
    ]
    under = " or ".join(f"`{split['protocol']}`" for split in splits)
    differ = ": " + ", ".join(apart) if apart else ""
    return (
        f"After correction for the number of variants (Holm), {'some are' if apart else 'none is'} "
        f"shown to differ from the student alone under {under}{differ}."
    )


def landing(splits: Sequence[Any], names: Sequence[str]) -> Iterable[str]:
    """Where kdjax lands: scores, simple detectors, published figures. `names` are the JSON."""
    yield "## How do scores and simple detectors compare?"
    yield " ".join(highest(split) for split in splits)
    for split in splits:
        yield f"### `{split['protocol']}`, fold {split['fold']}"
        _, scores = fully_scored(split)
        best = max(scores, key=lambda row: row["auc"]["mean"])
        every = [_scored(row) for row in scores]
        simple = {
            name: (*_without(name), f"{b['auc']:.4f}", f"{b['ap']:.4f}", *_classes(b))
            for name, b in split["baselines"].items()
        }
        first = [_scored(scores[0]), _scored(best)]
        for has in (False, True):
            some = {n: b for n, b in split["baselines"].items() if n.startswith("no net") == has}
            if some:
                first.append(simple[max(some, key=lambda name: some[name]["auc"])])
        elsewhere = [
            (work, "published, one run", f"{auc}", "", "", "", "")
            for work, auc in PUBLISHED[split["protocol"]].items()
        ]
        head = ("score", "of", "AUC", "AP", "AUC of S", "of V", "of F")
        yield table(head, [*first, *elsewhere])
        yield folded("Every score", table(head, [*every, *simple.values()]))
    yield (
        f"*Network* is the student `{fully_scored(splits[0])[0]}`. The first rows are its plain "
        "score, its best score, the best simple detector and the best score without a network. "
        "Under `beatgan`, training and test beats are of the same people, so that a nearest "
        "neighbour does well. It is not known whether the published figures follow the same "
        "protocol. Scores need no labels and are fitted on held-out normal beats, but the "
        "best one and its adaptation were chosen with labelled beats of DS1, and the features of "
        "RR intervals with knowledge of record 232 "
        "([Protocols](protocol.md#the-distillation-study))."
    )
    yield "\n".join(f"- `{name}`: {what}" for name, what in SCORES.items())
    yield source(names, "commands as above and below")


def _scored(row: Any) -> tuple[str, ...]:
    classes = (f"{row['per_class'][k]['mean']:.3f}" for k in "SVF")
    name = score_name(f"{row['score']}, {row['adaptation']}")
    return (name, "network", mean(row["auc"]), mean(row["ap"]), *classes)


def _without(name: str) -> tuple[str, str]:
    """A score without a network, or a simple detector, and which of the two it is."""
    if name.startswith("no network, "):
        return score_name(name.removeprefix("no network, ")), "no network"
    return SIMPLE[name], "simple detector"


def _classes(baseline: Any) -> Iterable[str]:
    return (f"{baseline['per_class'][k]['auc']:.3f}" for k in "SVF")


def highest(split: Any) -> str:
    """The best label-free score of the network, and the best without one."""
    _, scores = fully_scored(split)
    best = max(scores, key=lambda row: row["auc"]["mean"])
    name, without = max(split["baselines"].items(), key=lambda item: item[1]["auc"])
    named = score_name(f"{best['score']}, {best['adaptation']}")
    return (
        f"Under `{split['protocol']}`, the highest AUC is {mean(best['auc'])} with the network "
        f"({named}) and {without['auc']:.4f} without it ({_without(name)[0]})."
    )


def by_fold(studies: Sequence[Any]) -> list[Any]:
    """The splits of studies of one command whose variants are all there, by fold."""
    splits = [split for study in studies for split in study["splits"]]
    most = max(len(split["variants"]) for split in splits)
    return sorted((s for s in splits if len(s["variants"]) == most), key=lambda s: s["fold"])


def folds(studies: Mapping[str, Any], splits: Sequence[Any]) -> Iterable[str]:
    """What was chosen, on the other folds of `beatgan`, each fold apart.

    `studies` are of one command, by the JSON of the machines that made them; `splits` are their
    `by_fold`.
    """
    first = next(iter(studies.values()))
    heads = [f"fold {split['fold']}" for split in splits]
    there = {f"{s['protocol']}-{s['fold']}/{name}" for s in splits for name in s["variants"]}
    yield "## Does the result hold on other folds of `beatgan`?"
    differences = "; ".join(_over_folds(name, splits) for name in splits[0]["differences"])
    yield (
        f"{differences} (plain score, 95 % intervals, not corrected for their number). Folds share "
        "most of their training beats, so their figures are not pooled; each is a mean over "
        f"{len(first['seeds'])} seeds."
    )
    missing = {name for study in studies.values() for name in study["missing"]} - there
    if missing:
        yield f"Not run: {', '.join(sorted(missing))}."
    rows = []
    for name in splits[0]["variants"]:
        found = [split["variants"][name]["scores"][0]["auc"] for split in splits]
        rows.append((f"`{name}`", *map(mean, found)))
        if name in splits[0]["differences"]:
            apart = [split["differences"][name][PLAIN_AUC] for split in splits]
            rows.append((f"`{name}` minus `alone`", *map(signed, apart)))
    yield table(("AUC, plain score", *heads), rows)
    full, _ = fully_scored(splits[0])
    scores = [split["variants"][full]["scores"] for split in splits]
    rows = [
        (
            score_name(f"{row['score']}, {row['adaptation']}"),
            "network",
            *(mean(of_fold[number]["auc"]) for of_fold in scores),
        )
        for number, row in enumerate(scores[0])
    ]
    simple = {name: None for split in splits for name in split["baselines"]}
    rows += [
        (
            *_without(name),
            *(
                f"{split['baselines'][name]['auc']:.4f}" if split["baselines"] else ""
                for split in splits
            ),
        )
        for name in simple
    ]
    yield folded("AUC of every score", table(("score", "of", *heads), rows))
    command, *_ = made(first)
    facts = dict.fromkeys(fact for study in studies.values() for fact in made(study)[1:])
    yield source(list(studies), command, *facts)


def _over_folds(name: str, splits: Sequence[Any]) -> str:
    """On which folds a variant's difference to the student alone lies above 0, or below."""
    intervals = {split["fold"]: split["differences"][name][PLAIN_AUC]["ci95"] for split in splits}
    above = [str(fold) for fold, (low, _) in intervals.items() if low > 0]
    below = [str(fold) for fold, (_, high) in intervals.items() if high < 0]
    return (
        f"`{name}` is better than `alone` on {_named(above)} of {len(splits)} and worse on "
        f"{_named(below)}"
    )


def _named(numbers: Sequence[str]) -> str:
    plural = "s" if len(numbers) > 1 else ""
    return f"fold{plural} {', '.join(numbers)}" if numbers else "no fold"


def cost(found: Any) -> Iterable[str]:
    """Seeds together against one after another."""
    ratios = [row["ratio"] for row in found["rows"]]
    yield "## Does training seeds together save time?"
    yield (
        f"On a CPU, training seeds together under `vmap` takes {min(ratios):.2f} to "
        f"{max(ratios):.2f} times as long as training them one after another."
    )
    yield table(
        ("seeds", "together, s", "one after another, s", "ratio"),
        (
            (r["seeds"], f"{r['together']:.2f}", f"{r['in_turn']:.2f}", f"{r['ratio']:.2f}")
            for r in found["rows"]
        ),
    )
    yield source(
        "study_cost.json",
        f"`{found['command']}`",
        f"width {found['width']}",
        f"{found['steps']} steps of all seeds",
        f"medians of {found['repeats']} repetitions with other work on the machine",
        found["date"],
    )


def weights(weights: Any) -> Iterable[str]:
    """Where the weights of the terms come from."""
    yield "## How strong are the distillation terms?"
    yield (
        "The weights in `configs/study.py` were set so that each term's gradient was about as "
        "strong as that of feature matching in one student. In the student measured here, some "
        "are several times stronger or weaker. The table gives the gradient norm of each term at "
        "weight 1 in a student trained without a teacher."
    )
    teachers = list(weights["norms"])
    rows = [
        (term, *(f"{weights['norms'][t][term]:.3g}" for t in teachers))
        for term in weights["norms"][teachers[0]]
    ]
    yield folded("Gradient norm of every term", table(("term", *teachers), rows))
    yield source(
        "term_weights.json",
        f"`{weights['command']}`",
        f"median over {weights['batches']} batches",
        weights["date"],
    )


def reach(interval: Sequence[float]) -> str:
    """Whether an interval stays within the aim of the distance to the teacher, on both sides."""
    below, above = interval[0] >= -NEAR, interval[1] <= NEAR
    if below and above:
        return "It was reached."
    how = "better" if below else "worse" if above else "worse or better"
    return f"It was missed, because the student may be {how} by more than that."


def made(study: Any) -> tuple[str, str, str]:
    """The command, the seeds and the date of a study."""
    cells = [c for s in study["splits"] for v in s["variants"].values() for c in v["cells"]]
    return seeded(study | {"date": max(cell["date"] for cell in cells)})


def against(found: Any) -> tuple[str, str]:
    """A variant's difference to the student alone and its corrected p."""
    if found is None:
        return "", ""
    return signed(found[PLAIN_AUC]), f"{found[PLAIN_AUC]['p_holm']:.3f}"
