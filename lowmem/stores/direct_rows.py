"""Read single rows of an uncompressed array straight from its files.

An exact shuffle asks for rows one by one. A Zarr reader decodes a whole chunk for each;
here a row is one `preadv` into its place in the batch. The bytes come from the page
cache, which is the kernel's to shrink, and nothing is kept in the process but
descriptors and a few batch buffers. Where rows are not in that cache, the disk is told
of all rows of the batch before the first is waited for, so that it works on many at
once. Checksums are verified beside the reading, see `lowmem.stores.checksum_pass`:
until `DirectReader.verify` has returned, bytes are given as they were found.
"""

# NumPy's own array types are generic in Any.

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lowmem.stores.buffers import BufferPool
from lowmem.stores.checksum_pass import Scrub
from lowmem.stores.open_files import OpenFiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem.stores.epoch_order import RowNumbers
    from lowmem.stores.layout import RowLayout

    Numbers = NDArray[np.int64]

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
    queue_depth = 1

    def __init__(self, layout: RowLayout, *, batch_rows: int, n_buffers: int) -> None:
        self._layout = layout
        self._files = OpenFiles(layout.path_of, layout.n_files)
        self.pool = BufferPool(
            layout.shape[1:], layout.dtype, n_rows=batch_rows, most=n_buffers
        )
        self._scrub = Scrub(layout)
        # Do not wait for the disk; 0 where the file system knows no such reading.
        self._flags = os.RWF_NOWAIT
        if layout.n_chunks * layout.chunk_bytes <= _AT_ONCE_BYTES:
            self._scrub.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
        # An offset may not fit the type of a row's number.
        edges, chunks, offsets = self._runs(rows.astype(np.int64, copy=False))
        done = self._read_cached(into, edges, chunks, offsets)
        if done < len(chunks):
            rest = chunks[done:].tolist(), offsets[done:].tolist()
            self._read_each(into, edges[done:], *rest)
        return out

    def verify(self) -> None:
        """Verify every checksum that was not yet, at full speed.

        Raises
        ------
        DataError
            If a chunk is damaged; it names the chunk and its samples.
        """
        self._scrub.finish()

    def _read_cached(
        self, into: memoryview, edges: list[int], chunks: Numbers, offsets: Numbers
    ) -> int:
        """Read from open files what is in the page cache; return how many runs were.

        Those are the first; where one came in part, none.
        """
        descriptors = self._files.descriptors[chunks // self._layout.chunks_per_file]
        if descriptors.min() < 0:
            return 0
        got, done, preadv, flags = 0, 0, os.preadv, self._flags
        # Over lists, which takes half the time; whether all came is asked at the end.
        places = zip(
            descriptors.tolist(), edges, edges[1:], offsets.tolist(), strict=False
        )
        try:
            for descriptor, start, stop, offset in places:
                got += preadv(descriptor, (into[start:stop],), offset, flags)
                done += 1
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            self._flags = 0
        return done if got == edges[done] else 0

    def _read_each(
        self, into: memoryview, edges: list[int], chunks: list[int], offsets: list[int]
    ) -> None:
        """Read run by run, where the disk is to be waited for, or a file to be opened.

        All of them are asked for first, so that the disk works on many at once.
        """
        for start, stop, chunk, offset in zip(
            edges, edges[1:], chunks, offsets, strict=False
        ):
            descriptor = self._opened(chunk)
            os.posix_fadvise(descriptor, offset, stop - start, os.POSIX_FADV_WILLNEED)
        for start, stop, chunk, offset in zip(
            edges, edges[1:], chunks, offsets, strict=False
        ):
            descriptor = self._opened(chunk)
            run, at = into[start:stop], offset
            while run:
                got = os.preadv(descriptor, (run,), at)
                if not got:
                    size = os.fstat(descriptor).st_size
                    raise self._layout.damage(chunk, f"holds only {size} bytes")
                run, at = run[got:], at + got

    def _runs(self, rows: NDArray[np.int64]) -> tuple[list[int], Numbers, Numbers]:
        """Return where neighbours of one chunk go in the batch, and where they are.

        As edges in the batch in bytes, chunks, and offsets in their files.
        """
        layout = self._layout
        chunks, within = np.divmod(rows, layout.chunk_rows)
        is_next = np.diff(rows) == 1
        is_next &= within[1:] != 0
        offsets = layout.offsets[chunks] + within * layout.row_bytes
        if not is_next.any():
            n_bytes = len(rows) * layout.row_bytes
            return [*range(0, n_bytes, layout.row_bytes), n_bytes], chunks, offsets
        first = np.concatenate([[0], np.flatnonzero(~is_next) + 1])
        edges = (np.append(first, len(rows)) * layout.row_bytes).tolist()
        return edges, chunks[first], offsets[first]

    def _opened(self, chunk: int) -> int:
        index = chunk // self._layout.chunks_per_file
        descriptor = int(self._files.descriptors[index])
        if descriptor >= 0:
            return descriptor
        try:
            return self._files.open(index)
        except FileNotFoundError as error:
            raise self._layout.damage(chunk, "is missing") from error
