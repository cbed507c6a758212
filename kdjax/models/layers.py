"""Strided 1-D convolution and its transpose, written as matrix products.

Kernel 4, stride 2, padding 1: the only convolutions that BeatGAN has besides the two that span the
whole signal. XLA's CPU convolution is several times slower at these shapes than the same sum
written as reshape and matrix product.

Cut into pairs, the padded signal p makes it a convolution of two taps, whose matrices are the
kernel's first half A and its second half B: out[t] = p[t] A + p[t + 1] B. Two neighbouring outputs
then need three products in place of four (F(2, 2), Winograd 1980, 'Arithmetic Complexity of
Computations'; transposed it is Karatsuba's product), a quarter less work for some additions:

    out[t]     = (p[t] - p[t + 1]) A + p[t + 1] (A + B)
    out[t + 1] = p[t + 1] (A + B) - (p[t + 1] - p[t + 2]) B

`in_three` says where that is taken. Both forms are equal up to the rounding of the largest of the
terms that meet: a small one beside a large neighbour loses more digits in three products.
"""

import jax
import jax.numpy as jnp

from kdjax.models.sizes import KERNEL

STRIDE = 2

# Sizes from which three products gained in `benchmarks.speed.convolutions`, on two cores.
_CHANNELS = 128 * 256  # in times out
_ROWS = {"conv": 512, "transpose": 2048, "gradient": 512}  # the shorter signals of all beats


def in_three(form: str, beats: int, t: int, *, channels: int) -> bool:
    """Whether a convolution, its transpose or its kernel's gradient takes three products.

    form: 'conv', 'transpose' or 'gradient'. On CPUs, from a size on, where t, the length of the
    shorter signal, is even; never for an unknown number of beats, as an exported function has.
    channels: in times out.
    """
    return (
        isinstance(beats, int)
        and t % 2 == 0
        and beats * t >= _ROWS[form]
        and channels >= _CHANNELS
        and jax.default_backend() == "cpu"
    )


@jax.custom_vjp
def strided_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Cross-correlation of stride 2 and padding 1: `[B, T, I], [4, I, O] -> [B, T / 2, O]`.

    out[t] = sum_k x[2 t - 1 + k] kernel[k]. A custom VJP: there are no forward-mode derivatives.
    Raises ValueError for an odd T or for other shapes.
    """
    _check(x, kernel)
    b, t, i = x.shape
    if t % STRIDE:
        raise ValueError(f"strided_conv halves the time axis of {t} samples: make it even")
    three = in_three("conv", b, t // STRIDE, channels=i * kernel.shape[2])
    return (conv_in_three if three else conv_in_one)(x, kernel)


@jax.custom_vjp
def strided_conv_transpose(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The adjoint of a strided convolution: `[B, T, I], [4, I, O] -> [B, 2 T, O]`.

    out[2 t - 1 + k] += x[t] kernel[k]. A custom VJP: there are no forward-mode derivatives. Raises
    ValueError for other shapes.
    """
    _check(x, kernel)
    b, t, i = x.shape
    three = in_three("transpose", b, t, channels=i * kernel.shape[2])
    return (transpose_in_three if three else transpose_in_one)(x, kernel)


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
    b, t, o = short.shape
    three = in_three("gradient", b, t, channels=long.shape[2] * o)
    return (gradient_in_three if three else gradient_in_one)(long, short)


# --- One product -------------------------------------------------------------------------------


