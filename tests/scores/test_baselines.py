"""Each baseline against its definition written out, on beats drawn by NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kdjax.scores import baselines
from kdjax.scores.baselines import BASELINES, NearestNeighbour, PcaReconstruction, Principal

T, C = 24, 2
few = settings(max_examples=25, deadline=None)


def draw(beats, seed=0):
    """Beats [B, 24, 2] near a subspace of four directions, with a mean that is not zero."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(99).standard_normal((4, T * C)) * [[8], [4], [2], [1]]
    flat = 3 + rng.standard_normal((beats, 4)) @ directions
    return (flat + 0.1 * rng.standard_normal(flat.shape)).reshape(beats, T, C).astype(np.float32)


NORMAL, NEW = draw(300), draw(20, seed=1)
SMALL = {
    "nearest_neighbour": lambda x: NearestNeighbour.fit(x, components=4),
    "pca_reconstruction": lambda x: PcaReconstruction.fit(x, components=4),
    "mahalanobis": baselines.Mahalanobis.fit,
    "isolation_forest": lambda x: baselines.IsolationForest.fit(x, trees=20),
}


@pytest.mark.parametrize("name", BASELINES)
def test_a_beat_of_another_shape_scores_higher_than_any_normal_one(name):
    detector = SMALL[name](NORMAL)
    odd = 9 * NEW[:5] + 40 * np.sign(np.sin(np.arange(T)))[:, None].astype(np.float32)
    assert detector.score(odd).min() > detector.score(NEW).max()


@pytest.mark.parametrize("name", BASELINES)
def test_a_score_is_one_float64_a_beat_and_belongs_to_it_alone(name):
    detector = SMALL[name](NORMAL)
    before = NEW.copy()
    score = detector.score(NEW)
    assert score.shape == (20,)
    assert score.dtype == np.float64
    np.testing.assert_allclose(detector.score(NEW[[7, 3]]), score[[7, 3]], rtol=1e-6)
    np.testing.assert_array_equal(SMALL[name](NORMAL).score(NEW), score)
    np.testing.assert_array_equal(NEW, before)


@pytest.mark.parametrize("name", BASELINES)
def test_beats_of_other_shapes_are_rejected(name):
    detector = SMALL[name](NORMAL)
    for x in (NEW[0], NEW[:, :-1], NEW[:, :, :1], NEW.reshape(20, C, T)):
        with pytest.raises(ValueError, match="needed"):
            detector.score(x)
    with pytest.raises(ValueError, match="needed"):
        SMALL[name](NORMAL[0])


def test_the_published_components_are_the_defaults():
    # 32 and 20 directions, as in the study's tables; more than a beat has samples cannot be.
    long = np.random.default_rng(0).standard_normal((50, 40, 1))
    assert BASELINES["nearest_neighbour"](long).memory.shape == (50, 32)
    assert BASELINES["pca_reconstruction"](long).subspace.directions.shape == (40, 20)


@pytest.mark.parametrize(("beats", "components"), [(300, T * C + 1), (3, 4), (300, 0)])
def test_as_many_components_as_samples_or_beats_at_most(beats, components):
    with pytest.raises(ValueError, match=f"{components} components of {beats} beats"):
        Principal.fit(NORMAL[:beats], components)


def test_principal_components_are_the_singular_vectors_of_centred_beats():
    subspace = Principal.fit(NORMAL, 3)
    flat = NORMAL.reshape(300, -1).astype(np.float64)
    _, _, vectors = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(subspace.directions.T @ vectors[:3].T), np.eye(3), atol=1e-6)
    coordinates = subspace.project(NORMAL)
    np.testing.assert_allclose(coordinates.mean(axis=0), 0, atol=1e-6)
    assert (np.diff(coordinates.var(axis=0)) < 0).all()  # the largest first


def test_nearest_neighbour_by_comparing_all():
    detector = NearestNeighbour.fit(NORMAL, components=4)
    query, memory = detector.subspace.project(NEW), detector.subspace.project(NORMAL)
    apart = np.linalg.norm(query[:, None] - memory[None], axis=2)
    np.testing.assert_allclose(detector.score(NEW), apart.min(axis=1), rtol=1e-6)


@few
@given(
    hnp.arrays(
        np.int8, st.tuples(st.integers(2, 12), st.just(3), st.just(1)), elements=st.integers(-5, 5)
    )
)
def test_leave_one_out_is_the_nearest_other_beat(x):
    detector = NearestNeighbour.fit(x, components=2)
    expected = [
        np.linalg.norm(np.delete(detector.memory, i, axis=0) - place, axis=1).min()
        for i, place in enumerate(detector.memory)
    ]
    # Equal beats are at distance 0 from each other, up to the square root of rounding.
    np.testing.assert_allclose(detector.leave_one_out(), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(detector.score(x), 0, atol=1e-6)


def test_with_all_components_distances_are_those_of_the_beats():
    detector = NearestNeighbour.fit(NORMAL, components=T * C)
    apart = np.linalg.norm((NEW[:, None] - NORMAL[None]).reshape(20, 300, -1), axis=2)
    np.testing.assert_allclose(detector.score(NEW), apart.min(axis=1), rtol=1e-5)


def test_pca_reconstruction_is_the_error_of_least_squares():
    detector = PcaReconstruction.fit(NORMAL, components=4)
    flat = NEW.reshape(20, -1) - detector.subspace.mean
    fitted = np.linalg.lstsq(detector.subspace.directions, flat.T, rcond=None)[0]
    error = np.square(flat.T - detector.subspace.directions @ fitted).mean(axis=0)
    np.testing.assert_allclose(detector.score(NEW), error, rtol=1e-6)
    everything = PcaReconstruction.fit(NORMAL, components=T * C)
    np.testing.assert_allclose(everything.score(NEW), 0, atol=1e-10)


def test_mahalanobis_is_the_distance_under_the_sample_covariance_where_beats_are_many():
    rng = np.random.default_rng(2)
    mix = rng.standard_normal((6, 6))
    normal = (rng.standard_normal((20_000, 6)) @ mix + 5).reshape(-1, 6, 1)
    new = normal[:50] + rng.standard_normal((50, 6, 1))
    flat = (new - normal.mean(axis=0)).reshape(50, -1)
    inverse = np.linalg.inv(np.cov(normal[:, :, 0], rowvar=False))
    expected = np.einsum("bi,ij,bj->b", flat, inverse, flat)
    np.testing.assert_allclose(baselines.Mahalanobis.fit(normal).score(new), expected, rtol=0.05)


def test_mahalanobis_of_fewer_beats_than_samples_is_finite():
    assert np.isfinite(baselines.Mahalanobis.fit(NORMAL[:10]).score(NEW)).all()


def test_isolation_scores_lie_between_0_and_1():
    score = baselines.IsolationForest.fit(NORMAL).score(NEW)
    assert ((score > 0) & (score < 1)).all()
