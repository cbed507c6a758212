"""Warped and perturbed beats: what they may be, of what they are made, and how often."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.models.augmentation import perturb, time_warp

# More than the 1024 that are perturbed at once. All tests have one shape: one program.
BEATS, TIME, LEADS = SHAPE = 1300, 32, 2
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def beats():
    """Noise, scaled to [-1, 1]."""
    x = np.random.default_rng(0).standard_normal(SHAPE)
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    return jnp.asarray(2 * (x - low) / (high - low) - 1, jnp.float32)


@pytest.fixture(scope="module")
def perturbed(beats):
    return perturb(KEY, beats)


@pytest.fixture(scope="module")
def ramps():
    """One beat many times: what is later is higher."""
    return jnp.broadcast_to(jnp.linspace(-1, 1, TIME)[None, :, None], SHAPE)


def test_beats_keep_their_shape_and_fill_their_range(beats, perturbed):
    assert perturbed.shape == beats.shape
    assert perturbed.dtype == beats.dtype
    np.testing.assert_allclose(perturbed.min(axis=1), -1, rtol=1e-6)
    np.testing.assert_allclose(perturbed.max(axis=1), 1, rtol=1e-6)


def test_the_key_says_it_all(beats, perturbed):
    np.testing.assert_array_equal(perturb(KEY, beats), perturbed)
    other = perturb(jax.random.key(1), beats)
    assert np.mean(np.any(other != perturbed, axis=(1, 2))) > 0.9


def test_one_beat_in_sixteen_stays_as_it_is(beats, perturbed):
    """All four perturbations are left out with probability 1/16: 81 of 1300, 9 either way."""
    same = np.max(np.abs(perturbed - beats), axis=(1, 2)) < 1e-5
    assert 81 - 4 * 9 < same.sum() < 81 + 4 * 9


def test_equal_beats_are_perturbed_each_in_its_own_way(ramps):
    copies = np.asarray(perturb(KEY, ramps))
    changed = copies[np.max(np.abs(copies - ramps), axis=(1, 2)) > 1e-3]
    assert len(changed) > 1000
    assert len(np.unique(changed, axis=0)) == len(changed)


def test_time_never_runs_backwards_and_is_that_of_all_leads(ramps):
    """Mixing does nothing to equal beats, and noise, which half of them get, is each lead's own."""
    copies = np.asarray(perturb(KEY, ramps))
    quiet = np.all(copies[..., 0] == copies[..., 1], axis=1)
    assert 0.44 < quiet.mean() < 0.56  # 4 standard deviations of 1300 tosses
    rises = np.all(np.diff(copies, axis=1) >= -1e-6, axis=(1, 2))
    assert rises[quiet].all()
    moved = np.max(np.abs(copies - ramps), axis=(1, 2)) > 0.05
    assert (moved & quiet).sum() > 200


def test_noise_is_smooth(ramps):
    """The two leads of equal beats differ by noise alone; its neighbouring samples are alike."""
    copies = np.asarray(perturb(KEY, ramps))
    noise = copies[..., 0] - copies[..., 1]
    noise = noise[np.abs(noise).max(axis=1) > 0.05]
    assert len(noise) > 200
    assert (noise[:, 1:] * noise[:, :-1]).mean() > 0.5 * np.square(noise).mean()


def test_a_copy_is_mixed_from_other_beats_of_the_set():
    """Half have an early peak and half a late one; some copies without noise have both."""
    x = np.full(SHAPE, -1, np.float32)
    x[: BEATS // 2, 8], x[BEATS // 2 :, 24] = 1, 1
    copies = np.asarray(perturb(KEY, jnp.asarray(x)))[:, :, 0]
    quiet = np.median(copies, axis=1) == -1
    early, late = (copies[:, part].max(axis=1) > -0.9 for part in (slice(16), slice(16, None)))
    assert (quiet & early & late).sum() > 50
    assert (quiet & (early ^ late)).sum() > 50


def test_a_flat_lead_stays_flat(ramps):
    """At zero, noised or not, as `beats.scale` leaves it; the other lead goes on."""
    copies = np.asarray(perturb(KEY, ramps.at[:, :, 1].set(0)))
    np.testing.assert_array_equal(copies[:, :, 1], 0)
    np.testing.assert_allclose(np.ptp(copies[:, :, 0], axis=1), 2, rtol=1e-6)


WINDOW, PEAK, TICKS, DRAWN = 320, 140, 7, 2000


@pytest.fixture(scope="module")
def keys():
    return jax.random.split(KEY, DRAWN)


@pytest.fixture(scope="module")
def ticks():
    """A beat whose every sample says when it was."""
    return jnp.arange(WINDOW, dtype=jnp.float32)[:, None]


@pytest.fixture(scope="module")
def warped(keys, ticks):
    """[2000, 320]: whole numbers are ticks, halves are the means that double one."""
    x = jnp.broadcast_to(ticks[None], (DRAWN, WINDOW, 1))
    return np.asarray(jax.jit(time_warp)(keys, x))[:, :, 0]


class TestTimeWarp:
    """Seven ticks are doubled and seven dropped on each side of the R-peak (BeatGAN's figures)."""

    def test_the_peak_and_both_ends_stay_and_time_runs_on(self, warped):
        np.testing.assert_array_equal(warped[:, [PEAK, -1]], [[140, 319]] * DRAWN)
        assert (np.diff(warped, axis=1) >= 0).all()
        assert set(np.unique(np.diff(warped, axis=1))) <= set(np.arange(1, 18) / 2)

    @pytest.mark.parametrize("side", [slice(0, 140), slice(141, 319)], ids=["before", "after"])
    def test_seven_ticks_are_doubled_and_seven_dropped_on_each_side(self, warped, side):
        there = warped[:, side]
        doubled = (there % 1 == 0.5).sum(axis=1)
        whole = np.array([np.unique(row[row % 1 == 0]).size for row in there])
        np.testing.assert_array_equal(doubled, TICKS)
        np.testing.assert_array_equal(whole, there.shape[1] - TICKS)

    def test_any_tick_may_be_drawn_and_none_more_often_than_another(self, warped):
        """2000 draws of 7 in 140: 100 times each, 9.7 either way; 7 in 178: 79, 8.7 either way."""
        doubled, times = np.unique(np.floor(warped[warped % 1 == 0.5]), return_counts=True)
        drawn = np.delete(np.arange(319), PEAK)
        np.testing.assert_array_equal(doubled, drawn)
        before = drawn < PEAK
        assert np.abs(times[before] - 100).max() < 5 * 9.7
        assert np.abs(times[~before] - 79).max() < 5 * 8.7
        missing = [np.setdiff1d(drawn, row).size for row in warped]
        assert set(missing) == {2 * TICKS}

    def test_leads_share_a_beats_warping_and_beats_do_not(self, keys, ticks, warped):
        x = jnp.broadcast_to(jnp.concatenate([ticks, -ticks], axis=1)[None], (3, WINDOW, 2))
        found = np.asarray(jax.jit(time_warp)(keys[:3], x))
        np.testing.assert_array_equal(found[:, :, 0], warped[:3])
        np.testing.assert_array_equal(found[:, :, 1], -warped[:3])
        assert len(np.unique(warped, axis=0)) == DRAWN

    def test_beats_too_short_are_refused(self, keys):
        with pytest.raises(ValueError, match=r"^beats of 155 samples: time warping needs 156 or"):
            time_warp(keys[:1], jnp.zeros((1, 155, 1)))
        taken = jax.eval_shape(time_warp, keys[:1], jnp.zeros((1, 156, 1)))
        assert taken.shape == (1, 156, 1)
