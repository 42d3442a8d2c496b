"""Read rows of a Zarr array in order, one chunk at a time; damage is named, not guessed.

Any Zarr array of format 2 or 3 can be read. Zarr takes a chunk that is missing for one
that holds only the fill value; in an array that lowmem wrote every chunk exists (see
`lowmem.stores.row_writer`), so there a missing chunk is an error.
"""

# NumPy's own array types are generic in Any.
from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lowmem.base.errors import DataError
from lowmem.stores.chunk_checks import refuse_unfit
from lowmem.stores.foreign_stores import (
    packing_at,
    require_chunks_in_place,
    require_plain,
)
from lowmem.stores.metadata import read_array_info
from lowmem.stores.row_writer import WHOLE_ATTRIBUTE
from lowmem.stores.zarr_library import content_errors, open_array

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem.stores.packing import Packing
    from lowmem.stores.zarr_library import ZarrArray


class RowReader:
    """Rows of one array; a context manager.

    Notes
    -----
    Memory: the rows asked for, and one chunk twice (as stored and as decoded).
    """

    def __init__(
        self, path: Path, array: ZarrArray, packing: Packing | None = None
    ) -> None:
        self._path = path
        self._array = array
        self._packing = packing
        self._seen: Path | None = None

    @classmethod
    def open(
        cls, store: Path, name: str | None = None, *, unpack: bool = False
    ) -> Self:
        """Return a reader of the array ``name`` in the group ``store``.

        Parameters
        ----------
        store
            Folder of the group; of the array itself where ``name`` is None.
        name
            Name of the array within the group.
        unpack
            Whether values that stand for others, see `lowmem.stores.packing`, are read
            as these, in float64; such an array is refused otherwise.

        Raises
        ------
        DataError
            If there is no array, it has no axis, its metadata cannot be read, or its
            chunks are not where they say.
        """
        path = store / name if name else store
        info = read_array_info(path)
        if info is None or not info.shape:
            found = "has no axis" if info else "is missing or no Zarr array"
            raise DataError(
                thing=path, problem=found, expected="an array of rows along axis 0"
            )
        packing = packing_at(path, info)
        if not unpack:
            require_plain(path, packing)
        array = open_array(path)
        if not array.attrs.get(WHOLE_ATTRIBUTE):
            first_key = array.metadata.encode_chunk_key((0,) * array.ndim)
            require_chunks_in_place(path, first_key)
        return cls(path, array, None if packing.is_plain else packing)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Zarr holds no file open; the form leaves room for a reader that does.
        pass

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths along all axes; axis 0 counts the rows."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type of the rows."""
        return np.dtype(np.float64 if self._packing else self._array.dtype)

    @property
    def attributes(self) -> Mapping[str, object]:
        """The user attributes of the array."""
        return self._array.attrs.asdict()

    @property
    def chunk_rows(self) -> int:
        """Number of rows in one chunk: reading whole multiples decodes each once."""
        return int(self._array.chunks[0])

    @property
    def array(self) -> ZarrArray:
        """The array itself, for its metadata."""
        return self._array

    def file_of(self, chunk: int) -> Path:
        """Return the file that holds a chunk; of a shard, that of the whole shard."""
        file_rows = (self._array.shards or self._array.chunks)[0]
        index = chunk * self.chunk_rows // file_rows
        key = (index, *(0 for _ in self.shape[1:]))
        return self._path / self._array.metadata.encode_chunk_key(key)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows ``start`` to ``stop`` (exclusive), as a new array.

        Raises
        ------
        DataError
            If a chunk is missing, truncated or altered.
        """
        if not 0 <= start <= stop <= self.shape[0]:
            raise ValueError(
                f"rows must lie in 0..{self.shape[0]}, got {start} to {stop}"
            )
        rows = np.empty((stop - start, *self.shape[1:]), dtype=self.dtype)
        at = start
        while at < stop:
            end = min(stop, (at // self.chunk_rows + 1) * self.chunk_rows)
            rows[at - start : end - start] = self._read_within_chunk(at, end)
            at = end
        return rows

    def _read_within_chunk(self, start: int, stop: int) -> NDArray[Any]:
        file = self.file_of(start // self.chunk_rows)
        if self._array.attrs.get(WHOLE_ATTRIBUTE) and not file.exists():
            raise self.damage(file, start, stop, "is missing")
        self._refuse_misshapen(start // self.chunk_rows)

        def damage(error: Exception) -> DataError:
            return self.damage(file, start, stop, f"is damaged ({error})")

        with content_errors(file, damage):
            rows = np.asarray(self._array[start:stop])
        return self._packing.unpacked(rows) if self._packing else rows

    def _refuse_misshapen(self, chunk: int) -> None:
        """Refuse files of a chunk that Zarr would wait for, or take for what they are not.

        Once for each file, while it is read row by row.
        """
        first = self.file_of(chunk)
        if first == self._seen:
            return
        ways = (self._array.shards or self._array.chunks)[1:]
        grid = [
            range(-(-n // way)) for n, way in zip(self.shape[1:], ways, strict=True)
        ]
        row = chunk * self.chunk_rows // (self._array.shards or self._array.chunks)[0]
        for rest in product(*grid):
            key = self._array.metadata.encode_chunk_key((row, *rest))
            refuse_unfit(self._path / key, self._array)
        self._seen = first

    def damage(self, file: Path, start: int, stop: int, problem: str) -> DataError:
        """Return the error that names a chunk's file and its samples."""
        return DataError(
            thing=file,
            problem=f"{problem}, so samples {start} to {stop - 1} cannot be read",
            expected="the chunk as it was written",
            todo="Restore it, or make the store again: run its job with --restart.",
        )
