"""Count the points of one pair of features in the plane where its ellipses are circles.

A pair of standardised features with correlation rho is sheared: u = x and
v = (y - rho x) / sqrt(1 - rho^2). There every pair has unit covariance, so one fixed grid
resolves all of them, however correlated; the ellipse at k sigma is the circle
u^2 + v^2 = k^2; a kernel density has one and the same isotropic kernel. Shares, overlaps
and levels of mass are the same in both planes, because the map is linear. Counting in the
(x, y) plane instead would need a finer grid the closer |rho| is to 1. Of the maps that
do this, differing by a rotation, this one leaves x as it is: what is to be known of u is
worked out once for all pairs of x.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

Column = NDArray[np.float32]
Counts = NDArray[np.int32] | NDArray[np.int64]
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
_MASK = 2**_FIELD_BITS - 1


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
            Points handled at once. It bounds the memory, 31 bytes a point, and does
            not change the counts.
        """
        counter = PlaneCounter(min(block_rows, len(x)))
        counter.along(x)
        return counter.count(y, rho)

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
        counts = _inner(self.counts)
        # From the lower edge to the centre; and a floor lacks half a part on average.
        offset = counts * np.float32(0.5 * (0.5 - 0.5 / _N_PARTS))
        # The bins along v are neighbours in memory, those along u lie a row apart; no
        # mass goes from the end of a row to the next, as the outermost bins hold none.
        masses = counts.ravel()
        for along, step in ((self.along_u, _SIDE), (self.along_v, 1)):
            shift = _inner(along)
            shift *= np.float32(0.5 / _N_PARTS)
            shift -= offset
            moved = shift.ravel()
            masses[step:] += moved[:-step]
            masses[:-step] -= moved[step:]
        return counts[1:-1, 1:-1]


def _inner(grid: Counts) -> NDArray[np.float32]:
    """Return a grid whose outermost bins are empty."""
    inner = grid.astype(np.float32)
    inner[[0, -1]] = 0
    inner[:, [0, -1]] = 0
    return inner


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
        self._x: Column = np.empty(0, dtype=np.float32)
        self._taken: int | None = None

    def along(self, x: Column) -> None:
        """Set the first feature of the pairs to come, shape (n_samples,)."""
        self._x, self._taken = x, None

    def count(self, y: Column, rho: float) -> PlaneCounts:
        """Return the counts of the pair with ``y``, see `PlaneCounts.of`."""
        n_samples = len(y)
        starts = range(0, max(n_samples, 1), _MOST_ROWS)
        grids, within = self._count(slice(0, min(_MOST_ROWS, n_samples)), y, rho)
        for start in starts[1:]:
            part = slice(start, min(start + _MOST_ROWS, n_samples))
            more, more_within = self._count(part, y, rho)
            # Sums of parts may overflow 32 bits.
            grids = np.add(grids, more, dtype=np.int64)
            within += more_within
        counts, along_u, along_v = grids
        return PlaneCounts(
            n_samples=n_samples,
            counts=counts,
            along_u=along_u,
            along_v=along_v,
            within=within,
        )

    def _count(self, part: slice, y: Column, rho: float) -> tuple[Counts, Counts]:
        """Return the grids and what is within, of points that overflow no field."""
        within = np.zeros(len(COVERAGE_SIGMAS), dtype=np.int64)
        packed = np.zeros(_SIDE * _SIDE, dtype=np.uint64)
        for start in range(part.start, part.stop, self._block_rows):
            rows = slice(start, min(start + self._block_rows, part.stop))
            scratch = self._scratch.of_length(rows.stop - start)
            x = self._x[rows]
            if self._taken != start:
                scratch.take(x)
                self._taken = start
            scratch.place(x, y[rows], rho)
            within += scratch.count_within()
            packed += scratch.packed()
        return _unpacked(packed), within


def _unpacked(packed: Packed) -> Counts:
    """Return the packed sums as grids: counts, along u, along v."""
    grids = np.empty((3, _SIDE * _SIDE), dtype=np.uint32)
    words = packed.view(_HALVES)
    np.right_shift(words[1::2], 2 * _FIELD_BITS - 32, out=grids[0])
    grids[1] = (packed >> np.uint64(_FIELD_BITS)).view(_HALVES)[::2]
    grids[1] &= _MASK
    np.bitwise_and(words[::2], _MASK, out=grids[2])
    return grids.reshape(3, _SIDE, _SIDE).view(np.int32)


def whitened(x: Floats, y: Floats, rho: float) -> tuple[Floats, Floats]:
    """Return (u, v) of the points (x, y)."""
    return x, (y - rho * x) / sqrt(1 - rho**2)


