"""Rows of the data sets of an HDF5 file; one in a group is the column `group.name`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import h5py  # type: ignore[import-untyped]
import numpy as np

from lowmem.base import DataError
from lowmem_jobs.pack.column_types import (
    TEXT,
    ColumnRows,
    ColumnType,
    RowRefusedError,
    TableBlock,
    TypeRefusedError,
    refuse_names,
    text_rows_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem_jobs.pack.pack_recipe import PackRecipe
    from lowmem_jobs.pack.table_formats import BlockLimits


def declared(path: Path, recipe: PackRecipe) -> Mapping[str, ColumnType]:
    """Return the wanted columns, which have equally many rows."""
    with _opened(path) as file:
        found = list(_data_sets(file))
        wanted = [(name, data) for name, data in found if recipe.takes(name)]
        refuse_names((name for name, _ in wanted), path)
        types: dict[str, ColumnType] = {}
        for name, data in wanted:
            try:
                types[name] = _type_of(data, recipe.types.get(name))
            except TypeRefusedError as error:
                raise error.at(path, name) from error
        _refuse_unequal(path, wanted)
        return types


def _data_sets(file: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - h5py has no types
    """Yield the data sets of a file by each of their names; None for any other link."""
    yield from sorted(_linked(file, "", [file]), key=lambda one: one[0])


def _linked(group: Any, before: str, above: list[Any]) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    # `visititems` of h5py gives each data set once, under one of its names.
    for raw in group.id:
        # The low-level form alone takes names that are no UTF-8.
        name = raw.decode(errors="surrogateescape")
        is_hard = group.id.links.get_info(raw).type == h5py.h5l.TYPE_HARD
        node = group[raw] if is_hard else None
        if isinstance(node, h5py.Group):
            # One that is in itself would have names without end.
            if node not in above:
                yield from _linked(node, f"{before}{name}.", [*above, node])
        elif not isinstance(node, h5py.Datatype):
            yield f"{before}{name}", node


def _refuse_unequal(path: Path, wanted: Sequence[tuple[str, Any]]) -> None:
    lengths = {name: len(data) for name, data in wanted}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(
            thing=path,
            problem=f"has data sets of different lengths ({listed})",
            expected="one length, that of the table",
            todo="--columns names those that belong together.",
        )


def _type_of(data: Any, wanted: str | None) -> ColumnType:  # noqa: ANN401
    if data is None:
        raise TypeRefusedError(
            problem="is a soft or external link, which is not followed",
            expected="a data set of the file, or a hard link to one",
        )
    dtype = _dtype_of(data)
    _refuse_elsewhere(data)
    if wanted == "float64" and dtype.kind in "iuf":
        return ColumnType(dtype="float64", shape=data.shape[1:])
    is_text = h5py.check_string_dtype(dtype) is not None
    if wanted is not None and not (wanted == "str" and is_text):
        raise TypeRefusedError(
            problem=f"holds {dtype}", expected=f"what can be {wanted}"
        )
    if is_text or (inner := h5py.check_vlen_dtype(dtype)) is not None:
        if len(data.shape) > 1:
            raise TypeRefusedError(
                problem=f"holds texts or lists in {len(data.shape)} axes",
                expected="one a row",
            )
        return TEXT if is_text else ColumnType(dtype=_plain(inner).name, is_ragged=True)
    enum = h5py.check_enum_dtype(dtype)
    attributes = (
        {"enum": {str(k): int(v) for k, v in enum.items()}} if enum is not None else {}
    )
    return ColumnType(
        dtype=_plain(dtype).name, shape=data.shape[1:], attributes=attributes
    )


def _dtype_of(data: Any) -> np.dtype[Any]:  # noqa: ANN401
    try:
        dtype: np.dtype[Any] = data.dtype
    except TypeError as error:
        # A time of HDF5 (H5T_TIME), and whatever else NumPy has no form of.
        raise TypeRefusedError(
            problem=f"has a type that NumPy has no form of ({error})",
            expected="numbers, booleans, texts, or lists of them",
        ) from error
    return dtype


def _plain(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.kind not in "biuf" or dtype.itemsize > np.dtype("f8").itemsize:
        raise TypeRefusedError(
            problem=f"holds {dtype}",
            expected="booleans, whole numbers, floats of at most 64 bits, texts, or lists "
            "of them",
        )
    return dtype


def _refuse_elsewhere(data: Any) -> None:  # noqa: ANN401
    """Refuse what is no row of this file: numbers alone, or kept in other files."""
    if data.shape is None or not data.shape:
        raise TypeRefusedError(
            problem="is one value, without an axis of rows", expected="rows"
        )
    if data.is_virtual or data.external:
        raise TypeRefusedError(
            problem="keeps its values in other files",
            expected="them in the file itself",
            todo="h5repack copies them into one file.",
        )


def blocks(
    path: Path,
    position: tuple[int, ...],
    limits: BlockLimits,
    recipe: PackRecipe,  # noqa: ARG001 - a reader's form
    types: Mapping[str, ColumnType],
) -> Iterator[TableBlock]:
    """Yield the rows from a row on."""
    start = position[0] if position else 0
    with _opened(path) as file:
        data = {name: one for name, one in _data_sets(file) if name in types}
        n_rows = min((len(one) for one in data.values()), default=0)
        told_bytes = sum(_told_bytes(one, types[name]) for name, one in data.items())
        is_told = all(h5py.check_vlen_dtype(one.dtype) is None for one in data.values())
        size = limits.rows_of(told_bytes) if is_told else 1
        first = start
        while first < n_rows:
            stop = min(first + size, n_rows)
            columns = {
                name: _rows_of(one[first:stop], types[name], name)
                for name, one in data.items()
            }
            yield TableBlock(columns=columns, n_rows=stop - first, position=(stop,))
            if not is_told:
                # How long texts and lists are is known when they are read. A block of the
                # rows that come grows from one row, and shrinks where they are longer.
                row_bytes = told_bytes + _longest_bytes(columns)
                size = min(2 * size, limits.rows_of(row_bytes))
            first = stop


def _told_bytes(data: Any, column: ColumnType) -> int:  # noqa: ANN401
    """Return the bytes of a row, as far as the file tells them."""
    return int(data.dtype.itemsize) if column.is_ragged else column.row_bytes


def _longest_bytes(columns: Mapping[str, ColumnRows]) -> int:
    """Return the bytes of a row that were as long as the longest one in each column."""
    return sum(
        int(rows.lengths.max(initial=0)) * rows.values.itemsize
        for rows in columns.values()
        if rows.lengths is not None
    )


def _rows_of(values: NDArray[Any], column: ColumnType, name: str) -> ColumnRows:
    if column.is_text:
        return _texts(values, name)
    if column.is_ragged:
        lists = [np.asarray(one, column.dtype) for one in values]
        lengths = np.array([len(one) for one in lists], np.int64)
        whole = np.concatenate([*lists, np.empty(0, column.dtype)])
        return ColumnRows(values=whole, lengths=lengths)
    # The machine's byte order; bits stay as they are where the type does.
    return ColumnRows(values=np.ascontiguousarray(values, column.dtype))


def _texts(values: NDArray[Any], name: str) -> ColumnRows:
    texts = []
    for row, value in enumerate(values):
        # One that was never written is 0 in h5py.
        raw = value if isinstance(value, bytes) else b""
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise RowRefusedError(
                row=row,
                column=name,
                problem=f"is no UTF-8 at its byte {error.start}",
                expected="text in UTF-8",
            ) from error
        texts.append(raw)
    return text_rows_of(texts)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        raise DataError(
            thing=path,
            problem=f"cannot be read ({error})",
            expected="a whole HDF5 file",
        ) from error
