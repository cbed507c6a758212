"""Synthetic ECG: patients whose beats are sums of Gaussians in the phase of the cardiac cycle.

The model follows P. E. McSharry, G. D. Clifford, L. Tarassenko, L. A. Smith, 'A dynamical model for
generating synthetic electrocardiogram signals', IEEE Trans. Biomed. Eng. 50(3):289-294, 2003: a
tachogram with a respiratory and a Mayer-wave band, a phase that runs through 2 pi in a beat, and
one Gaussian of that phase for each wave, here in closed form instead of integrated. Added to it:
ectopic, fusion and paced beats with their timing, morphology that drifts from beat to beat, and the
noise of an ambulatory recording.

Everything comes from explicitly seeded generators and is rounded to the steps of a converter, so
that a difference in the last digit between two machines does not show. This file was designed from
what is known of real ECG and frozen before any model saw its data. A change here changes VERSION of
the data set, and so its beats: results before and after cannot be compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kdjax.recordings import Annotations, Recording

FS = 360.0
DURATION = 300.0  # seconds a patient
LEAD = "MLII"
SEED = 20030301
STEPS_PER_MV, LARGEST = 200, 5.12  # mV: the converter of the MIT-BIH recordings

# How often each patient's next beat is a supraventricular (A), ventricular (V), fusion (F) or
# paced (/) one; `fibrillation` takes the P waves and the regularity away from the normal beats.
PROFILES = {
    "quiet": {"A": 0.01, "V": 0.01},
    "atrial": {"A": 0.135, "V": 0.02},
    "ventricular": {"V": 0.16, "F": 0.025},
    "fusing": {"V": 0.1, "F": 0.14},
    "paced": {"V": 0.03, "/": 0.042},
    "mixed": {"A": 0.06, "V": 0.06, "F": 0.015},
    "fibrillation": {"V": 0.06},
}
GROUPS = {
    "train": "quiet quiet quiet atrial atrial ventricular ventricular fusing paced mixed mixed "
    "fibrillation",
    "heldout": "quiet atrial fusing paced",
    "test": "quiet atrial atrial ventricular fusing fusing paced paced",
}
PATIENTS = tuple(
    (group, profile) for group, profiles in GROUPS.items() for profile in profiles.split()
)
NAMES = tuple(f"p{number:02d}" for number in range(1, len(PATIENTS) + 1))
RECORD_GROUPS = {
    group: tuple(name for name, (of, _) in zip(NAMES, PATIENTS, strict=True) if of == group)
    for group in GROUPS
}

# How likely an ectopic or paced beat is followed by another one of its kind.
AGAIN = {"A": 0.2, "V": 0.12, "F": 0.1, "/": 0.7}

# The waves of one beat, in this order: those of the patient's conducted beat, those of a beat from
# the ventricle (ectopic or paced), the pacemaker's spike. A beat uses some of them and has
# amplitude 0 in the others; a fusion beat uses both kinds.
VENTRICULAR = slice(8, 13)
P, Q, R, R2, S, ST, T, T2 = range(8)
SPIKE = 13
AMPLITUDE, CENTRE, WIDTH = range(3)


@dataclass(frozen=True, eq=False)
class Rhythm:
    """The beats of one patient in order: [B] each."""

    time: np.ndarray  # of the R peak, s
    kind: np.ndarray  # annotation symbol
    sinus: np.ndarray  # the sinus interval at that time, s
    late: np.ndarray  # how long after this R peak the sinus node's own would have come, s


def recordings() -> Iterator[Recording]:
    """Yields every patient's recording: one lead called MLII, 360 Hz, mV, annotated beats."""
    for index in range(len(PATIENTS)):
        yield recording(index)


