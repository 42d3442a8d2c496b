"""Read single rows of an uncompressed array straight from its chunk files.

An exact shuffle asks for rows one by one. A Zarr reader decodes a whole chunk for each;
here a row is one `preadv` into its place in the batch. The bytes come from the page
cache, which is the kernel's to shrink, and nothing is kept in the process but
descriptors.

Covers local arrays of format 2 or 3, in C order, chunked along axis 0 only, without
compression, sharding or filters, all chunk files present. Where chunks end in a
CRC-32C, each is verified once, when it is first opened. Everything else is read
through Zarr, see `lowmem.stores.batches`.
"""

# NumPy's own array types are generic in Any.

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Self

import google_crc32c
import numpy as np
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec
from zarr.codecs.bytes import Endian
from zarr.core.metadata import ArrayV2Metadata

from lowmem.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from zarr.core.metadata import ArrayV3Metadata

    RowNumbers = np.ndarray[tuple[int], np.dtype[np.int64]]
    ZarrArray = zarr.Array[ArrayV2Metadata] | zarr.Array[ArrayV3Metadata]

# Descriptors open at once; the usual limit of a process is 1024.
_OPEN_FILES = 256
# Buffers a single preadv takes (IOV_MAX of Linux).
_RUN_ROWS = 1024
# Bytes of a chunk held at once while it is verified.
_BLOCK_BYTES = 2**18
_CHECKSUM_BYTES = 4
_TODO = "Restore the file, or run the job that made the store with --restart."


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLayout:
    """Where each row lies in the files of an array.

    Attributes
    ----------
    shape
        Of the whole array; axis 0 counts the rows.
    dtype
        Element type, in the machine's byte order.
    chunk_rows
        Rows in one file; the last file is as long as the others.
    files
        The chunk files, in the order of their rows.
    has_checksum
        Whether the rows of each file are followed by their CRC-32C.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_rows: int
    files: tuple[Path, ...]
    has_checksum: bool

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return prod(self.shape[1:]) * self.dtype.itemsize


def find_layout(path: Path) -> RowLayout | None:
    """Return the layout of the array at ``path``; None where Zarr must read it."""
    array = zarr.open_array(path, mode="r")
    if not _is_plain(array) or array.chunks[1:] != array.shape[1:]:
        return None
    chunk_rows = array.chunks[0]
    rest = (0,) * (array.ndim - 1)
    files = tuple(
        path / array.metadata.encode_chunk_key((chunk, *rest))
        for chunk in range(-(-array.shape[0] // chunk_rows))
    )
    # What a missing chunk means (zeros or damage) is for the general reader to say.
    if not all(file.exists() for file in files):
        return None
    return RowLayout(
        shape=array.shape,
        dtype=np.dtype(array.dtype),
        chunk_rows=chunk_rows,
        files=files,
        has_checksum=not isinstance(array.metadata, ArrayV2Metadata)
        and len(array.metadata.codecs) > 1,
    )


def _is_plain(array: ZarrArray) -> bool:
    """Tell whether rows lie in the files as they lie in memory."""
    dtype = np.dtype(array.dtype)
    if dtype.kind not in "biufc" or not dtype.isnative or not all(array.shape[1:]):
        return False
    metadata = array.metadata
    if isinstance(metadata, ArrayV2Metadata):
        coded = metadata.compressor or metadata.filters
        return not coded and metadata.order == "C"
    head, *tail = metadata.codecs
    # A checksum follows the rows, so it moves none of them.
    return (
        isinstance(head, BytesCodec)
        and head.endian in {None, Endian(sys.byteorder)}
        and len(tail) <= 1
        and all(isinstance(codec, Crc32cCodec) for codec in tail)
    )


class DirectReader:
    """Random rows of one array; owns a bounded number of descriptors."""

    def __init__(self, layout: RowLayout) -> None:
        self._layout = layout
        self._files: OrderedDict[int, int] = OrderedDict()
        # Chunks whose checksum need not be looked at (again).
        self._is_verified = np.full(len(layout.files), not layout.has_checksum)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every descriptor."""
        while self._files:
            os.close(self._files.popitem()[1])

    def read(self, rows: RowNumbers) -> NDArray[Any]:
        """Return these rows in this order, in a fresh array.

        Raises
        ------
        DataError
            If a chunk file is missing, too short, or not as it was written.
        """
        layout = self._layout
        out = np.empty((len(rows), *layout.shape[1:]), layout.dtype)
        if not len(rows):
            return out
        into = out.reshape(len(rows), -1).view(np.uint8)
        # In the order of the files, so that neighbours come with one call.
        places = np.argsort(rows, kind="stable")
        for run in _runs(rows, places, layout.chunk_rows):
            self._read_run(
                int(rows[run[0]]), [memoryview(into[place]) for place in run]
            )
        return out

    def _read_run(self, row: int, buffers: list[memoryview]) -> None:
        """Fill the buffers with consecutive rows of one chunk."""
        chunk, within = divmod(row, self._layout.chunk_rows)
        file = self._file(chunk)
        wanted = len(buffers) * self._layout.row_bytes
        got = os.preadv(file, buffers, within * self._layout.row_bytes)
        if got != wanted:
            raise self._truncated(chunk, os.fstat(file).st_size)

    def _file(self, chunk: int) -> int:
        file = self._files.get(chunk)
        if file is not None:
            self._files.move_to_end(chunk)
            return file
        if len(self._files) >= _OPEN_FILES:
            os.close(self._files.popitem(last=False)[1])
        file = self._open(chunk)
        self._files[chunk] = file
        return file

    def _open(self, chunk: int) -> int:
        path = self._layout.files[chunk]
        try:
            file = os.open(path, os.O_RDONLY)
        except FileNotFoundError as error:
            raise DataError(
                thing=path, problem="is missing", expected=self._expected(chunk)
            ) from error
        try:
            self._verify(chunk, file)
        except BaseException:
            os.close(file)
            raise
        return file

    def _verify(self, chunk: int, file: int) -> None:
        """Refuse a chunk that is too short, and once, one that was altered."""
        size = os.fstat(file).st_size
        if size < self._chunk_bytes:
            raise self._truncated(chunk, size)
        if self._is_verified[chunk]:
            return
        crc = 0
        for at in range(0, self._rows_bytes, _BLOCK_BYTES):
            n_bytes = min(_BLOCK_BYTES, self._rows_bytes - at)
            crc = google_crc32c.extend(crc, os.pread(file, n_bytes, at))
        stored = os.pread(file, _CHECKSUM_BYTES, self._rows_bytes)
        if crc.to_bytes(_CHECKSUM_BYTES, "little") != stored:
            raise DataError(
                thing=self._layout.files[chunk],
                problem="was altered: its CRC-32C is not that of its bytes",
                expected=self._expected(chunk),
                todo=_TODO,
            )
        self._is_verified[chunk] = True

    @property
    def _rows_bytes(self) -> int:
        return self._layout.chunk_rows * self._layout.row_bytes

    @property
    def _chunk_bytes(self) -> int:
        return self._rows_bytes + _CHECKSUM_BYTES * self._layout.has_checksum

    def _truncated(self, chunk: int, size: int) -> DataError:
        return DataError(
            thing=self._layout.files[chunk],
            problem=f"holds {size} bytes",
            expected=f"at least {self._chunk_bytes}: {self._expected(chunk)}",
            todo=_TODO,
        )

    def _expected(self, chunk: int) -> str:
        first = chunk * self._layout.chunk_rows
        last = min(first + self._layout.chunk_rows, self._layout.shape[0]) - 1
        return f"the chunk of samples {first} to {last}"


def _runs(
    rows: RowNumbers, places: RowNumbers, chunk_rows: int
) -> Iterator[RowNumbers]:
    """Yield groups of places whose rows follow one another in one chunk."""
    ordered = rows[places]
    breaks = (np.diff(ordered) != 1) | (ordered[1:] % chunk_rows == 0)
    for run in np.split(places, np.flatnonzero(breaks) + 1):
        yield from (run[i : i + _RUN_ROWS] for i in range(0, len(run), _RUN_ROWS))
