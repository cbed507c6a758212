"""The distillation study on the results page: its sections, from docs/results/study-*.json."""

from collections.abc import Iterable, Sequence
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

# As published, one run each; that their protocols are the same as ours is not shown.
_BEATGAN = "BeatGAN, Zhou et al., IJCAI 2019"
_ANOBEAT = "Anobeat, Ou et al., IEEE DSC 2020, doi:10.1109/DSC50466.2020.00029"
PUBLISHED = {
    "beatgan": {_BEATGAN: 0.9447, _ANOBEAT: 0.960},
    "interpatient": {_ANOBEAT: 0.894},
}


NEAR = 0.005  # AUC: how near to its teacher a student is meant to come
SCORES = {
    "mse": "the plain score, mean squared error of the reconstruction",
    "standardised": "each sample's error over its deviation on held-out normal beats",
    "mahalanobis": "Mahalanobis distance of the residual",
    "latent": "Mahalanobis distance of the latent",
    "features": "squared error of the discriminator's features",
    "prematurity": "how early a beat comes, judged by the RR intervals before it",
    "fusion": "residual, latent and prematurity together, each by its tail among normal beats",
    "memory": "distance to the nearest training beat, in latent and rhythm",
}


def sections() -> Iterable[str]:
    """The distillation study: the primary comparison, then the screen, then the scores."""
    confirmed, screened = read("study-confirm.json"), read("study-screen.json")
    yield "## Does a student learn from its teacher?"
    yield from primary(confirmed)
    yield from screen(screened)
    elsewhere = [read(path.name) for path in sorted(FOLDER.glob("study-folds*.json"))]
    whole = by_fold(elsewhere)
    beside_simple = next((split for split in whole if split["baselines"]), whole[0])
    yield from landing([*confirmed["splits"], beside_simple])
    yield from folds(elsewhere, whole)
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
        f"- Distillation: in the comparison named before the runs, a gain in AUC is "
        f"{'shown' if named else 'not shown'}. Among all terms, selections and teachers, it is "
        f"shown for {', '.join(gains) or 'none'} after correction for their number.\n"
        f"- On people who are not in the training data, the AUC of the student's plain "
        f"reconstruction error is {mean(scores[0]['auc'])}; the best simple detector "
        f"(`{simple[1]}`) reaches {simple[0]:.4f}.\n"
        "- The fused score, adapted to the person, reaches "
        f"{mean(adapted['auc'])}. The same score of the raw beat, without any network, reaches "
        f"{without:.4f}{verdict}."
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
    yield (
        f"`{study['command']}`, {made(study)}, {split['epochs']} epochs, "
        f"{split['n_test']:,} test beats of `{split['protocol']}`, plain score. "
        "[Protocols](protocol.md#the-distillation-study) named the comparisons beforehand."
    )
    yield (
        f"**Primary.** `{chosen}` (width {study['base']['model']['width']}) less `alone`, paired "
        f"by seed: AUC {signed(gain)} (p {gain['p']:.3f}). {shown(gain)}"
    )
    work = variants[teacher]["macs"] / variants[chosen]["macs"]
    yield (
        f"**To its teacher** (`{teacher}`, {work:.1f} times the multiply-accumulates): AUC "
        f"{signed(to_teacher)}. The aim was an interval within {NEAR} of the teacher: "
        f"{reach(to_teacher['ci95'])}. Rank correlation of their scores "
        f"{variants[chosen]['agreement']['mean']:.3f}."
    )
    yield (
        f"**Spread over seeds**: the standard deviation is {spread['sd_a']:.4f}, that of `alone` "
        f"{spread['sd_b']:.4f} (Pitman-Morgan p {spread['p']:.1g})."
    )
    control = variants.get("alone-reconstruction")
    if control:
        gained = signed(differences["alone-reconstruction"][PLAIN_AUC])
        yield (
            "**Control, added later**: without a teacher, and with the weight of its own "
            f"reconstruction raised as much, AUC is {mean(control['scores'][0]['auc'])}, {gained} "
            "relative to `alone`. A gain that it shares with the chosen student is not due to the "
            "teacher."
        )
    yield table(
        ("interpatient, fresh seeds", "AUC", "AP", "worst seed", "MACs", "parameters", "agreement"),
        [
            (
                name,
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
    networks = {n: (v["macs"], v["scores"][0]["auc"]) for n, v in variants.items()}
    simple = {n: b["auc"] for n, b in split["baselines"].items() if not n.startswith("no network")}
    yield picture(
        plots.quality_cost(networks, simple),
        "study-cost.png",
        "AUC of the plain score over multiply-accumulates, `interpatient`, 95 % intervals over "
        "seeds; lines are simple detectors. Networks of one size are drawn side by side.",
    )


def screen(study: Any) -> Iterable[str]:
    """Every term, selection and teacher, both protocols."""
    yield "## Terms, selections, teachers"
    yield (
        f"`{study['command']}`, {made(study)}. Differences are to `alone`, paired by seed; p is "
        "corrected for their number (Holm). *better*: only beats that the teacher reconstructs "
        "better; *quantile*: only the half that it reconstructs best; *transfer*: perturbed beats "
        "as well; *memory*: the teacher is the nearest neighbour among all training beats."
    )
    if study["missing"]:
        yield f"Not run: {', '.join(study['missing'])}."
    for split in study["splits"]:
        yield f"### `{split['protocol']}`, fold {split['fold']}, {split['epochs']} epochs"
        yield screened(split)
        rows = [(n, d[PLAIN_AUC]) for n, d in split["differences"].items()]
        yield picture(
            plots.differences(rows, "AUC less that of the student alone, 95 % interval"),
            f"study-{split['protocol']}.png",
            f"What each variant changes under `{split['protocol']}`. Intervals are not corrected "
            "for their number, p in the table is; those without 0 are orange diamonds.",
        )
        whole = table(
            ("variant", "teacher", "AUC", "AP", "AUC less alone", "p", "agreement", "validation*"),
            [
                (
                    name,
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
        oracle = "\\* AUC on labelled validation beats, by which the choice is made: an oracle's."
        yield folded("Every variant", f"{whole}\n\n{oracle}")


def screened(split: Any) -> str:
    """How many variants of a split differ from the student alone, corrected for their number."""
    found = {name: row[PLAIN_AUC] for name, row in split["differences"].items()}
    shown = {name: row for name, row in found.items() if row["p_holm"] < 0.05}
    best = max(found, key=lambda name: found[name]["mean"])
    which = ", ".join(f"`{name}` {signed(row)}" for name, row in shown.items())
    verdict = f"these differ from the student alone: {which}" if shown else "none differs from it"
    return (
        f"Of {len(found)} variants compared with the student alone, corrected for their number, "
        f"{verdict}. The highest mean difference is that of `{best}`, {signed(found[best])}."
    )


def landing(splits: Sequence[Any]) -> Iterable[str]:
    """Where kdjax lands: scores, simple detectors, published figures."""
    yield "## Scores, adaptation, simple detectors"
    yield (
        "Label-free scores fitted on held-out normal beats, one width-8 student; mean over seeds "
        "with its 95 % interval. *No network* puts the raw beat in place of the residual and 32 "
        "principal components in place of the latent. The best score and adaptation were chosen "
        "with labelled beats of DS1, the RR features with knowledge of record 232 "
        "([Protocols](protocol.md#the-distillation-study))."
    )
    yield "\n".join(f"- *{name}*: {what}" for name, what in SCORES.items())
    for split in splits:
        full, scores = fully_scored(split)
        yield f"### `{split['protocol']}`, fold {split['fold']}"
        yield highest(split)
        rows = [
            (
                f"{row['score']}"
                + (f", {row['adaptation']}" if row["adaptation"] != "none" else ""),
                f"`{full}`",
                mean(row["auc"]),
                mean(row["ap"]),
                *(f"{row['per_class'][k]['mean']:.3f}" for k in "SVF"),
            )
            for row in scores
        ]
        rows += [
            (
                name.removeprefix("no network, ").removesuffix(", none"),
                "no network" if name.startswith("no network") else "simple detector",
                f"{b['auc']:.4f}",
                f"{b['ap']:.4f}",
                *(f"{b['per_class'][k]['auc']:.3f}" for k in "SVF"),
            )
            for name, b in split["baselines"].items()
        ]
        rows += [
            (
                name,
                "published: one run, protocol not shown to be the same",
                f"{auc}",
                "",
                "",
                "",
                "",
            )
            for name, auc in PUBLISHED[split["protocol"]].items()
        ]
        yield folded("Every score", table(("score", "of", "AUC", "AP", "S", "V", "F"), rows))


def highest(split: Any) -> str:
    """The best label-free score of the network, and the best without one."""
    full, scores = fully_scored(split)
    best = max(scores, key=lambda row: row["auc"]["mean"])
    name, without = max(split["baselines"].items(), key=lambda item: item[1]["auc"])
    adapted = "" if best["adaptation"] == "none" else f", {best['adaptation']}"
    name = name.removeprefix("no network, ").removesuffix(", none")
    return (
        f"The highest AUC with a network is {mean(best['auc'])} (`{full}`, {best['score']}"
        f"{adapted}), without one {without['auc']:.4f} ({name})."
    )


def by_fold(studies: Sequence[Any]) -> list[Any]:
    """The splits of studies of one command whose variants are all there, by fold."""
    splits = [split for study in studies for split in study["splits"]]
    most = max(len(split["variants"]) for split in splits)
    return sorted((s for s in splits if len(s["variants"]) == most), key=lambda s: s["fold"])


def folds(studies: Sequence[Any], splits: Sequence[Any]) -> Iterable[str]:
    """What was chosen, on the other folds of `beatgan`, each fold apart.

    `studies` are of one command, by the machines that made them; `splits` are their `by_fold`.
    """
    heads = [f"fold {split['fold']}" for split in splits]
    there = {f"{s['protocol']}-{s['fold']}/{name}" for s in splits for name in s["variants"]}
    yield "## Other folds of `beatgan`"
    yield (
        f"`{studies[0]['command']}`, {'; '.join(made(study) for study in studies)}. Mean AUC over "
        f"{len(studies[0]['seeds'])} seeds of each fold with its 95 % interval; differences to "
        "`alone`, paired by seed. Folds share most of their training beats, so nothing is pooled "
        "over them."
    )
    missing = {name for study in studies for name in study["missing"]} - there
    if missing:
        yield f"Not run: {', '.join(sorted(missing))}."
    rows = []
    for name in splits[0]["variants"]:
        found = [split["variants"][name]["scores"][0]["auc"] for split in splits]
        rows.append((name, *map(mean, found)))
        if name in splits[0]["differences"]:
            apart = [split["differences"][name]["auc (mse)"] for split in splits]
            rows.append((f"{name} less alone", *map(signed, apart)))
    yield folded("Plain score by fold", table(("plain score", *heads), rows))
    full, _ = fully_scored(splits[0])
    scores = [split["variants"][full]["scores"] for split in splits]
    rows = [
        (
            row["score"] + (f", {row['adaptation']}" if row["adaptation"] != "none" else ""),
            *(mean(of_fold[number]["auc"]) for of_fold in scores),
        )
        for number, row in enumerate(scores[0])
    ]
    simple = {name: None for split in splits for name in split["baselines"]}
    rows += [
        (
            name,
            *(
                f"{split['baselines'][name]['auc']:.4f}" if split["baselines"] else ""
                for split in splits
            ),
        )
        for name in simple
    ]
    title = f"Every score of {full}, then simple detectors and the scores without a network"
    yield folded(title, table(("score", *heads), rows))


def cost(found: Any) -> Iterable[str]:
    """Seeds together against one after another."""
    yield "## Training seeds together"
    yield (
        f"`{found['command']}`, {found['device']}, {found['date']}, width {found['width']}: "
        f"seconds of {found['steps']} steps of all seeds under vmap and one run after another, "
        f"medians of {found['repeats']}, in turn, with some other work on the machine. "
        "On a CPU, training seeds together saves no time."
    )
    yield table(
        ("seeds", "together", "in turn", "together / in turn"),
        (
            (r["seeds"], f"{r['together']:.2f}", f"{r['in_turn']:.2f}", f"{r['ratio']:.2f}")
            for r in found["rows"]
        ),
    )


def weights(weights: Any) -> Iterable[str]:
    """Where the weights of the terms come from."""
    yield "## Weights of the terms"
    yield (
        f"`{weights['command']}`: gradient norm of each term at weight 1 in a student trained "
        f"without a teacher, median over {weights['batches']} batches, {weights['device']}, "
        f"{weights['date']}. The weights in `configs/study.py` were set on another student; here "
        "the gradients of some terms are several times as large or as small as that of feature "
        "matching."
    )
    teachers = list(weights["norms"])
    rows = [
        (term, *(f"{weights['norms'][t][term]:.3g}" for t in teachers))
        for term in weights["norms"][teachers[0]]
    ]
    yield folded("Every term", table(("term", *teachers), rows))


def reach(interval: Sequence[float]) -> str:
    """Whether an interval stays within the aim of the distance to the teacher, on both sides."""
    below, above = interval[0] >= -NEAR, interval[1] <= NEAR
    if below and above:
        return "reached"
    return "missed, the student may be " + (
        "better by more" if below else "worse by more" if above else "worse or better by more"
    )


def made(study: Any) -> str:
    """Seeds, device and date of a study."""
    cells = [c for s in study["splits"] for v in s["variants"].values() for c in v["cells"]]
    devices = ", ".join(sorted({c["device"] for c in cells}))
    seeds = study["seeds"]
    return f"seeds {seeds[0]} to {seeds[-1]}, {devices}, {max(c['date'] for c in cells)}"


def against(found: Any) -> tuple[str, str]:
    """A variant's difference to the student alone and its corrected p."""
    if found is None:
        return "", ""
    return signed(found[PLAIN_AUC]), f"{found[PLAIN_AUC]['p_holm']:.3f}"