def recording(index: int) -> Recording:
    """Makes the recording of patient `index` of PATIENTS.

    Args:
      index: which patient; it decides the seed.

    Returns:
      Signal [DURATION * 360, 1] in mV and annotations N, A, V, F and / near the R peaks.
    """
    streams = np.random.Generator(np.random.PCG64([SEED, index])).spawn(4)
    for_rhythm, for_shape, for_noise, for_annotator = streams
    samples = round(DURATION * FS)
    profile = PATIENTS[index][1]
    fibrillation = profile == "fibrillation"

    breaths = for_rhythm.uniform(0.18, 0.32)  # a second
    breathing = _band(for_rhythm, samples, breaths - 0.03, breaths + 0.03)
    beats = _rhythm(for_rhythm, PROFILES[profile], breathing, fibrillation)
    waves = _waves(for_shape, beats, breathing, fibrillation)
    signal = _trace(beats, waves, samples) + _noise(for_noise, breathing, fibrillation)
    signal = np.round(np.clip(signal, -LARGEST, LARGEST) * STEPS_PER_MV) / STEPS_PER_MV

    # An annotator is off by a habit and a little each time, now and then by more.
    slip = np.where(for_annotator.random(len(beats.time)) < 0.02, 6.0, 1.5)
    slip = for_annotator.uniform(-3, 3) + slip * for_annotator.standard_normal(len(beats.time))
    sample = np.clip(np.round(beats.time * FS + slip), 0, samples - 1).astype(np.int64)
    order = np.argsort(sample, kind="stable")
    return Recording(
        name=NAMES[index],
        signal=signal.astype(np.float32)[:, None],
        fs=FS,
        leads=(LEAD,),
        annotations=Annotations(sample=sample[order], symbol=beats.kind[order]),
    )


def _band(rng: np.random.Generator, samples: int, low: float, high: float) -> np.ndarray:
    """Gaussian noise [samples] of unit variance between two frequencies, with soft edges."""
    frequency = np.fft.rfftfreq(samples, 1 / FS)
    middle, half = (high + low) / 2, (high - low) / 2
    gain = np.exp(-(((frequency - middle) / half) ** 4))
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) * gain, samples)
    return noise / noise.std()


def _rhythm(
    rng: np.random.Generator,
    chances: dict[str, float],
    breathing: np.ndarray,
    fibrillation: bool,
) -> Rhythm:
    """Draws when the beats come and of which kind they are.

    The tachogram is the patient's mean interval, modulated by breathing (respiratory sinus
    arrhythmia), by Mayer waves near 0.1 Hz and by something slower. `due` is when the sinus node
    fires next. A supraventricular beat resets it (incomplete compensatory pause), a ventricular
    one does not (full pause: the next firing finds the ventricle refractory), a fusion beat comes
    just before it, and the pacemaker steps in when the node is silent.
    """
    mean = rng.uniform(0.65, 1.02)
    mayer = _band(rng, len(breathing), 0.07, 0.13)
    slow = _band(rng, len(breathing), 0.003, 0.03)
    tachogram = mean * np.exp(
        rng.uniform(0.01, 0.04) * breathing
        + rng.uniform(0.01, 0.03) * mayer
        + rng.uniform(0.01, 0.04) * slow
    )
    irregular = 0.17 if fibrillation else 0.006
    early_atrial, early_ventricular = rng.uniform(0.58, 0.74), rng.uniform(0.52, 0.68)
    escape = mean * rng.uniform(1.08, 1.2)
    kinds = list(chances)
    levels = np.cumsum([chances[kind] for kind in kinds])

    rows = []
    last, due, previous = 0.0, rng.uniform(0.2, 0.8), "N"
    while True:
        interval = float(tachogram[min(int(last * FS), len(tachogram) - 1)])
        interval *= np.exp(np.clip(irregular * rng.standard_normal(), -0.45, 0.45))
        drawn = int(np.searchsorted(levels, rng.random(), side="right"))
        kind = kinds[drawn] if drawn < len(kinds) else "N"
        if previous != "N":  # a run goes on, or the node has its turn
            kind = previous if rng.random() < AGAIN[previous] else "N"
        if not rows:
            kind = "N"

        jitter = 0.035 * rng.standard_normal()
        if kind == "A":
            time = last + interval * np.clip(early_atrial + jitter, 0.5, 0.85)
            late, due = 0.0, time + interval * rng.uniform(1.02, 1.15)
        elif kind == "V":
            time = last + interval * np.clip(early_ventricular + jitter, 0.52, 0.8)
            while due < time + 0.5 * interval:
                due += interval
            late = 0.0
        elif kind == "F":
            late = interval * rng.uniform(0.02, 0.07)
            time, due = due - late, due + interval
        elif kind == "/":
            time, late = max(last + escape, due), 0.0
            due = time + interval * rng.uniform(1.0, 1.1)
        else:
            time, late, due = due, 0.0, due + interval
        if time >= DURATION - 0.2:
            break
        rows.append((time, kind, interval, late))
        last, previous = time, kind
    time, kind, sinus, late = zip(*rows, strict=True)
    return Rhythm(np.array(time), np.array(kind, "<U4"), np.array(sinus), np.array(late))


