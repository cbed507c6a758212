"""docs/evidence/results.md from the committed JSON in docs/results/.

python -m benchmarks.pages.results
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pages import evidence as evidence_page
from benchmarks.pages import kinds as kinds_page
from benchmarks.shared import FOLDER, bracket, mean, read, signed, table
from kdjax.files import write_text
from kdjax.pages import plots
from kdjax.study.comparison import PLAIN

PAGE = Path(__file__).parents[2] / "docs/evidence/results.md"

# BeatGAN with a distilled copy of itself, as its authors reported it: one run each, best epoch and
# best threshold by test labels, and a distillation term that was a constant.
REFERENCE = {
    "reference teacher": {"epochs": 100, "auc": 0.9372, "ap": 0.9048, "best_f1": 0.8075},
    "reference student": {"epochs": 100, "auc": 0.9464, "ap": 0.9134, "best_f1": 0.8224},
}


def main() -> None:
    """Writes the page; every figure on it is read from a file."""
    sections = [
        "# Results",
        *evidence_page.verdict(),
        "Made by `python -m benchmarks.pages.results` from the JSON in [results/](../results/). "
        "Each file names the device, versions, code, seeds and date that made it. Those of MIT-BIH "
        "are the `result.json` of `train.py`; `initialisation.json` and `synthetic.json` name "
        "their command. [protocol.md](protocol.md) says who trains and who tests.",
        *in_short(read("study-confirm.json"), read("study-screen.json")),
        *evidence_page.headline(),
        *evidence_page.narrow(),
        *evidence_page.encoder_only(),
        *evidence_page.averaging(),
        *evidence_page.opinions(),
        *studies(),
        *recordings(),
        *kinds_page.sections(),
        *mitbih(),
        *initialisation(),
        *synthetic(),
    ]
    write_text(PAGE, "\n\n".join(sections) + "\n")


# As published, one run each; that their protocols are the same as ours is not shown.
_BEATGAN = "BeatGAN, Zhou et al., IJCAI 2019"
_ANOBEAT = "Anobeat, Ou et al., IEEE DSC 2020, doi:10.1109/DSC50466.2020.00029"
PUBLISHED = {
    "beatgan": {_BEATGAN: 0.9447, _ANOBEAT: 0.960},
    "interpatient": {_ANOBEAT: 0.894},
}


PLAIN_AUC = f"auc ({PLAIN})"
NEAR = 0.005  # AUC: how near to its teacher a student is meant to come
SCORES = {
    "mse": "the plain score, mean squared error of the reconstruction",
    "standardised": "each sample's error over its deviation on held-out normal beats",
    "mahalanobis": "Mahalanobis distance of the residual",
    "latent": "Mahalanobis distance of the latent",
    "features": "squared error of the discriminator's features",
    "prematurity": "how early a beat comes, from the RR intervals before it",
    "fusion": "residual, latent and prematurity together, as tails among normal beats",
    "memory": "distance to the nearest training beat, in latent and rhythm",
}


def studies() -> Iterable[str]:
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
    little = ": most of it is the timing and the person, not the network"
    verdict = little if without > adapted["auc"]["ci95"][0] else ""
    named = split["differences"][chosen_of(confirmed)][PLAIN_AUC]["ci95"][0] > 0
    yield "## In short"
    yield (
        f"- Distillation: a gain in AUC is {'shown' if named else 'not shown'} in the comparison "
        "named before the runs; of all terms, selections and teachers it is shown, corrected for "
        f"their number, for {', '.join(gains) or 'none'}.\n"
        f"- On people whom training has not met the best simple detector (`{simple[1]}`, "
        f"{simple[0]:.4f}) stands beside the student's plain reconstruction error, "
        f"{mean(scores[0]['auc'])}.\n"
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
    gain, to_teacher = differences[chosen]["auc (mse)"], differences[chosen]["to teacher"]
    spread = differences[chosen]["spread"]
    yield (
        f"`{study['command']}`, {made(study)}, {split['epochs']} epochs, "
        f"{split['n_test']:,} test beats of `{split['protocol']}`, plain score. "
        "[protocol.md](protocol.md#the-distillation-study) named what is compared."
    )
    verdict = (
        "No gain is shown."
        if gain["ci95"][0] <= 0 <= gain["ci95"][1]
        else ("A gain is shown." if gain["mean"] > 0 else "A loss is shown.")
    )
    yield (
        f"**Primary.** `{chosen}` (width {study['base']['model']['width']}) less `alone`, paired "
        f"by seed: AUC {signed(gain)} (p {gain['p']:.3f}). {verdict}"
    )
    work = variants[teacher]["macs"] / variants[chosen]["macs"]
    yield (
        f"**To its teacher** (`{teacher}`, {work:.1f} times the multiply-accumulates): AUC "
        f"{signed(to_teacher)}. The aim was an interval within {NEAR} of the teacher: "
        f"{reach(to_teacher['ci95'])}. Rank correlation of their scores "
        f"{variants[chosen]['agreement']['mean']:.3f}."
    )
    yield (
        f"**Spread over seeds**: standard deviation {spread['sd_a']:.4f} against "
        f"{spread['sd_b']:.4f} alone (Pitman-Morgan p {spread['p']:.1g})."
    )
    control = variants.get("alone-reconstruction")
    if control:
        gained = signed(differences["alone-reconstruction"]["auc (mse)"])
        yield (
            "**Control, added later**: with no teacher and reconstruction's own weight raised as "
            f"much, AUC {mean(control['scores'][0]['auc'])}; {gained} to `alone`. "
            " What it shares with the chosen student is not the teacher's doing."
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
        "seeds; lines are simple detectors. Networks of one size are moved apart to be seen.",
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
        yield table(
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
        yield "\\* AUC on labelled validation beats, which chooses: an oracle's."
        rows = [(n, d["auc (mse)"]) for n, d in split["differences"].items()]
        yield picture(
            plots.differences(rows, "AUC less that of the student alone, 95 % interval"),
            f"study-{split['protocol']}.png",
            f"What each variant changes under `{split['protocol']}`. Intervals are not corrected "
            "for their number, p in the table is; those without 0 are orange diamonds.",
        )


def landing(splits: Sequence[Any]) -> Iterable[str]:
    """Where kdjax lands: scores, simple detectors, published figures."""
    yield "## Scores, adaptation, simple detectors"
    yield (
        "Label-free scores fitted on held-out normal beats, one width-8 student; mean over seeds "
        "with its 95 % interval. *No network* puts the raw beat in place of the residual and 32 "
        "principal components in place of the latent. What beats what was chosen with labelled "
        "beats of DS1, and the RR features with knowledge of record 232 "
        "([protocol.md](protocol.md#the-distillation-study))."
    )
    yield "\n".join(f"- *{name}*: {what}" for name, what in SCORES.items())
    for split in splits:
        full, scores = fully_scored(split)
        yield f"### `{split['protocol']}`, fold {split['fold']}"
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
        yield table(("score", "of", "AUC", "AP", "S", "V", "F"), rows)


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
    yield table(("plain score", *heads), rows)
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
    yield f"Every score of `{full}`, then simple detectors and the scores without a network:"
    yield table(("score", *heads), rows)


def cost(found: Any) -> Iterable[str]:
    """Seeds together against one after another."""
    yield "## Seeds together"
    yield (
        f"`{found['command']}`, {found['device']}, {found['date']}, width {found['width']}: "
        f"seconds of {found['steps']} steps of all seeds under vmap and one run after another, "
        f"medians of {found['repeats']} by turns, with some other work on the machine. "
        "On a CPU there is nothing to gain."
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
        f"`{weights['command']}`: gradient norm of each term at weight 1 in a student that learnt "
        f"alone, median over {weights['batches']} batches, {weights['device']}, "
        f"{weights['date']}. The weights in `configs/study.py` were set from one other "
        "student; here some terms pull several times harder or weaker than feature matching."
    )
    teachers = list(weights["norms"])
    yield table(
        ("term", *teachers),
        [
            (term, *(f"{weights['norms'][t][term]:.3g}" for t in teachers))
            for term in weights["norms"][teachers[0]]
        ],
    )


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
    return signed(found[f"auc ({PLAIN})"]), f"{found[f'auc ({PLAIN})']['p_holm']:.3f}"


def picture(figure: Any, name: str, caption: str) -> str:
    """Writes a figure beside the JSON and shows it."""
    plots.save(figure, FOLDER / name)
    return f"![{caption}](../results/{name})"


def recordings() -> Iterable[str]:
    """The shipped detector on whole recordings."""
    found = read("detection.json")
    at_360 = found["quality"][0]
    yield "## From a recording to decisions, before families and kinds"
    yield (
        "These figures are of the earlier R-peak detector and of the fused score alone. Families "
        "and kinds, which decide today, have a section of their own. "
        f"`{found['command']}`, {found['date']}, {found['made_by']['device']}: the shipped "
        f"`{found['detector']}` on the 22 records of DS2 with R-peaks of its own, no annotation "
        "used. A beat is found when a peak lies within 150 ms of its annotation; scores are the "
        "fused one, adapted to the first 5 minutes, of beats that were found. One network; the "
        "interval is a bootstrap over records."
    )
    yield table(
        ("Hz", "sensitivity", "positive predictivity", "AUC", "AP", "S", "V", "F", "not scored"),
        (
            (
                row["fs"],
                f"{row['sensitivity']:.4f}",
                f"{row['positive_predictivity']:.4f}",
                f"{row['auc']:.4f} {bracket(row['ci95']['auc'])}",
                f"{row['ap']:.3f} {bracket(row['ci95']['ap'])}",
                *(f"{row['per_class'][name]['auc']:.3f}" for name in "SVF"),
                row["unscored"],
            )
            for row in found["quality"]
        ),
    )
    yield (
        f"With annotated beats the same network reaches {found['annotated']['auc']:.4f} AUC and "
        f"{found['annotated']['ap']:.3f} AP on all {found['annotated']['n']} beats. "
        f"{at_360['abnormal_beats_not_found']} abnormal beats, "
        f"{1 - at_360['sensitivity_to_abnormal_beats']:.1%} of them, are not found at all, so no "
        "score can be high for them. The limits of signal quality were set on all of MIT-BIH, "
        "which holds little noise."
    )
    yield (
        "What a threshold for 1 % of normal beats does in the second half of each record. It is "
        "a promise for beats drawn like the calibration's, which are of four people. False alarms "
        "count detections that are no beat, recall counts abnormal beats that were not found. "
        "Calibrations were compared on DS1, whose normal beats trained the network; then on DS2."
    )
    yield table(
        (
            "people",
            "calibration",
            "median false-positive rate of a record",
            "highest",
            "false alarms an hour",
            "recall",
        ),
        (
            (
                row["people"],
                row["calibration"],
                f"{row['fpr_median']:.2%}",
                f"{row['fpr_highest']:.1%}",
                f"{row['false_alarms_per_hour']:.0f}",
                f"{row['recall_of_all_annotated']:.1%}",
            )
            for row in found["thresholds"]
        ),
    )
    yield (
        "The last kind is why `kdjax calibrate` keeps other people's thresholds: where a person "
        "has abnormal beats, their own beats give a threshold among these."
    )
    stages = found["stages"]
    spent = ", ".join(
        f"{name} {stages[name]:.1f} s"
        for name in ("read", "beats", "network", "score", "files", "other")
    )
    yield (
        "Time and memory of `kdjax detect` on the records joined (2 leads, 360 Hz), start of the "
        f"program and report included; stages of {stages['hours']} h, once compiled: {spent}."
    )
    yield table(
        ("hours", "seconds", "peak resident MB"),
        (
            (row["hours"], f"{row['seconds']:.1f}", f"{row['peak_resident_bytes'] / 1e6:.0f}")
            for row in found["long"]
        ),
    )


def mitbih() -> Iterable[str]:
    """Teacher and student on the real records, beside the reference's figures."""
    results = {name: read(f"mitbih-{name}.json") for name in ("teacher", "student")}
    first = results["teacher"]
    yield "## MIT-BIH"
    yield (
        f"Protocol `{first['protocol']}`, fold {first['fold']}, {first['n_test']:,} test beats, "
        f"one seed ({first['seed']}), {first['device']}, {first['date']}. One run each: the "
        "difference between the two is not a gain, since re-runs of the reference alone spread "
        "from 0.937 to 0.946. Brackets are 95 % bootstrap intervals over records."
    )
    yield table(
        ("", "epochs", "AUC", "AP", "AUC, oracle", "AP, oracle", "best F1, oracle"),
        [
            *(
                (
                    name,
                    r["epochs"],
                    f"{r['auc']:.4f} {bracket(r['ci95']['auc'])}",
                    f"{r['ap']:.4f} {bracket(r['ci95']['ap'])}",
                    f"{r['oracle']['auc']:.4f} (epoch {r['oracle']['epoch']})",
                    f"{r['oracle']['ap']:.4f}",
                    f"{r['oracle']['best_f1']:.4f}",
                )
                for name, r in results.items()
            ),
            *(
                (
                    f"{name} (published)",
                    r["epochs"],
                    "",
                    "",
                    f"{r['auc']:.4f}",
                    f"{r['ap']:.4f}",
                    f"{r['best_f1']:.4f}",
                )
                for name, r in REFERENCE.items()
            ),
        ],
    )
    yield (
        "AUC and AP are those of the network after the last epoch. Oracle figures need labelled "
        "anomalies: the epoch is the best on validation, the F1 is at the best threshold on the "
        "test beats; the published figures are of that kind."
    )
    yield table(
        ("AUC by class", *(f"{k} (n {v['n']:,})" for k, v in first["per_class"].items())),
        [(name, *(claim(row) for row in r["per_class"].values())) for name, r in results.items()],
    )
    yield "A class with fewer than 50 test beats gets no claim."
    yield table(
        ("label-free threshold", "false positives asked", "came out", "recall", "F1"),
        [
            (
                name,
                f"{row['fpr_target']:.0%}",
                f"{row['fpr']:.2%}",
                f"{row['recall']:.2%}",
                f"{row['f1']:.4f}",
            )
            for name, r in results.items()
            for row in r["label_free"]
        ],
    )
    late = {name: [row["val_auc"] for row in epochs(name)[-10:]] for name in results}
    ranges = ", ".join(f"{name} {min(v):.4f} to {max(v):.4f}" for name, v in late.items())
    yield (
        f"From one epoch to the next the scores move: validation AUC (oracle) over the last "
        f"{len(late['teacher'])} epochs, {ranges}. The network after the last epoch is one draw of "
        "that."
    )
    rows = epochs("student")
    names = [name for name in rows[0] if name.startswith("grad_norm/")]
    yield (
        "Norm of each weighted term's gradient in the student's parameters, after the epoch: the "
        "distillation term is alive."
    )
    shown = [row for row in rows if row["epoch"] in (1, 2, 5, 10, 15, 20, len(rows))]
    yield table(
        ("epoch", *(name.removeprefix("grad_norm/") for name in names)),
        [(row["epoch"], *(f"{row[name]:.4f}" for name in names)) for row in shown],
    )


