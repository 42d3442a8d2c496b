"""Lay rows of text out in columns, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = tuple[str, ...]


def format_columns(
    header: Row, rows: Sequence[Row | str], *, left: frozenset[int] = frozenset()
) -> list[str]:
    """Return one line for the header and one for each row.

    Parameters
    ----------
    rows
        Cells, as many as in the header; or one text that stands across all columns.
    left
        Columns that are aligned to the left; the others, of numbers, to the right.

    Examples
    --------
    >>> for line in format_columns(("job", "n"), [("train", "9")], left=frozenset({0})):
    ...     print(line)
    job    n
    train  9
    """
    cells = [header, *(row for row in rows if not isinstance(row, str))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]

    def line(row: Row | str) -> str:
        if isinstance(row, str):
            return row
        padded = (
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(padded).rstrip()

    return [line(row) for row in (header, *rows)]


def printable(text: str) -> str:
    r"""Return ``text`` on one line, without codes that would steer the terminal.

    Examples
    --------
    >>> printable("two" + chr(10) + "lines, " + chr(27) + "[31mred")
    'two lines, \\x1b[31mred'
    """
    return "".join(_printable_char(char) for char in text)


def _printable_char(char: str) -> str:
    if char.isspace():
        return " "
    return char if char.isprintable() else char.encode("unicode_escape").decode()
