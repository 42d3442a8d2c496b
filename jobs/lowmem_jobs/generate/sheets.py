"""Lay images out in rows and columns, with words beside and above them."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

GRID_IMAGES = 64
# pixels: the longer side of an image on a sheet, at most. So a sheet's memory is
# bounded, however large the images are.
LARGEST_SIDE = 256
# pixels: images that stand beside words are enlarged by whole factors up to this.
_READABLE_SIDE = 64
_GAP = 2  # pixels between images
_FONT_SIZE = 13  # pixels
_LINE = 18  # pixels


class Sheet:
    """A white sheet with room for images of one shape.

    Parameters
    ----------
    image_shape
        (height, width, channels) of each image, 1 or 3 channels.
    rows, columns
        Places.
    labels
        Words to the left of the rows, if any.
    heads
        Words above the columns, if any.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        rows: int,
        columns: int,
        *,
        labels: Sequence[str] = (),
        heads: Sequence[str] = (),
    ) -> None:
        has_words = bool(labels or heads)
        self._height, self._width = _shown_size(*image_shape[:2], has_words=has_words)
        font = ImageFont.load_default(_FONT_SIZE)
        widest = max((font.getlength(label) for label in labels), default=0.0)
        self._left = math.ceil(widest) + 3 * _GAP if labels else 0
        self._top = _LINE if heads else 0
        size = (
            self._left + columns * (self._width + _GAP) + _GAP,
            self._top + rows * (self._height + _GAP) + _GAP,
        )
        is_grey = image_shape[2] == 1
        self._picture = Image.new("L" if is_grey else "RGB", size, "white")
        draw = ImageDraw.Draw(self._picture)
        for row, label in enumerate(labels):
            middle = self._corner(row, 0)[1] + self._height // 2
            draw.text((2 * _GAP, middle), label, fill="black", font=font, anchor="lm")
        for column, head in enumerate(heads):
            middle = self._corner(0, column)[0] + self._width // 2
            draw.text((middle, _LINE // 2), head, fill="black", font=font, anchor="mm")

    def place(self, row: int, column: int, image: NDArray[np.uint8]) -> None:
        """Put one image, shape (height, width, channels), in its place."""
        flat = image[:, :, 0] if image.shape[2] == 1 else image
        picture = Image.fromarray(np.ascontiguousarray(flat))
        size = (self._width, self._height)
        if picture.size != size:
            is_larger = self._width > picture.width
            how = Image.Resampling.NEAREST if is_larger else Image.Resampling.BOX
            picture = picture.resize(size, how)
        self._picture.paste(picture, self._corner(row, column))

    def place_row(self, row: int, images: Iterable[NDArray[np.uint8]]) -> None:
        """Put images side by side, from the left."""
        for column, image in enumerate(images):
            self.place(row, column, image)

    def png(self) -> bytes:
        """Return the sheet as a PNG file."""
        stream = io.BytesIO()
        self._picture.save(stream, "PNG", optimize=True)
        return stream.getvalue()

    def _corner(self, row: int, column: int) -> tuple[int, int]:
        left = self._left + _GAP + column * (self._width + _GAP)
        return left, self._top + _GAP + row * (self._height + _GAP)


def grid(images: NDArray[np.uint8]) -> Sheet:
    """Return a sheet of up to 64 images, left to right and top to bottom.

    Parameters
    ----------
    images : shape (n, height, width, channels)
        One or more images of 1 or 3 channels.
    """
    shown = images[:GRID_IMAGES]
    columns = math.ceil(math.sqrt(len(shown)))
    sheet = Sheet(shown.shape[1:], math.ceil(len(shown) / columns), columns)
    for index, image in enumerate(shown):
        sheet.place(*divmod(index, columns), image)
    return sheet


def _shown_size(height: int, width: int, *, has_words: bool) -> tuple[int, int]:
    """Return height and width on the sheet."""
    longest = max(height, width)
    if longest > LARGEST_SIDE:
        scale = LARGEST_SIDE / longest
        return max(round(height * scale), 1), max(round(width * scale), 1)
    factor = max(_READABLE_SIDE // longest, 1) if has_words else 1
    return height * factor, width * factor