def initialisation() -> Iterable[str]:
    """Worst and median over seeds of both starts."""
    found = read("initialisation.json")
    yield "## The first draw of the weights"
    yield (
        f"Full-size teacher on MIT-BIH, {found['steps']} steps, the same seeds and batches for "
        f"both arms, validation AUC (oracle). {found['device']}, {found['date']}. "
        "`model.output_bias` starts a bias before the last tanh at the mean beat and draws the "
        "last kernel with mean zero; without it the network is the published one."
    )
    yield table(
        ("start", "seeds", "worst", "median", "best"),
        [
            (arm, r["seeds"], *(f"{r[name]:.4f}" for name in ("worst", "median", "best")))
            for arm, r in found["arms"].items()
        ],
    )


def synthetic() -> Iterable[str]:
    """The default command over seeds."""
    found = read("synthetic.json")
    config, pca = found["config"], found["pca"]
    yield "## Synthetic ECG"
    yield (
        f"`python train.py --config configs/student.py` for {len(found['rows'])} seeds: "
        f"{config['epochs']} epochs each of teacher and student, width "
        f"{config['model']['width']}, {found['n_test']:,} test beats, "
        f"{found['device']}, {found['date']}. Intervals are t intervals over seeds."
    )
    yield table(
        ("", "AUC", "95 %", "worst seed"),
        [
            *(
                (
                    name,
                    f"{found[f'{name}_auc']['mean']:.4f}",
                    bracket(found[f"{name}_auc"]["ci95"]),
                    f"{found[f'{name}_auc']['worst']:.4f}",
                )
                for name in ("teacher", "student")
            ),
            (f"PCA reconstruction, {pca['components']} components", f"{pca['auc']:.4f}", "", ""),
        ],
    )
    for name in ("teacher", "student"):
        low, high = found[f"{name}_auc"]["ci95"]
        if low <= pca["auc"] <= high:
            yield f"The {name}'s interval holds the PCA's figure: no difference is shown."


def epochs(name: str) -> list[dict]:
    """The lines of a MIT-BIH run's metrics.jsonl."""
    lines = (FOLDER / f"mitbih-{name}.metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def claim(row: dict) -> str:
    """A class's AUC when it has the beats for it."""
    return f"{row['auc']:.4f}" if row["n"] >= 50 else "no claim"


if __name__ == "__main__":
    main()
