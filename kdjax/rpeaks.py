"""R-peaks of one lead: `r_peaks` in use, `protocol_r_peaks` for training data.

`r_peaks` picks, among all bursts of energy in the band of the QRS complex, the sequence that is
most plausible as a whole. A burst gains from its height and sharpness beside the beats around it,
and from its likeness to them; an interval from its nearness to the usual interval there. So a
small beat is taken where a beat is due, and a T or P wave beside a beat is not. What follows a beat
as T waves follow other beats is left out, even where a long pause makes it welcome. All
comparisons are with medians on both sides, so noise does not blind the detector to what follows.

The constants below were chosen on DS1 of MIT-BIH alone (`benchmarks/quality/rpeaks.py`).
"""

from typing import NamedTuple

import numpy as np
import scipy.ndimage
import scipy.sparse
from numpy.lib.stride_tricks import sliding_window_view

from kdjax import beats, filters

FS = beats.FS
REFRACTORY = 0.2  # s: two beats lie at least so far apart

_QRS, _SHARP = (filters.butterworth(2, *hertz, fs=FS) for hertz in ((5.0, 20.0), (6.0, 25.0)))
_CONTINUED = 15  # samples at either end
_BURST = 0.1  # s of a moving average over energy
_APART = 0.12  # s between bursts
_GRID = 2.0**-14  # mV: below the step of any converter
_REFINE = 0.05  # s

_LEVEL_STEP, _LEVEL_BEAT = 0.25, 1.75  # s: a stretch of the second holds a beat
_LEVEL_NEAR, _LEVEL_FAR = 10.0, 60.0  # s
_LEVEL_FLOOR = 0.4  # of the level far around
_AROUND_BEAT = 0.12  # s that belong to a beat on each side
_WINDOW = 4.0  # s over which a second's noise is judged
_SHAPE, _SHIFT = 0.08, 0.02  # s on each side of an R-peak that are compared, and how far shifted
_COMPARED, _THIRD = 40, 3  # beats on each side; the third most similar of them counts
_AT_ONCE = 200  # places compared at once, for the sake of memory
_T_WAVE = 0.42  # s after a beat, up to which its T wave may stand
_T_SHIFT = 0.03  # s by which T waves come earlier or later
_T_LIKE, _T_SHARE = 0.55, 0.15  # a T wave is as near as that to so large a share of the others
_T_LEAST = 8  # of the others
_NEIGHBOURS = 8  # beats on each side, for the usual interval and sharpness
_TALLEST = 1.0  # log height above which a burst gains nothing more


class _Odds(NamedTuple):
    """What makes a burst or an interval plausible, in natural logarithms of odds.

    A burst gains `height` times the log of its height over `least` of the level around, and `sharp`
    times the log of its sharpness beside that of beats. It loses `lower` times the log by which
    another within 0.2 s is higher. Once beats are known, it gains `bias`, and loses `unlike` times
    what its `unlikeness` exceeds `unlike_from`, and `noisy` times the log by which the
    `noise_ratio` exceeds `noisy_from`. An interval r times the usual one gains `rhythm`, and loses
    `steady` times log(1 + (log r / spread)^2), where the spread is `shorter` or `longer`, and
    `close` for each 0.1 s below `close_from` seconds.
    """

    height: float = 3.0
    least: float = 0.333
    sharp: float = 2.25
    lower: float = 1.0
    unlike: float = 5.0
    unlike_from: float = 0.65
    noisy: float = 1.5
    noisy_from: float = 0.183
    bias: float = 0.3
    rhythm: float = 0.75
    steady: float = 0.75
    shorter: float = 0.5
    longer: float = 0.4
    close: float = 2.5
    close_from: float = 0.32


_ODDS = _Odds()


class Lead(NamedTuple):
    """A lead [T] at FS, filtered as `beats.bandpass` does it, and what bursts are judged by.

    energy, sharp: float64 [T], the root mean square over 0.1 s in the band of the QRS complex and
    in a sharper one, at least the grid's step.
    """

    filtered: np.ndarray
    energy: np.ndarray
    sharp: np.ndarray


def measured(filtered: np.ndarray) -> Lead:
    """The lead `filtered` [T] with its energies."""
    return Lead(filtered, *(_energy(filtered, band) for band in (_QRS, _SHARP)))


