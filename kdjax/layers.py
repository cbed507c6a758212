"""Strided 1-D convolution and its transpose, written as matrix products.

Kernel 4, stride 2, padding 1: the only convolutions that BeatGAN has besides the two that span the
whole signal. XLA's CPU convolution is several times slower at these shapes than the same sum
written as reshape and matrix product.
"""

import jax
import jax.numpy as jnp

KERNEL = 4
STRIDE = 2


@jax.custom_vjp
def strided_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Cross-correlation of stride 2 and padding 1: `[B, T, I], [4, I, O] -> [B, T / 2, O]`.

    out[t] = sum_k x[2 t - 1 + k] kernel[k]. A custom VJP: there are no forward-mode derivatives.
    Raises ValueError for an odd T or for other shapes.
    """
    _check(x, kernel)
    return _taps(x) @ kernel.reshape(KERNEL * x.shape[2], -1)


@jax.custom_vjp
def strided_conv_transpose(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The adjoint of a strided convolution: `[B, T, I], [4, I, O] -> [B, 2 T, O]`.

    out[2 t - 1 + k] += x[t] kernel[k]. One product gives all that a sample adds: the two in the
    middle are the outputs 2 t and 2 t + 1, the outer ones fall on those of its neighbours. A custom
    VJP: there are no forward-mode derivatives. Raises ValueError for other shapes.
    """
    _check(x, kernel)
    b, t, i = x.shape
    o = kernel.shape[2]
    added = (x @ kernel.swapaxes(0, 1).reshape(i, KERNEL * o)).reshape(b, t, KERNEL, o)
    from_before = jnp.pad(added[:, :-1, 3], ((0, 0), (1, 0), (0, 0)))
    from_after = jnp.pad(added[:, 1:, 0], ((0, 0), (0, 1), (0, 0)))
    outer = jnp.stack([from_before, from_after], axis=2)
    return (added[:, :, 1:3] + outer).reshape(b, 2 * t, o)


# Each is the other's gradient in its input. The gradients that JAX derives scatter what was sliced,
# which is slower.


def _conv_backward(inputs: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple:
    x, kernel = inputs
    return strided_conv_transpose(g, kernel.swapaxes(1, 2)), _kernel_gradient(x, g)


def _transpose_backward(inputs: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple:
    x, kernel = inputs
    return strided_conv(g, kernel.swapaxes(1, 2)), _kernel_gradient(g, x).swapaxes(1, 2)


strided_conv.defvjp(lambda x, kernel: (strided_conv(x, kernel), (x, kernel)), _conv_backward)
strided_conv_transpose.defvjp(
    lambda x, kernel: (strided_conv_transpose(x, kernel), (x, kernel)), _transpose_backward
)


def _kernel_gradient(long: jax.Array, short: jax.Array) -> jax.Array:
    """sum_t long[2 t - 1 + k] short[t], of [B, T, I] and [B, T / 2, O]: [4, I, O]."""
    i, o = long.shape[2], short.shape[2]
    return (_taps(long).reshape(-1, KERNEL * i).T @ short.reshape(-1, o)).reshape(KERNEL, i, o)


def _taps(x: jax.Array) -> jax.Array:
    """The four samples that meet in each output: `[B, T, I] -> [B, T / 2, 4 I]`.

    The padded signal is cut into pairs; an output takes two neighbouring ones.
    """
    b, t, i = x.shape
    if t % STRIDE:
        raise ValueError(f"strided_conv halves the time axis of {t} samples: make it even")
    pairs = jnp.pad(x, ((0, 0), (1, 1), (0, 0))).reshape(b, t // 2 + 1, 2 * i)
    return jnp.concatenate([pairs[:, :-1], pairs[:, 1:]], axis=-1)


def _check(x: jax.Array, kernel: jax.Array) -> None:
    if x.ndim != 3 or kernel.ndim != 3 or kernel.shape[:2] != (KERNEL, x.shape[-1]):
        raise ValueError(f"kernel {kernel.shape} does not fit input {x.shape}: [4, in, out] needed")
