"""FITS, WebP, AVIF, HEIC, JPEG XL, JPEG 2000, camera raw, and what is no picture."""

from __future__ import annotations

import gzip
import io
import struct
import zlib

import imagecodecs
import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401 - it lets Pillow write JPEG XL
from PIL import Image, features

from tests.corpus.bitmaps import u1
from tests.corpus.cases import jpegs
from tests.corpus.cases.case import (
    ALPHA,
    CLEARED,
    COLOURS,
    GREYS,
    QUARTERS,
    SIDE,
    UNIT,
    coloured,
    flat,
    named,
)
from tests.corpus.cases.pngs import turned
from tests.corpus.fits import fits, header
from tests.corpus.jpeg import PROGRESSIVE, exif, exif_block, jpeg, pixels
from tests.corpus.png import RGB, png

BY_CODEC = "samples known before another library's encoder wrote them without loss"
NO_WHITE = "no white is known (docs/inputs.md)"
BYTES, WORDS = GREYS, GREYS * 257


def _fits():
    picture = named("FITS")
    shown = coloured(UNIT * 255)
    for name, data in {
        "bytes": fits(BYTES, 8),
        "unsigned words": fits(WORDS - 2**15, 16, BZERO=2**15),
        "long words": fits(WORDS, 32),
        "unsigned long words": fits(WORDS - 2**31, 32, BZERO=2**31),
        "floats": fits(UNIT, -32),
        "doubles": fits(UNIT, -64),
        "scaled words": fits(UNIT * 10000, 16, BSCALE="1.0D-4"),
        "bytes, inverted": fits(255 - BYTES, 8, BSCALE=-1 / 255, BZERO=1),
        "one plane of a cube": fits(BYTES[None], 8),
        "of long words, with BLANK, and none is": fits(WORDS, 32, BLANK=-1),
    }.items():
        before = {"unsigned words": "skipped", "floats": "right"}
        yield picture(
            name, data, shown, allowed=0.51, before=before.get(name, "not tried")
        )
    planes = COLOURS.transpose(2, 0, 1)
    yield picture("three planes", fits(planes, 8), COLOURS)
    yield picture("signed words", fits(BYTES, 16), None, known=NO_WHITE, reason="white")
    yield picture(
        "floats beyond 1", fits(UNIT * 2, -32), None, known=NO_WHITE, reason="white"
    )
    yield picture(
        "undefined pixels",
        fits(WORDS - 2**15, 16, BZERO=2**15, BLANK=-(2**15)),
        None,
        known=NO_WHITE,
        reason="undefined",
    )
    yield picture(
        "a cube of five planes",
        fits(np.zeros((5, SIDE, SIDE)), 8),
        None,
        known="which plane is not said",
    )
    yield picture(
        "a spectrum", fits(np.zeros((1, SIDE)), 8, NAXIS=1), None, known="no picture"
    )
    yield picture(
        "no data",
        header({"SIMPLE": "T", "BITPIX": 8, "NAXIS": 0}),
        None,
        known="no picture",
        reason="no picture",
    )
    yield picture(
        "says that it has 2^60 pixels",
        fits(BYTES, 8).replace(
            b"NAXIS1  =                   16", b"NAXIS1  =           1152921504"
        ),
        None,
        known="the limit of 2^26 pixels",
    )
    yield picture(
        "says that it has -16 columns",
        fits(BYTES, 8).replace(
            b"NAXIS1  =                   16", b"NAXIS1  =                  -16"
        ),
        None,
        known="no picture",
    )


def _saved(pixels, form, **options):
    stream = io.BytesIO()
    image = (
        pixels
        if isinstance(pixels, Image.Image)
        else Image.fromarray(pixels.astype("u1"))
    )
    image.save(stream, form, **options)
    return stream.getvalue()


RGBA = np.concatenate([COLOURS, ALPHA], -1)


def _webps():
    picture = named("WebP", known=BY_CODEC)
    yield picture(
        "without loss", _saved(COLOURS, "WEBP", lossless=True), COLOURS, before="right"
    )
    yield picture(
        "with alpha", _saved(RGBA, "WEBP", lossless=True, exact=True), CLEARED
    )
    black = Image.fromarray((COLOURS * 0).astype("u1"))
    data = _saved(COLOURS, "WEBP", lossless=True, save_all=True, append_images=[black])
    yield picture("moving", data, COLOURS)
    for turn, right in turned(QUARTERS).items():
        block = b"Exif\0\0" + exif_block(struct.pack("<2H", turn, 0))
        yield picture(
            f"turned by EXIF {turn}",
            _saved(QUARTERS, "WEBP", lossless=True, exif=block),
            right,
            before="right",
        )
    yield picture(
        "with loss, of one colour",
        _saved(flat(90), "WEBP", quality=95),
        flat(90),
        allowed=2,
        known="one colour, which loss hardly changes",
    )


