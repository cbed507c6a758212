"""Events, as the page's script finds them after decisions and as events.csv has them."""

from collections import Counter

import numpy as np
import pytest
from detections import beats_of, detection_of
from javascript import calls

from kdjax.detection.decisions import RHYTHMS
from kdjax.detection.events import WITHOUT_P, Event, find_events, trimmed
from kdjax.detection.report import milliseconds
from kdjax.detection.review import reviewed
from kdjax.detection.summary import without_artefacts

KINDS = ["N", "S", "V", "F", "Q", "X", ""]
SHARES = (
    (0.9, 0.04, 0.03, 0.01, 0.01, 0.005, 0.005),
    (0.6, 0.1, 0.2, 0.02, 0.02, 0.03, 0.03),
    (0.98, 0, 0.01, 0, 0, 0.005, 0.005),
)
REVIEWED = """(detected, decisions, stretches) =>
  eventsOf(replay(detected, decisions), stretches)
    .map(({ name, first, last, beats }) => [name, first, last, beats])"""
BY_THE_PAGE = """(state, stretches) =>
  eventsOf(state, stretches).map(({ name, first, last, beats }) => [name, first, last, beats])"""


def intervals(rng, count):
    """RR intervals [count] in s: steady and irregular rhythms, early beats, pauses, long breaks."""
    parts = []
    while sum(map(len, parts)) < count:
        length = int(rng.integers(5, 200))
        varied = np.exp(rng.normal(0, rng.choice([0.01, 0.05, 0.15, 0.3]), length))
        part = rng.uniform(0.4, 1.2) * varied
        period = int(rng.integers(1, 5))
        part[::period] *= 0.6 if period > 1 else 1.0
        parts.append(part)
    rr = np.concatenate(parts)[:count]
    rr[rng.random(count) < 0.003] *= 4
    rr[rng.random(count) < 0.001] *= 150
    return rr


def kinds(rng, count):
    """Kinds [count], with stretches of bigeminy and trigeminy."""
    kind = rng.choice(KINDS, count, p=rng.choice(SHARES))
    for _ in range(4):
        start, period = int(rng.integers(0, count - 30)), int(rng.integers(2, 4))
        kind[start : start + 30] = "N"
        kind[start : start + 30 : period] = rng.choice(["S", "V"])
    return kind


def recording(rng, fs):
    """Beats, and up to one stretch without P waves."""
    count = int(rng.integers(40, 900))
    sample = np.cumsum(np.rint(intervals(rng, count) * fs)).astype(int)
    known = rng.random(count) > 0.01
    rr = np.where(known, np.diff(sample, prepend=-1000) / fs, np.nan).astype(np.float32)
    kind = kinds(rng, count)
    rows = zip(sample.tolist(), rr, kind, strict=True)
    beats = beats_of(*((at, 0, 0, False, "good", own, name, 0, 0.5, 1) for at, own, name in rows))
    first, last = rng.integers(0, count // 2), rng.integers(count // 2, count)
    event = Event(WITHOUT_P, int(sample[first]), int(sample[last]), int(last - first + 1))
    return beats, [event][: rng.integers(0, 2)]


def as_the_page_has_it(beats, fs):
    return {
        "samples": beats.sample.tolist(),
        "kind": [KINDS.index(kind) if kind else -1 for kind in beats.kind.tolist()],
        "rr": milliseconds(beats.rr).tolist(),
        "fs": fs,
        "dismissed": [],
        "given": [],
        "replaced": [],
    }


@pytest.mark.parametrize("fs", [250.0, 512.0, 4096.0])
def test_the_page_finds_what_the_files_have(fs):
    rng = np.random.default_rng(0)
    asked, expected = [], []
    for _ in range(60):
        beats, without_p = recording(rng, fs)
        hearts = without_artefacts(beats)
        expected.append(find_events(hearts, fs, trimmed(hearts, without_p, fs)))
        stretches = [[event.first, event.last] for event in without_p]
        asked.append([BY_THE_PAGE, as_the_page_has_it(beats, fs), stretches])
    found = calls(*asked)
    assert found == [[list(event) for event in events] for events in expected]
    names = Counter(event.name for events in expected for event in events)
    patterns = ("couplet", "run", "bigeminy", "trigeminy")
    every = {f"{kind} {pattern}" for kind in "SV" for pattern in patterns}
    assert set(names) == every | {"pause", "irregular rhythm", WITHOUT_P}
    assert min(names.values()) > 3


def test_no_beats_make_no_events():
    assert calls([BY_THE_PAGE, as_the_page_has_it(beats_of(), 250.0), [[0, 10000]]]) == [[]]


def decisions_on(rng, samples):
    """Rhythms that are given and dismissed, and a beat or two that are named."""
    made = []
    for _ in range(rng.integers(1, 6)):
        stretch = sorted(rng.choice(samples, 2, replace=False).tolist())
        event = str(rng.choice(RHYTHMS))
        made.append({str(rng.choice(["rhythm", "dismiss"])): stretch, "event": event})
        beat = int(rng.choice([*stretch, *rng.choice(samples, 2)]))
        made.append({"beat": beat, "kind": str(rng.choice(["N", "V", "X"]))})
        inside = samples[(samples >= stretch[0]) & (samples <= stretch[1])]
        if rng.random() < 0.3:  # most of it are artefacts
            made += [{"beat": int(one), "kind": "X"} for one in inside[: int(0.7 * len(inside))]]
    return made


def test_the_page_gives_and_dismisses_rhythms_as_kdjax_review_does():
    rng = np.random.default_rng(1)
    asked, expected = [], []
    for _ in range(150):
        beats, without_p = recording(rng, 250.0)
        decisions = decisions_on(rng, beats.sample)
        seconds = float(beats.sample[-1]) / 250 + 1
        found = detection_of(
            beats, fs=250.0, seconds=seconds, events=tuple(without_p), families=(), unscorable=()
        )
        expected.append([list(event) for event in reviewed(found, decisions).events])
        detected = as_the_page_has_it(beats, 250.0) | {
            "family": [-1] * len(beats.sample),
            "families": [],
            "unscorable": [],
            "seconds": seconds,
        }
        asked.append([REVIEWED, detected, decisions, [[e.first, e.last] for e in without_p]])
    assert calls(*asked) == expected
    names = Counter(event[0] for events in expected for event in events)
    assert min(names[name] for name in RHYTHMS) > 30
