"""What was seen of columns whose file declares no types, and the type that follows.

All rows are looked at before the first is stored. So a type never depends on how many
rows are read at once, and what does not fit is refused before there is any result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lowmem_jobs.pack.column_types import (
    LARGEST_EXACT,
    TEXT,
    ColumnType,
    TypeRefusedError,
)
from lowmem_jobs.pack.pack_recipe import FLOAT_TYPE, TEXT_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

INT, FLOAT, BOOL, TEXTS, BYTES = "whole numbers", "floats", "booleans", "texts", "bytes"
FLOAT_32 = "floats of 32 bits"
# A list of texts, or one that holds lists of several lengths.
OTHER, NULL = "lists of other things than numbers", "nulls"
# A cell of a CSV file that holds nothing: a text of no length, or no number.
EMPTY = "empty cells"

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What some rows of a column hold.

    Attributes
    ----------
    kinds, shapes
        The kinds of value and shapes of a row, each with the first row that has it.
    low, high
        The smallest and the largest whole number; 0 is always among them.
    beyond
        The first row with a whole number that is no float of 64 bits.
    """

    kinds: Mapping[str, int]
    shapes: Mapping[Shape, int] = field(default_factory=dict)
    low: int = 0
    high: int = 0
    beyond: int | None = None


@dataclass(slots=True, kw_only=True)
class SeenColumn:
    """What all rows so far of a column hold.

    Attributes
    ----------
    kinds, shapes, beyond
        As of `Observed`, with the place of the row in words. Of shapes no more than tell
        whether rows are alike.
    low, high
        As of `Observed`.
    """

    kinds: dict[str, str] = field(default_factory=dict)
    shapes: dict[Shape, str] = field(default_factory=dict)
    low: int = 0
    high: int = 0
    beyond: str = ""

    def add(self, found: Observed, place: Callable[[int], str]) -> None:
        """Add what later rows hold; ``place`` puts a row of these into words."""
        for kind, row in found.kinds.items():
            self.kinds.setdefault(kind, place(row))
        for shape, row in found.shapes.items():
            # A value by itself is not alike to lists: it has no elements.
            alike = [
                known
                for known in self.shapes
                if len(known) == len(shape) and known[1:] == shape[1:]
            ]
            if shape not in self.shapes and len(alike) < 2:  # noqa: PLR2004 - unlike
                self.shapes[shape] = place(row)
        self.low, self.high = min(self.low, found.low), max(self.high, found.high)
        if found.beyond is not None and not self.beyond:
            self.beyond = place(found.beyond)

    def state(self) -> list[Any]:
        """Return it as JSON values."""
        shapes = [[list(shape), place] for shape, place in self.shapes.items()]
        # JSON's readers know whole numbers of 64 bits alone.
        return [self.kinds, shapes, str(self.low), str(self.high), self.beyond]

    @classmethod
    def from_state(cls, state: Sequence[Any]) -> SeenColumn:
        """Return what `state` gave."""
        kinds, shapes, low, high, beyond = state
        return cls(
            kinds=dict(kinds),
            shapes={tuple(shape): place for shape, place in shapes},
            low=int(low),
            high=int(high),
            beyond=beyond,
        )


def type_of(
    seen: SeenColumn,
    *,
    wanted: str | None,
    is_nan_null: bool,
    is_of_texts: bool,
    unwraps_one: bool,
) -> ColumnType:
    """Return the type that holds all that was seen, exactly.

    Parameters
    ----------
    wanted
        What the user asks for, see `PackRecipe.types`.
    is_of_texts
        Whether the file holds nothing but texts, so that any value is one as well.
    unwraps_one
        Whether a list of one element in every row is a value by itself.

    Raises
    ------
    TypeRefusedError
        If there is none.
    """
    kinds = {k: place for k, place in seen.kinds.items() if k not in {NULL, EMPTY}}
    if wanted == TEXT_TYPE and is_of_texts and NULL not in seen.kinds:
        return TEXT
    base = _base_of(seen, kinds, wanted)
    lone: set[Shape] = {(), (1,)} if unwraps_one else {()}
    # Of a list that is missing nobody knows how many NaN it would be.
    has_lone = set(seen.shapes) <= lone
    _refuse_nulls(seen, base, may_be_nan=is_nan_null, has_lone=has_lone)
    has_null = NULL in seen.kinds or EMPTY in seen.kinds
    if is_nan_null and has_null and base.dtype in {"int64", "uint64"}:
        base = _exact_float(seen)
    return base if base.is_ragged else _shaped(seen, base, unwraps_one=unwraps_one)


