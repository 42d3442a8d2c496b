"""Turning a picture upright, by the number that EXIF and JPEG XL have for it."""

from __future__ import annotations

from PIL import Image

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image as it was seen; of a number that is none, as it is."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)
