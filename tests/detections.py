"""Detections made without a network: a tiny one, a large one, and one of synthetic ECG."""

import datetime
from dataclasses import replace
from functools import cache

import numpy as np

from kdjax import beats as pipeline
from kdjax.datasets.synthetic_beats import generator
from kdjax.detection.deciding import Beats
from kdjax.detection.events import Event, find_events
from kdjax.detection.families import Family
from kdjax.detection.quality import QUALITIES
from kdjax.detection.recording import Detection
from kdjax.detection.tape import Recorder

FS = 250.0
NAN = np.nan
MADE_BY = {"code": "c" * 64, "versions": {"python": "3.11", "kdjax": "0.1"}, "device": "1 x cpu"}


def beats_of(*rows):
    """Rows (sample, score, normalised, abnormal, quality, rr, kind, family, confidence, height)."""
    columns = zip(*rows, strict=True) if rows else ((),) * 10
    types = (np.int64, np.float64, np.float64, bool, "<U8", np.float32, "<U1", np.int32)
    types += (np.float32, np.float32)
    made = [np.array(c, t) for c, t in zip(columns, types, strict=True)]
    return Beats(**dict(zip(NAMES, made, strict=True)), sqi=np.ones(len(made[0]), np.float32))


NAMES = (
    "sample",
    "score",
    "normalised",
    "abnormal",
    "quality",
    "rr",
    "kind",
    "family",
    "confidence",
    "height",
)
FIVE = beats_of(
    (50, NAN, NAN, False, "edge", NAN, "", -1, NAN, 0.0),
    (250, 0.5, 0.25, False, "good", 0.8, "N", 0, 0.9, 1.25),
    (500, 7.25, 1.0, True, "good", 1.0, "V", 1, 0.75, 2.0),
    (1500, NAN, NAN, False, "flat", 4.0, "", -1, NAN, 0.0),
    (1750, 2.0, 0.75, False, "good", 1.0, "N", 0, 0.5, 1.0),
)


def family_of(own, kind, **fields):
    """The family of the beats of these indices of FIVE."""
    whole = {
        "mean": np.zeros((320, 1), np.float32),
        "spread": np.ones((320, 1), np.float32),
        "count": len(own),
        "pooled": False,
        "qrs_ms": 80.0,
        "prematurity": 1.0,
        "score": 1.25,
        "first": 250,
        "last": 1750,
        "kind": kind,
        "detected": kind,
        "doubtful": False,
        "confidence": 0.7,
        "examples": np.array(own[:3], np.int64),
        "artefact": False,
    }
    return Family(**whole | fields)


def tape_of(signal, fs, leads=("MLII",)):
    recorder = Recorder(leads, fs)
    for _ in recorder.passing(iter([signal.astype(np.float32)])):
        pass
    return recorder.tape()


def detection_of(beats=FIVE, **fields):
    whole = {
        "recording": "holter",
        "fs": FS,
        "leads": ("MLII",),
        "seconds": 10.0,
        "beats": beats,
        "families": (family_of([1, 4], "N"), family_of([2], "V", qrs_ms=NAN, first=500, last=500)),
        "events": (Event("pause", 500, 1500, 2),),
        "unscorable": ((3.0, 6.0, "flat"),),
        "tape": tape_of(np.sin(np.arange(int(10 * FS)) / 20)[:, None], FS),
        "threshold": 5.0,
        "fpr": 0.01,
        "normal": np.linspace(0, 6, 200),
        "score": "fusion, adapted to the first 5 minutes",
        "detector": "mitbih-w8",
        "calibration": "4053 normal beats of mitbih",
        "notes": ("lead ECG was taken",),
        "made_by": MADE_BY,
        "start": datetime.datetime(2026, 3, 1, 23, 59, 55),
    }
    return Detection(**whole | fields)


def many_beats(count, seed=0):
    rng = np.random.default_rng(seed)
    quality = rng.choice(
        QUALITIES, count, p=(0.9, *[0.1 / (len(QUALITIES) - 1)] * (len(QUALITIES) - 1))
    )
    good = quality == "good"
    score = np.where(good, rng.gamma(1, 2, count), NAN)
    rr = rng.uniform(0.4, 1.4, count)
    family = np.where(good, rng.integers(0, 2, count), -1).astype(np.int32)
    return Beats(
        sample=np.cumsum(np.round(rr * FS)).astype(np.int64),
        score=score,
        normalised=np.where(good, rng.random(count), NAN),
        abnormal=score > 5,
        quality=quality,
        rr=rr.astype(np.float32),
        kind=np.array(["N", "V", ""])[family],
        family=family,
        confidence=np.where(good, 0.5, NAN).astype(np.float32),
        height=np.ones(count, np.float32),
        sqi=np.where(good, 0.99, 0.5).astype(np.float32),
    )


@cache
def synthetic(index=9):
    """Five minutes of a synthetic person, decided on by the annotations: a family a kind."""
    record = generator.recording(index)
    assert record.annotations is not None
    sample, symbol = record.annotations.sample, record.annotations.symbol
    kind = np.array([{"A": "S", "/": "Q"}.get(name, name) for name in symbol])
    names, counts = np.unique(kind, return_counts=True)
    order = names[np.argsort(-counts, kind="stable")]
    rr = np.diff(sample, prepend=np.nan) / record.fs
    beats = Beats(
        sample=sample.astype(np.int64),
        score=np.where(kind == "N", 0.5, 8.0) + 0.01 * np.arange(len(sample)),
        normalised=np.where(kind == "N", 0.5, 1.0),
        abnormal=kind != "N",
        quality=np.full(len(sample), "good"),
        rr=rr.astype(np.float32),
        kind=kind.astype("<U1"),
        family=np.array([list(order).index(name) for name in kind], np.int32),
        confidence=np.full(len(sample), 0.8, np.float32),
        height=np.ones(len(sample), np.float32),
        sqi=np.ones(len(sample), np.float32),
    )
    filtered = pipeline.bandpass(record.signal, record.fs)
    families = []
    for i, name in enumerate(order):
        own = np.flatnonzero(beats.family == i)
        inside = sample[own][pipeline.whole(sample[own], len(filtered))]
        windows = pipeline.windows(filtered, inside)
        families.append(
            family_of(
                own,
                str(name),
                mean=windows.mean(axis=0),
                spread=windows.std(axis=0),
                first=int(sample[own[0]]),
                last=int(sample[own[-1]]),
            )
        )
    return detection_of(
        beats,
        recording="synthetic",
        fs=record.fs,
        leads=record.leads,
        seconds=len(record.signal) / record.fs,
        families=tuple(families),
        events=tuple(
            Event(event.name, *map(int, event[1:])) for event in find_events(beats, record.fs)
        ),
        unscorable=(),
        tape=tape_of(record.signal, record.fs, record.leads),
    )


def of_small_families():
    """The synthetic person, whose ectopic beats are in families of two."""
    person = synthetic()
    others = np.flatnonzero(person.beats.kind != "N")
    own, kind = person.beats.family.copy(), person.beats.kind.copy()
    own[others] = 1 + np.arange(len(others)) // 2
    kind[others] = "V"
    families = [person.families[0]] + [
        family_of(others[own[others] == i], "V", count=int((own == i).sum()))
        for i in range(1, own.max() + 1)
    ]
    beats = person.beats._replace(family=own, kind=kind)
    return replace(person, beats=beats, families=tuple(families))
