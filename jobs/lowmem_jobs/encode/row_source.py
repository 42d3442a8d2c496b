"""What is encoded: images, the rows of an array, or lines of text. No NumPy, no Zarr."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base import UsageError, path_from_text
from lowmem.mapping import find_source
from lowmem.stores import images_at_once, images_to_use
from lowmem_jobs.encode.line_file import find_lines

if TYPE_CHECKING:
    from pathlib import Path

    from lowmem import Context, PlanContext
    from lowmem.mapping import MapSource
    from lowmem.stores import Images
    from lowmem_jobs.encode.line_file import LineFile

_MOST_AT_ONCE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSource:
    """Rows to be encoded.

    Attributes
    ----------
    found
        Where they are, as its kind describes it.
    path
        The store or the file.
    n_rows
        How many there are.
    row_shape
        Of one row; None of text.
    row_bytes
        Of one row, decoded; 0 of text, whose rows differ.
    """

    found: Images | MapSource | LineFile
    path: Path
    n_rows: int
    row_shape: tuple[int, ...] | None
    row_bytes: int = 0

    @property
    def at_once(self) -> int:
        """How many rows are encoded together where the user does not say."""
        return images_at_once(self.row_bytes, most=_MOST_AT_ONCE)


def row_source(ctx: PlanContext | Context) -> RowSource:
    """Return what ``--source`` names, else the images of ``--data`` or the workspace.

    A folder and a ``.npy`` file are arrays; any other file is lines of text.

    Raises
    ------
    UsageError
        If both are given, or a relative path is there twice.
    DataError
        If it is missing, or nothing that has rows.
    """
    text = ctx.options["source"]
    if text is None:
        images = images_to_use(ctx.options, ctx.workspace)
        return RowSource(
            found=images,
            path=images.store,
            n_rows=images.n_images,
            row_shape=images.image_shape,
            row_bytes=images.image_bytes,
        )
    if ctx.options["data"]:
        raise UsageError(
            f"--source {text} and --data {ctx.options['data']} are both given, expected "
            "one of them: --data is for images, --source for any rows."
        )
    here = path_from_text(text)
    if here.is_file() and here.suffix.lower() != ".npy":
        lines = find_lines(here)
        return RowSource(found=lines, path=here, n_rows=lines.n_lines, row_shape=None)
    array = find_source(text, ctx.workspace)
    return RowSource(
        found=array,
        path=array.path,
        n_rows=array.n_rows,
        row_shape=array.shape[1:],
        row_bytes=array.row_bytes,
    )
