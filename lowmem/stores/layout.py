"""Where the rows of an uncompressed array lie in its files.

Zarr's own library reads the metadata, once. Covers local arrays of format 2 or 3 in C
order, chunked along axis 0 only, without compression or filters, every chunk stored;
of format 3 with shards too, whose inner chunks may lie in any order. Everything else is
for the general reader, see `lowmem.stores.batches`.
"""

# NumPy's own array types are generic in Any.

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from zarr.codecs import BytesCodec, Crc32cCodec

from lowmem.base.errors import DataError
from lowmem.base.outside import refuse_unless_regular
from lowmem.stores.shards import ABSENT, REMEDY, setting, shard_of, shard_offsets
from lowmem.stores.zarr_library import open_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from zarr.abc.codec import Codec
    from zarr.codecs import ShardingCodec

    from lowmem.stores.zarr_library import ZarrArray

    Offsets = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowLayout:
    """Where each row lies in the files of an array.

    Attributes
    ----------
    shape
        Of the whole array; axis 0 counts the rows.
    dtype
        Element type, in the machine's byte order.
    chunk_rows
        Rows that lie together: those of a chunk, or of a shard's inner chunk. The last
        chunk takes as much room as the others.
    path_of
        The file of a chunk or shard by its number, in the order of their rows: computed,
        since the names of all would take more memory than all else here; and a string,
        since the interpreter's table of names grows with every `Path` that is made.
    chunks_per_file
        1, or the number of inner chunks of a shard.
    offsets : shape (n_chunks,)
        Where each chunk begins in its file, in bytes.
    has_checksum
        Whether the rows of each chunk are followed by their CRC-32C.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_rows: int
    path_of: Callable[[int], str]
    chunks_per_file: int
    offsets: Offsets
    has_checksum: bool

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk's rows, without its checksum."""
        return self.chunk_rows * self.row_bytes

    @property
    def n_chunks(self) -> int:
        """Number of chunks that hold rows."""
        return -(-self.shape[0] // self.chunk_rows)

    @property
    def n_files(self) -> int:
        """Number of files that hold rows."""
        return -(-self.n_chunks // self.chunks_per_file)

    def file_of(self, chunk: int) -> Path:
        """Return the file that holds a chunk."""
        return Path(self.path_of(chunk // self.chunks_per_file))

    def damage(self, chunk: int, problem: str) -> DataError:
        """Return the error that names a chunk and its samples."""
        first = chunk * self.chunk_rows
        last = min(first + self.chunk_rows, self.shape[0]) - 1
        part = f" (inner chunk {chunk % self.chunks_per_file})"
        return DataError(
            thing=self.file_of(chunk),
            problem=problem + part * (self.chunks_per_file > 1),
            expected=f"the chunk of samples {first} to {last} as it was written",
            todo=REMEDY,
        )


def find_layout(path: Path) -> RowLayout | None:
    """Return the layout of the array at ``path``; None where Zarr must read it.

    Raises
    ------
    DataError
        If the index of a shard is damaged.
    """
    array = open_array(path)
    if not has_plain_rows(array):
        return None
    metadata = array.metadata
    shard = None
    if metadata.zarr_format == 2:  # noqa: PLR2004 - the format's own number
        coded = metadata.compressor or metadata.filters
        is_plain, has_checksum = not coded and metadata.order == "C", False
    else:
        shard, codecs = shard_of(metadata.codecs)
        is_plain, has_checksum = are_plain(codecs), len(codecs) > 1
    if not is_plain:
        return None
    return _located(path, array, shard, has_checksum=has_checksum)


def has_plain_rows(array: ZarrArray) -> bool:
    """Tell whether an array holds numbers of this machine, chunked along axis 0 only."""
    dtype = np.dtype(array.dtype)
    is_number = dtype.kind in "biufc" and dtype.isnative
    return is_number and all(array.shape) and array.chunks[1:] == array.shape[1:]


def are_plain(codecs: tuple[Codec, ...]) -> bool:
    """Tell whether rows lie in a chunk as they lie in memory."""
    head, *tail = codecs
    # A checksum follows the rows, so it moves none of them.
    return (
        isinstance(head, BytesCodec)
        and setting(head, "endian") in {None, sys.byteorder}
        and len(tail) <= 1
        and all(isinstance(codec, Crc32cCodec) for codec in tail)
    )


def _located(
    path: Path, array: ZarrArray, shard: ShardingCodec | None, *, has_checksum: bool
) -> RowLayout | None:
    """Find every chunk in its file; None if one is not stored."""
    file_rows = array.chunks[0] if array.shards is None else array.shards[0]
    rest = (0,) * (array.ndim - 1)
    metadata = array.metadata

    def path_of(index: int) -> str:
        return os.path.join(path, metadata.encode_chunk_key((index, *rest)))  # noqa: PTH118 - no Path

    n_files = -(-array.shape[0] // file_rows)
    # What a missing chunk means (zeros or damage) is for the general reader to say.
    for index in range(n_files):
        if not os.path.exists(path_of(index)):  # noqa: PTH110 - as above
            return None
        refuse_unless_regular(path_of(index))
    chunks_per_file = file_rows // array.chunks[0]
    n_chunks = -(-array.shape[0] // array.chunks[0])
    if shard is None:
        offsets = np.zeros(n_chunks, np.int64)
    else:
        files = (Path(path_of(index)) for index in range(n_files))
        found = shard_offsets(files, shard, chunks_per_file)
        if found is None or (found[:n_chunks] == ABSENT).any():
            return None
        offsets = found[:n_chunks].astype(np.int64)
    return RowLayout(
        shape=array.shape,
        dtype=np.dtype(array.dtype),
        chunk_rows=array.chunks[0],
        path_of=path_of,
        chunks_per_file=chunks_per_file,
        offsets=offsets,
        has_checksum=has_checksum,
    )
