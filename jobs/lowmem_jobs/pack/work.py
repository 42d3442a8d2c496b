"""The work of `pack`: what the columns are, then block by block into the store.

Of files that declare no types all values are looked at first, in the same blocks. Either
pass may be cut after any block: the position in the file, the rows that fill no chunk
yet and all that was seen are in the commit.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from lowmem import CommitPoint, Result
from lowmem.base import DataError
from lowmem.stores import CLASS_NAMES, write_group_attributes
from lowmem_jobs.pack.column_types import (
    ColumnRows,
    ColumnType,
    RowRefusedError,
    TableBlock,
    TypeRefusedError,
    missing_columns,
    refuse_names,
)
from lowmem_jobs.pack.column_writer import ColumnWriter
from lowmem_jobs.pack.pack_recipe import (
    FEATURES,
    SPLIT,
    STORE,
    recipe_from_options,
)
from lowmem_jobs.pack.row_splits import split_parts
from lowmem_jobs.pack.seen_values import NULL, Observed, SeenColumn, type_of
from lowmem_jobs.pack.table_arrays import TableArray, arrays_of
from lowmem_jobs.pack.table_files import TableFile, UnchangedFiles, find_table_files
from lowmem_jobs.pack.table_formats import declared_reader, seen_reader
from lowmem_jobs.pack.table_source import PackProgress, TableSource

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from lowmem import Context

FORMAT_VERSION = 1


def work(ctx: Context) -> Generator[CommitPoint, None, Result]:
    """Make ``table.zarr`` of files."""
    recipe = recipe_from_options(ctx.options)
    files = find_table_files(recipe)
    done = PackProgress(**ctx.state)
    unchanged = UnchangedFiles(files, done.files)
    done = replace(done, files=unchanged.state())
    source = TableSource(
        ctx=ctx, recipe=recipe, files=files, unchanged=unchanged, types={}
    )
    if source.is_declared:
        source.types = _declared_types(source)
        done = replace(done, is_looking=False)
    elif done.is_looking:
        done = yield from _look(source, done)
    if not source.is_declared:
        source.types = _seen_types(source, done)
    arrays = arrays_of(source.types, recipe, files[0].path)
    return (yield from _store(source, arrays, done))


# --- what the columns are --------------------------------------------------------------


def _declared_types(source: TableSource) -> Mapping[str, ColumnType]:
    """Return the columns that all files declare alike.

    Raises
    ------
    DataError
        Naming the first that is missing, or another in a later file.
    """
    reader, recipe = declared_reader(source.format), source.recipe
    first = source.files[0].path
    types = reader.declared(first, recipe)
    missing = [name for name in recipe.named if name not in types]
    if missing or not types:
        raise missing_columns(first, missing, types)
    for file in source.files[1:]:
        found = reader.declared(file.path, recipe)
        for name in {**types, **found}:
            if types.get(name) != found.get(name):
                raise _other_type(file, name, types.get(name), found.get(name), first)
    return types


def _other_type(
    file: TableFile,
    name: str,
    one: ColumnType | None,
    two: ColumnType | None,
    first: object,
) -> DataError:
    said, expected = (t.said() if t else "missing" for t in (two, one))
    return DataError(
        thing=f"{file.path}: column {name!r}",
        problem=f"is {said}",
        expected=f"{expected}, as in {first}",
        todo="Write the files alike, or leave the column out by --columns.",
    )


def _look(
    source: TableSource, done: PackProgress
) -> Generator[CommitPoint, None, PackProgress]:
    """Look at all values; return where the storing begins."""
    reader = seen_reader(source.format)
    columns = {name: SeenColumn.from_state(one) for name, one in done.seen.items()}
    first = f"row 0 of {source.files[0].path.name}"
    before = done
    for block, after in source.blocks(done):
        path, row, n_rows = source.files[after.file].path, after.row, block.n_rows

        def place(found: int, path: Path = path, row: int = row - n_rows) -> str:
            return f"row {row + found} of {path.name}"

        for name in {**columns, **block.columns}:
            if name not in columns:
                # Here, as no commit holds a name that is no text.
                refuse_names([name], path)
                columns[name] = SeenColumn()
                if before.n_rows:
                    # All rows before have none.
                    columns[name].add(Observed(kinds={NULL: 0}), lambda _: first)
            values = block.columns.get(name)
            is_there = values is not None or not n_rows
            found = reader.observed(values or []) if is_there else _NULLS
            columns[name].add(found, place)
        done = replace(after, seen={n: one.state() for n, one in columns.items()})
        before = after
        source.ctx.progress(done.n_rows, None, "looking at the values")
        yield CommitPoint(state=asdict(done))
    return PackProgress(is_looking=False, seen=done.seen, files=done.files)


_NULLS = Observed(kinds={NULL: 0})


def _seen_types(source: TableSource, done: PackProgress) -> Mapping[str, ColumnType]:
    recipe, first = source.recipe, source.files[0].path
    if not done.seen:
        raise _no_rows(source)
    missing = [name for name in recipe.named if name not in done.seen]
    if missing:
        raise missing_columns(first, missing, done.seen)
    types = {}
    for name, state in done.seen.items():
        try:
            types[name] = type_of(
                SeenColumn.from_state(state),
                wanted=recipe.types.get(name),
                is_nan_null=recipe.is_nan_null,
                is_of_texts=source.format == "csv",
                unwraps_one=source.format == "tfrecord",
            )
        except TypeRefusedError as error:
            raise error.at(first, name) from error
    return types


def _no_rows(source: TableSource) -> DataError:
    return DataError(
        thing=source.files[0].path, problem="holds no rows", expected="at least one"
    )


# --- the rows --------------------------------------------------------------------------


def _store(
    source: TableSource, arrays: Sequence[TableArray], done: PackProgress
) -> Generator[CommitPoint, None, Result]:
    ctx, recipe = source.ctx, source.recipe
    store = ctx.staging / STORE
    if not done.written:
        write_group_attributes(store, {})
    writer = ColumnWriter(
        store,
        arrays,
        codec=recipe.codec,
        state=done.written,
        waiting=ctx.arrays if done.written else {},
        has_own_order=source.format == "arrow",
    )
    for block, after in source.blocks(done):
        first_row = after.n_rows - block.n_rows
        try:
            columns = _rows_of(source, block)
            parts = _parts(source, columns, first_row, block.n_rows)
            writer.append(columns, parts)
        except RowRefusedError as error:
            path = source.files[after.file].path
            raise error.at(path, after.row - block.n_rows) from error
        done = replace(after, written=writer.state())
        ctx.progress(done.n_rows)
        yield CommitPoint(
            items=block.n_rows,
            state=asdict(done),
            arrays=writer.waiting,
            flush=writer.flush,
        )
    done = _ended(source, done)
    summary = _finish(source, arrays, writer, done)
    return Result(publish=[STORE], summary=summary)


def _rows_of(source: TableSource, block: TableBlock) -> Mapping[str, ColumnRows]:
    if source.is_declared:
        return block.columns
    reader = seen_reader(source.format)
    found = {}
    for name, column in source.types.items():
        values = block.columns.get(name, [None] * block.n_rows)
        try:
            found[name] = reader.rows_of(values, column)
        except RowRefusedError as error:
            error.column = name
            raise
    return found


def _parts(
    source: TableSource, columns: Mapping[str, ColumnRows], first_row: int, n_rows: int
) -> Any:  # noqa: ANN401 - NumPy's
    recipe = source.recipe
    if not recipe.parts:
        return None
    key = columns[recipe.split_by] if recipe.split_by is not None else None
    return split_parts(
        recipe.parts,
        seed=source.ctx.seed,
        first_row=first_row,
        n_rows=n_rows,
        key=key,
    )


def _ended(source: TableSource, done: PackProgress) -> PackProgress:
    """Return where a pack stands behind its last file; refuse one of no rows."""
    while done.file < len(source.files):
        done = done.in_next_file()
    if not done.n_rows:
        raise _no_rows(source)
    return done


def _finish(
    source: TableSource,
    arrays: Sequence[TableArray],
    writer: ColumnWriter,
    done: PackProgress,
) -> dict[str, Any]:
    recipe = source.recipe
    attributes: dict[str, dict[str, object]] = {
        FEATURES: {"columns": list(recipe.features)} if recipe.features else {},
        SPLIT: {CLASS_NAMES: list(recipe.parts)} if recipe.parts else {},
    }
    writer.finish(attributes)
    summary = {
        "rows": done.n_rows,
        "files": len(source.files),
        "columns": len(source.types),
        **({"blank_lines": done.n_blank} if done.n_blank else {}),
    }
    identities = source.unchanged.identities()
    sources = [
        {"path": str(file.path), "rows": rows, "identity": identity}
        for file, rows, identity in zip(
            source.files, done.rows_of, identities, strict=True
        )
    ]
    split = {
        "split_by": recipe.split_by,
        "shares_end_at": dict(recipe.parts),
        "seed": source.ctx.seed,
    }
    write_group_attributes(
        source.ctx.staging / STORE,
        {
            "format": "lowmem-table",
            "format_version": FORMAT_VERSION,
            "rows": done.n_rows,
            "arrays": {one.name: list(one.columns) for one in arrays},
            "sources": sources,
            **({"split": split} if recipe.parts else {}),
        },
    )
    return summary
