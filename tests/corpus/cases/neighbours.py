"""Neighbours of the simple formats."""

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
    SIZE,
    TABLE,
    coloured,
    flat,
    named,
)

ONES = GREYS % 2


def _bmps():
    picture = named("BMP")
    full = np.concatenate([COLOURS[..., ::-1], ALPHA * 0], -1)
    rows = [u1(row) for row in full]
    masks = struct.pack("<3I", 0xFF0000, 0xFF00, 0xFF)
    yield picture(
        "32 bit, three masks",
        bitmaps.bmp(rows, SIZE, 32, packing=3, masks=masks),
        COLOURS,
    )
    none = bitmaps.masks_of_version_4(0xFF0000, 0xFF00, 0xFF, 0)
    yield picture(
        "32 bit, version 4, no mask of alpha",
        bitmaps.bmp(rows, SIZE, 32, packing=3, masks=none),
        COLOURS,
    )
    yield picture(
        "32 bit, version 4, masks not used",
        bitmaps.bmp(rows, SIZE, 32, masks=none),
        COLOURS,
    )
    turned = np.concatenate([COLOURS, ALPHA * 0], -1)
    masks = struct.pack("<3I", 0xFF, 0xFF00, 0xFF0000)
    yield picture(
        "32 bit, red and blue the other way",
        bitmaps.bmp([u1(row) for row in turned], SIZE, 32, packing=3, masks=masks),
        COLOURS,
    )
    table = u1(np.concatenate([TABLE[:, ::-1], np.zeros((256, 1))], 1))
    few = bitmaps.bmp([u1(row) for row in GREYS % 5], SIZE, 8, palette=table[:20])
    yield picture("palette of five colours", few, TABLE[GREYS % 5])
    ones = [row.tobytes() for row in np.packbits(ONES.astype("u1"), axis=1)]
    yield picture(
        "1 bit, 0 is white",
        bitmaps.bmp(ones, SIZE, 1, palette=bytes([255, 255, 255, 0, 0, 0, 0, 0])),
        coloured(255 - 255 * ONES),
    )
    halves = [
        b"".join(bytes([2, (int(a) << 4) | int(b)]) for a, b in row.reshape(-1, 2))
        + b"\0\0"
        for row in GREYS % 16
    ]
    data = bitmaps.bmp(
        [b"".join(halves[::-1]) + b"\0\1"], SIZE, 4, packing=2, palette=table[:64]
    )
    yield picture("palette, 4 bit, in runs", data, TABLE[GREYS % 16])
    spans = [b"\0\x10" + u1(row) + b"\0\0" for row in GREYS]
    data = bitmaps.bmp(
        [b"".join(spans[::-1]) + b"\0\1"], SIZE, 8, packing=1, palette=table
    )
    yield picture("palette, in spans", data, TABLE[GREYS])
    fives = (FIVES[..., 0] << 10 | FIVES[..., 1] << 5 | FIVES[..., 2]).astype("<u2")
    masks = struct.pack("<3I", 0x7C00, 0x3E0, 0x1F)
    yield picture(
        "16 bit, five each, by masks",
        bitmaps.bmp([row.tobytes() for row in fives], SIZE, 16, packing=3, masks=masks),
        FIVES * 255 / 31,
        allowed=1,
    )
    inside = (
        struct.pack("<I2i2H6I", 40, *SIZE, 1, 0, 4, 5, 0, 0, 0, 0) + b"\xff\xd8\xff\xd9"
    )
    yield picture(
        "a JPEG in it",
        b"BM" + struct.pack("<I2HI", 58, 0, 0, 54) + inside,
        None,
        known="no decoder is there",
    )


