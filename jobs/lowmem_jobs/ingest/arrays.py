"""Images in an array: .npy, a member of .npz, or a Zarr array; row by row."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from math import prod
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from lowmem.base import DataError
from lowmem.stores import RowReader, content_errors, read_header
from lowmem_jobs.ingest.array_choice import (
    Found,
    choose,
    has_shape_of_images,
    rows_shape,
    zarr_array,
)
from lowmem_jobs.ingest.bit_depth import unit_to_bytes
from lowmem_jobs.ingest.decode_tasks import DecodeTask, image_of
from lowmem_jobs.ingest.entries import Entry
from lowmem_jobs.ingest.fortran_rows import MOST_BYTES, ColumnRows
from lowmem_jobs.ingest.image_decoder import MAX_PIXELS
from lowmem_jobs.ingest.unreadable import UnreadableError
from lowmem_jobs.ingest.zips import open_zip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from zipfile import ZipFile

    from numpy.typing import NDArray

    from lowmem_jobs.ingest.framing import Pixels
    from lowmem_jobs.ingest.image_decoder import Decoder

_MEMBER = ".npy"
# No array has more; a header may say so.
_MAX_ROWS = 2**48
# Rows of a Zarr array that are read, and kept, at once; bytes.
_BLOCK_BYTES = 2**24
_HEADERS = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
    # It differs in the letters of names alone, and arrays with names hold no pictures.
    (3, 0): npy.read_array_header_2_0,
}


class ArraySource:
    """Rows of an array, each an image."""

    def __init__(
        self,
        title: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        read: Callable[[int], NDArray[Any]],
        decoder: Decoder,
    ) -> None:
        _require_images(title, shape, dtype)
        self._title = title
        self._shape = rows_shape(shape)
        self._row_bytes = prod(self._shape[1:]) * dtype.itemsize
        self._read = read
        self.decoder = decoder

    def __len__(self) -> int:
        return self._shape[0]

    def entry(self, index: int) -> Entry:
        """Return place and size of a row."""
        name = f"{self._title}[{index}]"
        return Entry(name, n_bytes=self._row_bytes, place=index)

    def fetch(self, entry: Entry) -> DecodeTask:
        """Return a row as bytes of 0 to 255.

        Raises
        ------
        DataError
            If it is damaged, or holds floats outside 0 to 1: the range is a property
            of the array, so a single row beyond it puts all of them in doubt.
        """
        row = self._read(entry.place)
        if row.dtype != np.uint8:
            row = self._bytes(entry, row)
        return DecodeTask("row", row.shape, row.tobytes())

    def _bytes(self, entry: Entry, row: NDArray[Any]) -> Pixels:
        try:
            return unit_to_bytes(row)
        except UnreadableError as error:
            raise DataError(
                thing=entry.name,
                problem=f"holds values from {row.min():g} to {row.max():g}",
                expected="floats from 0 (black) to 1 (white), or uint8",
                todo="Scale the array first.",
            ) from error

    def load(self, stored: DecodeTask) -> Pixels:
        """Return the image of a row."""
        return np.asarray(image_of(stored, self.decoder))


def _require_images(title: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype != np.uint8 and dtype.kind != "f":
        raise DataError(
            thing=title,
            problem=f"holds {dtype} values",
            expected="uint8, or floats from 0 to 1",
            todo="Objects are never unpickled; other integers have no known white.",
        )
    n_rows, *row = rows_shape(shape)
    has_pixels = all(n > 0 for n in row) and prod(row[:2]) <= MAX_PIXELS
    is_possible = has_pixels and 0 <= n_rows <= _MAX_ROWS
    if not has_shape_of_images(shape) or not is_possible:
        raise DataError(
            thing=title,
            problem=f"has the shape {shape}",
            expected="(n, height, width), (n, height, width, 1 or 3 or 4), or (height, "
            f"width, 1 or 3 or 4) of one picture, with at most {MAX_PIXELS} pixels",
        )


@contextmanager
def open_npy(
    path: Path, decoder: Decoder, _wanted: str | None
) -> Iterator[ArraySource]:
    """Open a .npy file."""
    with path.open("rb") as stream:
        yield _stream_source(path.name, stream, decoder)


@contextmanager
def open_npz(path: Path, decoder: Decoder, wanted: str | None) -> Iterator[ArraySource]:
    """Open the array of a .npz file that is asked for, or that must be meant."""
    with open_zip(path) as archive:
        name = choose(path, list(_members(path, archive, wanted)), wanted) + _MEMBER
        title = f"{path.name}/{name}"
        with content_errors(path, partial(_damaged, title)):
            stream = archive.open(name)
        with stream:
            yield _stream_source(title, stream, decoder)


def _members(path: Path, archive: ZipFile, wanted: str | None) -> Iterator[Found]:
    """Yield the arrays of an archive; of one that is asked for no header is read."""
    for member in archive.namelist():
        name = member.removesuffix(_MEMBER)
        if name == member:
            continue
        shape: tuple[int, ...] = ()
        dtype: np.dtype[Any] | None = None
        if wanted is None:
            # One that cannot be read is no candidate; the one that is taken says why.
            damaged = partial(_damaged, member)
            with (
                suppress(DataError),
                content_errors(path, damaged),
                archive.open(member) as stream,
            ):
                shape, _, dtype = _header(member, stream)
        is_able = dtype is not None and (dtype == np.uint8 or dtype.kind == "f")
        yield Found(
            name=name,
            shape=shape,
            can_be_images=is_able and has_shape_of_images(shape),
        )


def _stream_source(title: str, stream: IO[bytes], decoder: Decoder) -> ArraySource:
    """Return the rows of an array in NumPy's format.

    Notes
    -----
    One row is read at a time, at its offset: memory does not grow with the array, as
    it would with a mapping of the whole file.
    """
    shape, is_fortran, dtype = _header(title, stream)
    # Of one axis or none both orders are the same.
    if is_fortran and len(shape) > 1:
        spread = _by_columns(title, stream, shape, dtype)
        return ArraySource(title, shape, dtype, read=spread, decoder=decoder)
    start = stream.tell()
    row_shape = rows_shape(shape)[1:]
    row_bytes = prod(row_shape) * dtype.itemsize

    def read(index: int) -> NDArray[Any]:
        with content_errors(title, partial(_damaged, f"{title}[{index}]")):
            stream.seek(start + index * row_bytes)
            data = stream.read(row_bytes)
        if len(data) < row_bytes:
            raise _damage(f"{title}[{index}]", "cut short")
        return np.frombuffer(data, dtype).reshape(row_shape)

    return ArraySource(title, shape, dtype, read=read, decoder=decoder)


def _by_columns(
    title: str, stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Callable[[int], NDArray[Any]]:
    """Return what reads a row of an array that is stored column by column.

    Raises
    ------
    DataError
        If it is so large that it would be read too many times.
    """
    n_bytes = prod(shape) * dtype.itemsize
    if n_bytes > MOST_BYTES:
        raise DataError(
            thing=title,
            problem=f"is stored column by column and holds {n_bytes} bytes",
            expected=f"rows one after another, or at most {MOST_BYTES} bytes",
            todo="Save numpy.ascontiguousarray of it.",
        )
    block = _Block(ColumnRows(stream, stream.tell(), rows_shape(shape), dtype))

    def read(index: int) -> NDArray[Any]:
        with content_errors(title, partial(_damaged, f"{title}[{index}]")):
            return block.read(index)

    return read


def _header(
    title: str, stream: IO[bytes]
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    with content_errors(title, partial(_damaged, title)):
        whole = BytesIO(read_header(stream))
    try:
        return _HEADERS[npy.read_magic(whole)](whole)
    except Exception as error:
        # A literal of some bytes, in which the interpreter's parser comes upon whatever
        # there is: it may say so by MemoryError, RecursionError or TokenError.
        raise _damage(title, f"{type(error).__name__}: {error}") from error


def _damaged(thing: str, error: Exception) -> DataError:
    return _damage(thing, str(error))


def _damage(thing: str, problem: str) -> DataError:
    return DataError(
        thing=thing,
        problem=f"cannot be read as a NumPy array ({problem})",
        expected="a whole .npy file or member",
    )


@contextmanager
def open_zarr(
    path: Path, decoder: Decoder, wanted: str | None
) -> Iterator[ArraySource]:
    """Open the array of a store that is asked for, or that must be meant."""
    name = zarr_array(path, wanted)
    with RowReader.open(path, name, unpack=True) as reader:
        title = f"{path.name}/{name}" if name else path.name
        is_one = rows_shape(reader.shape) != reader.shape
        read = _whole(reader) if is_one else _Block(reader).read
        yield ArraySource(title, reader.shape, reader.dtype, read=read, decoder=decoder)


def _whole(reader: RowReader) -> Callable[[int], NDArray[Any]]:
    """Return what reads the only picture of an array."""
    return lambda _: reader.read(0, reader.shape[0])


class _Block:
    """The rows that were decoded last: consecutive reads decode each chunk once."""

    def __init__(self, reader: RowReader | ColumnRows) -> None:
        self._reader = reader
        row_bytes = prod(reader.shape[1:]) * reader.dtype.itemsize
        fitting = max(1, _BLOCK_BYTES // max(1, row_bytes))
        self._n_rows = min(reader.chunk_rows, fitting)
        self._start = 0
        self._rows: NDArray[Any] = np.empty(0)

    def read(self, index: int) -> NDArray[Any]:
        """Return one row."""
        if not self._start <= index < self._start + len(self._rows):
            self._start = index - index % self._n_rows
            stop = min(self._start + self._n_rows, self._reader.shape[0])
            self._rows = self._reader.read(self._start, stop)
        row: NDArray[Any] = self._rows[index - self._start]
        return row
