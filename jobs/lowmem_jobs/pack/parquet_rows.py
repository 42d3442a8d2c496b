"""Rows of Parquet files, row group by row group, some of each at a time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lowmem.base import DataError
from lowmem_jobs.pack.arrow_columns import arrow_rows, flat_columns
from lowmem_jobs.pack.arrow_types import declared_columns, flat_fields
from lowmem_jobs.pack.column_types import TableBlock, TypeRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from lowmem_jobs.pack.column_types import ColumnType
    from lowmem_jobs.pack.pack_recipe import PackRecipe
    from lowmem_jobs.pack.table_formats import BlockLimits

# Of a column's pages, which are read through it.
_BUFFER_BYTES = 2**18
# Of a value in memory; of a text or bytes that of the code that stands for it.
_VALUE_BYTES = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "FLOAT": 4, "DOUBLE": 8}
_CODE_BYTES = 4
# Of texts of which codes are read; those of more would fill a dictionary in memory.
_MOST_CODED_BYTES = 2**22


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
    """Yield the rows from (row group, row in it) on.

    Where few bytes of a dictionary stand for texts of any number, its codes are read, and
    texts made of them some rows at a time.
    """
    group, done = position or (0, 0)
    with _opened(path) as file:
        told = file.metadata
        wanted = sorted({_top(name, file) for name in types})
    for number in range(group, told.num_row_groups):
        chunks = _chunks(told.row_group(number), wanted)
        texts = [chunk.path_in_schema for chunk in chunks if _is_short(chunk)]
        n_told, row = told.row_group(number).num_rows, 0
        size = limits.rows_of(_row_bytes(chunks, n_told, types))
        with _opened(path, metadata=told, read_dictionary=texts) as file:
            for batch in file.iter_batches(
                size, row_groups=[number], columns=wanted, use_threads=False
            ):
                # Of a row group that was begun the rows before are decoded again.
                rest = batch.slice(max(0, done - row))
                row += len(batch)
                arrays = [one for one in flat_columns(rest) if one[0] in types]
                for start, stop in _parts(arrays, types, len(rest), limits.n_bytes):
                    parts = (
                        (name, _plain(array.slice(start, stop - start), types[name]))
                        for name, array in arrays
                    )
                    yield TableBlock(
                        columns=arrow_rows(
                            parts, types, is_nan_null=recipe.is_nan_null
                        ),
                        n_rows=stop - start,
                        position=(number, row - len(rest) + stop),
                    )
        if row != n_told:
            raise _damaged(path, f"gives {row} of {n_told} rows of a group")
        done = 0


def _chunks(group: Any, wanted: Sequence[str]) -> list[Any]:  # noqa: ANN401
    """Return what is told of the wanted columns of a row group."""
    found = [group.column(place) for place in range(group.num_columns)]
    tops = tuple(f"{top}." for top in wanted)
    return [one for one in found if f"{one.path_in_schema}.".startswith(tops)]


def _is_short(chunk: Any) -> bool:  # noqa: ANN401
    """Return whether texts take few bytes in the file, but maybe many in memory."""
    is_coded = chunk.physical_type == "BYTE_ARRAY" and chunk.has_dictionary_page
    return bool(is_coded and chunk.total_uncompressed_size <= _MOST_CODED_BYTES)


def _row_bytes(
    chunks: Sequence[Any], n_rows: int, types: Mapping[str, ColumnType]
) -> float:
    """Return the mean bytes of a row of a group, as it is read."""
    # Equal values take next to nothing in the file.
    n_bytes = sum(
        max(
            chunk.total_uncompressed_size,
            chunk.num_values * _VALUE_BYTES.get(chunk.physical_type, _CODE_BYTES),
        )
        for chunk in chunks
    )
    told = sum(kind.row_bytes for kind in types.values() if not kind.is_ragged)
    return float(max(told, n_bytes / max(1, n_rows)))


def _is_codes(array: Any, column: ColumnType) -> bool:  # noqa: ANN401
    return bool(pa.types.is_dictionary(array.type)) and column.is_ragged


def _plain(array: Any, column: ColumnType) -> Any:  # noqa: ANN401
    return array.dictionary_decode() if _is_codes(array, column) else array


def _parts(
    arrays: Sequence[tuple[str, Any]],
    types: Mapping[str, ColumnType],
    n_rows: int,
    n_bytes: int,
) -> Iterator[tuple[int, int]]:
    """Yield where rows begin and end whose texts and bytes have no more than some bytes.

    Raises
    ------
    ArrowInvalid
        If a code stands for nothing, which Arrow does not look at.
    """
    row_bytes = np.zeros(n_rows, np.int64)
    for name, array in arrays:
        if _is_codes(array, types[name]):
            lengths = pc.fill_null(pc.binary_length(array.dictionary), 0).to_numpy()
            is_there = array.indices.is_valid().to_numpy(zero_copy_only=False)
            codes = array.indices.drop_null().to_numpy()
            if len(codes) and not 0 <= codes.min() <= codes.max() < len(lengths):
                raise pa.ArrowInvalid("a code is beyond its dictionary")
            row_bytes[is_there] += lengths[codes]
    ends = np.cumsum(row_bytes)
    start = 0
    while start < n_rows:
        before = int(ends[start - 1]) if start else 0
        fitting = int(np.searchsorted(ends, before + n_bytes, "right"))
        stop = max(start + 1, fitting)
        yield start, stop
        start = stop


def _top(name: str, file: Any) -> str:  # noqa: ANN401 - Arrow has no types
    """Return the column of the file that a column is in, or is."""
    names = file.schema_arrow.names
    parts = name.split(".")
    tops = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next(top for top in tops if top in names)


@contextmanager
def _opened(path: Path, **options: Any) -> Iterator[Any]:  # noqa: ANN401
    try:
        with pq.ParquetFile(
            path,
            pre_buffer=False,
            buffer_size=_BUFFER_BYTES,
            page_checksum_verification=True,
            **options,
        ) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, f"cannot be read ({error})") from error


def _damaged(path: Path, problem: str) -> DataError:
    return DataError(thing=path, problem=problem, expected="a whole Parquet file")
