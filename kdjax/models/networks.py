"""BeatGAN's networks (Zhou et al., IJCAI 2019, section 3) for any width, latent, leads and length.

Arrays are [batch, time, channel]. `train=True` normalises by the batch (over all devices of
`axis_name`) and updates `batch_stats`; `train=False` uses the running statistics.
"""

import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from kdjax.models.layers import STRIDE, strided_conv, strided_conv_transpose
from kdjax.models.sizes import EPSILON, KERNEL, LEAKY_SLOPE, REDUCTION, STAGES, check_length

_SCALE_DEVIATION = 0.02  # of BatchNorm's scales when they are drawn

# Glorot & Bengio 2010 in its normal form, as BeatGAN's authors initialise. Kernels are
# [k, in, out], so that k counts into both fans as it does in PyTorch.
xavier_normal = nn.initializers.glorot_normal()


def near_one(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """BatchNorm scales drawn from N(1, 0.02), BeatGAN's initialisation."""
    return 1 + jnp.asarray(_SCALE_DEVIATION, dtype) * jax.random.normal(key, shape, dtype)


def centred_xavier_normal(
    key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32
) -> jax.Array:
    """Xavier normal [4, in, out] less its mean over the weights that meet in one output sample.

    The last layer sees only positive inputs, so the mean of its weights would shift the whole first
    reconstruction by a random amount. Even outputs of a transposed convolution take taps 1 and 3,
    odd ones 0 and 2.
    """
    kernel = xavier_normal(key, shape, dtype)
    phases = kernel.reshape(KERNEL // STRIDE, STRIDE, *shape[1:])
    return (phases - phases.mean(axis=(0, 2), keepdims=True)).reshape(shape)


class GeneratorOutput(NamedTuple):
    """What one pass of the generator gives.

    x_hat: reconstruction [B, T, C]; z: latent [B, latent_dim]; encoder, decoder: the activations of
    the five stages each, [B, T / 2, w] to [B, T / 32, 16 w] and back.
    """

    x_hat: jax.Array
    z: jax.Array
    encoder: tuple[jax.Array, ...]
    decoder: tuple[jax.Array, ...]


class DiscriminatorOutput(NamedTuple):
    """logit: [B], above 0 for 'real'; features: the activation before it, [B, T / 32, 16 w]."""

    logit: jax.Array
    features: jax.Array


class Encoder(nn.Module):
    """Five strided convolutions, then one over all that is left: [B, T, C] -> [B, out]."""

    width: int
    out_dim: int
    axis_name: str | None = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        check_length(x.shape[1])
        activations = []
        for stage in range(STAGES):
            out = self.width * 2**stage
            shape = (KERNEL, x.shape[-1], out)
            kernel = self.param(f"conv{stage}", xavier_normal, shape, self.param_dtype)
            x = strided_conv(x, kernel)
            if stage:
                x = _norm(self, f"norm{stage}")(x, use_running_average=not train)
            x = nn.leaky_relu(x, LEAKY_SLOPE)
            activations.append(x)
        head = self.param("head", xavier_normal, (*x.shape[1:], self.out_dim), self.param_dtype)
        out = x.reshape(x.shape[0], -1) @ head.reshape(-1, self.out_dim)
        return out, tuple(activations)


class Decoder(nn.Module):
    """The encoder's mirror with transposed convolutions and tanh: [B, latent] -> [B, T, C].

    `output_bias` adds one bias per lead before the tanh and centres the last kernel's first draw;
    the published network does neither.
    """

    width: int
    length: int
    channels: int
    output_bias: bool = False
    axis_name: str | None = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, train: bool) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        check_length(self.length)
        top = self.width * 2 ** (STAGES - 1)
        steps = self.length // REDUCTION
        # Stored as [k, in, out], as a transposed convolution from one sample to `steps`.
        shape = (steps, z.shape[-1], top)
        tail = self.param("tail", xavier_normal, shape, self.param_dtype)
        x = (z @ tail.swapaxes(0, 1).reshape(z.shape[-1], -1)).reshape(-1, steps, top)
        activations = []
        for stage in range(STAGES):
            x = nn.relu(_norm(self, f"norm{stage}")(x, use_running_average=not train))
            activations.append(x)
            last = stage == STAGES - 1
            out = self.channels if last else top // 2 ** (stage + 1)
            draw = centred_xavier_normal if last and self.output_bias else xavier_normal
            kernel = self.param(f"conv{stage}", draw, (KERNEL, x.shape[-1], out), self.param_dtype)
            x = strided_conv_transpose(x, kernel)
        if self.output_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.channels,), self.param_dtype)
            x = x + bias[None, None, :]
        return jnp.tanh(x), tuple(activations)


