"""Made rhythms are what their names say."""

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.quality import made_rhythms


@pytest.mark.parametrize("name", made_rhythms.RHYTHMS)
def test_intervals_are_those_of_a_heart(name):
    for seed in range(20):
        rr = made_rhythms.RHYTHMS[name](np.random.default_rng(seed), 200)
        assert rr.shape == (200,)
        assert 0.25 < rr.min() < rr.max() < 3.2


def test_conducted_waves_of_flutter_are_whole():
    rr = made_rhythms.flutter(np.random.default_rng(0), 500)
    waves = min(
        (rr / wave for wave in np.linspace(0.18, 0.25, 200)),
        key=lambda ratio: np.abs(ratio - ratio.round()).mean(),
    )
    assert set(waves.round()) <= {2, 3, 4, 5}
    assert np.abs(waves - waves.round()).mean() < 0.06


def test_in_wenckebachs_block_an_interval_shortens_until_one_is_long():
    rr = made_rhythms.wenckebach(np.random.default_rng(0), 400)
    long = np.flatnonzero((rr[1:-1] > 1.2 * rr[:-2]) & (rr[1:-1] > 1.2 * rr[2:])) + 1
    assert len(long) > 40
    whole = [
        (before + 1, after)
        for before, after in pairwise(long)
        if after - before > 3 and (np.diff(rr[before + 1 : after]) < -0.005).all()
    ]
    assert len(whole) > 5
    sinus = [rr[first : pause + 1].sum() / (pause - first + 2) for first, pause in whole]
    np.testing.assert_allclose(sinus, np.median(sinus), rtol=1e-6)


@pytest.mark.parametrize("name", made_rhythms.PREMATURE)
def test_premature_beats_are_shorter_and_a_longer_interval_follows(name):
    rr, premature = made_rhythms.PREMATURE[name](np.random.default_rng(3), 400)
    assert 0.01 < premature.mean() < 0.7
    sinus = np.median(rr[~premature])
    assert rr[premature].max() < 0.95 * sinus
    after = rr[1:][premature[:-1] & ~premature[1:]]
    assert np.median(after) > sinus or name == "bigeminy"
