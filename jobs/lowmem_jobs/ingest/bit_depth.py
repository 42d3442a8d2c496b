"""Samples of other than eight bits as those that are stored.

The rule for all sources: unsigned samples of 2 to 16 bits reach from black to white,
floats from 0 to 1. Integers of 32 bits are taken for 16. Beyond these ranges no white is
known, as of any signed sample of 8 or 16 bits: such pictures are refused, not guessed.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lowmem_jobs.ingest.framing import Pixels

_BITS_16 = 65535
_MOST_BITS = 16
_WIDE_BITS = 32
# What is converted at once.
_BLOCK_SAMPLES = 2**18


def eight_bits(image: Image.Image) -> Pixels:
    """Return wide grey values as 0 to 255.

    Whole numbers are taken as 16 bits, floats as 0 to 1: the only ranges whose white is
    known. Anything beyond has no stated white, so it is refused and not guessed.

    Raises
    ------
    UnreadableError
        If a value is beyond.
    """
    grey = np.asarray(image)
    if grey.dtype.kind == "f":
        return unit_to_bytes(grey)
    return _sixteen_to_bytes(grey)


def _sixteen_to_bytes(values: NDArray[Any]) -> Pixels:
    if values.min() < 0 or values.max() > _BITS_16:
        raise UnreadableError("integers beyond 16 bits have no known white")
    return _scaled(values, _BITS_16, is_inverted=False)


def _scaled(values: NDArray[Any], white: int, *, is_inverted: bool) -> Pixels:
    """Return samples of 0 to ``white`` as the nearest of 0 to 255."""

    def scale(some: NDArray[Any]) -> NDArray[Any]:
        wide = some.astype(np.uint32)
        if is_inverted:
            wide = white - wide
        scaled: NDArray[Any] = (wide * 255 + white // 2) // white
        return scaled

    return _by_rows(values, scale)


def _by_rows(
    values: NDArray[Any], convert: Callable[[NDArray[Any]], NDArray[Any]]
) -> Pixels:
    """Return what ``convert`` makes of the samples, some rows at a time.

    What it holds meanwhile, several times the samples, is then that of a few rows.
    """
    found: Pixels = np.empty(values.shape, np.uint8)
    n_rows = max(1, _BLOCK_SAMPLES // max(1, prod(values.shape[1:])))
    for start in range(0, len(values), n_rows):
        found[start : start + n_rows] = convert(values[start : start + n_rows])
    return found


def unit_to_bytes(values: NDArray[Any]) -> Pixels:
    """Return floats from 0 to 1 as the nearest of 0 to 255.

    Raises
    ------
    UnreadableError
        If a value is outside that range or not a number.
    """
    if not (values.min() >= 0 and values.max() <= 1):
        raise UnreadableError("floats outside 0 to 1 have no known white")

    def scale(some: NDArray[Any]) -> NDArray[Any]:
        scaled: NDArray[Any] = np.rint(some.astype(np.float32) * 255)
        return scaled

    return _by_rows(values, scale)


def bytes_from_samples(
    values: NDArray[Any], bits: int, *, is_inverted: bool = False
) -> Pixels:
    """Return samples of so many bits as the nearest of 0 to 255, by the rule above.

    Parameters
    ----------
    is_inverted
        Whether the smallest value is white.

    Raises
    ------
    UnreadableError
        If no white is known.
    """
    if values.dtype.kind == "f":
        return unit_to_bytes(1 - values if is_inverted else values)
    is_signed = values.dtype.kind == "i"
    if is_signed and (bits < _WIDE_BITS or is_inverted):
        raise UnreadableError(f"signed integers of {bits} bits have no known white")
    if bits > _MOST_BITS:
        if bits != _WIDE_BITS:
            raise UnreadableError(f"integers of {bits} bits have no known white")
        top = np.uint32(2**_WIDE_BITS - 1)
        return _sixteen_to_bytes(top - values if is_inverted else values)
    return _scaled(values, 2**bits - 1, is_inverted=is_inverted)


def with_alpha(
    colours: Pixels, alpha: Pixels, *, mode: Literal["RGBA", "RGBa"] = "RGBA"
) -> Image.Image:
    """Return an image with transparency.

    Parameters
    ----------
    colours : shape (height, width, 1 or 3)
    alpha : shape (height, width, 1)
        0 is clear.
    mode
        ``RGBa`` where the colours are multiplied by it.
    """
    shape = (*alpha.shape[:2], 3)
    both = np.concatenate([np.broadcast_to(colours, shape), alpha], -1)
    image = Image.frombytes(mode, shape[1::-1], both.tobytes())
    return image if mode == "RGBA" else image.convert("RGBA")
