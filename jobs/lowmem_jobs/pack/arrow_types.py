"""Which type each column of Arrow is kept as; what has no exact form is refused by name.

Structures are columns `outer.inner`. Times keep their whole numbers, with the unit beside
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lowmem_jobs.pack.column_types import (
    TEXT,
    ColumnType,
    TypeRefusedError,
    refuse_names,
)
from lowmem_jobs.pack.pack_recipe import FLOAT_TYPE, TEXT_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lowmem_jobs.pack.pack_recipe import PackRecipe

_EPOCH = "1970-01-01T00:00:00"


def declared_columns(
    schema: Any,  # noqa: ANN401 - Arrow has no types
    path: Path,
    recipe: PackRecipe,
    *,
    has_own_order: bool,
) -> dict[str, ColumnType]:
    """Return the wanted columns of a schema.

    Parameters
    ----------
    has_own_order
        Whether codes are those of the file's own dictionaries.

    Raises
    ------
    DataError
        Naming the first column that cannot be kept.
    """
    fields = [found for field in schema for found in flat_fields(field, field.name)]
    refuse_names((name for name, _ in fields if recipe.takes(name)), path)
    columns: dict[str, ColumnType] = {}
    for name, field in fields:
        if recipe.takes(name):
            try:
                found = _type_of(field.type, recipe.types.get(name))
                _refuse_ordered(field.type, found, has_own_order=has_own_order)
            except TypeRefusedError as error:
                raise error.at(path, name) from error
            columns[name] = found
    return columns


def flat_fields(field: Any, name: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield the columns that a field is, those in structures too."""
    if not pa.types.is_struct(field.type):
        yield name, field
        return
    for inner in field.type:
        yield from flat_fields(inner, f"{name}.{inner.name}")


def _refuse_ordered(kind: Any, found: ColumnType, *, has_own_order: bool) -> None:  # noqa: ANN401
    if found.is_coded and kind.ordered and not has_own_order:
        raise TypeRefusedError(
            problem="holds categories that have an order, which this kind of file may "
            "give in another one",
            expected="categories without an order, or an Arrow file",
            todo="--types NAME=str takes their names as texts.",
        )


def _type_of(kind: Any, wanted: str | None) -> ColumnType:  # noqa: ANN401
    if wanted == FLOAT_TYPE:
        return _as_float(kind)
    if wanted == TEXT_TYPE:
        return _as_text(kind)
    if pa.types.is_dictionary(kind):
        if is_text_kind(kind.value_type):
            return ColumnType(dtype="int32", is_coded=True)
        return _type_of(kind.value_type, None)
    return _plain_type(kind)


def _as_float(kind: Any) -> ColumnType:  # noqa: ANN401
    if is_number_kind(kind):
        return ColumnType(dtype="float64")
    raise TypeRefusedError(
        problem=f"is {kind}", expected="numbers, which --types takes as float64"
    )


def _as_text(kind: Any) -> ColumnType:  # noqa: ANN401
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    if is_text_kind(value):
        return TEXT
    raise TypeRefusedError(
        problem=f"is {kind}", expected="texts or categories, which --types takes as str"
    )


def is_number_kind(kind: Any) -> bool:  # noqa: ANN401
    """Return whether values of a type are numbers, each by itself."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
    )


def is_text_kind(kind: Any) -> bool:  # noqa: ANN401
    """Return whether values of a type are texts."""
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
    )


def is_bytes_kind(kind: Any) -> bool:  # noqa: ANN401
    """Return whether values of a type are bytes of any number."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _plain_type(kind: Any) -> ColumnType:  # noqa: ANN401
    for is_such, made in _MADE:
        if is_such(kind):
            return made(kind)
    raise _no_form(kind)


def _number_type(kind: Any) -> ColumnType:  # noqa: ANN401
    return ColumnType(dtype=np.dtype(kind.to_pandas_dtype()).name)


def _list_type(kind: Any) -> ColumnType:  # noqa: ANN401
    inner = _type_of(kind.value_type, None)
    if not inner.is_number:
        raise _no_form(kind)
    is_ragged = not pa.types.is_fixed_size_list(kind)
    return ColumnType(
        dtype=inner.dtype,
        shape=inner.shape if is_ragged else (kind.list_size, *inner.shape),
        is_ragged=is_ragged,
        attributes=inner.attributes,
    )


def _no_form(kind: Any, todo: str = "") -> TypeRefusedError:  # noqa: ANN401
    return TypeRefusedError(
        problem=f"is {kind}",
        expected="numbers, times, texts, bytes, categories of texts, or lists of numbers",
        todo=todo,
    )


def _no_decimal(kind: Any) -> ColumnType:  # noqa: ANN401
    raise _no_form(kind, f"--types NAME={FLOAT_TYPE} takes the nearest floats.")


def _extension_type(kind: Any) -> ColumnType:  # noqa: ANN401
    name = kind.extension_name
    if isinstance(kind, pa.FixedShapeTensorType):
        if kind.permutation not in (None, list(range(len(kind.shape)))):
            raise TypeRefusedError(
                problem=f"is {kind}, of permuted axes", expected="axes in their order"
            )
        inner = _plain_type(kind.value_type)
        return ColumnType(dtype=inner.dtype, shape=(*kind.shape, *inner.shape))
    if name in {"arrow.uuid", "arrow.json", "arrow.bool8"}:
        inner = _plain_type(kind.storage_type)
        attributes = {**inner.attributes, "arrow_extension": name}
        return ColumnType(
            dtype=inner.dtype,
            shape=inner.shape,
            is_ragged=inner.is_ragged,
            attributes=attributes,
        )
    raise _no_form(kind)


def _time_type(kind: Any) -> ColumnType:  # noqa: ANN401
    """Return whole numbers of a unit; those of a date or a time since an epoch."""
    if pa.types.is_interval(kind):
        raise _no_form(kind)
    dtype = f"int{kind.bit_width}"
    if pa.types.is_date(kind):
        unit = "D" if pa.types.is_date32(kind) else "ms"
        return ColumnType(
            dtype=dtype, attributes={"time": "date", "unit": unit, "since": _EPOCH}
        )
    if pa.types.is_timestamp(kind):
        zone = {"timezone": kind.tz} if kind.tz else {}
        attributes = {"time": "timestamp", "unit": kind.unit, "since": _EPOCH, **zone}
        return ColumnType(dtype=dtype, attributes=attributes)
    name = "duration" if pa.types.is_duration(kind) else "time of day"
    return ColumnType(dtype=dtype, attributes={"time": name, "unit": kind.unit})


# The first that a type is says what it is kept as.
_MADE: tuple[tuple[Callable[[Any], bool], Callable[[Any], ColumnType]], ...] = (
    (lambda kind: isinstance(kind, pa.BaseExtensionType), _extension_type),
    (pa.types.is_boolean, lambda _: ColumnType(dtype="bool")),
    (pa.types.is_integer, _number_type),
    (pa.types.is_floating, _number_type),
    (pa.types.is_decimal, _no_decimal),
    (pa.types.is_temporal, _time_type),
    (is_text_kind, lambda _: TEXT),
    (is_bytes_kind, lambda _: ColumnType(dtype="uint8", is_ragged=True)),
    (
        pa.types.is_fixed_size_binary,
        lambda kind: ColumnType(dtype="uint8", shape=(kind.byte_width,)),
    ),
    (pa.types.is_fixed_size_list, _list_type),
    (pa.types.is_list, _list_type),
    (pa.types.is_large_list, _list_type),
)
