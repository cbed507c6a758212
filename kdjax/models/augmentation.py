"""Beats that nobody recorded: warped in time to train on, or perturbed for a teacher's answer."""

from functools import partial

import jax
import jax.numpy as jnp

from kdjax.beats import BEFORE

# On either side of the R-peak, as many ticks that are doubled as are dropped.
_TICKS = 7

# The strongest of each perturbation; a beat draws how much of it, and whether at all.
_WARP = 1.0  # of the local speed: time may nearly stand still, or run twice as fast
_SHIFT = 0.2  # of the window
_NOISE = 0.15  # standard deviation, where the beat spans -1 to 1
_NOISE_SMOOTHING = 5  # samples


def time_warp(keys: jax.Array, x: jax.Array) -> jax.Array:
    """Each beat [B, T, C] with a few ticks doubled and as many dropped, drawn by its key [B].

    After Zhou et al. (IJCAI 2019): seven ticks before the R-peak, which is sample 140, and seven
    after it are followed by their mean with the next tick, and as many others are left out, so that
    neither side changes its length. Other than in their code the R-peak is never drawn, and what
    trains on warped beats does so in place of the originals. A pure function. Raises ValueError for
    beats too short for that.
    """
    least = BEFORE + 2 * _TICKS + 2
    if x.shape[1] < least:
        raise ValueError(f"beats of {x.shape[1]} samples: time warping needs {least} or more")
    return jax.vmap(_time_warp_one)(keys, x)


def _time_warp_one(key: jax.Array, x: jax.Array) -> jax.Array:
    t = len(x)
    lot, once = jax.random.uniform(key, (t - 2,)), jnp.ones((1,))
    counts = jnp.concatenate([_ticks(lot[:BEFORE]), once, _ticks(lot[BEFORE:]), once])
    # Where each tick's copies end. As a product, and searched for only where they can be: faster
    # than cumsum and repeat.
    ends = (jnp.tri(t, dtype=counts.dtype) @ counts).astype(jnp.int32)
    place = jnp.arange(t, dtype=jnp.int32)
    near = jnp.pad(ends, _TICKS, constant_values=(0, 2 * t))
    passed = [(near[i : i + t] <= place).astype(jnp.int32) for i in range(2 * _TICKS + 1)]
    source = place - _TICKS + sum(passed)
    second = jnp.pad(source[1:] == source[:-1], (1, 0)).astype(source.dtype)
    return (x[source] + x[source + second]) / 2


def _ticks(lot: jax.Array) -> jax.Array:
    """How often each tick stands: 2 where its lot is among the highest, 0 among the lowest."""
    highest, lowest = (jax.lax.top_k(sign * lot, _TICKS)[1] for sign in (1, -1))
    return jnp.ones(lot.shape, lot.dtype).at[highest].set(2).at[lowest].set(0)


@jax.jit
def perturb(key: jax.Array, x: jax.Array) -> jax.Array:
    """A perturbed copy of each beat [N, T, C], scaled to [-1, 1] again.

    Warped in time, shifted, mixed with another of the beats, noised: each of the four with
    probability one half, and by a uniform share of its strongest. No label is used. A pure
    function of `key`.
    """
    n = len(x)
    pair_key, beat_key = jax.random.split(key)
    other = x[jax.random.permutation(pair_key, n)]
    # Beat by beat: the intermediate values of a hundred thousand beats at once would not fit.
    return jax.lax.map(
        lambda a: _perturb_one(*a), (jax.random.split(beat_key, n), x, other), batch_size=1024
    )


def _perturb_one(key: jax.Array, x: jax.Array, other: jax.Array) -> jax.Array:
    chosen, much, phase_key, shift_key, noise_key = jax.random.split(key, 5)
    strength = jax.random.uniform(much, (4,), x.dtype)
    warp, shift, mix, noise = jnp.where(jax.random.bernoulli(chosen, 0.5, (4,)), strength, 0)
    t = len(x)
    position = jnp.arange(t, dtype=x.dtype) / t
    phase = jax.random.uniform(phase_key, (2,), x.dtype, maxval=2 * jnp.pi)
    waves = jnp.array([1, 2], x.dtype)[:, None] * 2 * jnp.pi * position[None, :] + phase[:, None]
    # The derivative of sin(w t) / w is at most 1: time never runs backwards.
    bend = jnp.sum(jnp.sin(waves) / (jnp.array([1, 2], x.dtype)[:, None] * 2 * jnp.pi), axis=0) / 2
    offset = _SHIFT * shift * jax.random.uniform(shift_key, (), x.dtype, -1, 1)
    source = (position + _WARP * warp * bend + offset) * t
    moved = jax.vmap(
        partial(jnp.interp, source, jnp.arange(t, dtype=x.dtype)), in_axes=1, out_axes=1
    )((1 - mix / 2) * x + mix / 2 * other)
    window = jnp.ones((_NOISE_SMOOTHING,), x.dtype) / jnp.sqrt(
        jnp.asarray(_NOISE_SMOOTHING, x.dtype)
    )
    rough = jax.random.normal(noise_key, x.shape, x.dtype)
    smooth = jax.vmap(partial(jnp.convolve, mode="same"), in_axes=(1, None), out_axes=1)(
        rough, window
    )
    flat = jnp.ptp(moved, axis=0, keepdims=True) == 0  # and stays so
    return _scale(moved + jnp.where(flat, 0, _NOISE * noise * smooth))


def _scale(x: jax.Array) -> jax.Array:
    """To [-1, 1] over time in each lead, as `beats.scale` does; a flat lead gives zeros."""
    low, high = jnp.min(x, axis=0, keepdims=True), jnp.max(x, axis=0, keepdims=True)
    span = high - low
    flat = span == 0
    return jnp.where(flat, 0, 2 * (x - low) / jnp.where(flat, 1, span) - 1)
