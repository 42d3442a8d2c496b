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
from scipy.sparse import csc_array

Column = NDArray[np.float32]
Counts = NDArray[np.int64]
Packed = NDArray[np.uint64]
Floats = NDArray[np.float64]

# The outermost of 256 bins an axis collect what lies beyond; the 254 others span
# +-6 sigma. A density is wanted within +-5: its kernels reach for points beyond.
REACH = 6.0
N_BINS = 254
BIN_WIDTH = 2 * REACH / N_BINS
_SIDE = N_BINS + 2

# Circles, in sigma, within which points are counted.
COVERAGE_SIGMAS = (2.0, 2.5, 3.0)

# One number of 64 bits a bin holds three sums: how many points, and where in the bin they
# lie along u and along v, in 1/32 of its width. Fewer than 2^18 points overflow neither
# these 23 bits nor the 18 that are left above them for their number.
_FIELD_BITS = 23
_COUNT_BITS = 64 - 2 * _FIELD_BITS
_PART_BITS = 5
_N_PARTS = 2**_PART_BITS
_MOST_ROWS = 2**_COUNT_BITS - 1
_COUNT_MASK = 2**_COUNT_BITS - 1
_MASK = 2**_FIELD_BITS - 1

# All but the outermost bins.
_INNER = (slice(1, -1), slice(1, -1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlaneCounts:
    """Points of one pair, on the grid and within the circles.

    Attributes
    ----------
    n_samples
        Number of points.
    counts : shape (256, 256)
        Points by u, then v; the outermost bins hold what lies beyond.
    along_u, along_v : shape (256, 256)
        Sums of the points' distances from the lower edge of their bin, in 1/32 of its
        width, rounded down.
    within : shape (3,)
        Points within each of `COVERAGE_SIGMAS`.
    """

    n_samples: int
    counts: Counts
    along_u: Counts
    along_v: Counts
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
            Points handled at once. It bounds the memory, 29 bytes a point, and does
            not change the counts.
        """
        return PlaneCounter(min(block_rows, len(x))).count(x, y, rho)

    @classmethod
    def empty(cls) -> PlaneCounts:
        """Return the counts of zero points, the identity of `merge`."""
        grids = np.zeros((3, _SIDE, _SIDE), dtype=np.int64)
        within = np.zeros(len(COVERAGE_SIGMAS), dtype=np.int64)
        return cls(
            n_samples=0,
            counts=grids[0],
            along_u=grids[1],
            along_v=grids[2],
            within=within,
        )

    def merge(self, other: PlaneCounts) -> PlaneCounts:
        """Return the counts of both sets of points together, exactly."""
        return PlaneCounts(
            n_samples=self.n_samples + other.n_samples,
            counts=self.counts + other.counts,
            along_u=self.along_u + other.along_u,
            along_v=self.along_v + other.along_v,
            within=self.within + other.within,
        )

    @property
    def coverage(self) -> Floats:
        """Share of the points within each of `COVERAGE_SIGMAS`."""
        return self.within / max(self.n_samples, 1)

    def masses(self) -> NDArray[np.float32]:
        """Return masses at the centres of the bins that stand for the points.

        Returns
        -------
        masses : shape (254, 254)
            By u, then v. They sum to the points within the reach, but for the edges.

        Notes
        -----
        A point at the distance t (in bins) from the centre of its bin is a mass of 1
        there, t / 2 in the next bin and -t / 2 in the one before, along both axes: its
        mean is exact. Its variance is too small by t^2, on average 1/12 of a squared
        bin. Nearest binning, without the shifts, errs by t itself.
        """
        counts = self.counts[_INNER].astype(np.float32)
        # From the lower edge to the centre; and a floor lacks half a part on average.
        offset = counts * np.float32(0.5 * (0.5 - 0.5 / _N_PARTS))
        shift = _half_shifts(self.along_u, offset)
        counts[1:] += shift[:-1]
        counts[:-1] -= shift[1:]
        shift = _half_shifts(self.along_v, offset)
        counts[:, 1:] += shift[:, :-1]
        counts[:, :-1] -= shift[:, 1:]
        return counts


def _half_shifts(along: Counts, offset: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return half the sum of t of each bin but the outermost ones."""
    shift = along[_INNER].astype(np.float32)
    shift *= np.float32(0.5 / _N_PARTS)
    shift -= offset
    return shift


class PlaneCounter:
    """Counts pair after pair in arrays that are written again for every one.

    New arrays of this size come from the system each time, and the page faults cost
    more than the arithmetic. One counter serves one thread.

    Parameters
    ----------
    block_rows
        Points handled at once.
    """

    def __init__(self, block_rows: int) -> None:
        self._block_rows = max(block_rows, 1)
        self._scratch = _Scratch(self._block_rows)

    def count(self, x: Column, y: Column, rho: float) -> PlaneCounts:
        """Return the counts of one pair, see `PlaneCounts.of`."""
        grids, within = self._count(x[:_MOST_ROWS], y[:_MOST_ROWS], rho)
        for first in range(_MOST_ROWS, len(x), _MOST_ROWS):
            part = slice(first, first + _MOST_ROWS)
            more, more_within = self._count(x[part], y[part], rho)
            grids += more
            within += more_within
        counts, along_u, along_v = grids
        return PlaneCounts(
            n_samples=len(x),
            counts=counts,
            along_u=along_u,
            along_v=along_v,
            within=within,
        )

    def _count(self, x: Column, y: Column, rho: float) -> tuple[Counts, Counts]:
        """Return the grids and what is within, of points that overflow no field."""
        within = np.zeros(len(COVERAGE_SIGMAS), dtype=np.int64)
        packed = np.zeros(_SIDE * _SIDE, dtype=np.uint64)
        for start in range(0, len(x), self._block_rows):
            stop = min(start + self._block_rows, len(x))
            scratch = self._scratch.of_length(stop - start)
            scratch.whiten(x[start:stop], y[start:stop], rho)
            within += scratch.count_within()
            packed += scratch.packed()
        return _unpacked(packed), within


def _unpacked(packed: Packed) -> Counts:
    """Return the packed sums as grids: counts, along u, along v."""
    grids = np.empty((3, _SIDE, _SIDE), dtype=np.uint64)
    fields = ((2 * _FIELD_BITS, _COUNT_MASK), (_FIELD_BITS, _MASK), (0, _MASK))
    for grid, (shift, mask) in zip(grids, fields, strict=True):
        np.right_shift(packed.reshape(grid.shape), np.uint64(shift), out=grid)
        np.bitwise_and(grid, np.uint64(mask), out=grid)
    return grids.view(np.int64)


def whitened(x: Column, y: Column, rho: float) -> tuple[Column, Column]:
    """Return (u, v) of the points (x, y), as new arrays."""
    scratch = _Scratch(len(x))
    scratch.whiten(x, y, rho)
    return scratch.u, scratch.v


def unwhitened(u: Floats, v: Floats, rho: float) -> tuple[Floats, Floats]:
    """Return (x, y) of the points (u, v): the inverse of `whitened`."""
    along, across = sqrt((1 + rho) / 2) * u, sqrt((1 - rho) / 2) * v
    return along + across, along - across


# Bits of a place: the bin above, below them the place in it, of which 5 bits count.
_BIN = 0xFF00
_PART = 0x00F8
_FINE = 8 - _PART_BITS
_ONE_POINT = np.uint64(1 << (2 * _FIELD_BITS))

# The product with a matrix of one column, a point a row's entry, adds up the points of a
# bin: faster than `np.add.at`, and without the interpreter's lock.
_ONES = np.ones(1, dtype=np.uint64)


class _Scratch:
    """Arrays for the points of one block."""

    __slots__ = ("_bins", "_inside", "_place", "_points", "_spare", "u", "v")

    def __init__(self, n_rows: int) -> None:
        self.u, self.v, self._spare = np.empty((3, n_rows), dtype=np.float32)
        self._place, self._bins = np.empty((2, n_rows), dtype=np.int32)
        self._inside = np.empty(n_rows, dtype=np.bool_)
        self._points = np.empty(n_rows, dtype=np.uint64)

    def of_length(self, n_rows: int) -> _Scratch:
        """Return the same arrays for fewer points: a last block may be shorter."""
        if n_rows == len(self.u):
            return self
        shorter = object.__new__(_Scratch)
        for name in self.__slots__:
            setattr(shorter, name, getattr(self, name)[:n_rows])
        return shorter

    def whiten(self, x: Column, y: Column, rho: float) -> None:
        """Set ``u`` and ``v`` to the points (x, y)."""
        np.add(x, y, out=self.u)
        self.u *= np.float32(1 / sqrt(2 * (1 + rho)))
        np.subtract(x, y, out=self.v)
        self.v *= np.float32(1 / sqrt(2 * (1 - rho)))

    def count_within(self) -> Counts:
        """Return how many points lie within each of `COVERAGE_SIGMAS`."""
        squared = np.multiply(self.u, self.u, out=self._spare)
        squared += np.multiply(self.v, self.v, out=self._place.view(np.float32))
        within = np.empty(len(COVERAGE_SIGMAS), dtype=np.int64)
        for number, k in enumerate(COVERAGE_SIGMAS):
            np.less_equal(squared, np.float32(k * k), out=self._inside)
            within[number] = np.count_nonzero(self._inside)
        return within

    def packed(self) -> Packed:
        """Return the points as packed sums, by bin; ``u`` and ``v`` are lost."""
        part, place, bins = self._spare.view(np.int32), self._place, self._bins
        _place(self.u, out=place)
        np.bitwise_and(place, _BIN, out=bins)
        np.bitwise_and(place, _PART, out=part)
        part <<= _FIELD_BITS - _FINE
        _place(self.v, out=place)
        bins |= np.right_shift(place, 8, out=self.u.view(np.int32))
        place &= _PART
        place >>= _FINE
        part |= place
        np.copyto(self._points, part, casting="unsafe")
        self._points |= _ONE_POINT
        ends = np.array([0, len(bins)], dtype=np.int32)
        sums = csc_array((self._points, bins, ends), shape=(_SIDE * _SIDE, 1))
        packed: Packed = sums @ _ONES
        return packed


def _place(values: Column, *, out: NDArray[np.int32]) -> None:
    """Set ``out`` to bin numbers 0 to 255 times 256, plus the place in it, 0 to 255."""
    values *= np.float32(256 / BIN_WIDTH)
    values += np.float32(256 * _SIDE / 2)
    # Below the upper edge of the last bin, so that truncation is the floor.
    np.clip(values, 0, 256 * _SIDE - 1, out=values)
    np.copyto(out, values, casting="unsafe")
