"""Cases that are silently wrong today, by group and name, and what is to blame.

They stay in the table as they are; the tests expect each of them to be wrong, and say
so when one is mended.
"""

from __future__ import annotations

FAULTS = {
    ("TGA", "32 bit, no bits of alpha, the fourth byte zero"): (
        "Pillow takes a fourth byte for alpha whatever the descriptor says: all white"
    ),
    ("TGA", "16 bit, no bit of alpha, the last one set"): (
        "Pillow takes the last bit for alpha whatever the descriptor says: all white"
    ),
    ("PSD", "1 bit"): "Pillow takes 1 for white: inverted",
    ("ICO", "a cursor"): "Pillow does not use the mask of a cursor in colours",
    (
        "other formats",
        "PCX, palette",
    ): "cut short: the palette is gone, and greys remain",
}