def _tgas():
    picture = named("TGA")
    both = np.stack([GREYS, ALPHA[..., 0]], -1)
    yield picture(
        "grey with alpha",
        bitmaps.tga(u1(both), SIZE, 16, 3, flags=40),
        np.where(ALPHA == 0, 255, coloured(GREYS)),
    )
    table = np.concatenate(
        [TABLE[:, ::-1], np.where(np.arange(256) % 3 == 0, 0, 255)[:, None]], -1
    )
    yield picture(
        "palette with alpha",
        bitmaps.tga(
            u1(GREYS), SIZE, 8, 1, flags=40, palette=u1(table), palette_bits=32
        ),
        np.where(GREYS[..., None] % 3 == 0, 255, TABLE[GREYS]),
    )
    later = bytearray(
        bitmaps.tga(
            u1(GREYS % 99 + 100), SIZE, 8, 1, flags=32, palette=u1(TABLE[:99, ::-1])
        )
    )
    struct.pack_into("<2H", later, 3, 100, 99)
    yield picture(
        "palette that begins with colour 100", bytes(later), TABLE[GREYS % 99]
    )
    fives = (FIVES[..., 0] << 10 | FIVES[..., 1] << 5 | FIVES[..., 2]).astype("<u2")
    for flag, how in ((0, "not set"), (0x8000, "set")):
        # Of one bit of alpha, programs disagree whether it means clear.
        data = bitmaps.tga((fives | flag).tobytes(), SIZE, 16, 2, flags=32)
        yield picture(
            f"16 bit, no bit of alpha, the last one {how}",
            data,
            FIVES * 255 / 31,
            allowed=1,
            known=KNOWN + "; it says that it has no alpha",
        )
    grey = bytearray(bitmaps.tga(u1(GREYS), SIZE, 8, 3, flags=32))
    grey[0] = 5
    yield picture(
        "a note before the picture",
        bytes(grey[:18]) + b"hello" + bytes(grey[18:]),
        coloured(GREYS),
    )
    tail = struct.pack("<2I", 0, 0) + b"TRUEVISION-XFILE.\0"
    yield picture(
        "with the foot of version 2",
        bytes(bitmaps.tga(u1(GREYS), SIZE, 8, 3, flags=32, tail=tail)),
        coloured(GREYS),
    )


def _more():
    picture = named("other formats")
    for kind, rgb, how in (
        (1, COLOURS[..., ::-1], "blue first"),
        (3, COLOURS, "red first"),
    ):
        head = struct.pack(">8I", 0x59A66A95, *SIZE, 24, 768, kind, 0, 0)
        yield picture(f"Sun raster, 24 bit, {how}", head + u1(rgb), COLOURS)
    head = struct.pack(">8I", 0x59A66A95, *SIZE, 8, 256, 1, 0, 0)
    yield picture("Sun raster, grey", head + u1(GREYS), coloured(GREYS))
    head = struct.pack(">8I", 0x59A66A95, *SIZE, 8, 256, 1, 1, 768)
    yield picture("Sun raster, palette", head + u1(TABLE.T) + u1(GREYS), TABLE[GREYS])
    head = struct.pack(">8I", 0x59A66A95, *SIZE, 1, 32, 1, 0, 0)
    bits = np.packbits(ONES.astype("u1"), axis=1).tobytes()
    yield picture(
        "Sun raster, 1 bit",
        head + bits,
        coloured(255 - 255 * ONES),
        known=KNOWN + "; 1 is black",
    )
    lines = [
        "/* XPM */",
        "static char *a[] = {",
        '"16 16 3 1",',
        '"r c #fa0000",',
        '"g c #00fa00",',
        '". c None",',
    ]
    lines += ['"' + "".join("rg."[value] for value in row) + '",' for row in GREYS % 3]
    colours = np.array([[250, 0, 0], [0, 250, 0], [255, 255, 255]])
    yield picture(
        "XPM, one colour clear", "\n".join([*lines, "};"]).encode(), colours[GREYS % 3]
    )
    head = b"P7\nWIDTH 16\nHEIGHT 16\nDEPTH %d\nMAXVAL 255\nTUPLTYPE %s\nENDHDR\n"
    yield picture("PAM, RGB", head % (3, b"RGB") + u1(COLOURS), COLOURS)
    yield picture(
        "PAM, RGB with alpha",
        head % (4, b"RGB_ALPHA") + u1(np.concatenate([COLOURS, ALPHA], -1)),
        CLEARED,
    )
    head = (
        struct.pack("<4B6H", 10, 5, 1, 1, 0, 0, 15, 15, 72, 72)
        + bytes([0, 0, 0, 255, 255, 255])
        + bytes(42)
    )
    body = b"".join(bytes([0xC1, value]) for value in bits)
    yield picture(
        "PCX, 1 bit",
        (head + struct.pack("<2B2H", 0, 1, 2, 1)).ljust(128, b"\0") + body,
        coloured(255 * ONES),
    )


