"""Compare sets of latent vectors: how far apart, and how far each moves.

All take whitened vectors (see `lowmem_jobs.stats.frame`), so distances are in Mahalanobis
units: 1 is one standard deviation of the fitted distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEWEST_ROWS = 2


def frechet_distance(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> float | None:
    """Return the Frechet distance of normals fitted to two sets of vectors.

    Parameters
    ----------
    first, second : shapes (n1, d) and (n2, d)
        Vectors; the distance is in squared units of theirs.

    Returns
    -------
    distance
        ``|dm|^2 + tr S1 + tr S2 - 2 tr (S1^1/2 S2 S1^1/2)^1/2``, >= 0;
        None where a set has fewer than two vectors and so no covariance.

    Notes
    -----
    It is biased upwards: two samples of n1 and n2 vectors of *one* distribution are
    about ``(d + d(d+1)/4)(1/n1 + 1/n2)`` apart in whitened units. Compare it only with
    another distance at the same n. Cost: three d x d eigenproblems, 16 d^2 bytes each.

    References
    ----------
    Dowson & Landau (1982), Journal of Multivariate Analysis 12(3):450-455.
    """
    if min(len(first), len(second)) < _FEWEST_ROWS:
        return None
    shift = first.mean(axis=0) - second.mean(axis=0)
    one = np.atleast_2d(np.cov(first, rowvar=False))
    two = np.atleast_2d(np.cov(second, rowvar=False))
    root = _symmetric_root(one)
    # Symmetric up to rounding, so the symmetric solver applies: real and stable.
    shared = np.sqrt(_eigenvalues_from_zero(root @ two @ root)).sum()
    distance = shift @ shift + np.trace(one) + np.trace(two) - 2.0 * shared
    return max(float(distance), 0.0)


def _symmetric_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = linalg.eigh(matrix)
    root: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root


def _eigenvalues_from_zero(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    symmetric = (matrix + matrix.T) / 2.0
    values: NDArray[np.float64] = np.maximum(linalg.eigvalsh(symmetric), 0.0)
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a number varies over a set.

    Attributes
    ----------
    n
        Size of the set.
    mean, median, percentile_95
        Of the numbers, in their units.
    """

    n: int
    mean: float
    median: float
    percentile_95: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Spread | None:
        """Return the spread of ``values``; None where there are none."""
        if not len(values):
            return None
        return cls(
            n=len(values),
            mean=float(values.mean()),
            median=float(np.median(values)),
            percentile_95=float(np.quantile(values, 0.95)),
        )


def displacements(
    before: NDArray[np.float64], after: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far each vector moved, shape (n,), of two sets of shape (n, d)."""
    moved: NDArray[np.float64] = np.linalg.norm(after - before, axis=1)
    return moved
