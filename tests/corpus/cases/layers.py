"""Photoshop's files beside the plain ones: alpha and selections, inks, 16 bits."""

from __future__ import annotations

import struct

import numpy as np

from tests.corpus import bitmaps
from tests.corpus.cases.case import (
    ALPHA,
    CLEARED,
    COLOURS,
    GREYS,
    KNOWN,
    SIDE,
    TABLE,
    coloured,
    named,
)

PLANES = COLOURS.transpose(2, 0, 1)
OPAQUE = ALPHA.transpose(2, 0, 1)
# Fewer than no layers: the first channel after the colours is alpha.
CLEAR = struct.pack(">Ih", 2, -1)
# The same of deep pictures: no layers, no mask for all, and a block of them.
DEEP_CLEAR = bytes(8) + b"8BIMLr16" + struct.pack(">Ih", 2, -1)


def _alphas():
    picture = named("PSD")
    four = np.concatenate([PLANES, OPAQUE])
    for packing, how in ((0, ""), (1, ", PackBits")):
        yield picture(
            f"RGB and a saved selection{how}",
            bitmaps.psd(four, bitmaps.PSD_RGB, packing=packing),
            COLOURS,
            known=KNOWN + "; no layers: a fourth channel is no alpha",
        )
    yield picture(
        "RGB and a saved selection, of two layers",
        bitmaps.psd(four, bitmaps.PSD_RGB, layers=struct.pack(">Ih", 2, 2)),
        COLOURS,
        known=KNOWN + "; the number of layers is above zero: no alpha",
    )
    yield picture(
        "RGB with alpha, not yet over white",
        bitmaps.psd(four, bitmaps.PSD_RGB, layers=CLEAR),
        CLEARED,
    )
    half = np.where(GREYS % 3 == 0, 0, np.where(GREYS % 3 == 1, 128, 255))[..., None]
    white = np.rint(COLOURS * (half / 255) + 255 - half).astype(int)
    data = np.concatenate([white, half], -1).transpose(2, 0, 1)
    over = KNOWN + "; its colours lie over white already"
    yield picture(
        "RGB with alpha, over white",
        bitmaps.psd(data, bitmaps.PSD_RGB, layers=CLEAR),
        white,
        known=over,
    )
    yield picture(
        "RGB with alpha, over white, 16 bit",
        bitmaps.psd(data * 257, bitmaps.PSD_RGB, bits=16, layers=DEEP_CLEAR),
        white,
        known=over,
    )
    yield picture(
        "RGB with alpha, not yet over white, 16 bit",
        bitmaps.psd(four * 257, bitmaps.PSD_RGB, bits=16, layers=DEEP_CLEAR),
        CLEARED,
    )
    yield picture(
        "RGB and a saved selection, 16 bit",
        bitmaps.psd(four * 257, bitmaps.PSD_RGB, bits=16),
        COLOURS,
    )


def _deep():
    picture = named("PSD")
    words = np.random.default_rng(16).integers(0, 65536, (3, SIDE, SIDE))
    shown = words.transpose(1, 2, 0) / 257
    for packing, how in ((0, ""), (1, ", PackBits")):
        yield picture(
            f"RGB, all of 16 bits{how}",
            bitmaps.psd(words, bitmaps.PSD_RGB, bits=16, packing=packing),
            shown,
            allowed=0.51,
        )
    inks = np.concatenate([255 - PLANES, np.zeros((1, SIDE, SIDE), int)])
    yield picture(
        "CMYK, 16 bit",
        bitmaps.psd((255 - inks) * 257, bitmaps.PSD_CMYK, bits=16),
        COLOURS,
        allowed=1,
    )
    yield picture(
        "grey, 16 bit, PackBits",
        bitmaps.psd(GREYS[None] * 257, bitmaps.PSD_GREY, bits=16, packing=1),
        coloured(GREYS),
    )
    yield picture(
        "RGB, 16 bit, Deflate",
        bitmaps.psd(words, bitmaps.PSD_RGB, bits=16, packing=2),
        None,
        reason="compression 2",
        known="merged pictures are not packed so",
    )
    yield picture(
        "floats of 32 bits",
        bitmaps.psd(PLANES, bitmaps.PSD_RGB, bits=32),
        None,
        known="of light, not of brightness",
    )


def _others():
    picture = named("PSD")
    yield picture(
        "1 bit, PackBits",
        bitmaps.psd(GREYS[None] % 2, bitmaps.PSD_BITMAP, bits=1, packing=1),
        coloured(255 - 255 * (GREYS % 2)),
        known=KNOWN + "; 1 is black, as in GIMP and Xee",
    )
    yield picture(
        "palette, PackBits",
        bitmaps.psd(
            GREYS[None],
            bitmaps.PSD_INDEXED,
            palette=bitmaps.u1(TABLE.T),
            packing=1,
        ),
        TABLE[GREYS],
    )
    yield picture(
        "multichannel, two inks",
        bitmaps.psd(PLANES[:2], bitmaps.PSD_MULTICHANNEL),
        None,
        reason="inks",
        known="what its inks show is not known",
    )


PICTURES = (*_alphas(), *_deep(), *_others())
