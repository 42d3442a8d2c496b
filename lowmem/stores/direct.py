"""Read single rows of an uncompressed array straight from its files.

An exact shuffle asks for rows one by one. A Zarr reader decodes a whole chunk for each;
here a row is one `preadv` into its place in the batch. The bytes come from the page
cache, which is the kernel's to shrink, and nothing is kept in the process but
descriptors and a few batch buffers. Checksums are verified beside the reading, see
`lowmem.stores.scrub`: until `DirectReader.verify` has returned, bytes are given as they
were found.
"""

# NumPy's own array types are generic in Any.

from __future__ import annotations

import os
import resource
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lowmem.stores.buffers import BufferPool
from lowmem.stores.scrub import Scrub

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem.stores.layout import RowLayout
    from lowmem.stores.order import RowNumbers


# Descriptors open at once: a store of a million images may have 8,000 files, and to
# open one for each row would cost as much as to read it.
_OPEN_FILES = 16_384
# A store this small is verified before its first row is read: it takes milliseconds.
_AT_ONCE_BYTES = 2**26
# Descriptors left to everything else in the process.
_OTHER_FILES = 256


class DirectReader:
    """Random rows of one array; owns a bounded number of descriptors.

    Parameters
    ----------
    batch_rows
        Rows of the usual batch.
    n_buffers
        Batches that may be in use at once, without further memory being asked for.

    Attributes
    ----------
    pool
        The memory of the batches.

    Notes
    -----
    For one thread at a time. Memory: ``n_buffers`` batches.

    Raises
    ------
    DataError
        If the store is small, and a chunk of it damaged.
    """

    note = ""

    def __init__(self, layout: RowLayout, *, batch_rows: int, n_buffers: int) -> None:
        self._layout = layout
        self._open: dict[int, int] = {}
        self._most_open = _allowed_files(len(layout.files))
        self.pool = BufferPool(
            layout.shape[1:], layout.dtype, n_rows=batch_rows, most=n_buffers
        )
        self._scrub = Scrub(layout)
        if layout.n_chunks * layout.chunk_bytes <= _AT_ONCE_BYTES:
            self._scrub.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every descriptor."""
        self._scrub.stop()
        while self._open:
            os.close(self._open.popitem()[1])

    def read(self, rows: RowNumbers) -> NDArray[Any]:
        """Return these rows in this order.

        Raises
        ------
        DataError
            If a file is missing or too short, or a chunk was found to be altered.
        """
        self._scrub.check()
        self._scrub.start()
        out = self.pool.take(len(rows))
        if not len(rows):
            return out
        into = out.reshape(-1).view(np.uint8).data
        layout, preadv, descriptors = self._layout, os.preadv, self._open
        # An offset may not fit the type of a row's number.
        runs = self._runs(rows.astype(np.int64, copy=False))
        starts, stops, chunks, offsets = runs
        for start, stop, chunk, offset in zip(
            starts, stops, chunks, offsets, strict=True
        ):
            index = chunk // layout.chunks_per_file
            descriptor = descriptors.get(index)
            if descriptor is None:
                descriptor = self._opened(index, chunk)
            got = preadv(descriptor, (into[start:stop],), offset)
            if got != stop - start:
                self._read_rest(chunk, into[start + got : stop], offset + got)
        return out

    def verify(self) -> None:
        """Verify every checksum that was not yet, at full speed.

        Raises
        ------
        DataError
            If a chunk is damaged; it names the chunk and its samples.
        """
        self._scrub.finish()

    def _read_rest(self, chunk: int, into: memoryview, offset: int) -> None:
        """Go on where a call gave fewer bytes than asked for: at a file's end, none."""
        descriptor = self._open[chunk // self._layout.chunks_per_file]
        while into:
            got = os.preadv(descriptor, (into,), offset)
            if not got:
                size = os.fstat(descriptor).st_size
                raise self._layout.damage(chunk, f"holds only {size} bytes")
            into, offset = into[got:], offset + got

    def _runs(
        self, rows: RowNumbers
    ) -> tuple[list[int], list[int], list[int], list[int]]:
        """Return where neighbours of one chunk go in the batch, and where they are.

        As lists, since a loop over them takes half the time.
        """
        layout = self._layout
        breaks = np.diff(rows) != 1
        breaks |= rows[1:] % layout.chunk_rows == 0
        first = np.concatenate([[0], np.flatnonzero(breaks) + 1])
        chunks, within = np.divmod(rows[first], layout.chunk_rows)
        offsets = layout.offsets[chunks] + within * layout.row_bytes
        edges = (np.append(first, len(rows)) * layout.row_bytes).tolist()
        return edges[:-1], edges[1:], chunks.tolist(), offsets.tolist()

    def _opened(self, index: int, chunk: int) -> int:
        if len(self._open) >= self._most_open:
            # The one that has been open longest.
            os.close(self._open.pop(next(iter(self._open))))
        try:
            descriptor = os.open(self._layout.files[index], os.O_RDONLY)
        except FileNotFoundError as error:
            raise self._layout.damage(chunk, "is missing") from error
        # Readahead would fetch neighbours that a shuffle does not want.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        self._open[index] = descriptor
        return descriptor


def _allowed_files(wanted: int) -> int:
    """Return how many files may be open at once, raising the process's limit for it."""
    wanted = min(wanted, _OPEN_FILES)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + _OTHER_FILES:
        most = wanted + _OTHER_FILES
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, soft - _OTHER_FILES))
