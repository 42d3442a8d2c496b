"""Find the nearest rows of a table, one block at a time.

A matrix product in float32 gives a lower bound of every squared distance between two
tiles; only pairs whose bound is small enough are measured, each by itself, in float64.
So what is found is a function of the vectors alone: neither the tile, the blocks, their
order nor the threads of the product show in a single bit. `scipy.spatial.cKDTree` finds
the same, but visits nearly all pairs in 256 dimensions and needs the table in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32] | NDArray[np.float64]

# bytes per pair of a tile, were every pair to be measured: bound, mask, two indices,
# distance, and the same again sorted.
_BYTES_PER_PAIR = 100
# bytes per value of both tiles: centred in float64, squared, and in float32.
_BYTES_PER_VALUE = 48
# bytes per value of pairs at once: both vectors, their difference and its square.
_BYTES_PER_DIFFERENCE = 40
_FEWEST_ROWS, _MOST_ROWS = 8, 2048
_HALF_ULP = 2.0**-24  # of float32
# Below what float32 resolves of squares that are at most 1, and above all of them.
_UNDERFLOW, _LARGEST = 1e-30, 1e30
# Of the power of two that vectors are divided by: its square is finite and not 0.
_MOST_EXPONENT = 500


class Pairs(NamedTuple):
    """Pairs of a row of one set and a row of another.

    Attributes
    ----------
    first, second : shape (n,)
        Row numbers.
    squares : shape (n,)
        Squared distances.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    squares: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbours:
    """The nearest of the rows seen so far, of each of n vectors.

    Attributes
    ----------
    squares : shape (n, k)
        Squared distances, ascending; inf while fewer than k rows were seen.
    rows : shape (n, k)
        Numbers of the rows at these distances, the lower first of equally near ones;
        -1 while fewer than k were seen.
    """

    squares: NDArray[np.float64]
    rows: NDArray[np.int64]

    @classmethod
    def none(cls, n_vectors: int, n_neighbours: int = 1) -> Neighbours:
        """Return the state before any row was seen."""
        shape = (n_vectors, n_neighbours)
        return cls(squares=np.full(shape, np.inf), rows=np.full(shape, -1, np.int64))

    @property
    def distances(self) -> NDArray[np.float64]:
        """Distances, ascending, shape (n, k)."""
        return np.sqrt(self.squares)

    def updated(
        self, vectors: Vectors, block: Vectors, *, first_row: int, memory_bytes: int
    ) -> Neighbours:
        """Return the state after the rows of one more block.

        Parameters
        ----------
        vectors : shape (n, d)
            The vectors whose neighbours are sought, the same ones each time; finite.
        block : shape (n_rows, d)
            Rows of the table that were not seen before; finite.
        first_row
            Number of the first of them in the table.
        memory_bytes
            Memory to use beside vectors, block and state. No bit of the result depends
            on it; less than 200 KiB is not enough for d = 256.

        Notes
        -----
        In 256 dimensions 15 ns a pair on one core with 64 MB, 35 with 4 MB. Rows that are
        all equally far, as if all were one, are all measured: 50 times that.
        """
        squares, rows = self.squares.copy(), self.rows.copy()
        tile = _tile_rows(memory_bytes, vectors.shape[1])
        for one in _slices(len(vectors), tile):
            state = Neighbours(squares=squares[one], rows=rows[one])
            for other in _slices(len(block), tile):
                screen = _Screen.of(vectors[one], block[other])
                limits = np.minimum(
                    screen.scaled(state.squares[:, -1]),
                    screen.reach(self.squares.shape[1]),
                )
                found = screen.pairs(limits, memory_bytes)
                state = state._with(found, first_row + other.start)
            squares[one], rows[one] = state.squares, state.rows
        return replace(self, squares=squares, rows=rows)

    def _with(self, found: Pairs, first_row: int) -> Neighbours:
        """Return the state with pairs added, ``second`` counted from ``first_row``."""
        if not len(found.first):
            return self
        n, k = self.squares.shape
        vector = np.concatenate([np.repeat(np.arange(n), k), found.first])
        squares = np.concatenate([self.squares.ravel(), found.squares])
        rows = np.concatenate([self.rows.ravel(), first_row + found.second])
        order = np.lexsort((rows, squares, vector))
        starts = np.searchsorted(vector[order], np.arange(n))
        nearest = order[starts[:, None] + np.arange(k)]
        return Neighbours(squares=squares[nearest], rows=rows[nearest])


def nearest_rows(
    vectors: Vectors,
    blocks: Iterable[Vectors],
    *,
    n_neighbours: int = 1,
    memory_bytes: int,
) -> Neighbours:
    """Return the nearest rows of a table that comes in blocks, for each vector.

    Parameters
    ----------
    vectors : shape (n, d)
        Finite.
    blocks : shapes (n_rows, d)
        The table's rows, in order; gone through once.
    n_neighbours
        How many, >= 1.
    memory_bytes
        Memory to use beside vectors, block and result; see `Neighbours.updated`.
    """
    state = Neighbours.none(len(vectors), n_neighbours)
    first_row = 0
    for block in blocks:
        state = state.updated(
            vectors, block, first_row=first_row, memory_bytes=memory_bytes
        )
        first_row += len(block)
    return state