def _energy(filtered: np.ndarray, band: np.ndarray) -> np.ndarray:
    pad = min(_CONTINUED, len(filtered) - 1)
    passed = filters.without_phase(band, filtered, pad)
    passed = np.round(passed / _GRID) * _GRID
    power = scipy.ndimage.uniform_filter1d(np.square(passed), round(_BURST * FS))
    return np.sqrt(np.maximum(power, _GRID**2))


def r_peaks(lead: Lead, unfit: np.ndarray) -> np.ndarray:
    """R-peaks int64 [P], ascending, of a lead.

    None lies where `unfit` bool [T] says that there is no signal. Each stands at the maximum of
    the filtered lead within 50 ms of its burst's centre, where training data have theirs.
    """
    bursts = _bursts(lead, unfit)
    if not len(bursts.at):
        return np.empty(0, np.int64)
    return bursts.peak[_chosen(bursts, lead)]


class _Bursts(NamedTuple):
    """Bursts of energy [N] in a lead.

    at, peak: int64, its centre and the maximum of the lead within 50 ms of it; height: log energy
    over the level around; sharpness: its log.
    """

    at: np.ndarray
    peak: np.ndarray
    height: np.ndarray
    sharpness: np.ndarray


def _bursts(lead: Lead, unfit: np.ndarray) -> _Bursts:
    if len(lead.filtered) < FS:
        return _Bursts(*[np.empty(0, np.int64)] * 2, *[np.empty(0)] * 2)
    at = filters.find_peaks(lead.energy, round(_APART * FS))
    at = at[~unfit[at] & (lead.energy[at] > _GRID)]
    sharp, power = lead.sharp[at], lead.energy[at]
    height = np.log(power / _level(at, power, unfit))
    return _Bursts(at, maximum_near(at, lead.filtered), height, np.log(sharp / power))


def maximum_near(places: np.ndarray, filtered: np.ndarray) -> np.ndarray:
    """The maximum of `filtered` [T] within 50 ms of each of `places` int64 [P]."""
    reach = round(_REFINE * FS)
    padded = np.pad(filtered, reach, constant_values=-np.inf)
    around = padded[places[:, None] + np.arange(2 * reach + 1)]
    return places - reach + around.argmax(axis=1)


