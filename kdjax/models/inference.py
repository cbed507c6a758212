"""The folded generator (`folded`) as compiled programs."""

import jax
import jax.numpy as jnp

from kdjax.models.folded import Folded
from kdjax.models.layers import strided_conv, strided_conv_transpose
from kdjax.models.networks import anomaly_score
from kdjax.models.sizes import LEAKY_SLOPE


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


@jax.jit
def scores(folded: Folded, x: jax.Array) -> tuple[jax.Array]:
    """Anomaly scores [B] of beats [B, T, C]."""
    return (anomaly_score(forward(folded, x)[0], x),)


@jax.jit
def reconstructions(folded: Folded, x: jax.Array) -> tuple[jax.Array]:
    """Reconstructions [B, T, C]."""
    return (forward(folded, x)[0],)


@jax.jit
def residuals_and_latents(folded: Folded, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Residuals [B, T, C] and latents [B, latent]."""
    x_hat, z = forward(folded, x)
    return x_hat - x, z