def _radians(milliseconds: float) -> float:
    """Phase of a time in a cycle of one second."""
    return 2 * np.pi * milliseconds / 1000


def _table(rows: list[tuple[float, float, float]]) -> np.ndarray:
    """Waves given as (amplitude mV, centre ms, standard deviation ms) in a cycle of one second."""
    return np.array([(a, _radians(centre), _radians(width)) for a, centre, width in rows])


def _conducted(rng: np.random.Generator, fibrillation: bool) -> np.ndarray:
    """A patient's normal beat: waves [8, 3]. Patients differ in every wave, in the QRS's width and
    notches, and in the sign of T; a T wave rises slowly and falls fast, hence two Gaussians."""
    u = rng.uniform
    wide = 1.3 if rng.random() < 0.2 else 1.0
    r = u(0.8, 1.8)
    notch = u(0.15, 0.4) * r if rng.random() < 0.25 else 0.0
    t = u(0.12, 0.4) if rng.random() < 0.85 else -u(0.08, 0.2)
    t_at = u(240, 275)
    p = 0.0 if fibrillation else u(0.07, 0.18)
    return _table(
        [
            (p, -u(150, 195), u(18, 25)),
            (-u(0.0, 0.15), -u(23, 30) * wide, u(7, 10) * wide),
            (r, 0.0, u(8.5, 12) * wide),
            (notch, u(20, 28) * wide, u(8, 11) * wide),
            (-u(0.05, 0.5), u(27, 36) * wide, u(9, 14) * wide),
            (u(-0.06, 0.08), u(105, 130), u(35, 50)),
            (t, t_at, u(40, 52)),
            (u(0.4, 0.7) * t, t_at + u(38, 50), u(24, 32)),
        ]
    )


def _focus(rng: np.random.Generator, r: float, sign: float) -> np.ndarray:
    """A beat from one place in the ventricle: waves [5, 3]. Slow conduction through muscle makes
    the QRS wide, large and notched, and T goes the other way."""
    u = rng.uniform
    a = sign * np.clip(u(1.05, 1.8) * r, 1.1, 2.8)
    t_at = u(275, 320)
    return _table(
        [
            (a, 0.0, u(21, 30)),
            (u(0.25, 0.75) * a, u(42, 60), u(18, 28)),
            (-u(0.0, 0.3) * a, -u(50, 66), u(14, 22)),
            (-u(0.22, 0.42) * a, t_at, u(50, 65)),
            (-u(0.1, 0.22) * a, t_at + u(50, 65), u(32, 42)),
        ]
    )


def _wander(rng: np.random.Generator, shape: tuple[int, ...], beats: float) -> np.ndarray:
    """A first-order autoregression of unit variance along axis 0 that forgets after `beats`."""
    keep = np.exp(-1 / beats)
    noise = rng.standard_normal(shape)
    out = np.empty(shape)
    state = noise[0]
    for k in range(shape[0]):
        state = keep * state + np.sqrt(1 - keep**2) * noise[k]
        out[k] = state
    return out


