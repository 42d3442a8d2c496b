"""Read any rows of a stored array, in any order, in bounded memory.

Two ways lead to the same bytes: rows straight from uncompressed chunk files
(`lowmem.stores.direct`), or whole decoded chunks kept in a cache of bounded size.
"""

# NumPy's own array types are generic in Any.

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from lowmem.stores.direct import DirectReader, find_layout
from lowmem.stores.read import RowReader

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    RowNumbers = np.ndarray[tuple[int], np.dtype[np.int64]]


class BatchReader(Protocol):
    """A source of rows; a context manager, since it holds open files."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def read(self, rows: RowNumbers) -> NDArray[Any]:
        """Return these rows in this order, in a fresh array.

        Parameters
        ----------
        rows : shape (n,)
            Row numbers; repeats are allowed.

        Raises
        ------
        DataError
            If a chunk is missing or damaged; it names the chunk and its samples.
        """
        ...


def open_batches(store: Path, name: str | None, *, cache_bytes: int) -> BatchReader:
    """Return a reader of the array ``name`` of ``store``, or of ``store`` itself.

    Parameters
    ----------
    cache_bytes
        Memory for decoded chunks; one chunk is held however small it is. Not used
        where rows can be read directly. Never changes what is read.

    Raises
    ------
    DataError
        If there is no such array.
    """
    path = store / name if name else store
    reader = RowReader.open(store, name)
    layout = find_layout(path)
    if layout is not None:
        return DirectReader(layout)
    return CachedReader(reader, cache_bytes=cache_bytes)


class CachedReader:
    """Random rows out of decoded chunks, the least recently used being dropped."""

    def __init__(self, reader: RowReader, *, cache_bytes: int) -> None:
        self._reader = reader
        self._chunk_rows = reader.chunk_rows
        self._cache_bytes = cache_bytes
        self._chunks: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._held_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._chunks.clear()
        self._reader.__exit__(kind, error, traceback)

    def read(self, rows: RowNumbers) -> NDArray[Any]:
        """Return these rows in this order, in a fresh array."""
        out = np.empty((len(rows), *self._reader.shape[1:]), self._reader.dtype)
        chunks = rows // self._chunk_rows
        for chunk in np.unique(chunks):
            places = np.flatnonzero(chunks == chunk)
            decoded = self._chunk(int(chunk))
            out[places] = decoded[rows[places] - chunk * self._chunk_rows]
        return out

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
