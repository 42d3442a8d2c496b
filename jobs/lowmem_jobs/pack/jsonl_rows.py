"""Rows of JSON lines: an object a line; its objects are columns `outer.inner`."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from math import isinf
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem_jobs.pack.column_types import (
    LARGEST_EXACT,
    ColumnRows,
    RowRefusedError,
    TableBlock,
    text_rows_of,
)
from lowmem_jobs.pack.record_lines import LineReader
from lowmem_jobs.pack.seen_values import (
    BOOL,
    FLOAT,
    INT,
    NULL,
    OTHER,
    TEXTS,
    Observed,
    Shape,
    observed_ints,
)
from lowmem_jobs.pack.table_files import opened_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem_jobs.pack.column_types import ColumnType
    from lowmem_jobs.pack.pack_recipe import PackRecipe
    from lowmem_jobs.pack.table_formats import BlockLimits

# Lists within lists: the axes of a row.
_MOST_AXES = 8
# A number that may be beyond all floats.
_MAY_BE_LARGE = re.compile(r"[eE]\+?[0-9]{3}|[0-9]{300}")
# No float holds it, not even nearly.
_LEAST_NO_FLOAT = 2**1023
_KINDS = {bool: BOOL, int: INT, float: FLOAT, str: TEXTS, type(None): NULL}


class _LineError(ValueError):
    """Raised when a line is no row."""


def blocks(
    path: Path, position: tuple[int, ...], limits: BlockLimits, recipe: PackRecipe
) -> Iterator[TableBlock]:
    """Yield the values of the columns that these rows have; None where one has none."""
    start = position[0] if position else 0
    with opened_bytes(path, start) as stream:
        lines = LineReader(stream, path, first_byte=start)
        while True:
            rows, n_blank = _some(lines, limits)
            if not rows and not n_blank:
                return
            names = dict.fromkeys(name for row in rows for name in row)
            yield TableBlock(
                columns={
                    name: [row.get(name) for row in rows]
                    for name in names
                    if recipe.takes(name)
                },
                n_rows=len(rows),
                position=(lines.position,),
                n_blank=n_blank,
            )


def _some(
    lines: LineReader, limits: BlockLimits
) -> tuple[list[dict[str, object]], int]:
    """Return the next rows, and how many lines among them are blank."""
    rows: list[dict[str, object]] = []
    n_blank = 0
    begin = lines.position
    while len(rows) < limits.n_rows and lines.position - begin < limits.n_bytes:
        line = next(lines, None)
        if line is None:
            break
        if line.isspace():
            n_blank += 1
            continue
        try:
            rows.append(_row(line))
        except _LineError as error:
            raise RowRefusedError(
                row=len(rows), problem=f"is {error}", expected="one JSON object a line"
            ) from error
    return rows, n_blank


def _row(line: str) -> dict[str, object]:
    try:
        found = json.loads(
            line,
            object_pairs_hook=_object,
            parse_float=_float if _MAY_BE_LARGE.search(line) else None,
        )
        return _flat(found)
    except _LineError:
        raise
    except ValueError as error:
        raise _LineError(f"no JSON ({error})") from error
    except RecursionError as error:
        raise _LineError("JSON that is nested too deeply") from error


def _flat(found: object) -> dict[str, object]:
    if not isinstance(found, dict):
        raise _LineError(f"no object but a {type(found).__name__}")
    flat: dict[str, object] = {}
    _flatten(found, "", flat)
    return flat


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _LineError(f"an object that holds {twice!r} twice")
    return found


def _float(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise _LineError(f"a line with {text}, which no float of 64 bits holds")
    return value


def _flatten(found: dict[str, object], before: str, flat: dict[str, object]) -> None:
    for name, value in found.items():
        whole = before + name
        if isinstance(value, dict):
            _flatten(value, f"{whole}.", flat)
        elif whole in flat:
            raise _LineError(f"an object that holds {whole!r} twice")
        else:
            flat[whole] = value


def observed(values: list[Any]) -> Observed:
    """Return what some values are."""
    types = set(map(type, values))
    if types == {float}:
        return Observed(kinds={FLOAT: 0}, shapes={(): 0})
    if types == {int} and max(map(abs, values)) < _LEAST_NO_FLOAT:
        return replace(observed_ints(values), shapes={(): 0})
    return _observed_each(values)


def _observed_each(values: list[Any]) -> Observed:
    kinds: dict[str, int] = {}
    shapes: dict[Shape, int] = {}
    low = high = 0
    beyond = None
    for row, value in enumerate(values):
        if value is None:
            kinds.setdefault(NULL, row)
            continue
        shape, leaves = _shape_of(value)
        if shape is None:
            kinds.setdefault(OTHER, row)
            continue
        shapes.setdefault(shape, row)
        for leaf in leaves:
            kind = OTHER if shape and isinstance(leaf, str) else _kind(leaf)
            kinds.setdefault(kind, row)
            if kind == INT:
                low, high = min(low, leaf), max(high, leaf)
                if beyond is None and abs(leaf) > LARGEST_EXACT:
                    beyond = row
    return Observed(kinds=kinds, shapes=shapes, low=low, high=high, beyond=beyond)


def _kind(value: object) -> str:
    if isinstance(value, int) and abs(value) >= _LEAST_NO_FLOAT:
        return OTHER
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            # Half of a pair of surrogates, as \\ud800 alone.
            return OTHER
    return _KINDS.get(type(value), OTHER)


def _shape_of(value: Any) -> tuple[Shape | None, list[Any]]:  # noqa: ANN401 - JSON's
    """Return the shape of lists in lists and what is in them; None where they differ."""
    shape: list[int] = []
    leaves = [value]
    while any(isinstance(leaf, list) for leaf in leaves):
        if not all(isinstance(leaf, list) for leaf in leaves) or (
            len(shape) == _MOST_AXES
        ):
            return None, []
        lengths = {len(leaf) for leaf in leaves}
        if len(lengths) > 1:
            return None, []
        shape.append(lengths.pop())
        leaves = [inner for leaf in leaves for inner in leaf]
    return tuple(shape), leaves


def rows_of(values: list[Any], column: ColumnType) -> ColumnRows:
    """Return values as rows of a type that all of them were seen to have.

    None is NaN in a column of floats.
    """
    if column.is_text:
        return text_rows_of([value.encode() for value in values])
    if column.is_ragged:
        lengths = np.array([len(value) for value in values], np.int64)
        leaves = [inner for value in values for inner in value]
        return ColumnRows(
            values=_array(leaves, (len(leaves), *column.shape), column.dtype),
            lengths=lengths,
        )
    return ColumnRows(values=_array(values, (len(values), *column.shape), column.dtype))


def _array(values: list[Any], shape: Shape, dtype: str) -> NDArray[Any]:
    if dtype == "float64" and len(shape) == 1:
        # Exact: what a float does not hold was refused.
        values = [np.nan if value is None else float(value) for value in values]
    return np.array(values, dtype).reshape(shape)
