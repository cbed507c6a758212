"""Families of beats by what is compared: the shapes in use, raw beats, latents or residuals.

A part of `benchmarks.quality.kinds`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.quality.fit_kinds import Read
from kdjax.detection import kinds
from kdjax.detection.detector import Detector

CORRELATIONS = {"raw beat": (0.8, 0.9, 0.95), "latent": (0.8, 0.9, 0.95), "residual": (0.5, 0.7)}


def families(detector: Detector, reads: Sequence[Read]) -> list[dict[str, Any]]:
    """Number, purity and coverage of families by what is compared, over records."""
    rows = [_quality("shapes in use", None, [(one.label, one.shape) for one in reads])]
    found: dict[tuple[str, float], list] = {}
    for one in reads:
        good = one.shape != kinds.UNSCORED
        x = np.concatenate([part.x for part in one.parts])[good]
        there = np.zeros(len(x), np.int64)
        evidence = detector.evidence(x, np.zeros((len(x), 2)), there, sample=there, fs=one.fs)
        compared = {"raw beat": x, "latent": evidence.z, "residual": evidence.residual}
        for name, correlations in CORRELATIONS.items():
            for least in correlations:
                family = _leaders(compared[name].reshape(len(x), -1), least)
                found.setdefault((name, least), []).append((one.label[good], family))
    rows += [_quality(name, least, pairs) for (name, least), pairs in found.items()]
    return rows


def _quality(name: str, least: float | None, pairs: Sequence[tuple]) -> dict[str, Any]:
    """pairs: label and family [B] of each record. Pure of ventricular or of all other beats."""
    numbers, purities, covered = [], [], []
    for label, family in pairs:
        known = np.isin(label, ["N", "S", "V"]) & (family > kinds.UNSCORED)
        own, index = np.unique(family[known], return_inverse=True)
        ventricular = np.bincount(index, label[known] == "V")
        count = np.bincount(index)
        numbers.append(len(own))
        purities.append(np.maximum(ventricular, count - ventricular).sum() / count.sum())
        covered.append(np.sort(count)[::-1][:10].sum() / count.sum())
    return {
        "compared": name,
        "correlation": least,
        "families": round(float(np.mean(numbers)), 1),
        "most": max(numbers),
        "purity": round(float(np.mean(purities)), 4),
        "least_pure": round(float(min(purities)), 4),
        "share_of_ten": round(float(np.mean(covered)), 4),
    }


def _leaders(values: np.ndarray, least: float, most: int = 48) -> np.ndarray:
    """Families int64 [B] of values [B, D]: of the nearest leader, where it correlates enough."""
    values = values - values.mean(axis=1, keepdims=True)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
    leaders, family = np.empty((0, values.shape[1]), values.dtype), []
    for value in values:
        alike = leaders @ value
        best = int(np.argmax(alike)) if len(leaders) else -1
        if best >= 0 and (alike[best] >= least or len(leaders) >= most):
            moved = leaders[best] + (value - leaders[best]) / 32
            leaders[best] = moved / np.linalg.norm(moved)
        else:
            best, leaders = len(leaders), np.vstack([leaders, value])
        family.append(best)
    return np.array(family)
