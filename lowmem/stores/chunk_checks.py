"""Look at a chunk's file before Zarr does: what it is, and what it says it unpacks to.

Covers regular files, the index of a shard, and the sizes that Blosc and Zstandard state.
What a chunk within a shard unpacks to, or one compressed without its size, is not known
before; the guards of memory see it.
"""

from __future__ import annotations

import struct
from math import prod
from typing import TYPE_CHECKING

import numcodecs
import numpy as np
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

from lowmem.base.errors import DataError
from lowmem.base.files import storage_errors
from lowmem.base.outside import stream_of
from lowmem.stores.shards import REMEDY, shard_of, shard_offsets

if TYPE_CHECKING:
    from pathlib import Path

    from lowmem.stores.zarr_library import ZarrArray

# Uncompressed size, at byte 4 of a Blosc chunk of format 1.
_BLOSC_SIZE = struct.Struct("<4xI")
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_HEAD_BYTES = 18


def refuse_unfit(file: Path, array: ZarrArray) -> None:
    """Refuse a chunk's or shard's file that is not what the array's metadata declare.

    One that is not there is passed over: what that means is for the reader to say.

    Raises
    ------
    DataError
        If it is no regular file, is a shard whose index points beyond it, or would
        unpack to another size than a chunk has.
    """
    if not file.exists():
        return
    codecs = () if array.metadata.zarr_format == 2 else array.metadata.codecs  # noqa: PLR2004 - the format's own number
    shard, _ = shard_of(codecs) if codecs else (None, ())
    if shard is not None:
        n_inner = prod(
            whole // inner
            for whole, inner in zip(array.shards or (), array.chunks, strict=False)
        )
        shard_offsets([file], shard, n_inner)
        return
    with storage_errors(file), stream_of(file) as stream:
        head = stream.read(_HEAD_BYTES)
    stated = stated_bytes(head, _outermost(array))
    meant = prod(array.chunks) * np.dtype(array.dtype).itemsize
    # An array of Python's texts has no size of its own.
    if stated is None or np.dtype(array.dtype).kind not in "biufc" or stated == meant:
        return
    raise DataError(
        thing=file,
        problem=f"says that it unpacks to {stated} bytes",
        expected=f"the {meant} of a chunk",
        todo=REMEDY,
    )


def _outermost(array: ZarrArray) -> object:
    """Return the codec that the bytes of a file are of; None if there is none."""
    metadata = array.metadata
    if metadata.zarr_format == 2:  # noqa: PLR2004
        return None if metadata.filters else metadata.compressor
    # A checksum follows, and so moves nothing. Before it only the array's bytes may be.
    named = [codec for codec in metadata.codecs if not isinstance(codec, Crc32cCodec)]
    return named[1] if len(named) == 2 else None  # noqa: PLR2004 - bytes, and one more


def stated_bytes(head: bytes, codec: object) -> int | None:
    """Return the size that the head of a compressed chunk states; None if it does not.

    References
    ----------
    Blosc: README_CHUNK_FORMAT.rst of c-blosc 1. Zstandard: RFC 8878, section 3.1.1.1.
    """
    if isinstance(codec, BloscCodec | numcodecs.Blosc):
        return _BLOSC_SIZE.unpack_from(head)[0] if len(head) >= 16 else None  # noqa: PLR2004
    if isinstance(codec, ZstdCodec | numcodecs.Zstd):
        return _zstd_bytes(head)
    return None


def _zstd_bytes(head: bytes) -> int | None:
    if head[:4] != _ZSTD_MAGIC or len(head) < 6:  # noqa: PLR2004
        return None
    descriptor = head[4]
    flag, is_single = descriptor >> 6, descriptor >> 5 & 1
    width = (is_single, 2, 4, 8)[flag]
    if not width:
        return None
    start = 5 + (not is_single) + (0, 1, 2, 4)[descriptor & 3]
    size = int.from_bytes(head[start : start + width], "little")
    return size + (256 if flag == 1 else 0)