def _planes():
    picture = named("other formats")
    sixteen = TABLE[:16]
    head = struct.pack("<4B6H", 10, 5, 1, 1, 0, 0, 15, 15, 72, 72) + u1(sixteen)
    body = b""
    for row in GREYS % 16:
        for plane in range(4):
            body += b"".join(
                bytes([0xC1, value])
                for value in np.packbits((row >> plane & 1).astype("u1"))
            )
    yield picture(
        "PCX, 16 colours in planes",
        (head + struct.pack("<2B2H", 0, 4, 2, 1)).ljust(128, b"\0") + body,
        sixteen[GREYS % 16],
    )
    yield picture(
        "DDS, grey",
        bitmaps.dds(u1(GREYS), SIZE, bits=8, masks=(0xFF, 0, 0, 0)).replace(
            struct.pack("<2I", 32, 0x40), struct.pack("<2I", 32, 0x20000)
        ),
        coloured(GREYS),
    )
    masks = (0xFF, 0xFF00, 0xFF0000, 0)
    yield picture(
        "DDS, 24 bit, red first",
        bitmaps.dds(u1(COLOURS), SIZE, bits=24, masks=masks),
        COLOURS,
    )
    block = struct.pack("<8B2HI", 0, 0, 0, 0, 0, 0, 0, 0, 31 << 11, 0, 0)
    yield picture(
        "DDS, DXT5, all clear", bitmaps.dds(block * 16, SIZE, code=b"DXT5"), flat(255)
    )

    both = np.stack([GREYS, ALPHA[..., 0]])
    yield picture(
        "SGI, grey with alpha",
        bitmaps.sgi(both),
        np.where(ALPHA == 0, 255, coloured(GREYS)),
    )


def _photoshop():
    picture = named("PSD")
    planes = COLOURS.transpose(2, 0, 1)
    runs = b"".join(struct.pack(">H", 17) for _ in range(48)) + b"".join(
        b"\x0f" + u1(row) for plane in planes for row in plane
    )
    data = bitmaps.psd(planes, bitmaps.PSD_RGB)
    start = len(data) - 768 - 2
    yield picture("RGB, PackBits", data[:start] + b"\0\1" + runs, COLOURS)
    yield picture(
        "RGB, Deflate",
        data[:start] + b"\0\2" + runs,
        None,
        known="no decoder is there",
    )
    yield picture(
        "duotone",
        bitmaps.psd(GREYS[None], 8),
        coloured(GREYS),
        known=KNOWN + "; to be taken for grey",
    )
    white = np.stack([GREYS * 0 + 255, GREYS * 0 + 128, GREYS * 0 + 128])
    yield picture(
        "CIELAB, white", bitmaps.psd(white, bitmaps.PSD_LAB), flat(255), allowed=2
    )


def _xbms():
    """Yield bitmaps as lines of C: of X11, X10, and of a pointer."""
    picture = named("other formats", reason="programs disagree")
    ones = [
        int("".join(str(bit) for bit in part[::-1]), 2)
        for row in ONES.tolist()
        for part in (row[:8], row[8:])
    ]
    head = "#define im_width 16\n#define im_height 16\n"
    lists = {
        "unsigned char": ones,
        "char": ones,
        "short": [low | high << 8 for low, high in zip(ones[::2], ones[1::2], strict=True)],
    }  # fmt: skip
    for kind, numbers in lists.items():
        listed = ", ".join(f"0x{number:02x}" for number in numbers)
        for spot, how in (
            ("", ""),
            ("#define im_x_hot 3\n#define im_y_hot 4\n", ", of a pointer"),
        ):
            text = f"{head}{spot}static {kind} im_bits[] = {{\n{listed} }};\n"
            first = kind == "char" and not spot
            yield picture(
                f"XBM of {kind}{how}",
                text.encode(),
                known="whether its ones are black is not said; programs disagree",
                before="ones white, as Pillow writes them" if first else "not tried",
            )
    yield picture(
        "PBM, whose ones are black",
        b"P4\n16 16\n" + bytes(int(f"{one:08b}"[::-1], 2) for one in ones),
        coloured(255 * (1 - ONES)),
        known=KNOWN + "; the specification says what its ones are",
    )


PICTURES = (*_bmps(), *_tgas(), *_more(), *_planes(), *_photoshop(), *_xbms())
