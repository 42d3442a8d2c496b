"""Icons and cursors of all depths, and directories that lie."""

from __future__ import annotations

import numpy as np

from tests.corpus.bitmaps import ico, ico_bitmap, ico_bitmap_of, u1
from tests.corpus.cases.case import (
    ALPHA,
    CLEARED,
    COLOURS,
    GREYS,
    KNOWN,
    QUARTERS,
    SIDE,
    TABLE,
    coloured,
    flat,
    named,
)
from tests.corpus.png import RGB, RGBA, png

CLEAR = GREYS % 5 == 0
CURSOR = 2
COLOUR_TABLE = u1(np.concatenate([TABLE[:, ::-1], np.zeros((256, 1))], 1))
BLACK_WHITE = bytes([0, 0, 0, 0, 255, 255, 255, 0])


def over_white(colours, clear=CLEAR):
    return np.where(clear[..., None], 255, colours)


def with_fourth(fourth, clear=CLEAR):
    """Return a bitmap of 32 bits with a fourth byte, and its mask."""
    full = np.concatenate(
        [COLOURS[..., ::-1], np.broadcast_to(fourth, ALPHA.shape)], -1
    )
    return ico_bitmap_of([u1(row) for row in full], 32, clear)


def numbered(bits, clear=CLEAR, samples=GREYS, palette=COLOUR_TABLE):
    """Return a bitmap with a palette, and its mask."""
    ones = samples[..., None] % 2**bits >> np.arange(bits - 1, -1, -1) & 1
    rows = np.packbits(ones.reshape(SIDE, -1).astype("u1"), axis=1)
    return ico_bitmap_of(
        [row.tobytes() for row in rows], bits, clear, palette=palette[: 4 * 2**bits]
    )


def _depths():
    picture = named("ICO")
    for kind, what in ((1, "icon"), (CURSOR, "cursor")):
        for bits in (1, 4, 8):
            yield (
                picture(
                    f"{what} of {bits} bit and its mask",
                    ico([(SIDE, SIDE, bits, numbered(bits))], kind=kind),
                    over_white(TABLE[GREYS % 2**bits]),
                )
                if (kind, bits) != (CURSOR, 1)
                else picture(
                    "cursor of 1 bit, that turns what is below it",
                    ico(
                        [(SIDE, SIDE, 1, numbered(1, palette=BLACK_WHITE))], kind=CURSOR
                    ),
                    np.where(
                        CLEAR[..., None],
                        255 - coloured(GREYS % 2 * 255),
                        coloured(GREYS % 2 * 255),
                    ),
                    known=KNOWN + "; masked ones turn what is below: black on white",
                )
            )
        yield picture(
            f"{what} of 32 bit with alpha",
            ico([(SIDE, SIDE, 32, with_fourth(ALPHA))], kind=kind),
            CLEARED,
        )
        yield picture(
            f"{what} of 32 bit, the fourth byte zero",
            ico([(SIDE, SIDE, 32, with_fourth(0))], kind=kind),
            over_white(COLOURS),
            known=KNOWN + "; a fourth byte of zeros is no alpha, as Windows takes it",
        )
        rgba = np.concatenate([COLOURS, ALPHA], -1)
        yield picture(
            f"{what}, a PNG of RGB with alpha",
            ico([(SIDE, SIDE, 32, png(rgba, 8, RGBA))], kind=kind),
            CLEARED,
        )


def _lies():
    picture = named("ICO")
    lying = KNOWN + "; the bitmap's own header counts"
    deep = with_fourth(ALPHA)
    yield picture(
        "32 bit, listed as of no depth",
        ico([(SIDE, SIDE, 0, deep)]),
        CLEARED,
        known=lying,
    )
    plain = ico_bitmap(QUARTERS, CLEAR)
    yield picture(
        "24 bit, listed as 32",
        ico([(SIDE, SIDE, 32, plain)]),
        over_white(QUARTERS),
        known=lying,
    )
    yield picture(
        "more bytes listed than it has",
        ico([(SIDE, SIDE, 24, plain + bytes(100))]),
        over_white(QUARTERS),
        known=lying,
    )
    # The place of the depth holds where the pointer points in a cursor.
    yield picture(
        "a cursor that points at row 32",
        ico([(SIDE, SIDE, 32, plain)], kind=CURSOR),
        over_white(QUARTERS),
    )
    few = numbered(4)
    for pair, how in (((few, deep), "first"), ((deep, few), "last")):
        depths = {id(few): 4, id(deep): 32}
        yield picture(
            f"two depths, the lower one {how}",
            ico([(SIDE, SIDE, depths[id(one)], one) for one in pair]),
            CLEARED,
            known=KNOWN + "; the deepest",
        )
    yield picture(
        "a PNG with a clear colour",
        ico(
            [
                (
                    SIDE,
                    SIDE,
                    24,
                    png(COLOURS, 8, RGB, clear=tuple(COLOURS[0, 0].tolist())),
                )
            ]
        ),
        np.where(np.all(COLOURS[0, 0] == COLOURS, -1)[..., None], 255, COLOURS),
    )
    yield picture(
        "32 bit with alpha, without a mask",
        ico([(SIDE, SIDE, 32, deep[: 40 + 4 * SIDE * SIDE])]),
        CLEARED,
        known=KNOWN + "; the mask is not used where there is alpha",
    )
    yield picture(
        "24 bit, without its mask",
        ico([(SIDE, SIDE, 24, plain[: 40 + 3 * SIDE * SIDE])]),
        None,
        reason="cut short",
        known="which parts are clear is not there",
    )
    all_clear = ico_bitmap(QUARTERS, np.ones((SIDE, SIDE)))
    yield picture("all masked", ico([(SIDE, SIDE, 24, all_clear)]), flat(255))


PICTURES = (*_depths(), *_lies())
