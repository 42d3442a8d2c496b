"""Map a .npy file of somebody else's, so that only the rows in use are in memory."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base.errors import DataError
from lowmem.base.files import storage_errors
from lowmem.base.outside import stream_of
from lowmem.stores.npy_header import NoHeaderError, read_header
from lowmem.stores.zarr_library import content_errors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def mapped_array(path: Path) -> NDArray[Any]:
    """Return the array in a .npy file, mapped; nothing in it is unpickled.

    Raises
    ------
    DataError
        If it is no file, has no header that can be meant, or holds less than it declares.
    """

    def refusal(error: Exception) -> DataError:
        return DataError(
            thing=path,
            problem=f"cannot be read ({error})",
            expected="a .npy file of numbers",
        )

    try:
        with storage_errors(path), stream_of(path) as stream:
            read_header(stream)
    except NoHeaderError as error:
        if zipfile.is_zipfile(path):
            raise DataError(
                thing=path, problem="is an archive", expected="a .npy file of one array"
            ) from error
        raise refusal(error) from error
    with content_errors(path, refusal):
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
