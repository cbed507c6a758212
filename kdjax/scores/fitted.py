"""Scores that know more than the mean squared error, fitted on held-out normal beats alone.

`fit` looks at normal beats that trained nothing and gives a FittedScore of plain arrays; it sees no
abnormal label. The few constants were chosen with labelled beats of MIT-BIH's DS1 and, those of the
RR features, knowing record 232 of DS2. Beats that fitted a score are no longer exchangeable with
new ones: take its thresholds from others, `halves` divides them. Every function raises ValueError
for arrays that do not agree in their number of beats.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from sklearn.neighbors import NearestNeighbors

ADAPTED = ("mse", "standardised", "mahalanobis", "latent", "fusion")  # kinds that adaptation moves
SCORES = (*ADAPTED, "features", "prematurity", "memory")
ADAPTATIONS = ("none", "first_5_minutes", "recording")

_FUSED = ("mahalanobis", "latent")  # the distances that speak for the shape of a beat
RHYTHM_BEATS = 256  # beats, some four minutes: longer than a run of premature beats
_AT_ONCE = 4096  # beats whose 256 intervals are sorted together, for the sake of memory
RR_TOLERANCE = 0.2  # of log RR: what a steady rhythm may vary
INTERQUARTILE_RANGE = 1.349  # of a standard normal distribution
IN_TIME = 0.75  # prematurity below which a beat may stand for its person
ADAPTATION_SECONDS = 300.0  # of "first_5_minutes"
FEWEST = 5  # beats that a person must have to be adapted to
_NARROWEST = 0.01  # scale of an opinion; a sample of 2.8 ms more or less makes 0.014 of prematurity
_SMALLEST = 1e-12  # what is divided by, and whose logarithm is taken, at least


class Evidence(NamedTuple):
    """What is known of beats when they are scored.

    residual: x_hat - x [B, T, C]; z: latent [B, L]; feature_error [B]: mean (f(x_hat) - f(x))^2
    over the discriminator's features; rhythm [B, 2]: from `rhythm`; record [B]: whose beat it is;
    sample [B]: where in the recording; fs in Hz.
    """

    residual: np.ndarray
    z: np.ndarray
    feature_error: np.ndarray
    rhythm: np.ndarray
    record: np.ndarray
    sample: np.ndarray
    fs: float

    def of(self, beats: np.ndarray) -> "Evidence":
        """The evidence of some beats: indices or a mask."""
        return self._replace(**{name: getattr(self, name)[beats] for name in _PER_BEAT})


_PER_BEAT = Evidence._fields[:-1]


def rhythm(record: np.ndarray, sample: np.ndarray, rr_before: np.ndarray) -> np.ndarray:
    """Log RR interval (of seconds) and prematurity of every beat, float64 [B, 2].

    Prematurity is log(reference / rr) / hypot(0.2, spread), over the intervals of the person's 256
    beats before it. The reference is the geometric mean of their median and their 90th percentile:
    where most beats are premature the median itself is too short. The spread is that of log RR (by
    its quartiles): an early beat says less in an irregular rhythm. Where an interval is NaN, both
    numbers are 0; a beat without any interval before it has prematurity 0, as if on time.

    Causal, and over whole recordings: give it every beat, then index.

    Args:
        record: [B].
        sample: [B], the beat's place in its recording.
        rr_before: [B] in seconds, NaN where there is none.
    """
    record, sample, rr = np.asarray(record), np.asarray(sample), np.asarray(rr_before, np.float64)
    if not record.shape == sample.shape == rr.shape or rr.ndim != 1:
        raise ValueError(f"record {record.shape}, sample {sample.shape}, rr_before {rr.shape}")
    found = np.empty((len(rr), 2))
    for name in np.unique(record):
        beats = np.flatnonzero(record == name)
        beats = beats[np.argsort(sample[beats], kind="stable")]
        found[beats] = rhythm_after(np.empty(0), rr[beats])
    return found


def rhythm_after(history: np.ndarray, rr: np.ndarray) -> np.ndarray:
    """`rhythm` of consecutive beats of one person, float64 [B, 2], after earlier ones.

    history: the intervals before those beats, in seconds; the last 256 count. rr: theirs, [B].
    """
    if not len(rr):
        return np.empty((0, 2))
    rr = np.concatenate([np.full(RHYTHM_BEATS, np.nan), history, rr])[len(history) :]
    log_rr = np.log(np.where(rr > 0, rr, np.nan))
    q25, q50, q75, q90 = _past_quantiles(log_rr, (0.25, 0.5, 0.75, 0.9))
    own = log_rr[RHYTHM_BEATS:]
    spread = (q75 - q25) / INTERQUARTILE_RANGE
    prematurity = ((q50 + q90) / 2 - own) / np.hypot(RR_TOLERANCE, spread)
    return np.nan_to_num(np.stack([own, prematurity], axis=1))


def _past_quantiles(values: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Quantiles [Q, B] of the 256 values before each of [256 + B], to the nearest rank.

    NaN do not count.
    """
    windows = sliding_window_view(values[:-1], RHYTHM_BEATS)
    quantiles = np.empty((len(shares), len(windows)))
    for start in range(0, len(windows), _AT_ONCE):
        past = np.sort(windows[start : start + _AT_ONCE], axis=1)  # NaN last
        last = np.maximum(np.isfinite(past).sum(axis=1) - 1, 0)
        rows = np.arange(len(past))
        for found, share in zip(quantiles, shares, strict=True):
            found[start : start + _AT_ONCE] = past[rows, np.rint(share * last).astype(int)]
    return quantiles


