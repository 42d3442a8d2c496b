"""The squared Mahalanobis distance of rows, against the chi-squared law.

Distances are counted on the Wilson-Hilferty scale t = ((r^2/d)^(1/3) - 1 + 2/(9d)) /
sqrt(2/(9d)), on which the chi-squared law is close to a standard normal for every d: one
set of fixed edges serves 2 features and 4,096.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from lowmem_jobs.stats.histograms import Histograms

Floats = NDArray[np.float64]

# In units of t. A bin holds at most 0.4 * width = 4e-4 of a normal sample: this bounds
# the error of the Kolmogorov distance. 48 is six times the expected radius at d = 256.
_LOWER, _UPPER, _N_BINS = -16.0, 48.0, 2**16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RadiusSample:
    """Distribution of the squared radius in ``n_dimensions`` whitened dimensions.

    Attributes
    ----------
    n_dimensions
        Degrees of freedom of the chi-squared law it is compared with.
    n_samples
        Number of rows.
    sum_r4
        Sum of the fourth powers of the radius.
    histogram
        Counts on the scale t of this module.
    """

    n_dimensions: int
    n_samples: int
    sum_r4: float
    histogram: Histograms

    @classmethod
    def empty(cls, n_dimensions: int) -> RadiusSample:
        """Return the sample of zero rows."""
        histogram = Histograms.empty(1, lower=_LOWER, upper=_UPPER, n_bins=_N_BINS)
        return cls(
            n_dimensions=n_dimensions, n_samples=0, sum_r4=0.0, histogram=histogram
        )

    def updated(self, squared_radius: Floats) -> RadiusSample:
        """Return the sample with more rows.

        Parameters
        ----------
        squared_radius : shape (n_samples,)
            Sum of squares of the whitened components of each row.
        """
        t = _t_from_r2(squared_radius, self.n_dimensions)
        return replace(
            self,
            n_samples=self.n_samples + len(squared_radius),
            sum_r4=self.sum_r4 + float(squared_radius @ squared_radius),
            histogram=self.histogram.updated(t[:, None]),
        )

    def merge(self, other: RadiusSample) -> RadiusSample:
        """Return the sample of both sets of rows together."""
        return replace(
            self,
            n_samples=self.n_samples + other.n_samples,
            sum_r4=self.sum_r4 + other.sum_r4,
            histogram=self.histogram.merge(other.histogram),
        )

    @property
    def mardia_kurtosis(self) -> float:
        """Mardia's b2 = mean(r^4); a Gaussian has d (d + 2)."""
        return self.sum_r4 / self.n_samples

    @property
    def mardia_expected(self) -> float:
        """What a Gaussian has: d (d + 2)."""
        return float(self.n_dimensions * (self.n_dimensions + 2))

    @property
    def mardia_standard_error(self) -> float:
        """Standard error of b2 for a Gaussian: sqrt(8 d (d + 2) / n)."""
        return float(np.sqrt(8 * self.mardia_expected / self.n_samples))

    @property
    def kolmogorov(self) -> float:
        """Largest distance, at the edges, to the chi-squared distribution function."""
        expected = chi2.cdf(self._edges_r2(), self.n_dimensions)
        return float(np.abs(self.histogram.cumulative()[0] - expected).max())

    def quantiles(self, shares: Floats) -> Floats:
        """Return the squared radius below which each share of the rows lies.

        Shares that fall beyond the last edge give the last edge.
        """
        t = np.interp(shares, self.histogram.cumulative()[0], self.histogram.edges)
        return _r2_from_t(t, self.n_dimensions)

    def _edges_r2(self) -> Floats:
        return _r2_from_t(self.histogram.edges, self.n_dimensions)


def _t_from_r2(r2: Floats, n_dimensions: int) -> Floats:
    variance = 2 / (9 * n_dimensions)
    t: Floats = (np.cbrt(r2 / n_dimensions) - 1 + variance) / np.sqrt(variance)
    return t


def _r2_from_t(t: Floats, n_dimensions: int) -> Floats:
    variance = 2 / (9 * n_dimensions)
    root = 1 - variance + t * np.sqrt(variance)
    r2: Floats = n_dimensions * np.maximum(root, 0.0) ** 3
    return r2
