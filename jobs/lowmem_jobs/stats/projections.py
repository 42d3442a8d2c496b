"""Whitened rows seen along random directions, each to be a standard normal.

A distribution is normal if and only if every projection of it is. A thousand fixed
directions are a sample of them; each is a histogram, and histograms merge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from lowmem_jobs.stats.histograms import Histograms

Floats = NDArray[np.float64]

N_DIRECTIONS = 1000
# Second word of the key, after the seed, so that no other numbers are drawn from it.
_STREAM = 0x70726F6A
# Rows projected at once: their 1,000 projections then stay in the caches.
_ROWS = 128


def random_directions(seed: int, has_spread: NDArray[np.bool_]) -> Floats:
    """Return directions, uniform on the sphere of the axes with spread.

    Parameters
    ----------
    seed
        The same seed gives the same directions.
    has_spread : shape (d,)
        Which axes take part.

    Returns
    -------
    directions : shape (d, N_DIRECTIONS)
        Columns of length 1; of length 0 where no axis has spread.
    """
    key = np.array([seed % 2**64, _STREAM], np.uint64)
    rng = np.random.Generator(np.random.Philox(key=key))
    directions = rng.normal(size=(has_spread.size, N_DIRECTIONS))
    directions[~has_spread] = 0
    length = np.linalg.norm(directions, axis=0)
    directions /= np.where(length > 0, length, 1)
    return directions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProjectionSample:
    """Distribution of whitened rows along each of some directions.

    Attributes
    ----------
    histograms
        One for each direction, of 128 bins over 8 standard deviations to both sides.
    """

    histograms: Histograms

    @classmethod
    def empty(cls) -> ProjectionSample:
        """Return the sample of zero rows."""
        histograms = Histograms.empty(N_DIRECTIONS, lower=-8.0, upper=8.0, n_bins=128)
        return cls(histograms=histograms)

    def updated(self, white: Floats, directions: Floats) -> ProjectionSample:
        """Return the sample with more rows.

        Parameters
        ----------
        white : shape (n_samples, d)
            Whitened rows: of mean 0 and unit covariance over the *whole* data.
        directions : shape (d, N_DIRECTIONS)
            From `random_directions`.
        """
        histograms = self.histograms
        for start in range(0, len(white), _ROWS):
            histograms = histograms.updated(white[start : start + _ROWS] @ directions)
        return replace(self, histograms=histograms)

    def with_counts(self, counts: NDArray[np.int64]) -> ProjectionSample:
        """Return the sample that has these counts."""
        return replace(self, histograms=replace(self.histograms, counts=counts))

    @property
    def kolmogorov(self) -> Floats:
        """Largest distance to the normal law, at the edges, shape (N_DIRECTIONS,)."""
        expected = ndtr(self.histograms.edges)
        return np.asarray(np.abs(self.histograms.cumulative() - expected).max(axis=1))
