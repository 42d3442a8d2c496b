"""Standardised components on disk, one after the other, for work on pairs of them.

A pair needs two whole columns of a table that is stored by rows. They are transposed
once, as float32, into a file that is mapped: its pages belong to the file, so memory
does not grow with the number of rows.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from lowmem.base import storage_errors, sync_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class Columns:
    """A file of float32 columns; each can be read as one contiguous array.

    Attributes
    ----------
    path
        The file.
    n_rows, n_columns
        Its shape.

    Parameters
    ----------
    is_written
        Whether it is made if need be, and written to.
    """

    def __init__(
        self, path: Path, *, n_rows: int, n_columns: int, is_written: bool = True
    ) -> None:
        self.path, self.n_rows, self.n_columns = path, n_rows, n_columns
        if is_written:
            self._make()
        self._table = np.memmap(
            path,
            dtype=np.float32,
            mode="r+" if is_written else "r",
            shape=(n_columns, n_rows),
        )

    def _make(self) -> None:
        n_bytes = 4 * self.n_rows * self.n_columns
        with storage_errors(self.path):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                # Room for all of it now: a full disk met while writing to a mapped
                # file would end the process by a signal.
                os.posix_fallocate(descriptor, 0, n_bytes)
            finally:
                os.close(descriptor)

    def write(self, start: int, block: NDArray[np.float64]) -> None:
        """Store ``block``, shape (n, n_columns), as rows from ``start``."""
        self._table[:, start : start + len(block)] = block.T

    def __getitem__(self, column: int) -> NDArray[np.float32]:
        """Return one column, mapped, shape (n_rows,)."""
        return np.asarray(self._table[column])

    def flush(self) -> None:
        """Wait until all that was written is on the disk."""
        with storage_errors(self.path):
            self._table.flush()
        sync_file(self.path)
        sync_file(self.path.parent)
