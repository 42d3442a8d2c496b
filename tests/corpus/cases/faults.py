"""Cases that are silently wrong today, by group and name, and what is to blame.

They stay in the table as they are; the tests expect each of them to be wrong, and say
so when one is mended.
"""

from __future__ import annotations

_LIBJPEG = "libjpeg fills up with grey what is not in the file, and only warns"
_ZLIB = "Pillow leaves black what the stream does not hold"

FAULTS = {
    ("pixels missing", "PNG of half of the rows"): _ZLIB,
    ("pixels missing", "PNG of all rows but the last"): _ZLIB,
    ("pixels missing", "PNG, interlaced, the last pass missing"): _ZLIB,
    ("pixels missing", "JPEG of half of its blocks"): _LIBJPEG,
    ("pixels missing", "JPEG, progressive, half of its blocks"): _LIBJPEG,
    ("pixels missing", "JPEG, the second half of its code missing"): _LIBJPEG,
    ("pixels missing", "JPEG, no code at all"): _LIBJPEG,
    ("pixels missing", "JPEG, one part between restart marks missing"): _LIBJPEG,
    ("pixels missing", "TIFF, JPEG inside"): _LIBJPEG,
    ("pixels missing", "TIFF, the second strip not listed"): "Pillow leaves it black",
}
