"""A generator in integers: int8 weights, int8 and int16 activations, int32 sums.

The scheme is that of Jacob et al. (CVPR 2018) without zero points: weights have a scale for each
output channel, activations one for each tensor, and a sum goes to its layer's output by an integer
multiplier and a shift. Activations have 8 bits up to the latent and 16 from there on: the residual
of a normal beat, of which the score is made, is as small as what 8 bits round off.

Every layer is rows of dot products over contiguous inputs, so that NumPy and C compute the same
integers from the same tables. Here they are held as float64, in which products of integers below
2^53 are exact and fast.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdjax.embedded import fixed
from kdjax.errors import InputError
from kdjax.models.folded import Folded
from kdjax.models.sizes import LEAKY_SLOPE, STAGES

BEAT_BITS = 14  # a scaled beat and its reconstruction are in units of 2^-14
INPUT_MAX = 127  # of the beat as the network takes it
SLOPE_BITS = 15
SLOPE = round(LEAKY_SLOPE * 2**SLOPE_BITS)
LARGEST_SUM = 2**31 - 1

BYTE, WORD = 127, 32767
HEADROOM = 2.0  # of 16 bits: an abnormal beat's activations are larger than normal ones'


@dataclass(frozen=True, eq=False, kw_only=True)
class Layer:
    """Dot products with a rescaling for each output channel.

    out[o] = (weights[phase, o] . inputs + bias[o] * 2^bias_shift) * multiplier[o] / 2^shift

    weights: int8 [phases, out, in]; a transposed convolution has a phase for even outputs and one
    for odd ones. bias: int16 [channels]; multiplier: uint16 [channels].
    Output o belongs to channel o modulo their number. activation: "leaky", "relu" or "none". most:
    outputs lie between -most and most. scale: what an output of 1 stands for.
    """

    weights: np.ndarray
    bias: np.ndarray
    bias_shift: int
    multiplier: np.ndarray
    shift: int
    activation: str
    most: int
    scale: float


@dataclass(frozen=True, eq=False)
class Network:
    """A generator's layers by name, in order; beats have `length` samples, one lead."""

    layers: dict[str, Layer]
    length: int
    width: int
    latent: int


def stages(folded: Folded) -> Iterator[tuple[str, np.ndarray, np.ndarray, str]]:
    """Name, float weights [phases, out, in], bias [out] and activation of every layer in order."""
    for number, (kernel, bias) in enumerate(folded.encoder):
        yield f"encoder{number}", _rows(kernel)[None], bias, "leaky"
    yield "head", _rows(folded.head.kernel)[None], folded.head.bias, "none"
    latent, steps, top = folded.tail.kernel.shape
    kernel = folded.tail.kernel.reshape(latent, steps * top)
    yield "tail", kernel.T[None], np.tile(folded.tail.bias, steps), "relu"
    for number, (kernel, bias) in enumerate(folded.decoder):
        taps = kernel.swapaxes(0, 1)  # [4, in, out]
        # Output 2 t meets inputs t - 1 and t, output 2 t + 1 inputs t and t + 1.
        phases = np.stack([_rows(taps[[3, 1]]), _rows(taps[[2, 0]])])
        last = number == len(folded.decoder) - 1
        yield f"decoder{number}", phases, bias, "none" if last else "relu"


def _rows(kernel: np.ndarray) -> np.ndarray:
    """[k, in, out] -> [out, k * in]."""
    return kernel.reshape(-1, kernel.shape[2]).T


