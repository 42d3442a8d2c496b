"""Which part of an upright image is taken, how large it becomes, and its type: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How an upright image is cut and scaled.

    Attributes
    ----------
    size
        Height and width of the result, in pixels.
    crop
        ``none`` takes the whole image and stretches it to the square; ``center`` the
        largest centred square; four numbers the box left, top, right, bottom, in pixels
        of the upright original (right and bottom exclusive), stretched likewise.
    """

    size: int
    crop: Literal["none", "center"] | Box

    def box(self, width: int, height: int) -> Box | None:
        """Return the part to take of an image; None where the image is too small."""
        if self.crop == "none":
            return (0, 0, width, height)
        if self.crop == "center":
            side = min(width, height)
            left, top = (width - side) // 2, (height - side) // 2
            return (left, top, left + side, top + side)
        _, _, right, bottom = self.crop
        return self.crop if right <= width and bottom <= height else None
