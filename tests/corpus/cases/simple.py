"""TGA, PCX, BMP, SGI, PAM and TIFF, where programs guess what the header says."""

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
    SIDE,
    SIZE,
    TABLE,
    coloured,
    named,
)
from tests.corpus.tiff import CMYK, PALETTE, RGB, WHITE_0, tiff

NO_ALPHA = KNOWN + "; it says that it has no alpha"
BGR = COLOURS[..., ::-1]
ZEROS = np.zeros((SIDE, SIDE, 1), int)
ABOVE = 32  # of TGA: the first row is the upper one
EIGHT = 8  # bits of alpha
GREY_CLEARED = np.where(ALPHA == 0, 255, coloured(GREYS))


def pixels_of(values):
    """Return the bytes of each pixel."""
    return [u1(pixel) for row in values for pixel in row]


def _tgas():
    picture = named("TGA")
    none = np.concatenate([BGR, ZEROS], -1)
    yield picture(
        "32 bit, no bits of alpha, the fourth byte zero, in runs",
        bitmaps.tga(bitmaps.tga_runs(pixels_of(none)), SIZE, 32, 10, flags=ABOVE),
        COLOURS,
        known=NO_ALPHA,
    )
    yield picture(
        "32 bit, no bits of alpha, the fourth byte zero, from below",
        bitmaps.tga(u1(none[::-1]), SIZE, 32, 2),
        COLOURS,
        known=NO_ALPHA,
    )
    some = np.concatenate([BGR, GREYS[..., None]], -1)
    yield picture(
        "32 bit, no bits of alpha, any fourth byte",
        bitmaps.tga(u1(some), SIZE, 32, 2, flags=ABOVE),
        COLOURS,
        known=NO_ALPHA,
    )
    fives = (FIVES[..., 0] << 10 | FIVES[..., 1] << 5 | FIVES[..., 2] | 0x8000).astype(
        "<u2"
    )
    words = [word.tobytes() for word in fives.ravel()]
    yield picture(
        "16 bit, no bit of alpha, the last one set, in runs",
        bitmaps.tga(bitmaps.tga_runs(words), SIZE, 16, 10, flags=ABOVE),
        FIVES * 255 / 31,
        allowed=1,
        known=NO_ALPHA,
    )
    both = np.stack([GREYS, ALPHA[..., 0]], -1)
    yield picture(
        "grey, a second byte and no bits of alpha",
        bitmaps.tga(u1(both), SIZE, 16, 3, flags=ABOVE),
        None,
        reason="alpha",
        known="what the second byte is, is not said",
    )


def _maps():
    picture = named("TGA")
    for last in (0, 255):
        table = np.concatenate([TABLE[:, ::-1], np.full((256, 1), last)], -1)
        data = bitmaps.tga(
            u1(GREYS), SIZE, 8, 1, flags=ABOVE, palette=u1(table), palette_bits=32
        )
        yield picture(
            f"palette of 32 bit, no bits of alpha, the fourth byte {last}",
            data,
            TABLE[GREYS],
            known=NO_ALPHA,
        )
    clear = np.arange(256) % 3 == 0
    table = np.concatenate([TABLE[:, ::-1], np.where(clear, 0, 255)[:, None]], -1)
    yield picture(
        "palette with alpha, in runs",
        bitmaps.tga(
            bitmaps.tga_runs([bytes([value]) for value in u1(GREYS)]),
            SIZE,
            8,
            9,
            flags=ABOVE | EIGHT,
            palette=u1(table),
            palette_bits=32,
        ),
        np.where(clear[GREYS][..., None], 255, TABLE[GREYS]),
    )
    yield picture(
        "palette, in runs",
        bitmaps.tga(
            bitmaps.tga_runs([bytes([value]) for value in u1(GREYS)]),
            SIZE,
            8,
            9,
            flags=ABOVE,
            palette=u1(TABLE[:, ::-1]),
        ),
        TABLE[GREYS],
    )
    fives = np.random.default_rng(5).integers(0, 32, (256, 3))
    for flag, how in ((0, "not set"), (0x8000, "set")):
        words = (fives[:, 0] << 10 | fives[:, 1] << 5 | fives[:, 2] | flag).astype(
            "<u2"
        )
        data = bitmaps.tga(
            u1(GREYS),
            SIZE,
            8,
            1,
            flags=ABOVE,
            palette=words.tobytes(),
            palette_bits=16,
        )
        yield picture(
            f"palette of 16 bit, no bit of alpha, the last one {how}",
            data,
            fives[GREYS] * 255 / 31,
            allowed=1,
            known=NO_ALPHA,
        )


