"""A detector's answers do not depend on how many beats it is asked about."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import drawn
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kdjax.detection import detector as module
from kdjax.detection.detector import BUCKETS, Detector, float32_threshold
from kdjax.errors import InputError
from kdjax.models import inference
from kdjax.models.networks import Generator

BEAT = (32, 2)
MOST = BUCKETS[-1] + 1

pytestmark = pytest.mark.usefixtures("x64")


@cache
def make_detector(seed=0, latent_dim=6):
    generator = Generator(4, latent_dim, *BEAT, param_dtype=jnp.float64)
    return Detector(generator, drawn(generator, BEAT, seed))


def draw(seed, beats):
    return np.random.default_rng(seed).uniform(-1, 1, (beats, *BEAT))


@pytest.fixture(scope="module")
def expected():
    """One big batch through the network itself: beats, reconstructions, scores, latents."""
    jax.config.update("jax_enable_x64", True)
    detector, x = make_detector(), draw(1, MOST)
    apply = jax.jit(lambda v, x: detector.generator.apply(v, x, train=False)[:2])
    x_hat, z = map(np.asarray, apply(detector.variables, x))
    yield x, x_hat, np.square(x_hat - x).mean((1, 2)), z
    jax.config.update("jax_enable_x64", False)


@pytest.mark.parametrize("beats", [0, 1, 2, 15, 16, 17, 129, MOST])
def test_any_number_of_beats_scores_as_in_one_big_batch(expected, beats):
    x, x_hat, score, _ = expected
    detector = make_detector()
    scores, reconstructions = detector.score(x[:beats]), detector.reconstruct(x[:beats])
    assert scores.shape == (beats,)
    assert reconstructions.shape == (beats, *BEAT)
    assert scores.dtype == reconstructions.dtype == np.float64
    np.testing.assert_allclose(scores, score[:beats], rtol=1e-12)
    np.testing.assert_allclose(reconstructions, x_hat[:beats], rtol=1e-10, atol=1e-12)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.integers(0, MOST - 1), max_size=40))
@example(list(range(MOST))[::-1])
def test_order_and_company_do_not_matter(expected, chosen):
    x, _, score, _ = expected
    chosen = np.array(chosen, int)
    np.testing.assert_allclose(make_detector().score(x[chosen]), score[chosen], rtol=1e-12)


@pytest.mark.parametrize("shape", [BEAT, (3, 64, 2), (3, 32, 1), (3, 2, 32), (0, 32, 1), (3, 32)])
def test_beats_of_another_shape_are_rejected(shape):
    for method in (make_detector().score, make_detector().reconstruct):
        with pytest.raises(InputError, match=r"\[B, 32, 2\] needed"):
            method(np.zeros(shape))


def test_any_number_of_beats_takes_a_program_for_each_bucket():
    detector = make_detector(latent_dim=5)  # no other test's programs
    before = inference.scores._cache_size()
    for beats in (0, 1, 2, 3, 11, 16, 40, 128, 500, 1024, 1025, 1100, 2048, 2060):
        detector.score(draw(0, beats))
    assert inference.scores._cache_size() - before == len(BUCKETS)


def test_detectors_of_one_size_share_programs_not_weights():
    x = draw(2, 2)
    one, other = make_detector(seed=0), make_detector(seed=1)
    first = one.score(x)
    before = inference.scores._cache_size()
    assert (other.score(x) != first).all()
    assert inference.scores._cache_size() == before


def test_integers_and_float32_are_beats_as_well():
    detector = make_detector()
    whole = np.round(draw(3, 2))
    for kind in (np.int16, np.float32):
        np.testing.assert_array_equal(detector.score(whole.astype(kind)), detector.score(whole))


def test_weights_do_not_fill_the_screen():
    assert "variables" not in repr(make_detector())


def test_evidence_is_the_residual_and_the_latent_of_each_beat(expected):
    x, x_hat, _, z = expected
    detector, n = make_detector(), 17
    rhythm, record, sample = np.zeros((n, 2)), np.array(["a"] * n), np.arange(n)
    found = detector.evidence(x[:n], rhythm, record=record, sample=sample, fs=360.0)
    np.testing.assert_allclose(found.residual, x_hat[:n] - x[:n], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.z, z[:n], rtol=0, atol=1e-12)
    assert np.isnan(found.feature_error).all()
    np.testing.assert_array_equal(found.sample, sample)


def test_evidence_takes_only_the_detectors_beats():
    none = np.zeros(1)
    with pytest.raises(InputError, match=r"\[B, 32, 2\] needed"):
        make_detector().evidence(np.zeros((1, 32, 1)), none, record=none, sample=none, fs=360.0)


def test_evidence_in_numpy_is_that_of_the_program(monkeypatch):
    detector, x = make_detector(), draw(4, MOST)
    place = {
        "rhythm": np.zeros((MOST, 2)),
        "record": np.zeros(MOST, int),
        "sample": np.arange(MOST),
        "fs": 360.0,
    }
    assert detector.small
    in_numpy, none = detector.evidence(x, **place), detector.evidence(x[:0], **place)
    monkeypatch.setattr(module, "_SMALL", 0)
    program = detector.evidence(x, **place)
    for name in ("residual", "z"):
        have, want = getattr(in_numpy, name), getattr(program, name)
        assert (have.shape, have.dtype) == (want.shape, want.dtype)
        np.testing.assert_allclose(have, want, rtol=0, atol=1e-12)
        assert getattr(none, name).shape == (0, *want.shape[1:])


def test_a_float32_decides_as_the_threshold_does():
    for value in (0.1, 0.3, 0.25, 1 / 3):
        threshold = float32_threshold(Detector(Generator(1, 1, 32, 1), {}, value))
        near = np.nextafter(np.float32(value), np.float32([0, 1]))
        for score in (*near, np.float32(value)):
            assert (score > threshold) == (float(score) > value)
