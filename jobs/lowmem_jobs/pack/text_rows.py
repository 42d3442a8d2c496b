"""Lines of plain text, a row each, without their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem_jobs.pack.column_types import (
    TEXT,
    RowRefusedError,
    TableBlock,
    text_rows_of,
)
from lowmem_jobs.pack.record_lines import LineReader
from lowmem_jobs.pack.table_files import opened_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lowmem_jobs.pack.column_types import ColumnType
    from lowmem_jobs.pack.pack_recipe import PackRecipe
    from lowmem_jobs.pack.table_formats import BlockLimits

_COLUMN = "text"


def declared(path: Path, recipe: PackRecipe) -> Mapping[str, ColumnType]:  # noqa: ARG001 - of all files
    """Return the one column."""
    return {_COLUMN: TEXT} if recipe.takes(_COLUMN) else {}


def blocks(
    path: Path,
    position: tuple[int, ...],
    limits: BlockLimits,
    recipe: PackRecipe,  # noqa: ARG001 - a reader's form
    types: Mapping[str, ColumnType],
) -> Iterator[TableBlock]:
    """Yield the lines from a position on; a line ends in LF or CR LF."""
    start = position[0] if position else 0
    with opened_bytes(path, start) as stream:
        lines = LineReader(stream, path, first_byte=start)
        while texts := _some(lines, limits):
            yield TableBlock(
                columns=dict.fromkeys(types, text_rows_of(texts)),
                n_rows=len(texts),
                position=(lines.position,),
            )


def _some(lines: LineReader, limits: BlockLimits) -> list[bytes]:
    texts: list[bytes] = []
    begin = lines.position
    while len(texts) < limits.n_rows and lines.position - begin < limits.n_bytes:
        line = lines.next_bytes()
        if line is None:
            break
        try:
            line.decode()
        except UnicodeDecodeError as error:
            raise RowRefusedError(
                row=len(texts),
                problem=f"is no UTF-8 at its byte {error.start}",
                expected="text in UTF-8",
            ) from error
        texts.append(line.removesuffix(b"\n").removesuffix(b"\r"))
    return texts
