"""What a finished run of fewer vectors has decoded, taken over by one of more.

To decode is what takes the time: vectors are drawn again, and scores are made of all. An
image is a function of the vectors that share its batch, so whole steps are taken over,
where the vectors are the same to the bit: those along a path are not, for one.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lowmem.base import make_folder, storage_errors
from lowmem.stores import RowReader
from lowmem_jobs.generate.option_values import STEP_ROWS

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from lowmem import Context

_KEPT = Path("scratch") / "former"
_STORE, _VECTORS = "images.zarr", "z.npy"


def keep_former(ctx: Context) -> None:
    """Give the images of a former run a second name, under which they outlive it.

    Notes
    -----
    Disk: nothing where files can have two names, else a copy, until the job is done.
    """
    if ctx.former is None:
        return
    generated = ctx.former / "generated"
    for file in sorted(generated.rglob("*")):
        path = file.relative_to(ctx.former)
        if file.is_file() and (file.name == _VECTORS or _STORE in path.parts):
            _link(file, ctx.staging / _KEPT / path)


def _link(file: Path, target: Path) -> None:
    make_folder(target.parent)
    target.unlink(missing_ok=True)
    with storage_errors(target):
        try:
            os.link(file, target)
        except OSError:
            shutil.copyfile(file, target)


class ReusedImages:
    """The images of one method in a former run; none where there was none.

    Parameters
    ----------
    folder
        Where ``z.npy`` and ``images.zarr`` of the method lie, within the results.
    """

    def __init__(self, ctx: Context, folder: Path) -> None:
        self._kept = ctx.staging / _KEPT / folder
        self._open = ExitStack()
        self._images: RowReader | None = None
        self._z: NDArray[np.float32] | None = None

    def __enter__(self) -> Self:
        if (self._kept / _STORE).exists() and (self._kept / _VECTORS).exists():
            # Mapped: a million vectors would not fit.
            self._z = np.load(self._kept / _VECTORS, mmap_mode="r", allow_pickle=False)
            reader = RowReader.open(self._kept / _STORE, "images")
            self._images = self._open.enter_context(reader)
        return self

    def __exit__(self, *_: object) -> None:
        self._z = self._images = None
        self._open.close()

    def images(self, start: int, z: NDArray[np.float32]) -> NDArray[np.uint8] | None:
        """Return the images of a step of vectors, shape (n, height, width, channels).

        None if they have not been decoded, or in another company.

        Parameters
        ----------
        start
            The row of the first.
        z : shape (n, d)
            The vectors.
        """
        stop = start + len(z)
        if self._images is None or self._z is None or len(z) < STEP_ROWS:
            return None
        if stop > min(self._images.shape[0], len(self._z)):
            return None
        if self._z[start:stop].tobytes() != z.tobytes():
            return None
        images: NDArray[np.uint8] = self._images.read(start, stop)
        return images
