"""Simple formats of pictures, each from its specification (tests/corpus/bitmaps.py)."""

from __future__ import annotations

import struct

import numpy as np

from tests.corpus import bitmaps
from tests.corpus.bitmaps import u1
from tests.corpus.cases.case import (
    ALPHA,
    CLEARED,
    COLOURS,
    FIVES,
    GREYS,
    KNOWN,
    QUARTERS,
    SIDE,
    SIZE,
    TABLE,
    coloured,
    flat,
    named,
)
from tests.corpus.png import RGB, RGBA, png


def _bmps():
    picture = named("BMP")
    table = u1(np.concatenate([TABLE[:, ::-1], np.zeros((256, 1))], 1))
    for bits in (1, 4, 8):
        samples = GREYS % 2**bits
        places = np.arange(bits - 1, -1, -1)
        ones = (samples[..., None] >> places & 1).reshape(SIDE, -1)
        rows = [row.tobytes() for row in np.packbits(ones.astype("u1"), axis=1)]
        data = bitmaps.bmp(rows, SIZE, bits, palette=table[: 4 * 2**bits])
        yield picture(f"palette, {bits} bit", data, TABLE[samples])
    fives = FIVES[..., 0] << 10 | FIVES[..., 1] << 5 | FIVES[..., 2]
    rows = [row.astype("<u2").tobytes() for row in fives]
    shown = FIVES * 255 / 31
    yield picture("16 bit, five each", bitmaps.bmp(rows, SIZE, 16), shown, allowed=1)
    six = FIVES[..., 0] << 11 | FIVES[..., 1] << 6 | FIVES[..., 2]
    rows = [row.astype("<u2").tobytes() for row in six]
    masks = struct.pack("<3I", 0xF800, 0x7E0, 0x1F)
    right = np.stack(
        [
            FIVES[..., 0] * 255 / 31,
            FIVES[..., 1] * 2 * 255 / 63,
            FIVES[..., 2] * 255 / 31,
        ],
        -1,
    )
    yield picture(
        "16 bit, six of green",
        bitmaps.bmp(rows, SIZE, 16, packing=3, masks=masks),
        right,
        allowed=1,
    )


