"""Whether all strips or tiles of a TIFF are there that its size needs, and are whole.

Pillow leaves black what is not listed, and where parts are not packed it looks at no
length. Where they are JPEGs, libjpeg fills up with grey what is not in them.
"""

from __future__ import annotations

from io import BytesIO
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from lowmem_jobs.ingest.jpeg_truncation import watch_jpeg
from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_WIDTH, _HEIGHT, _COMPRESSION, _SAMPLES, _PLANAR = 256, 257, 259, 277, 284
_ROWS, _STRIPS, _STRIP_BYTES = 278, 273, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
_TABLES, _STREAM, _STREAM_BYTES = 347, 513, 514
_NONE, _OLD_JPEG, _JPEG = 1, 6, 7
_SEPARATE = 2
_START_OF_SCAN = b"\xff\xda"
_SMALL_PIXELS = 2**16
_NOT_STORED = "TIFF of which a part is not stored"


class _Part(NamedTuple):
    """A strip or a tile: its columns and rows, and where its bytes are."""

    width: int
    height: int
    start: int
    n_bytes: int | None


def require_parts(tags: Mapping[int, object], data: bytes) -> None:
    """Refuse a TIFF of which parts are missing.

    Parameters
    ----------
    tags
        Of its picture.
    data
        The file.

    Raises
    ------
    UnreadableError
        If too few are listed, one has no place or no bytes, or a JPEG is not whole.

    Notes
    -----
    JPEGs in it are decoded once more, at an eighth of their size. Of the old kind
    (compression 6) this is done where all is in one.
    """
    parts = list(_parts(tags))
    n_pixels = _one(tags, _WIDTH, 0) * _one(tags, _HEIGHT, 0)
    for stream, least in _streams(tags, parts, data):
        _require_whole(stream, least, n_pixels)


def _streams(
    tags: Mapping[int, object], parts: Sequence[_Part], data: bytes
) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Yield the JPEGs in a TIFF, each with its least width and height."""
    packed = _one(tags, _COMPRESSION, _NONE)
    if packed == _JPEG:
        tables = tags.get(_TABLES)
        # Planes of colours may have half of the width and height.
        is_alone = _one(tags, _PLANAR, 1) != _SEPARATE
        for part in parts:
            end = None if part.n_bytes is None else part.start + part.n_bytes
            stream = data[part.start : end]
            if isinstance(tables, bytes):
                stream = tables[:-2] + stream[2:]
            yield stream, (part.width, part.height) if is_alone else (1, 1)
    if packed == _OLD_JPEG and _STREAM in tags:
        start = _one(tags, _STREAM, 0)
        stream = data[start : start + _one(tags, _STREAM_BYTES, len(data))]
        if _START_OF_SCAN in stream:
            yield stream, (1, 1)


def _parts(tags: Mapping[int, object]) -> Iterator[_Part]:
    """Yield the parts that the size of the picture needs."""
    width, height = _one(tags, _WIDTH, 0), _one(tags, _HEIGHT, 0)
    is_tiled = _TILE_WIDTH in tags
    wide = _one(tags, _TILE_WIDTH, width) or width
    high = _one(tags, _TILE_HEIGHT if is_tiled else _ROWS, height) or height
    starts = _all(tags, _TILES) or _all(tags, _STRIPS)
    sizes = _all(tags, _TILE_BYTES) or _all(tags, _STRIP_BYTES)
    n_planes = _one(tags, _SAMPLES, 1) if _one(tags, _PLANAR, 1) == _SEPARATE else 1
    # Without any list Pillow refuses it, or has a single stream (compression 6).
    if not starts or not width or not height:
        return
    n_needed = n_planes * -(-width // wide) * -(-height // high)
    if len(starts) < n_needed or (sizes and len(sizes) < n_needed):
        raise UnreadableError(_NOT_STORED)
    tops = product(range(n_planes), range(0, height, high), range(0, width, wide))
    for number, (_, top, _) in enumerate(tops):
        n_bytes = sizes[number] if sizes else None
        if not starts[number] or n_bytes == 0:
            raise UnreadableError(_NOT_STORED)
        n_rows = high if is_tiled else min(high, height - top)
        yield _Part(wide, n_rows, starts[number], n_bytes)


def _require_whole(stream: bytes, least: tuple[int, int], n_pixels: int) -> None:
    """Refuse a JPEG that is smaller than its place, or not whole."""
    try:
        image = Image.open(BytesIO(stream), formats=["JPEG"])
    # Of 12 bits, or no JPEG: libtiff judges.
    except OSError:
        return
    with image:
        if image.width < least[0] or image.height < least[1]:
            raise UnreadableError(_NOT_STORED)
        # libtiff refuses what is larger than its place, but for rows below the last.
        if image.width * image.height > 2 * n_pixels + _SMALL_PIXELS:
            return
        image.draft(image.mode, (1, 1))
        try:
            watch_jpeg(image)
            image.load()
        except UnreadableError as error:
            words = "TIFF with a JPEG that is cut short"
            raise UnreadableError(words) from error


def _all(tags: Mapping[int, object], tag: int) -> Sequence[int]:
    value = tags.get(tag, ())
    return value if isinstance(value, tuple) else (value,)


def _one(tags: Mapping[int, object], tag: int, usual: int) -> int:
    values = _all(tags, tag)
    return int(values[0]) if values else usual
