"""Kernel density of one pair of features, its contours, and how elliptic they are.

The estimate is that of `scipy.stats.gaussian_kde` with Scott's bandwidth, from binned
points. In the plane of `lowmem_jobs.stats.plane` its kernel is isotropic, so it is separable:
the smoothed grid is K C K^T with one small matrix K for all pairs, which is zero but for
a band. Products of matrices need neither the padding nor the periodic edges of a Fourier
transform, and evaluate the density wherever it is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import atan2, copysign, degrees, sqrt

import numpy as np
from numpy.typing import NDArray

from lowmem_jobs.stats.ellipses import mass_within
from lowmem_jobs.stats.plane import BIN_WIDTH, N_BINS, REACH, PlaneCounts

Floats = NDArray[np.float64]
Grid = NDArray[np.float32]

# The cells of the density: 128 an axis over +-5 sigma, which leaves 4 points of a
# million of a Gaussian outside.
HALF_WIDTH = 5.0
N_CELLS = 128
CELL_WIDTH = 2 * HALF_WIDTH / N_CELLS

# Weights below this share of the largest are lost beside it in float32.
_LEAST_WEIGHT = 2.0**-26
# Cells whose weights are one matrix: of 10^5 points a third of K is left.
_BAND_CELLS = 32

# Sigma of the ellipse with which the contour of the same mass is compared.
CONTOUR_SIGMA = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How near to elliptic a density is; contour and ellipse hold the same mass.

    Attributes
    ----------
    contour_iou
        Overlap of both: area of the intersection over that of the union, 0 to 1.
    contour_offset
        Distance of their centres in the whitened plane: in sigma.
    contour_angle
        Angle between their long axes in the plane of the standardised features, -90 to
        90 degrees; means little where rho is near 0 and the ellipse is nearly a circle.
    total_variation
        Half the integral of |density - Gaussian| over the cells, 0 to 1.
    """

    contour_iou: float
    contour_offset: float
    contour_angle: float
    total_variation: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Band:
    """Rows of the kernel's matrix, without the bins out of their cells' reach."""

    cells: slice
    bins: slice
    weights: Grid


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
        """Centres of the cells along one axis, in sigma, shape (128,)."""
        centres: Floats = CELL_WIDTH * (np.arange(N_CELLS, dtype=np.float64) + 0.5)
        return centres - HALF_WIDTH

    @cached_property
    def kernel(self) -> Grid:
        """The matrix K, shape (128, 254): weight of each bin in each cell.

        The masses in the bins spread by w^2 / 12 less than the points they stand for;
        the kernel adds that to the bandwidth.
        """
        bins = BIN_WIDTH * (np.arange(N_BINS) + 0.5) - REACH
        variance = self.bandwidth**2 + BIN_WIDTH**2 / 12
        distance = self.centres[:, None] - bins
        weights = np.exp(-0.5 * np.square(distance) / variance)
        weights /= np.sqrt(2 * np.pi * variance)
        return weights.astype(np.float32)

    @cached_property
    def _bands(self) -> tuple[_Band, ...]:
        """The parts of K that are not zero, each some rows of it."""
        is_near = self.kernel > _LEAST_WEIGHT * self.kernel.max()
        bands = []
        for start in range(0, N_CELLS, _BAND_CELLS):
            cells = slice(start, start + _BAND_CELLS)
            near = np.flatnonzero(is_near[cells].any(axis=0))
            bins = slice(near[0], near[-1] + 1)
            weights = np.ascontiguousarray(self.kernel[cells, bins])
            bands.append(_Band(cells=cells, bins=bins, weights=weights))
        return tuple(bands)

    @cached_property
    def gaussian(self) -> Grid:
        """What the density of a Gaussian would be, smoothed alike, shape (128, 128)."""
        variance = 1 + self.bandwidth**2
        along = np.exp(-0.5 * np.square(self.centres) / variance)
        density = np.outer(along, along) / (2 * np.pi * variance)
        return density.astype(np.float32)

    def density(self, counts: PlaneCounts) -> Grid:
        """Return the density at the cell centres, shape (128, 128): by u, then v.

        Notes
        -----
        In units of 1 / sigma^2 of the whitened plane. All points count in the total,
        so the density integrates to the share within the cells. It differs from that of
        `scipy.stats.gaussian_kde` by less than 2e-3 of the peak for 10^3 to 10^6 points.
        """
        masses = counts.masses()
        along_u = np.empty((N_CELLS, N_BINS), dtype=np.float32)
        density: Grid = np.empty((N_CELLS, N_CELLS), dtype=np.float32)
        for band in self._bands:
            np.matmul(band.weights, masses[band.bins], out=along_u[band.cells])
        for band in self._bands:
            np.matmul(along_u[:, band.bins], band.weights.T, out=density[:, band.cells])
        density /= np.float32(counts.n_samples)
        return density

    def scores(self, density: Grid, rho: float) -> Scores:
        """Return how near to a Gaussian's the density and its 2 sigma contour are.

        Parameters
        ----------
        density : shape (128, 128)
            From `density`.
        rho
            Correlation of the pair.
        """
        region = density >= level_of_mass(density, mass_within(CONTOUR_SIGMA))
        disc = self._contour_disc
        away = np.abs(density - self.gaussian).sum(dtype=np.float64)
        centre, spread = self._moments(region)
        return Scores(
            contour_iou=_overlap(region, disc),
            contour_offset=float(np.hypot(*centre)),
            contour_angle=_turn(spread, rho),
            total_variation=float(away) * CELL_WIDTH**2 / 2,
        )

    @cached_property
    def _contour_disc(self) -> NDArray[np.bool_]:
        """What `disc` is for the contour; every pair is compared with it."""
        return self.disc(CONTOUR_SIGMA)

    @cached_property
    def _powers(self) -> Floats:
        """Powers 0, 1 and 2 of the centres, shape (3, 128)."""
        return np.stack([np.ones(N_CELLS), self.centres, self.centres**2])

    def _moments(self, region: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Return centre and covariance of a region of the whitened plane."""
        powers = self._powers
        # Sums of u^a v^b over the region, [a, b].
        sums = powers @ (region.astype(np.float32) @ powers.T.astype(np.float32))
        sums = sums / sums[0, 0]
        centre = np.array([sums[1, 0], sums[0, 1]])
        second = np.array([[sums[2, 0], sums[1, 1]], [sums[1, 1], sums[0, 2]]])
        return centre, second - np.outer(centre, centre)

    def disc(self, k: float) -> NDArray[np.bool_]:
        """Return which cells lie in the ``k`` sigma region of a smoothed Gaussian.

        Smoothing widens the covariance S to S (1 + h^2); a contour is to be compared
        with the ellipse of that, or even a perfect Gaussian would look too fat.
        """
        squares = np.square(self.centres)
        radius2 = k**2 * (1 + self.bandwidth**2)
        inside: NDArray[np.bool_] = squares[:, None] + squares <= radius2
        return inside


def _overlap(region: NDArray[np.bool_], disc: NDArray[np.bool_]) -> float:
    """Return the area of the intersection over that of the union, 0 to 1."""
    return float(np.count_nonzero(region & disc) / np.count_nonzero(region | disc))


def _turn(spread: Floats, rho: float) -> float:
    """Return the angle from the ellipse's long axis to that of a region, in degrees.

    Parameters
    ----------
    spread : shape (2, 2)
        Covariance of the region in the whitened plane.
    rho
        Correlation of the pair; its ellipse lies at 45 degrees, or at -45.
    """
    rest = sqrt(1 - rho**2)
    xx, uv, vv = spread[0, 0], spread[0, 1], spread[1, 1]
    xy = rho * xx + rest * uv
    yy = rho**2 * xx + 2 * rho * rest * uv + rest**2 * vv
    angle = degrees(atan2(2 * xy, xx - yy)) / 2 - copysign(45, rho)
    return (angle + 90) % 180 - 90


def level_of_mass(density: Grid, mass: float) -> float:
    """Return the density above which lies ``mass``: the highest-density region.

    Where the grid holds less than ``mass``, the smallest density on it.

    Notes
    -----
    Sorting is half the cost of a pair's scores, so only the cells above a fiftieth of
    the peak are sorted: of a Gaussian, those within 2.8 sigma, a quarter of the grid.
    The others come into it only if these do not hold the mass.
    """
    level = _level_among(density[density > density.max() / 50], mass)
    if level is None:
        level = _level_among(density.ravel(), mass)
    return float(density.min()) if level is None else level


def _level_among(cells: Grid, mass: float) -> float | None:
    """Return the level if the ``cells``, the highest of the grid, hold the mass."""
    falling = np.sort(cells)[::-1]
    held = np.cumsum(falling, dtype=np.float64) * CELL_WIDTH**2
    place = int(np.searchsorted(held, mass))
    return float(falling[place]) if place < falling.size else None
