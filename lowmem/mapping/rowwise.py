"""Call a function of rows, and refuse one whose result is not of each row by itself.

What it returns for a block is held against what it returns for parts of it, before any
work is done. Sums over many numbers round otherwise in another number of rows, as matrix
products do: such a function is row-wise, and exact since it is always called with the
same number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base.errors import JobDefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Rows = NDArray[Any]

# Rows of the second part: a function may take long.
_PART_ROWS = 64
_STORABLE = "biuf"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Function:
    """A function of a block of rows, whose results are looked at.

    Attributes
    ----------
    job
        Name of the job, for messages.
    of_rows
        Takes a block of rows, an array or a list of texts.
    is_vectors
        Whether each row's result must be a vector of floats.
    """

    job: str
    of_rows: Callable[[Any], object]
    is_vectors: bool = False

    def __call__(self, rows: Rows | Sequence[str], start: int) -> Rows:
        """Return what the function gives for ``rows``, which begin at row ``start``.

        Raises
        ------
        JobDefinitionError
            If that is no array of as many rows of numbers.
        """
        where = f"for rows {start} to {start + len(rows) - 1}"
        try:
            result = self.of_rows(rows)
        except Exception as error:
            error.add_note(f"lowmem: {where} of the source")
            raise
        if not isinstance(result, np.ndarray):
            kind = type(result).__name__
            raise self._refusal(f"returned {kind} {where}", "a NumPy array")
        if result.ndim == 0 or len(result) != len(rows):
            raise self._refusal(
                f"returned the shape {result.shape} {where}",
                f"one row for each of the {len(rows)}",
            )
        if result.dtype.kind not in _STORABLE or result.dtype.itemsize > 8:  # noqa: PLR2004 - bytes
            raise self._refusal(
                f"returned {result.dtype} {where}",
                "booleans, or numbers of up to 64 bits that are not complex",
            )
        if self.is_vectors and (result.ndim != 2 or result.dtype.kind != "f"):  # noqa: PLR2004 - axes
            raise self._refusal(
                f"returned {result.dtype} of shape {result.shape} {where}",
                "a vector of floats for each row: shape (n, d)",
            )
        return result

    def refuse_unless_like(self, result: Rows, first: Rows, start: int) -> None:
        """Refuse a result of another shape or type than the first rows had."""
        if (result.shape[1:], result.dtype) != (first.shape[1:], first.dtype):
            raise self._refusal(
                f"returned {_said(result)} for rows {start} to "
                f"{start + len(result) - 1}",
                f"{_said(first)}, as for the rows before",
            )

    def refuse_unless_same(self, result: Rows, stored: Rows, start: int) -> None:
        """Refuse to go on where a committed result would not be made again."""
        if (bad := _first_other(result, stored)) is not None:
            raise self._refusal(
                f"returns {_shown(result, bad)} for row {start + bad}, of which "
                f"{_shown(stored, bad)} was committed",
                "the same: the function, its libraries or the processor are others by "
                "now. --restart makes all of it anew",
            )

    def tried(self, rows: Rows | Sequence[str]) -> tuple[Rows, bool]:
        """Return the result of the first rows, and whether parts give the same bits.

        Parameters
        ----------
        rows
            Those of the first call.

        Raises
        ------
        JobDefinitionError
            If a row's result depends on the rows beside it, or is another each time.
        """
        whole = self(rows, 0).copy()
        is_exact = True
        for start, stop in ((0, 1), (1, min(len(rows), 1 + _PART_ROWS))):
            if stop - start in {0, len(rows)}:
                continue
            part = self(rows[start:stop], start)
            self.refuse_unless_like(part, whole, start)
            bad = _first_other(part, whole[start:stop])
            if bad is None:
                continue
            is_exact = False
            if not _are_as_rounded(part, whole[start:stop], whole):
                self._refuse_dependence(rows, whole, part, start, bad)
        return whole, is_exact

    def _refuse_dependence(
        self,
        rows: Rows | Sequence[str],
        whole: Rows,
        part: Rows,
        start: int,
        bad: int,
    ) -> None:
        again = _first_other(self(rows, 0), whole)
        if again is not None:
            raise self._refusal(
                f"returned {_shown(whole, again)} and then another value for row {again}",
                "the same each time: take nothing from a generator of random numbers, "
                "nor from what a call before has left",
            )
        row = start + bad
        raise self._refusal(
            f"returned {_shown(whole, row)} for row {row} among {len(rows)} rows and "
            f"{_shown(part, bad)} among {len(part)}",
            "a function of each row by itself, whatever rows are beside it: take what "
            "all rows share (a mean, a maximum) from a pass before",
        )

    def _refusal(self, problem: str, expected: str) -> JobDefinitionError:
        return JobDefinitionError(job=self.job, problem=problem, expected=expected)


def _said(rows: Rows) -> str:
    return f"rows of shape {rows.shape[1:]} of {rows.dtype}"


def _shown(rows: Rows, row: int) -> str:
    """Return the first values of a row."""
    values = [f"{value:.9g}" for value in rows[row].reshape(-1)[:3]]
    return ", ".join(values) + (" ..." if rows[row].size > len(values) else "")


def _first_other(one: Rows, other: Rows) -> int | None:
    """Return the first row in which a bit differs; None if none does."""
    same = _bits(one) == _bits(other)
    rows = same.reshape(len(one), -1).all(axis=1)
    return None if rows.all() else int(np.argmin(rows))


def _bits(rows: Rows) -> NDArray[np.uint8]:
    whole = np.ascontiguousarray(rows)
    return whole.reshape(len(whole), -1).view(np.uint8)


def _are_as_rounded(part: Rows, same: Rows, whole: Rows) -> bool:
    """Return whether two results of the same rows differ in their rounding alone.

    By half of the digits of their type, against the largest number of the block: errors
    of a sum grow with its terms, not with what is left of them.
    """
    if part.dtype.kind != "f":
        return False
    finite = np.isfinite(part)
    if not np.array_equal(finite, np.isfinite(same)):
        return False
    if not np.array_equal(part[~finite], same[~finite], equal_nan=True):
        return False
    scale = np.abs(whole[np.isfinite(whole)]).max(initial=0)
    bound = float(np.sqrt(np.finfo(part.dtype).eps)) * float(scale)
    gap = np.abs(part[finite].astype(np.float64) - same[finite].astype(np.float64))
    return bool(gap.max(initial=0) <= bound)
