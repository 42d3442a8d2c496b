"""Open an array with Zarr's own library, and read of it; what it cannot take is bad data.

Zarr and its codecs raise whatever their code comes upon: ZeroDivisionError for a chunk
without length, IndexError for codecs that are missing. None of them is a fault of the
job; lack of memory and of a disk are told apart.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

import zarr

from lowmem.base.errors import DataError, LowmemError, StorageError
from lowmem.stores.metadata import read_array_info

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from zarr.core.metadata import ArrayV2Metadata, ArrayV3Metadata

    ZarrArray = zarr.Array[ArrayV2Metadata] | zarr.Array[ArrayV3Metadata]

# What no content of a file brings about; a place that no file has gives EINVAL.
_OF_THE_DISK = frozenset(
    {
        errno.EIO,
        errno.ENOSPC,
        errno.ESTALE,
        errno.EACCES,
        errno.EPERM,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENODEV,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.ECONNRESET,
        errno.ECONNABORTED,
    }
)


def open_array(path: Path) -> ZarrArray:
    """Return the array at ``path``, whose metadata are in bounds.

    Raises
    ------
    DataError
        If Zarr cannot take its metadata.
    """
    read_array_info(path)

    def refusal(error: Exception) -> DataError:
        return DataError(
            thing=path,
            problem=f"cannot be opened ({error})",
            expected="a Zarr array of format 2 or 3",
        )

    with content_errors(path, refusal):
        return zarr.open_array(path, mode="r")


@contextmanager
def content_errors(
    path: Path | str, refusal: Callable[[Exception], DataError]
) -> Iterator[None]:
    """Turn what a library raises for the content of a file into bad data.

    Raises
    ------
    DataError
        As ``refusal`` makes it.
    StorageError
        If the disk has failed.
    MemoryError
        If there was none.
    """
    try:
        yield
    except (LowmemError, MemoryError):
        raise
    except OSError as error:
        if error.errno in _OF_THE_DISK:
            problem = error.strerror or str(error)
            raise StorageError(path=path, problem=problem) from error
        raise refusal(error) from error
    except Exception as error:
        raise refusal(error) from error
