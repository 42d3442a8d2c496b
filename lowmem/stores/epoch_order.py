"""In which order the samples of an epoch are visited: a pure function of (seed, epoch).

Up to 262,144 rows the order is a permutation that is held whole. Beyond, it is drawn in
parts, so that memory does not grow with the rows: each row falls into a part by chance,
and each part is shuffled by itself when it is reached. Of all permutations none is
likelier than another, as with one shuffle of all (Rao 1961, Sankhya A 23(3):305-307;
Sandelius 1962, J. R. Stat. Soc. B 24(2):479-481).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    RowNumbers = NDArray[np.int32] | NDArray[np.int64]

# How orders are drawn. 1 holds a permutation of any length whole.
ORDER_VERSION = 2

_SEED_WORDS = 2**64
# Rows (or runs) of which the permutation is held whole: 1 MiB.
_WHOLE = 2**18
# The most that fall into one part on the average, while one byte numbers all parts.
_PART = 2**16
_MOST_PARTS = 2**8
# Of so many rows the parts are drawn at once. Another number gives the same parts.
_BLOCK = 2**14
# Blocks of the generator's counter: of a whole permutation, of parts, of each part.
_OF_PARTS, _OF_A_PART = 1, 2


class _Permutation(Protocol):
    def at(self, start: int, stop: int) -> RowNumbers:
        """Return what stands at these places."""
        ...

    def place_of(self, number: int) -> int:
        """Return where a number stands."""
        ...


class EpochOrder:
    """Which row stands at each place of an epoch: an exact shuffle, not a window's.

    Parameters
    ----------
    run_length
        With 1 each row is shuffled by itself. Else runs of so many neighbours are,
        which slow disks read faster. Where runs begin is drawn anew each epoch, so no
        rows keep together, and each row is at each place equally often. It is part of
        the recipe: another length is another order.
    version
        `ORDER_VERSION`, or that of a training which began under another.

    Notes
    -----
    Counter-based randomness (Philox, keyed by seed and epoch): epoch 7 is known without
    the six before it, so a resumed run needs no generator state. Memory: at most 1 MiB
    up to 16 million rows (or runs), then 1/64 byte a row. Cost: some 10 ns a row; beyond
    262,144 rows 1 ns more for each part, of which there are at most 256.
    """

    def __init__(
        self,
        *,
        n_rows: int,
        seed: int,
        epoch: int,
        run_length: int = 1,
        version: int = ORDER_VERSION,
    ) -> None:
        key = np.array([seed % _SEED_WORDS, epoch], dtype=np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key))
        self._n_rows = n_rows
        self._run_length = run_length
        self._dtype = row_number_type(n_rows + run_length)
        self._shift = int(generator.integers(max(n_rows, 1))) if run_length > 1 else 0
        n_runs = -(-n_rows // run_length)
        self._runs: _Permutation = (
            _Whole(n_runs, generator, self._dtype)
            if version == 1 or n_runs <= _WHOLE
            else _Parts(n_runs, key, self._dtype)
        )
        # The last run may be shorter than the others: by so much, from this place on.
        self._gap = n_runs * run_length - n_rows
        self._gap_at = n_rows
        if self._gap:
            place = self._runs.place_of(n_runs - 1)
            self._gap_at = (place + 1) * run_length - self._gap

    def __len__(self) -> int:
        """Return the number of places: one for each row."""
        return self._n_rows

    def rows(self, start: int, stop: int) -> RowNumbers:
        """Return the rows at places ``start`` to ``stop`` (exclusive) or the end."""
        stop = min(stop, self._n_rows)
        if start >= stop:
            return np.empty(0, self._dtype)
        if self._run_length == 1:
            return self._runs.at(start, stop)
        places = np.arange(start, stop)
        places[places >= self._gap_at] += self._gap
        runs, within = np.divmod(places, self._run_length)
        found = self._runs.at(int(runs[0]), int(runs[-1]) + 1)
        # In 64 bits: their sum with the shift might not fit.
        rows = found[runs - runs[0]].astype(np.int64) * self._run_length
        rows += within + self._shift
        of_type: RowNumbers = (rows % self._n_rows).astype(self._dtype)
        return of_type


def epoch_order(
    *, n_rows: int, seed: int, epoch: int, run_length: int = 1
) -> RowNumbers:
    """Return the order of a whole epoch: a permutation of ``range(n_rows)``.

    Notes
    -----
    Memory: 4 bytes a row, 8 from 2^31 rows on; with runs some four times that. What
    holds none of it is `EpochOrder`.
    """
    order = EpochOrder(n_rows=n_rows, seed=seed, epoch=epoch, run_length=run_length)
    return order.rows(0, n_rows)


def row_number_type(n_rows: int) -> np.dtype[np.int32] | np.dtype[np.int64]:
    """Return the smaller type that counts to ``n_rows``: there may be one for each row."""
    return np.dtype(np.int32) if n_rows < 2**31 else np.dtype(np.int64)


def chosen_rows(rows: ArrayLike, *, n_stored: int) -> RowNumbers:
    """Return row numbers that somebody chose, in the type for so many rows.

    Raises
    ------
    ValueError
        If they are no list of whole numbers.
    IndexError
        If one is none of the rows.
    """
    numbers = np.asarray(rows)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise ValueError(
            f"rows must be a list of row numbers, got shape {numbers.shape} of "
            f"{numbers.dtype}"
        )
    outside = numbers[(numbers < 0) | (numbers >= n_stored)]
    if outside.size:
        raise IndexError(
            f"rows must lie in 0 to {n_stored - 1}; {outside.size} do not, "
            f"such as {outside[0]}"
        )
    dtype: Any = row_number_type(n_stored)
    return numbers.astype(dtype)


class _Whole:
    """A permutation that is held."""

    def __init__(
        self, n: int, generator: np.random.Generator, dtype: np.dtype[Any]
    ) -> None:
        # What `generator.permutation(n)` returns, in this type.
        self._numbers = np.arange(n, dtype=dtype)
        generator.shuffle(self._numbers)

    def at(self, start: int, stop: int) -> RowNumbers:
        return self._numbers[start:stop]

    def place_of(self, number: int) -> int:
        return int(np.flatnonzero(self._numbers == number)[0])


class _Parts:
    """A permutation of which one part is held.

    Parameters
    ----------
    key
        Of the generators: one draws the part of each number, others shuffle the parts.
    """

    def __init__(self, n: int, key: NDArray[np.uint64], dtype: np.dtype[Any]) -> None:
        self._n = n
        self._key = key
        self._dtype = dtype
        # A power of two, so that some bits of a random byte are a part.
        self._n_parts = min(1 << ((n - 1) // _PART).bit_length(), _MOST_PARTS)
        sizes = np.zeros(self._n_parts, np.int64)
        for _, parts in self._drawn():
            sizes += np.bincount(parts, minlength=self._n_parts)
        self._starts = np.concatenate([[0], np.cumsum(sizes)])
        self._held = -1
        # Room for any part, taken once: new arrays of many sizes would leave gaps.
        self._numbers: RowNumbers = np.empty(sizes.max(), dtype)

    def at(self, start: int, stop: int) -> RowNumbers:
        found = np.empty(stop - start, self._dtype)
        at = start
        while at < stop:
            part = int(np.searchsorted(self._starts, at, side="right")) - 1
            first, end = self._starts[part : part + 2].tolist()
            end = min(end, stop)
            found[at - start : end - start] = self._part(part)[at - first : end - first]
            at = end
        return found

    def place_of(self, number: int) -> int:
        part = next(
            int(parts[number - first])
            for first, parts in self._drawn()
            if number < first + len(parts)
        )
        within = np.flatnonzero(self._part(part) == number)[0]
        return int(self._starts[part] + within)

    def _part(self, part: int) -> RowNumbers:
        """Return the numbers of a part in their order; it is held until the next."""
        size = self._starts[part + 1] - self._starts[part]
        if part != self._held:
            self._held = -1
            self._shuffle(part, self._numbers[:size])
            self._held = part
        return self._numbers[:size]

    def _shuffle(self, part: int, numbers: RowNumbers) -> None:
        """Set ``numbers`` to those of a part, in their order."""
        at = 0
        for first, parts in self._drawn():
            found = np.flatnonzero(parts == part)
            numbers[at : at + len(found)] = found + first
            at += len(found)
        np.random.Generator(self._philox(part, _OF_A_PART)).shuffle(numbers)

    def _drawn(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield numbers block by block: the first, and the part of each."""
        words = self._philox(0, _OF_PARTS)
        for first in range(0, self._n, _BLOCK):
            # Raw words, since their stream never changes between versions of NumPy.
            drawn = words.random_raw(_BLOCK // 8).astype("<u8", copy=False)
            parts = drawn.view(np.uint8)[: self._n - first]
            yield first, parts & np.uint8(self._n_parts - 1)

    def _philox(self, low: int, high: int) -> np.random.Philox:
        counter = np.array([0, 0, low, high], np.uint64)
        return np.random.Philox(key=self._key, counter=counter)
