"""TIFFs: which of them Pillow reads right, and the others by tifffile.

Pillow knows some layouts of the many that the specification allows, and of these it
takes several for others: 12 bits for 16, white for black, signed for unsigned. So it
gets those in which it was held against known samples (tests/corpus), all else goes to
tifffile and imagecodecs, the extra ``tiff``; without them it is skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowmem_jobs.ingest.tiff_tags import TiffHead

_WHITE_IS_0, _BLACK_IS_0, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_UNSIGNED = 1
_FORMATS = {1: "unsigned", 2: "signed", 3: "float"}
COLOURS = {
    0: "grey, white is 0",
    1: "grey",
    2: "RGB",
    3: "palette",
    4: "mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIELAB",
    9: "ICCLAB",
    10: "ITULAB",
    32844: "LogL",
    32845: "LogLuv",
}
_NONE, _OLD_JPEG, _JPEG = 1, 6, 7
# Those of libtiff as Pillow's wheels have it: of some releases without WebP.
_PILLOW_COMPRESSIONS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000)
_SEPARATE = 2
_ALPHAS = {1, 2}
_MOST_EXTRAS = 3
_BYTE = 8
_WIDE = 16


def is_right_with_pillow(head: TiffHead) -> bool:
    """Tell whether Pillow gives what the tags say."""
    # Of planes, one for each sample, it knows those of colours alone.
    is_apart = head.planar == _SEPARATE and bool(head.extras)
    is_readable = not head.is_part and head.compression in _PILLOW_COMPRESSIONS
    is_flat = head.depth == 1
    is_uniform = len({*head.bits}) == len({*head.formats}) == 1
    if is_apart or not is_readable or not is_uniform or not is_flat:
        return False
    # It takes the version of one for that of a plain TIFF.
    if (head.is_big and not head.is_little) or not _has_known_extras(head):
        return False
    bits, form = head.bits[0], head.formats[0]
    if head.fill_order != 1:
        return _is_grey(head) and (bits, form) == (1, _UNSIGNED)
    if form == _UNSIGNED and bits <= _WIDE:
        is_right = _is_right_in_bytes if bits <= _BYTE else _is_right_in_words
        return is_right(head, bits)
    is_one = head.photometric == _BLACK_IS_0 and len(head.bits) == 1
    # Where libtiff unpacks, Pillow swaps bytes that were swapped already.
    is_in_order = head.is_little or (head.compression == _NONE and form != _UNSIGNED)
    return is_one and bits == 2 * _WIDE and form in _FORMATS and is_in_order


def _has_known_extras(head: TiffHead) -> bool:
    """Tell whether Pillow knows the samples beside the colours."""
    first, *others = head.extras or (0,)
    if head.photometric == _CMYK:
        most = _MOST_EXTRAS - 1 if head.bits[0] == _BYTE else 0
        return len(head.extras) <= most and not any(head.extras)
    if not others:
        return not head.extras or head.photometric != _WHITE_IS_0
    is_rgb = head.photometric == _RGB and head.bits[0] == _BYTE
    is_known = first in {0, *_ALPHAS} and not any(others)
    return is_rgb and is_known and len(head.extras) <= _MOST_EXTRAS


def _is_grey(head: TiffHead) -> bool:
    return head.photometric in {_WHITE_IS_0, _BLACK_IS_0}


def _is_right_in_bytes(head: TiffHead, bits: int) -> bool:
    is_packed = bits in {1, 2, 4, _BYTE}
    if _is_grey(head):
        return is_packed and head.n_colours == 1
    if head.photometric == _PALETTE:
        # Some programs write eight bits where sixteen belong.
        is_known = bits == _BYTE or not head.extras
        return is_packed and is_known and max(head.colour_map, default=0) >= 2**_BYTE
    if head.photometric == _YCBCR:
        return head.compression in {_OLD_JPEG, _JPEG}
    return bits == _BYTE and (head.photometric in {_RGB, _LAB} or _is_cmyk(head))


def _is_right_in_words(head: TiffHead, bits: int) -> bool:
    if bits != _WIDE:
        return False
    if head.photometric == _BLACK_IS_0:
        return len(head.bits) == 1
    is_mixed_up = head.compression == _NONE and head.planar == _SEPARATE
    return (head.photometric == _RGB or _is_cmyk(head)) and not is_mixed_up


def _is_cmyk(head: TiffHead) -> bool:
    return head.photometric == _CMYK and head.ink_set == 1


def title(head: TiffHead) -> str:
    """Return what kind of TIFF it is, in a few words."""
    bits = "/".join(map(str, dict.fromkeys(head.bits)))
    form = _FORMATS.get(head.formats[0], f"format {head.formats[0]}")
    colour = COLOURS.get(head.photometric or 0, f"photometric {head.photometric}")
    kind = "a reduced copy or a mask, " if head.is_part else ""
    packed = "" if head.compression == _NONE else f", compression {head.compression}"
    return f"TIFF ({kind}{bits} bits {form}, {colour}{packed})"
