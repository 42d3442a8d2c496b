"""Kernel density of one pair of features, its contours, and how elliptic they are.

The estimate is that of `scipy.stats.gaussian_kde` with Scott's bandwidth, from binned
points. In the plane of `lowmem.stats.plane` its kernel is isotropic, so it is separable:
the smoothed grid is K C K^T with one small matrix K for all pairs. Two matrix products
need neither the padding nor the periodic edges of a Fourier transform, and evaluate the
density wherever it is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lowmem.stats.ellipses import mass_within
from lowmem.stats.plane import BIN_WIDTH, HALF_WIDTH, N_BINS, PlaneCounts

Floats = NDArray[np.float64]
Grid = NDArray[np.float32]

# Cells of the density an axis: two bins each.
N_CELLS = N_BINS // 2
CELL_WIDTH = 2 * BIN_WIDTH


@dataclass(frozen=True, kw_only=True)
class Smoother:
    """Turns counts of ``n_samples`` points into densities; shared by all pairs.

    Attributes
    ----------
    n_samples
        Number of points, which sets the bandwidth.
    """

    n_samples: int

    @property
    def bandwidth(self) -> float:
        """Scott's bandwidth in two dimensions, in sigma: n^(-1/6)."""
        return float(self.n_samples ** (-1 / 6))

    @property
    def centres(self) -> Floats:
        """Centres of the cells along one axis, in sigma, shape (127,)."""
        centres: Floats = CELL_WIDTH * (np.arange(N_CELLS, dtype=np.float64) + 0.5)
        return centres - HALF_WIDTH

    @cached_property
    def kernel(self) -> Grid:
        """The matrix K, shape (127, 254): weight of each bin in each cell.

        Binning has spread every point by w^2 / 12 already; the kernel makes up the rest
        of the bandwidth.
        """
        bins = BIN_WIDTH * (np.arange(N_BINS) + 0.5) - HALF_WIDTH
        variance = max(self.bandwidth**2 - BIN_WIDTH**2 / 12, (BIN_WIDTH / 2) ** 2)
        distance = self.centres[:, None] - bins
        weights = np.exp(-0.5 * np.square(distance) / variance)
        weights /= np.sqrt(2 * np.pi * variance)
        return weights.astype(np.float32)

    def density(self, counts: PlaneCounts) -> Grid:
        """Return the density at the cell centres, shape (127, 127): by u, then v.

        Notes
        -----
        In units of 1 / sigma^2 of the whitened plane. Points beyond the grid count in
        the total, so the density integrates to the share within it.
        """
        grid = counts.interior.astype(np.float32)
        density: Grid = np.matmul(np.matmul(self.kernel, grid), self.kernel.T)
        density /= np.float32(counts.n_samples)
        return density

    def disc(self, k: float) -> NDArray[np.bool_]:
        """Return which cells lie in the ``k`` sigma region of a smoothed Gaussian.

        Smoothing widens the covariance S to S (1 + h^2); a contour is to be compared
        with the ellipse of that, or even a perfect Gaussian would look too fat.
        """
        squares = np.square(self.centres)
        radius2 = k**2 * (1 + self.bandwidth**2)
        inside: NDArray[np.bool_] = squares[:, None] + squares <= radius2
        return inside

    def contour_iou(self, density: Grid, k: float) -> float:
        """Return the overlap of contour and ellipse that hold the same mass.

        Parameters
        ----------
        density : shape (127, 127)
            From `density`.
        k
            Sigma of the ellipse; the contour is that of mass 1 - exp(-k^2 / 2).

        Returns
        -------
        iou
            Area of the intersection over area of the union, 0 to 1.
        """
        disc = self.disc(k)
        region = density >= level_of_mass(density, mass_within(k))
        return float((region & disc).sum() / (region | disc).sum())


def level_of_mass(density: Grid, mass: float) -> float:
    """Return the density above which lies ``mass``: the highest-density region.

    Where the grid holds less than ``mass``, the smallest density on it.
    """
    falling = np.sort(density, axis=None)[::-1]
    held = np.cumsum(falling, dtype=np.float64) * CELL_WIDTH**2
    return float(falling[min(int(np.searchsorted(held, mass)), falling.size - 1)])
