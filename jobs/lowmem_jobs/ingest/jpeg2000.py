"""JPEG 2000 of other than eight bits: ISO/IEC 15444-1, the marker SIZ and the box colr.

Where Pillow brings several channels to eight bits, white overflows to black; nine bits of
grey, and fewer than eight, it does not scale. imagecodecs gives the samples as they are.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lowmem_jobs.ingest.extras import without_extra
from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from PIL import Image

_SIZ = b"\xff\x4f\xff\x51"
_SIZ_FIELDS = struct.Struct(">2H8IH")
_MAX_COMPONENTS = 16
_BYTE, _TEN = 8, 10
_SRGB, _GREY = 16, 17  # of an enumerated colour space
_SIGN = 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class Jpeg2000Head:
    """What a JPEG 2000 says of its picture.

    Attributes
    ----------
    width, height
        In pixels.
    bits
        Of each component.
    is_signed
        Whether one of them is.
    is_even
        Whether all have a sample for each pixel.
    colour_space
        Its number; 0 where none is given.
    """

    width: int
    height: int
    bits: tuple[int, ...]
    is_signed: bool
    is_even: bool
    colour_space: int

    @property
    def is_right_with_pillow(self) -> bool:
        """Whether Pillow gives what is stored."""
        if {*self.bits} == {_BYTE}:
            return True
        return len(self.bits) == 1 and self.bits[0] >= _TEN and not self.is_signed


def head_of_jpeg2000(data: bytes) -> Jpeg2000Head | None:
    """Return what a file says; None where that is not to be found."""
    at = data.find(_SIZ)
    fields = data[at + 4 : at + 4 + _SIZ_FIELDS.size]
    if at < 0 or len(fields) < _SIZ_FIELDS.size:
        return None
    _, _, right, bottom, left, top, *_, n_components = _SIZ_FIELDS.unpack(fields)
    start = at + 4 + _SIZ_FIELDS.size
    each = data[start : start + 3 * n_components]
    if not 0 < n_components <= _MAX_COMPONENTS or len(each) < 3 * n_components:
        return None
    return Jpeg2000Head(
        width=right - left,
        height=bottom - top,
        bits=tuple((depth & ~_SIGN) + 1 for depth in each[::3]),
        is_signed=any(depth & _SIGN for depth in each[::3]),
        is_even={*each[1::3], *each[2::3]} == {1},
        colour_space=_colour_space(data[:at]),
    )


def _colour_space(boxes: bytes) -> int:
    at = boxes.find(b"colr\x01")
    part = boxes[at + 7 : at + 11]
    return int.from_bytes(part, "big") if at >= 0 else 0


def read_jpeg2000(data: bytes, head: Jpeg2000Head) -> Image.Image:
    """Return a picture as it is stored, scaled to eight bits.

    Raises
    ------
    UnreadableError
        If its extra is not installed, or what its components are is not known.
    """
    bits, n_components = head.bits[0], len(head.bits)
    title = f"JPEG 2000 of {n_components} x {bits} bits"
    is_known = head.colour_space in {0, _SRGB, _GREY} and n_components in {1, 2, 3, 4}
    if head.is_signed or not head.is_even or {*head.bits} != {bits} or not is_known:
        raise UnreadableError(f"{title}: what its components show is not known")
    try:
        import imagecodecs  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise without_extra(title, "jpeg2000") from error
    return _picture(imagecodecs.jpeg2k_decode(data), bits)


def _picture(samples: Any, bits: int) -> Image.Image:  # noqa: ANN401 - an array
    from PIL import Image  # noqa: PLC0415

    from lowmem_jobs.ingest.bit_depth import bytes_from_samples, with_alpha  # noqa: PLC0415

    pixels = bytes_from_samples(samples, bits)
    if pixels.ndim == 2:  # noqa: PLR2004 - grey
        return Image.fromarray(pixels)
    if pixels.shape[2] == 3:  # noqa: PLR2004 - RGB
        return Image.fromarray(pixels)
    return with_alpha(pixels[..., :-1], pixels[..., -1:])
