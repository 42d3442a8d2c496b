"""Which arrays of the store hold which columns; decided before the first row is stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lowmem.base import DataError
from lowmem_jobs.pack.column_types import ColumnType, TypeRefusedError
from lowmem_jobs.pack.pack_recipe import FEATURES, LABELS, SPLIT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lowmem_jobs.pack.pack_recipe import PackRecipe

# Of one chunk: what shuffled batches read well, and what all arrays hold together while
# chunks fill up. Both follow from the columns alone, never from a budget.
_CHUNK_BYTES, _ALL_CHUNK_BYTES, _LEAST_CHUNK_BYTES = 2**22, 2**26, 2**12
_SPLIT_TYPE = ColumnType(dtype="uint8")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableArray:
    """One array of the store, or the two of a ragged column.

    Attributes
    ----------
    name
        In the group.
    columns
        What it holds side by side; none for the split.
    type
        Of its rows.
    chunk_rows
        Rows in one chunk; elements, of the values of a ragged column.
    """

    name: str
    columns: tuple[str, ...]
    type: ColumnType
    chunk_rows: int = 1


def arrays_of(
    types: Mapping[str, ColumnType], recipe: PackRecipe, path: Path
) -> list[TableArray]:
    """Return the arrays for some columns.

    Raises
    ------
    DataError
        If a column cannot be a feature, a label, or what rows are split by; if it has
        the name of an array that is made beside it.
    """
    arrays = [
        TableArray(name=name, columns=(name,), type=column)
        for name, column in types.items()
        if name not in {*recipe.features, recipe.label}
    ]
    if recipe.features:
        features = _features(types, recipe, path)
        arrays.insert(
            0, TableArray(name=FEATURES, columns=recipe.features, type=features)
        )
    if recipe.label is not None:
        label = _label(types[recipe.label], recipe.label, path)
        arrays.append(TableArray(name=LABELS, columns=(recipe.label,), type=label))
    if recipe.parts:
        _refuse_key(types, recipe, path)
        arrays.append(TableArray(name=SPLIT, columns=(), type=_SPLIT_TYPE))
    _refuse_name_twice(arrays, path)
    n_stored = n_stored_of(arrays)
    return [replace(one, chunk_rows=_chunk_rows(one.type, n_stored)) for one in arrays]


def offset_rows(n_arrays: int) -> int:
    """Return how many offsets are in one chunk."""
    return _chunk_bytes(n_arrays) // np.dtype(np.int64).itemsize


def n_stored_of(arrays: Sequence[TableArray]) -> int:
    """Return how many arrays of Zarr these are."""
    return sum(1 + one.type.is_ragged for one in arrays)


def _chunk_bytes(n_arrays: int) -> int:
    return max(_LEAST_CHUNK_BYTES, min(_CHUNK_BYTES, _ALL_CHUNK_BYTES // n_arrays))


def _chunk_rows(column: ColumnType, n_arrays: int) -> int:
    return max(1, _chunk_bytes(n_arrays) // column.row_bytes)


def _features(
    types: Mapping[str, ColumnType], recipe: PackRecipe, path: Path
) -> ColumnType:
    """Return the one type that holds all features, side by side along one axis."""
    width = 0
    for name in recipe.features:
        column = types[name]
        if not column.is_number or len(column.shape) > 1:
            raise TypeRefusedError(
                problem=f"is {column.said()}",
                expected="one number a row, or a list of fixed length, in --features",
            ).at(path, name)
        width += column.shape[0] if column.shape else 1
    dtype = np.result_type(*(np.dtype(types[name].dtype) for name in recipe.features))
    return ColumnType(dtype=dtype.name, shape=(width,))


def _label(column: ColumnType, name: str, path: Path) -> ColumnType:
    if column.is_text:
        return ColumnType(dtype="int32", is_coded=True)
    if column.is_ragged or column.shape:
        raise TypeRefusedError(
            problem=f"is {column.said()}",
            expected="one number or text a row in --label",
        ).at(path, name)
    return column


def _refuse_key(
    types: Mapping[str, ColumnType], recipe: PackRecipe, path: Path
) -> None:
    if recipe.split_by is None:
        return
    column = types[recipe.split_by]
    is_bytes = column.is_ragged and column.dtype == "uint8"
    is_whole = np.dtype(column.dtype).kind in "biu" and not column.shape
    if not (is_bytes or (is_whole and not column.is_ragged)):
        raise TypeRefusedError(
            problem=f"is {column.said()}",
            expected="texts, bytes, whole numbers or categories in --split-by",
        ).at(path, recipe.split_by)


def _refuse_name_twice(arrays: list[TableArray], path: Path) -> None:
    names = [one.name for one in arrays]
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                thing=f"{path}: column {name!r}",
                problem="has the name of an array that is made beside it",
                expected=f"another name than {name}",
                todo="Rename it in the source, or leave it out by --columns.",
            )
