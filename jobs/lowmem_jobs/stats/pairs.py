"""Streaming cross moments of all pairs of features, and Mardia's measures from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping

Floats = NDArray[np.float64]
State = NDArray[np.float64] | NDArray[np.int64]
Indices = NDArray[np.int64]

# Where 1 - rho^2 is smaller, two features are one and the same as far as float32 data
# can tell: their joint measures divide by this number and would be noise.
DEGENERATE = 1e-6


# The fields that are arrays.
_SUMS = ("p11", "p21", "p22", "p31")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairSums:
    """Sums of products of powers of standardised features.

    Attributes
    ----------
    n_samples
        Number of rows.
    p11, p21, p22, p31 : shape (n_features, n_features)
        ``pab[i, j]`` is the sum of z_i^a z_j^b.
    """

    n_samples: int
    p11: Floats
    p21: Floats
    p22: Floats
    p31: Floats

    @classmethod
    def empty(cls, n_features: int) -> Self:
        """Return the sums of zero rows, the identity of `merge`."""
        zeros = np.zeros((n_features, n_features))
        return cls(n_samples=0, p11=zeros, p21=zeros, p22=zeros, p31=zeros)

    def updated(self, block: Floats) -> PairSums:
        """Return the sums with the rows of ``block`` added.

        Parameters
        ----------
        block : shape (n_samples, n_features)
            Standardised rows: of mean 0 and variance 1 over the *whole* data; 0
            throughout for a constant feature.

        Notes
        -----
        Four matrix products; extra memory two copies of ``block`` and, one after the
        other, two copies of each sum.
        """
        squares = np.square(block)
        return PairSums(
            n_samples=self.n_samples + len(block),
            p11=self.p11 + block.T @ block,
            p21=self.p21 + squares.T @ block,
            p22=self.p22 + squares.T @ squares,
            p31=self.p31 + (squares * block).T @ block,
        )

    def merge(self, other: PairSums) -> PairSums:
        """Return the sums of both sets of rows together."""
        return PairSums(
            n_samples=self.n_samples + other.n_samples,
            p11=self.p11 + other.p11,
            p21=self.p21 + other.p21,
            p22=self.p22 + other.p22,
            p31=self.p31 + other.p31,
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairMeasures:
    """Correlation and Mardia's measures of some pairs, each of shape (n_pairs,).

    Attributes
    ----------
    rho
        Pearson correlation; NaN with a constant feature.
    skewness
        Mardia's b1; for a Gaussian n b1 / 6 follows chi-squared with 4 degrees.
    kurtosis
        Mardia's b2; a Gaussian has 8, with the standard error sqrt(64 / n).
    """

    rho: Floats
    skewness: Floats
    kurtosis: Floats


def pair_measures(sums: PairSums, i: Indices, j: Indices) -> PairMeasures:
    """Return the measures of the pairs ``(i[k], j[k])``.

    Skewness and kurtosis are NaN where a feature is constant or 1 - rho^2 is below
    `DEGENERATE`.

    References
    ----------
    Mardia (1970), Biometrika 57(3):519-530, equations 2.10 and 3.6 written out for two
    standardised variables.
    """
    n = max(sums.n_samples, 1)
    rho = _correlation(sums, i, j)
    rest = 1 - np.square(rho)
    rest = np.where(rest >= DEGENERATE, rest, np.nan)
    return PairMeasures(
        rho=rho,
        skewness=_skewness(sums.p21 / n, rho, i, j) / rest**3,
        kurtosis=_kurtosis(sums, rho, i, j) / n / rest**2,
    )


def _correlation(sums: PairSums, i: Indices, j: Indices) -> Floats:
    power = np.diagonal(sums.p11)
    scale = np.sqrt(power[i] * power[j])
    scale = np.where(scale > 0, scale, np.nan)
    rho: Floats = np.clip(sums.p11[i, j] / scale, -1.0, 1.0)
    return rho


def _skewness(m21: Floats, rho: Floats, i: Indices, j: Indices) -> Floats:
    m30, m03 = m21[i, i], m21[j, j]
    x, y = m21[i, j], m21[j, i]  # mu21 and mu12
    mixed = (
        m30 * (rho * y - x) + m03 * (rho * x - y) - (2 + np.square(rho)) * y * x
    )  # fmt: skip
    value: Floats = (
        np.square(m30)
        + np.square(m03)
        + 3 * (1 + 2 * np.square(rho)) * (np.square(x) + np.square(y))
        - 2 * rho**3 * m30 * m03
        + 6 * rho * mixed
    )
    return value


def _kurtosis(sums: PairSums, rho: Floats, i: Indices, j: Indices) -> Floats:
    value: Floats = (
        sums.p22[i, i]
        + sums.p22[j, j]
        + (2 + 4 * np.square(rho)) * sums.p22[i, j]
        - 4 * rho * (sums.p31[i, j] + sums.p31[j, i])
    )
    return value
