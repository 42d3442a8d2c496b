"""Whether a TGA has alpha: Pillow takes a fourth byte, or a last bit, for it in any case.

References
----------
Truevision, TGA File Format Specification 2.0 (1991): field 5.6 (image descriptor) and
field 24 (attributes type) of the extension area.
"""

from __future__ import annotations

import struct
from enum import Enum, auto
from typing import TYPE_CHECKING

from PIL import Image

from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_DESCRIPTOR, _BITS_OF_ALPHA = 17, 15
_FOOT_BYTES, _FOOT_END = 26, b"TRUEVISION-XFILE.\0"
_ATTRIBUTES = 494  # from the beginning of the extension area
_STRAIGHT, _MULTIPLIED = 3, 4
_HEAD_BYTES, _IN_RUNS = 18, 8
# Its own length; it follows the pixels where nothing else does.
_AREA_START = struct.pack("<H", 495)
_USELESS = (0, 1, 2)


class _Alpha(Enum):
    NONE = auto()
    STRAIGHT = auto()
    MULTIPLIED = auto()


def mended_tga(image: ImageFile, data: bytes) -> Image.Image:
    """Return a TGA with the alpha that it declares, and no other.

    Raises
    ------
    UnreadableError
        If it holds two bytes of grey and does not say what the second one is, or if
        what it says of alpha is cut off.
    """
    is_mapped = image.mode == "P" and getattr(image.palette, "mode", "") == "RGBA"
    if image.mode not in {"RGBA", "LA"} and not is_mapped:
        return image
    alpha = _alpha(data)
    if alpha is _Alpha.NONE and image.mode == "LA":
        raise UnreadableError("TGA of 16 bits of grey that declares no alpha")
    image.load()
    if alpha is _Alpha.STRAIGHT:
        return image
    if alpha is _Alpha.NONE:
        return image.convert("RGB")
    rgba = image.convert("RGBA").tobytes()
    return Image.frombytes("RGBa", image.size, rgba).convert("RGBA")


def _alpha(data: bytes) -> _Alpha:
    """Return what the extension area says of alpha; without one, the descriptor."""
    kind = _attributes(data)
    if kind == _MULTIPLIED:
        return _Alpha.MULTIPLIED
    has_alpha = bool(data[_DESCRIPTOR] & _BITS_OF_ALPHA) and kind not in _USELESS
    return _Alpha.STRAIGHT if has_alpha or kind == _STRAIGHT else _Alpha.NONE


def _attributes(data: bytes) -> int | None:
    foot = data[-_FOOT_BYTES:]
    if not foot.endswith(_FOOT_END) or len(foot) < _FOOT_BYTES:
        if data[_pixels_end(data) :].startswith(_AREA_START):
            raise UnreadableError("TGA that is cut short in its extension area")
        return None
    start: int = struct.unpack_from("<I", foot)[0]
    # An area of no place, or beyond the file, is none.
    kind = data[start + _ATTRIBUTES : start + _ATTRIBUTES + 1] if start else b""
    return kind[0] if kind else None


def _pixels_end(data: bytes) -> int:
    """Return where the pixels end; of those in runs that is not known: the end."""
    n_note, _, kind, _, n_colours, colour_bits = struct.unpack_from("<3B2HB", data)
    width, height, bits = struct.unpack_from("<2HB", data, 12)
    if kind & _IN_RUNS:
        return len(data)
    colours: int = n_colours * ((colour_bits + 7) // 8)
    end: int = _HEAD_BYTES + n_note + colours + width * height * ((bits + 7) // 8)
    return end
