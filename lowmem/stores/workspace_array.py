"""One array of a workspace, read where it is asked for; a notebook shows images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base.errors import DataError
from lowmem.stores.contact_sheet import sheet_of
from lowmem.stores.images import find_images
from lowmem.stores.metadata import read_array_info
from lowmem.stores.zarr_library import content_errors, open_array

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import EllipsisType

    from numpy.typing import DTypeLike, NDArray

    from lowmem.stores.metadata import ArrayInfo

    Part = int | slice | EllipsisType
    Key = Part | tuple[Part, ...]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class StoredArray:
    """An array on the disk; ``array[10:20]`` reads these rows, and no others.

    ``np.asarray(array)`` reads it whole. A notebook shows images as a contact sheet.

    Attributes
    ----------
    place
        Its path within the workspace, such as ``latents.zarr/z``.
    path
        The same, absolute.
    """

    place: str
    path: Path
    _info: ArrayInfo

    @property
    def shape(self) -> tuple[int, ...]:
        """Its lengths; axis 0 counts the samples."""
        return self._info.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its values, as NumPy has them."""
        return np.dtype(open_array(self.path).dtype)

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def attributes(self) -> dict[str, object]:
        """What is written beside it."""
        return dict(self._info.attributes)

    def __len__(self) -> int:
        """Return how many rows it has."""
        if not self.shape:
            raise TypeError(f"{self.place} is one value, expected rows to count.")
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Yield row by row, with no more than one chunk in memory."""
        step = max(1, self._info.rows_at_once)
        for start in range(0, len(self), step):
            yield from self[start : start + step]

    def __getitem__(self, key: Key) -> NDArray[Any]:
        """Return some of it, as NumPy would for a number, a slice, or several of them.

        Raises
        ------
        IndexError
            If there is no such place; for lists, masks and steps backwards, which would
            read it in another order than it is stored.
        DataError
            If a chunk is damaged.
        """
        parts = key if isinstance(key, tuple) else (key,)
        if not all(_is_plain(part) for part in parts):
            raise IndexError(
                f"{self.place} is asked for {key!r}, expected numbers and slices "
                "forwards. For others, take np.asarray(array)[...] of a part of it."
            )
        # NumPy's own rule, of an array that takes no memory.
        np.broadcast_to(np.empty(()), self.shape)[key]

        def damage(error: Exception) -> DataError:
            return DataError(
                thing=self.path,
                problem=f"cannot be read ({error})",
                expected="what was written",
                todo="`lowmem verify` says what is damaged.",
            )

        with content_errors(self.path, damage):
            return np.asarray(open_array(self.path)[key])

    def __array__(
        self,
        dtype: DTypeLike | None = None,
        copy: bool | None = None,  # noqa: FBT001 - NumPy's
    ) -> NDArray[Any]:
        """Return all of it; NumPy calls this."""
        if copy is False:
            raise ValueError(
                f"{self.place} is on the disk, expected a copy to be allowed."
            )
        return np.asarray(self[...], dtype)

    def __repr__(self) -> str:  # type: ignore[explicit-override]
        """Return its place, the type of its values, and its shape."""
        return f"{self.place}: {self._info.dtype} of shape {self.shape}"

    def _repr_png_(self) -> bytes | None:
        try:
            images = find_images(self.path)
            has_colours = images.image_shape[-1] in {1, 3}
            return sheet_of(images)[0] if has_colours else None
        except DataError:
            return None  # No images, or damaged: reading them says so.


def _is_plain(part: object) -> bool:
    if isinstance(part, slice):
        return part.step is None or part.step > 0
    return part is Ellipsis or (
        isinstance(part, int | np.integer) and not isinstance(part, bool)
    )


def arrays_in(store: Path, root: Path) -> Iterator[StoredArray]:
    """Yield the arrays of a store, those of groups in it too, in the order of names.

    Parameters
    ----------
    root
        Of the workspace, which places are told from.
    """
    if not store.is_dir():
        return  # It was removed, or is being made again.
    info = read_array_info(store)
    if info is not None:
        yield StoredArray(store.relative_to(root).as_posix(), store, info)
        return
    for child in sorted(store.iterdir()):
        if child.is_dir() and not child.is_symlink():
            yield from arrays_in(child, root)