def unwhitened(u: Floats, v: Floats, rho: float) -> tuple[Floats, Floats]:
    """Return (x, y) of the points (u, v): the inverse of `whitened`."""
    return u, rho * u + sqrt(1 - rho**2) * v


# A place along an axis is a number of 16 bits: the bin, and below it the place in the
# bin, of which the upper 5 bits count.
_PER_SIGMA = 256 / BIN_WIDTH
_ORIGIN = np.float32(256 * _SIDE / 2)
_LAST = np.float32(256 * _SIDE - 1)
_BIN = 0xFF00
_PART = 0x00F8
_FINE = 8 - _PART_BITS

# A point's number of 64 bits, its lowest 16 bits first. One point, its part along u and
# that along v each lie in a quarter of their own, so that each is written by itself.
_POINT, _QUARTERS, _HALVES = np.dtype("<u8"), np.dtype("<u2"), np.dtype("<u4")
_ONE_POINT = 1 << (2 * _FIELD_BITS)

# The product with a matrix of one column, a point a row's entry, adds up the points of a
# bin: faster than `np.add.at`, and without the interpreter's lock.
_ONES = np.ones(1, dtype=np.uint64)


class _Scratch:
    """Arrays for the points of one block, of which those of u serve many pairs."""

    __slots__ = (
        "_bins",
        "_inside",
        "_place",
        "_points",
        "_quarters",
        "_rows_of_u",
        "_spare",
        "_squares_of_u",
        "_upper",
        "_v",
    )

    def __init__(self, n_rows: int) -> None:
        self._squares_of_u, self._v, self._spare = np.empty(
            (3, n_rows), dtype=np.float32
        )
        self._rows_of_u, self._place, self._upper = np.empty(
            (3, n_rows), dtype=np.uint16
        )
        self._bins = np.empty(n_rows, dtype=np.int32)
        self._inside = np.empty(n_rows, dtype=np.bool_)
        self._points = np.full(n_rows, _ONE_POINT, dtype=_POINT)
        self._quarters = self._points.view(_QUARTERS).reshape(n_rows, 4)

    def of_length(self, n_rows: int) -> _Scratch:
        """Return the same arrays for fewer points: a last block may be shorter."""
        if n_rows == len(self._v):
            return self
        shorter = object.__new__(_Scratch)
        for name in self.__slots__:
            setattr(shorter, name, getattr(self, name)[:n_rows])
        return shorter

    def take(self, x: Column) -> None:
        """Work out what is to be known of u = x."""
        u, place = self._spare, self._place
        np.multiply(x, np.float32(_PER_SIGMA), out=u)
        np.multiply(u, u, out=self._squares_of_u)
        _to_places(u, out=place)
        np.bitwise_and(place, _BIN, out=self._rows_of_u)
        place &= _PART
        place <<= _FIELD_BITS % 16 - _FINE
        self._quarters[:, _FIELD_BITS // 16] = place

    def place(self, x: Column, y: Column, rho: float) -> None:
        """Set v to that of the points (x, y)."""
        scale = _PER_SIGMA / sqrt(1 - rho**2)
        np.multiply(x, np.float32(-rho * scale), out=self._v)
        self._v += np.multiply(y, np.float32(scale), out=self._spare)

    def count_within(self) -> Counts:
        """Return how many points lie within each of `COVERAGE_SIGMAS`."""
        squared = np.multiply(self._v, self._v, out=self._spare)
        squared += self._squares_of_u
        within = np.empty(len(COVERAGE_SIGMAS), dtype=np.int64)
        for number, k in enumerate(COVERAGE_SIGMAS):
            limit = np.float32((k * _PER_SIGMA) ** 2)
            np.less_equal(squared, limit, out=self._inside)
            within[number] = np.count_nonzero(self._inside)
        return within

    def packed(self) -> Packed:
        """Return the points as packed sums, by bin; v is lost."""
        place, upper, bins = self._place, self._upper, self._bins
        _to_places(self._v, out=place)
        np.right_shift(place, 8, out=upper)
        upper |= self._rows_of_u
        np.copyto(bins, upper)
        place &= _PART
        place >>= _FINE
        self._quarters[:, 0] = place
        ends = np.array([0, len(bins)], dtype=np.int32)
        sums = csc_array((self._points, bins, ends), shape=(_SIDE * _SIDE, 1))
        packed: Packed = sums @ _ONES
        return packed


def _to_places(values: Column, *, out: NDArray[np.uint16]) -> None:
    """Set ``out`` to the places of ``values``, which are in 1/256 of a bin; they are lost."""
    values += _ORIGIN
    # Below the upper edge of the last bin, so that truncation is the floor.
    np.clip(values, 0, _LAST, out=values)
    np.copyto(out, values, casting="unsafe")
