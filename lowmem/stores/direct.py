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
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lowmem.stores.buffers import BufferPool
from lowmem.stores.open_files import OpenFiles
from lowmem.stores.scrub import Scrub

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem.stores.layout import RowLayout
    from lowmem.stores.order import RowNumbers


# A store this small is verified before its first row is read: it takes milliseconds.
_AT_ONCE_BYTES = 2**26


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
        self._files = OpenFiles(layout.path_of, layout.n_files)
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
        self._files.close()

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
        preadv, descriptors = os.preadv, self._files.descriptors
        chunks_per_file = self._layout.chunks_per_file
        # An offset may not fit the type of a row's number.
        runs = self._runs(rows.astype(np.int64, copy=False))
        starts, stops, chunks, offsets = runs
        for start, stop, chunk, offset in zip(
            starts, stops, chunks, offsets, strict=True
        ):
            descriptor = descriptors[chunk // chunks_per_file]
            if descriptor < 0:
                descriptor = self._opened(chunk)
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
        descriptor = self._files.descriptors[chunk // self._layout.chunks_per_file]
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

    def _opened(self, chunk: int) -> int:
        try:
            return self._files.open(chunk // self._layout.chunks_per_file)
        except FileNotFoundError as error:
            raise self._layout.damage(chunk, "is missing") from error
