"""Read the rows of a source call by call: forwards, without copying where it can be.

A chunk that holds a whole call is decoded once and given as it is. Rows are read-only: a
function that changed what it is given would change a neighbour's rows, or a file.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol, cast

import google_crc32c
import numpy as np

from lowmem.base.errors import DataError
from lowmem.base.files import storage_errors
from lowmem.base.outside import stream_of
from lowmem.mapping.unchanged_file import UnchangedFile
from lowmem.stores.buffers import BufferPool
from lowmem.stores.chunk_decoder import ChunkDecoder
from lowmem.stores.layout import find_layout
from lowmem.stores.mapped import mapped_array
from lowmem.stores.row_reader import RowReader
from lowmem.stores.shards import CHECKSUM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem.mapping.map_source import MapSource
    from lowmem.stores.layout import RowLayout

    Rows = NDArray[Any]

# Chunks beside those of the calls that are held: the one that is kept, the one at work.
_CHUNKS_BESIDE = 2


class Reader(Protocol):
    """What gives rows; for one thread at a time."""

    def read(self, start: int, stop: int) -> Rows:
        """Return rows ``start`` to ``stop`` (exclusive), read-only."""
        ...


def open_rows(source: MapSource, *, call_rows: int, held: int) -> Reader:
    """Return a reader of a source.

    Parameters
    ----------
    call_rows, held
        Rows that are asked for at once, and how many such calls are in use at once.
    """
    if source.chunk_rows is None:
        return _Mapped(source)
    return _Chunked(source.path, call_rows=call_rows, held=held)


class _Mapped:
    """Rows of a .npy file, which the kernel reads, and keeps or drops."""

    def __init__(self, source: MapSource) -> None:
        self._unchanged = UnchangedFile.at(source.path)
        # The mapping is all that the subclass knows; what it computes should be plain.
        self._array = mapped_array(source.path).view(np.ndarray)
        if self._array.shape != source.shape:
            raise DataError(
                thing=source.path,
                problem=f"has the shape {self._array.shape} by now",
                expected=f"{source.shape}, as when it was found",
            )

    def read(self, start: int, stop: int) -> Rows:
        # To touch what was cut off would end the process.
        self._unchanged.refuse_changed()
        rows: Rows = self._array[start:stop]
        return rows


class _Chunked:
    """Rows of a Zarr array; one decoded chunk is kept."""

    def __init__(self, path: Path, *, call_rows: int, held: int) -> None:
        reader = RowReader.open(path)
        layout = find_layout(path)
        self._shape, self._chunk_rows = reader.shape, reader.chunk_rows
        pool = BufferPool(
            self._shape[1:],
            reader.dtype,
            n_rows=self._chunk_rows,
            most=held + _CHUNKS_BESIDE,
        )
        self._calls = BufferPool(
            self._shape[1:], reader.dtype, n_rows=call_rows, most=held
        )
        self._decoded: Callable[[int], Rows] = (
            _Plain(layout, pool).read
            if layout is not None
            else ChunkDecoder(reader, pool=pool, threads=1).decode
        )
        self._kept: tuple[int, Rows] | None = None

    def read(self, start: int, stop: int) -> Rows:
        size = self._chunk_rows
        first, last = start // size, (stop - 1) // size
        if first == last:
            rows = self._chunk(first)[start - first * size : stop - first * size]
        else:
            rows = self._calls.take(stop - start)
            for chunk in range(first, last + 1):
                at, end = max(start, chunk * size), min(stop, (chunk + 1) * size)
                part = self._chunk(chunk)[at - chunk * size : end - chunk * size]
                rows[at - start : end - start] = part
        view = rows.view()
        view.flags.writeable = False
        return view

    def _chunk(self, index: int) -> Rows:
        if self._kept is None or self._kept[0] != index:
            # Its memory is to be used again for the next.
            self._kept = None
            self._kept = index, self._decoded(index)
        return self._kept[1]


class _Plain:
    """Chunks of an uncompressed array, each verified as it is read."""

    def __init__(self, layout: RowLayout, pool: BufferPool) -> None:
        self._layout = layout
        self._pool = pool

    def read(self, chunk: int) -> Rows:
        layout = self._layout
        rows = self._pool.take(layout.chunk_rows)
        data = rows.reshape(-1).view(np.uint8)
        file = layout.file_of(chunk)
        at = int(layout.offsets[chunk])
        with storage_errors(file), stream_of(file) as stream:
            rest = data.data
            while rest:
                got = os.preadv(stream.fileno(), (rest,), at)
                if not got:
                    size = os.fstat(stream.fileno()).st_size
                    raise layout.damage(chunk, f"holds only {size} bytes")
                rest, at = rest[got:], at + got
            stored = os.pread(stream.fileno(), CHECKSUM_BYTES, at)
        if layout.has_checksum:
            crc = google_crc32c.value(cast("bytes", data))
            if crc.to_bytes(CHECKSUM_BYTES, "little") != stored:
                problem = "was altered: its CRC-32C is not that of its bytes"
                raise layout.damage(chunk, problem)
        n_rows = min(layout.chunk_rows, layout.shape[0] - chunk * layout.chunk_rows)
        return rows[:n_rows]
