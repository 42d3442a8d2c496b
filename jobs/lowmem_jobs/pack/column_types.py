"""What a column holds, and some rows of it; what cannot be is told with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# Whole numbers beyond are not all floats of 64 bits.
LARGEST_EXACT = 2**53
# What an element may be: numbers that every reader of Zarr knows.
_KINDS = "biuf"
_LARGEST_ITEM_BYTES = 8
_NAME_BYTES = 200
# Of an array of Zarr, in a folder.
_NAME = re.compile(r"(?!__|\.{1,2}$|zarr\.json$|\s*$)[^/\\\0]+", re.DOTALL)
TEXT_ATTRIBUTES = {"encoding": "utf-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnType:
    """What each row of a column is.

    Attributes
    ----------
    dtype
        NumPy's name of the element type, in the machine's byte order.
    shape
        Of a row; of one element of a ragged row.
    is_ragged
        Whether rows have lengths of their own: lists, texts (UTF-8) and bytes.
    is_coded
        Whether the numbers are codes, whose names are kept in ``class_names``.
    attributes
        What the numbers mean, for the array's attributes.
    """

    dtype: str
    shape: tuple[int, ...] = ()
    is_ragged: bool = False
    is_coded: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        dtype = np.dtype(self.dtype)
        if dtype.kind not in _KINDS or dtype.itemsize > _LARGEST_ITEM_BYTES:
            raise TypeRefusedError(
                problem=f"holds {self.dtype}",
                expected="booleans, or whole numbers and floats of at most 64 bits",
            )
        if 0 in self.shape:
            raise TypeRefusedError(
                problem="holds nothing but empty lists", expected="lists of values"
            )

    @property
    def is_text(self) -> bool:
        """Whether each row is a text."""
        return self.is_ragged and "encoding" in self.attributes

    @property
    def is_number(self) -> bool:
        """Whether each row has the same number of plain numbers."""
        return not (self.is_ragged or self.is_coded)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, or of one element of a ragged row."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def said(self) -> str:
        """Return it in words, for messages."""
        shape = f" of shape {self.shape}" if self.shape else ""
        meaning = f" ({', '.join(f'{k} {v}' for k, v in self.attributes.items())})"
        kind = "ragged " if self.is_ragged else "codes in " if self.is_coded else ""
        return kind + self.dtype + shape + (meaning if self.attributes else "")


TEXT = ColumnType(dtype="uint8", is_ragged=True, attributes=TEXT_ATTRIBUTES)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColumnRows:
    """Some rows of one column.

    Attributes
    ----------
    values : shape (n_rows, *shape), or (n_elements, *shape) of a ragged column
        In the machine's byte order.
    lengths : shape (n_rows,)
        Elements of each row of a ragged column, int64; else None.
    names
        Of a coded column: what the codes here mean. None stands for a code that no row
        has.
    """

    values: NDArray[Any]
    lengths: NDArray[np.int64] | None = None
    names: Sequence[str | None] | None = None

    def __len__(self) -> int:
        return len(self.values if self.lengths is None else self.lengths)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableBlock:
    """Some neighbouring rows of a file.

    Attributes
    ----------
    columns
        By name. What a reader gives of a file without declared types, as its own
        `seen_values` understands it; else `ColumnRows`.
    n_rows
        How many rows these are.
    position
        Where the rows after them begin: whole numbers that the reader understands.
    n_blank
        Lines among them that hold nothing and are no rows.
    """

    columns: Mapping[str, Any]
    n_rows: int
    position: tuple[int, ...]
    n_blank: int = 0


class TypeRefusedError(Exception):
    """Raised when a column's type cannot be kept; it never leaves the job."""

    def __init__(self, *, problem: str, expected: str, todo: str = "") -> None:
        self.problem, self.expected, self.todo = problem, expected, todo
        super().__init__(problem)

    def at(self, path: Path, column: str) -> DataError:
        """Return what the user is told."""
        return DataError(
            thing=f"{path}: column {column!r}",
            problem=self.problem,
            expected=self.expected,
            todo=self.todo or f"--columns without {column} leaves it out.",
        )


class RowRefusedError(Exception):
    """Raised when one row cannot be kept; it never leaves the job.

    Attributes
    ----------
    row
        Which one, counted from the first row of the block.
    column
        Whose value it is; empty for the row as a whole.
    """

    def __init__(
        self, *, row: int, problem: str, expected: str, column: str = "", todo: str = ""
    ) -> None:
        self.row, self.column = row, column
        self.problem, self.expected, self.todo = problem, expected, todo
        super().__init__(problem)

    def at(self, path: Path, first_row: int) -> DataError:
        """Return what the user is told of a block that begins at ``first_row``."""
        where = f", column {self.column!r}" if self.column else ""
        return DataError(
            thing=f"{path}: row {first_row + self.row}{where}",
            problem=self.problem,
            expected=self.expected,
            todo=self.todo,
        )


def null_refused(row: int, column: str, *, is_float: bool) -> RowRefusedError:
    """Return what is said of the first row without a value."""
    nan = " --null nan makes NaN of it." if is_float else ""
    return RowRefusedError(
        row=row,
        column=column,
        problem="is null",
        expected="a value in every row",
        todo=f"Fill it in the source, or leave the column out.{nan}",
    )


def refuse_names(names: Iterable[str], path: Path) -> None:
    """Refuse names that are no single array of a group each.

    Raises
    ------
    DataError
        For the first that is empty, there twice, or no name of a Zarr array.
    """
    known: set[str] = set()
    for name in names:
        problem = ""
        if name in known:
            problem = "is there twice"
        elif not _NAME.fullmatch(name):
            problem = "is no name of an array"
        elif not _is_utf8(name):
            problem = "has half a character, which is no text"
        elif len(name.encode()) > _NAME_BYTES:
            problem = f"has more than {_NAME_BYTES} bytes"
        if problem:
            raise DataError(
                thing=f"{path}: column {name[:_NAME_BYTES]!r}",
                problem=problem,
                expected="names that differ, without / and \\, and not beginning with __",
                todo="Rename it in the source.",
            )
        known.add(name)


def _is_utf8(name: str) -> bool:
    """Return whether a name has bytes: half of a pair of surrogates has none."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def missing_columns(
    path: Path, missing: Sequence[str], known: Iterable[str]
) -> DataError:
    """Return what is said of columns that were asked for and are not there."""
    return DataError(
        thing=path,
        problem=f"has no column {', '.join(map(repr, missing))}",
        expected=f"one of {', '.join(known)}",
        todo="Mend --columns, --features, --label, --split-by or --types.",
    )


def text_rows_of(texts: Sequence[bytes]) -> ColumnRows:
    """Return texts as rows of bytes."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    values = np.frombuffer(b"".join(texts), np.uint8)
    return ColumnRows(values=values, lengths=lengths)
