"""Rows of Parquet files, row group by row group, some of each at a time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from lowmem.base import DataError
from lowmem_jobs.pack.arrow_columns import arrow_rows
from lowmem_jobs.pack.arrow_types import declared_columns, flat_fields
from lowmem_jobs.pack.column_types import TableBlock, TypeRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from lowmem_jobs.pack.column_types import ColumnType
    from lowmem_jobs.pack.pack_recipe import PackRecipe
    from lowmem_jobs.pack.table_formats import BlockLimits

# Of a column's pages, which are read through it.
_BUFFER_BYTES = 2**18


def declared(path: Path, recipe: PackRecipe) -> Mapping[str, ColumnType]:
    """Return the wanted columns."""
    with _opened(path) as file:
        schema = file.schema_arrow
        types = declared_columns(schema, path, recipe, has_own_order=False)
        for name in _int96_columns(file):
            if name in types:
                raise _no_int96().at(path, name)
        return types


def _int96_columns(file: Any) -> Iterator[str]:  # noqa: ANN401 - Arrow has no types
    """Yield the columns of times in 96 bits; of a list what is in it is such a time."""
    names = [
        name
        for field in file.schema_arrow
        for name, _ in flat_fields(field, field.name)
    ]
    for number in range(len(file.schema)):
        stored = file.schema.column(number)
        if stored.physical_type == "INT96":
            within = [n for n in names if f"{stored.path}.".startswith(f"{n}.")]
            yield max(within, key=len)


def _no_int96() -> TypeRefusedError:
    # Arrow makes 64 bits of them and wraps around, without a word.
    return TypeRefusedError(
        problem="holds times of 96 bits (INT96), which lose digits or years in 64",
        expected="times of 64 bits",
        todo="Write the file anew with pyarrow's coerce_timestamps='us', or with Spark's "
        "outputTimestampType TIMESTAMP_MICROS.",
    )


def blocks(
    path: Path,
    position: tuple[int, ...],
    limits: BlockLimits,
    recipe: PackRecipe,
    types: Mapping[str, ColumnType],
) -> Iterator[TableBlock]:
    """Yield the rows from (row group, row in it) on."""
    group, done = position or (0, 0)
    with _opened(path) as file:
        wanted = sorted({_top(name, file) for name in types})
        for number in range(group, file.metadata.num_row_groups):
            told = file.metadata.row_group(number)
            size = limits.rows_of(told.total_byte_size / max(1, told.num_rows))
            row = 0
            for batch in file.iter_batches(
                size, row_groups=[number], columns=wanted, use_threads=False
            ):
                # Of a row group that was begun the rows before are decoded again.
                rest = batch.slice(max(0, done - row))
                row += len(batch)
                if len(rest):
                    yield TableBlock(
                        columns=arrow_rows(rest, types, is_nan_null=recipe.is_nan_null),
                        n_rows=len(rest),
                        position=(number, row),
                    )
            if row != told.num_rows:
                raise _damaged(path, f"gives {row} of {told.num_rows} rows of a group")
            done = 0


def _top(name: str, file: Any) -> str:  # noqa: ANN401 - Arrow has no types
    """Return the column of the file that a column is in, or is."""
    names = file.schema_arrow.names
    parts = name.split(".")
    tops = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next(top for top in tops if top in names)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with pq.ParquetFile(
            path,
            pre_buffer=False,
            buffer_size=_BUFFER_BYTES,
            page_checksum_verification=True,
        ) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, f"cannot be read ({error})") from error


def _damaged(path: Path, problem: str) -> DataError:
    return DataError(thing=path, problem=problem, expected="a whole Parquet file")