def halves(record: np.ndarray, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two halves of held-out normal beats as indices, to fit a score and to set its thresholds.

    Every other beat in time: both halves hold the same people at the same times.
    """
    order = np.lexsort([sample, record])
    return np.sort(order[::2]), np.sort(order[1::2])


@dataclass(frozen=True, eq=False)
class FittedScore:
    """A score of beats: one of SCORES, one of ADAPTATIONS, and the plain arrays that it needs."""

    kind: str
    adaptation: str
    arrays: dict[str, np.ndarray] = field(repr=False)

    def score(self, evidence: Evidence) -> np.ndarray:
        """How abnormal each beat is, float64 [B]; higher is more abnormal.

        With an adaptation, give all the beats of a person at once: theirs are the medians.
        """
        _check(evidence)
        if self.adaptation != "none" and self.kind in ADAPTED:
            score = np.empty(len(evidence.record))
            for name in np.unique(evidence.record):
                beats = np.flatnonzero(evidence.record == name)
                person = evidence.of(beats)
                score[beats] = self.adapted_to(person).score(person)
            return score
        if self.kind == "features":
            return np.asarray(evidence.feature_error, np.float64)
        if self.kind == "prematurity":
            return evidence.rhythm[:, 1].astype(np.float64)
        if self.kind == "memory":
            place = _place(evidence, self.arrays["rhythm_scale"])
            return self._index.kneighbors(place)[0][:, 0].astype(np.float64)
        if self.kind == "fusion":
            opinions = zip(self._opinions(evidence), self.arrays["tails"], strict=True)
            return np.sum([surprise(values, one) for values, one in opinions], axis=0)
        return self._distance(self.kind, evidence)

    def adapted_to(self, person: Evidence) -> "FittedScore":
        """The score for one person, who needs no further adaptation.

        Looks at those of the person's beats that the adaptation is about; where there are fewer
        than five, or the kind knows no adaptation, nothing changes.
        """
        own = person.of(_stand_for_person(person, self.adaptation))
        arrays = dict(self.arrays)
        if self.kind in ADAPTED and len(own.record) >= FEWEST:
            for name in _FUSED if self.kind == "fusion" else (self.kind,):
                values = _values(own, name) - arrays[f"{name}.centre"]
                median = np.median(values, axis=0)
                arrays[f"{name}.centre"] = arrays[f"{name}.centre"] + median
                distance = _mean_square(values - median, arrays[f"{name}.whiten"])
                arrays[f"{name}.usual"] = np.median(distance)
        return FittedScore(self.kind, "none", arrays)

    def _distance(self, name: str, evidence: Evidence) -> np.ndarray:
        centre, whiten, usual = (self.arrays[f"{name}.{what}"] for what in _FITTED)
        distance = _mean_square(_values(evidence, name) - centre, whiten)
        return distance / max(usual, _SMALLEST)

    def _opinions(self, evidence: Evidence) -> list[np.ndarray]:
        """What is fused, each [B]: shape (the mean log distance) and prematurity."""
        distances = np.stack([self._distance(name, evidence) for name in _FUSED])
        return [np.log(np.maximum(distances, _SMALLEST)).mean(axis=0), evidence.rhythm[:, 1]]

    @cached_property
    def _index(self) -> "NearestNeighbors":
        from sklearn.neighbors import NearestNeighbors

        return NearestNeighbors(n_neighbors=1, algorithm="brute").fit(self.arrays["memory"])


def fit(
    normal: Evidence, kind: str, adaptation: str = "none", *, train: Evidence | None = None
) -> FittedScore:
    """A score of `kind`, fitted on held-out normal beats.

    - mse: mean squared error.
    - standardised: the same of each sample's error over its root mean square among normal beats.
    - mahalanobis, latent: squared Mahalanobis distance of the residual, of the latent, over its
      dimension; the covariance shrunk after Ledoit & Wolf (J. Multivariate Anal. 88(2), 2004).
    - features: the discriminator-feature error. prematurity: that of `rhythm`.
    - fusion: Fisher's method, -log p of the shape plus -log p of the prematurity, where shape is
      the mean log distance of residual and latent, and p the survival function of the logistic
      distribution with the normal beats' quartiles.
    - memory: distance to the nearest training beat (Sun et al., ICML 2022), where a beat's place is
      its latent and its rhythm, both of the same total variance.

    Adaptation needs no labels. From the person's beats that are on time (others are more often
    abnormal), in the first five minutes of the recording or in all of it, the median residual and
    latent are subtracted from all the person's, and distances are divided by the median distance.
    Beats of the first five minutes are scored with it, too, so they wait for their end. A person
    with fewer than five such beats is measured as the normal beats are. Only the kinds in ADAPTED
    change.

    Args:
        normal: normal beats that trained neither network; two at least.
        kind: one of SCORES.
        adaptation: one of ADAPTATIONS.
        train: the normal training beats, which "memory" needs; only latent and rhythm are read.

    Raises:
        ValueError: another kind or adaptation, fewer than two beats, no `train` for "memory".
    """
    if kind not in SCORES or adaptation not in ADAPTATIONS:
        known = f"{', '.join(SCORES)}; {', '.join(ADAPTATIONS)}"
        raise ValueError(f"no score {kind!r} with adaptation {adaptation!r}; choose from {known}")
    _check(normal)
    if len(normal.record) < 2:
        raise ValueError(f"a score is fitted on two normal beats at least, not {len(normal.z)}")
    arrays = {}
    if kind == "memory":
        arrays = _fit_memory(train)
    elif kind in ADAPTED:
        for name in _FUSED if kind == "fusion" else (kind,):
            arrays |= _fit_distance(normal, name, adaptation)
    if kind == "fusion":
        arrays["tails"] = _fit_tails(normal, FittedScore(kind, adaptation, arrays))
    return FittedScore(kind, adaptation, arrays)


_FITTED = ("centre", "whiten", "usual")


def _fit_distance(normal: Evidence, name: str, adaptation: str) -> dict[str, np.ndarray]:
    """centre [D], whiten [D] or [D, D], and the usual distance [] of normal beats."""
    values = _values(normal, name)
    plain = name in ("mse", "standardised") and adaptation == "none"  # an offset is an error too
    centre = np.zeros(values.shape[1]) if plain else values.mean(axis=0)
    values = _own_centre_off(values - centre, normal, adaptation)
    if name == "mse":
        whiten = np.ones(values.shape[1])
    elif name == "standardised":
        whiten = 1 / np.sqrt(np.maximum(np.square(values).mean(axis=0), _SMALLEST))
    else:
        # Only fitting needs scikit-learn; a detector starts without it.
        from sklearn.covariance import ledoit_wolf

        variances, axes = np.linalg.eigh(ledoit_wolf(values, assume_centered=True)[0])
        whiten = axes / np.sqrt(np.maximum(variances, _SMALLEST))
    usual = 1.0 if adaptation == "none" else np.median(_mean_square(values, whiten))
    fitted = (centre, whiten, np.array(usual))
    return {f"{name}.{what}": array for what, array in zip(_FITTED, fitted, strict=True)}


def _fit_memory(train: Evidence | None) -> dict[str, np.ndarray]:
    if train is None:
        raise ValueError("the score 'memory' needs the evidence of the training beats")
    _check(train)
    latent = np.sqrt(train.z.var(axis=0, dtype=np.float64).sum() / 2)
    rhythm_scale = latent / np.maximum(train.rhythm.std(axis=0), _SMALLEST)
    return {"rhythm_scale": rhythm_scale, "memory": _place(train, rhythm_scale)}


def _place(evidence: Evidence, rhythm_scale: np.ndarray) -> np.ndarray:
    """Where a beat stands in the memory, float32 [B, L + 2]."""
    return np.hstack([evidence.z, evidence.rhythm * rhythm_scale]).astype(np.float32)


def _values(evidence: Evidence, name: str) -> np.ndarray:
    values = evidence.z if name == "latent" else evidence.residual
    return values.reshape(len(values), -1).astype(np.float64)


def _mean_square(values: np.ndarray, whiten: np.ndarray) -> np.ndarray:
    return np.square(values * whiten if whiten.ndim == 1 else values @ whiten).mean(axis=1)


def _stand_for_person(evidence: Evidence, adaptation: str) -> np.ndarray:
    """Which beats [B] an adaptation looks at."""
    if adaptation == "none":
        return np.zeros(len(evidence.record), bool)
    stands = evidence.rhythm[:, 1] < IN_TIME
    if adaptation == "first_5_minutes":
        stands &= evidence.sample < ADAPTATION_SECONDS * evidence.fs
    return stands


def _own_centre_off(values: np.ndarray, evidence: Evidence, adaptation: str) -> np.ndarray:
    stands = _stand_for_person(evidence, adaptation)
    for name in np.unique(evidence.record):
        beats = evidence.record == name
        if (beats & stands).sum() >= FEWEST:
            values[beats] -= np.median(values[beats & stands], axis=0)
    return values


def _fit_tails(normal: Evidence, fitted: FittedScore) -> np.ndarray:
    """The tail of each opinion [2, 2] among normal beats, every person adapted to."""
    opinions = np.empty((2, len(normal.record)))
    for name in np.unique(normal.record):
        beats = np.flatnonzero(normal.record == name)
        person = normal.of(beats)
        opinions[:, beats] = fitted.adapted_to(person)._opinions(person)
    return np.stack([tail(values) for values in opinions])


def tail(values: np.ndarray) -> np.ndarray:
    """Median and scale of the logistic distribution with the quartiles of [N].

    The scale is 0.01 at least: beats of a pacemaker or a simulator hardly differ.
    """
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return np.array([median, max((high - low) / (2 * np.log(3)), _NARROWEST)])


def surprise(values: np.ndarray, of_normal: np.ndarray) -> np.ndarray:
    """-log of the survival function of the logistic distribution `tail` gives, of [B]."""
    median, scale = of_normal
    return np.logaddexp(0, (values - median) / scale)


def _check(evidence: Evidence) -> None:
    beats = {name: len(getattr(evidence, name)) for name in _PER_BEAT}
    if len(set(beats.values())) > 1:
        raise ValueError(f"evidence of different numbers of beats: {beats}")
