"""The generator in use: BatchNorm folded into the convolutions, and the pass over what is left.

The same numbers as `Generator.apply(..., train=False)` up to rounding. Weights stand as the
matrices that the products take, so that no call arranges them anew.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kdjax.models.layers import strided_conv, strided_conv_transpose
from kdjax.models.networks import EPSILON, LEAKY_SLOPE, STAGES

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


def forward(folded: Folded, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Reconstructions [B, T, C] and latents [B, latent] of beats [B, T, C].

    Products are of full precision on every device: a threshold comes from one and is used on
    another.
    """
    with jax.default_matmul_precision("float32"):
        for layer in folded.encoder:
            x = strided_conv(x, layer.kernel) + layer.bias[None, None]
            x = jax.nn.leaky_relu(x, LEAKY_SLOPE)
        steps, top, latent = folded.head.kernel.shape
        z = x.reshape(-1, steps * top) @ folded.head.kernel.reshape(steps * top, latent)
        z = z + folded.head.bias[None]
        x = (z @ folded.tail.kernel.reshape(latent, steps * top)).reshape(-1, steps, top)
        x = x + folded.tail.bias[None, None]
        for layer in folded.decoder:
            # The compiler cancels this exchange of axes against the one in there.
            x = strided_conv_transpose(jax.nn.relu(x), layer.kernel.swapaxes(0, 1))
            x = x + layer.bias[None, None]
    return jnp.tanh(x), z
