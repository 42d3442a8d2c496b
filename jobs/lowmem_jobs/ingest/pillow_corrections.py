"""What Pillow mistakes in pictures that it opens, made good: by its name of the format.

Each of these takes an image that is not loaded, and the file; it returns the image to go
on with, or refuses. What Pillow does not open is in `signatures`.
"""

from __future__ import annotations

import re
import struct
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from lowmem_jobs.ingest.bmp import mended_bmp
from lowmem_jobs.ingest.psd import mended_psd
from lowmem_jobs.ingest.tga import mended_tga
from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.ImageFile import ImageFile

# PCX (ZSoft, version 5): places in its header, and the palette of 256 colours at the end.
_PCX_BITS, _PCX_PALETTE, _PCX_PALETTE_END, _PCX_KIND = 3, 16, 64, 68
_PCX_GREY = 2
_PCX_TAIL_BYTES, _PCX_MARK = 1 + 3 * 256, b"\x0c"
# DDS (Microsoft): its header, and what says that pixels are stored one by one.
_DDS_HEAD_BYTES, _DDS_FLAGS, _DDS_BITS = 128, 80, 88
_DDS_RGB = 0x40
# XPM: width, height, colours, letters of a pixel; then a text for each colour and row.
_XPM_HEAD = re.compile(rb'"\s*\d+\s+\d+\s+(\d+)\s+\d+')


def _pcx(image: ImageFile, data: bytes) -> Image.Image:
    """Return a PCX; refuse one whose palette is gone: Pillow shows its numbers as greys.

    Notes
    -----
    With a palette at the end the rows are decoded once more without it: of a file that
    was cut short, any of its bytes may stand where the palette should begin.
    """
    is_of_planes = data[_PCX_BITS] == 1
    colours = data[_PCX_PALETTE:_PCX_PALETTE_END]
    if is_of_planes and image.mode == "P" and not any(colours):
        raise UnreadableError("PCX whose palette is empty: all would be black")
    if is_of_planes or image.mode == "RGB" or data[_PCX_KIND] == _PCX_GREY:
        return image
    rows = data[:-_PCX_TAIL_BYTES]
    if data[len(rows) : len(rows) + 1] != _PCX_MARK or not _is_whole_pcx(rows):
        raise UnreadableError(
            "PCX of 256 colours without its palette: it may have been cut short"
        )
    return image


def _is_whole_pcx(rows: bytes) -> bool:
    try:
        with Image.open(BytesIO(rows), formats=["PCX"]) as image:
            image.load()
    # What is cut short is told by one of several kinds of errors.
    except (OSError, SyntaxError, ValueError, IndexError):
        return False
    return True


def _dds(image: ImageFile, data: bytes) -> Image.Image:
    """Return a DDS; refuse one that ends early: releases of Pillow show black there."""
    flags, bits = (
        struct.unpack_from("<I", data, at)[0] for at in (_DDS_FLAGS, _DDS_BITS)
    )
    n_bytes = image.width * image.height * (bits // 8)
    if flags & _DDS_RGB and len(data) < _DDS_HEAD_BYTES + n_bytes:
        raise UnreadableError("DDS that is cut short")
    return image


def _xpm(image: ImageFile, data: bytes) -> Image.Image:
    """Return an XPM; refuse one that ends early: releases of Pillow show black there."""
    said = _XPM_HEAD.search(data)
    n_texts = 1 + int(said[1]) + image.height if said else 0
    if data.count(b'"') < 2 * n_texts:
        raise UnreadableError("XPM that is cut short")
    return image


def _xbm(_image: ImageFile, _data: bytes) -> Image.Image:
    raise UnreadableError(
        "XBM: whether its ones are black or white it does not say, and programs "
        "disagree: convert it to PNG"
    )


MENDS: dict[str, Callable[[ImageFile, bytes], Image.Image]] = {
    "BMP": mended_bmp,
    "DDS": _dds,
    "PCX": _pcx,
    "PSD": mended_psd,
    "TGA": mended_tga,
    "XBM": _xbm,
    "XPM": _xpm,
}
