"""Folded weights give what the network gives in inference mode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import drawn, settled

from kdjax.models import folded as in_numpy
from kdjax.models.folded import fold
from kdjax.models.inference import forward
from kdjax.models.networks import Generator
from kdjax.runs.config import PRECISIONS

# width, latent, length, leads, output bias
NETWORKS = [
    (4, 6, 32, 2, False),
    (1, 1, 32, 1, True),
    (2, 5, 160, 12, True),
    (8, 50, 320, 1, True),
]


def both(network, dtype, seed=0):
    """(x_hat, z) by the network, and by the folded weights as a program and in NumPy."""
    *sizes, output_bias = network
    generator = Generator(*sizes, output_bias=output_bias, param_dtype=dtype)
    beat = sizes[2], sizes[3]
    x = np.random.default_rng(seed).uniform(-1, 1, (16, *beat))
    variables, x = settled(drawn(generator, beat, seed), x), jnp.asarray(x[:5], dtype)
    with jax.default_matmul_precision("float32"):
        expected = jax.jit(lambda v, x: generator.apply(v, x, train=False)[:2])(variables, x)
    folded = fold(variables)
    return expected, jax.jit(forward)(folded, x), in_numpy.forward(folded, np.asarray(x))


def assert_close(found, expected, rtol):
    for have, want in zip(found, expected, strict=True):
        assert (have.dtype, have.shape) == (want.dtype, want.shape)
        np.testing.assert_allclose(have, want, rtol=0, atol=rtol * np.abs(want).max())


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_folded_weights_give_the_networks_numbers(network, x64):
    expected, program, in_numpy = both(network, jnp.float64)
    assert_close(program, expected, 1e-12)
    assert_close(in_numpy, expected, 1e-12)


def test_in_float32_they_differ_by_rounding():
    expected, program, in_numpy = both(NETWORKS[-1], jnp.float32)
    assert_close(program, expected, 1e-5)
    assert_close(in_numpy, expected, 1e-5)


def test_no_beats_have_no_reconstructions():
    folded = fold(drawn(Generator(4, 6, 32, 2), (32, 2)))
    found = jax.jit(forward)(folded, jnp.zeros((0, 32, 2)))
    assert [a.shape for a in found] == [(0, 32, 2), (0, 6)]


def test_folding_is_summed_in_float64():
    """A mean near the offset over a small deviation: float32 would lose the bias."""
    generator = Generator(1, 1, 32, 1)
    variables = jax.tree.map(np.asarray, drawn(generator, (32, 1)))
    norm, stats = (variables[kind]["encoder"]["norm1"] for kind in ("params", "batch_stats"))
    gain = np.float64(norm["scale"]) / np.sqrt(np.float64(stats["var"]) + 1e-5)
    norm["bias"] = (gain * stats["mean"]).astype(np.float32)
    wanted = (norm["bias"] - gain * stats["mean"]).astype(np.float32)
    assert (wanted != 0).any()
    np.testing.assert_array_equal(fold(variables).encoder[1].bias, wanted)


def test_kernels_are_those_of_the_layers_where_nothing_normalises():
    generator = Generator(2, 3, 32, 2, output_bias=True)
    params = drawn(generator, (32, 2))["params"]
    folded = fold(drawn(generator, (32, 2)))
    np.testing.assert_array_equal(folded.encoder[0].kernel, params["encoder"]["conv0"])
    np.testing.assert_array_equal(folded.head.kernel, params["encoder"]["head"])
    last = np.swapaxes(folded.decoder[-1].kernel, 0, 1)
    np.testing.assert_array_equal(last, params["decoder"]["conv4"])
    np.testing.assert_array_equal(folded.decoder[-1].bias, params["decoder"]["bias"])


def test_products_are_of_full_precision_whatever_is_set():
    """Thresholds come from one device and are used on another."""
    generator = Generator(1, 1, 32, 1)
    folded, x = fold(drawn(generator, (32, 1))), jnp.zeros((1, 32, 1))
    with jax.default_matmul_precision(PRECISIONS["bfloat16"]):
        assert "BF16" in str(jax.make_jaxpr(jnp.matmul)(x[0], x[0].T)).upper()
        program = str(jax.make_jaxpr(forward)(folded, x))
    assert program.count("dot_general") == program.count("preferred_element_type") == 12
    assert "DEFAULT" not in program.upper()
    assert "BF16" not in program.upper()
