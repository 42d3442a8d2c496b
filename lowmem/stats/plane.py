"""Count the points of one pair of features in the plane where its ellipses are circles.

A pair of standardised features with correlation rho is turned by 45 degrees and scaled:
u = (x + y) / sqrt(2 (1 + rho)), v = (x - y) / sqrt(2 (1 - rho)). There every pair has
unit covariance, so one fixed grid resolves all of them, however correlated; the ellipse
at k sigma is the circle u^2 + v^2 = k^2; a kernel density has one and the same isotropic
kernel. Shares, overlaps and levels of mass are the same in both planes, because the map
is linear. Counting in the (x, y) plane instead would need a finer grid the closer |rho|
is to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float32]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

# The outermost of 256 bins an axis collect what lies beyond; the 254 others span
# +-5 sigma, which leaves 4 points of a million of a Gaussian outside.
HALF_WIDTH = 5.0
N_BINS = 254
BIN_WIDTH = 2 * HALF_WIDTH / N_BINS
_SIDE = N_BINS + 2

# Circles, in sigma, within which points are counted.
COVERAGE_SIGMAS = (2.0, 2.5, 3.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlaneCounts:
    """Points of one pair, on the grid and within the circles.

    Attributes
    ----------
    n_samples
        Number of points.
    grid : shape (256 * 256,)
        Counts by u (slow) and v (fast); the outermost bins hold what lies beyond.
    within : shape (3,)
        Points within each of `COVERAGE_SIGMAS`.
    """

    n_samples: int
    grid: Counts
    within: Counts

    @classmethod
    def of(cls, x: Column, y: Column, rho: float, *, block_rows: int) -> PlaneCounts:
        """Return the counts of the points (x, y).

        Parameters
        ----------
        x, y : shape (n_samples,)
            Two standardised features.
        rho
            Their correlation, within -1 and 1.
        block_rows
            Points handled at once. It bounds the memory, 40 bytes a point, and does
            not change the counts.
        """
        grid = np.zeros(_SIDE * _SIDE, dtype=np.int64)
        within = np.zeros(len(COVERAGE_SIGMAS), dtype=np.int64)
        for start in range(0, len(x), block_rows):
            stop = start + block_rows
            u, v = whitened(x[start:stop], y[start:stop], rho)
            within += _count_within(u, v)
            index = _bin(u).astype(np.uint16)
            index *= _SIDE
            index += _bin(v)
            grid += np.bincount(index, minlength=grid.size)
        return cls(n_samples=len(x), grid=grid, within=within)

    @property
    def coverage(self) -> Floats:
        """Share of the points within each of `COVERAGE_SIGMAS`."""
        return self.within / max(self.n_samples, 1)

    @property
    def interior(self) -> Counts:
        """Counts without the outermost bins, shape (254, 254): by u, then v."""
        return self.grid.reshape(_SIDE, _SIDE)[1:-1, 1:-1]


def whitened(x: Column, y: Column, rho: float) -> tuple[Column, Column]:
    """Return (u, v) of the points (x, y), as new arrays."""
    u, v = x + y, x - y
    u *= np.float32(1 / sqrt(2 * (1 + rho)))
    v *= np.float32(1 / sqrt(2 * (1 - rho)))
    return u, v


def unwhitened(u: Floats, v: Floats, rho: float) -> tuple[Floats, Floats]:
    """Return (x, y) of the points (u, v): the inverse of `whitened`."""
    along, across = sqrt((1 + rho) / 2) * u, sqrt((1 - rho) / 2) * v
    return along + across, along - across


def _count_within(u: Column, v: Column) -> Counts:
    squared = u * u
    squared += v * v
    return np.array(
        [np.count_nonzero(squared <= np.float32(k * k)) for k in COVERAGE_SIGMAS],
        dtype=np.int64,
    )


def _bin(values: Column) -> NDArray[np.uint8]:
    """Return bin numbers 0 to 255; overwrites ``values``."""
    values *= np.float32(1 / BIN_WIDTH)
    values += np.float32(_SIDE / 2)
    # Below the upper edge of the last bin, so that truncation is the floor.
    np.clip(values, 0, _SIDE - 0.5, out=values)
    return values.astype(np.uint8)
