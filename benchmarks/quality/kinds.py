"""Families and kinds of beats on MIT-BIH, by EC57: without a label, and with a reviewer.

python -m benchmarks.quality.kinds --records DIR

DIR holds the MIT-BIH records. The detector's own R-peaks and its shipped weights, which DS1 fitted
(`fit_kinds`); in the rows of DS1 each record has weights fitted on the others. So have the weights
without the network's term; their threshold is the one at which DS1 has as many false alarms an hour
as with the shipped weights. Intervals are of a bootstrap over records. Statistics begin at minute
5, but AUC and the share of changed decisions count the beats before it, too; e and j are normal, as
AAMI's classes have it, and as bxb's map has them where it is said.
Writes docs/results/kinds.json and kinds.png.
"""

import argparse
import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.quality import fibrillation, made_rhythms, tallies
from benchmarks.quality.families import families
from benchmarks.quality.fit_kinds import (
    DETECTOR,
    DS1,
    FITTING,
    Read,
    fit,
    read,
    scored,
    streamed,
)
from benchmarks.quality.tallies import START
from benchmarks.robustness import noise, noise_stress, records
from benchmarks.shared import write_rows
from kdjax.datasets.protocols import MITBIH_GROUPS
from kdjax.detection import kinds
from kdjax.detection.deciding import FPR
from kdjax.detection.detector import Detector
from kdjax.detection.families import gather, to_name
from kdjax.detection.signs import SIGNS, Rhythm, p_wave_signs, stacked, timing_signs
from kdjax.pages import plots
from kdjax.runs import directory, provenance
from kdjax.scores import metrics
from kdjax.scores.fitted import rhythm_after

RESULT = Path("docs/results/kinds.json")
PEOPLE = {"DS1": DS1, "DS2": MITBIH_GROUPS["test"]}
FPRS = (0.003, FPR, 0.03)
SNR = 12  # dB
DECISIONS = (0, 3, 5, 10, 20)
NETWORK = ("shape's anomaly",)  # the term that the network has a part in
RATES = (0.003, FPR, 0.0075, 0.01, 0.02)
CHOSEN_BY = (0, 10)  # decisions
SEED, BEATS, FIRST = 1, 860, 60  # of a made rhythm; those before the first make its usual interval
LIMITS, HALVINGS = (-4.0, 6.0), 14  # of a threshold in log odds, and how often they are halved
SHIFTS = (0.0, 0.25, 0.5, 1.0)