def _level(at: np.ndarray, power: np.ndarray, unfit: np.ndarray) -> np.ndarray:
    """The energy [N] that a beat has around each burst.

    The 40th percentile of the highest burst in 1.75 s, over 5 s before, after or on both sides,
    whichever is the lowest: so noise on one side does not raise it. At least 0.4 times a low
    percentile over a minute: so it does not fall where the signal is lost for seconds. Time that is
    `unfit` bool [T] is left out, as if the signal went on after it where it stopped.
    """
    step = round(_LEVEL_STEP * FS)
    lost = np.logical_and.reduceat(unfit, np.arange(0, len(unfit), step))
    place = (np.cumsum(~lost) - 1)[at // step]
    highest = np.zeros(np.count_nonzero(~lost))
    np.maximum.at(highest, place, power)
    highest = scipy.ndimage.maximum_filter1d(highest, round(_LEVEL_BEAT / _LEVEL_STEP))
    near = round(_LEVEL_NEAR / _LEVEL_STEP) + 1
    side = near // 2 + 1
    low = scipy.ndimage.percentile_filter
    around = low(highest, 40, size=near)
    after, before = (low(highest, 40, size=side, origin=o) for o in (-(side // 2), side // 2))
    far = low(highest, 30, size=round(_LEVEL_FAR / _LEVEL_STEP) + 1)
    level = np.maximum(np.minimum(np.minimum(before, after), around), _LEVEL_FLOOR * far)
    return np.maximum(level, _GRID)[place]


def _chosen(bursts: _Bursts, lead: Lead) -> np.ndarray:
    """Which bursts are beats, as indices: first by height alone, then beside those found so far."""
    time, sharpness = bursts.at / FS, bursts.sharpness
    height = np.minimum(bursts.height, _TALLEST) - np.log(_ODDS.least)
    beat = _best_sequence(time, _ODDS.height * height, None)
    if len(beat) < 3:
        return beat
    gain = _ODDS.height * height
    gain += _ODDS.sharp * np.clip(sharpness - usual(time, time[beat], sharpness[beat]), -1, 1)
    gain -= _ODDS.lower * _lower(time, bursts.height)
    for look_again in (True, False):
        interval = usual(time, time[beat][1:], np.diff(time[beat]))
        beat = _best_sequence(time, gain, np.log(interval))
        if len(beat) < 3:
            return beat
        if look_again:
            likely = np.flatnonzero(gain > _UNLIKELY)
            gain[likely] += _ODDS.bias - _doubts(bursts, lead, likely, beat=beat)
    is_t_wave = t_waves(lead.filtered, bursts.peak[beat])
    if is_t_wave.any():
        gain[beat[is_t_wave]] = -np.inf
        beat = _best_sequence(time, gain, np.log(interval))
    return beat


def _doubts(bursts: _Bursts, lead: Lead, likely: np.ndarray, *, beat: np.ndarray) -> np.ndarray:
    """What the bursts `likely` [L] lose for being unlike the beats around, and for noise there."""
    peaks = bursts.peak[beat]
    unlike = unlikeness(lead.filtered, bursts.peak[likely], peaks)
    noise = np.log(noise_ratio(lead.energy, peaks))[bursts.at[likely] // FS]
    return _ODDS.unlike * np.maximum(unlike - _ODDS.unlike_from, 0) + _ODDS.noisy * np.maximum(
        noise - np.log(_ODDS.noisy_from), 0
    )


def usual(time: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The median of the 17 `values` [K] around each of `time` [N], given their times."""
    size = 2 * _NEIGHBOURS + 1
    if len(values) <= size:
        return np.full(len(time), np.median(values))
    medians = np.median(sliding_window_view(values, size), axis=1)
    return np.interp(time, known[_NEIGHBOURS:-_NEIGHBOURS], medians)


def _lower(time: np.ndarray, height: np.ndarray) -> np.ndarray:
    """How much higher [N] the highest burst within 0.2 s of each is."""
    least = np.zeros(len(time))
    for step in range(1, int(REFRACTORY / _APART) + 1):
        near = time[step:] - time[:-step] <= REFRACTORY
        more = np.where(near, height[step:] - height[:-step], 0)
        least[:-step] = np.maximum(least[:-step], more)
        least[step:] = np.maximum(least[step:], -more)
    return least


def noise_ratio(energy: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Noise over signal [S] of `energy` [m], over the 4 s around each second.

    The root mean square more than 0.12 s away from every R-peak, over the usual level at R-peaks;
    0.01 is added.
    """
    middles = np.arange(-(-len(energy) // FS)) + 0.5
    level = usual(middles, peaks / FS, np.log(energy[peaks]))
    between = np.ones(len(energy) + 1)
    around = round(_AROUND_BEAT * FS)
    between[np.clip(peaks[:, None] + np.arange(-around, around + 1), 0, len(energy))] = 0
    between = between[:-1]
    power = _window_sum(np.square(energy) * between) / np.maximum(_window_sum(between), 1)
    return np.sqrt(power) / np.exp(level) + 0.01


def _window_sum(values: np.ndarray) -> np.ndarray:
    """The sums [S] of `values` [m] over the 4 s around the middle of each second."""
    sums = np.concatenate([[0], np.cumsum(values)])
    starts = np.arange(-(-len(values) // FS)) * FS
    reach = round((_WINDOW - 1) / 2 * FS)
    first = np.clip(starts - reach, 0, len(values))
    return sums[np.clip(starts + FS + reach, 0, len(values))] - sums[first]


def unlikeness(lead: np.ndarray, at: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """How unlike the beats around it the shape at each place is, by the third most similar beat.

    The distance of two shapes is the norm of their difference over the larger of their norms, at
    most 1, over 80 ms on both sides and with shifts of up to 20 ms. The 40 beats before and the 40
    after are compared, the place itself never.

    Args:
        lead: [m] at FS.
        at: int64 [N], ascending, the places.
        peaks: int64 [P], ascending, the beats.
    """
    shift = round(_SHIFT * FS)
    padded = np.pad(lead.astype(np.float64), round(_SHAPE * FS) + shift)
    shapes = _shapes(padded, peaks, np.arange(shift % 2, 2 * shift + 1, 2))
    own, place = _shapes(padded, at, np.array([shift]))[0], np.searchsorted(peaks, at)
    unlike = np.ones(len(at))
    for start in range(0, len(at), _AT_ONCE):
        these = slice(start, start + _AT_ONCE)
        first, last = max(place[these][0] - _COMPARED, 0), place[these][-1] + _COMPARED
        near = shapes[:, first : last + 1]
        distance = np.minimum(_distance(own[these], near), 1)
        others = np.arange(first, first + distance.shape[1])
        itself = peaks[others] == at[these, None]
        distance[itself | (np.abs(others - place[these, None]) > _COMPARED)] = 1
        if len(others) >= _THIRD:
            unlike[these] = np.partition(distance, _THIRD - 1, axis=1)[:, _THIRD - 1]
    return unlike


def t_waves(lead: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Which of the R-peaks are T waves of the beats before them, bool [P].

    Their shapes are what also follows other beats at the same delay, where it is no R-peak. Before
    a long pause a T wave is otherwise taken for the beat that is missing. The 40 beats before and
    the 40 after are compared, by the distance that `unlikeness` uses.

    Args:
        lead: [m] at FS.
        peaks: int64 [P], ascending.
    """
    shift = round(_T_SHIFT * FS)
    padded = np.pad(lead.astype(np.float64), round(_SHAPE * FS) + shift)
    delay, beside = np.diff(peaks), round(_AROUND_BEAT * FS)
    found = np.zeros(len(peaks), bool)
    for number in np.flatnonzero(delay < _T_WAVE * FS) + 1:
        after = delay[number - 1]
        others = np.arange(max(number - 1 - _COMPARED, 0), min(number + _COMPARED, len(delay)))
        others = others[delay[others] > after + beside]
        if len(others) >= _T_LEAST:
            shapes = _shapes(padded, peaks[others] + after, np.arange(0, 2 * shift + 1, 2))
            own = _shapes(padded, peaks[[number]], np.array([shift]))[0]
            apart = _distance(own, shapes)[0]
            found[number] = np.quantile(apart, _T_SHARE) < _T_LIKE
    return found


def _shapes(padded: np.ndarray, at: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The shapes [S, N, D] of 80 ms on both sides of `at` [N], with mean zero.

    padded: the lead with 80 ms and the largest shift added to both ends; starts: [S], how far each
    shape begins after the earliest.
    """
    reach = np.arange(2 * round(_SHAPE * FS) + 1)
    shapes = padded[at[:, None] + starts[:, None, None] + reach]
    return shapes - shapes.mean(axis=-1, keepdims=True)


def _distance(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How far each shape of `own` [N, D] is from each of `others` [S, K, D] at its best shift.

    [N, K]: the norm of their difference over the larger of their norms.
    """
    squares = np.square(own).sum(axis=1)[:, None]
    least = np.maximum(squares, 1e-12)
    nearest = np.full((len(own), others.shape[1]), np.inf)
    for shifted in others:
        of_others = np.square(shifted).sum(axis=1)
        apart = 2 * own @ shifted.T
        np.subtract(squares + of_others, apart, out=apart)
        apart /= np.maximum(least, of_others)
        np.minimum(nearest, apart, out=nearest)
    return np.sqrt(np.maximum(nearest, 0))


_UNLIKELY = -4.0  # log odds below which a burst's shape is not looked at
_HOPELESS = -6.0  # log odds below which a burst is not looked at
_SKIPPED = 24  # bursts between two beats, at most


def _best_sequence(time: np.ndarray, gain: np.ndarray, usual: np.ndarray | None) -> np.ndarray:
    """The ascending indices of the bursts whose gains and intervals add up to the most.

    time [N] in s; gain [N]; usual [N]: the log of the usual interval there, None where it is not
    known. A shortest path: bursts are nodes, intervals edges whose length is what they lose. Time
    times a constant makes all lengths positive and adds the same to every path.
    """
    kept = np.flatnonzero(gain > _HOPELESS)
    if not len(kept):
        return kept
    time, gain = time[kept], gain[kept]
    usual = None if usual is None else usual[kept]
    start = len(kept)
    graph = _graph(time, gain, usual)
    before = scipy.sparse.csgraph.dijkstra(graph, indices=start, return_predecessors=True)[1]
    path = [before[start + 1]]
    while path[-1] != start:
        path.append(before[path[-1]])
    return kept[path[-2::-1]]


def _graph(time: np.ndarray, gain: np.ndarray, usual: np.ndarray | None) -> scipy.sparse.csr_matrix:
    """The lengths [N + 2, N + 2] of the edges between bursts; the last nodes are start and end.

    An edge leads from a burst to each of the next 24 that is 0.2 s away, from the start to the
    first 24 and from the last 24 to the end.
    """
    count = len(time)
    first, last = np.arange(count)[:_SKIPPED], np.arange(count)[-_SKIPPED:]
    slope = (max(gain.max(), 0) + _ODDS.rhythm + 1) / REFRACTORY
    to = np.arange(count)[:, None] + np.arange(1, _SKIPPED + 2)  # the last column is for the end
    there = to < count
    there[:, -1] = False
    there[there] &= (time[np.minimum(to, count - 1)] - time[:, None])[there] >= REFRACTORY
    rows, places = np.nonzero(there)
    columns = to[rows, places]
    interval = time[columns] - time[rows]
    length = np.empty(to.shape)
    gained = gain[columns] + _rhythm(interval, usual, rows, columns=columns)
    length[there] = slope * interval - gained
    length[last, -1] = slope * (time[-1] - time[last] + 1)
    to[:, -1], there[last, -1] = count + 1, True
    from_start = slope * (time[first] - time[0] + 1) - gain[first]
    edges = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    edges = np.concatenate([edges, [edges[-1] + len(first)] * 2])
    return scipy.sparse.csr_matrix(
        (
            np.concatenate([length[there], from_start]),
            np.concatenate([to[there], first]),
            edges,
        ),
        shape=(count + 2, count + 2),
    )


def _rhythm(
    interval: np.ndarray,
    usual: np.ndarray | None,
    rows: np.ndarray,
    *,
    columns: np.ndarray,
) -> np.ndarray:
    """What intervals [E] gain, in s, between bursts with usual intervals."""
    if usual is None:
        return np.zeros(len(interval))
    ratio = np.log(interval) - (usual[rows] + usual[columns]) / 2
    ratio /= np.where(ratio < 0, _ODDS.shorter, _ODDS.longer)
    close = np.maximum(_ODDS.close_from - interval, 0) / 0.1
    return _ODDS.rhythm - _ODDS.steady * np.log1p(np.square(ratio)) - _ODDS.close * close


# --- the published protocol's rule for training data ---------------------------------------------


def protocol_r_peaks(raw: np.ndarray, filtered: np.ndarray, fs: float) -> np.ndarray:
    """R-peaks int64 [P], ascending, of one lead given `raw` and `filtered` [T] in mV.

    Detected on the raw lead (Pan & Tompkins as sleepecg has it), each then moved to the maximum
    of the filtered lead within 50 ms. A signal that varies for less than a second has none.

    Training data keep this detector: which beats are among them depends on it, and published
    figures with them. Recordings in use go through `r_peaks`, which misses fewer.
    """
    reach = round(_REFINE * fs)
    moved = []
    for peak in _detections(np.asarray(raw, np.float64), fs):
        first = max(peak - reach, 0)
        moved.append(first + np.argmax(filtered[first : peak + reach + 1]))
    return np.unique(np.array(moved, np.int64))


def _detections(raw: np.ndarray, fs: float) -> np.ndarray:
    """sleepecg's heartbeats in `raw` [T], kept from the inputs on which its C code fails.

    That code (0.6.0) leaves out a flat start, reads two seconds whether there are as many or not,
    and has room for a beat each 200 ms but one: on short signals it reads and writes beyond its
    arrays. Its Python code finds the same beats and raises instead, on nothing but noise.
    """
    # Imported here because only training data need it; importing takes longer than many a use.
    from sleepecg.heartbeats import detect_heartbeats

    varying = np.flatnonzero(raw != raw[0])
    length = len(raw) - varying[0] if len(varying) else 0
    if length < fs:
        return np.empty(0, np.int64)
    refractory = 0.2 * fs  # two beats lie at least a sample more apart: enough room from here on
    backend = "c" if length > 4 * refractory**2 else "python"
    try:
        return detect_heartbeats(raw, fs, backend=backend)
    except (IndexError, ZeroDivisionError):
        return np.empty(0, np.int64)
