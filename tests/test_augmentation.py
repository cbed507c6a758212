"""Perturbed beats: what they may be, of what they are made, and how often."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.augmentation import perturb

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