def main() -> None:
    """Writes the result and the figure."""
    parser = argparse.ArgumentParser(description="Families and kinds of beats, by EC57")
    parser.add_argument("--records", type=Path, required=True)
    args = parser.parse_args()
    detector = directory.load_run(DETECTOR)
    reads = {
        people: [read(detector, args.records / name) for name in names]
        for people, names in PEOPLE.items()
    }
    others = {one.name: _fitted_on_others(reads["DS1"], one) for one in reads["DS1"]}
    plain = fit([one for one in reads["DS1"] if one.name in FITTING], without=NETWORK)
    plain_others = {one.name: _fitted_on_others(reads["DS1"], one, NETWORK) for one in reads["DS1"]}
    out: dict[str, Any] = {
        "command": "python -m benchmarks.quality.kinds --records DIR",
        "detector": DETECTOR,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "made_by": provenance.made_by(),
        "kinds": [],
        "records": [],
        "threshold": [],
        "reviewer": [],
        "families": [],
        "fibrillation": [],
        "network": [],
        "rates": list(operating_points(reads["DS1"], others)),
        "rhythms": list(in_rhythms(reads["DS1"], others)),
        "personal": list(personal(reads["DS1"], others)),
        "noise": [],
    }
    plain_limit = None
    for people, some in reads.items():
        models = [others.get(one.name, kinds.read_model()) for one in some]
        opinions = [scored(one, model) for one, model in zip(some, models, strict=True)]
        rows, per_record = by_kind(some, opinions, kinds.threshold(FPR))
        draws = _draws(some, opinions, kinds.threshold(FPR))
        out["kinds"].append(
            {"people": people, "weights": "shipped", **rows, "ci95": _intervals(draws)}
        )
        out["records"] += [{"people": people, **row} for row in per_record]
        if plain_limit is None:  # of DS1, which comes first
            plain_limit = _limit_with(some, plain_others, rows["false_alarms_per_hour"])
        without = [
            scored(one, plain_others.get(one.name, plain), limit=plain_limit) for one in some
        ]
        row, _ = by_kind(some, without, plain_limit)
        others_draws = _draws(some, without, plain_limit)
        out["kinds"].append(
            {
                "people": people,
                "weights": "fitted without the network",
                **row,
                "ci95": _intervals(others_draws),
                "limit": plain_limit,
            }
        )
        less = {name: draws[name] - others_draws[name] for name in draws}
        out["network"].append(
            {
                "people": people,
                **{
                    name: {"mean": rows[name] - row[name], "ci95": ci}
                    for name, ci in _intervals(less).items()
                },
            }
        )
        out["threshold"] += [{"people": people, **row} for row in realised(some, opinions)]
        rows = reviewed(some, opinions, kinds.threshold(FPR))
        out["reviewer"] += [{"people": people, **row} for row in rows]
        out["families"] += [{"people": people, **row} for row in families(detector, some)]
        out["fibrillation"] += [
            {"people": people, **row} for row in fibrillation.rows(some, models)
        ]
    out["noise"] = list(under_noise(detector, args.records, others))
    write_rows(RESULT, out)
    plots.save(curve(out["reviewer"]), RESULT.with_suffix(".png"))
    for row in out["kinds"] + out["reviewer"] + out["families"] + out["threshold"] + out["noise"]:
        print(row)


def _fitted_on_others(
    reads: Sequence[Read], one: Read, without: Sequence[str] = ()
) -> dict[str, Any]:
    return fit([other for other in reads if other is not one and other.name in FITTING], without)


def _limit_with(reads: Sequence[Read], models: dict[str, dict[str, Any]], alarms: float) -> float:
    """The limit at which there are so many false alarms an hour, or hardly fewer."""
    low, high = LIMITS
    for _ in range(HALVINGS):
        limit = (low + high) / 2
        opinions = [scored(one, models[one.name], limit=limit) for one in reads]
        found = tallies.gross(_tallies(reads, _all_symbols(reads, opinions, limit)))
        low, high = (low, limit) if found["false_alarms_per_hour"] <= alarms else (limit, high)
    if high == LIMITS[1]:
        raise ValueError(f"more than {alarms} false alarms an hour at every limit up to {high}")
    return high


# --- kinds -------------------------------------------------------------------------------------


