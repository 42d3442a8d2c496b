"""Read any rows of a stored array, in any order, in bounded memory.

Three ways lead to the same bytes, and what the store is decides between them:

- rows straight from the files of an uncompressed array (`lowmem.stores.direct_rows`);
- any other array decoded once to a nameless file (`lowmem.stores.disk_cache`);
- decoded chunks in a cache (`lowmem.stores.cache`), where all of them fit into the memory
  that was given, or no disk has room for that file.
"""

# NumPy's own array types are generic in Any.

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from lowmem.stores.cache import CachedReader
from lowmem.stores.direct_rows import DirectReader
from lowmem.stores.disk_cache import SpilledReader
from lowmem.stores.disk_space import no_room
from lowmem.stores.layout import find_layout
from lowmem.stores.reading import Reading, ReadingPlan, plan_reading
from lowmem.stores.row_reader import RowReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem.stores.epoch_order import RowNumbers


# Memory for decoded chunks where the disk has no room, and no budget was given.
_CACHE_BYTES = 64 * 2**20


class BatchReader(Protocol):
    """A source of rows; a context manager, since it holds open files.

    Attributes
    ----------
    note
        What the user should know of the way that was chosen; mostly nothing.
    queue_depth
        Batches that may be read ahead within the memory that was given.
    """

    note: str
    queue_depth: int

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def read(self, rows: RowNumbers) -> NDArray[Any]:
        """Return these rows in this order.

        Parameters
        ----------
        rows : shape (n,)
            Row numbers; repeats are allowed.

        Returns
        -------
        The caller's own for as long as anything refers to it; then its memory is used
        again.

        Raises
        ------
        DataError
            If a chunk is missing or damaged; it names the chunk and its samples.
        """
        ...

    def verify(self) -> None:
        """Return once everything that was read is known to be as it was written.

        Raises
        ------
        DataError
            If a chunk is damaged; it names the chunk and its samples.
        """
        ...


def open_batches(
    store: Path,
    name: str | None,
    *,
    batch_rows: int,
    memory_bytes: int | None = None,
    spill_folder: Path | None = None,
) -> BatchReader:
    """Return a reader of the array ``name`` of ``store``, or of ``store`` itself.

    Parameters
    ----------
    batch_rows
        Rows of the usual batch.
    memory_bytes
        What the reader may hold; see `lowmem.stores.reading`. Never changes what is
        read.
    spill_folder
        Where a compressed array may be decoded to; the folder for temporary files by
        default. Not used where it lies on a memory file system, or has no room.

    Raises
    ------
    DataError
        If there is no such array.
    """
    reader = RowReader.open(store, name)
    layout = find_layout(store / name if name else store)
    row_bytes = int(np.prod(reader.shape[1:], dtype=np.int64)) * reader.dtype.itemsize
    reading = Reading(
        n_rows=reader.shape[0],
        row_bytes=row_bytes,
        chunk_rows=reader.chunk_rows,
        batch_rows=batch_rows,
        is_compressed=layout is None,
    )
    plan = plan_reading(reading, memory_bytes=memory_bytes)
    folder = spill_folder or Path(tempfile.gettempdir())
    chosen: BatchReader = (
        DirectReader(layout, batch_rows=batch_rows, n_buffers=plan.n_buffers)
        if layout is not None
        else _decoding(store, reader, reading, plan, folder, memory_bytes=memory_bytes)
    )
    chosen.queue_depth = plan.queue_depth
    return chosen


def _decoding(
    store: Path,
    reader: RowReader,
    reading: Reading,
    plan: ReadingPlan,
    folder: Path,
    *,
    memory_bytes: int | None,
) -> BatchReader:
    """Return a reader that decodes, into memory or to a file in ``folder``."""
    n_bytes = reading.n_rows * reading.row_bytes
    if n_bytes <= (memory_bytes or 0) or not reading.row_bytes:
        return CachedReader(reader, cache_bytes=n_bytes)
    problem = no_room(folder, n_bytes)
    if problem:
        note = (
            f"{store} is compressed, and {problem}: chunks are decoded again and again. "
            "Make it with --codec none, or free some room."
        )
        cache_bytes = _CACHE_BYTES if memory_bytes is None else memory_bytes
        return CachedReader(reader, cache_bytes=cache_bytes, note=note)
    return SpilledReader(
        reader,
        folder,
        batch_rows=reading.batch_rows,
        n_buffers=plan.n_buffers,
        threads=plan.threads,
    )


def native(batch: NDArray[Any]) -> NDArray[Any]:
    """Return the same values in the machine's byte order: TensorFlow takes bytes for it."""
    return batch.astype(batch.dtype.newbyteorder("="), copy=False)
