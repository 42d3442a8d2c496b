"""A table of labels read whole: refused, or one number for each name in it.

Only the standard library: the planner reads it too, so that a table which no ingest can
use is refused before any work.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem_jobs.ingest.entries import name_hash
from lowmem_jobs.ingest.label_columns import label_column
from lowmem_jobs.ingest.label_lines import text_lines
from lowmem_jobs.ingest.label_values import LabelValues

if TYPE_CHECKING:
    from lowmem_jobs.ingest.label_choice import LabelChoice


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelTable:
    """What a table says, in the order of its lines.

    Attributes
    ----------
    class_names
        The classes by their numbers; none where the labels are numbers.
    hashes : array of uint64
        Of the names of the pictures.
    numbers : array of int32
        Their labels.
    example
        The first name.
    """

    class_names: tuple[str, ...]
    hashes: array[int]
    numbers: array[int]
    example: str


def read_label_table(choice: LabelChoice) -> LabelTable:
    """Return the column of a table that is asked for.

    Raises
    ------
    DataError
        If the table is none, or the column is: see `text_lines`, `label_column` and
        `LabelValues`. Two lines of one picture are not looked for.

    Notes
    -----
    Memory: 12 bytes a line, and while it grows as much again; names and the other
    columns are not held. Time: 1 s for the 202,599 lines of 41 fields of CelebA's list.
    """
    column = label_column(choice, text_lines(choice.path))
    signs = column.title if column.is_counted else ""
    values = LabelValues(lambda line: f"{choice.path}, line {line.number}", signs)
    hashes, example = array("Q"), ""
    for line in column.lines:
        values.add(line)
        hashes.append(name_hash(line.name))
        example = example or line.name
    class_names, numbers = values.classes()
    return LabelTable(
        class_names=class_names, hashes=hashes, numbers=numbers, example=example
    )


def line_numbers(choice: LabelChoice, places: tuple[int, ...]) -> list[tuple[int, str]]:
    """Return number and name of the lines at places among those of pictures."""
    column = label_column(choice, text_lines(choice.path))
    return [
        (line.number, line.name)
        for place, line in enumerate(column.lines)
        if place in places
    ]
