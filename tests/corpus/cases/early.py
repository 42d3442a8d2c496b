"""Whole files whose picture ends early: nothing is cut off, and yet pixels are missing.

What is not there must not be made up: such a picture is refused. Where a format has a
rule for what is missing, that is the right answer.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from tests.corpus import bitmaps, gif, jpeg
from tests.corpus.bitmaps import u1
from tests.corpus.cases.case import (
    COLOURS,
    GREYS,
    SIDE,
    SIZE,
    TABLE,
    named,
)
from tests.corpus.png import GREY, RGB, chunk, png
from tests.corpus.tiff import (
    BLACK_0,
    DEFLATE,
    LZW,
    NONE,
    PACKBITS,
    YCBCR,
    ZSTD,
    compressed,
    container,
    packed,
)  # fmt: skip
from tests.corpus.tiff import (
    RGB as TIFF_RGB,
)

_picture = named("pixels missing", known="not all of its pixels are in the file")


def _pngs():
    whole = png(COLOURS, 8, RGB)
    head = whole[:33]
    rows = b"".join(b"\0" + u1(row) for row in COLOURS)
    end = chunk(b"IEND", b"")
    for n, how in (
        (0, "no row"),
        (8, "half of the rows"),
        (SIDE - 1, "all rows but the last"),
    ):
        yield _picture(
            f"PNG of {how}", head + chunk(b"IDAT", zlib.compress(rows[: n * 49])) + end
        )
    yield _picture(
        "PNG of all but the last sample",
        head + chunk(b"IDAT", zlib.compress(rows[:-1])) + end,
    )
    torn = zlib.compress(rows, 0)
    yield _picture(
        "PNG whose stream ends in the middle",
        head + chunk(b"IDAT", torn[: len(torn) // 2]) + end,
    )
    yield _picture("PNG without a picture", head + end)
    grey = png(GREYS[..., None], 8, GREY, is_interlaced=True)
    raw = zlib.decompress(grey[grey.index(b"IDAT") + 4 : -16])
    yield _picture(
        "PNG, interlaced, the last pass missing",
        grey[:33] + chunk(b"IDAT", zlib.compress(raw[: -8 * 17])) + end,
    )


def _jpegs():
    blocks = np.array([[[10], [200]], [[90], [255]], [[30], [60]], [[7], [99]]])
    whole = jpeg.jpeg(blocks)
    short = jpeg.jpeg(blocks[:2])
    where = short.index(b"\xff\xc0") + 5
    size = struct.pack(">2H", 32, 16)
    yield _picture(
        "JPEG of half of its blocks", short[:where] + size + short[where + 4 :]
    )
    short = jpeg.jpeg(blocks[:2], process=jpeg.PROGRESSIVE)
    where = short.index(b"\xff\xc2") + 5
    yield _picture(
        "JPEG, progressive, half of its blocks",
        short[:where] + size + short[where + 4 :],
    )
    start = whole.index(b"\xff\xda") + 10
    middle = start + (len(whole) - start) // 2
    yield _picture(
        "JPEG, the second half of its code missing", whole[:middle] + b"\xff\xd9"
    )
    yield _picture("JPEG, no code at all", whole[:start] + b"\xff\xd9")
    marked = jpeg.jpeg(blocks, restart=2)
    first = marked.index(b"\xff\xd1")
    second = marked.index(b"\xff\xd2")
    yield _picture(
        "JPEG, one part between restart marks missing", marked[:first] + marked[second:]
    )


def _gifs():
    yield _picture("GIF of half of its pixels", _short_gif(128))
    yield _picture("GIF of one pixel", _short_gif(1))
    yield _picture("GIF of no pixel", _short_gif(0))


def _short_gif(n):
    frame = gif.frame(GREYS)
    start = frame.index(b"\x08", 8)
    values = GREYS.ravel()[:n].tolist()
    return gif.gif([frame[: start + 1] + gif.blocks(values)], TABLE)


def _tiffs():
    for name, compression in (
        ("no packing", NONE),
        ("LZW", LZW),
        ("Deflate", DEFLATE),
        ("PackBits", PACKBITS),
        ("Zstandard", ZSTD),
    ):
        for bits in (8, 12, 16):
            samples = COLOURS * (2**bits - 1) // 255
            half = compressed(packed(samples[:8], bits), compression)
            yield _picture(
                f"TIFF, {bits} bit, {name}",
                container([([half], _tags(3, bits, compression, TIFF_RGB))]),
            )
    data = jpeg.jpeg(np.array([[[80, 100, 160], [200, 128, 128]]]))
    entries = [*_tags(3, 8, 7, YCBCR), (530, 3, [1, 1])]
    yield _picture("TIFF, JPEG inside", container([([data], entries)]))
    rows = [u1(COLOURS[:8]), b""]
    strips = [
        entry if entry[0] != 278 else (278, 4, [8])
        for entry in _tags(3, 8, NONE, TIFF_RGB)
    ]
    yield _picture("TIFF, the second strip of no bytes", container([(rows, strips)]))
    yield _picture("TIFF, the second strip not listed", container([(rows[:1], strips)]))
    tiles = [entry for entry in _tags(1, 8, DEFLATE, BLACK_0) if entry[0] != 278]
    tiles += [(322, 4, [16]), (323, 4, [16])]
    wide = [(256, 4, [32]) if entry[0] == 256 else entry for entry in tiles]
    one = compressed(u1(GREYS), DEFLATE)
    yield _picture(
        "TIFF, one tile of two empty",
        container([([one, b""], wide)], places=(324, 325)),
    )
    short = compressed(u1(GREYS[:8]), DEFLATE)
    yield _picture(
        "TIFF, half of a tile", container([([short], tiles)], places=(324, 325))
    )


def _tags(n, bits, compression, photometric):
    return [
        (256, 4, [SIDE]), (257, 4, [SIDE]), (258, 3, [bits] * n), (259, 3, [compression]),
        (262, 3, [photometric]), (277, 3, [n]), (278, 4, [SIDE]),
    ]  # fmt: skip


def _others():
    rows = [u1(row[:, ::-1]) for row in COLOURS]
    yield _picture("BMP, 24 bit", bitmaps.bmp(rows[:8], SIZE, 24))
    table = u1(np.concatenate([TABLE[:, ::-1], np.zeros((256, 1))], 1))
    runs = [b"".join(bytes([1, value]) for value in u1(row)) + b"\0\0" for row in GREYS]
    data = bitmaps.bmp(
        [b"".join(runs[:7:-1]) + b"\0\1"], SIZE, 8, packing=1, palette=table
    )
    seen = TABLE[GREYS].copy()
    seen[:8] = TABLE[0]
    yield _picture(
        "BMP in runs, that ends early by its own mark",
        data,
        seen,
        known="the specification: what is left out has the first colour",
    )
    yield _picture("TGA", bitmaps.tga(u1(COLOURS[:8, :, ::-1]), SIZE, 24, 2, flags=32))
    values = [u1(pixel[::-1]) for row in COLOURS[:8] for pixel in row]
    yield _picture(
        "TGA in runs", bitmaps.tga(bitmaps.tga_runs(values), SIZE, 24, 10, flags=32)
    )
    head = b"%d %d\n255\n" % SIZE
    yield _picture("PGM", b"P5\n" + head + u1(GREYS[:8]))
    yield _picture(
        "PGM as text",
        b"P2\n" + head + b" ".join(b"%d" % value for value in GREYS[:8].ravel()),
    )
    yield _picture("PPM", b"P6\n" + head + u1(COLOURS[:8]))
    planes = COLOURS.transpose(2, 0, 1)
    yield _picture("PSD", bitmaps.psd(planes, bitmaps.PSD_RGB)[: -8 * SIDE])
    yield _picture("SGI", bitmaps.sgi(planes)[: -8 * SIDE])
    yield _picture("PCX", bitmaps.pcx(planes)[: -8 * SIDE])
    yield _picture(
        "QOI, with its end mark",
        bitmaps.qoi(COLOURS)[: 14 + 4 * 128] + bytes(7) + b"\1",
    )
    yield _picture(
        "DDS",
        bitmaps.dds(
            u1(COLOURS[:8, :, ::-1]), SIZE, bits=24, masks=(0xFF0000, 0xFF00, 0xFF, 0)
        ),
    )


PICTURES = (*_pngs(), *_jpegs(), *_gifs(), *_tiffs(), *_others())