NEAR = {"allowed": 4, "known": "one colour, which loss hardly changes"}


def _avifs(picture):
    yield picture(
        "AVIF",
        _saved(flat([200, 90, 30]), "AVIF", quality=100),
        flat([200, 90, 30]),
        before="right",
        **NEAR,
    )
    clear = np.concatenate([flat(0), flat(0)[..., :1]], -1)
    yield picture(
        "AVIF, all clear", _saved(clear, "AVIF", quality=100), flat(255), **NEAR
    )
    deep = imagecodecs.avif_encode(
        np.full((SIDE, SIDE, 3), 600, "u2"), level=100, bitspersample=10
    )
    yield picture("AVIF, 10 bit", deep, flat(600 / 1023 * 255), before="right", **NEAR)
    yield picture(
        "AVIF, turned by EXIF 6",
        _saved(
            _big_quarters(),
            "AVIF",
            quality=100,
            exif=b"Exif\0\0" + exif_block(struct.pack("<2H", 6, 0)),
        ),
        _inside(turned(QUARTERS)[6]),
        allowed=12,
        before="right",
        known="one colour in each quarter; edges are not compared",
    )


def _boxes():
    picture = named("AVIF, HEIC")
    # Pillow writes it from 11.3 on.
    if features.check("avif"):
        yield from _avifs(picture)
    stream = io.BytesIO()
    pillow_heif.from_pillow(
        Image.fromarray(flat([200, 90, 30]).astype("u1")).resize((64, 64))
    ).save(stream, quality=95)
    yield picture(
        "HEIC",
        stream.getvalue(),
        flat([200, 90, 30]),
        before="skipped, not named",
        **NEAR,
    )
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(_big_quarters())).save(stream, quality=95)
    yield picture(
        "HEIC of quarters",
        stream.getvalue(),
        _inside(QUARTERS),
        allowed=12,
        known="one colour in each quarter; edges are not compared",
    )
    head = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"heic", 0, b"mif1", b"heic")
    yield picture(
        "HEIC without a picture", head + bytes(3000), None, known="no picture is in it"
    )
    video = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"isom", 0, b"isom", b"mp42")
    yield picture("a video (MP4)", video + bytes(3000), None, known="no picture")


def _big_quarters():
    return np.repeat(np.repeat(QUARTERS, 4, 0), 4, 1).astype("u1")


def _inside(pixels):
    """Return pixels of which those near the edges of the quarters are not compared."""
    shown = pixels.astype(float)
    shown[6:10], shown[:, 6:10] = np.nan, np.nan
    return shown


def _wavelets():
    picture = named("JPEG 2000, JPEG XL", known=BY_CODEC)
    for bits, n, before in (
        (8, 3, "right"),
        (8, 1, "right"),
        (12, 1, "right"),
        (16, 1, "right"),
        (16, 3, "white became black"),
        (12, 3, "not tried"),
        (10, 3, "not tried"),
        (16, 4, "not tried"),
    ):
        white = 2**bits - 1
        unit = (COLOURS if n > 1 else GREYS[..., None]) / 255
        if n == 4:
            unit = np.concatenate([unit, np.ones_like(unit[..., :1])], -1)
        samples = np.rint(unit * white).astype("u2" if bits > 8 else "u1")
        for form in ("jp2", "j2k"):
            data = imagecodecs.jpeg2k_encode(
                samples.squeeze(),
                level=0,
                reversible=True,
                bitspersample=bits,
                codecformat=form,
                mct=False,
            )
            yield picture(
                f"JPEG 2000 ({form}), {n} x {bits} bit",
                data,
                coloured(unit[..., :3] * 255) if n == 1 else unit[..., :3] * 255,
                allowed=1.01,
                before=before if form == "jp2" else "not tried",
            )
    for kind, white in (("u1", 255), ("u2", 65535)):
        for n in (1, 3):
            unit = (COLOURS if n == 3 else GREYS) / 255
            data = imagecodecs.jpegxl_encode(
                np.rint(unit * white).astype(kind), lossless=True
            )
            yield picture(
                f"JPEG XL, {n} x {8 if white == 255 else 16} bit",
                data,
                coloured(unit * 255),
                allowed=1.01,
                before="skipped, not named",
            )
    data = imagecodecs.jpegxl_encode(RGBA.astype("u1"), lossless=True)
    yield picture("JPEG XL with alpha", data, CLEARED, allowed=1.01)


