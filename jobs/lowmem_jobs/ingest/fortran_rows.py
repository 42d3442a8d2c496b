"""Rows of an array that is stored column by column (Fortran order), some at a time."""

from __future__ import annotations

from math import prod
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The values of a row are spread over all of it, so every block of rows reads all of it.
# So many bytes are read in some 64 passes, which take about as long as decoding.
MOST_BYTES = 2**30
_PIECE_BYTES = 2**20


class ColumnRows:
    """Blocks of rows of such an array.

    Parameters
    ----------
    start
        Where its values begin in the stream, bytes.
    shape
        (rows, ...), of which the first index runs fastest in the stream.

    Notes
    -----
    What is read and not asked for is let go: memory holds the block and one piece. Each
    pass reads without a gap, so that an archive compares its checksum at the end.
    """

    def __init__(
        self,
        stream: IO[bytes],
        start: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self._stream = stream
        self._start = start
        self.shape = shape
        self.dtype = dtype
        self.chunk_rows = max(1, shape[0])

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows ``start`` to ``stop``, shape (stop - start, ...).

        Raises
        ------
        EOFError
            If the stream ends before the array does.
        """
        n_values = prod(self.shape[1:])
        found: NDArray[Any] = np.empty((n_values, stop - start), self.dtype)
        self._stream.seek(self._start)
        column_bytes = self.shape[0] * self.dtype.itemsize
        n_at_once = _PIECE_BYTES // column_bytes
        if n_at_once:
            for first in range(0, n_values, n_at_once):
                n = min(n_at_once, n_values - first)
                some = np.frombuffer(self._bytes(n * column_bytes), self.dtype)
                found[first : first + n] = some.reshape(n, -1)[:, start:stop]
        else:
            for column in found:
                self._pass_over(start)
                column[:] = np.frombuffer(self._bytes(column.nbytes), self.dtype)
                self._pass_over(self.shape[0] - stop)
        by_places = found.reshape(*self.shape[:0:-1], stop - start)
        return by_places.transpose()

    def _bytes(self, n_bytes: int) -> bytes:
        data = self._stream.read(n_bytes)
        if len(data) < n_bytes:
            raise EOFError("cut short")
        return data

    def _pass_over(self, n_values: int) -> None:
        left = n_values * self.dtype.itemsize
        while left:
            left -= len(self._bytes(min(left, _PIECE_BYTES)))
