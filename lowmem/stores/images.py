"""Find the images of a store, from its metadata alone: no Zarr, no NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowmem.base.errors import DataError
from lowmem.stores.metadata import read_array_info

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.base.workspace import Workspace

_ARRAY = "images"
_N_AXES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Where images are stored.

    Attributes
    ----------
    store, name
        A group and the array in it; ``name`` is None where ``store`` is the array.
    shape
        (n, height, width, channels).
    """

    store: Path
    name: str | None
    shape: tuple[int, ...]

    @property
    def n_images(self) -> int:
        """How many there are."""
        return self.shape[0]

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return self.shape[1:]

    @property
    def image_bytes(self) -> int:
        """Bytes of one image."""
        return prod(self.shape[1:])


def images_to_use(options: Mapping[str, Any], workspace: Workspace) -> Images:
    """Return the images of the option ``data``, else those of the workspace.

    Raises
    ------
    DataError
        As `find_images` does.
    """
    return find_images(Path(options["data"] or workspace.images))


def find_images(store: Path) -> Images:
    """Return the images of a group with an array ``images``, or of an array itself.

    Raises
    ------
    DataError
        If there is none, or it does not hold bytes along four axes.
    """
    name: str | None = _ARRAY
    info = read_array_info(store / _ARRAY)
    if info is None:
        name = None
        info = read_array_info(store)
    if info is None:
        raise DataError(
            thing=store,
            problem="is no store of images" if store.exists() else "is missing",
            expected=f"a Zarr group with an array {_ARRAY!r}, or a Zarr array",
            todo="Make one: lowmem run ingest --source PATH.",
        )
    is_bytes = info.dtype in {"uint8", "|u1"}
    if len(info.shape) != _N_AXES or not is_bytes or not all(info.shape):
        raise DataError(
            thing=store,
            problem=f"holds {info.dtype} of shape {info.shape}",
            expected="uint8 of shape (n, height, width, channels), n at least 1",
        )
    return Images(store=store, name=name, shape=info.shape)
