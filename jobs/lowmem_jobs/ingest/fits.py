"""FITS pictures, as the standard says: FITS 4.0 (Pence et al., 2018), sections 3 to 5.

Pillow leaves out the offset and the scale of the values (BZERO, BSCALE), takes signed
integers for unsigned, and of a cube the first plane. The format is simple enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lowmem_jobs.ingest.bit_depth import bytes_from_samples
from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_CARD, _BLOCK = 80, 2880  # bytes
_MAX_CARDS = 10_000
_MAX_UNITS = 64
_MAX_AXES = 999
_DTYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
# An offset by which signed integers stand for unsigned ones.
_UNSIGNED = {16: 2**15, 32: 2**31}


@dataclass(frozen=True, slots=True, kw_only=True)
class FitsPicture:
    """The first picture of a file.

    Attributes
    ----------
    data, start
        The file, and where its values begin.
    bits
        Of a value; negative of floats.
    shape
        (planes, height, width): one plane, or red, green and blue.
    offset, scale
        A pixel is offset + scale * value.
    blank
        The value of pixels that are undefined; None where none is named.
    """

    data: bytes
    start: int
    bits: int
    shape: tuple[int, int, int]
    offset: float
    scale: float
    blank: int | None

    @property
    def width(self) -> int:
        """Pixels of a row."""
        return self.shape[2]

    @property
    def height(self) -> int:
        """Rows."""
        return self.shape[1]

    def load(self) -> Image.Image:
        """Return it in eight bits; the first row of the file is the lowest.

        Raises
        ------
        UnreadableError
            If it is cut short, holds undefined pixels, or has no known white.
        """
        dtype = np.dtype(_DTYPES[self.bits])
        part = self.data[self.start : self.start + prod(self.shape) * dtype.itemsize]
        if len(part) < prod(self.shape) * dtype.itemsize:
            raise UnreadableError("FITS that is cut short")
        values = np.frombuffer(part, dtype).reshape(self.shape)
        if self.blank is not None and self.bits > 0 and (values == self.blank).any():
            raise UnreadableError("FITS with undefined pixels")
        rows = self._samples(values).reshape(-1, self.width)
        planes = bytes_from_samples(rows, abs(self.bits)).reshape(self.shape)
        pixels = planes[:, ::-1]
        return Image.fromarray(
            pixels[0]
            if len(pixels) == 1
            else np.ascontiguousarray(pixels.transpose(1, 2, 0))
        )

    def _samples(self, values: NDArray[Any]) -> NDArray[Any]:
        if (self.offset, self.scale) == (0, 1):
            return values
        if self.scale == 1 and self.offset == _UNSIGNED.get(self.bits):
            wide = values.astype(np.int64) + int(self.offset)
            return wide.astype(f"u{self.bits // 8}")
        return self.offset + self.scale * values.astype(np.float64)


def open_fits(data: bytes) -> FitsPicture:
    """Return the first picture of a file.

    Raises
    ------
    UnreadableError
        If there is none, or one of which it is not known what it shows.
    """
    at = 0
    for _ in range(_MAX_UNITS):
        cards, start = _header(data, at)
        axes = _axes(cards)
        if "ZIMAGE" in cards:
            raise UnreadableError("FITS that is compressed: unpack it first (funpack)")
        is_image = cards.get("XTENSION", "IMAGE") == "IMAGE"
        if axes and is_image:
            return _picture(data, start, cards, axes)
        n_bytes = abs(_int(cards, "BITPIX")) // 8 * (prod(axes) if axes else 0)
        n_bytes += _int(cards, "PCOUNT", 0)
        at = start + -(-n_bytes // _BLOCK) * _BLOCK
        if at >= len(data):
            break
    raise UnreadableError("FITS that holds no picture")


def _header(data: bytes, at: int) -> tuple[Mapping[str, str], int]:
    """Return the cards of a header, and where what it describes begins."""
    cards: dict[str, str] = {}
    for place in range(at, at + _MAX_CARDS * _CARD, _CARD):
        card = data[place : place + _CARD].decode("ascii", "replace")
        name = card[:8].rstrip()
        if name == "END":
            end = place + _CARD - at
            return cards, at + -(-end // _BLOCK) * _BLOCK
        if len(card) < _CARD:
            break
        if card[8:10] == "= ":
            value = card[10:].lstrip()
            text = value[1:].partition("'")[0] if value[:1] == "'" else value
            cards.setdefault(name, text.partition("/")[0].strip())
    raise UnreadableError("FITS whose header is cut short")


def _axes(cards: Mapping[str, str]) -> list[int]:
    """Return the lengths of the axes, the fastest first."""
    n_axes = _int(cards, "NAXIS")
    if not 0 <= n_axes <= _MAX_AXES:
        raise UnreadableError(f"FITS of {n_axes} axes")
    axes = [_int(cards, f"NAXIS{axis + 1}") for axis in range(n_axes)]
    if any(length < 0 for length in axes):
        raise UnreadableError("FITS with an axis of a length that cannot be")
    return axes


def _picture(
    data: bytes, start: int, cards: Mapping[str, str], axes: list[int]
) -> FitsPicture:
    width, height, *others = [*axes, 1][: max(2, len(axes))]
    n_planes = prod(others)
    if len(axes) == 1 or n_planes not in {1, 3} or not width * height:
        shape = " x ".join(map(str, axes))
        raise UnreadableError(f"FITS of {shape} values, expected one plane or three")
    bits = _int(cards, "BITPIX")
    if bits not in _DTYPES:
        raise UnreadableError(f"FITS of {bits} bits")
    return FitsPicture(
        data=data,
        start=start,
        bits=bits,
        shape=(n_planes, height, width),
        offset=_float(cards, "BZERO", 0),
        scale=_float(cards, "BSCALE", 1),
        blank=_int(cards, "BLANK") if "BLANK" in cards else None,
    )


def _int(cards: Mapping[str, str], name: str, default: int | None = None) -> int:
    try:
        return int(cards[name]) if default is None else int(cards.get(name, default))
    except (KeyError, ValueError) as error:
        raise UnreadableError(f"FITS without a number for {name}") from error


def _float(cards: Mapping[str, str], name: str, default: float) -> float:
    try:
        # Exponents may be written with a D, as in Fortran.
        return (
            float(cards[name].upper().replace("D", "E")) if name in cards else default
        )
    except ValueError as error:
        raise UnreadableError(f"FITS without a number for {name}") from error
