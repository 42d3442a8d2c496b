"""Results that are tables: a mapping of names to mappings of single values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.report.wording import NOT_MEASURED, value_text

if TYPE_CHECKING:
    from collections.abc import Sequence

# A wider or longer one is no table for a page; it is shown as the JSON that it is.
_MOST_COLUMNS = 16
_MOST_ROWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells as texts; the first of each row is its name."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def table_of(value: object) -> Table | None:
    """Return a value as a table; None where it is none.

    Examples
    --------
    >>> table = table_of({"mvn": {"frechet": 7.5}, "ball": {"frechet": 8, "cover": 0.5}})
    >>> table.header, table.rows
    (('', 'frechet', 'cover'), (('mvn', '7.5', '-'), ('ball', '8', '0.5')))
    """
    if not isinstance(value, Mapping) or not 0 < len(value) <= _MOST_ROWS:
        return None
    rows = list(value.values())
    if not all(_is_row(row) for row in rows):
        return None
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if not 0 < len(columns) <= _MOST_COLUMNS:
        return None
    return Table(
        header=("", *columns),
        rows=tuple(
            (str(name), *(_cell(row.get(column)) for column in columns))
            for name, row in value.items()
        ),
    )


def without_tables(values: Mapping[str, object]) -> dict[str, object]:
    """Return the values that are shown as one name and one text."""
    return {n: value for n, value in values.items() if table_of(value) is None}


def tables_in(values: Mapping[str, object]) -> dict[str, Table]:
    """Return the values that are tables, by name."""
    found = ((name, table_of(value)) for name, value in values.items())
    return {name: table for name, table in found if table is not None}


def known(values: Mapping[str, object]) -> dict[str, object]:
    """Return what of a recipe was given or found: what is None changes nothing."""
    return {name: value for name, value in values.items() if value is not None}


def _is_row(row: object) -> bool:
    if not isinstance(row, Mapping) or not row:
        return False
    parts: Sequence[object] = list(row.values())
    return not any(isinstance(part, Mapping | list | tuple) for part in parts)


def _cell(value: object) -> str:
    return NOT_MEASURED if value is None else value_text(value)
