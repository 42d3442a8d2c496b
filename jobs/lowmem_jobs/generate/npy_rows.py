"""Rows of a .npy file written in place, so that a million of them need no memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from lowmem.base import make_folder, storage_errors, sync_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFile:
    """A 2-D array on disk whose full size is set from the start.

    Attributes
    ----------
    path
        The .npy file.
    shape
        Rows and columns.
    dtype
        Element type.

    Notes
    -----
    Plain writes rather than a memory map: a full disk is then an error to report, not
    a fatal signal.
    """

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    @classmethod
    def create(cls, path: Path, shape: tuple[int, int], dtype: DTypeLike) -> RowFile:
        """Start the file anew, its rows zero, whatever was there before."""
        make_folder(path.parent)
        header = {
            "descr": npy.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": shape,
        }
        n_bytes = shape[0] * shape[1] * np.dtype(dtype).itemsize
        with storage_errors(path), path.open("wb") as stream:
            npy.write_array_header_1_0(stream, header)
            stream.truncate(stream.tell() + n_bytes)
        return cls.reopen(path, shape, dtype)

    @classmethod
    def reopen(cls, path: Path, shape: tuple[int, int], dtype: DTypeLike) -> RowFile:
        """Return the file that `create` made with the same arguments."""
        return cls(path=path, shape=shape, dtype=np.dtype(dtype))

    def write(self, start: int, rows: NDArray[np.generic]) -> None:
        """Write ``rows`` from row ``start`` on; what was there is replaced."""
        data = np.ascontiguousarray(rows, self.dtype)
        offset = self._size_of_header + start * self._row_bytes
        with storage_errors(self.path), self.path.open("r+b") as stream:
            stream.seek(offset)
            stream.write(data.tobytes())

    def read(self, n_rows: int) -> NDArray[Any]:
        """Return the first ``n_rows`` rows, in memory."""
        columns = self.shape[1]
        with storage_errors(self.path):
            flat = np.fromfile(
                self.path,
                self.dtype,
                count=n_rows * columns,
                offset=self._size_of_header,
            )
        return flat.reshape(n_rows, columns)

    def flush(self) -> None:
        """Wait until all that was written is on the disk."""
        sync_file(self.path)
        sync_file(self.path.parent)

    @property
    def _row_bytes(self) -> int:
        return self.shape[1] * self.dtype.itemsize

    @property
    def _size_of_header(self) -> int:
        return self.path.stat().st_size - self.shape[0] * self._row_bytes