def _more_bmps():
    picture = named("BMP")
    table = u1(np.concatenate([TABLE[:, ::-1], np.zeros((256, 1))], 1))
    rows = [u1(row[:, ::-1]) for row in COLOURS]
    yield picture("24 bit", bitmaps.bmp(rows, SIZE, 24), COLOURS, before="right")
    yield picture(
        "24 bit, the upper row first",
        bitmaps.bmp(rows, SIZE, 24, is_downwards=True),
        COLOURS,
    )
    for last, how in ((0, "zero"), (255, "255"), (7, "7")):
        full = np.concatenate([COLOURS[..., ::-1], np.full((SIDE, SIDE, 1), last)], -1)
        data = bitmaps.bmp([u1(row) for row in full], SIZE, 32)
        yield picture(
            f"32 bit, the fourth byte {how}",
            data,
            COLOURS,
            known=KNOWN + "; the fourth byte is not used",
        )
    full = np.concatenate([COLOURS[..., ::-1], ALPHA], -1)
    masks = bitmaps.masks_of_version_4(0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    data = bitmaps.bmp([u1(row) for row in full], SIZE, 32, packing=3, masks=masks)
    yield picture("32 bit with alpha, version 4", data, CLEARED)
    runs = [b"".join(bytes([1, value]) for value in u1(row)) + b"\0\0" for row in GREYS]
    data = bitmaps.bmp(
        [b"".join(runs[::-1]) + b"\0\1"], SIZE, 8, packing=1, palette=table
    )
    yield picture("palette, in runs", data, TABLE[GREYS])
    colours = u1(TABLE[:, ::-1])
    yield picture(
        "of OS/2",
        bitmaps.bmp_of_os2([u1(row) for row in GREYS], SIZE, colours),
        TABLE[GREYS],
    )


def _tgas():
    picture = named("TGA")
    values = [u1(pixel[::-1]) for row in COLOURS for pixel in row]
    upside = [u1(pixel[::-1]) for row in COLOURS[::-1] for pixel in row]
    yield picture(
        "24 bit, from above",
        bitmaps.tga(b"".join(values), SIZE, 24, 2, flags=32),
        COLOURS,
    )
    yield picture(
        "24 bit, from below", bitmaps.tga(b"".join(upside), SIZE, 24, 2), COLOURS
    )
    left = [u1(pixel[::-1]) for row in COLOURS[:, ::-1] for pixel in row]
    yield picture(
        "24 bit, from above and the right",
        bitmaps.tga(b"".join(left), SIZE, 24, 2, flags=48),
        COLOURS,
    )
    yield picture(
        "24 bit, in runs",
        bitmaps.tga(bitmaps.tga_runs(values), SIZE, 24, 10, flags=32),
        COLOURS,
        before="right",
    )
    grey = u1(GREYS)
    yield picture("grey", bitmaps.tga(grey, SIZE, 8, 3, flags=32), coloured(GREYS))
    table = u1(TABLE[:, ::-1])
    yield picture(
        "palette", bitmaps.tga(grey, SIZE, 8, 1, flags=32, palette=table), TABLE[GREYS]
    )
    full = np.concatenate([COLOURS[..., ::-1], ALPHA], -1)
    yield picture(
        "32 bit with alpha",
        bitmaps.tga(u1(full), SIZE, 32, 2, flags=40),
        CLEARED,
        before="right",
    )
    runs = bitmaps.tga_runs([u1(pixel) for row in full for pixel in row])
    yield picture(
        "32 bit with alpha, in runs", bitmaps.tga(runs, SIZE, 32, 10, flags=40), CLEARED
    )
    none = np.concatenate([COLOURS[..., ::-1], np.zeros((SIDE, SIDE, 1))], -1)
    data = bitmaps.tga(u1(none), SIZE, 32, 2, flags=32)
    yield picture(
        "32 bit, no bits of alpha, the fourth byte zero",
        data,
        COLOURS,
        known=KNOWN + "; it says that it has no alpha",
    )
    fives = (FIVES[..., 0] << 10 | FIVES[..., 1] << 5 | FIVES[..., 2]).astype("<u2")
    yield picture(
        "16 bit, five each",
        bitmaps.tga(fives.tobytes(), SIZE, 16, 2, flags=32),
        FIVES * 255 / 31,
        allowed=1,
    )


def _pnms():
    picture = named("PNM")
    head = b"%d %d\n" % SIZE
    for white in (1, 15, 100, 255, 256, 1023, 4095, 65535):
        samples = np.rint(GREYS / 255 * white).astype(int)
        form = ">u2" if white > 255 else "u1"
        shown = coloured(samples * 255 / white)
        data = b"P5\n" + head + b"%d\n" % white + samples.astype(form).tobytes()
        yield picture(
            f"grey, white is {white}", data, shown, allowed=0.51, before="right"
        )
        text = " ".join(map(str, samples.ravel())).encode()
        yield picture(
            f"grey as text, white is {white}",
            b"P2\n# said\n" + head + b"%d\n" % white + text,
            shown,
            allowed=0.51,
            tells_its_end=False,
        )
    for white in (255, 4095, 65535):
        samples = np.rint(COLOURS / 255 * white).astype(int)
        form = ">u2" if white > 255 else "u1"
        data = b"P6\n# said\n" + head + b"%d\n" % white + samples.astype(form).tobytes()
        yield picture(
            f"RGB, white is {white}",
            data,
            samples * 255 / white,
            allowed=0.51,
            before="right",
        )
        text = " ".join(map(str, samples.ravel())).encode()
        yield picture(
            f"RGB as text, white is {white}",
            b"P3\n" + head + b"%d\n" % white + text,
            samples * 255 / white,
            allowed=0.51,
            tells_its_end=False,
        )
    ones = GREYS % 2
    shown = coloured(255 - 255 * ones)
    yield picture(
        "1 bit",
        b"P4\n" + head + np.packbits(ones.astype("u1"), axis=1).tobytes(),
        shown,
    )
    yield picture(
        "1 bit as text",
        b"P1\n" + head + "".join(map(str, ones.ravel())).encode(),
        shown,
    )
    floats = (GREYS / 255).astype("f4")
    for order, sign in (("<", b"-1.0"), (">", b"1.0")):
        data = (
            b"Pf\n" + head + sign + b"\n" + floats[::-1].astype(order + "f4").tobytes()
        )
        yield picture(
            f"floats, {'little' if order == '<' else 'big'}-endian",
            data,
            coloured(GREYS),
            allowed=0.51,
        )
    data = b"Pf\n" + head + b"-1.0\n" + (floats[::-1] * 2).astype("<f4").tobytes()
    yield picture(
        "floats beyond 1",
        data,
        None,
        reason="white",
        known="no white is known (docs/inputs.md)",
    )
    more = b"P5\n" + head + b"100\n" + u1(np.full(SIZE, 200))
    yield picture(
        "a sample above its white",
        more,
        flat(255),
        known="an error by the specification; Netpbm takes it for white",
    )


def _layers():
    picture = named("PSD")
    planes = COLOURS.transpose(2, 0, 1)
    yield picture("RGB", bitmaps.psd(planes, bitmaps.PSD_RGB), COLOURS)
    yield picture("grey", bitmaps.psd(GREYS[None], bitmaps.PSD_GREY), coloured(GREYS))
    yield picture(
        "1 bit",
        bitmaps.psd(GREYS[None] % 2, bitmaps.PSD_BITMAP, bits=1),
        coloured(255 - 255 * (GREYS % 2)),
        known=KNOWN + "; 1 is black, as in GIMP and Xee",
    )
    table = u1(TABLE.T)
    yield picture(
        "palette",
        bitmaps.psd(GREYS[None], bitmaps.PSD_INDEXED, palette=table),
        TABLE[GREYS],
    )
    inks = np.concatenate([255 - planes, np.zeros((1, SIDE, SIDE), int)])
    yield picture(
        "CMYK, stored inverted",
        bitmaps.psd(255 - inks, bitmaps.PSD_CMYK),
        COLOURS,
        allowed=1,
    )
    full = np.concatenate([planes, ALPHA.transpose(2, 0, 1)])
    either = np.where(ALPHA == 0, np.nan, COLOURS)
    yield picture(
        "RGB and a fourth channel",
        bitmaps.psd(full, bitmaps.PSD_RGB),
        either,
        known=KNOWN + "; whether the fourth is alpha is not said: there not compared",
    )
    deep = planes * 257
    yield picture(
        "RGB, 16 bit",
        bitmaps.psd(deep, bitmaps.PSD_RGB, bits=16),
        COLOURS,
        allowed=1.01,
    )
    yield picture(
        "grey, 16 bit",
        bitmaps.psd(GREYS[None] * 257, bitmaps.PSD_GREY, bits=16),
        coloured(GREYS),
        allowed=1.01,
    )
    yield picture(
        "of the large kind (PSB)",
        bitmaps.psd(planes, bitmaps.PSD_RGB, version=2),
        None,
        known="another layout: Pillow does not read it",
    )


def _more():
    picture = named("other formats")
    planes = COLOURS.transpose(2, 0, 1)
    yield picture(
        "SGI, grey", bitmaps.sgi(GREYS[None]), coloured(GREYS), before="right"
    )
    yield picture("SGI, RGB", bitmaps.sgi(planes), COLOURS)
    yield picture(
        "SGI, grey, 16 bit",
        bitmaps.sgi(GREYS[None] * 257, n_bytes=2),
        coloured(GREYS),
        allowed=1.01,
        before="right",
    )
    yield picture(
        "SGI, RGB, 16 bit", bitmaps.sgi(planes * 257, n_bytes=2), COLOURS, allowed=1.01
    )
    full = np.concatenate([planes, ALPHA.transpose(2, 0, 1)])
    yield picture("SGI, RGB with alpha", bitmaps.sgi(full), CLEARED)
    yield picture("PCX, RGB", bitmaps.pcx(planes), COLOURS, before="right")
    yield picture("PCX, palette", bitmaps.pcx(GREYS[None], palette=TABLE), TABLE[GREYS])
    yield picture("QOI, RGB", bitmaps.qoi(COLOURS), COLOURS)
    yield picture(
        "QOI, RGB with alpha",
        bitmaps.qoi(np.concatenate([COLOURS, ALPHA], -1)),
        CLEARED,
    )
    bgr = u1(COLOURS[..., ::-1])
    masks = (0xFF0000, 0xFF00, 0xFF, 0)
    yield picture("DDS, 24 bit", bitmaps.dds(bgr, SIZE, bits=24, masks=masks), COLOURS)
    rgba = u1(np.concatenate([COLOURS[..., ::-1], ALPHA], -1))
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    yield picture(
        "DDS, 32 bit with alpha", bitmaps.dds(rgba, SIZE, bits=32, masks=masks), CLEARED
    )
    block = struct.pack("<2HI", 31 << 11, 0, 0)
    yield picture(
        "DDS, DXT1", bitmaps.dds(block * 16, SIZE, code=b"DXT1"), flat([255, 0, 0])
    )


def _icons():
    picture = named("ICO")
    clear = GREYS % 5 == 0
    shown = np.where(clear[..., None], 255, QUARTERS)
    one = (SIDE, SIDE, 24, bitmaps.ico_bitmap(QUARTERS, clear))
    yield picture("a bitmap and its mask", bitmaps.ico([one]), shown)
    inner = (SIDE, SIDE, 24, png(COLOURS, 8, RGB))
    yield picture("a PNG", bitmaps.ico([inner]), COLOURS)
    rgba = np.concatenate([COLOURS, ALPHA], -1)
    yield picture(
        "a PNG with alpha", bitmaps.ico([(SIDE, SIDE, 32, png(rgba, 8, RGBA))]), CLEARED
    )
    small = (8, 8, 24, png(np.zeros((8, 8, 3)), 8, RGB))
    yield picture(
        "two sizes, the small one first",
        bitmaps.ico([small, inner]),
        COLOURS,
        known=KNOWN + "; the largest",
    )
    lying = (SIDE, SIDE, 24, png(np.full((32, 32, 3), 9), 8, RGB))
    yield picture(
        "says 16, its PNG has 32 pixels",
        bitmaps.ico([lying]),
        flat(9),
        known="the PNG's own size counts",
    )
    yield picture("a cursor", bitmaps.ico([one], kind=2), shown)


PICTURES = (
    *_bmps(),
    *_more_bmps(),
    *_tgas(),
    *_pnms(),
    *_layers(),
    *_more(),
    *_icons(),
)
