"""Numbers that stand for others: the CF conventions, as xarray and netCDF pack arrays.

A number is add_offset + scale_factor * stored; some stored values say that there is none.
CF Conventions 1.11, sections 2.5.1 and 8.1. Pure: of attributes, and of rows in memory.
"""

# NumPy's own array types are generic in Any.
from __future__ import annotations

import base64
import struct
from contextlib import suppress
from dataclasses import dataclass
from math import inf, isnan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lowmem.stores.metadata import ArrayInfo

_SCALE, _OFFSET, _UNSIGNED = "scale_factor", "add_offset", "_Unsigned"
_MISSING = ("_FillValue", "missing_value")
_VALID = ("valid_range", "valid_min", "valid_max")
# By which xarray marks the arrays of its own in stores of format 2.
_DIMENSIONS = "_ARRAY_DIMENSIONS"
_DOUBLE_BYTES = 8
_NUMERIC = ("i", "u", "f")  # how the names of such types begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """What the stored values of an array stand for.

    Attributes
    ----------
    scale, offset
        A number is offset + scale * value.
    missing
        Values for which there is no number.
    least, most
        Values outside are missing too.
    is_unsigned
        Whether signed integers are stored in place of unsigned ones.
    """

    scale: float
    offset: float
    missing: tuple[float, ...]
    least: float
    most: float
    is_unsigned: bool

    @property
    def is_plain(self) -> bool:
        """Whether every value is the number itself."""
        return self == _PLAIN

    def said(self) -> str:
        """Return what is not plain about it, in the words of the conventions."""
        said = {
            _SCALE: self.scale,
            _OFFSET: self.offset,
            _MISSING[0]: ", ".join(f"{value:g}" for value in self.missing),
            _VALID[0]: f"{self.least:g} to {self.most:g}",
            _UNSIGNED: self.is_unsigned,
        }
        usual = {_SCALE: 1.0, _OFFSET: 0.0, _MISSING[0]: "", _UNSIGNED: False}
        usual[_VALID[0]] = f"{-inf:g} to {inf:g}"
        return ", ".join(f"{k} {v}" for k, v in said.items() if v != usual[k])

    def unpacked(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return the numbers as float64; NaN where there is none."""
        import numpy as np  # noqa: PLC0415 - the attributes are read without it

        if self.is_unsigned and stored.dtype.kind == "i":
            stored = stored.view(f"{stored.dtype.byteorder}u{stored.dtype.itemsize}")
        values = stored.astype(np.float64)
        has_none = (values < self.least) | (values > self.most)
        for value in self.missing:
            has_none |= values == value
        numbers: NDArray[Any] = values * self.scale + self.offset
        numbers[has_none] = np.nan
        return numbers


_PLAIN = Packing(
    scale=1.0, offset=0.0, missing=(), least=-inf, most=inf, is_unsigned=False
)


def packing_of(info: ArrayInfo) -> Packing:
    """Return what the attributes of an array say; of most, that it is plain.

    Raises
    ------
    ValueError
        If they cannot be understood.
    """
    if info.dtype.lstrip("<>|=")[:1] not in _NUMERIC:
        return _PLAIN
    attributes = info.attributes
    is_unsigned = str(attributes.get(_UNSIGNED, "")).lower() == "true"
    scale, offset = _number(attributes, _SCALE, 1.0), _number(attributes, _OFFSET, 0.0)
    is_packed = is_unsigned or (scale, offset) != (1.0, 0.0)
    missing = [value for name in _MISSING for value in _numbers(attributes.get(name))]
    if _DIMENSIONS in attributes:
        # There it is the same thing; that of every array is 0, where nobody said so.
        fill = _numbers(info.fill_value)
        missing += [value for value in fill if is_packed or value]
    least, most = _valid(attributes)
    bits = 8 * info.item_bytes
    if is_unsigned:
        missing = [value % 2**bits for value in missing]
        least, most = (
            value % 2**bits if abs(value) < inf else value for value in (least, most)
        )
    lowest, highest = _limits(info.dtype, bits)
    return Packing(
        scale=scale,
        offset=offset,
        missing=tuple(dict.fromkeys(value for value in missing if not isnan(value))),
        least=least if least > lowest else -inf,
        most=most if most < highest else inf,
        is_unsigned=is_unsigned,
    )


def _valid(attributes: Mapping[str, object]) -> tuple[float, float]:
    both = _numbers(attributes.get(_VALID[0]))
    if len(both) == 2:  # noqa: PLR2004 - from, to
        return both[0], both[1]
    return _number(attributes, _VALID[1], -inf), _number(attributes, _VALID[2], inf)


def _limits(dtype: str, bits: int) -> tuple[float, float]:
    """Return the least and the most that integers of a type can be."""
    name = dtype.lstrip("<>|=")
    if name.startswith("u"):
        return 0, 2**bits - 1
    if name.startswith("i"):
        return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return -inf, inf


def _number(attributes: Mapping[str, object], name: str, default: float) -> float:
    found = _numbers(attributes.get(name))
    return found[0] if found else default


def _numbers(value: object) -> list[float]:
    """Return the numbers that an attribute holds."""
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [number for one in value for number in _numbers(one)]
    if isinstance(value, str):
        return [_from_text(value)]
    return [float(value)]  # type: ignore[arg-type]


def _from_text(text: str) -> float:
    """Return a number that is written as text, or as xarray writes a double."""
    with suppress(ValueError):
        return float(text)
    data = base64.b64decode(text, validate=True)
    if len(data) != _DOUBLE_BYTES:
        raise ValueError(f"{text!r} is no number")
    return float(struct.unpack("<d", data)[0])
