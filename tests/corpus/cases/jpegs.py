"""JPEG of flat blocks, which it stores without loss (T.81; tests/corpus/jpeg.py)."""

from __future__ import annotations

import struct

import numpy as np

from tests.corpus import jpeg
from tests.corpus.cases.case import (
    coloured,
    named,
)
from tests.corpus.cases.pngs import turned

KNOWN = "first coefficients alone: the values are known before the file is written"
GREYS = np.array([[[10], [200]], [[90], [255]]])
YCC = np.array([[[80, 100, 160], [200, 128, 128]], [[120, 170, 110], [30, 128, 140]]])
RGBS = np.array([[[250, 3, 4], [0, 250, 9]], [[4, 6, 250], [90, 80, 70]]])
INKS = np.array(
    [[[250, 3, 4, 0], [0, 250, 9, 20]], [[4, 6, 250, 99], [90, 80, 70, 60]]]
)
SHOWN = jpeg.pixels(jpeg.rgb_from_ycc(YCC))
WHOLE = jpeg.jpeg(YCC)
_picture = named("JPEG", known=KNOWN, allowed=2)


def _colours():
    yield _picture(
        "grey", jpeg.jpeg(GREYS), coloured(jpeg.pixels(GREYS)), before="right"
    )
    yield _picture("YCbCr", WHOLE, SHOWN, before="right")
    yield _picture("YCbCr, Adobe says so", jpeg.jpeg(YCC, adobe=1), SHOWN)
    yield _picture("RGB, Adobe says so", jpeg.jpeg(RGBS, adobe=0), jpeg.pixels(RGBS))
    yield _picture(
        "RGB by the names of its components",
        jpeg.jpeg(RGBS, names=b"RGB"),
        jpeg.pixels(RGBS),
        known=KNOWN + "; libjpeg's rule",
    )
    half = np.broadcast_to(YCC[0, 0], (2, 2, 3))
    yield _picture(
        "YCbCr, colours of half the size",
        jpeg.jpeg(half, halves=True),
        jpeg.pixels(jpeg.rgb_from_ycc(half)),
    )
    light = (255 - INKS[..., :3]) * (255 - INKS[..., 3:]) / 255
    yield _picture(
        "CMYK of Adobe, inverted",
        jpeg.jpeg(255 - INKS, adobe=0),
        jpeg.pixels(light),
        before="right",
        known=KNOWN + "; Adobe's note 5116",
    )
    # Turned back once by YCCK and once by Adobe, red is the ink cyan.
    inks = np.concatenate([jpeg.rgb_from_ycc(YCC), INKS[..., 3:]], -1)
    stored = np.concatenate([YCC, 255 - INKS[..., 3:]], -1)
    light = (255 - inks[..., :3]) * (255 - inks[..., 3:]) / 255
    yield _picture(
        "YCCK of Adobe",
        jpeg.jpeg(stored, adobe=2),
        jpeg.pixels(light),
        allowed=3,
        known=KNOWN + "; Adobe's note 5116",
    )


def _layouts():
    yield _picture(
        "progressive", jpeg.jpeg(YCC, process=jpeg.PROGRESSIVE), SHOWN, before="right"
    )
    yield _picture("extended sequential", jpeg.jpeg(YCC, process=0xC1), SHOWN)
    yield _picture("a scan for each component", jpeg.jpeg(YCC, scans=3), SHOWN)
    yield _picture("restart marks", jpeg.jpeg(YCC, restart=1), SHOWN)
    yield _picture(
        "fill bytes before a mark", WHOLE[:2] + b"\xff\xff" + WHOLE[2:], SHOWN
    )
    yield _picture("other data behind it", WHOLE + bytes(5000), SHOWN, before="right")
    yield _picture(
        "a second picture behind it",
        WHOLE + jpeg.jpeg(GREYS),
        SHOWN,
        known=KNOWN + "; the first frame",
    )
    comment = jpeg.segment(0xFE, b"x" * 60000)
    yield _picture("a comment of 60 kB", jpeg.jpeg(YCC, before=comment), SHOWN)
    profile = jpeg.segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(200))
    yield _picture(
        "with a colour profile",
        jpeg.jpeg(YCC, before=profile),
        SHOWN,
        known=KNOWN + "; profiles are not applied (docs/inputs.md)",
    )


