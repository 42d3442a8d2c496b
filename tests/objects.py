"""Files of objects that betray whoever unpickles them, made without pickling."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike


def npy_of_objects(shape: tuple[int, ...], witness: Path) -> bytes:
    """Return a .npy file whose pickle makes the folder ``witness`` if it is loaded."""
    stream = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    # Protocol 0 by hand: call posix.mkdir with the path.
    return stream.getvalue() + f"cposix\nmkdir\n(V{witness}\ntR.".encode()


def write_array(path: Path, array: ArrayLike, witness: Path) -> None:
    """Write an array as .npy or .npz; one of objects as `npy_of_objects` does."""
    array = np.asarray(array)
    if array.dtype.hasobject:
        data = npy_of_objects(array.shape, witness)
    else:
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=False)
        data = stream.getvalue()
    if path.suffix == ".npy":
        path.write_bytes(data)
        return
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", data)
