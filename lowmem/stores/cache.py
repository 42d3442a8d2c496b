"""Read rows out of decoded chunks, the least recently used being dropped.

With rows in ascending order each chunk is decoded once. With an exact shuffle nearly a
chunk is decoded for each row: right, but slow.
"""

# NumPy's own array types are generic in Any.

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem.stores.epoch_order import RowNumbers
    from lowmem.stores.row_reader import RowReader


class CachedReader:
    """Random rows of an array of any codec.

    Parameters
    ----------
    cache_bytes
        Memory for decoded chunks; one chunk is held however small it is.
    """

    queue_depth = 1

    def __init__(self, reader: RowReader, *, cache_bytes: int, note: str = "") -> None:
        self.note = note
        self._reader = reader
        self._chunk_rows = reader.chunk_rows
        self._cache_bytes = cache_bytes
        self._chunks: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._held_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._chunks.clear()
        self._reader.__exit__(*raised)

    def read(self, rows: RowNumbers) -> NDArray[Any]:
        """Return these rows in this order, in a fresh array."""
        out = np.empty((len(rows), *self._reader.shape[1:]), self._reader.dtype)
        chunks = rows // self._chunk_rows
        for chunk in np.unique(chunks):
            places = np.flatnonzero(chunks == chunk)
            decoded = self._chunk(int(chunk))
            out[places] = decoded[rows[places] - chunk * self._chunk_rows]
        return out

    def verify(self) -> None:
        """Nothing is left to verify: a chunk is verified when it is decoded."""

    def _chunk(self, index: int) -> NDArray[Any]:
        found = self._chunks.get(index)
        if found is not None:
            self._chunks.move_to_end(index)
            return found
        start = index * self._chunk_rows
        stop = min(start + self._chunk_rows, self._reader.shape[0])
        # Room first, so that cache and newcomer together stay within the bound.
        self._make_room((stop - start) * self._row_bytes)
        decoded = self._reader.read(start, stop)
        self._chunks[index] = decoded
        self._held_bytes += decoded.nbytes
        return decoded

    @property
    def _row_bytes(self) -> int:
        row = int(np.prod(self._reader.shape[1:], dtype=np.int64))
        return row * self._reader.dtype.itemsize

    def _make_room(self, n_bytes: int) -> None:
        while self._chunks and self._held_bytes + n_bytes > self._cache_bytes:
            self._held_bytes -= self._chunks.popitem(last=False)[1].nbytes
