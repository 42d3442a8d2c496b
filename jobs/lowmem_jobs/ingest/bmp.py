"""BMPs whose colours Pillow does not know the place of, and such that end by a mark.

References
----------
Microsoft, BITMAPINFOHEADER, BITMAPV4HEADER: biCompression BI_BITFIELDS; "Bitmap
Compression": BI_RLE8 and BI_RLE4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.ImageFile import ImageFile

# After the file's header of 14 bytes, of which the last four are where the pixels begin.
_HEAD = struct.Struct("<10x2I2i2xHI")
_MASKS_AT = 54
_BITFIELDS, _ALPHA_BITFIELDS = 3, 6
# Of headers with a mask for alpha; shorter ones have it after them where they say so.
_WITH_ALPHA = 56
_RUNS_OF_4 = 2  # the number of that packing; of bytes it is 1
_END_MARK, _STEP = 1, 2
_ROW_END, _LONGEST_RUN = b"\0\0", 255
_BY_PILLOW = {
    16: {(0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0)},
    32: {
        (0xFF0000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0),
        (0xFF000000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
        (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
        (0, 0, 0, 0),
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bmp:
    """Where the colours are: masks of red, green, blue and alpha; 0 where there is none."""

    start: int
    width: int
    height: int
    bits: int
    masks: tuple[int, int, int, int]


def open_masked_bmp(data: bytes) -> tuple[int, Callable[[], Image.Image]] | None:
    """Return pixels and a loader of a BMP with masks; None where Pillow reads it.

    Raises
    ------
    UnreadableError
        If a mask has gaps, or colours have none, or it is cut short.
    """
    if len(data) < _MASKS_AT + 16:
        return None
    start, n_head, width, height, bits, compression = _HEAD.unpack_from(data)
    masks = struct.unpack_from("<4I", data, _MASKS_AT)
    if compression == _BITFIELDS and n_head < _WITH_ALPHA:
        masks = (*masks[:3], 0)
    is_masked = compression in {_BITFIELDS, _ALPHA_BITFIELDS} and n_head >= 40  # noqa: PLR2004
    if not is_masked or bits not in _BY_PILLOW or width <= 0 or not height:
        return None
    if compression == _BITFIELDS and masks in _BY_PILLOW[bits]:
        return None
    found = _Bmp(start=start, width=width, height=height, bits=bits, masks=masks)
    if not all(masks[:3]) or any(_has_gaps(mask) for mask in masks):
        named = ", ".join(f"{mask:#x}" for mask in masks)
        raise UnreadableError(f"BMP of {bits} bits with the masks {named}")
    if len(data) < start + _row_bytes(found) * abs(height):
        raise UnreadableError("BMP that is cut short")
    return width * abs(height), lambda: _load(data, found)


def _row_bytes(bmp: _Bmp) -> int:
    return (bmp.width * bmp.bits + 31) // 32 * 4


def _has_gaps(mask: int) -> bool:
    lowest = mask & -mask
    return bool(mask & (mask + lowest))


def _load(data: bytes, bmp: _Bmp) -> Image.Image:
    # Where nothing but bytes is decoded, NumPy would be most of the memory.
    import numpy as np  # noqa: PLC0415

    from lowmem_jobs.ingest.bit_depth import bytes_from_samples  # noqa: PLC0415

    n_rows, row_bytes = abs(bmp.height), _row_bytes(bmp)
    body = data[bmp.start : bmp.start + row_bytes * n_rows]
    pixels = np.frombuffer(body, f"<u{bmp.bits // 8}").reshape(n_rows, -1)
    # Below zero where the upper row is the first.
    pixels = pixels[:: -1 if bmp.height > 0 else 1, : bmp.width]
    bands = []
    for mask in filter(None, bmp.masks):
        place = (mask & -mask).bit_length() - 1
        samples = (pixels & mask) >> place
        bands.append(
            Image.fromarray(bytes_from_samples(samples, mask.bit_length() - place))
        )
    return Image.merge("RGB" if len(bands) == 3 else "RGBA", bands)  # noqa: PLR2004


def mended_bmp(image: ImageFile, data: bytes) -> Image.Image:
    """Return a BMP; in one that ends early by its mark, the rest is the first colour.

    Pillow refuses such a picture, and takes one in which that is written out.
    """
    packing = image.info.get("compression")
    if packing not in {_RUNS_OF_4 - 1, _RUNS_OF_4}:
        return image
    start = image.tile[0][2]
    end = _end_mark(data, start, 2 if packing == _RUNS_OF_4 else 1)
    if end is None:
        return image
    # The row is ended; then there are more rows than can be missing, of runs of 0.
    whole, left = divmod(image.width, _LONGEST_RUN)
    row = bytes([_LONGEST_RUN, 0]) * whole + bytes([left, 0]) * bool(left)
    rest = _ROW_END + (row + _ROW_END) * image.height
    return Image.open(BytesIO(data[:end] + rest), formats=["BMP"])


def _end_mark(data: bytes, at: int, n_in_byte: int) -> int | None:
    """Return where the mark of the end is; None where there is none."""
    while at + 1 < len(data):
        n_pixels, what = data[at], data[at + 1]
        if not n_pixels and what == _END_MARK:
            return at
        at += 2
        if not n_pixels and what == _STEP:
            at += 2
        elif not n_pixels and what:
            n_bytes = -(-what // n_in_byte)
            at += n_bytes + n_bytes % 2
    return None
