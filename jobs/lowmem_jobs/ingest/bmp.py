"""BMPs whose colours lie at places of a pixel that Pillow does not know.

References
----------
Microsoft, BITMAPINFOHEADER, BITMAPV4HEADER: biCompression BI_BITFIELDS.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

# After the file's header of 14 bytes, of which the last four are where the pixels begin.
_HEAD = struct.Struct("<10x2I2i2xHI")
_MASKS_AT = 54
_BITFIELDS, _ALPHA_BITFIELDS = 3, 6
# Of headers with a mask for alpha; shorter ones have it after them where they say so.
_WITH_ALPHA = 56
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
    from PIL import Image  # noqa: PLC0415

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