def _turns():
    pixels = jpeg.pixels(RGBS)
    for turn, right in turned(pixels).items():
        data = jpeg.jpeg(RGBS, adobe=0, before=jpeg.exif(turn))
        yield _picture(f"turned by EXIF {turn}", data, right, before="right")
    for turn, how in ((0, "0"), (9, "9"), (65535, "65535")):
        data = jpeg.jpeg(RGBS, adobe=0, before=jpeg.exif(turn))
        yield _picture(
            f"EXIF orientation {how}, which is none",
            data,
            pixels,
            known="Exif 2.3: reserved, so as it lies",
        )
    data = jpeg.jpeg(RGBS, adobe=0, before=jpeg.exif(6, order=">"))
    yield _picture("turned by EXIF 6, big-endian", data, turned(pixels)[6])
    data = jpeg.jpeg(RGBS, adobe=0, before=jpeg.exif(6, form=4))
    yield _picture("turned by EXIF 6, as 32 bits", data, turned(pixels)[6])
    torn = jpeg.segment(0xE1, b"Exif\0\0" + b"II*\0" + struct.pack("<I", 2**31))
    yield _picture(
        "EXIF that leads nowhere",
        jpeg.jpeg(RGBS, adobe=0, before=torn),
        pixels,
        known="damaged EXIF says nothing of the pixels",
    )
    twice = jpeg.exif(1) + jpeg.exif(6)
    yield _picture(
        "two EXIF segments, the first upright",
        jpeg.jpeg(RGBS, adobe=0, before=twice),
        pixels,
        known="the first counts, as in exiftool and browsers",
    )


def _cut():
    why = "every viewer shows it; refused unless --truncated keep"
    keep = {"truncated": "keep"}
    yield _picture(
        "without its end mark",
        WHOLE[:-2],
        None,
        reason="cut short",
        known=why,
        before="skipped",
    )
    yield _picture(
        "without its end mark, --truncated keep",
        WHOLE[:-2],
        SHOWN,
        options=keep,
        known=KNOWN,
        before="skipped",
    )
    yield _picture(
        "head alone, --truncated keep",
        WHOLE[:100],
        None,
        options=keep,
        known="no pixel is there",
    )
    # As a camera leaves it whose card was pulled.
    big = np.broadcast_to(np.arange(40)[:, None, None] * 6, (40, 40, 1))
    data = jpeg.jpeg(big)
    upper = np.full((16, 16, 3), np.nan)
    shown = np.repeat(np.arange(40) * 6, 8)
    upper[:4] = np.array([shown[20 * k : 20 * k + 20].mean() for k in range(4)])[
        :, None, None
    ]
    yield _picture(
        "the lower half missing",
        data[: len(data) // 2],
        None,
        reason="cut short",
        known=why,
        before="skipped",
    )
    yield _picture(
        "the lower half missing, --truncated keep",
        data[: len(data) // 2],
        upper,
        allowed=4,
        options=keep,
        known="the upper rows are there; the lower ones are not compared",
    )
    lying = bytearray(WHOLE)
    place = WHOLE.index(b"\xff\xc0") + 5
    lying[place : place + 4] = struct.pack(">2H", 65535, 65535)
    yield _picture(
        "says that it has 2^32 pixels",
        bytes(lying),
        None,
        reason="pixels|exceeds",
        known="the limit of 2^26 pixels",
    )
    lying[place : place + 4] = struct.pack(">2H", 0, 16)
    yield _picture(
        "says that it has no row",
        bytes(lying),
        None,
        known="no picture: the number of rows comes later, if ever",
    )
    lossless = WHOLE.replace(b"\xff\xc0", b"\xff\xc3")
    yield _picture(
        "lossless process", lossless, None, known="Pillow has no decoder for it"
    )
    deep = WHOLE.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c")
    yield _picture("12 bits", deep, None, known="Pillow has no decoder for it")


PICTURES = (*_colours(), *_layouts(), *_turns(), *_cut())
