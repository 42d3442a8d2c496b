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

# The brightest value of a channel: what a model that takes floats divides images by.
PIXEL_MAX = 255.0
_ARRAY = "images"
_N_AXES = 4
_USUAL_BYTES = 96 * 96 * 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Where images are stored.

    Attributes
    ----------
    store, name
        A group and the array in it; ``name`` is None where ``store`` is the array.
    shape
        (n, height, width, channels).
    chunk_rows, is_compressed
        Images that are decoded together, and whether there is anything to decode.
    """

    store: Path
    name: str | None
    shape: tuple[int, ...]
    chunk_rows: int
    is_compressed: bool

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


def images_at_once(image_bytes: int, *, most: int) -> int:
    """Return how many images a model is to compute on at once.

    A function of their size alone: another number would change the last digits of a
    result, so it must not follow from the memory at hand. ``most`` for images of up to
    96 x 96 x 3 bytes, fewer for larger ones, always a power of two below ``most``.

    Examples
    --------
    >>> [images_at_once(side * side * 3, most=32) for side in (64, 96, 192, 1024)]
    [32, 32, 8, 1]
    """
    n_images = most
    while n_images > 1 and n_images * image_bytes > most * _USUAL_BYTES:
        n_images //= 2
    return n_images


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
    return Images(
        store=store,
        name=name,
        shape=info.shape,
        chunk_rows=info.rows_at_once,
        is_compressed=info.is_compressed,
    )
