"""TIFF of volumes, of complex numbers, of WebP: what is rarely a picture, or rarely read."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np

from tests.corpus.bitmaps import u1
from tests.corpus.cases.case import (
    ALPHA,
    COLOURS,
    GREYS,
    KNOWN,
    SIDE,
    UNIT,
    coloured,
    named,
)
from tests.corpus.cases.tiffs import picture
from tests.corpus.tiff import (
    BLACK_0,
    DEFLATE,
    LZW,
    NONE,
    PALETTE,
    RGB,
    WHITE_0,
    compressed,
    container,
    tiff,
)

WEBP = 50001
DEPTH, TILE_DEPTH = 32997, 32998  # of SGI
COMPLEX_INTEGERS, COMPLEX = 5, 6  # SampleFormat


def _tags(n=1, bits=8, photometric=BLACK_0, compression=NONE, form=1):
    return [
        (256, 4, [SIDE]), (257, 4, [SIDE]), (258, 3, [bits] * n), (259, 3, [compression]),
        (262, 3, [photometric]), (277, 3, [n]), (278, 4, [SIDE]), (339, 3, [form] * n),
    ]  # fmt: skip


def _complex():
    """Yield what GDAL calls CInt16, CInt32, CFloat32 and CFloat64."""
    no = {"known": "two numbers a pixel are no picture", "reason": "complex"}
    for bits, form, letter, title in (
        (32, COMPLEX_INTEGERS, "h", "integers of 16 bits"),
        (64, COMPLEX_INTEGERS, "i", "integers of 32 bits"),
        (64, COMPLEX, "f", "floats of 32 bits"),
        (128, COMPLEX, "d", "floats of 64 bits"),
    ):
        for order, how in (("<", "little"), (">", "big")):
            pairs = [number for value in u1(GREYS) for number in (value, 0)]
            strip = struct.pack(f"{order}{len(pairs)}{letter}", *pairs)
            before = "nearly black" if (bits, order) == (32, "<") else "not tried"
            yield picture(
                f"complex {title}, {how}-endian",
                container([([strip], _tags(bits=bits, form=form))], order),
                None,
                before=before,
                **no,
            )
    pairs = np.stack([GREYS, GREYS * 0], -1).astype("<i2").tobytes()
    for name, compression in (("LZW", LZW), ("Deflate", DEFLATE)):
        tags = _tags(bits=32, form=COMPLEX_INTEGERS, compression=compression)
        yield picture(
            f"complex integers of 16 bits, {name}",
            container([([compressed(pairs, compression)], tags)]),
            None,
            **no,
        )
    three = _tags(3, 32, RGB, form=COMPLEX_INTEGERS)
    yield picture(
        "complex integers of 16 bits, RGB",
        container([([pairs * 3], three)]),
        None,
        **no,
    )
    white = _tags(bits=32, photometric=WHITE_0, form=COMPLEX_INTEGERS)
    yield picture(
        "complex integers of 16 bits, white is 0",
        container([([pairs], white)]),
        None,
        **no,
    )


def _volumes():
    no = {"known": "which of its planes is meant is not said", "reason": "volume"}
    for bits, n in ((8, 1), (8, 3), (12, 1), (16, 1), (16, 3)):
        samples = GREYS[..., None] if n == 1 else COLOURS
        data = tiff(
            samples * (1 if bits == 8 else 16),
            bits=bits,
            photometric=BLACK_0 if n == 1 else RGB,
            tags=((DEPTH, 4, [SIDE]),),
        )
        yield picture(
            f"a volume of {SIDE} planes, {n} x {bits} bit",
            data,
            None,
            before="its first plane" if (bits, n) == (8, 1) else "not tried",
            **no,
        )
    tiles = [tag for tag in _tags() if tag[0] != 278]
    tiles += [(322, 4, [16]), (323, 4, [16]), (TILE_DEPTH, 4, [16]), (DEPTH, 4, [16])]
    yield picture(
        "a volume in tiles of 16 planes",
        container([([u1(GREYS) * 16], tiles)], places=(324, 325)),
        None,
        **no,
    )
    packed = _tags(compression=DEFLATE)
    yield picture(
        "a volume of 2 planes, Deflate",
        container([([compressed(u1(GREYS) * 2, DEFLATE)], [*packed, (DEPTH, 4, [2])])]),
        None,
        **no,
    )
    for bits in (8, 16):
        white = 2**bits - 1
        yield picture(
            f"a depth of 1, {bits} bit",
            tiff(
                np.rint(UNIT * white).astype(int)[..., None],
                bits=bits,
                tags=((DEPTH, 4, [1]),),
            ),
            coloured(UNIT * 255),
            allowed=1.01,
            known=KNOWN + "; it is one plane",
        )


def _webps():
    known = "samples known before libwebp packed them without loss"
    rgba = np.concatenate([COLOURS, ALPHA], -1)
    for samples, title, more in (
        (COLOURS, "RGB", []),
        (rgba, "RGB and alpha", [(338, 3, [2])]),
    ):
        strip = imagecodecs.webp_encode(samples.astype("u1"), lossless=True)
        tags = _tags(samples.shape[2], photometric=RGB, compression=WEBP)
        shown = COLOURS if not more else np.where(ALPHA == 0, 255, COLOURS)
        yield picture(
            f"WebP inside, {title}",
            container([([strip], tags + more)]),
            shown,
            allowed=1.01,
            known=known,
        )
    half = imagecodecs.webp_encode(COLOURS.astype("u1"), lossless=True)
    yield picture(
        "WebP inside, half of it",
        container([([half[: len(half) // 2]], _tags(3, photometric=RGB, compression=WEBP))]),
        None,
        known="not all of its pixels are in the file",
    )  # fmt: skip


def _alphas():
    samples = named("TIFF, more samples")
    for bits in (1, 2, 4):
        n = 2**bits
        numbers = GREYS % n
        alpha = np.where(numbers % 3 == 0, 0, n - 1)
        colours = np.random.default_rng(bits).integers(0, 256, (3, n)) * 257
        data = tiff(
            np.stack([numbers, alpha], -1),
            bits=bits,
            photometric=PALETTE,
            tags=((320, 3, colours.ravel().tolist()), (338, 3, [2])),
        )
        yield samples(
            f"palette and alpha, {bits} bit",
            data,
            np.where(alpha[..., None] == 0, 255, colours.T[numbers] / 257),
            allowed=1.01,
        )
    # Of every strength: what Pillow brings to 8 bits before it composites.
    strengths = np.roll(GREYS, 99)[..., None] * 257
    shown = COLOURS * (strengths / 65535) + 255 - strengths / 257
    deep = np.concatenate([COLOURS * 257, strengths], -1)
    for order, how in (("<", "little"), (">", "big")):
        yield samples(
            f"RGB, 16 bit, and alpha of every strength, {how}-endian",
            tiff(deep, bits=16, photometric=RGB, order=order, tags=((338, 3, [2]),)),
            shown,
            allowed=2.01,
            known=KNOWN + "; within 2 of 255 (docs/inputs.md)",
        )


PICTURES = (*_complex(), *_volumes(), *_webps(), *_alphas())