class Generator(nn.Module):
    """Encoder and decoder: reconstructs beats [B, T, C] from a latent of `latent_dim` numbers."""

    width: int
    latent_dim: int
    length: int
    channels: int
    output_bias: bool = False
    axis_name: str | None = None
    param_dtype: Any = jnp.float32

    def setup(self) -> None:
        self.encoder = Encoder(self.width, self.latent_dim, self.axis_name, self.param_dtype)
        self.decoder = Decoder(
            self.width,
            self.length,
            self.channels,
            self.output_bias,
            self.axis_name,
            self.param_dtype,
        )

    def __call__(self, x: jax.Array, train: bool) -> GeneratorOutput:
        if x.shape[1:] != (self.length, self.channels):
            raise ValueError(
                f"beats of shape {x.shape[1:]}; the generator was made for "
                f"{(self.length, self.channels)} (time, leads)"
            )
        z, encoder = self.encoder(x, train)
        x_hat, decoder = self.decoder(z, train)
        return GeneratorOutput(x_hat, z, encoder, decoder)


class Discriminator(nn.Module):
    """An encoder with one output, the logit of 'this beat is real'."""

    width: int
    axis_name: str | None = None
    param_dtype: Any = jnp.float32

    def setup(self) -> None:
        self.encoder = Encoder(self.width, 1, self.axis_name, self.param_dtype)

    def __call__(self, x: jax.Array, train: bool) -> DiscriminatorOutput:
        logit, activations = self.encoder(x, train)
        return DiscriminatorOutput(logit[:, 0], activations[-1])


def redraw(params: Any, key: jax.Array) -> Any:
    """New weights in the place of an encoder's, distributed as its initialisers draw them.

    `params`: kernels [k, in, out], which become Xavier normal (Glorot & Bengio 2010); of BatchNorm
    `scale` [C], which becomes N(1, 0.02), and `bias` [C], zero. Shapes and dtypes stay. A pure
    function of `key`. All come from one draw: a training step that drew each by itself would take
    almost twice as long to compile.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(params)
    sizes = [leaf.size for _, leaf in leaves]
    lot = jax.random.normal(key, (sum(sizes),), leaves[0][1].dtype)
    parts = jnp.split(lot, np.cumsum(sizes)[:-1])
    drawn = []
    for (path, leaf), part in zip(leaves, parts, strict=True):
        name = path[-1].key
        if name == "bias":  # BatchNorm's
            drawn.append(jnp.zeros_like(leaf))
        elif name == "scale":
            drawn.append(1 + _SCALE_DEVIATION * part)
        else:
            taps, into, out = leaf.shape
            drawn.append(math.sqrt(2 / (taps * (into + out))) * part.reshape(leaf.shape))
    return tree.unflatten(drawn)


def anomaly_score(x_hat: jax.Array, x: jax.Array) -> jax.Array:
    """Mean squared error of each beat over time and lead, two [B, T, C] -> [B]: the plain score."""
    if x_hat.shape != x.shape:
        raise ValueError(f"a reconstruction {x_hat.shape} of beats {x.shape}: shapes must agree")
    return jnp.mean(jnp.square(x_hat - x), axis=(1, 2))


def count_parameters(params: Any) -> int:
    """How many numbers a tree of arrays holds."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def _norm(module: Encoder | Decoder, name: str) -> nn.BatchNorm:
    return nn.BatchNorm(
        momentum=0.9,
        epsilon=EPSILON,
        axis_name=module.axis_name,
        param_dtype=module.param_dtype,
        scale_init=near_one,
        use_fast_variance=False,  # E[x^2] - E[x]^2 cancels in float32
        force_float32_reductions=False,  # statistics are of param_dtype, float64 where that is
        name=name,
    )
