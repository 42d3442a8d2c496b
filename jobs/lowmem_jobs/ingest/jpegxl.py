"""The size of a JPEG XL picture, from its first bytes: ISO/IEC 18181-1, SizeHeader.

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
    start = _codestream(data)
    if data[start : start + 2] != _MARK:
        raise UnreadableError("JPEG XL without a picture")
    bits = _Bits(int.from_bytes(data[start + 2 : start + 18], "little"))
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
