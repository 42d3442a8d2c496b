"""Lay images out in a grid."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRID_IMAGES = 64
_GAP = 2  # pixels between images
_WHITE = 255


def grid_png(images: NDArray[np.uint8]) -> bytes:
    """Return a PNG file of up to 64 images, left to right and top to bottom.

    Parameters
    ----------
    images : shape (n, height, width, channels)
        One or more images of 1 or 3 channels.
    """
    shown = images[:GRID_IMAGES]
    n, height, width, channels = shown.shape
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    size = (rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, channels)
    sheet = np.full(size, _WHITE, np.uint8)
    for index, image in enumerate(shown):
        row, column = divmod(index, columns)
        top, left = _GAP + row * (height + _GAP), _GAP + column * (width + _GAP)
        sheet[top : top + height, left : left + width] = image
    stream = io.BytesIO()
    Image.fromarray(sheet if channels > 1 else sheet[:, :, 0]).save(stream, "PNG")
    return stream.getvalue()