def _areas():
    """Yield what the extension area of version 2 says of alpha."""
    picture = named("TGA")
    full = np.concatenate([BGR, ALPHA], -1)
    half = np.where(GREYS % 3 == 0, 0, np.where(GREYS % 3 == 1, 128, 255))[..., None]
    dark = np.rint(COLOURS * (half / 255)).astype(int)
    multiplied = np.concatenate([dark[..., ::-1], half], -1)
    kinds = {
        0: ("no alpha", full, COLOURS),
        1: ("no useful alpha", full, COLOURS),
        2: ("no useful alpha, to be kept", full, COLOURS),
        3: ("alpha", full, CLEARED),
        4: ("alpha, multiplied", multiplied, dark + 255 - half),
    }
    for kind, (title, pixels, shown) in kinds.items():
        body = u1(pixels)
        area = struct.pack("<H", 495) + bytes(492) + bytes([kind])
        tail = area + struct.pack("<2I", 18 + len(body), 0) + b"TRUEVISION-XFILE.\0"
        yield picture(
            f"32 bit, its extension area says: {title}",
            bitmaps.tga(body, SIZE, 32, 2, flags=ABOVE | EIGHT, tail=tail),
            shown,
            allowed=0.01 if kind != 4 else 1.01,
        )


def _pcxs():
    picture = named("other formats")
    bare = bytearray(bitmaps.pcx(GREYS[None]))
    yield picture(
        "PCX of 256 colours, without its palette",
        bytes(bare),
        None,
        reason="palette",
        known="which colours its numbers are, is not there",
    )
    bare[68] = 2
    yield picture(
        "PCX that says that it is grey", bytes(bare), coloured(GREYS), known=KNOWN
    )
    # The last byte of 12 before the palette is taken for the mark before it.
    whole = bitmaps.pcx(np.where(GREYS == 12, 13, GREYS)[None], palette=TABLE)
    rows = bytearray(whole)
    rows[-769 - 100] = 12
    yield picture(
        "PCX, cut so that a 12 is where its palette begins",
        bytes(rows[:-100]),
        None,
        reason="palette",
        known="the palette is not whole",
    )
    ones = [np.packbits((GREYS % 16 >> n & 1).astype("u1"), axis=1) for n in range(4)]
    body = b"".join(
        bytes([0xC1, value])
        for row in zip(*ones, strict=True)
        for plane in row
        for value in plane
    )
    head = struct.pack("<4B6H", 10, 3, 1, 1, 0, 0, 15, 15, 72, 72) + bytes(48)
    yield picture(
        "PCX of 16 colours, its palette empty",
        (head + struct.pack("<2B2H", 0, 4, 2, 1)).ljust(128, b"\0") + body,
        None,
        reason="palette",
        known="version 3 says that it has none",
    )


