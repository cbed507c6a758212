"""Strided 1-D convolution and its transpose, written as matrix products.

Kernel 4, stride 2, padding 1: the only convolutions that BeatGAN has besides the two that span the
whole signal. XLA's CPU convolution is several times slower at these shapes than the same sum
written as reshape and matrix product.
"""

import jax
import jax.numpy as jnp

KERNEL = 4
STRIDE = 2


def strided_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Cross-correlation of stride 2 and padding 1: `[B, T, I], [4, I, O] -> [B, T / 2, O]`.

    out[t] = sum_k x[2 t - 1 + k] kernel[k]. The padded signal is cut into pairs of samples; an
    output takes two neighbouring pairs, laid beside each other for one product. Raises ValueError
    for an odd T or for other shapes.
    """
    _check(x, kernel)
    b, t, i = x.shape
    if t % STRIDE:
        raise ValueError(f"strided_conv halves the time axis of {t} samples: make it even")
    pairs = _pad(x).reshape(b, t // 2 + 1, 2 * i)
    taps = jnp.concatenate([pairs[:, :-1], pairs[:, 1:]], axis=-1)
    return taps @ kernel.reshape(KERNEL * i, -1)


def strided_conv_transpose(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The adjoint of a strided convolution: `[B, T, I], [4, I, O] -> [B, 2 T, O]`.

    out[2 t - 1 + k] += x[t] kernel[k]. One product gives the four outputs of every sample, two
    pairs: the second falls on the next sample's first. The first and the last output fall into the
    padding. Raises ValueError for other shapes.
    """
    _check(x, kernel)
    b, t, i = x.shape
    o = kernel.shape[-1]
    pairs = (x @ kernel.swapaxes(0, 1).reshape(i, KERNEL * o)).reshape(b, t, 2, 2 * o)
    first = jnp.pad(pairs[:, :, 0], ((0, 0), (0, 1), (0, 0)))
    second = jnp.pad(pairs[:, :, 1], ((0, 0), (1, 0), (0, 0)))
    return (first + second).reshape(b, 2 * t + 2, o)[:, 1:-1]


def _pad(x: jax.Array) -> jax.Array:
    return jnp.pad(x, ((0, 0), (1, 1), (0, 0)))


def _check(x: jax.Array, kernel: jax.Array) -> None:
    if x.ndim != 3 or kernel.ndim != 3 or kernel.shape[:2] != (KERNEL, x.shape[-1]):
        raise ValueError(f"kernel {kernel.shape} does not fit input {x.shape}: [4, in, out] needed")
