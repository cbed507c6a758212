"""Simple detectors that a learned one has to beat: fitted on normal beats, higher is more abnormal.

Each is fitted by its classmethod `fit(x)` on normal beats [N, T, C]; its `score(x)` gives float64
[B] of beats [B, T, C]. Plain arrays: no files, no configs, no data sets. Beats that are not
[B, T, C] raise ValueError, and so do beats to score whose shape is not that of the fitted ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import IsolationForest as Forest
from sklearn.neighbors import NearestNeighbors


@dataclass(frozen=True, eq=False)
class Principal:
    """A mean beat and the directions of largest variance: the subspace of normal beats.

    beat: (T, C); mean: float64 [T C]; directions: float64 [T C, K], orthonormal columns.
    """

    beat: tuple[int, ...]
    mean: np.ndarray
    directions: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, components: int) -> "Principal":
        """The first `components` principal components of beats [N, T, C].

        ValueError where there are more components than samples in a beat, or beats.
        """
        beat, flat = x.shape[1:], _flat(x)
        if not 0 < components <= min(flat.shape):
            raise ValueError(f"{components} components of {len(flat)} beats of shape {beat}")
        mean = flat.mean(axis=0)
        # The covariance is small however many the beats: a hundred thousand take half a second.
        _, vectors = np.linalg.eigh((flat - mean).T @ (flat - mean))
        return cls(beat, mean, vectors[:, ::-1][:, :components])

    def project(self, x: np.ndarray) -> np.ndarray:
        """Coordinates float64 [B, K] of beats [B, T, C] in the subspace."""
        return (_flat(x, self.beat) - self.mean) @ self.directions


@dataclass(frozen=True, eq=False)
class NearestNeighbour:
    """Euclidean distance to the nearest of all training beats, in principal components.

    Source: the nearest-neighbour rule of novelty detection, with its distance as the score
    (Ramaswamy, Rastogi & Shim, SIGMOD 2000). subspace: K components; memory: float64 [N, K].
    """

    subspace: Principal
    memory: np.ndarray = field(repr=False)

    @classmethod
    def fit(cls, x: np.ndarray, components: int = 32) -> "NearestNeighbour":
        """Remembers normal beats [N, T, C]."""
        subspace = Principal.fit(x, components)
        return cls(subspace, subspace.project(x))

    def score(self, x: np.ndarray) -> np.ndarray:
        """Distance of each beat [B, T, C] to the nearest remembered one, float64 [B]."""
        return self._index.kneighbors(self.subspace.project(x))[0][:, 0]

    def leave_one_out(self) -> np.ndarray:
        """Each remembered beat's distance to the nearest other one, float64 [N].

        A teacher's scores of the beats that it remembers: with itself all would be 0.
        """
        return self._index.kneighbors()[0][:, 0]

    def score_copies(self, x: np.ndarray) -> np.ndarray:
        """Distance of altered copies [N, T, C] of the remembered beats, in their order.

        As `score`, but beat i is not compared with the remembered beat i that it came from; two
        remembered beats are needed.
        """
        distance, beat = self._index.kneighbors(self.subspace.project(x), n_neighbors=2)
        own = beat[:, 0] == np.arange(len(x))
        return np.where(own, distance[:, 1], distance[:, 0])

    @cached_property
    def _index(self) -> NearestNeighbors:
        # By matrix products: in 32 dimensions trees look at nearly every beat.
        return NearestNeighbors(n_neighbors=1, algorithm="brute").fit(self.memory)


@dataclass(frozen=True, eq=False)
class PcaReconstruction:
    """Mean squared distance of a beat to the subspace of normal beats: the linear autoencoder."""

    subspace: Principal

    @classmethod
    def fit(cls, x: np.ndarray, components: int = 20) -> "PcaReconstruction":
        """The subspace of the first `components` principal components of normal beats [N, T, C]."""
        return cls(Principal.fit(x, components))

    def score(self, x: np.ndarray) -> np.ndarray:
        """Mean squared error of each beat [B, T, C] over time and leads, float64 [B]."""
        kept = self.subspace.project(x) @ self.subspace.directions.T
        return np.square(_flat(x, self.subspace.beat) - self.subspace.mean - kept).mean(axis=1)


@dataclass(frozen=True, eq=False)
class Mahalanobis:
    """Squared Mahalanobis distance of a beat to the mean normal beat.

    The covariance is shrunk towards a multiple of the identity by Ledoit & Wolf, J. Multivariate
    Anal. 88(2):365-411 (2004): band-passed beats leave many directions almost without variance.
    """

    beat: tuple[int, ...]
    normal: LedoitWolf = field(repr=False)

    @classmethod
    def fit(cls, x: np.ndarray) -> "Mahalanobis":
        """Mean and covariance of normal beats [N, T, C]."""
        return cls(x.shape[1:], LedoitWolf().fit(_flat(x)))

    def score(self, x: np.ndarray) -> np.ndarray:
        """Squared distance of each beat [B, T, C], float64 [B]."""
        return self.normal.mahalanobis(_flat(x, self.beat))


@dataclass(frozen=True, eq=False)
class IsolationForest:
    """How few random cuts isolate a beat (Liu, Ting & Zhou, ICDM 2008): 2^(-depth / expected)."""

    beat: tuple[int, ...]
    forest: Forest = field(repr=False)

    @classmethod
    def fit(cls, x: np.ndarray, trees: int = 100, seed: int = 0) -> "IsolationForest":
        """`trees` trees, each of 256 normal beats out of [N, T, C]."""
        return cls(x.shape[1:], Forest(n_estimators=trees, random_state=seed).fit(_flat(x)))

    def score(self, x: np.ndarray) -> np.ndarray:
        """Anomaly score of each beat [B, T, C] in (0, 1), float64 [B]."""
        return -self.forest.score_samples(_flat(x, self.beat))


BASELINES: dict[str, Callable[[np.ndarray], Any]] = {
    "nearest_neighbour": NearestNeighbour.fit,
    "pca_reconstruction": PcaReconstruction.fit,
    "mahalanobis": Mahalanobis.fit,
    "isolation_forest": IsolationForest.fit,
}


def _flat(x: np.ndarray, beat: tuple[int, ...] | None = None) -> np.ndarray:
    """Beats [B, T, C] as float64 rows [B, T C]; ValueError where they are not of shape `beat`."""
    if x.ndim != 3 or (beat is not None and x.shape[1:] != beat):
        wanted = "[B, T, C]" if beat is None else f"[B, {beat[0]}, {beat[1]}]"
        raise ValueError(f"beats of shape {x.shape}; {wanted} needed")
    return x.reshape(len(x), -1).astype(np.float64)
