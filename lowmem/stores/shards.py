"""The index of a shard: where its inner chunks lie, and whether they lie in it at all.

Zarr takes what lies beyond the end of a file for an empty chunk, and gives zeros for it:
so an index is held against its own checksum and the size of its file before a row is read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec

from lowmem.base.errors import DataError
from lowmem.base.files import storage_errors
from lowmem.base.outside import stream_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray
    from zarr.abc.codec import Codec

CHECKSUM_BYTES = 4
# What a shard's index says of an inner chunk that holds only the fill value.
ABSENT = 2**64 - 1
REMEDY = "Restore the file, or run the job that made the store with --restart."
_INDEX_WORD = np.dtype("<u8")


def shard_of(
    codecs: tuple[Codec, ...],
) -> tuple[ShardingCodec | None, tuple[Codec, ...]]:
    """Return the sharding of an array, if any, and the codecs of its chunks."""
    first, *others = codecs
    if isinstance(first, ShardingCodec) and not others:
        return first, tuple(first.codecs)
    return None, codecs


def setting(codec: Codec, name: str) -> object:
    """Return a codec's setting as the metadata of a store write it; None if absent.

    The codec's own attributes differ between releases of Zarr: enumerations up to 3.2,
    text since 3.3. What stands in a store does not.
    """
    settings = codec.to_dict().get("configuration", {})
    return settings.get(name) if isinstance(settings, Mapping) else None


def shard_offsets(
    files: Iterable[Path], shard: ShardingCodec, chunks_per_file: int
) -> NDArray[np.uint64] | None:
    """Return where the inner chunks begin; None where the index has another form.

    Notes
    -----
    An index holds offset and length of each inner chunk, as little-endian uint64, and
    their CRC-32C (Zarr's `sharding_indexed` codec, version 1.0).
    """
    head, *tail = shard.index_codecs
    is_usual = isinstance(head, BytesCodec) and setting(head, "endian") == "little"
    if not is_usual or [type(codec) for codec in tail] != [Crc32cCodec]:
        return None
    is_first = setting(shard, "index_location") == "start"
    n_bytes = chunks_per_file * 2 * _INDEX_WORD.itemsize
    parts = [_read_index(file, n_bytes, is_first=is_first) for file in files]
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def _read_index(file: Path, n_bytes: int, *, is_first: bool) -> NDArray[np.uint64]:
    with storage_errors(file), stream_of(file) as stream:
        size = os.fstat(stream.fileno()).st_size
        stored = n_bytes + CHECKSUM_BYTES
        stream.seek(0 if is_first else max(size - stored, 0))
        # More than the file holds need not be asked for.
        data = stream.read(min(stored, size))
    crc = google_crc32c.value(data[:n_bytes]).to_bytes(CHECKSUM_BYTES, "little")
    if len(data) != stored or crc != data[n_bytes:]:
        raise _damage(file, f"({size} bytes) has no valid index")
    offsets, lengths = np.frombuffer(data[:n_bytes], _INDEX_WORD).reshape(-1, 2).T
    # Without a sum, which may be more than the type holds.
    is_outside = (offsets > size) | (lengths > size - np.minimum(offsets, size))
    if (is_outside & (offsets != ABSENT)).any():
        raise _damage(file, f"({size} bytes) has an index that points beyond its end")
    return offsets.copy()


def _damage(file: Path, problem: str) -> DataError:
    return DataError(
        thing=file,
        problem=problem,
        expected="a whole shard as it was written",
        todo=REMEDY,
    )
