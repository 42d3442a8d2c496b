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
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec

from lowmem.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray
    from zarr.abc.codec import Codec
    from zarr.core.metadata import ArrayV2Metadata, ArrayV3Metadata

    Offsets = np.ndarray[tuple[int], np.dtype[np.int64]]
    ZarrArray = zarr.Array[ArrayV2Metadata] | zarr.Array[ArrayV3Metadata]

CHECKSUM_BYTES = 4
_INDEX_WORD = np.dtype("<u8")
# What a shard's index says of an inner chunk that holds only the fill value.
_ABSENT = 2**64 - 1
_REMEDY = "Restore the file, or run the job that made the store with --restart."


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
            todo=_REMEDY,
        )


def find_layout(path: Path) -> RowLayout | None:
    """Return the layout of the array at ``path``; None where Zarr must read it.

    Raises
    ------
    DataError
        If the index of a shard is damaged.
    """
    array = zarr.open_array(path, mode="r")
    if not has_plain_rows(array):
        return None
    metadata = array.metadata
    shard = None
    if metadata.zarr_format == 2:  # noqa: PLR2004 - the format's own number
        coded = metadata.compressor or metadata.filters
        is_plain, has_checksum = not coded and metadata.order == "C", False
    else:
        shard, codecs = _shard_of(metadata.codecs)
        is_plain, has_checksum = are_plain(codecs), len(codecs) > 1
    if not is_plain:
        return None
    return _located(path, array, shard, has_checksum=has_checksum)


def has_plain_rows(array: ZarrArray) -> bool:
    """Tell whether an array holds numbers of this machine, chunked along axis 0 only."""
    dtype = np.dtype(array.dtype)
    is_number = dtype.kind in "biufc" and dtype.isnative
    return is_number and all(array.shape) and array.chunks[1:] == array.shape[1:]


def _shard_of(
    codecs: tuple[Codec, ...],
) -> tuple[ShardingCodec | None, tuple[Codec, ...]]:
    """Return the sharding of an array, if any, and the codecs of its chunks."""
    first, *others = codecs
    if isinstance(first, ShardingCodec) and not others:
        return first, tuple(first.codecs)
    return None, codecs


def are_plain(codecs: tuple[Codec, ...]) -> bool:
    """Tell whether rows lie in a chunk as they lie in memory."""
    head, *tail = codecs
    # A checksum follows the rows, so it moves none of them.
    return (
        isinstance(head, BytesCodec)
        and _setting(head, "endian") in {None, sys.byteorder}
        and len(tail) <= 1
        and all(isinstance(codec, Crc32cCodec) for codec in tail)
    )


def _setting(codec: Codec, name: str) -> object:
    """Return a codec's setting as the metadata of a store write it; None if absent.

    The codec's own attributes differ between releases of Zarr: enumerations up to 3.2,
    text since 3.3. What stands in a store does not.
    """
    settings = codec.to_dict().get("configuration", {})
    return settings.get(name) if isinstance(settings, Mapping) else None


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
    if not all(os.path.exists(path_of(index)) for index in range(n_files)):  # noqa: PTH110 - as above
        return None
    chunks_per_file = file_rows // array.chunks[0]
    n_chunks = -(-array.shape[0] // array.chunks[0])
    if shard is None:
        offsets = np.zeros(n_chunks, np.int64)
    else:
        files = (Path(path_of(index)) for index in range(n_files))
        found = _shard_offsets(files, shard, chunks_per_file)
        if found is None or (found[:n_chunks] == _ABSENT).any():
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


def _shard_offsets(
    files: Iterable[Path], shard: ShardingCodec, chunks_per_file: int
) -> NDArray[np.uint64] | None:
    """Return where the inner chunks begin; None where the index has another form.

    Notes
    -----
    An index holds offset and length of each inner chunk, as little-endian uint64, and
    their CRC-32C (Zarr's `sharding_indexed` codec, version 1.0).
    """
    head, *tail = shard.index_codecs
    is_usual = isinstance(head, BytesCodec) and _setting(head, "endian") == "little"
    if not is_usual or [type(codec) for codec in tail] != [Crc32cCodec]:
        return None
    is_first = _setting(shard, "index_location") == "start"
    n_bytes = chunks_per_file * 2 * _INDEX_WORD.itemsize
    parts = [_read_index(file, n_bytes, is_first=is_first) for file in files]
    return np.concatenate(parts)


def _read_index(file: Path, n_bytes: int, *, is_first: bool) -> NDArray[np.uint64]:
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        stored = n_bytes + CHECKSUM_BYTES
        stream.seek(0 if is_first else max(size - stored, 0))
        data = stream.read(stored)
    crc = google_crc32c.value(data[:n_bytes]).to_bytes(CHECKSUM_BYTES, "little")
    if len(data) != stored or crc != data[n_bytes:]:
        raise DataError(
            thing=file,
            problem=f"({size} bytes) has no valid index",
            expected="a whole shard as it was written",
            todo=_REMEDY,
        )
    return np.frombuffer(data[:n_bytes], _INDEX_WORD)[::2].copy()
