"""The files of a pack, block by block from where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lowmem_jobs.pack.column_types import ColumnType, RowRefusedError, TableBlock
from lowmem_jobs.pack.table_formats import (
    FORMATS,
    BlockLimits,
    declared_reader,
    seen_reader,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lowmem import Context
    from lowmem_jobs.pack.pack_recipe import PackRecipe
    from lowmem_jobs.pack.table_files import TableFile, UnchangedFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class PackProgress:
    """Where a pack stands between two blocks.

    Attributes
    ----------
    is_looking
        Whether values are looked at, before any is stored.
    file, position, row
        The file, the place in it, and the row of it, where the next block begins.
    rows_of
        Rows of each file before it.
    n_blank
        Lines that hold nothing, and are no rows.
    seen
        What was seen of each column, in the order in which they came.
    files
        Of each file its stamp and fingerprint.
    written
        Where the writers stand.
    """

    is_looking: bool = True
    file: int = 0
    position: Sequence[int] = ()
    row: int = 0
    rows_of: Sequence[int] = ()
    n_blank: int = 0
    seen: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    files: Sequence[Any] = ()
    written: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Rows so far, of all files."""
        return sum(self.rows_of) + self.row

    def after(self, block: TableBlock) -> PackProgress:
        """Return where it stands after a block."""
        return replace(
            self,
            position=block.position,
            row=self.row + block.n_rows,
            n_blank=self.n_blank + block.n_blank,
        )

    def in_next_file(self) -> PackProgress:
        """Return where it stands at the beginning of the next file."""
        return replace(
            self,
            file=self.file + 1,
            position=(),
            row=0,
            rows_of=[*self.rows_of, self.row],
        )


@dataclass(slots=True, kw_only=True)
class TableSource:
    """What is read, and how.

    Attributes
    ----------
    types
        Of the wanted columns; empty while values are looked at.
    """

    ctx: Context
    recipe: PackRecipe
    files: list[TableFile]
    unchanged: UnchangedFiles
    types: Mapping[str, ColumnType]

    @property
    def format(self) -> str:
        """The kind of all files."""
        return self.files[0].format

    @property
    def is_declared(self) -> bool:
        """Whether the files say what their columns are."""
        return FORMATS[self.format].is_declared

    def blocks(self, done: PackProgress) -> Iterator[tuple[TableBlock, PackProgress]]:
        """Yield each block with where it stands behind it.

        Raises
        ------
        DataError
            If a row cannot be read, or a file changed.
        """
        settings = self.ctx.settings
        limits = BlockLimits(
            n_bytes=settings["block_kib"] * 1024, n_rows=settings["block_rows"]
        )
        while done.file < len(self.files):
            path = self.files[done.file].path
            self.unchanged.refuse_changed(done.file)
            position = tuple(done.position)
            try:
                found = (
                    declared_reader(self.format).blocks(
                        path, position, limits, self.recipe, self.types
                    )
                    if self.is_declared
                    else seen_reader(self.format).blocks(
                        path, position, limits, self.recipe
                    )
                )
                for block in found:
                    self.unchanged.refuse_changed(done.file)
                    yield block, (done := done.after(block))
            except RowRefusedError as error:
                self.unchanged.refuse_changed(done.file)
                raise error.at(path, done.row) from error
            self.unchanged.refuse_changed(done.file)
            done = done.in_next_file()
