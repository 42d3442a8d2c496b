"""Rows of CSV and TSV files, as RFC 4180 has them: cells are texts until all are seen.

Read by Python's own parser, strictly. A number is what its digits say and nothing else:
`007` and `1,5` are texts, so that no zero is lost and no comma guessed at.
"""

from __future__ import annotations

import csv
import re
from math import isinf
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base import DataError
from lowmem_jobs.pack.column_types import (
    ColumnRows,
    RowRefusedError,
    TableBlock,
    missing_columns,
    refuse_names,
    text_rows_of,
)
from lowmem_jobs.pack.record_lines import LineReader
from lowmem_jobs.pack.seen_values import (
    BOOL,
    EMPTY,
    FLOAT,
    INT,
    TEXTS,
    Observed,
    observed_ints,
)
from lowmem_jobs.pack.table_files import opened_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lowmem_jobs.pack.column_types import ColumnType
    from lowmem_jobs.pack.pack_recipe import PackRecipe
    from lowmem_jobs.pack.table_formats import BlockLimits

_INT = r" *(?:0|-?[1-9][0-9]*) *"
_INTS = re.compile(rf"{_INT}(?:\n{_INT})*")
_WHOLE = re.compile(_INT)
_DECIMAL = r" *-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *"
_NUMBER = re.compile(_DECIMAL)
_NUMBERS = re.compile(rf"{_DECIMAL}(?:\n{_DECIMAL})*")
_NO_NUMBER = re.compile(r" *(?:-?(?:inf|Inf|INF|infinity|Infinity)|nan|NaN|NAN) *")
_BOOLS = {"true": True, "True": True, "TRUE": True}
_BOOLS |= {"false": False, "False": False, "FALSE": False}
# The beginning of a line that may be something else than a text.
_NO_TEXT = re.compile(
    r"(?:\A|\n)(?:\s*(?:\n|\Z)| *-?\.?[0-9]"
    r"| *-?(?:inf|nan|infinity) *(?:\n|\Z)|(?:true|false)(?:\n|\Z))",
    re.IGNORECASE,
)
# Of one cell; Python's own limit is 128 KiB.
_MOST_CELL_BYTES = 2**28
# Of a number; no float has more before its point.
_MOST_DIGITS = 300
_ELSEWHERE = (";", "\t", "|")


def blocks(
    path: Path, position: tuple[int, ...], limits: BlockLimits, recipe: PackRecipe
) -> Iterator[TableBlock]:
    """Yield the cells of the wanted columns: lists of texts by name."""
    start = position[0] if position else 0
    with opened_bytes(path, 0) as stream:
        names, first = _header(LineReader(stream, path), path, recipe)
    missing = [name for name in recipe.named if name not in names]
    if missing:
        raise missing_columns(path, missing, names)
    wanted = [(name, place) for place, name in enumerate(names) if recipe.takes(name)]
    with opened_bytes(path, max(start, first)) as stream:
        lines = LineReader(stream, path, first_byte=max(start, first))
        records = _records(lines, path, recipe)
        while True:
            begin = lines.position
            rows, n_blank = _some(records, lines, limits, begin, len(names))
            if not rows and not n_blank:
                return
            columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
            yield TableBlock(
                columns={name: list(columns[place]) for name, place in wanted},
                n_rows=len(rows),
                position=(lines.position,),
                n_blank=n_blank,
            )


def _records(
    lines: LineReader, path: Path, recipe: PackRecipe
) -> Iterator[Sequence[str]]:
    csv.field_size_limit(_MOST_CELL_BYTES)
    delimiter = recipe.delimiter or _delimiter_of(path)
    return iter(csv.reader(lines, delimiter=delimiter, strict=True))


def _delimiter_of(path: Path) -> str:
    # In letters of any case, as `format_of` takes the name.
    return "\t" if path.name.lower().removesuffix(".gz").endswith(".tsv") else ","


def _header(lines: LineReader, path: Path, recipe: PackRecipe) -> tuple[list[str], int]:
    """Return the names of the columns, and the byte at which the rows begin."""
    try:
        cells = list(next(_records(lines, path, recipe), []))
    except csv.Error as error:
        raise _no_table(
            path, f"has a first line that is none of a table ({error})"
        ) from error
    if not cells:
        raise _no_table(path, "has no first line")
    has_one = len(cells) == 1 and recipe.delimiter is None
    if has_one and any(other in cells[0] for other in _ELSEWHERE):
        raise _no_table(
            path,
            f"has one column, called {cells[0][:80]!r}",
            todo="--delimiter says which character stands between its columns.",
        )
    if not recipe.has_header:
        return [f"c{place}" for place in range(len(cells))], 0
    if all(_NUMBER.fullmatch(cell) for cell in cells):
        raise _no_table(
            path,
            f"begins with numbers: {', '.join(cells)[:80]}",
            todo="--no-header takes the first line as a row.",
        )
    refuse_names(filter(recipe.takes, cells), path)
    return cells, lines.position