def _waves(
    rng: np.random.Generator, beats: Rhythm, breathing: np.ndarray, fibrillation: bool
) -> np.ndarray:
    """Draws every beat's waves: [B, 14, 3] of amplitude (mV), centre and width (radians)."""
    count, kind = len(beats.time), beats.kind
    normal = _conducted(rng, fibrillation)
    r = float(normal[R, AMPLITUDE])
    sign = 1.0 if rng.random() < 0.6 else -1.0
    foci = np.stack([_focus(rng, r, sign), _focus(rng, r, -sign), _focus(rng, r, sign)])
    paced = _focus(rng, r, 1.0 if rng.random() < 0.5 else -1.0)
    spike = _table([(rng.uniform(0.7, 1.5), -rng.uniform(88, 105), 2.5)])

    # The first focus is the patient's own, the others fire now and then; fusion is with the first.
    focus = np.searchsorted([0.72, 0.9], rng.random(count))
    focus[kind != "V"] = 0
    waves = np.concatenate(
        [
            np.broadcast_to(normal, (count, 8, 3)),
            foci[focus],
            np.broadcast_to(spike, (count, 1, 3)),
        ],
        axis=1,
    )
    waves[kind == "/", VENTRICULAR] = paced

    waves[kind == "A"] = _premature(rng, waves[kind == "A"])
    amount = np.zeros(count)  # of the ventricular beat in each beat
    amount[(kind == "V") | (kind == "/")] = 1.0
    amount[kind == "F"] = np.clip(rng.normal(0.5, 0.1, (kind == "F").sum()), 0.3, 0.7)
    waves[:, VENTRICULAR, AMPLITUDE] *= amount[:, None]
    waves[:, Q : T2 + 1, AMPLITUDE] *= 1 - amount[:, None]
    waves[amount == 1.0, P, AMPLITUDE] = 0.0
    waves[:, P, CENTRE] += 2 * np.pi * beats.late / _cycle(beats)
    waves[kind != "/", SPIKE, AMPLITUDE] = 0.0
    return _vary(rng, waves, beats, breathing)


def _premature(rng: np.random.Generator, conducted: np.ndarray) -> np.ndarray:
    """The waves [A, 14, 3] of supraventricular premature beats, from those of normal beats.

    Where the focus lies decides the P wave: high and lateral (peaked, early), low (inverted, close
    to the QRS) or in the node (none to see). The QRS is nearly the normal one; in a few beats one
    bundle is still refractory, which widens it (aberrant conduction).
    """
    count = len(conducted)
    gain, shift = [(1.5, -22.0), (-1.1, 28.0), (0.0, 0.0)][int(rng.integers(3))]
    aberrant = (rng.random(count) < 0.2) * rng.uniform(0.4, 1.0, count)
    beats = conducted.copy()
    beats[:, P, AMPLITUDE] *= gain
    beats[:, P, CENTRE] += _radians(shift)
    beats[:, R, AMPLITUDE] *= rng.uniform(0.86, 1.04, count) - 0.15 * aberrant
    beats[:, S, AMPLITUDE] *= rng.uniform(0.95, 1.3, count)
    beats[:, S, AMPLITUDE] -= 0.25 * aberrant
    beats[:, S, CENTRE] *= 1 + 0.4 * aberrant
    beats[:, R : S + 1, WIDTH] *= (1 + 0.4 * aberrant)[:, None]
    beats[:, T : T2 + 1, AMPLITUDE] *= (rng.uniform(0.7, 1.0, count) - 0.4 * aberrant)[:, None]
    return beats


def _vary(
    rng: np.random.Generator, waves: np.ndarray, beats: Rhythm, breathing: np.ndarray
) -> np.ndarray:
    """Lets the waves change from beat to beat: breathing turns the heart's axis, everything drifts
    within about a minute, and many patients change posture once."""
    count, kinds = len(waves), waves.shape[1]
    breath = breathing[(beats.time * FS).astype(int)]
    turn = rng.uniform(0.01, 0.05) * breath[:, None] * rng.choice([-1.0, 1.0], kinds)
    drift = _wander(rng, (count, kinds, 3), 60.0)
    each = rng.standard_normal((count, kinds, 3))
    moved = 1 / (1 + np.exp(-(beats.time - rng.uniform(0.2, 0.8) * beats.time[-1]) / 2))
    posture = (rng.random() < 0.6) * moved[:, None] * rng.normal(0, 0.15, kinds)

    out = waves.copy()
    out[..., AMPLITUDE] *= np.exp(
        turn + posture + 0.06 * drift[..., AMPLITUDE] + 0.03 * each[..., AMPLITUDE]
    )
    moving = np.full(kinds, _radians(4.0))
    moving[[Q, R, R2, S, SPIKE]] = _radians(0.6)
    out[..., CENTRE] += moving * (drift[..., CENTRE] + 0.4 * each[..., CENTRE])
    out[..., WIDTH] *= np.exp(0.04 * drift[..., WIDTH] + 0.02 * each[..., WIDTH])
    return out