def pairs_within(
    first: Vectors,
    second: Vectors,
    limits: NDArray[np.float64],
    *,
    memory_bytes: int,
) -> Iterator[Pairs]:
    """Yield all pairs not farther apart than a limit of the first, tile by tile.

    Parameters
    ----------
    first, second : shapes (n, d) and (m, d)
        Finite.
    limits : shape (n,)
        Largest *squared* distance from each of ``first``; itself included.
    memory_bytes
        Memory to use beside the arguments; see `Neighbours.updated`.
    """
    tile = _tile_rows(memory_bytes, first.shape[1])
    for one in _slices(len(first), tile):
        for other in _slices(len(second), tile):
            screen = _Screen.of(first[one], second[other])
            found = screen.pairs(screen.scaled(limits[one]), memory_bytes)
            inside = found.squares <= limits[one][found.first]
            yield Pairs(
                found.first[inside] + one.start,
                found.second[inside] + other.start,
                found.squares[inside],
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Screen:
    """Bounds of the squared distances between two tiles.

    Attributes
    ----------
    first, second : shapes (n, d) and (m, d)
        The tiles.
    unit
        What a squared distance is divided by in ``lower`` and ``slack``, so that no
        vector overflows float32; a power of two.
    lower : shape (n, m)
        Not above the squared distance.
    slack : shape (n,)
        What has to be added to ``lower`` of a row to be not below it.

    Notes
    -----
    |a|^2 + |b|^2 - 2 ab as one product of rows (-2a, |a|^2, 1) and (b, 1, |b|^2). A sum
    of d + 2 products in any order errs by at most (d + 2) half ulp of the sum of their
    magnitudes, here at most 2 (|a|^2 + |b|^2); rounding a, b and their squares to
    float32 adds at most 6 half ulp of |a|^2 + |b|^2.
    """

    first: Vectors
    second: Vectors
    unit: float
    lower: NDArray[np.float32]
    slack: NDArray[np.float64]

    @classmethod
    def of(cls, first: Vectors, second: Vectors) -> _Screen:
        """Return the bounds between two tiles of one row or more."""
        centre = first.mean(axis=0, dtype=np.float64)
        a, b = first - centre, second - centre
        largest = max(np.abs(a).max(), np.abs(b).max())
        exponent = np.clip(np.frexp(largest)[1], -_MOST_EXPONENT, _MOST_EXPONENT)
        root = 2.0 ** float(exponent)
        a /= root
        b /= root
        a_squares, b_squares = np.square(a).sum(axis=1), np.square(b).sum(axis=1)
        error = 2 * (a.shape[1] + 8) * _HALF_ULP
        left = np.empty((len(a), a.shape[1] + 2), np.float32)
        left[:, :-2] = -2.0 * a
        left[:, -2], left[:, -1] = (1.0 - error) * a_squares, 1.0
        right = np.empty((len(b), b.shape[1] + 2), np.float32)
        right[:, :-2], right[:, -2] = b, 1.0
        right[:, -1] = (1.0 - error) * b_squares
        return cls(
            first=first,
            second=second,
            unit=root**2,
            lower=left @ right.T,
            slack=2.0 * error * (a_squares + b_squares.max()),
        )

    def scaled(self, squares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return squared distances in the unit of ``lower``."""
        return squares / self.unit

    def reach(self, n_neighbours: int) -> NDArray[np.float64]:
        """Return limits within which each row has that many of the tile; else inf."""
        if self.lower.shape[1] < n_neighbours:
            return np.full(len(self.lower), np.inf)
        if n_neighbours == 1:
            nearest = self.lower.min(axis=1)
        else:
            at = n_neighbours - 1
            nearest = np.partition(self.lower, at, axis=1)[:, at]
        limits: NDArray[np.float64] = nearest + self.slack
        return limits

    def pairs(self, limits: NDArray[np.float64], memory_bytes: int) -> Pairs:
        """Return all pairs within the limits, scaled, of each row; and some others."""
        above = np.minimum(limits * (1.0 + 4.0 * _HALF_ULP) + _UNDERFLOW, _LARGEST)
        rounded_up = above.astype(np.float32)
        first, second = np.nonzero(self.lower <= rounded_up[:, None])
        squares = np.empty(len(first))
        at_once = max(
            memory_bytes // (4 * _BYTES_PER_DIFFERENCE * self.first.shape[1]), 1
        )
        for part in _slices(len(first), at_once):
            difference = np.subtract(
                self.first[first[part]], self.second[second[part]], dtype=np.float64
            )
            squares[part] = np.square(difference).sum(axis=1)
        return Pairs(first, second, squares)


def _tile_rows(memory_bytes: int, dimension: int) -> int:
    """Return the side of the largest tile in three quarters of the memory."""
    # The positive root of pair s^2 + value d s = memory.
    pair, value = float(_BYTES_PER_PAIR), float(_BYTES_PER_VALUE * dimension)
    root = np.sqrt(value**2 + 3.0 * pair * memory_bytes)
    return int(np.clip((root - value) / (2.0 * pair), _FEWEST_ROWS, _MOST_ROWS))


def _slices(n_rows: int, size: int) -> Iterator[slice]:
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))