def by_kind(
    reads: Sequence[Read], opinions: Sequence[kinds.Opinion], limit: float
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """EC57's rates over all records and of each, with false alarms and the plain AUC."""
    symbols = _all_symbols(reads, opinions, limit)
    counted = _tallies(reads, symbols)
    records = [
        {"record": one.name, **tallies.gross([count])}
        for one, count in zip(reads, counted, strict=True)
    ]
    worst = max(records, key=lambda row: row["normal_flagged"] or 0)
    bxb = [
        count._replace(matrix=tallies.matrix(one, kind, "wfdb"))
        for one, kind, count in zip(reads, symbols, counted, strict=True)
    ]
    as_bxb = tallies.gross(bxb)
    abnormal, score = _abnormal(reads, opinions)
    gross = {
        **tallies.gross(counted),
        "worst_person": worst["record"],
        "worst_person_normal_flagged": worst["normal_flagged"],
        "auc": metrics.auc(np.concatenate(abnormal), np.concatenate(score)),
        "changed_at_the_end": _changed(reads, symbols),
        "S Se, +P as bxb has it": [as_bxb["S Se"], as_bxb["S +P"]],
    }
    return gross, records


def _draws(
    reads: Sequence[Read], opinions: Sequence[kinds.Opinion], limit: float
) -> dict[str, np.ndarray]:
    """Figures of `by_kind` of each draw of records."""
    counted = _tallies(reads, _all_symbols(reads, opinions, limit))
    return tallies.resampled(counted) | {"auc": tallies.resampled_auc(*_abnormal(reads, opinions))}


def _intervals(draws: dict[str, np.ndarray]) -> dict[str, list[float]]:
    return {name: tallies.interval(values) for name, values in draws.items()}


def _all_symbols(
    reads: Sequence[Read], opinions: Sequence[kinds.Opinion], limit: float
) -> list[np.ndarray]:
    return [
        _symbols(one, opinion.kind(limit)) for one, opinion in zip(reads, opinions, strict=True)
    ]


def _tallies(reads: Sequence[Read], symbols: Sequence[np.ndarray]) -> list[tallies.Tally]:
    return [tallies.tally(one, own) for one, own in zip(reads, symbols, strict=True)]


def _abnormal(
    reads: Sequence[Read], opinions: Sequence[kinds.Opinion]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Which good beats are abnormal and their scores, by record, as far as they are known."""
    known = [np.isin(_judged(one), ["N", "S", "V", "F"]) for one in reads]
    pairs = list(zip(reads, known, strict=True))
    abnormal = [np.isin(_judged(one), ["S", "V", "F"])[own] for one, own in pairs]
    return abnormal, [o.score[own] for o, own in zip(opinions, known, strict=True)]


def _judged(one: Read) -> np.ndarray:
    """The labels of the good beats."""
    return one.label[one.shape != kinds.UNSCORED]


def _symbols(one: Read, kind: np.ndarray) -> np.ndarray:
    """The annotation of every beat [B], given the kinds of the good ones."""
    symbols = np.full(len(one.shape), "?")
    symbols[one.shape != kinds.UNSCORED] = kind
    return symbols


def _changed(reads: Sequence[Read], symbols: Sequence[np.ndarray]) -> float:
    """The share of a stream's decisions that are another at the end of the recording."""
    pairs = [
        (streamed(one).kind, kind, one.shape != kinds.UNSCORED)
        for one, kind in zip(reads, symbols, strict=True)
    ]
    changed = sum(int((live[good] != kind[good]).sum()) for live, kind, good in pairs)
    return round(changed / sum(int(good.sum()) for *_, good in pairs), 5)


def realised(reads: Sequence[Read], opinions: Sequence[kinds.Opinion]) -> list[dict[str, Any]]:
    """The share of each person's normal beats that is flagged, by the share that was asked for."""
    rows = []
    for fpr in FPRS:
        limit = kinds.threshold(fpr)
        shares = [
            float((opinion.score > limit)[_judged(one) == "N"].mean())
            for one, opinion in zip(reads, opinions, strict=True)
            if (_judged(one) == "N").any()
        ]
        low, median, high = np.quantile(shares, [0.1, 0.5, 0.9])
        row = {"asked": fpr, "mean": np.mean(shares), "median": median, "worst": max(shares)}
        row |= {"tenth": low, "ninth tenth": high}
        rows.append({name: round(float(value), 5) for name, value in row.items()})
    return rows


def operating_points(
    reads: Sequence[Read], others: dict[str, dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """EC57's rates on DS1 by the false-positive rate, each record with weights of the others.

    Without a label, and after a reviewer's ten decisions.
    """
    opinions = [scored(one, others[one.name]) for one in reads]
    normal = _normal_scores(reads, [opinion.score for opinion in opinions])
    for rate in RATES:
        rows = reviewed(reads, opinions, float(np.quantile(normal, 1 - rate)))
        yield from ({"rate": rate, **row} for row in rows if row["decisions"] in CHOSEN_BY)


def in_rhythms(
    reads: Sequence[Read], others: dict[str, dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The share of beats that is called supraventricular in made rhythms, over persons.

    The shapes are those of a person's normal beats on DS1, and of other people's supraventricular
    ones; the timing is that of the rhythm, the weights are of the other people.
    """
    opinions = [scored(one, others[one.name]) for one in reads]
    limit = float(np.quantile(_normal_scores(reads, [one.score for one in opinions]), 1 - FPR))
    for rhythm in (*made_rhythms.RHYTHMS, *made_rhythms.PREMATURE):
        normal, early = [], []
        for number, one in enumerate(reads):
            rng = np.random.default_rng([SEED, number])
            signs, premature = _in_rhythm(reads, one, rhythm, rng=rng)
            called = kinds.supraventricular(signs, others[one.name]) > limit
            normal.append(float(called[~premature].mean()))
            if premature.any():
                early.append(float(called[premature].mean()))
        yield {
            "rhythm": rhythm,
            "normal": round(float(np.mean(normal)), 4),
            "normal, worst": round(max(normal), 4),
            "premature": round(float(np.mean(early)), 4) if early else None,
            "premature, worst": round(min(early), 4) if early else None,
        }


def _in_rhythm(
    reads: Sequence[Read], one: Read, rhythm: str, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Signs [B, K] of beats drawn at random, in a made rhythm, and which beats are premature."""
    if rhythm in made_rhythms.RHYTHMS:
        rr, premature = made_rhythms.RHYTHMS[rhythm](rng, BEATS), np.zeros(BEATS, bool)
    else:
        rr, premature = made_rhythms.PREMATURE[rhythm](rng, BEATS)
    own = dict(zip(SIGNS, _drawn([one], "N", rng).T, strict=True))
    others = [other for other in reads if other is not one and other.name in FITTING]
    early = dict(zip(SIGNS, _drawn(others, "S", rng).T, strict=True))
    own |= {name: np.where(premature, early[name], own[name]) for name in ("qrs", "t", "p")}
    prematurity = rhythm_after(np.empty(0), rr)[:, 1]
    own |= timing_signs(Rhythm().timing(rr), np.append(rr[1:], np.nan), prematurity)
    if rhythm in made_rhythms.WITHOUT_P:
        own["p"] = np.log(1.1 - rng.uniform(-0.5, 0.8, BEATS))
    own |= p_wave_signs(own["p"], own["p"][~premature])
    return stacked(own)[FIRST:], premature[FIRST:]


def _drawn(reads: Sequence[Read], label: str, rng: np.random.Generator) -> np.ndarray:
    """Signs of BEATS good beats of a label."""
    some = [one.signs[(one.shape != kinds.UNSCORED) & (one.label == label)] for one in reads]
    signs = np.concatenate(some).astype(np.float64)
    return signs[rng.integers(0, len(signs), BEATS)]


def personal(reads: Sequence[Read], others: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The same with a threshold that moves with the person, on DS1.

    It moves by a share of how far the median score of the person's commonest shape in the first
    five minutes is above that of the others' people.
    """
    opinions = [scored(one, others[one.name]) for one in reads]
    usual = np.array([_usual_score(*pair) for pair in zip(reads, opinions, strict=True)])
    above = np.maximum(usual - np.median(usual), 0)
    for share in SHIFTS:
        moved = [
            kinds.Opinion(*(values - share * shift for values in opinion))
            for opinion, shift in zip(opinions, above, strict=True)
        ]
        normal = _normal_scores(reads, [opinion.score for opinion in moved])
        limit = float(np.quantile(normal, 1 - FPR))
        shares = [
            float((opinion.score > limit)[_judged(one) == "N"].mean())
            for one, opinion in zip(reads, moved, strict=True)
        ]
        row, _ = by_kind(reads, moved, limit)
        realised = {"median": np.median(shares), "worst": max(shares)}
        yield {
            "share": share,
            **{name: round(float(value), 5) for name, value in realised.items()},
            **row,
        }


def _usual_score(one: Read, opinion: kinds.Opinion) -> float:
    good = one.shape != kinds.UNSCORED
    first = streamed(one).sample[good] < START * one.fs
    shape = one.shape[good]
    common = np.bincount(shape[first & (shape >= 0)]).argmax()
    return float(np.median(opinion.score[first & (shape == common)]))


def _normal_scores(reads: Sequence[Read], scores: Sequence[np.ndarray]) -> np.ndarray:
    """The scores of the normal beats of the people who fit weights."""
    return np.concatenate(
        [
            score[_judged(one) == "N"]
            for one, score in zip(reads, scores, strict=True)
            if one.name in FITTING
        ]
    )


def under_noise(
    detector: Detector, folder: Path, models: dict[str, dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The same of five records with noise of 12 dB in every other two minutes, and without."""
    for kind in (None, *noise.KINDS):
        reads = []
        for name in noise_stress.NAMES:
            record = records.read(folder, name)
            added = None
            if kind is not None:
                lead, fs = record.lead, records.FS
                spoilt = noise.stressed(
                    lead, record.normal, fs, kind=kind, snr=SNR, seed=noise_stress.SEED
                )
                added = spoilt - lead
            reads.append(read(detector, folder / name, added))
        opinions = [scored(one, models[one.name]) for one in reads]
        row, _ = by_kind(reads, opinions, kinds.threshold(FPR))
        good = [float((one.shape != kinds.UNSCORED).mean()) for one in reads]
        yield {
            "people": "five of DS1",
            "noise": kind or "none",
            "snr_db": SNR if kind else None,
            "scored": round(float(np.mean(good)), 4),
            **row,
        }


# --- a reviewer --------------------------------------------------------------------------------


def reviewed(
    reads: Sequence[Read], opinions: Sequence[kinds.Opinion], limit: float
) -> list[dict[str, Any]]:
    """What remains wrong after a person named so many families, in the order of the page.

    A family takes the kind of most of its beats, as do small ones that are named together.
    """
    named = [
        (one, *_to_name(one, opinion, limit)) for one, opinion in zip(reads, opinions, strict=True)
    ]
    rows = []
    for decisions in DECISIONS:
        counted = []
        for one, symbol, groups in named:
            kind = symbol.copy()
            for own in groups[:decisions]:
                names, counts = np.unique(one.label[own], return_counts=True)
                kind[own] = names[np.argmax(counts)]
            kind_or_none = np.where(kind == "O", "N", kind)
            counted.append(tallies.tally(one, kind_or_none, kept=kind != "O"))
        rows.append(
            {
                "decisions": decisions,
                **tallies.gross(counted),
                "ci95": _intervals(tallies.resampled(counted)),
            }
        )
    return rows


def _to_name(
    one: Read, opinion: kinds.Opinion, limit: float
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The annotation of every beat [B], and the beats that each decision names, in its order."""
    good = one.shape != kinds.UNSCORED
    kind = opinion.kind(limit)
    symbols = _symbols(one, kind)
    confidence, score = np.full((2, len(good)), np.nan)
    confidence[good], score[good] = opinion.confidence(kind), opinion.score
    beats = streamed(one)._replace(
        score=score,
        kind=np.where(good, symbols, ""),
        abnormal=good & (symbols != "N"),
        confidence=confidence.astype(np.float32),
    )
    early = np.concatenate([part.early for part in one.parts])
    families, family = gather(
        one.stream.person.shapes,
        beats,
        signs=one.signs,
        shape=one.shape,
        early=early,
        threshold=limit,
    )
    beats = beats._replace(family=family)
    return symbols, [np.isin(family, group) for group in to_name(beats, families)]


def curve(rows: Sequence[dict[str, Any]]) -> Figure:
    """Rates by decisions of a reviewer."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for ax, kind in zip(figure.subplots(1, 2, sharey=True), ("V", "S"), strict=True):
        for people, style in (("DS1", "--"), ("DS2", "-")):
            some = [row for row in rows if row["people"] == people]
            at = [row["decisions"] for row in some]
            for rate, colour in (("Se", "#0072b2"), ("+P", "#d55e00")):
                values = [row[f"{kind} {rate}"] for row in some]
                ax.plot(at, values, style, color=colour, marker="o", label=f"{rate}, {people}")
        ax.set(title={"V": "VEB", "S": "SVEB"}[kind], xlabel="decisions in each recording")
        ax.grid(alpha=0.3)
    figure.axes[0].set_ylabel("per cent (gross)")
    figure.axes[0].legend(frameon=False, loc="lower right")
    return figure


if __name__ == "__main__":
    main()
