"""Grey values of more than eight bits as those that are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem_jobs.ingest.entries import UnreadableError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from lowmem_jobs.ingest.entries import Pixels


def eight_bits(image: Image.Image) -> Pixels:
    """Return wide grey values as 0 to 255.

    Whole numbers are taken as 16 bits, floats as 0 to 1: the only ranges whose white is
    known. Anything beyond has no stated white, so it is refused and not guessed.

    Raises
    ------
    UnreadableError
        If a value is beyond.
    """
    grey = np.asarray(image)
    if grey.dtype.kind == "f":
        return unit_to_bytes(grey)
    if grey.min() < 0 or grey.max() > 65535:  # noqa: PLR2004 - 16 bits
        raise UnreadableError("integers beyond 16 bits have no known white")
    scaled: Pixels = ((grey.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return scaled


def unit_to_bytes(values: NDArray[Any]) -> Pixels:
    """Return floats from 0 to 1 as the nearest of 0 to 255.

    Raises
    ------
    UnreadableError
        If a value is outside that range or not a number.
    """
    if not (values.min() >= 0 and values.max() <= 1):
        raise UnreadableError("floats outside 0 to 1 have no known white")
    scaled: Pixels = np.rint(values.astype(np.float32) * 255).astype(np.uint8)
    return scaled
