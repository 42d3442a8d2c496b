"""The vectors to analyze: rows of a Zarr store or of a .npy file, checked."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lowmem.base import DataError, MissingArtefactError
from lowmem.stores import RowReader, mapped_array
from lowmem_jobs.analyze.job import BLOCK_VALUES
from lowmem_jobs.analyze.vector_header import latents_array

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

MAX_FEATURES = 4096
_N_NAMED = 5

# Fourth powers of 2^20 larger values would overflow float64.
_LARGEST = 1e60


class Rows(Protocol):
    """A table of numbers that is read by rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of rows and columns."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""
        ...

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows ``start`` to ``stop`` (exclusive)."""
        ...


class Latents:
    """Vectors, read in blocks whose size depends on their dimension alone.

    Attributes
    ----------
    n_rows, n_features
        Shape of the table.
    """

    def __init__(self, path: Path, rows: Rows) -> None:
        self._path = path
        self._rows = rows
        _check(path, rows)
        self.n_rows, self.n_features = rows.shape
        self._block_rows = max(BLOCK_VALUES // self.n_features, 1)

    @property
    def n_blocks(self) -> int:
        """Number of blocks in one pass."""
        return -(-self.n_rows // self._block_rows)

    def blocks_from(self, row: int) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Yield (first row, block) from ``row``, the start of a block, to the end."""
        for start in range(row, self.n_rows, self._block_rows):
            stop = min(start + self._block_rows, self.n_rows)
            yield start, self._rows.read(start, stop).astype(np.float64)

    def refuse_unless_usable(self) -> None:
        """Read all rows and say which cannot be computed with.

        Raises
        ------
        DataError
            If there is one, with their number and the first indices.
        """
        bad = np.concatenate(
            [
                start + np.flatnonzero(~is_usable(block))
                for start, block in self.blocks_from(0)
            ]
        )
        if bad.size:
            named = ", ".join(str(index) for index in bad[:_N_NAMED])
            raise DataError(
                thing=self._path,
                problem=f"has {bad.size} rows with NaN, infinity or more than 1e60 (first: {named})",
                expected="finite numbers",
                todo="Remove these rows, or correct what made them.",
            )


def is_usable(block: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows hold only numbers that can be computed with."""
    return np.asarray((np.abs(block) < _LARGEST).all(axis=1))


@contextmanager
def open_latents(path: Path, *, is_given: bool) -> Iterator[Latents]:
    """Open the vectors at ``path``; ``is_given`` if the user named it.

    Raises
    ------
    DataError
        If it holds no table of at least 2 rows and 1 to 4,096 columns of numbers.
    """
    if not path.exists() and not is_given:
        raise MissingArtefactError(path=path, job="encode")
    if path.is_file():
        yield Latents(path, _NpyRows(path))
        return
    with RowReader.open(path, latents_array(path), unpack=True) as rows:
        yield Latents(path, rows)


class _NpyRows:
    """Rows of a .npy file, mapped so that only the rows in use are in memory."""

    def __init__(self, path: Path) -> None:
        self._array = mapped_array(path)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._array.dtype

    def read(self, start: int, stop: int) -> NDArray[Any]:
        return np.array(self._array[start:stop])


def _check(path: Path, rows: Rows) -> None:
    if len(rows.shape) != 2 or rows.dtype.kind not in "fiu":  # noqa: PLR2004
        problem = f"has the shape {rows.shape} and the type {rows.dtype}"
    elif rows.shape[0] < 2:  # noqa: PLR2004 - no spread without two
        problem = f"has {rows.shape[0]} rows"
    elif not 1 <= rows.shape[1] <= MAX_FEATURES:
        problem = f"has {rows.shape[1]} columns"
    else:
        return
    raise DataError(
        thing=path,
        problem=problem,
        expected=f"real numbers in 2 rows or more and 1 to {MAX_FEATURES} columns",
    )
