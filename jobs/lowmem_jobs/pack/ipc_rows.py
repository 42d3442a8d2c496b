"""Rows of Arrow's own files and streams, Feather among them, batch by batch.

Mapped, so that an uncompressed batch of any size takes no memory; a compressed one is
unpacked whole.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lowmem.base import DataError
from lowmem_jobs.pack.arrow_columns import arrow_rows, flat_columns
from lowmem_jobs.pack.arrow_types import declared_columns
from lowmem_jobs.pack.column_types import TableBlock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lowmem_jobs.pack.column_types import ColumnType
    from lowmem_jobs.pack.pack_recipe import PackRecipe
    from lowmem_jobs.pack.table_formats import BlockLimits

_FILE_MAGIC, _FEATHER_1 = b"ARROW1", b"FEA1"
# With which every writer of today closes a stream.
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def declared(path: Path, recipe: PackRecipe) -> Mapping[str, ColumnType]:
    """Return the wanted columns."""
    with _opened(path) as (schema, _):
        return declared_columns(schema, path, recipe, has_own_order=True)


def blocks(
    path: Path,
    position: tuple[int, ...],
    limits: BlockLimits,
    recipe: PackRecipe,
    types: Mapping[str, ColumnType],
) -> Iterator[TableBlock]:
    """Yield the rows from (batch, row in it) on."""
    first, done = position or (0, 0)
    with _opened(path) as (_, batches):
        for number, batch in enumerate(batches):
            if number < first:
                continue
            size = limits.rows_of(batch.nbytes / max(1, len(batch)))
            for start in range(done, len(batch), size):
                part = batch.slice(start, size)
                yield TableBlock(
                    columns=arrow_rows(
                        flat_columns(part), types, is_nan_null=recipe.is_nan_null
                    ),
                    n_rows=len(part),
                    position=(number, start + len(part)),
                )
            done = 0


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Iterator[Any]]]:
    """Open a file; yield its schema and its batches."""
    try:
        with path.open("rb") as stream:
            head = stream.read(len(_FILE_MAGIC))
        if not head or head.startswith(_FEATHER_1):
            raise _no_file(path, "is empty" if not head else "is Feather of version 1")
        with pa.memory_map(str(path)) as source:
            if head == _FILE_MAGIC:
                file = pa.ipc.open_file(source)
                yield file.schema, map(file.get_batch, range(file.num_record_batches))
                return
            size = source.size()
            source.seek(max(0, size - len(_END_OF_STREAM)))
            if source.read() != _END_OF_STREAM:
                raise _no_file(path, "does not end with the mark of a stream's end")
            source.seek(0)
            stream_reader = pa.ipc.open_stream(source)
            yield stream_reader.schema, iter(stream_reader)
    except (pa.ArrowException, OSError) as error:
        raise _no_file(path, f"cannot be read ({error})") from error


def _no_file(path: Path, problem: str) -> DataError:
    return DataError(
        thing=path,
        problem=problem,
        expected="a whole Arrow file or stream, or Feather of version 2",
    )