def _masks():
    picture = named("BMP")
    bits = (GREYS % 2)[..., None]
    words = (
        FIVES[..., 0] << 10 | FIVES[..., 1] << 5 | FIVES[..., 2] | (bits[..., 0] << 15)
    )
    rows = [row.astype("<u2").tobytes() for row in words]
    masks = bitmaps.masks_of_version_4(0x7C00, 0x3E0, 0x1F, 0x8000)
    yield picture(
        "16 bit, five each and one of alpha",
        bitmaps.bmp(rows, SIZE, 16, packing=3, masks=masks),
        np.where(bits == 0, 255, FIVES * 255 / 31),
        allowed=1,
    )
    fours = COLOURS // 16
    words = fours[..., 0] << 8 | fours[..., 1] << 4 | fours[..., 2] | 0xF000
    rows = [row.astype("<u2").tobytes() for row in words]
    masks = struct.pack("<3I", 0xF00, 0xF0, 0xF)
    yield picture(
        "16 bit, four each",
        bitmaps.bmp(rows, SIZE, 16, packing=3, masks=masks),
        fours * 17,
    )
    tens = np.rint(COLOURS * (1023 / 255)).astype(int)
    words = tens[..., 0] << 20 | tens[..., 1] << 10 | tens[..., 2]
    rows = [row.astype("<u4").tobytes() for row in words]
    masks = struct.pack("<3I", 0x3FF00000, 0xFFC00, 0x3FF)
    for is_downwards, how in ((False, ""), (True, ", the upper row first")):
        yield picture(
            f"32 bit, ten each{how}",
            bitmaps.bmp(
                rows, SIZE, 32, packing=3, masks=masks, is_downwards=is_downwards
            ),
            COLOURS,
            allowed=0.51,
        )
    full = np.concatenate([COLOURS, ALPHA], -1)
    four = struct.pack("<4I", 0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    yield picture(
        "32 bit, four masks after a header of 40 bytes",
        _after_40([u1(row) for row in full], four),
        CLEARED,
    )
    holes = struct.pack("<3I", 0xF0F000, 0xFF0000, 0xFF)
    yield picture(
        "a mask with a gap",
        bitmaps.bmp([u1(row) for row in full], SIZE, 32, packing=3, masks=holes),
        None,
        reason="masks",
        known="what such a number stands for is not known",
    )


def _runs():
    """Yield pictures in runs that end by their mark before they are full."""
    picture = named("BMP")
    table = u1(np.concatenate([TABLE[:, ::-1], np.zeros((256, 1))], 1))
    known = KNOWN + "; what is left out has the first colour"
    halves = [bytes([2, value * 17]) for value in range(4)]
    for row_end, how in ((b"\0\0", "after a row"), (b"", "within a row")):
        body = b"".join(halves) + row_end + b"\0\1"
        numbers = np.zeros(SIZE, int)
        numbers[-1, :8] = np.repeat(np.arange(4), 2)
        yield picture(
            f"palette, 4 bit, in runs that end {how}",
            bitmaps.bmp([body], SIZE, 4, packing=2, palette=table[:64]),
            TABLE[numbers],
            known=known,
        )
    # A span of three whose last byte fills up, and which looks like the mark.
    body = b"\0\3\5\0\1\0" + b"\0\1"
    numbers = np.zeros(SIZE, int)
    numbers[-1, :3] = 5, 0, 1
    yield picture(
        "palette, a span like a mark, that ends within a row",
        bitmaps.bmp([body], SIZE, 8, packing=1, palette=table),
        TABLE[numbers],
        known=known,
    )


def _after_40(rows, masks):
    """Return a BMP of 32 bits, packing 6: a header of 40 bytes, then four masks."""
    body = b"".join(rows[::-1])
    start = 54 + len(masks)
    head = struct.pack("<2sI2HI", b"BM", start + len(body), 0, 0, start)
    info = struct.pack("<I2i2H6I", 40, *SIZE, 1, 32, 6, len(body), 0, 0, 0, 0)
    return head + info + masks + body


def _pams():
    picture = named("other formats")
    head = b"P7\nWIDTH 16\n# said\nHEIGHT 16\nDEPTH %d\nMAXVAL %d\n%sENDHDR\n"
    both = np.stack([GREYS, ALPHA[..., 0]], -1)
    for white, form in ((255, "u1"), (65535, ">u2"), (1023, ">u2")):
        samples = np.rint(both * (white / 255)).astype(form)
        yield picture(
            f"PAM, grey with alpha, white is {white}",
            head % (2, white, b"TUPLTYPE GRAYSCALE_ALPHA\n") + samples.tobytes(),
            GREY_CLEARED,
            allowed=0.51,
        )
    yield picture(
        "PAM, black and white",
        head % (1, 1, b"TUPLTYPE BLACKANDWHITE\n") + u1(GREYS % 2),
        coloured(GREYS % 2 * 255),
        known=KNOWN + "; 1 is white, unlike in PBM",
    )
    yield picture(
        "PAM, RGB, 16 bit",
        head % (3, 65535, b"TUPLTYPE RGB\n") + (COLOURS * 257).astype(">u2").tobytes(),
        COLOURS,
        allowed=0.51,
    )
    yield picture(
        "PAM that does not say what it holds",
        head % (4, 255, b"") + u1(np.concatenate([COLOURS, ALPHA], -1)),
        None,
        reason="not said",
        known="what its samples are is not said",
    )
    planes = np.stack([GREYS, ALPHA[..., 0]]) * 257
    yield picture(
        "SGI, grey with alpha, 16 bit",
        bitmaps.sgi(planes, n_bytes=2),
        GREY_CLEARED,
        allowed=1.01,
    )


def _tiffs():
    picture = named("TIFF, more samples")
    inks = np.concatenate([255 - COLOURS, ZEROS, ALPHA], -1)
    yield picture(
        "CMYK, 8 bit, multiplied by alpha",
        tiff(inks, bits=8, photometric=CMYK, tags=((338, 3, [1]),)),
        None,
        reason="alpha",
        known="inks do not multiply as light does",
    )
    for bits in (8, 16):
        more = np.concatenate([inks[..., :4], GREYS[..., None]], -1)
        yield picture(
            f"CMYK, {bits} bit, and one of no meaning",
            tiff(
                more * (1 if bits == 8 else 257),
                bits=bits,
                photometric=CMYK,
                tags=((338, 3, [0]),),
            ),
            COLOURS,
            allowed=2.01,
        )
    late = np.concatenate([COLOURS, GREYS[..., None], ALPHA], -1)
    for bits in (8, 16):
        yield picture(
            f"RGB, {bits} bit, one of no meaning and then alpha",
            tiff(
                late * (1 if bits == 8 else 257),
                bits=bits,
                photometric=RGB,
                tags=((338, 3, [0, 2]),),
            ),
            CLEARED,
            allowed=1.01,
        )
    grey = np.concatenate([255 - GREYS[..., None], ALPHA], -1)
    yield picture(
        "grey, 8 bit, white is 0, and one of no meaning",
        tiff(grey, bits=8, photometric=WHITE_0, tags=((338, 3, [0]),)),
        coloured(GREYS),
    )
    table = (TABLE.T * 257).ravel().tolist()
    both = np.concatenate([GREYS[..., None], ALPHA], -1)
    shown = np.where(ALPHA == 0, 255, TABLE[GREYS])
    yield picture(
        "palette and alpha, planes",
        tiff(
            both,
            bits=8,
            photometric=PALETTE,
            planar=2,
            tags=((320, 3, table), (338, 3, [2])),
        ),
        shown,
        allowed=1.01,
    )
    three = np.concatenate([both, GREYS[..., None]], -1)
    yield picture(
        "palette, alpha and one more",
        tiff(
            three, bits=8, photometric=PALETTE, tags=((320, 3, table), (338, 3, [2, 0]))
        ),
        shown,
        allowed=1.01,
    )


PICTURES = (
    *_tgas(),
    *_maps(),
    *_areas(),
    *_pcxs(),
    *_masks(),
    *_runs(),
    *_pams(),
    *_tiffs(),
)
