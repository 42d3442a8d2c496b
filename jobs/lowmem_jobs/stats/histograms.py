"""Histograms with fixed edges, one for each feature; counts merge exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Histograms:
    """Counts of each feature in equal bins, and beyond both ends.

    Attributes
    ----------
    lower
        Left edge of the first bin.
    width
        Width of a bin; bin k covers [lower + k width, lower + (k + 1) width).
    counts : shape (n_features, n_bins + 2)
        The first and the last column count values below and above all bins.
    """

    lower: float
    width: float
    counts: Counts

    @classmethod
    def empty(
        cls, n_features: int, *, lower: float, upper: float, n_bins: int
    ) -> Histograms:
        """Return histograms of zero rows, the identity of `merge`."""
        counts = np.zeros((n_features, n_bins + 2), dtype=np.int64)
        return cls(lower=lower, width=(upper - lower) / n_bins, counts=counts)

    def updated(self, block: Floats) -> Histograms:
        """Return the histograms with the rows of ``block`` added.

        Parameters
        ----------
        block : shape (n_samples, n_features)
            Values in the unit of the edges; NaN is counted above all bins.
        """
        n_features, n_columns = self.counts.shape
        position = block - self.lower
        position /= self.width
        np.floor(position, out=position)
        np.nan_to_num(position, copy=False, nan=np.inf)
        np.clip(position, -1, n_columns - 2, out=position)
        index = position.astype(np.int64)
        index += 1 + n_columns * np.arange(n_features)
        counts = np.bincount(index.ravel(), minlength=self.counts.size)
        return replace(self, counts=self.counts + counts.reshape(self.counts.shape))

    def merge(self, other: Histograms) -> Histograms:
        """Return the histograms of both sets of rows together.

        Raises
        ------
        ValueError
            If the edges or the numbers of features differ.
        """
        mine = (self.lower, self.width, self.counts.shape)
        if mine != (other.lower, other.width, other.counts.shape):
            raise ValueError("other must have the same edges and features")
        return replace(self, counts=self.counts + other.counts)

    @property
    def edges(self) -> Floats:
        """Edges of the bins, shape (n_bins + 1,)."""
        return self.lower + self.width * np.arange(self.counts.shape[1] - 1)

    @property
    def centres(self) -> Floats:
        """Centres of the bins, shape (n_bins,)."""
        return self.edges[:-1] + self.width / 2

    @property
    def inside(self) -> Counts:
        """Counts of the bins themselves, shape (n_features, n_bins)."""
        return self.counts[:, 1:-1]

    def cumulative(self) -> Floats:
        """Return the share of values below each edge, shape (n_features, n_bins + 1)."""
        below = self.counts.cumsum(axis=1)
        shares: Floats = below[:, :-1] / np.maximum(below[:, -1:], 1)
        return shares
