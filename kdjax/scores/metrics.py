"""How well scores separate abnormal beats from normal ones, and what a threshold promises.

Plain functions of arrays: no files, no configs, no data sets. A score says how abnormal a beat
looks (higher is more abnormal); `abnormal` is True where an expert called the beat abnormal. Every
function raises ValueError where a score or a figure over seeds is not finite, where shapes differ,
and where a figure is undefined because one of the two kinds of beat is missing (unless it says that
it returns None).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

FEWEST_FOR_A_CLAIM = 50  # test beats of a class

# scipy.stats and scikit-learn are imported where they are used: detection starts without them.


def auc(abnormal: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve: P(abnormal beat scores higher than normal one), ties half.

    Args:
        abnormal: bool [B].
        score: float [B].
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(*_two_kinds(abnormal, score)))


def average_precision(abnormal: np.ndarray, score: np.ndarray) -> float:
    """Average precision, the sum of precision times gain in recall, without interpolation.

    Unlike AUC it depends on the share of abnormal beats, which is what chance reaches.

    Args:
        abnormal: bool [B].
        score: float [B].
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(*_two_kinds(abnormal, score)))


def best_f1(abnormal: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """The highest F1 over all thresholds and a threshold that attains it: `score >= threshold`.

    Both are an oracle's: the threshold is chosen with the labels that it is judged by.

    Args:
        abnormal: bool [B].
        score: float [B].
    """
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(*_two_kinds(abnormal, score))
    # The curve ends in a point without a threshold (recall 0, precision 1 by convention).
    precision, recall = precision[:-1], recall[:-1]
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    best = int(np.argmax(f1))
    return float(f1[best]), float(thresholds[best])


def per_class(
    label: np.ndarray, score: np.ndarray, classes: Sequence[str] = ("N", "S", "V", "F", "Q")
) -> dict[str, dict]:
    """Each abnormal class against all normal beats.

    Args:
        label: int [B], index into `classes`.
        score: float [B].
        classes: names; the first is the normal one.

    Returns:
        {name: {"auc", "ap", "n"}} without the normal class; auc and ap are None where n is 0 or no
        beat is normal.
    """
    label, score = np.asarray(label), _finite(score)
    _same_shape(label, "label", score)
    normal = label == 0
    table = {}
    for index, name in enumerate(classes[1:], start=1):
        chosen = label == index
        of_both = normal | chosen
        some = chosen.any() and normal.any()
        table[name] = {
            "auc": auc(chosen[of_both], score[of_both]) if some else None,
            "ap": average_precision(chosen[of_both], score[of_both]) if some else None,
            "n": int(chosen.sum()),
        }
    return table


def per_record(
    record: np.ndarray,
    abnormal: np.ndarray,
    score: np.ndarray,
    *,
    thresholds: Sequence[float | None] = (),
) -> dict[str, dict]:
    """Each record by itself, in the order of their names.

    Args:
        record: str [B].
        abnormal: bool [B].
        score: float [B].
        thresholds: those of `label_free`, in its order; None flags nothing.

    Returns:
        {record: {"n", "abnormal", "auc", "ap", "fpr"}}: beats and abnormal beats; auc and ap, None
        in a record of one kind of beat; the share of its normal beats with `score > threshold`, one
        a threshold, None in a record without normal beats.
    """
    abnormal, score = _checked(abnormal, score)
    record = np.asarray(record)
    _same_shape(record, "record", score)
    table = {}
    for name in np.unique(record):
        here = record == name
        truth, values = abnormal[here], score[here]
        both = truth.any() and not truth.all()
        table[str(name)] = {
            "n": int(here.sum()),
            "abnormal": int(truth.sum()),
            "auc": auc(truth, values) if both else None,
            "ap": average_precision(truth, values) if both else None,
            "fpr": [
                None if truth.all() else float(_flagged(values[~truth], threshold).mean())
                for threshold in thresholds
            ],
        }
    return table


def bootstrap_ci(
    record: np.ndarray,
    abnormal: np.ndarray,
    score: np.ndarray,
    *,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, list[float]]:
    """Percentile intervals of AUC and AP from a bootstrap over records.

    Beats of one person resemble each other, so whole records are drawn with replacement (as many as
    there are), and each beat weighs as often as its record was drawn. A draw without both kinds of
    beat has no AUC and is drawn again. The interval speaks of other records, not of other seeds.
    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), section 13.3; resampling
    whole clusters: Field & Welsh, J. R. Stat. Soc. B 69(3):369-390 (2007).

    Args:
        record: str [B]; at least two different ones, else ValueError.
        abnormal: bool [B].
        score: float [B].
        samples: number of draws.
        seed: of `numpy.random.default_rng`; a draw is `integers(R, size=R)` over sorted records.
        level: share of the draws inside the interval.

    Returns:
        {"auc": [lo, hi], "ap": [lo, hi]}.
    """
    abnormal, score = _two_kinds(abnormal, score)
    record = np.asarray(record)
    _same_shape(record, "record", score)
    records, member = np.unique(record, return_inverse=True)
    if len(records) < 2:
        raise ValueError(f"an interval over records needs at least two, here {len(records)}")
    # Sorted once: a threshold is then the end of a run of equal scores, and a draw only new weights
    order = np.argsort(-score, kind="stable")
    member, abnormal = member[order], abnormal[order]
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    rng = np.random.default_rng(seed)
    draws = []
    while len(draws) < samples:
        times = np.bincount(rng.integers(len(records), size=len(records)), minlength=len(records))
        weight = times[member]
        flagged = np.cumsum(weight)[ends]
        hits = np.cumsum(weight * abnormal)[ends]
        if 0 < hits[-1] < flagged[-1]:
            draws.append(_auc_and_ap(hits, flagged))
    tail = (1 - level) / 2
    low, high = np.quantile(np.array(draws), [tail, 1 - tail], axis=0)
    return {name: [float(low[i]), float(high[i])] for i, name in enumerate(("auc", "ap"))}


def t_interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean of a figure over seeds, with Student's t interval for it.

    Args:
        values: one a seed; ValueError for fewer than two.

    Returns:
        {"mean", "sd", "ci95": [lo, hi], "n"}; 95 % of such intervals hold the true mean.
    """
    from scipy import stats

    found = _finite(values, "values")
    if len(found) < 2:
        raise ValueError(f"an interval over seeds needs at least two, here {found.size}")
    n, mean, sd = len(found), float(found.mean()), float(found.std(ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n)
    return {"mean": mean, "sd": sd, "ci95": [mean - half, mean + half], "n": n}


def paired_difference(a: Sequence[float], b: Sequence[float]) -> dict[str, Any]:
    """How far `a` lies above `b`, seed by seed: mean of a - b, its t interval, and a p value.

    Pairs share initialisation and batches, so that what they have in common cancels. p is that of
    the two-sided paired t test (Student 1908). Where all differences are equal p is 0, or 1 where
    they are 0.

    Args:
        a: one a seed; ValueError for other lengths than that of `b`, or fewer than two.
        b: the same seeds, in the same order.
    """
    from scipy import stats

    x, y = _finite(a, "a"), _finite(b, "b")
    if x.shape != y.shape:
        raise ValueError(f"{len(x)} and {len(y)} figures do not form pairs")
    found = t_interval((x - y).tolist())
    if found["sd"] == 0:
        p = float(found["mean"] == 0)
    else:
        t = found["mean"] / (found["sd"] / math.sqrt(found["n"]))
        p = float(2 * stats.t.sf(abs(t), found["n"] - 1))
    return found | {"p": p}


def pitman_morgan(a: Sequence[float], b: Sequence[float]) -> dict[str, float]:
    """How much less `a` varies over seeds than `b`, its pair: {"sd_a", "sd_b", "p"}.

    The correlation of a + b with a - b is 0 where both have one variance; p is that of its
    two-sided test (Pitman, Biometrika 31:9-12, 1939; Morgan, ibid. 13-19). ValueError for other
    lengths or fewer than three pairs.
    """
    from scipy import stats

    x, y = _finite(a, "a"), _finite(b, "b")
    if x.shape != y.shape or len(x) < 3:
        raise ValueError(f"{x.shape} and {y.shape}: three pairs or more are needed")
    # Where one of the two is constant, both have one variance.
    constant = min(np.std(x + y), np.std(x - y)) < 1e-12
    # A type checker does not see what attributes scipy gives its results.
    p = 1.0 if constant else stats.pearsonr(x + y, x - y).pvalue  # pyright: ignore[reportAttributeAccessIssue]
    return {"sd_a": float(x.std(ddof=1)), "sd_b": float(y.std(ddof=1)), "p": float(p)}


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number, in the order given (Holm 1979, step-down).

    The chance that any true null hypothesis comes out below a level is at most that level.
    ValueError for a number that is not a p value.
    """
    p = _finite(p_values, "p_values")
    if ((p < 0) | (p > 1)).any():
        raise ValueError(f"p values lie between 0 and 1, not {p[(p < 0) | (p > 1)][0]}")
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(steps, 1)
    return corrected.tolist()


def label_free(
    calibrate_score: np.ndarray,
    abnormal: np.ndarray,
    score: np.ndarray,
    *,
    fpr_targets: Sequence[float],
) -> list[dict]:
    """Thresholds from held-out normal scores alone, and what they do on the test beats.

    The threshold for a target alpha is the ceil((n + 1)(1 - alpha))-th smallest of n held-out
    normal scores. A new normal beat drawn like those has `score > threshold` with probability at
    most alpha: for finite n, over the draw of both, if all n + 1 are exchangeable; nothing is
    promised for one patient, nor for recall.
    Source: Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World (2005); for outlier
    detection Bates, Candès, Lei, Romano & Sesia, Ann. Statist. 51(1):149-178 (2023).

    Args:
        calibrate_score: float [n], of normal beats that neither trained nor chose the model.
        abnormal: bool [B], of the test beats.
        score: float [B], of the test beats.
        fpr_targets: each between 0 and 1, both excluded, else ValueError.

    Returns:
        One {"fpr_target", "threshold", "fpr", "recall", "f1"} a target, in their order. Where n is
        below 1 / alpha - 1 only an infinite threshold keeps the promise: it is None (JSON has no
        infinity), and nothing is flagged. fpr is None without normal test beats, recall and f1
        without abnormal ones.
    """
    from sklearn.metrics import f1_score

    abnormal, score = _checked(abnormal, score)
    calibrate = np.sort(_finite(calibrate_score, "calibrate_score"))
    rows = []
    for target in fpr_targets:
        threshold = conformal_quantile(calibrate, target)
        flagged = _flagged(score, threshold)
        rows.append(
            {
                "fpr_target": float(target),
                "threshold": threshold,
                "fpr": None if abnormal.all() else float(flagged[~abnormal].mean()),
                "recall": float(flagged[abnormal].mean()) if abnormal.any() else None,
                "f1": float(f1_score(abnormal, flagged)) if abnormal.any() else None,
            }
        )
    return rows


def conformal_quantile(ascending: np.ndarray, target: float) -> float | None:
    """The ceil((n + 1)(1 - target))-th smallest of [n] scores, None where there are too few."""
    if not 0 < target < 1:
        raise ValueError(f"a false positive rate lies between 0 and 1, not {target}")
    n = len(ascending)
    # Rounded, since 150 * (1 - 0.18) is 123.00000000000001 and means rank 123.
    rank = max(math.ceil(round((n + 1) * (1 - target), 9)), 1)
    return float(ascending[rank - 1]) if rank <= n else None


def _flagged(score: np.ndarray, threshold: float | None) -> np.ndarray:
    return score > (math.inf if threshold is None else threshold)


def _auc_and_ap(hits: np.ndarray, flagged: np.ndarray) -> tuple[float, float]:
    """AUC and AP from abnormal beats and all beats at or above each threshold, highest first."""
    false = flagged - hits
    area = np.trapezoid(np.append(0, hits), np.append(0, false))
    gain = np.diff(hits, prepend=0)
    ap = np.sum(gain * hits / np.maximum(flagged, 1)) / hits[-1]
    return float(area / (hits[-1] * false[-1])), float(ap)


def _finite(score: Sequence[float] | np.ndarray, name: str = "score") -> np.ndarray:
    score = np.asarray(score, np.float64)  # exact for float32, and JSON keeps it
    if score.ndim != 1:
        raise ValueError(f"{name} must have one dimension, not shape {score.shape}")
    bad = np.flatnonzero(~np.isfinite(score))
    if bad.size:
        raise ValueError(
            f"{name} is not finite in {bad.size} of {score.size} places; "
            f"the first is {name}[{bad[0]}] = {score[bad[0]]}"
        )
    return score


def _checked(abnormal: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    abnormal, score = np.asarray(abnormal), _finite(score)
    if abnormal.dtype != np.bool_:
        raise ValueError(f"abnormal must be bool, not {abnormal.dtype}")
    _same_shape(abnormal, "abnormal", score)
    return abnormal, score


def _same_shape(values: np.ndarray, name: str, score: np.ndarray) -> None:
    if values.shape != score.shape:
        raise ValueError(f"{name} has shape {values.shape}, score has {score.shape}")


def _two_kinds(abnormal: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    abnormal, score = _checked(abnormal, score)
    positive = int(abnormal.sum())
    if positive in (0, abnormal.size):
        raise ValueError(
            f"needs normal and abnormal beats, here {abnormal.size - positive} normal "
            f"and {positive} abnormal"
        )
    return abnormal, score
