"""Statistics of sets of clips, by their embeddings (clips, features), and rank correlation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def frechet_distance(one: Array, other: Array) -> float:
    """Return the Fréchet distance of Gaussians fitted to two sets (Heusel et al., 2017)."""
    covariances = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    # The trace of the root of a product of two covariances is the sum of the roots of its
    # eigenvalues.
    values = np.linalg.eigvals(covariances[0] @ covariances[1])
    root = np.sqrt(np.maximum(values.real, 0)).sum()
    apart = np.square(one.mean(0) - other.mean(0)).sum()
    return float(apart + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * root)


def mean_pairwise_distance(clips: Array) -> float:
    """Return the mean distance between any two clips of a set, 0 for less than two."""
    if len(clips) < 2:
        return 0.0
    distances = np.linalg.norm(clips[:, None] - clips[None], axis=-1)
    return float(distances.sum() / (len(clips) * (len(clips) - 1)))


def nearest_distances(clips: Array, others: Array) -> Array:
    """Return the distance of each clip to the nearest of the others, (clips,)."""
    squares = np.square(clips).sum(1)[:, None] + np.square(others).sum(1)[None]
    distances: Array = np.sqrt(np.maximum(squares - 2 * clips @ others.T, 0)).min(1)
    return distances


def rank_correlation(asked: Array, measured: Array) -> float:
    """Return Spearman's rank correlation, 0 where ``measured`` is constant."""
    first, second = (np.argsort(np.argsort(values)).astype(float) for values in (asked, measured))
    return float(np.corrcoef(first, second)[0, 1]) if np.ptp(measured) else 0.0
