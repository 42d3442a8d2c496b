"""Chunk files of Zarr arrays: which there should be, and whether each is as written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import google_crc32c

from lowmem.base.files import storage_errors
from lowmem.base.outside import stream_of
from lowmem.stores.metadata import read_mapping

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_METADATA = "zarr.json"
_EVERY_CHUNK = "lowmem_every_chunk_is_stored"
_CHECKSUM_BYTES = 4
# Large enough that threads seldom wait for each other, small beside a chunk.
_BLOCK_BYTES = 2**17


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the chunks of an array lie.

    Attributes
    ----------
    folder
        Of the array.
    grid
        Number of chunks along each axis.
    chunk_rows, n_rows
        Rows of one chunk, and of the array.
    prefix, separator
        Of the names of the files.
    is_complete
        Whether every chunk has a file.
    """

    folder: Path
    grid: tuple[int, ...]
    chunk_rows: int
    n_rows: int
    prefix: str
    separator: str
    is_complete: bool

    def files(self) -> Iterator[tuple[Path, int]]:
        """Yield the file of each chunk, and the chunk's place along the first axis."""
        for place in product(*map(range, self.grid)):
            words = (self.prefix, *map(str, place))
            yield self.folder / self.separator.join(words), place[0] if place else 0

    def samples(self, chunk: int) -> str:
        """Return which samples a chunk holds, in words."""
        first = chunk * self.chunk_rows
        last = min(first + self.chunk_rows, self.n_rows) - 1
        return f"samples {first} to {last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What one read of a file tells.

    Attributes
    ----------
    ends_in_crc
        Whether its last four bytes are the CRC-32C of those before.
    """

    size_bytes: int
    sha256: str
    ends_in_crc: bool


def layouts_in(store: Path) -> Iterator[Layout]:
    """Yield the arrays of a store whose chunks end in a CRC-32C.

    Metadata that cannot be read are left out: a store's own sums tell of those.
    """
    for file in sorted(store.rglob(_METADATA)):
        try:
            layout = _layout(file)
        except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError):
            continue
        if layout is not None:
            yield layout


def _layout(file: Path) -> Layout | None:
    document = read_mapping(file)
    if document["node_type"] != "array" or document["codecs"][-1]["name"] != "crc32c":
        return None
    encoding = document["chunk_key_encoding"]
    if encoding["name"] != "default":
        return None
    shape = [int(length) for length in document["shape"]]
    chunks = [int(n) for n in document["chunk_grid"]["configuration"]["chunk_shape"]]
    return Layout(
        folder=file.parent,
        grid=tuple(-(-n // chunk) for n, chunk in zip(shape, chunks, strict=True)),
        chunk_rows=chunks[0] if chunks else 1,
        n_rows=shape[0] if shape else 1,
        prefix="c",
        separator=encoding.get("configuration", {}).get("separator", "/"),
        is_complete=bool(document.get("attributes", {}).get(_EVERY_CHUNK)),
    )


def sums_of(path: Path) -> Sums:
    """Read a file once.

    Notes
    -----
    Memory: 0.4 MiB, whatever its size.
    """
    digest, crc, size = hashlib.sha256(), 0, 0
    tail = b""
    with storage_errors(path), stream_of(path) as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
            size += len(block)
            # All but the last four bytes so far, which may be the checksum.
            held = tail + block
            crc = google_crc32c.extend(crc, held[:-_CHECKSUM_BYTES])
            tail = held[-_CHECKSUM_BYTES:]
    is_ending = len(tail) == _CHECKSUM_BYTES and tail == crc.to_bytes(4, "little")
    return Sums(size_bytes=size, sha256=digest.hexdigest(), ends_in_crc=is_ending)
