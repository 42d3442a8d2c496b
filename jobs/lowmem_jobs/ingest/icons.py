"""Icons and cursors of Windows: the largest picture, of these the deepest, and its mask.

Pillow shows of a directory what it says, and directories lie: of depths and of lengths,
by which it finds the masks. It leaves out the masks of cursors in colours, and takes a
fourth byte that is not used for alpha.

References
----------
Microsoft, "Icons" and "ICONDIR" of the Windows 3.1 and NT documentation; a fourth byte
that is 0 everywhere is no alpha, as Windows takes it.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, ImageChops

from lowmem_jobs.ingest.png import clear_colour_mended
from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

    Opening = tuple[int, Callable[[], Image.Image]]

_CURSOR = 2
_ENTRY = struct.Struct("<2B2x2H2I")
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_SIZE = struct.Struct(">16x2I")
# Length, width, height of picture and mask, planes, bits, compression, colours in use.
_BITMAP = struct.Struct("<I2i2HI12xI4x")
_HEADS = (40, 108, 124)
_DEPTHS = (1, 4, 8, 16, 24, 32)
_MOST_NUMBERED, _WITH_ALPHA = 8, 32
_MOST_SIDE = 2**15
_MOST_PICTURES = 255


class _Bitmap(NamedTuple):
    """A bitmap: its bytes, and where its pixels, its mask and its end are."""

    data: bytes
    width: int
    height: int
    bits: int
    pixels: int
    mask: int
    end: int


def open_icon(data: bytes) -> Opening | None:
    """Return pixels and a loader of the largest picture; None where that is for Pillow.

    Raises
    ------
    UnreadableError
        If it is cut short.
    """
    start = _place(data)
    if start is None:
        return None
    if data.startswith(_PNG, start):
        return _open_png(data[start:])
    bitmap = _bitmap(data[start:])
    if bitmap is None:
        return None
    _require_whole(bitmap)
    is_cursor = data[2] == _CURSOR
    return bitmap.width * bitmap.height, lambda: _load(bitmap, is_cursor=is_cursor)


def _place(data: bytes) -> int | None:
    """Return where the largest picture begins, of these the deepest; None without any."""
    n_pictures = int.from_bytes(data[4:6], "little")
    # A TGA may begin as cursors do; its length of a palette is then their number.
    if n_pictures > _MOST_PICTURES:
        return None
    found = []
    for at in range(6, min(6 + 16 * n_pictures, len(data) - 15), 16):
        width, height, _, _, _, start = _ENTRY.unpack_from(data, at)
        if start + _BITMAP.size > len(data):
            raise UnreadableError("icon that is cut short")
        depth = _depth(data, start)
        if depth is None:
            return None
        found.append(((width or 256) * (height or 256), depth, -at, start))
    return max(found)[-1] if found else None


def _depth(data: bytes, start: int) -> int | None:
    """Return the bits of a pixel; None where no picture begins there."""
    if data.startswith(_PNG, start):
        return _WITH_ALPHA
    n_bytes, _, _, _, bits, _, _ = _BITMAP.unpack_from(data, start)
    return bits if n_bytes in _HEADS else None


def _open_png(data: bytes) -> Opening:
    if len(data) < _PNG_SIZE.size:
        raise UnreadableError("icon that is cut short")
    width, height = _PNG_SIZE.unpack_from(data)

    def load() -> Image.Image:
        image = Image.open(BytesIO(data), formats=["PNG"])
        mended = None
        if "transparency" in image.info:
            mended = clear_colour_mended(image, data)
        image.load()
        return mended or image

    return width * height, load


def _bitmap(data: bytes) -> _Bitmap | None:
    """Return where its parts are; None of kinds that icons hardly have."""
    head, width, both, _, bits, compression, n_used = _BITMAP.unpack_from(data)
    is_usual = not compression and bits in _DEPTHS and not both % 2
    is_sized = 0 < width <= _MOST_SIDE and 0 < both // 2 <= _MOST_SIDE
    is_numbered = bits <= _MOST_NUMBERED
    if not is_usual or not is_sized or n_used > (2**bits if is_numbered else 0):
        return None
    height = both // 2
    n_colours = n_used or 2**bits if is_numbered else 0
    pixels = head + 4 * n_colours
    mask = pixels + _row_bytes(width, bits) * height
    end = mask + _row_bytes(width, 1) * height
    return _Bitmap(data[:end], width, height, bits, pixels, mask, end)


def _row_bytes(width: int, bits: int) -> int:
    return (width * bits + 31) // 32 * 4


def _has_alpha(bitmap: _Bitmap) -> bool:
    fourth = bitmap.data[bitmap.pixels + 3 : bitmap.mask : 4]
    return bitmap.bits == _WITH_ALPHA and bool(fourth.strip(b"\0"))


def _require_whole(bitmap: _Bitmap) -> None:
    needed = bitmap.mask if _has_alpha(bitmap) else bitmap.end
    if len(bitmap.data) < needed:
        raise UnreadableError("icon that is cut short")


def _load(bitmap: _Bitmap, *, is_cursor: bool) -> Image.Image:
    size = (bitmap.width, bitmap.height)
    data = bitmap.data
    lone = data[:8] + struct.pack("<i", bitmap.height) + data[12 : bitmap.mask]
    image: Image.Image = Image.open(BytesIO(lone), formats=["DIB"])
    image.load()
    if _has_alpha(bitmap):
        fourth = data[bitmap.pixels + 3 : bitmap.mask : 4]
        opaque = Image.frombytes("L", size, fourth, "raw", ("L", 0, -1))
    else:
        layout = ("1;I", _row_bytes(bitmap.width, 1), -1)
        mask = Image.frombytes("1", size, data[bitmap.mask :], "raw", layout)
        opaque = mask.convert("L")
    if is_cursor and bitmap.bits == 1:
        # What is masked and not black turns what is below it: black on white.
        grey = image.convert("L")
        image = ImageChops.darker(grey, opaque)
        opaque = ImageChops.lighter(grey, opaque)
    shown = image.convert("RGBA")
    shown.putalpha(opaque)
    return shown
