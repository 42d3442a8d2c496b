"""PNGs of sixteen bits in which one colour is clear."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lowmem_jobs.ingest.bit_depth import bytes_from_samples, with_alpha

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    from lowmem_jobs.ingest.framing import Pixels

_BITS = 16


def with_clear_colour(image: ImageFile, data: bytes) -> Image.Image:
    """Return a PNG of sixteen bits whose clear colour is known.

    Parameters
    ----------
    image
        Not loaded yet.
    data
        The file.

    Notes
    -----
    Decoded twice where it has colours: Pillow gives the upper bytes of the samples, and,
    told that the lower ones come first, the lower ones.
    """
    clear = np.array(image.info["transparency"]).reshape(-1)
    if image.mode == "RGB":
        colours, lower = np.asarray(image), _lower_bytes(data)
        is_clear = (colours == clear >> 8) & (lower == clear & 255)
        is_clear = is_clear.all(-1)
    else:
        samples = np.asarray(image).astype(np.uint16)
        is_clear = samples == clear[0]
        colours = bytes_from_samples(samples, _BITS)[..., None]
    alpha = np.where(is_clear, 0, 255).astype(np.uint8)
    return with_alpha(colours, alpha[..., None])


def _lower_bytes(data: bytes) -> Pixels:
    """Return the lower byte of each sample, shape (height, width, 3)."""
    with Image.open(BytesIO(data), formats=["PNG"]) as image:
        image.tile = [image.tile[0]._replace(args="RGB;16L")]
        return np.asarray(image)
