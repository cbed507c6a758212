"""The generator in use: BatchNorm folded into the convolutions, and the pass in NumPy.

The same numbers as `Generator.apply(..., train=False)` up to rounding. Weights stand as the
matrices that the products take, so that no call arranges them anew. A small network needs no
compiled program (`inference.forward`), for which JAX would have to be imported.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from kdjax.models.sizes import EPSILON, KERNEL, LEAKY_SLOPE, STAGES

Array = Any  # of NumPy on the way to a file, of JAX on the way through a network


class Layer(NamedTuple):
    """A convolution, kernel [k, in, out], or a transposed one, [in, k, out]; bias [out]."""

    kernel: Array
    bias: Array


class Folded(NamedTuple):
    """A generator's kernels and biases, BatchNorm in them; width, length and leads are the shapes'.

    encoder: five strided convolutions, from [4, C, w] to [4, 8 w, 16 w]; head: the convolution
    [T / 32, 16 w, latent] to the latent; tail: the transposed one [latent, T / 32, 16 w] from it;
    decoder: five transposed ones, from [16 w, 4, 8 w] to [w, 4, C].
    """

    encoder: tuple[Layer, ...]
    head: Layer
    tail: Layer
    decoder: tuple[Layer, ...]


def fold(variables: Mapping[str, Any]) -> Folded:
    """A generator's {'params', 'batch_stats'} as NumPy arrays of their dtype, summed in float64.

    A normalisation after a convolution is g (y - mean) + bias with g = scale / sqrt(var + eps) for
    every channel of y: g goes into the kernel, the rest is a bias.
    """
    params, stats = variables["params"], variables["batch_stats"]
    encoder, decoder = params["encoder"], params["decoder"]
    dtype = np.asarray(encoder["head"]).dtype

    def folded(network: str, kernel: str, norm: str | None) -> Layer:
        values = np.asarray(params[network][kernel], np.float64)
        gain, bias = np.ones(values.shape[2]), np.zeros(values.shape[2])
        if norm is not None:
            p, s = params[network][norm], stats[network][norm]
            scale, offset, mean, var = (
                np.asarray(a, np.float64) for a in (p["scale"], p["bias"], s["mean"], s["var"])
            )
            gain = scale / np.sqrt(var + EPSILON)
            bias = offset - mean * gain
        values = values * gain
        if network == "decoder":
            values = values.swapaxes(0, 1)
        return Layer(np.ascontiguousarray(values, dtype), bias.astype(dtype))

    last = folded("decoder", f"conv{STAGES - 1}", None)
    if "bias" in decoder:
        last = last._replace(bias=np.asarray(decoder["bias"]))
    return Folded(
        encoder=tuple(folded("encoder", f"conv{s}", f"norm{s}" if s else None) for s in _STAGES),
        head=folded("encoder", "head", None),
        tail=folded("decoder", "tail", "norm0"),
        decoder=(*(folded("decoder", f"conv{s}", f"norm{s + 1}") for s in _STAGES[:-1]), last),
    )


_STAGES = range(STAGES)


def forward(folded: Folded, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reconstructions [B, T, C] and latents [B, latent] of beats [B, T, C], all of one dtype."""
    for layer in folded.encoder:
        x = _conv(x, layer.kernel) + layer.bias
        x = np.maximum(x, x.dtype.type(LEAKY_SLOPE) * x)
    steps, top, latent = folded.head.kernel.shape
    z = x.reshape(-1, steps * top) @ folded.head.kernel.reshape(steps * top, latent)
    z = z + folded.head.bias
    x = (z @ folded.tail.kernel.reshape(latent, steps * top)).reshape(-1, steps, top)
    x = x + folded.tail.bias
    for layer in folded.decoder:
        x = _conv_transpose(np.maximum(x, 0), layer.kernel) + layer.bias
    return np.tanh(x), z


def _conv(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """`layers.strided_conv`: [B, T, in], [4, in, out] -> [B, T / 2, out]."""
    (b, t, i), out = x.shape, kernel.shape[2]
    taps = np.zeros((b, t // 2, KERNEL, i), x.dtype)
    taps[:, :, 1:3] = x.reshape(b, t // 2, 2, i)
    taps[:, 1:, 0] = x[:, 1:-1:2]
    taps[:, :-1, 3] = x[:, 2::2]
    return (taps.reshape(-1, KERNEL * i) @ kernel.reshape(-1, out)).reshape(b, t // 2, out)


def _conv_transpose(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """`layers.strided_conv_transpose`, the kernel as [in, 4, out]: [B, T, in] -> [B, 2 T, out]."""
    (b, t, i), out = x.shape, kernel.shape[2]
    added = (x.reshape(-1, i) @ kernel.reshape(i, -1)).reshape(b, t, KERNEL, out)
    sums = added[:, :, 1:3].copy()
    sums[:, 1:, 0] += added[:, :-1, 3]
    sums[:, :-1, 1] += added[:, 1:, 0]
    return sums.reshape(b, 2 * t, out)