def _from_jpegs():
    """Yield JPEG XL that `cjxl` makes of a JPEG: the same code, and how it is turned."""
    picture = named("JPEG 2000, JPEG XL", allowed=2)
    known = "blocks known before our own JPEG was written, turned as its EXIF says"
    for turn, shown in turned(jpegs.SHOWN).items():
        data = imagecodecs.jpegxl_encode_jpeg(jpeg(jpegs.YCC, before=exif(turn)))
        before = "not turned" if turn == 6 else "not tried"
        yield picture(
            f"JPEG XL made of a JPEG, orientation {turn}",
            data,
            shown,
            known=known,
            before=before,
        )
    for title, made, shown in (
        ("progressive", jpeg(jpegs.YCC, before=exif(8), process=PROGRESSIVE), turned(jpegs.SHOWN)[8]),
        ("grey", jpeg(jpegs.GREYS, before=exif(6)), turned(coloured(pixels(jpegs.GREYS)))[6]),
        ("that does not say how it is turned", jpeg(jpegs.YCC), jpegs.SHOWN),
        ("big-endian EXIF", jpeg(jpegs.YCC, before=exif(6, order=">")), turned(jpegs.SHOWN)[6]),
    ):  # fmt: skip
        yield picture(
            f"JPEG XL made of a JPEG, {title}",
            imagecodecs.jpegxl_encode_jpeg(made),
            shown,
            known=known,
        )
    data = _saved(
        QUARTERS, "JXL", lossless=True, exif=exif_block(struct.pack("<2H", 6, 0))
    )
    yield picture(
        "JPEG XL of pixels, its EXIF says 6, its code 1",
        data,
        QUARTERS,
        known="the code counts (ISO/IEC 18181-2); libjxl shows it so",
    )


RAW = {
    "Olympus": b"IIRO", "Panasonic": b"IIU\0", "Fujifilm": b"FUJIFILMCCD-RAW 0201",
    "Minolta": b"\0MRM", "Sigma": b"FOVb", "Canon": b"\0\0\0\x18ftypcrx ",
}  # fmt: skip
WORDS_OF = {
    "a text": b"hello", "nothing": b"", "HTML": b"<!DOCTYPE html><html></html>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16"/>',
    "PDF": b"%PDF-1.7\n1 0 obj<<>>endobj", "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\nshowpage\n",
    "zeros": bytes(4096), "a zip": b"PK\5\6" + bytes(18),
    "NumPy's format": b"\x93NUMPY\1\0v\0{'descr': '|u1'}", "the first bytes of a PNG": b"\x89PNG\r\n\x1a\n",
    "the first bytes of a JPEG": b"\xff\xd8\xff\xe0", "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
}  # fmt: skip


def _no_pictures():
    picture = named("no picture")
    for maker, head in RAW.items():
        yield picture(
            f"camera raw of {maker}",
            head + bytes(300),
            None,
            reason="camera raw",
            known="the preview in it is not the picture",
        )
    for name, data in WORDS_OF.items():
        yield picture(name, data, None, known="no picture is in it")
    whole = png(COLOURS, 8, RGB)
    yield picture(
        "a PNG packed by gzip",
        gzip.compress(whole, mtime=0),
        None,
        known="not a picture before it is unpacked",
    )
    yield picture(
        "a PNG after a byte-order mark",
        b"\xef\xbb\xbf" + whole,
        None,
        known="not a PNG by its first bytes",
    )
    text = whole.replace(b"\r\n", b"\n")
    yield picture(
        "a PNG sent as text",
        text,
        None,
        known="the first bytes of PNG are there to tell",
    )
    grey = u1(GREYS)
    yield picture("raw bytes of an array", grey * 3, None, known="no format")
    yield picture("zlib's bytes", zlib.compress(grey), None, known="no format")


PICTURES = (
    *_fits(),
    *_webps(),
    *_boxes(),
    *_wavelets(),
    *_from_jpegs(),
    *_no_pictures(),
)
