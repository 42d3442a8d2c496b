"""The names and cells of one column of a table of labels, whichever form the table has.

Three forms are told apart by the first line:

- a number alone: CelebA's lists. It counts the lines of pictures; the second line holds the
  titles of the columns, with or without one for the names; fields are separated by spaces.
- a comma in it: CSV, and these are the titles.
- else lines of a name and a whole number, separated by spaces, without titles.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from lowmem.base import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lowmem_jobs.ingest.label_choice import LabelChoice

    Lines = Iterator[tuple[int, str]]

# More of them say no more.
_TITLES_SHOWN = 60
_PAIR = 2


class LabelLine(NamedTuple):
    """What a table says of one picture.

    Attributes
    ----------
    number
        Of the line, from 1 on.
    name
        Of the picture, as the table has it.
    cell
        Of the column with the labels; no space around it.
    """

    number: int
    name: str
    cell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelColumn:
    """One column of a table.

    Attributes
    ----------
    title
        Its title; empty where the table has none.
    is_counted
        Whether the table is one of CelebA's lists, in whose attributes -1 means no.
    lines
        What it says of each picture, in the order of the table; to be gone through once.
    """

    title: str
    is_counted: bool
    lines: Iterator[LabelLine]


def label_column(choice: LabelChoice, text: Iterable[tuple[int, str]]) -> LabelColumn:
    """Return the column that is asked for; lines are taken as they are gone through.

    Parameters
    ----------
    text
        The lines of the table that are not blank, with their numbers.

    Raises
    ------
    DataError
        If the table has none of the three forms, or not the column. By the lines: if one
        has another number of fields than the first, no name or no label, or the count
        of the table is not that of its lines.

    Examples
    --------
    >>> from pathlib import Path
    >>> from lowmem_jobs.ingest.label_choice import LabelChoice
    >>> choice = LabelChoice(path=Path("list.txt"), column="Smiling")
    >>> text = ["1", "Bald Smiling", "000001.jpg -1  1"]
    >>> next(label_column(choice, enumerate(text, start=1)).lines)
    LabelLine(number=3, name='000001.jpg', cell='1')
    """
    lines = iter(text)
    first = next(lines, None)
    if first is None:
        raise _refused(choice, 0, "has no lines", "a list of pictures and their labels")
    if re.fullmatch(r"\d{1,18}", first[1].strip(), re.ASCII):
        return _counted(choice, int(first[1]), lines)
    if "," in first[1]:
        return _separated_by_commas(choice, first, lines)
    return _pairs(choice, first, lines)


def _counted(choice: LabelChoice, count: int, lines: Lines) -> LabelColumn:
    heading, first = next(lines, None), next(lines, None)
    if heading is None or first is None:
        raise _refused(
            choice,
            1,
            f"says {count}, and titles and lines of pictures do not follow",
            "a line of titles and one for each picture, as CelebA's lists have",
        )
    titles, n_fields = heading[1].split(), len(first[1].split())
    if len(titles) == n_fields - 1:
        # CelebA's list of attributes: the names of pictures have no title.
        titles = ["", *titles]
    elif len(titles) != n_fields:
        raise _refused(
            choice,
            first[0],
            f"has {n_fields} fields",
            f"a name and one for each of the {len(titles)} titles, or one for each title",
        )
    columns = _columns(choice, heading[0], titles)
    rows = _rows(choice, chain((first,), lines), str.split, n_fields, columns)
    return LabelColumn(
        title=titles[columns[1]],
        is_counted=True,
        lines=_as_many(choice, count, rows),
    )


def _as_many(
    choice: LabelChoice, count: int, rows: Iterator[LabelLine]
) -> Iterator[LabelLine]:
    found = 0
    for found, row in enumerate(rows, start=1):  # noqa: B007 - how many there were
        yield row
    if found != count:
        raise _refused(
            choice,
            1,
            f"says that {count} lines of pictures follow, and {found} do",
            "a whole table",
            "It may have been cut short: copy it again.",
        )


def _separated_by_commas(
    choice: LabelChoice, heading: tuple[int, str], lines: Lines
) -> LabelColumn:
    def fields_of(line: str) -> list[str]:
        if '"' not in line:
            return line.split(",")
        return next(csv.reader([line], strict=True))

    titles = [one.strip() for one in _fields(choice, heading, fields_of)]
    columns = _columns(choice, heading[0], titles)
    rows = _rows(choice, lines, fields_of, len(titles), columns)
    return LabelColumn(title=titles[columns[1]], is_counted=False, lines=rows)


def _pairs(choice: LabelChoice, first: tuple[int, str], lines: Lines) -> LabelColumn:
    fields = first[1].split()
    is_pair = len(fields) == _PAIR and re.fullmatch(r"[+-]?\d+", fields[1], re.ASCII)
    if not is_pair:
        raise _refused(
            choice,
            first[0],
            f"has {len(fields)} fields between spaces and no comma",
            "a count and then titles (CelebA's list of attributes), titles separated by "
            "commas (CSV), or the name of a picture and a whole number",
            "Save it as CSV with a line of titles.",
        )
    for option, title in (("--label", choice.column), ("--label-key", choice.key)):
        if title is not None:
            raise _refused(
                choice,
                first[0],
                f"is that of a picture, so no column is called {title}",
                "a table with titles",
                f"Leave {option} out: the second field is the label.",
            )
    rows = _rows(choice, chain((first,), lines), str.split, _PAIR, (0, 1))
    return LabelColumn(title="", is_counted=False, lines=rows)


def _columns(
    choice: LabelChoice, number: int, titles: Sequence[str]
) -> tuple[int, int]:
    """Return which fields hold the name and the label."""
    if choice.column is None:
        raise _refused(
            choice,
            number,
            "holds titles, and no column of them is asked for",
            f"--label with one of {_listed(titles)}",
        )
    key = 0 if choice.key is None else _place(choice, number, titles, choice.key)
    column = _place(choice, number, titles, choice.column)
    if key == column:
        raise _refused(
            choice,
            number,
            f"has the names of the pictures in {choice.column}",
            "labels in another column",
            "Give --label another one, or --label-key that of the names.",
        )
    return key, column


def _place(choice: LabelChoice, number: int, titles: Sequence[str], title: str) -> int:
    n_found = titles.count(title)
    if n_found == 1 and title:
        return titles.index(title)
    raise _refused(
        choice,
        number,
        f"has {n_found or 'no'} columns called {title!r}",
        f"one of {_listed(titles)}",
    )


def _listed(titles: Sequence[str]) -> str:
    named = [title for title in titles if title]
    more = len(named) - _TITLES_SHOWN
    return ", ".join(named[:_TITLES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _rows(
    choice: LabelChoice,
    lines: Iterable[tuple[int, str]],
    fields_of: Callable[[str], list[str]],
    n_fields: int,
    columns: tuple[int, int],
) -> Iterator[LabelLine]:
    key, column = columns
    for line in lines:
        fields = _fields(choice, line, fields_of)
        if len(fields) != n_fields:
            raise _refused(
                choice,
                line[0],
                f"has {len(fields)} fields",
                f"{n_fields}, as the lines before it have",
            )
        name, cell = fields[key].strip(), fields[column].strip()
        if not name or not cell:
            what = "label" if name else "name of a picture"
            raise _refused(
                choice,
                line[0],
                f"has no {what}: its cell is empty",
                "a name and a label in each line",
                "Fill it in, or leave the line and its picture out.",
            )
        yield LabelLine(line[0], name, cell)


def _fields(
    choice: LabelChoice,
    line: tuple[int, str],
    fields_of: Callable[[str], list[str]],
) -> list[str]:
    try:
        return fields_of(line[1])
    except csv.Error as error:
        raise _refused(
            choice,
            line[0],
            f"has quotes that do not fit ({error})",
            'cells that begin and end with ", on one line, and have any " within doubled',
        ) from error


def _refused(
    choice: LabelChoice, number: int, problem: str, expected: str, todo: str = ""
) -> DataError:
    where = f"{choice.path}, line {number}" if number else choice.path
    return DataError(thing=where, problem=problem, expected=expected, todo=todo)
