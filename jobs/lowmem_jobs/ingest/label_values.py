"""What the cells of a column of labels are: whole numbers, or names of classes."""

from __future__ import annotations

import re
from array import array
from typing import TYPE_CHECKING

from lowmem.base import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowmem_jobs.ingest.label_columns import LabelLine

# The largest sets in use have 22,000 classes.
_MOST_CLASSES = 2**15
# Of the names of all classes: they are metadata of the store.
_MOST_NAME_BYTES = 2**20
_LEAST, _MOST = -(2**31), 2**31 - 1
_MOST_DIGITS = 12
_CELL_SHOWN = 60
# What pandas takes for a missing value, in small letters, and what is no whole number.
_MISSING = frozenset(
    ["#n/a", "#na", "<na>", "n/a", "na", "null", "none", "nan", "-nan", "+nan"]
)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_FRACTION = re.compile(
    r"[+-]?(\d+\.\d*|\.\d+|\d+(?=e))(e[+-]?\d+)?|[+-]?inf(inity)?",
    re.ASCII | re.IGNORECASE,
)


class LabelValues:
    """The labels of a column, collected line by line.

    Parameters
    ----------
    where
        Returns where the label of a line stands, for messages.
    signs
        What 1 says in a column of -1 and 1, as CelebA's attributes are; empty where such
        numbers are numbers.

    Attributes
    ----------
    numbers : array of int32
        Of each line: the number, or that of the class among `found`.
    found
        The names of classes, with their numbers, in the order in which they were met;
        empty where the labels are numbers.

    Notes
    -----
    Memory: 4 bytes a line, and the names of the classes.
    """

    def __init__(self, where: Callable[[LabelLine], str], signs: str = "") -> None:
        self._where = where
        self._signs = signs
        self._first: LabelLine | None = None
        self._is_whole = True
        self._name_bytes = 0
        self.numbers = array("i")
        self.found: dict[str, int] = {}

    def add(self, line: LabelLine) -> None:
        """Take the label of one more line.

        Raises
        ------
        DataError
            If it is missing, no whole number that int32 holds, or a word where others
            are numbers; if there are too many classes.
        """
        is_whole = _WHOLE.fullmatch(line.cell) is not None
        if self._first is None:
            self._first, self._is_whole = line, is_whole
        if is_whole:
            self._refuse_other(line, is_whole=True)
            self.numbers.append(self._number(line))
            return
        self._refuse_no_word(line)
        self._refuse_other(line, is_whole=False)
        self.numbers.append(self._class(line))

    def classes(self) -> tuple[tuple[str, ...], array[int]]:
        """Return the names of the classes and the number of each line; once, at the end.

        Classes are numbered in the order of their names. CelebA's attributes, which are
        -1 or 1, are two classes. Of numbers there are no names.
        """
        if self.found:
            class_names = tuple(sorted(self.found))
            rank = {name: number for number, name in enumerate(class_names)}
            numbers = [rank[name] for name in self.found]
            return class_names, array("i", (numbers[one] for one in self.numbers))
        if self._signs and set(self.numbers) <= {-1, 1}:
            signs = array("i", (int(one > 0) for one in self.numbers))
            return (f"not {self._signs}", self._signs), signs
        return (), self.numbers

    def _number(self, line: LabelLine) -> int:
        if len(line.cell) > _MOST_DIGITS or not _LEAST <= int(line.cell) <= _MOST:
            raise self._refused(
                line, "is no number of 32 bits", f"one from {_LEAST} to {_MOST}"
            )
        return int(line.cell)

    def _class(self, line: LabelLine) -> int:
        number = self.found.get(line.cell)
        if number is not None:
            return number
        self._name_bytes += len(line.cell.encode())
        if len(self.found) >= _MOST_CLASSES or self._name_bytes > _MOST_NAME_BYTES:
            raise self._refused(
                line,
                f"is one class more than {len(self.found)}",
                f"at most {_MOST_CLASSES} classes, whose names take at most "
                f"{_MOST_NAME_BYTES} bytes",
                "Choose a column of classes with --label.",
            )
        return self.found.setdefault(line.cell, len(self.found))

    def _refuse_no_word(self, line: LabelLine) -> None:
        if line.cell.lower() in _MISSING:
            raise self._refused(
                line,
                "says that it is missing",
                "a label in each line",
                "Fill it in, or leave it and its picture out; a class of this "
                "name needs another one, since programs take it for none.",
            )
        if _FRACTION.fullmatch(line.cell):
            raise self._refused(
                line,
                "is no whole number",
                "whole numbers, or words",
                "Write 1 and not 1.0; where programs wrote 1.0, cells may be missing.",
            )

    def _refuse_other(self, line: LabelLine, *, is_whole: bool) -> None:
        first = self._first
        if first is not None and is_whole != self._is_whole:
            kinds = ("a word", "a number")
            raise self._refused(
                line,
                f"is {kinds[is_whole]}, and {_shown(first.cell)} of {self._where(first)} "
                f"is {kinds[not is_whole]}",
                "numbers alone or words alone",
            )

    def _refused(
        self, line: LabelLine, problem: str, expected: str, todo: str = ""
    ) -> DataError:
        return DataError(
            thing=f"{self._where(line)}: {_shown(line.cell)}",
            problem=problem,
            expected=expected,
            todo=todo,
        )


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= _CELL_SHOWN else f"{cell[:_CELL_SHOWN]}...")
