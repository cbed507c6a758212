"""Strided convolutions against XLA's own, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdjax.models import layers
from kdjax.models.layers import strided_conv, strided_conv_transpose

pytestmark = pytest.mark.usefixtures("x64")

# x64 stays on for all examples of a test, as it should.
few = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
seeds = st.integers(0, 2**32 - 1)
# [b, t, i, o]; every one is compiled anew, so a few.
sizes = st.sampled_from([(1, 1, 1, 1), (2, 9, 1, 3), (1, 2, 1, 1), (5, 4, 4, 2)])
LAYOUT = ("NWC", "WIO", "NWC")

conv, transpose = jax.jit(strided_conv), jax.jit(strided_conv_transpose)


@jax.jit
def xla_conv(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (2,), ((1, 1),), dimension_numbers=LAYOUT)


@jax.jit
def xla_transpose(x, kernel):
    """Zeros between the samples, then a convolution with the kernel turned round."""
    return jax.lax.conv_general_dilated(
        x, kernel[::-1], (1,), ((2, 2),), lhs_dilation=(2,), dimension_numbers=LAYOUT
    )


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.standard_normal(shape)) for shape in shapes]


def assert_equal(actual, expected):
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype == jnp.float64
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


@few
@given(sizes, seeds)
def test_strided_conv_is_xlas(size, seed):
    b, t, i, o = size
    x, kernel = draw(seed, (b, 2 * t, i), (4, i, o))
    assert_equal(conv(x, kernel), xla_conv(x, kernel))


@few
@given(sizes, seeds)
def test_its_transpose_is_xlas(size, seed):
    b, t, i, o = size
    x, kernel = draw(seed, (b, t, i), (4, i, o))
    assert_equal(transpose(x, kernel), xla_transpose(x, kernel))


@few
@given(sizes, seeds)
def test_they_are_adjoint(size, seed):
    """<conv(x, K), y> = <x, transpose(y, K')>, K' with its channels exchanged."""
    b, t, i, o = size
    x, y, kernel = draw(seed, (b, 2 * t, i), (b, t, o), (4, i, o))
    one = jnp.vdot(conv(x, kernel), y)
    other = jnp.vdot(x, transpose(y, kernel.swapaxes(1, 2)))
    assert float(one) == pytest.approx(float(other), rel=1e-11, abs=1e-11)


def test_gradients_are_those_of_xlas():
    x, y, kernel = draw(0, (3, 8, 2), (3, 4, 5), (4, 2, 5))
    for own, xla, a, b in (
        (strided_conv, xla_conv, x, y),
        (strided_conv_transpose, xla_transpose, y, x),
    ):
        k = kernel if a is x else kernel.swapaxes(1, 2)
        for mine, theirs in zip(jax.vjp(own, a, k)[1](b), jax.vjp(xla, a, k)[1](b), strict=True):
            assert_equal(mine, theirs)


FORMS = {
    "conv": lambda long, kernel, short: (long, kernel),
    "transpose": lambda long, kernel, short: (short, kernel.swapaxes(1, 2)),
    "gradient": lambda long, kernel, short: (long, short),
}


@functools.cache
def both(form):
    return tuple(jax.jit(getattr(layers, f"{form}_in_{n}")) for n in ("one", "three"))


@pytest.mark.parametrize("form", FORMS)
@few
@given(sizes.filter(lambda size: size[1] % 2 == 0), seeds)
def test_three_products_are_the_one(form, size, seed):
    """For t outputs of each beat, an even number."""
    b, t, i, o = size
    arguments = FORMS[form](*draw(seed, (b, 2 * t, i), (4, i, o), (b, t, o)))
    one, three = both(form)
    assert_equal(three(*arguments), one(*arguments))


# [B, T, I] and [4, I, O] at which both convolutions and their gradients take three products.
LARGE = (104, 40, 128), (4, 128, 256)


@pytest.mark.slow
def test_large_convolutions_and_their_gradients_are_those_of_one_product():
    x, kernel, y = draw(0, *LARGE, (104, 20, 256))
    assert all(layers.in_three(form, 104, 20, channels=128 * 256) for form in FORMS)
    turned = kernel.swapaxes(1, 2)
    for function, one, at, other in (
        (strided_conv, layers.conv_in_one, (x, kernel), y),
        (strided_conv_transpose, layers.transpose_in_one, (y, turned), x),
    ):
        results, expected = (jax.vjp(f, *at) for f in (function, one))
        np.testing.assert_allclose(results[0], expected[0], rtol=0, atol=1e-10)
        for actual, derived in zip(results[1](other), expected[1](other), strict=True):
            np.testing.assert_allclose(actual, derived, rtol=0, atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
def test_three_products_round_to_the_largest_term(form):
    """float32 against float64, every other pair of samples and taps a thousand times the rest."""
    long, kernel, short = draw(0, *LARGE, (104, 20, 256))
    large = jnp.asarray([1e3, 1e3, 1.0, 1.0])
    exact = FORMS[form](
        long * jnp.tile(large, 10)[None, :, None],
        kernel * large[:, None, None],
        short * jnp.tile(large[1:3], 10)[None, :, None],
    )
    one, three = both(form)
    true = np.asarray(one(*exact))
    found = np.asarray(three(*(a.astype(jnp.float32) for a in exact)))
    assert np.abs(found - true).max() < 5e-6 * np.abs(true).max()


@pytest.mark.parametrize("form", FORMS)
def test_three_products_round_as_one_does(form):
    """float32 against float64: at most four times the error, of the order of 1e-6."""
    exact = FORMS[form](*draw(0, *LARGE, (104, 20, 256)))
    single = [a.astype(jnp.float32) for a in exact]
    one, three = both(form)
    true = np.asarray(one(*exact))
    error = {f: np.abs(np.asarray(f(*single)) - true).max() for f in (one, three)}
    assert 0 < error[three] < 4 * error[one]
    assert error[three] < 5e-6 * np.abs(true).max()


def with_gradients(function):
    def run(a, kernel, g):
        result, backward = jax.vjp(function, a, kernel)
        return result, backward(g)

    return run


def products(function, *shapes):
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    anew = jax.make_jaxpr(lambda *a: function(*a))  # nothing that was traced before
    return str(anew(*arguments)).count("dot_general")


@pytest.mark.parametrize(
    ("x", "kernel", "conv", "transpose"),
    [
        ((104, 40, 128), (4, 128, 256), 3, 3),
        ((26, 40, 128), (4, 128, 256), 3, 1),  # few samples
        ((25, 40, 128), (4, 128, 256), 1, 1),
        ((104, 42, 128), (4, 128, 256), 1, 1),  # an odd number of outputs
        ((104, 40, 127), (4, 127, 256), 1, 1),  # few channels
    ],
)
def test_large_convolutions_take_three_products(x, kernel, conv, transpose):
    b, t, i = x
    o = kernel[2]
    y, turned = (b, t // 2, o), (4, o, i)
    assert products(strided_conv, x, kernel) == conv
    assert products(strided_conv_transpose, y, turned) == transpose
    # And back: each other's form for the inputs, and the kernel's gradient as the convolution.
    assert products(with_gradients(strided_conv), x, kernel, y) == conv + transpose + conv
    assert products(with_gradients(strided_conv_transpose), y, turned, x) == conv + transpose + conv


def test_other_backends_take_one_product(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert products(strided_conv, *LARGE) == 1


def test_an_unknown_number_of_beats_takes_one_product():
    (beats,) = jax.export.symbolic_shape("beats")
    assert products(strided_conv, (beats, 40, 128), (4, 128, 256)) == 1


def column(*values):
    return jnp.asarray(values, jnp.float64)[None, :, None]


def test_values_worked_by_hand():
    kernel = jnp.asarray([1.0, 2.0, 3.0, 4.0])[:, None, None]
    # 1 x[-1] + 2 x[0] + 3 x[1] + 4 x[2], and the same two samples on; outside is zero.
    assert_equal(strided_conv(column(1, 10, 100, 1000), kernel), column(432, 3210))
    # x[0] writes (1, 2, 3, 4) to samples -1 to 2, x[1] ten times that to samples 1 to 4.
    assert_equal(strided_conv_transpose(column(1, 10), kernel), column(2, 13, 24, 30))


def test_an_odd_number_of_samples_cannot_be_halved():
    with pytest.raises(ValueError, match="7 samples"):
        strided_conv(jnp.zeros((2, 7, 3)), jnp.zeros((4, 3, 5)))


@pytest.mark.parametrize("function", [strided_conv, strided_conv_transpose])
@pytest.mark.parametrize(
    ("x", "kernel"),
    [
        ((2, 8, 3), (3, 3, 5)),  # another number of taps
        ((2, 8, 3), (4, 5, 3)),  # channels exchanged
        ((2, 8, 1), (4, 3, 5)),  # would broadcast
        ((2, 8, 3), (4, 3)),
        ((8, 3), (4, 3, 5)),
    ],
)
def test_kernels_that_do_not_fit_are_rejected(function, x, kernel):
    with pytest.raises(ValueError, match=r"\[4, in, out\]"):
        function(jnp.zeros(x), jnp.zeros(kernel))