def float_activations(
    folded: Folded, x: np.ndarray | None = None, *, z: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Every layer's output after its activation by name, float64: for beats x [B, T, 1].

    For latents z [B, L] instead, those of the decoder.
    """
    found, h = {}, np.asarray(z if x is None else x, np.float64)
    for name, weights, bias, activation in stages(folded):
        if x is None and name.startswith(("encoder", "head")):
            continue
        h = _apply(name, weights.astype(np.float64), h) + bias
        if activation == "leaky":
            h = np.where(h < 0, LEAKY_SLOPE * h, h)
        elif activation == "relu":
            h = np.maximum(h, 0)
        if name == "tail" or name.startswith("decoder"):
            h = h.reshape(len(h), -1, len(bias) if name != "tail" else folded.tail.kernel.shape[2])
        found[name] = h
    return found


def _apply(name: str, weights: np.ndarray, h: np.ndarray) -> np.ndarray:
    """A layer's dot products: [B, T, in] -> [B, T / 2, out], [B, T, 2, out] or [B, out]."""
    if name in ("head", "tail"):
        return h.reshape(len(h), -1) @ weights[0].T
    padded = np.pad(h, ((0, 0), (1, 1), (0, 0)))
    if name.startswith("encoder"):
        pairs = padded.reshape(len(h), -1, 2 * h.shape[2])
        return np.concatenate([pairs[:, :-1], pairs[:, 1:]], axis=2) @ weights[0].T
    pairs = np.concatenate([padded[:, :-1], padded[:, 1:]], axis=2)
    return np.stack([pairs[:, :-1] @ weights[0].T, pairs[:, 1:] @ weights[1].T], axis=2)


def quantise(folded: Folded, x: np.ndarray) -> Network:
    """The network in integers; normal beats x [B, T, 1], scaled to [-1, 1], set the ranges.

    InputError for more than one lead, or where a layer's sums may exceed an int32.
    """
    steps, top, latent = folded.head.kernel.shape
    if folded.encoder[0].kernel.shape[1] != 1:
        raise InputError("a detector in C takes one lead; train the run with one lead")
    largest = {name: float(np.abs(h).max()) for name, h in float_activations(folded, x).items()}
    layers, scale, entering = {}, 1 / INPUT_MAX, INPUT_MAX
    for name, weights, bias, activation in stages(folded):
        bias = bias[:top] if name == "tail" else bias
        most, stands_for = _output(name, max(largest[name], 1e-6))
        numbers = _integers(weights, bias, scale, stands_for=stands_for)
        layer = Layer(**numbers, activation=activation, most=most, scale=stands_for)
        _check_sums(name, layer, entering)
        layers[name] = layer
        scale, entering = stands_for, most
    width = folded.encoder[0].kernel.shape[2]
    return Network(layers, steps * 2 ** len(folded.encoder), width, latent)


def _output(name: str, largest: float) -> tuple[int, float]:
    """A layer's largest output and what 1 stands for, where normal beats reach `largest`."""
    if name.startswith("encoder"):
        return BYTE, largest / BYTE
    if name == f"decoder{STAGES - 1}":
        return WORD, 2.0**-fixed.TANH_INPUT_BITS
    return WORD, largest * HEADROOM / WORD


def _integers(
    weights: np.ndarray, bias: np.ndarray, scale: float, *, stands_for: float
) -> dict[str, Any]:
    """A layer's numbers, where 1 in its inputs stands for `scale`, in its outputs for the last."""
    channels = len(bias)
    by_channel = np.abs(weights).reshape(len(weights), -1, channels, weights.shape[2])
    steps = np.maximum(by_channel.max(axis=(0, 1, 3)), 1e-9) / BYTE
    rows = np.tile(steps, weights.shape[1] // channels)
    factors = scale * steps / stands_for
    _, shift = fixed.multiplier_of(float(factors.max()))
    whole = bias / (scale * steps)
    bias_shift = max(0, int(np.ceil(np.log2(max(np.abs(whole).max(), 1) / WORD))))
    return {
        "weights": np.rint(weights / rows[:, None]).astype(np.int8),
        "bias": np.rint(whole / 2**bias_shift).astype(np.int64),
        "bias_shift": bias_shift,
        "multiplier": np.rint(factors * 2.0**shift).astype(np.int64),
        "shift": shift,
    }


def _check_sums(name: str, layer: Layer, entering: int) -> None:
    weights = np.abs(layer.weights.astype(np.int64)).sum(axis=2).max()
    most = (int(np.abs(layer.bias).max()) << layer.bias_shift) + int(weights) * entering
    if most > LARGEST_SUM:
        raise InputError(
            f"{name}: its sums may reach {most:.2g}, beyond 32 bits; export a narrower network"
        )


def forward(network: Network, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Latents [B, L] and reconstructions before their tanh [B, T] of beats [B, T], all integers.

    x: in units of 2^-14. Latents are in units of the head's scale, reconstructions of 2^-12.
    """
    h = fixed.rescale(x, INPUT_MAX, BEAT_BITS)[..., None].astype(np.float64)
    z = h
    for name, layer in network.layers.items():
        h = _stored(layer, _apply(name, layer.weights.astype(np.float64), h))
        z = h if name == "head" else z
        if name == "tail" or name.startswith("decoder"):
            h = h.reshape(len(h), -1, len(layer.bias))
    return z.astype(np.int64), h[..., 0].astype(np.int64)


def _stored(layer: Layer, sums: np.ndarray) -> np.ndarray:
    """What a layer stores of its sums [..., out], biases not yet added."""
    repeats = sums.shape[-1] // len(layer.bias)
    bias, multiplier = (np.tile(values, repeats) for values in (layer.bias, layer.multiplier))
    sums = sums.astype(np.int64) + (bias << layer.bias_shift)
    if layer.activation == "leaky":
        gentle = (multiplier * SLOPE + (1 << SLOPE_BITS >> 1)) >> SLOPE_BITS
        multiplier = np.where(sums < 0, gentle, multiplier)
    least = 0 if layer.activation == "relu" else -layer.most
    stored = np.clip(fixed.rescale(sums, multiplier, layer.shift), least, layer.most)
    return stored.astype(np.float64)


def multiply_accumulates(network: Network) -> int:
    """Multiply-accumulates of one beat, those with the zeros beyond its ends among them."""
    steps, total = network.length, 0
    for name, layer in network.layers.items():
        phases, rows, inputs = layer.weights.shape
        if name.startswith("encoder"):
            steps //= 2
        once = name in ("head", "tail")
        total += phases * rows * inputs * (1 if once else steps)
        if name.startswith("decoder"):
            steps *= 2
    return total
