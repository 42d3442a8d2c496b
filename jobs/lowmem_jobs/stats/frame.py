"""The frame in which vectors are drawn and distances measured: principal axes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A value stored as float32 is off by at most 2^-24 of itself; twice that leaves room
# for float64 rounding in a projection.
STORED_PRECISION = 2.0**-23


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrincipalFrame:
    """Principal axes of a distribution: where it lies and how far it reaches.

    Attributes
    ----------
    mean : shape (d,)
        Centre, in units of z.
    eigenvalues : shape (m,)
        Variance along each axis, >= 0 up to rounding; all, m = d, or the leading ones.
    components : shape (m, d)
        Rows are the axes, orthonormal.
    """

    mean: NDArray[np.float64]
    eigenvalues: NDArray[np.float64]
    components: NDArray[np.float64]

    @property
    def dimension(self) -> int:
        """Number of coordinates d of a vector."""
        return len(self.mean)

    @property
    def n_axes(self) -> int:
        """Number of axes m."""
        return len(self.eigenvalues)

    def leading(self, n_axes: int) -> PrincipalFrame:
        """Return the frame of the first axes alone.

        Raises
        ------
        ValueError
            If there are not so many.
        """
        if not 1 <= n_axes <= self.n_axes:
            raise ValueError(f"n_axes must be 1 to {self.n_axes}, got {n_axes}")
        return replace(
            self,
            eigenvalues=self.eigenvalues[:n_axes],
            components=self.components[:n_axes],
        )

    @property
    def scales(self) -> NDArray[np.float64]:
        """Standard deviation along each axis, shape (m,)."""
        return np.sqrt(np.maximum(self.eigenvalues, 0.0))

    @property
    def raw_std(self) -> NDArray[np.float64]:
        """Standard deviation of each raw component of z, shape (d,)."""
        return np.sqrt(np.maximum(self.eigenvalues, 0.0) @ self.components**2)

    def vectors(self, white: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return z, shape (n, d), of whitened coordinates, shape (n, m)."""
        z: NDArray[np.float64] = self.mean + (white * self.scales) @ self.components
        return z

    def white(
        self,
        z: NDArray[np.float32] | NDArray[np.float64],
        *,
        relative_floor: float = 0.0,
    ) -> NDArray[np.float64]:
        """Return whitened coordinates of ``z``, shape (n, m).

        Parameters
        ----------
        z : shape (n, d)
            Vectors, in units of the mean.
        relative_floor
            Eigenvalues below this share of the largest count as that much, so that
            axes along which nothing varies do not turn rounding into distance.
        """
        along = (np.asarray(z, np.float64) - self.mean) @ self.components.T
        return self._divided(along, relative_floor)

    def least_along(self, z: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the smallest magnitudes along each axis that the stored ``z`` allow.

        Storing z as float32 moves it a little. What this returns, shape (n, m), exceeds
        a bound only if the vector did so before it was stored.
        """
        wide = np.asarray(z, np.float64)
        along = np.abs((wide - self.mean) @ self.components.T)
        moved = STORED_PRECISION * (np.abs(wide) @ np.abs(self.components).T)
        least: NDArray[np.float64] = np.maximum(along - moved, 0.0)
        return least

    def least_white(self, z: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return `least_along` in standard deviations, shape (n, m).

        Along an axis of small variance, what float32 moves is many of them.
        """
        return self._divided(self.least_along(z), 0.0)

    def _divided(
        self, along: NDArray[np.float64], relative_floor: float
    ) -> NDArray[np.float64]:
        floor = relative_floor * max(float(self.eigenvalues.max()), 0.0)
        scales = np.sqrt(np.maximum(self.eigenvalues, floor))
        return np.divide(along, scales, out=np.zeros_like(along), where=scales > 0)
