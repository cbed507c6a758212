"""Beats of one core: which of those near its beginning are its own."""

import numpy as np
import pytest

from kdjax.detection.cores import find_beats

FS = 360.0


@pytest.fixture(scope="module")
def signal():
    """Half a minute of narrow waves, one every 0.8 s: [n, 1] in mV."""
    time = np.arange(int(30 * FS)) / FS
    waves = np.exp(-0.5 * np.square((np.mod(time, 0.8) - 0.4) / 0.012))
    noise = np.random.default_rng(0).normal(0, 0.002, len(time))
    return (waves + noise)[:, None]


def found(signal, core, last):
    return find_beats(signal, FS, start=0, core=core, last=last).sample


def test_a_beat_within_a_fifth_of_a_second_of_the_last_one_is_the_last_one(signal):
    """The core before has found it already, some samples off: two beats lie further apart."""
    core = (0, len(signal))
    every = found(signal, core, None)
    fourth = int(every[3])
    np.testing.assert_array_equal(found(signal, core, fourth - int(0.25 * FS)), every[3:])
    for near in (fourth - int(0.15 * FS), fourth, fourth + int(0.15 * FS)):
        np.testing.assert_array_equal(found(signal, core, near), every[4:])


def test_a_beat_just_before_a_core_that_nobody_took_is_the_cores(signal):
    """Up to 0.2 s before its first sample; the last one, if any, lies far back."""
    every = found(signal, (0, len(signal)), None)
    fifth, last = int(every[4]), int(every[3])
    for gap, taken in ((0.15, True), (0.25, False)):
        own = found(signal, (fifth + int(gap * FS), len(signal)), last)
        np.testing.assert_array_equal(own, every[4 if taken else 5 :])


def test_a_beat_knows_the_interval_before_it_and_the_one_after_it():
    at = np.array([1.0, 1.8, 2.3, 3.4, 4.2, 5.1])
    time = np.arange(int(6 * FS)) / FS
    signal = np.exp(-0.5 * np.square((time[:, None] - at) / 0.012)).sum(axis=1)
    signal += np.random.default_rng(0).normal(0, 0.002, len(time))
    beats = find_beats(signal[:, None], FS, start=0, core=(0, len(signal)), last=None)
    np.testing.assert_allclose(beats.sample / FS, at, atol=0.01)
    np.testing.assert_allclose(beats.rr[1:], np.diff(at), atol=0.01)
    np.testing.assert_allclose(beats.after[:-1], np.diff(at), atol=0.01)
    assert np.isnan([beats.rr[0], beats.after[-1]]).all()
