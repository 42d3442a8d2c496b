"""Rows of Arrow's columns, bit for bit as they lie in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lowmem_jobs.pack.arrow_types import is_number_kind
from lowmem_jobs.pack.column_types import (
    ColumnRows,
    RowRefusedError,
    null_refused,
)
from lowmem_jobs.pack.pack_recipe import FLOAT_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from lowmem_jobs.pack.column_types import ColumnType


def flat_columns(batch: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - Arrow's
    """Yield the columns of a batch, those in structures too."""
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        yield from _flat_array(array, name)


def _flat_array(array: Any, name: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    if not pa.types.is_struct(array.type):
        yield name, array
        return
    # A structure that is null makes all in it null.
    inner = zip(array.type, array.flatten(), strict=True)
    for field, values in inner:
        yield from _flat_array(values, f"{name}.{field.name}")


def arrow_rows(
    arrays: Iterable[tuple[str, Any]],
    types: Mapping[str, ColumnType],
    *,
    is_nan_null: bool,
) -> dict[str, ColumnRows]:
    """Return the rows of arrays, column by column.

    Parameters
    ----------
    arrays
        By name, as `flat_columns` gives them; others than ``types`` has are left out.

    Raises
    ------
    RowRefusedError
        For the first row of a column that cannot be kept.
    """
    found = {}
    for name, array in arrays:
        if name in types:
            found[name] = _rows_of(array, types[name], name, is_nan_null=is_nan_null)
    return found


def _rows_of(
    array: Any,  # noqa: ANN401
    column: ColumnType,
    name: str,
    *,
    is_nan_null: bool,
) -> ColumnRows:
    _refuse_damaged(array, name)
    if column.is_coded:
        return _coded(array, name)
    outer, array = array, next(_levels(array))
    if array is not outer:
        _refuse_damaged(array, name)
    if column.is_ragged:
        _refuse_null(array, name)
        is_list = pa.types.is_list(array.type) or pa.types.is_large_list(array.type)
        if is_list:
            return _list_rows(array, column, name, is_nan_null=is_nan_null)
        return _bytes_rows(array)
    if column.dtype == FLOAT_TYPE and is_number_kind(array.type):
        array = _nearest(array)
    values = _values(array, column.dtype, is_nan_null=is_nan_null)
    if values is None:
        # Where that was asked for, a list is missing, and not a float in it.
        is_float = column.dtype.startswith("float") and not is_nan_null
        raise null_refused(_first_null_row(array), name, is_float=is_float)
    return ColumnRows(values=values.reshape(len(array), *column.shape))


def _list_rows(
    array: Any,  # noqa: ANN401
    column: ColumnType,
    name: str,
    *,
    is_nan_null: bool,
) -> ColumnRows:
    offsets = array.offsets.to_numpy().astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    inner = array.values.slice(first, last - first)
    values = _values(inner, column.dtype, is_nan_null=is_nan_null)
    if values is None:
        place = _first_null_row(inner)
        row = int(np.searchsorted(offsets - first, place, "right")) - 1
        raise null_refused(row, name, is_float=column.dtype.startswith("float"))
    return ColumnRows(
        values=values.reshape(-1, *column.shape), lengths=np.diff(offsets)
    )


def _refuse_damaged(array: Any, name: str) -> None:  # noqa: ANN401
    """Refuse an array whose inner places lead elsewhere, and texts that are no UTF-8."""
    try:
        array.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowIndexError, UnicodeDecodeError) as error:
        row = _first_damaged(array)
        raise RowRefusedError(
            row=row,
            column=name,
            problem=f"cannot be read ({error})",
            expected="a whole file, and texts in UTF-8",
        ) from error


def _first_damaged(array: Any) -> int:  # noqa: ANN401
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            array.slice(low, middle - low).validate(full=True)
        except (pa.ArrowInvalid, pa.ArrowIndexError, UnicodeDecodeError):
            high = middle
        else:
            low = middle
    return low


def _refuse_null(array: Any, name: str) -> None:  # noqa: ANN401
    if array.null_count:
        raise null_refused(_first_null(array), name, is_float=False)


def _first_null(array: Any) -> int:  # noqa: ANN401
    return int(np.argmax(_null_mask(array)))


def _first_null_row(array: Any) -> int:  # noqa: ANN401
    """Return the first row that is null, or has a null in it."""
    per_row = 1
    for level in _levels(array):
        if pa.types.is_fixed_size_list(level.type) and not level.null_count:
            per_row *= level.type.list_size
        elif level.null_count:
            return _first_null(level) // per_row
    return 0


def _levels(array: Any) -> Iterator[Any]:  # noqa: ANN401
    """Yield an array and what is in it, down to plain values; only lists have an inside.

    Extensions and dictionaries are taken off, wherever they are: a value that is null in a
    dictionary is no null of the array that has it.
    """
    while True:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        elif pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        else:
            yield array
            if not pa.types.is_fixed_size_list(array.type):
                return
            array = array.flatten()


def _null_mask(array: Any) -> NDArray[np.bool_]:  # noqa: ANN401
    mask: NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False)
    return mask


def _values(array: Any, dtype: str, *, is_nan_null: bool) -> NDArray[Any] | None:  # noqa: ANN401
    """Return the numbers of an array, flat; None where one is null and may not be."""
    may_be_nan = dtype.startswith("float") and is_nan_null
    for level in _levels(array):
        is_list = pa.types.is_fixed_size_list(level.type)
        if level.null_count and (is_list or not may_be_nan):
            return None
        array = level
    if pa.types.is_boolean(array.type):
        found: NDArray[Any] = array.to_numpy(zero_copy_only=False)
        return found
    values = _from_buffer(array, dtype)
    if array.null_count:
        values = values.copy()
        values[_null_mask(array)] = np.nan
    return values


def _from_buffer(array: Any, dtype: str) -> NDArray[Any]:  # noqa: ANN401
    """Return numbers as their bits lie in memory: a NaN keeps all of them."""
    _, data = array.buffers()
    item = np.dtype(dtype).itemsize
    width = max(1, array.type.bit_width // 8) // item
    if data is None or not len(array):
        return np.empty(0, dtype)
    return np.frombuffer(
        data, dtype, count=len(array) * width, offset=array.offset * width * item
    )


def _bytes_rows(array: Any) -> ColumnRows:  # noqa: ANN401
    kind = array.type
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        array = pc.cast(array, pa.large_binary())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        is_large = pa.types.is_large_string(kind)
        array = array.view(pa.large_binary() if is_large else pa.binary())
    is_wide = pa.types.is_large_binary(array.type)
    _, places, data = array.buffers()
    if not len(array):
        return ColumnRows(values=np.empty(0, np.uint8), lengths=np.empty(0, np.int64))
    offsets = np.frombuffer(places, np.int64 if is_wide else np.int32)
    offsets = offsets[array.offset : array.offset + len(array) + 1].astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    values = (
        np.frombuffer(data, np.uint8, count=last - first, offset=first)
        if last > first
        else np.empty(0, np.uint8)
    )
    return ColumnRows(values=values, lengths=np.diff(offsets))


def _coded(array: Any, name: str) -> ColumnRows:  # noqa: ANN401
    _refuse_null(array, name)
    names = array.dictionary.to_pylist()
    codes = array.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    is_none = np.array([one is None for one in names], bool)
    if is_none.any() and is_none[codes].any():
        raise null_refused(int(np.argmax(is_none[codes])), name, is_float=False)
    return ColumnRows(values=codes, names=names)


def _nearest(array: Any) -> Any:  # noqa: ANN401
    """Return numbers as the nearest floats of 64 bits; those that are keep their bits."""
    if pa.types.is_float64(array.type):
        return array
    if pa.types.is_decimal(array.type):
        numbers = [None if one is None else float(one) for one in array.to_pylist()]
        return pa.array(numbers, pa.float64())
    return pc.cast(array, pa.float64(), safe=False)
