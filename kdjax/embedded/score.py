"""The adapted fusion in integers: shape, timing, adaptation to the person, decision.

`scores.fitted`'s "fusion" with two changes, both to save memory. The residual's covariance is taken
over means of four samples; what varies faster counts as white. A person's centre is a running
median over the first 300 s (Robbins & Monro, Ann. Math. Stat. 22(3), 1951): each beat moves every
number up or down by a step. The n-th step is 1.5 mean absolute deviations over n, close to the best
step for a normal distribution, pi / 2 of them. The usual distances are medians over the same beats,
each measured from the centre as it was then, without the first eight. Logarithms are base 2 and in
Q16.
"""

from dataclasses import dataclass, field

import numpy as np

from kdjax.embedded import fixed
from kdjax.embedded.fixed import ONE, Q
from kdjax.embedded.frontend import RR_LONGEST
from kdjax.embedded.quantise import BEAT_BITS, WORD, Network
from kdjax.scores import fitted
from kdjax.scores.calibration import Calibration

BLOCK = 4  # samples whose residuals are added before they are whitened
DISTANCE_BITS = 8  # a whitened number of 2^8 is one standard deviation
CENTRE_UNIT = 256  # of the first centre, which moves further at the first beats
REST_BITS = 20  # of the multiplier that weighs the rest, whose sum may have 42 bits
TOLERANCE = round(fitted.RR_TOLERANCE / np.log(2) * ONE)  # of log2 RR
QUARTILES = round(ONE / fitted.INTERQUARTILE_RANGE)  # a standard deviation over the range
IN_TIME = round(fitted.IN_TIME * ONE)  # of prematurity
PREMATURITY_MOST = 1 << 20
LEARNT = round(fitted.ADAPTATION_SECONDS)  # s after the first beat
UNSETTLED = 8  # beats after which the centre is good enough to measure distances from
USUAL_LEAST, USUAL_MOST = 30, 512  # beats
USUAL_BITS = 6  # by which a logarithm is shortened to be kept
RANKS = ((1, 4), (1, 2), (3, 4), (9, 10))  # quantiles of the person's intervals


@dataclass(frozen=True, eq=False, kw_only=True)
class Distance:
    """A squared Mahalanobis distance in integers.

    centre: int16 [D], of normal beats, multiples of CENTRE_UNIT. whiten: int8 [K, K], upper
    triangular. multiplier: uint16 [K]; shift: uint8 [K]. usual: log2 of what normal beats have,
    Q16.
    """

    centre: np.ndarray
    whiten: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    usual: int


@dataclass(frozen=True, kw_only=True)
class Tail:
    """How surprising an opinion is: log2(1 + 2^((opinion - median) * inverse / 2^16)), Q16."""

    median: int
    inverse: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Score:
    """A fitted score in integers. rest: multiplier and shift. threshold: Q16, natural units."""

    residual: Distance
    latent: Distance
    rest: tuple[int, int]
    shape: Tail
    timing: Tail
    threshold: int