def conv_in_one(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`strided_conv`, the four samples of an output side by side."""
    return _taps(x) @ kernel.reshape(KERNEL * x.shape[2], -1)


def transpose_in_one(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`strided_conv_transpose`: one product gives all that a sample adds.

    The two in the middle are the outputs 2 t and 2 t + 1, the outer ones fall on those of its
    neighbours.
    """
    b, t, i = x.shape
    o = kernel.shape[2]
    added = (x @ kernel.swapaxes(0, 1).reshape(i, KERNEL * o)).reshape(b, t, KERNEL, o)
    outer = jnp.stack([_from_before(added[:, :, 3]), _from_after(added[:, :, 0])], axis=2)
    return (added[:, :, 1:3] + outer).reshape(b, 2 * t, o)


def gradient_in_one(long: jax.Array, short: jax.Array) -> jax.Array:
    """The gradient of `strided_conv` in its kernel: `[B, T, I], [B, T / 2, O] -> [4, I, O]`.

    sum_t long[2 t - 1 + k] short[t], `long` the inputs and `short` the gradient of the outputs.
    """
    i, o = long.shape[2], short.shape[2]
    return (_taps(long).reshape(-1, KERNEL * i).T @ short.reshape(-1, o)).reshape(KERNEL, i, o)


def _taps(x: jax.Array) -> jax.Array:
    """The four samples that meet in each output: `[B, T, I] -> [B, T / 2, 4 I]`."""
    pairs = _pairs(x)
    return jnp.concatenate([pairs[:, :-1], pairs[:, 1:]], axis=-1)


# --- Three products ----------------------------------------------------------------------------


def conv_in_three(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`strided_conv` for an even number of outputs."""
    b, t, i = x.shape
    first, second = kernel.reshape(2, 2 * i, -1)
    before, middle, after = _differences(x)
    both = middle @ (first + second)
    outputs = jnp.concatenate([before @ first + both, both - after @ second], axis=-1)
    return outputs.reshape(b, t // 2, -1)


def transpose_in_three(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`strided_conv_transpose` for an even T.

    Samples 2 s and 2 s + 1 write six outputs, two pairs each; the pair in the middle is both's:
    (x + y) (A + B) - x A - y B. The outer outputs fall on those of the neighbours.
    """
    b, t, i = x.shape
    o = kernel.shape[2]
    first, second = kernel.reshape(2, 2, i, o).swapaxes(1, 2).reshape(2, i, 2 * o)
    even, odd = _even_odd(x)
    left, right = even @ first, odd @ second
    middle = (even + odd) @ (first + second) - left - right
    head = left[..., o:] + _from_before(right[..., o:])
    tail = right[..., :o] + _from_after(left[..., :o])
    return jnp.concatenate([head, middle, tail], axis=-1).reshape(b, 2 * t, o)


def gradient_in_three(long: jax.Array, short: jax.Array) -> jax.Array:
    """`gradient_in_one` for an even number of outputs."""
    i, o = long.shape[2], short.shape[2]
    before, middle, after = (p.reshape(-1, 2 * i).T for p in _differences(long))
    even, odd = (p.reshape(-1, o) for p in _even_odd(short))
    both = middle @ (even + odd)
    return jnp.concatenate([before @ even + both, both - after @ odd]).reshape(KERNEL, i, o)


def _differences(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """p[t] - p[t + 1], p[t + 1] and p[t + 1] - p[t + 2] of `_pairs` p, for every even t."""
    even, odd = _even_odd(_pairs(x))
    return even[:, :-1] - odd, odd, odd - even[:, 1:]


def _even_odd(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x[:, ::2], x[:, 1::2]


# --- Both --------------------------------------------------------------------------------------


def _pairs(x: jax.Array) -> jax.Array:
    """The padded signal cut into pairs: `[B, T, I] -> [B, T / 2 + 1, 2 I]`."""
    b, t, i = x.shape
    return jnp.pad(x, ((0, 0), (1, 1), (0, 0))).reshape(b, t // 2 + 1, 2 * i)


def _from_before(x: jax.Array) -> jax.Array:
    """x[t - 1] along the second of three axes; zero at the first."""
    return jnp.pad(x[:, :-1], ((0, 0), (1, 0), (0, 0)))


def _from_after(x: jax.Array) -> jax.Array:
    """x[t + 1]; zero at the last."""
    return jnp.pad(x[:, 1:], ((0, 0), (0, 1), (0, 0)))


def _check(x: jax.Array, kernel: jax.Array) -> None:
    if x.ndim != 3 or kernel.ndim != 3 or kernel.shape[:2] != (KERNEL, x.shape[-1]):
        raise ValueError(f"kernel {kernel.shape} does not fit input {x.shape}: [4, in, out] needed")
