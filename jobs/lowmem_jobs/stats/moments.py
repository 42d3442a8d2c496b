"""Streaming moments to the fourth order, with the full covariance.

Rows are summed about the mean of their own block, in float64, and blocks are merged by
exact update formulas; the raw sums of powers, which cancel, are never formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping

Floats = NDArray[np.float64]
State = NDArray[np.float64] | NDArray[np.int64]
Rows = NDArray[np.float32] | NDArray[np.float64]


# The fields that are arrays.
_SUMS = ("mean", "m2", "m3", "m4", "minimum", "maximum")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """Count, mean and central sums of the rows seen so far.

    Attributes
    ----------
    n_samples
        Number of rows.
    mean : shape (n_features,)
        Mean of each feature, in the units of the data.
    m2 : shape (n_features, n_features)
        Sum of products of deviations from ``mean``.
    m3, m4 : shape (n_features,)
        Sums of third and fourth powers of deviations.
    minimum, maximum : shape (n_features,)
        Extremes; infinite where no row was seen.
    """

    n_samples: int
    mean: Floats
    m2: Floats
    m3: Floats
    m4: Floats
    minimum: Floats
    maximum: Floats

    @classmethod
    def empty(cls, n_features: int) -> Self:
        """Return the moments of zero rows, the identity of `merge`."""
        zeros = np.zeros(n_features)
        return cls(
            n_samples=0,
            mean=zeros,
            m2=np.zeros((n_features, n_features)),
            m3=zeros,
            m4=zeros,
            minimum=np.full(n_features, np.inf),
            maximum=np.full(n_features, -np.inf),
        )

    @classmethod
    def of(cls, block: Rows) -> Self:
        """Return the moments of one block, by the two-pass algorithm.

        Parameters
        ----------
        block : shape (n_samples, n_features)
            Rows of finite values; summed in float64 whatever their type.

        Notes
        -----
        Peak extra memory: three float64 copies of ``block`` and one of ``m2``.
        """
        if not len(block):
            return cls.empty(block.shape[1])
        mean = block.mean(axis=0, dtype=np.float64)
        centred = block - mean
        # What rounding left of the mean: it matters when the mean is 1e8 deviations.
        rest = centred.mean(axis=0)
        centred -= rest
        squares = np.square(centred)
        return cls(
            n_samples=len(block),
            mean=mean + rest,
            m2=centred.T @ centred,
            m3=np.einsum("ij,ij->j", squares, centred),
            m4=np.einsum("ij,ij->j", squares, squares),
            minimum=block.min(axis=0).astype(np.float64),
            maximum=block.max(axis=0).astype(np.float64),
        )

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both sets of rows together.

        Raises
        ------
        ValueError
            If the two states have different numbers of features.

        References
        ----------
        Chan, Golub & LeVeque (1983), The American Statistician 37(3):242-247, for the
        second order. Pebay (2008), Sandia report SAND2008-6212, equations 3.1
        (third and fourth order, two sets).
        """
        if self.mean.shape != other.mean.shape:
            raise ValueError(
                f"other must have {self.mean.size} features, got {other.mean.size}"
            )
        if not (self.n_samples and other.n_samples):
            return self if self.n_samples else other
        n_a, n_b = self.n_samples, other.n_samples
        n = n_a + n_b
        delta = other.mean - self.mean
        m2 = np.outer(delta * (n_a * n_b / n), delta)
        m2 += self.m2
        m2 += other.m2
        return Moments(
            n_samples=n,
            mean=self.mean + delta * (n_b / n),
            m2=m2,
            m3=_merged_m3(self, other, delta),
            m4=_merged_m4(self, other, delta),
            minimum=np.minimum(self.minimum, other.minimum),
            maximum=np.maximum(self.maximum, other.maximum),
        )

    def arrays(self) -> dict[str, State]:
        """Return the state as named arrays; `from_arrays` is the inverse."""
        values = {name: getattr(self, name) for name in _SUMS}
        return {"n_samples": np.array(self.n_samples), **values}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, State]) -> Self:
        """Return the state that `arrays` described."""
        values = {name: np.asarray(arrays[name], dtype=np.float64) for name in _SUMS}
        return cls(n_samples=int(arrays["n_samples"]), **values)

    @property
    def covariance(self) -> Floats:
        """Covariance with the divisor n - 1, shape (n_features, n_features).

        NaN where fewer than two rows were seen.
        """
        if self.n_samples < 2:  # noqa: PLR2004 - no spread without two rows
            return np.full_like(self.m2, np.nan)
        return self.m2 / (self.n_samples - 1)

    @property
    def deviation(self) -> Floats:
        """Standard deviation with the divisor n, shape (n_features,); 0 if constant.

        Notes
        -----
        A feature counts as constant when its extremes are equal, so that rounding in
        the mean of a large constant is not taken for spread.
        """
        spread = np.sqrt(np.diagonal(self.m2) / max(self.n_samples, 1))
        return np.where(self.maximum > self.minimum, spread, 0.0)

    @property
    def correlation(self) -> Floats:
        """Pearson correlation; NaN in the rows and columns of constant features."""
        scale = _inverse(self.deviation * np.sqrt(max(self.n_samples, 1)))
        matrix = self.m2 * scale
        matrix *= scale[:, None]
        np.clip(matrix, -1.0, 1.0, out=matrix)
        return matrix

    @property
    def skewness(self) -> Floats:
        """Third standardised moment g1 (divisor n); NaN for constant features."""
        inverse = _inverse(self.deviation)
        return self.m3 / max(self.n_samples, 1) * inverse**3

    @property
    def kurtosis(self) -> Floats:
        """Excess kurtosis g2 (divisor n; Gaussian 0); NaN for constant features."""
        inverse = _inverse(self.deviation)
        return self.m4 / max(self.n_samples, 1) * inverse**4 - 3.0


def _inverse(values: Floats) -> Floats:
    """Return 1 / values, NaN where a value is 0."""
    return np.divide(1.0, values, out=np.full_like(values, np.nan), where=values > 0)


def _merged_m3(a: Moments, b: Moments, delta: Floats) -> Floats:
    n_a, n_b = a.n_samples, b.n_samples
    n = n_a + n_b
    between = delta**3 * (n_a * n_b * (n_a - n_b) / n**2)
    crossed = 3 * delta * (n_a * np.diagonal(b.m2) - n_b * np.diagonal(a.m2)) / n
    return a.m3 + b.m3 + between + crossed


def _merged_m4(a: Moments, b: Moments, delta: Floats) -> Floats:
    n_a, n_b = a.n_samples, b.n_samples
    n = n_a + n_b
    between = delta**4 * (n_a * n_b * (n_a**2 - n_a * n_b + n_b**2) / n**3)
    spread = n_a**2 * np.diagonal(b.m2) + n_b**2 * np.diagonal(a.m2)
    crossed = 6 * delta**2 * spread / n**2 + 4 * delta * (n_a * b.m3 - n_b * a.m3) / n
    return a.m4 + b.m4 + between + crossed
