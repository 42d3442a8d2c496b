"""What a JPEG XL picture says of itself, in its first bytes: ISO/IEC 18181-1, SizeHeader.

The library decodes all of a picture before it says how large that is.
"""

from __future__ import annotations

from lowmem_jobs.ingest.unreadable import UnreadableError

_MARK = b"\xff\x0a"
_MAX_BOXES = 64
_LENGTHS = (9, 13, 18, 30)  # bits of a side, by a number of two bits
# Width over height, by a number of three bits; 0: the width is given.
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def size_of_jpegxl(data: bytes) -> tuple[int, int]:
    """Return width and height.

    Raises
    ------
    UnreadableError
        If there is no codestream.
    """
    return _size(_header(data))


def orientation_of_jpegxl(data: bytes) -> int:
    """Return how the picture is to be turned, as EXIF numbers it.

    Raises
    ------
    UnreadableError
        If there is no codestream.
    """
    bits = _header(data)
    _size(bits)
    # ImageMetadata: whether all is as usual, whether more is said; then the orientation.
    is_usual = bits.take(1)
    is_said = not is_usual and bits.take(1)
    return bits.take(3) + 1 if is_said else 1


def _header(data: bytes) -> _Bits:
    start = _codestream(data)
    if data[start : start + 2] != _MARK:
        raise UnreadableError("JPEG XL without a picture")
    return _Bits(int.from_bytes(data[start + 2 : start + 18], "little"))


def _size(bits: _Bits) -> tuple[int, int]:
    """Return width and height, the first that a header says."""
    is_small = bits.take(1)
    height = _side(bits, is_small=is_small)
    ratio = bits.take(3)
    if not ratio:
        return _side(bits, is_small=is_small), height
    over, under = _RATIOS[ratio - 1]
    return height * over // under, height


def _side(bits: _Bits, *, is_small: int) -> int:
    if is_small:
        return (bits.take(5) + 1) * 8
    return bits.take(_LENGTHS[bits.take(2)]) + 1


class _Bits:
    """Bits of a number, the lowest first."""

    def __init__(self, number: int) -> None:
        self._number = number

    def take(self, n_bits: int) -> int:
        """Return the next bits as a number."""
        taken = self._number & ((1 << n_bits) - 1)
        self._number >>= n_bits
        return taken


def _codestream(data: bytes) -> int:
    """Return where the codestream begins: at once, or in a box."""
    if data.startswith(_MARK):
        return 0
    at = 0
    for _ in range(_MAX_BOXES):
        n_bytes, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        head = 8
        if n_bytes == 1:
            n_bytes, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if kind == b"jxlc":
            return at + head
        if kind == b"jxlp":
            return at + head + 4
        if n_bytes < head:
            break
        at += n_bytes
    return len(data)
