"""Lay rows of text out in columns, for a terminal of any width.

A table that is wider than its terminal is cut between columns into tables that stand one
below the other, each with the first column. Nothing is left out: who looks at a narrow
window wants to know as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.wrapping import wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = tuple[str, ...]
_GAP = "  "
# The column that says what a row is of.
_KEY = 0


def format_columns(
    header: Row,
    rows: Sequence[Row | str],
    *,
    left: frozenset[int] = frozenset(),
    width: int | None = None,
) -> list[str]:
    """Return one line for the header and one for each row; more where they are cut.

    Parameters
    ----------
    rows
        Cells, as many as in the header; or one text that stands across all columns.
    left
        Columns that are aligned to the left; the others, of numbers, to the right.
    width
        Columns that the terminal has; None where it does not matter.

    Examples
    --------
    >>> for line in format_columns(("job", "n"), [("train", "9")], left=frozenset({0})):
    ...     print(line)
    job    n
    train  9
    """
    cells = [header, *(row for row in rows if not isinstance(row, str))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines: list[str] = []
    for part in _parts(widths, width):
        places = (_KEY, *part)
        lines += [""] if lines else []
        if width is not None and _width(widths, part) > width:
            lines += _below(header, rows, part, width)
            continue
        for row in (header, *rows):
            if isinstance(row, str):
                lines += [row] if width is None else wrapped(row, width)
            else:
                cut = [_padded(row[n], widths[n], is_left=n in left) for n in places]
                lines.append(_GAP.join(cut).rstrip())
    return lines


def _parts(widths: Sequence[int], width: int | None) -> list[list[int]]:
    """Return the columns, without the first, of each table: few, and much alike in width."""
    if width is None:
        return [list(range(1, len(widths)))]
    width = max(width, 1)
    fewest = len(_filled(widths, width))
    return next(
        found
        for at_most in range(1, width + 1)
        if len(found := _filled(widths, at_most)) <= fewest
    )


def _filled(widths: Sequence[int], at_most: int) -> list[list[int]]:
    """Return the columns of each table, as many in each as go into ``at_most``."""
    found: list[list[int]] = [[]]
    for place in range(1, len(widths)):
        if found[-1] and _width(widths, [*found[-1], place]) > at_most:
            found.append([])
        found[-1].append(place)
    return found


def _width(widths: Sequence[int], part: Sequence[int]) -> int:
    return widths[_KEY] + sum(len(_GAP) + widths[place] for place in part)


def _padded(cell: str, width: int, *, is_left: bool) -> str:
    return cell.ljust(width) if is_left else cell.rjust(width)


def _below(
    header: Row, rows: Sequence[Row | str], part: Sequence[int], width: int
) -> list[str]:
    """Return a table whose one column has no room beside the first: it stands below."""
    lines: list[str] = []
    for row in (header, *rows):
        if isinstance(row, str):
            lines += wrapped(row, width)
            continue
        lines.append(row[_KEY])
        for place in part:
            lines += wrapped(row[place], width, first=_GAP, later=_GAP)
    return lines


def printable(text: str) -> str:
    r"""Return ``text`` on one line, without codes that would steer the terminal.

    Examples
    --------
    >>> printable("two" + chr(10) + "lines, " + chr(27) + "[31mred")
    'two lines, \\x1b[31mred'
    """
    # Of those that are printable one alone is a space.
    return text if text.isprintable() else "".join(map(_printable_char, text))


def _printable_char(char: str) -> str:
    if char.isspace():
        return " "
    return char if char.isprintable() else char.encode("unicode_escape").decode()