def _no_table(path: Path, problem: str, todo: str = "") -> DataError:
    return DataError(
        thing=path, problem=problem, expected="a line of names of columns", todo=todo
    )


def _some(
    records: Iterator[Sequence[str]],
    lines: LineReader,
    limits: BlockLimits,
    begin: int,
    n_columns: int,
) -> tuple[list[Sequence[str]], int]:
    """Return the cells of the next rows, and how many lines among them are blank."""
    rows: list[Sequence[str]] = []
    n_blank = 0
    while len(rows) < limits.n_rows and lines.position - begin < limits.n_bytes:
        try:
            cells = next(records, None)
        except csv.Error as error:
            raise RowRefusedError(
                row=len(rows),
                problem=f"is no row of a table ({error})",
                expected="cells between quotes that are closed, a line a row",
            ) from error
        if cells is None:
            break
        if not cells and n_columns > 1:
            n_blank += 1
            continue
        if len(cells) != n_columns:
            raise RowRefusedError(
                row=len(rows),
                problem=f"has {len(cells)} cells",
                expected=f"{n_columns}, one for each column",
            )
        rows.append(cells)
    return rows, n_blank


def observed(values: list[str]) -> Observed:
    """Return what some cells are."""
    joined = "\n".join(values)
    is_short = max(map(len, values), default=0) <= _MOST_DIGITS
    # Most columns are told by one look at all of their cells, each on a line.
    if is_short and joined.count("\n") == len(values) - 1:
        if _INTS.fullmatch(joined):
            return observed_ints(list(map(int, values)))
        if _NUMBERS.fullmatch(joined) and not any(map(isinf, map(float, values))):
            return _observed_numbers(values)
    if values and not _NO_TEXT.search(joined):
        return Observed(kinds={TEXTS: 0})
    return _observed_each(values)


def _observed_numbers(values: list[str]) -> Observed:
    """Return what cells are that hold finite numbers alone."""
    whole = [row for row, cell in enumerate(values) if _WHOLE.fullmatch(cell)]
    if not whole:
        return Observed(kinds={FLOAT: 0})
    found = observed_ints([int(values[row]) for row in whole])
    first = next((n for n, row in enumerate(whole) if n != row), len(whole))
    return Observed(
        kinds={INT: whole[0], FLOAT: first},
        low=found.low,
        high=found.high,
        beyond=None if found.beyond is None else whole[found.beyond],
    )


def _observed_each(values: list[str]) -> Observed:
    kinds: dict[str, int] = {}
    low = high = 0
    beyond = None
    for row, cell in enumerate(values):
        kind = _kind(cell)
        kinds.setdefault(kind, row)
        if kind == INT:
            one = observed_ints([int(cell)], row)
            low, high = min(low, one.low), max(high, one.high)
            beyond = one.beyond if beyond is None else beyond
    return Observed(kinds=kinds, low=low, high=high, beyond=beyond)


def _kind(cell: str) -> str:
    if not cell or cell.isspace():
        # Spaces alone are a text of their own; no number is written so.
        return TEXTS if cell else EMPTY
    if len(cell) <= _MOST_DIGITS and _WHOLE.fullmatch(cell):
        return INT
    if _NUMBER.fullmatch(cell) and not isinf(float(cell)):
        return FLOAT
    if _NO_NUMBER.fullmatch(cell):
        return FLOAT
    return BOOL if cell in _BOOLS else TEXTS


def rows_of(values: list[Any], column: ColumnType) -> ColumnRows:
    """Return cells as rows of a type that all of them were seen to have.

    None, and an empty cell of a column of floats, is NaN.
    """
    if column.is_ragged:
        return text_rows_of([cell.encode() for cell in values])
    if column.dtype == "bool":
        return ColumnRows(values=np.array([_BOOLS[cell] for cell in values], np.bool_))
    if column.dtype == "float64":
        numbers = [float(cell) if cell else np.nan for cell in values]
        return ColumnRows(values=np.array(numbers, np.float64))
    return ColumnRows(values=np.array(list(map(int, values)), column.dtype))