def score_of(calibration: Calibration, network: Network, fpr: float) -> Score:
    """The calibration's score and its threshold for a false-positive rate, in integers.

    InputError where the calibration has too few normal beats for that rate.
    """
    arrays = {name: np.asarray(a, np.float64) for name, a in calibration.score.arrays.items()}
    covariance = _covariance(arrays["mahalanobis.whiten"])
    size = len(covariance)
    blocks = np.kron(np.eye(size // BLOCK), np.ones(BLOCK)) / np.sqrt(BLOCK)
    within = blocks @ covariance @ blocks.T
    white = (np.trace(covariance) - np.trace(within)) / (size - len(blocks))
    rest = 2.0 ** (2 * DISTANCE_BITS - 2 * BEAT_BITS) / BLOCK / white
    unit = 2.0**-BEAT_BITS
    z_unit = network.layers["head"].scale
    (shape_median, shape_scale), (rr_median, rr_scale) = arrays["tails"]
    log = np.log(2)
    return Score(
        residual=_distance(
            arrays["mahalanobis.centre"] / unit,
            within,
            unit / np.sqrt(BLOCK),
            usual=float(arrays["mahalanobis.usual"]) * size,
        ),
        latent=_distance(
            arrays["latent.centre"] / z_unit,
            _covariance(arrays["latent.whiten"]),
            z_unit,
            usual=float(arrays["latent.usual"]) * network.latent,
        ),
        rest=fixed.multiplier_of(rest, bits=REST_BITS, least=1, most=62),
        shape=Tail(median=_q(shape_median / log), inverse=_q(1 / shape_scale)),
        timing=Tail(median=_q(rr_median), inverse=_q(1 / (rr_scale * log))),
        threshold=_q(calibration.threshold(fpr)),
    )


def _covariance(whiten: np.ndarray) -> np.ndarray:
    return np.linalg.inv(whiten @ whiten.T)


def _distance(centre: np.ndarray, covariance: np.ndarray, unit: float, *, usual: float) -> Distance:
    """`unit` is what a step of the numbers to be whitened stands for."""
    upper = np.linalg.cholesky(np.linalg.inv(covariance)).T
    steps = np.abs(upper).max(axis=1) / 127
    factors = [fixed.multiplier_of(step * unit * 2**DISTANCE_BITS) for step in steps]
    multiplier, shift = np.array(factors).T
    return Distance(
        centre=CENTRE_UNIT * np.clip(np.rint(centre / CENTRE_UNIT), -127, 127).astype(np.int64),
        whiten=np.rint(upper / steps[:, None]).astype(np.int8),
        multiplier=multiplier,
        shift=shift,
        usual=_q(np.log2(usual) + 2 * DISTANCE_BITS),
    )


def _q(value: float) -> int:
    return round(float(value) * ONE)


# --- distances ---------------------------------------------------------------------------------


def log_residual(score: Score, away: np.ndarray) -> np.ndarray:
    """log2 of the distance, Q16 [B], of residuals less their centre [B, T], within 16 bits."""
    blocks = away.reshape(len(away), -1, BLOCK).sum(axis=2)
    rest = BLOCK * np.square(away).sum(axis=1) - np.square(blocks).sum(axis=1)
    multiplier, shift = score.rest
    total = _whitened(score.residual, blocks) + ((rest * multiplier) >> shift)
    return fixed.log2(np.maximum(total, 1))


def log_latent(score: Score, away: np.ndarray) -> np.ndarray:
    """log2 of the distance, Q16 [B], of latents less their centre [B, L], within 16 bits."""
    return fixed.log2(np.maximum(_whitened(score.latent, away), 1))


def _whitened(distance: Distance, values: np.ndarray) -> np.ndarray:
    sums = values.astype(np.float64) @ distance.whiten.T.astype(np.float64)  # exact
    numbers = fixed.rescale(sums.astype(np.int64), distance.multiplier, distance.shift)
    return np.square(np.clip(numbers, -(1 << 27), 1 << 27)).sum(axis=1)


def surprise(tail: Tail, opinion: np.ndarray) -> np.ndarray:
    """-log2 of the share of normal beats with a larger opinion, both Q16."""
    return fixed.softplus2(((np.asarray(opinion, np.int64) - tail.median) * tail.inverse) >> Q)


def prematurity(past: np.ndarray, rr: int) -> int:
    """How early a beat comes, Q16: 0 where it is in time or nothing is known.

    past: the person's last 256 intervals in samples; rr: the beat's own, 0 where unknown.
    """
    if rr == 0 or not len(past):
        return 0
    ranked, last = np.sort(past), len(past) - 1
    places = [(2 * last * up + down) // (2 * down) for up, down in RANKS]
    q25, q50, q75, q90 = (int(v) for v in fixed.log2(ranked[places]))
    own = int(fixed.log2(np.array(rr)))
    spread = ((q75 - q25) * QUARTILES) >> Q
    width = int(fixed.square_root(np.array(TOLERANCE**2 + spread**2)))
    early = int(fixed.divide(np.array((((q50 + q90) >> 1) - own) << Q), np.array(width)))
    return min(max(early, -PREMATURITY_MOST), PREMATURITY_MOST)


def kind(score: Score, opinion: "Opinion") -> str:
    """N; of a beat above the threshold V, where its shape alone reaches half of it, or S; Q."""
    if opinion.learning:
        return "Q"
    if opinion.score <= score.threshold:
        return "N"
    return "V" if opinion.shape > score.threshold // 2 else "S"


# --- one person --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """What a beat's score is made of, Q16: `shape` and `timing` are surprises in natural units.

    score: their sum. learning: whether the score was not yet adapted to the person.
    """

    shape: int
    timing: int
    score: int
    learning: bool


@dataclass(eq=False)
class Person:
    """Scores a person's beats in order, and adapts to them: the state of the C library."""

    score: Score
    fs: int
    centre: np.ndarray = field(init=False)
    latent_centre: np.ndarray = field(init=False)

    def __post_init__(self):
        self.centre = self.score.residual.centre.copy()
        self.latent_centre = self.score.latent.centre.copy()
        self.usual = [self.score.residual.usual, self.score.latent.usual]
        self.learning = True
        self._first: int | None = None
        self._steps = 0
        self._deviations = np.zeros_like(self.centre), np.zeros_like(self.latent_centre)
        self._kept: list[tuple[int, int]] = []
        self._past: list[int] = []

    def push(self, residual: np.ndarray, latent: np.ndarray, *, sample: int, rr: int) -> Opinion:
        """The next beat: residual [T] and latent [L] in integers, rr in samples, 0 if unknown."""
        early = prematurity(np.array(self._past), rr)
        if rr:
            self._past = [*self._past, min(rr, RR_LONGEST)][-fitted.RHYTHM_BEATS :]
        away = np.clip(residual - self.centre, -WORD, WORD)
        latent_away = np.clip(latent - self.latent_centre, -WORD, WORD)
        logs = (
            int(log_residual(self.score, away[None])[0]),
            int(log_latent(self.score, latent_away[None])[0]),
        )
        learning = self.learning
        shape = (logs[0] - self.usual[0] + logs[1] - self.usual[1]) >> 1
        if learning:
            self._learn(sample, early < IN_TIME, (away, latent_away), logs=logs)
        surprises = [
            int(surprise(tail, np.array(value))) * fixed.LN2 >> Q
            for tail, value in ((self.score.shape, shape), (self.score.timing, early))
        ]
        total = sum(surprises)
        return Opinion(
            shape=surprises[0],
            timing=surprises[1],
            score=total,
            learning=learning,
        )

    def _learn(
        self,
        sample: int,
        in_time: bool,
        away: tuple[np.ndarray, np.ndarray],
        *,
        logs: tuple[int, int],
    ) -> None:
        if self._first is None:
            self._first = sample
        seconds = (sample - self._first) // self.fs
        if in_time:
            if self._steps >= UNSETTLED and len(self._kept) < USUAL_MOST:
                self._kept.append((logs[0] >> USUAL_BITS, logs[1] >> USUAL_BITS))
            self._steps += 1
            self.centre = self._moved(self.centre, away[0], self._deviations[0])
            self.latent_centre = self._moved(self.latent_centre, away[1], self._deviations[1])
        if seconds >= LEARNT and len(self._kept) >= USUAL_LEAST:
            middle = np.sort(np.array(self._kept), axis=0)[len(self._kept) // 2]
            self.usual = [int(value) << USUAL_BITS for value in middle]
            self.learning = False

    def _moved(self, centre: np.ndarray, away: np.ndarray, deviations: np.ndarray) -> np.ndarray:
        """A running median [D] after one more beat; adds to its absolute deviations [D]."""
        deviations += np.abs(away)
        step = 3 * deviations // (2 * self._steps**2) + 1
        return np.clip(centre + step * np.sign(away), -WORD, WORD)
