"""What BeatGAN's networks have in common, and what they cost; no JAX."""

from dataclasses import dataclass
from typing import Protocol

KERNEL = 4
STAGES = 5
REDUCTION = 2**STAGES
LEAKY_SLOPE = 0.2
EPSILON = 1e-5  # of BatchNorm


class Sizes(Protocol):
    """The sizes of a generator: `networks.Generator` has them, and GeneratorSizes."""

    @property
    def width(self) -> int: ...
    @property
    def latent_dim(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def output_bias(self) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class GeneratorSizes:
    """A generator's sizes without the network: for beats of `length` samples and `channels`."""

    width: int
    latent_dim: int
    length: int
    channels: int
    output_bias: bool = False


def check_length(length: int) -> None:
    """Raises ValueError unless the five stages can halve `length`."""
    if length <= 0 or length % REDUCTION:
        raise ValueError(
            f"a beat of {length} samples: the length must be a multiple of {REDUCTION}"
        )


def multiply_accumulates(sizes: Sizes) -> int:
    """Multiply-accumulates of one beat through a generator, from the architecture.

    Convolutions and the two layers at the latent; BatchNorm and activations are left out.
    """
    return 2 * encoder_multiply_accumulates(
        sizes.width, sizes.latent_dim, sizes.length, channels=sizes.channels
    )


def encoder_multiply_accumulates(width: int, out_dim: int, length: int, *, channels: int) -> int:
    """Multiply-accumulates of one beat through an encoder with `out_dim` outputs, likewise."""
    check_length(length)
    widths = [channels, *(width * 2**stage for stage in range(STAGES))]
    convolutions = sum(
        KERNEL * widths[s] * widths[s + 1] * length // 2 ** (s + 1) for s in range(STAGES)
    )
    return convolutions + length // REDUCTION * widths[-1] * out_dim