def _base_of(
    seen: SeenColumn, kinds: Mapping[str, str], wanted: str | None
) -> ColumnType:
    if wanted == TEXT_TYPE and set(kinds) <= {TEXTS, BYTES}:
        return TEXT
    if wanted == FLOAT_TYPE and kinds and set(kinds) <= {INT, FLOAT, FLOAT_32}:
        return ColumnType(dtype="float64")
    if wanted is not None or len(kinds) != 1:
        if wanted is None and set(kinds) == {INT, FLOAT}:
            return _exact_float(seen)
        if wanted is None and not kinds and EMPTY in seen.kinds and not seen.shapes:
            raise TypeRefusedError(
                problem="holds empty cells alone",
                expected="values",
                todo="Leave it out by --columns, or take it as texts by --types NAME=str.",
            )
        raise _mixed(kinds or seen.kinds, wanted)
    ((kind, place),) = kinds.items()
    if kind == INT:
        return _int_type(seen, place)
    bases = {
        FLOAT: ColumnType(dtype="float64"),
        FLOAT_32: ColumnType(dtype="float32"),
        BOOL: ColumnType(dtype="bool"),
        TEXTS: TEXT,
        BYTES: ColumnType(dtype="uint8", is_ragged=True),
    }
    if kind not in bases:
        raise _mixed(kinds, wanted)
    return bases[kind]


def _mixed(kinds: Mapping[str, str], wanted: str | None) -> TypeRefusedError:
    found = " and ".join(f"{kind} ({place})" for kind, place in kinds.items())
    return TypeRefusedError(
        problem=f"holds {found or 'nothing but empty lists'}",
        expected=f"what can be {wanted}" if wanted else "one kind of value in all rows",
        todo=""
        if wanted
        else "Mend the source; of a CSV file --types NAME=str takes the column as texts.",
    )


def _int_type(seen: SeenColumn, place: str) -> ColumnType:
    if seen.low >= -(2**63) and seen.high < 2**63:
        return ColumnType(dtype="int64")
    if seen.low >= 0 and seen.high < 2**64:
        return ColumnType(dtype="uint64")
    raise TypeRefusedError(
        problem=f"holds whole numbers from {seen.low} to {seen.high} "
        f"({seen.beyond or place})",
        expected="what 64 bits hold",
        todo="Of a CSV file --types NAME=str takes it as texts.",
    )


def _exact_float(seen: SeenColumn) -> ColumnType:
    if seen.beyond:
        raise TypeRefusedError(
            problem="holds floats or nulls, and a whole number beyond 2^53 "
            f"({seen.beyond})",
            expected="whole numbers that a float holds exactly",
            todo=f"--types NAME={FLOAT_TYPE} takes the nearest float.",
        )
    return ColumnType(dtype="float64")


def _refuse_nulls(
    seen: SeenColumn, base: ColumnType, *, may_be_nan: bool, has_lone: bool
) -> None:
    kind = NULL if NULL in seen.kinds else EMPTY
    # A text may be empty.
    if kind not in seen.kinds or (kind == EMPTY and base.is_text):
        return
    is_number = has_lone and base.dtype in {"float64", "float32", "int64", "uint64"}
    if is_number and may_be_nan:
        return
    said = "is null" if kind == NULL else "has an empty cell"
    raise TypeRefusedError(
        problem=f"{said} ({seen.kinds[kind]})",
        expected="a value in every row",
        todo="Fill it in the source, or leave the column out."
        + " --null nan makes NaN of it." * is_number,
    )


def _shaped(seen: SeenColumn, base: ColumnType, *, unwraps_one: bool) -> ColumnType:
    shapes = dict(seen.shapes)
    if not shapes or set(shapes) == {()} or (unwraps_one and set(shapes) == {(1,)}):
        return base
    # A list of no elements does not say what its elements would be.
    full = [shape for shape in shapes if shape != (0,)] or [(0,)]
    if () in shapes or len({shape[1:] for shape in full}) > 1:
        found = " and ".join(f"{shape} ({place})" for shape, place in shapes.items())
        raise TypeRefusedError(
            problem=f"holds values of the shapes {found}",
            expected="rows that differ in their length alone",
        )
    if len(shapes) == 1:
        return ColumnType(dtype=base.dtype, shape=full[0])
    return ColumnType(dtype=base.dtype, shape=full[0][1:], is_ragged=True)


def observed_ints(values: Sequence[int], first_row: int = 0) -> Observed:
    """Return what whole numbers are, one a row from ``first_row`` on."""
    low, high = min(values, default=0), max(values, default=0)
    beyond = None
    if max(-low, high) > LARGEST_EXACT:
        beyond = first_row + next(
            i for i, value in enumerate(values) if abs(value) > LARGEST_EXACT
        )
    kinds = {INT: first_row} if values else {}
    return Observed(kinds=kinds, low=min(0, low), high=max(0, high), beyond=beyond)
