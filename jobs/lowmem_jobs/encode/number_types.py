"""Rows in the type of numbers that a model file takes, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def held_numbers(file: Path, rows: NDArray[Any], wanted: np.dtype[Any]) -> NDArray[Any]:
    """Return rows in the type that a model takes; floats may round to it.

    As they are, if any numbers of their type are the same ones in the other.

    Raises
    ------
    DataError
        Naming a whole number that is another one in that type, a fraction where it holds
        none, or a number that is infinite in it.

    Notes
    -----
    Memory: some copies of the rows, where their type does not say that all fit.
    """
    if _holds_all(rows.dtype, wanted):
        return rows
    with np.errstate(over="ignore", invalid="ignore"):
        # Of a complex number the real part is taken, where that is all of it.
        made = (rows.real if rows.dtype.kind == "c" else rows).astype(wanted)
        is_other = _are_other(rows, made)
    if is_other.any():
        raise DataError(
            thing=file,
            problem=f"takes {wanted}, which does not hold {rows[is_other][0]} of the rows",
            expected=f"numbers that it holds, among these of {rows.dtype}; a function "
            "may bring them into another form first: --encoder FILE.py:FUNCTION",
        )
    return made


def _holds_all(dtype: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    if dtype.kind in "iu" and wanted.kind == "f":
        # NumPy calls every float of 64 bits safe for a whole number.
        return _n_digits(dtype) <= np.finfo(wanted).nmant + 1
    return bool(np.can_cast(dtype, wanted, "safe"))


def _are_other(rows: NDArray[Any], made: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which numbers are not what was made of them, but for rounding to a float."""
    if rows.dtype.kind == "f" and made.dtype.kind == "f":
        return np.asarray(np.isfinite(rows) & ~np.isfinite(made))
    if rows.dtype.kind == "c":
        return np.asarray(made != rows)
    if rows.dtype.kind == "f":
        least, above = np.iinfo(made.dtype).min, 2.0 ** _n_digits(made.dtype)
        is_held = (rows == np.trunc(rows)) & (rows >= least) & (rows < above)
        return np.asarray(~is_held)
    if made.dtype.kind != "f":
        # From unsigned to signed the same bits come back.
        is_same = (made.astype(rows.dtype) == rows) & ((made < 0) == (rows < 0))
        return np.asarray(~is_same)
    # What was rounded beyond its own type cannot come back.
    made, limit = made.astype(np.float64), 2.0 ** _n_digits(rows.dtype)
    is_beyond = (made >= limit) | (made < -limit)
    back = np.where(is_beyond, 0, made).astype(rows.dtype)
    return np.asarray(is_beyond | (back != rows))


def _n_digits(dtype: np.dtype[Any]) -> int:
    return int(np.iinfo(dtype).max).bit_length()
