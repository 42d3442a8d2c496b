"""PNGs whose stream is whole but holds fewer rows than the header says.

Pillow leaves the rows black that are not there, and says nothing. So before it decodes,
a few of the last pixels get odd values. Where these are still there in the end, the bytes
of the stream are counted: the picture may happen to have them.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageMode

from lowmem_jobs.ingest.pillow_private import zip_decoder
from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.ImageFile import ImageFile

_CODEC = "lowmem_png"
# First column and row of each pass, and the steps: PNG 1.2, section 2.6.
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_ALL = ((0, 0, 1, 1),)
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ODD = (137, 90, 201, 38)
# Of one bit, where a value alone is no mark.
_ODD_BITS = (255, 255, 0, 255, 0, 0, 0, 255, 255, 0, 255, 255, 255, 0, 0, 255)
_STEP = 2**16


class DoubtedError(Exception):
    """Raised when the last pixels were perhaps not decoded."""


class PngDecoder:
    """Pillow's decoder of PNG, as a codec that sees whether the last row was decoded.

    Notes
    -----
    Pillow calls the methods, and expects them of any codec (`PIL.ImageFile.PyDecoder`).
    """

    pulls_fd = False

    def __init__(self, mode: str, *args: Any) -> None:  # noqa: ANN401
        self._decoder: Any = zip_decoder(mode, *args)
        self._passes = _ADAM7 if args[1:] and args[1] else _ALL
        self._mode = mode
        self._im: Any = None
        self._marks: list[tuple[tuple[int, int], object]] = []

    def setimage(self, im: Any, extents: object = None) -> None:  # noqa: ANN401
        """Take the memory to decode into, and mark its last pixels."""
        self._decoder.setimage(im, extents)
        self._im = im
        self._marks = list(_marks(im.size, self._passes, _inks(self._mode)))
        for place, ink in self._marks:
            im.putpixel(place, ink)

    def cleanup(self) -> None:
        """Leave the memory."""
        self._decoder.cleanup()

    def decode(self, buffer: bytes) -> tuple[int, int]:
        """Decode more of the stream; return the bytes taken, -1 at the end, and an error.

        Raises
        ------
        DoubtedError
            If the marks are still there at the end.
        """
        n_taken, code = self._decoder.decode(buffer)
        if n_taken < 0 <= code and all(
            self._im.getpixel(place) == ink for place, ink in self._marks
        ):
            raise DoubtedError
        return n_taken, code


Image.register_decoder(_CODEC, PngDecoder)  # type: ignore[arg-type]


def watch_png(image: ImageFile) -> None:
    """Have a picture that is not loaded yet doubted while it is, if rows are missing."""
    image.tile = [
        tile._replace(codec_name=_CODEC) if tile.codec_name == "zip" else tile
        for tile in image.tile
    ]


def require_all_rows(data: bytes) -> None:
    """Refuse a PNG that has fewer bytes of samples than its header says.

    Raises
    ------
    UnreadableError
        If it has, or if they cannot be counted.

    Notes
    -----
    The stream is unpacked, 64 KiB at a time, and not kept.
    """
    needed = _needed_bytes(data)
    unpacker = zlib.decompressobj()
    try:
        for part in _parts(data):
            while part and needed > 0:
                needed -= len(unpacker.decompress(part, _STEP))
                part = unpacker.unconsumed_tail  # noqa: PLW2901
    except zlib.error as error:
        raise UnreadableError("a PNG that is damaged") from error
    if needed > 0:
        raise UnreadableError("a PNG that is cut short: rows are missing")


def _needed_bytes(data: bytes) -> int:
    width, height, depth, colour = struct.unpack_from(">2I2B", data, 16)
    passes = _ADAM7 if data[28] else _ALL
    n_bits = depth * _CHANNELS[colour]
    sizes = [
        (_n_steps(width, left, right), _n_steps(height, top, down))
        for left, top, right, down in passes
    ]
    return sum(
        n_rows * (1 + (n_columns * n_bits + 7) // 8)
        for n_columns, n_rows in sizes
        if n_columns
    )


def _n_steps(side: int, first: int, step: int) -> int:
    return max(0, -(-(side - first) // step))


def _parts(data: bytes) -> Iterator[bytes]:
    """Yield the pieces of the stream."""
    at = 8
    while at + 8 <= len(data):
        (n_bytes,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == b"IDAT":
            yield data[at + 8 : at + 8 + n_bytes]
        at += n_bytes + 12


@cache
def _inks(mode: str) -> tuple[int | tuple[int, ...], ...]:
    """Return the values of the marks: of several bands one is odd enough."""
    n_bands = len(ImageMode.getmode(mode).bands)
    if n_bands > 1:
        return (_ODD[:n_bands],)
    return _ODD_BITS if mode == "1" else _ODD


def _marks(
    size: tuple[int, int],
    passes: tuple[tuple[int, int, int, int], ...],
    inks: tuple[int | tuple[int, ...], ...],
) -> Iterator[tuple[tuple[int, int], int | tuple[int, ...]]]:
    """Yield where marks are put, in the row that is decoded last, and their values."""
    width, height = size
    left, top, right, down = next(
        one for one in reversed(passes) if one[0] < width and one[1] < height
    )
    row = top + (_n_steps(height, top, down) - 1) * down
    last = left + (_n_steps(width, left, right) - 1) * right
    for column, ink in zip(range(last, -1, -right), inks, strict=False):
        yield (column, row), ink
