"""TIFF with samples beside its colours, palettes, and depths that are rare."""

from __future__ import annotations

import numpy as np

from tests.corpus.cases.case import (
    ALPHA,
    CLEARED,
    COLOURS,
    GREYS,
    KNOWN,
    TABLE,
    coloured,
    named,
)
from tests.corpus.tiff import BLACK_0, CMYK, PALETTE, RGB, WHITE_0, tiff


def _alphas():
    picture = named("TIFF, more samples")
    titles = {0: "of no meaning", 1: "alpha, multiplied", 2: "alpha"}
    grey = GREYS[..., None]
    for kind, title in titles.items():
        for planar in (1, 2):
            samples = np.concatenate([COLOURS, ALPHA], -1)
            if kind == 1:
                samples = np.where(ALPHA == 0, 0, samples)
            shown = CLEARED if kind else COLOURS
            data = tiff(
                samples,
                bits=8,
                photometric=RGB,
                planar=planar,
                tags=((338, 3, [kind]),),
            )
            yield picture(
                f"RGB, 8 bit, and {title}, {'planes' if planar == 2 else 'pixels'}",
                data,
                shown,
            )
        samples = np.concatenate([grey, ALPHA], -1)
        if kind == 1:
            samples = np.where(ALPHA == 0, 0, samples)
        shown = np.where(ALPHA == 0, 255, coloured(GREYS)) if kind else coloured(GREYS)
        yield picture(
            f"grey, 8 bit, and {title}",
            tiff(samples, bits=8, tags=((338, 3, [kind]),)),
            shown,
        )
        yield picture(
            f"grey, 16 bit, and {title}",
            tiff(samples * 257, bits=16, tags=((338, 3, [kind]),)),
            shown,
            allowed=1.01,
        )


def _inks():
    picture = named("TIFF, more samples")
    grey = GREYS[..., None]
    for bits in (8, 16):
        samples = np.concatenate([255 - grey, ALPHA], -1) * (1 if bits == 8 else 257)
        data = tiff(samples, bits=bits, photometric=WHITE_0, tags=((338, 3, [2]),))
        yield picture(
            f"grey, {bits} bit, white is 0, and alpha",
            data,
            np.where(ALPHA == 0, 255, coloured(GREYS)),
            allowed=1.01,
        )
        inks = np.concatenate([255 - COLOURS, GREYS[..., None] * 0, ALPHA], -1) * (
            1 if bits == 8 else 257
        )
        data = tiff(inks, bits=bits, photometric=CMYK, tags=((338, 3, [2]),))
        yield picture(f"CMYK, {bits} bit, and alpha", data, CLEARED, allowed=2.01)
        both = np.concatenate([COLOURS, ALPHA, grey], -1) * (1 if bits == 8 else 257)
        data = tiff(both, bits=bits, photometric=RGB, tags=((338, 3, [2, 0]),))
        yield picture(
            f"RGB, {bits} bit, alpha and one more", data, CLEARED, allowed=1.01
        )
    unsaid = np.concatenate([COLOURS, ALPHA], -1)
    yield picture(
        "RGB, 8 bit, and a fourth that is not listed",
        tiff(unsaid, bits=8, photometric=RGB),
        np.where(ALPHA == 0, np.nan, COLOURS),
        known=KNOWN + "; what the fourth is, is not said: there not compared",
    )


def _palettes():
    picture = named("TIFF, more samples")
    grey = GREYS[..., None]
    for bits in (1, 2, 4, 16):
        n = 2**bits
        table = np.random.default_rng(bits).integers(0, 256, (3, n)) * 257
        samples = GREYS % n
        data = tiff(
            samples[..., None],
            bits=bits,
            photometric=PALETTE,
            tags=((320, 3, table.ravel().tolist()),),
        )
        yield picture(
            f"palette, {bits} bit", data, table.T[samples] / 257, allowed=1.01
        )
    samples = np.concatenate([grey, ALPHA], -1)
    table = (TABLE.T * 257).ravel().tolist()
    data = tiff(
        samples, bits=8, photometric=PALETTE, tags=((320, 3, table), (338, 3, [2]))
    )
    yield picture(
        "palette and alpha", data, np.where(ALPHA == 0, 255, TABLE[GREYS]), allowed=1.01
    )
    yield picture(
        "floats, RGB",
        tiff((COLOURS / 255).astype("f4"), bits=32, kind="float", photometric=RGB),
        COLOURS,
        allowed=1.01,
    )
    yield picture(
        "3 bit, RGB",
        tiff(COLOURS // 32, bits=3, photometric=RGB),
        COLOURS // 32 * 255 / 7,
        allowed=1.01,
    )
    yield picture(
        "24 bit, grey",
        tiff(grey * 65793, bits=24),
        None,
        known="no white is known (docs/inputs.md)",
        reason="white|24",
    )
    yield picture(
        "40 bit, grey",
        tiff(grey, bits=40, photometric=BLACK_0),
        None,
        known="no white is known (docs/inputs.md)",
    )


PICTURES = (*_alphas(), *_inks(), *_palettes())
