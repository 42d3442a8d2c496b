"""Read single rows of a compressed array: each chunk is decoded once, to a local file.

An exact shuffle asks a compressed store for rows one by one, each in another chunk. No
window of bounded memory helps: the order is drawn without regard to chunks, as it must
be to be the same for every codec. So a chunk is decoded when it is first needed, by a
few threads, into a nameless file: from then on its rows are read as those of an
uncompressed array. The file takes the room of the decoded array on the disk, is gone
when the reader is closed or its process dies, and its pages are the kernel's.
"""

# NumPy's own array types are generic in Any.
from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lowmem.base.files import storage_errors
from lowmem.stores.buffers import BufferPool
from lowmem.stores.chunk_decoder import ChunkDecoder
from lowmem.stores.direct_rows import DirectReader
from lowmem.stores.layout import RowLayout

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem.stores.epoch_order import RowNumbers
    from lowmem.stores.row_reader import RowReader

# Bytes written at once. Of a whole chunk of 3.5 MB the kernel makes pages so large that it
# looks long for room, while the other thread waits for the file: half as fast in all.
_WRITE_BYTES = 2**19


class SpilledReader:
    """Random rows of an array of any codec.

    Parameters
    ----------
    folder
        Where the file lies; not on a memory file system.
    threads
        How many chunks are decoded at once.

    Notes
    -----
    For one thread at a time. Memory: ``n_buffers`` batches; for each thread one chunk as
    stored and as decoded.
    """

    note = ""
    queue_depth = 1

    def __init__(
        self,
        reader: RowReader,
        folder: Path,
        *,
        batch_rows: int,
        n_buffers: int,
        threads: int,
    ) -> None:
        self._reader = reader
        self._folder = folder
        self._file = _file_with_room(folder, _decoded_bytes(reader))
        self._layout = _spilled_layout(reader, self._file.fileno())
        self._is_decoded = np.zeros(self._layout.n_chunks, np.bool_)
        self._rows = DirectReader(
            self._layout, batch_rows=batch_rows, n_buffers=n_buffers
        )
        self._decoded = self._rows.pool
        if self._layout.chunk_rows > batch_rows:
            self._decoded = BufferPool(
                reader.shape[1:], reader.dtype, n_rows=reader.chunk_rows, most=threads
            )
        self._decoder = ChunkDecoder(reader, pool=self._decoded, threads=threads)
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.shutdown(cancel_futures=True)
        self._rows.close()
        self._file.close()

    def read(self, rows: RowNumbers) -> NDArray[Any]:
        """Return these rows in this order.

        Raises
        ------
        DataError
            If a chunk is missing or damaged; it names the chunk and its samples.
        StorageError
            If the disk is full.
        """
        missing = self._missing(rows)
        if len(missing):
            for _ in self._workers.map(self._spill, missing.tolist()):
                pass
            self._is_decoded[missing] = True
            # Before a batch takes memory: the larger of the two counts, not the sum.
            self._decoder.release()
            if self._decoded is not self._rows.pool:
                self._decoded.release()
        return self._rows.read(rows)

    def _missing(self, rows: RowNumbers) -> RowNumbers:
        """Return the chunks of these rows that were not yet decoded, in their order."""
        is_missing = np.zeros_like(self._is_decoded)
        is_missing[rows // self._layout.chunk_rows] = True
        # `np.unique` would load NumPy's masked arrays: 2.5 MB.
        return np.flatnonzero(is_missing & ~self._is_decoded)

    def verify(self) -> None:
        """Nothing is left to verify: a chunk is verified when it is decoded."""

    def _spill(self, chunk: int) -> None:
        rows = self._decoder.decode(chunk).reshape(-1).view(np.uint8).data
        at = int(self._layout.offsets[chunk])
        with storage_errors(self._folder):
            while rows:
                n_written = os.pwrite(self._file.fileno(), rows[:_WRITE_BYTES], at)
                rows, at = rows[n_written:], at + n_written


def _file_with_room(folder: Path, n_bytes: int) -> FileIO:
    """Return a file without a name whose blocks are its own already.

    So a full disk is found before anything is decoded; and writing is cheaper than where
    blocks are sought chunk by chunk.
    """
    with storage_errors(folder):
        file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - the reader closes it
        try:
            os.posix_fallocate(file.fileno(), 0, n_bytes)
        except OSError:
            file.close()
            raise
    return file


def _decoded_bytes(reader: RowReader) -> int:
    n_chunks = -(-reader.shape[0] // reader.chunk_rows)
    return n_chunks * reader.chunk_rows * _row_bytes(reader)


def _row_bytes(reader: RowReader) -> int:
    return int(np.prod(reader.shape[1:], dtype=np.int64)) * reader.dtype.itemsize


def _spilled_layout(reader: RowReader, descriptor: int) -> RowLayout:
    n_chunks = -(-reader.shape[0] // reader.chunk_rows)
    return RowLayout(
        shape=reader.shape,
        dtype=reader.dtype,
        chunk_rows=reader.chunk_rows,
        # The file has no name; the kernel gives one to each open descriptor.
        path_of=lambda _: f"/proc/self/fd/{descriptor}",
        chunks_per_file=n_chunks,
        offsets=np.arange(n_chunks, dtype=np.int64)
        * (reader.chunk_rows * _row_bytes(reader)),
        has_checksum=False,
    )
