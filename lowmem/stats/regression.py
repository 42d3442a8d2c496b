"""How much of some targets a linear map of whitened rows recovers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping

Floats = NDArray[np.float64]

_SUMS = ("products", "total", "squares")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearFit:
    """Sums from which the best linear map follows; whitened rows need no equations.

    Attributes
    ----------
    n_samples
        Number of rows.
    products : shape (d, n_targets)
        Sum of x_i t_k.
    total, squares : shape (n_targets,)
        Sums of t_k and of its square, of targets whose mean is near 0.
    """

    n_samples: int
    products: Floats
    total: Floats
    squares: Floats

    @classmethod
    def empty(cls, n_features: int, n_targets: int) -> Self:
        """Return the sums of zero rows."""
        zeros = np.zeros(n_targets)
        products = np.zeros((n_features, n_targets))
        return cls(n_samples=0, products=products, total=zeros, squares=zeros)

    def updated(self, white: Floats, targets: Floats) -> LinearFit:
        """Return the sums with more rows.

        Parameters
        ----------
        white : shape (n_samples, d)
            Whitened rows: of mean 0 and unit covariance over the *whole* data, or 0
            along an axis without spread.
        targets : shape (n_samples, n_targets)
            What is to be recovered, about a fixed centre near the mean.
        """
        return LinearFit(
            n_samples=self.n_samples + len(white),
            products=self.products + white.T @ targets,
            total=self.total + targets.sum(axis=0),
            squares=self.squares + np.square(targets).sum(axis=0),
        )

    def arrays(self) -> dict[str, Floats | NDArray[np.int64]]:
        """Return the state as named arrays; `from_arrays` is the inverse."""
        values = {name: getattr(self, name) for name in _SUMS}
        return {"n_samples": np.array(self.n_samples), **values}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the state that `arrays` described."""
        values = {name: np.asarray(arrays[name], dtype=np.float64) for name in _SUMS}
        return cls(n_samples=int(arrays["n_samples"].item()), **values)

    @property
    def r_squared(self) -> Floats:
        """Share of each target's variance that the best map recovers, (n_targets,).

        NaN for a constant target. In sample: of n rows without any relation it is d / n.
        """
        n = max(self.n_samples, 1)
        variance = self.squares / n - np.square(self.total / n)
        recovered = np.square(self.products / n).sum(axis=0)
        rounding = np.finfo(np.float64).eps * n * self.squares / n
        has_spread = variance > rounding
        share = np.divide(
            recovered, variance, out=np.full_like(variance, np.nan), where=has_spread
        )
        return np.asarray(np.minimum(share, 1.0))