def _cycle(beats: Rhythm) -> np.ndarray:
    """The time [B] in which a beat's phase runs through 2 pi: the square root of the interval in
    seconds (Bazett), of the recent sinus rhythm mostly, for repolarisation adapts slowly."""
    interval = np.diff(beats.time, prepend=beats.time[0] - beats.sinus[0])
    recent = np.empty_like(interval)
    state = beats.sinus[0]
    for k, sinus in enumerate(beats.sinus):
        state += 0.05 * (sinus - state)
        recent[k] = state
    return np.sqrt(0.85 * recent + 0.15 * interval)


def _trace(beats: Rhythm, waves: np.ndarray, samples: int) -> np.ndarray:
    """The clean signal [samples] in mV: every beat's Gaussians, evaluated in its own phase."""
    reach = np.arange(-round(0.45 * FS), round(0.75 * FS))
    first = np.round(beats.time * FS).astype(int)
    at = first[:, None] + reach
    phase = 2 * np.pi * (at / FS - beats.time[:, None]) / _cycle(beats)[:, None]
    shape = np.zeros(phase.shape)
    for amplitude, centre, width in np.moveaxis(waves, 0, -1):
        used = amplitude != 0
        offset = (phase[used] - centre[used, None]) / width[used, None]
        shape[used] += amplitude[used, None] * np.exp(-0.5 * offset**2)
    inside = (at >= 0) & (at < samples)
    return np.bincount(at[inside], shape[inside], minlength=samples)


def _noise(rng: np.random.Generator, breathing: np.ndarray, fibrillation: bool) -> np.ndarray:
    """What else is in the lead [T], in mV: muscle, mains hum, baseline wander, electrode motion
    and, where the atria fibrillate, their activity."""
    samples = len(breathing)
    time = np.arange(samples) / FS
    muscle = np.exp(rng.uniform(np.log(0.008), np.log(0.05)))
    muscle = muscle + _bursts(rng, samples, 2.0, (3, 9)) * rng.uniform(0.05, 0.14)
    motion = _bursts(rng, samples, 2.0, (2, 5)) * rng.uniform(0.15, 0.4)
    hum = rng.uniform(0, 0.025) * (1 + 0.3 * _band(rng, samples, 0.01, 0.1))
    return (
        muscle * _band(rng, samples, 12, 130)
        + motion * _band(rng, samples, 0.5, 9)
        + hum * np.sin(2 * np.pi * 60 * time + rng.uniform(0, 2 * np.pi))
        + rng.uniform(0.05, 0.2) * _band(rng, samples, 0.02, 0.45)
        + rng.uniform(0.02, 0.1) * breathing
        + (0.045 * _band(rng, samples, 4.5, 7.5) if fibrillation else 0.0)
    )


def _bursts(
    rng: np.random.Generator, samples: int, mean: float, seconds: tuple[float, float]
) -> np.ndarray:
    """An envelope [samples] in [0, 1]: about `mean` episodes, each a raised cosine."""
    out = np.zeros(samples)
    time = np.arange(samples) / FS
    for _ in range(int(rng.poisson(mean))):
        length = rng.uniform(*seconds)
        offset = (time - rng.uniform(0, time[-1])) / length
        out = np.maximum(out, np.where(np.abs(offset) < 0.5, np.cos(np.pi * offset) ** 2, 0.0))
    return out
