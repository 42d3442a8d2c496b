"""Map: read call by call, write block by block, and be cut between any two blocks."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.mapping.naming import MAKER
from lowmem.mapping.rowwise import Function
from lowmem.mapping.sizes import calls_in_block
from lowmem.mapping.source_rows import open_rows
from lowmem.mapping.unchanged_file import FILE, UnchangedFile, identity_of_file
from lowmem.protocol.commit_point import CommitPoint
from lowmem.protocol.job import Result
from lowmem.protocol.row_blocks import RowBlocks
from lowmem.stores.read_ahead import read_ahead
from lowmem.stores.row_reader import RowReader
from lowmem.stores.row_writer import RowWriter, write_group_attributes

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

    from lowmem.mapping.map_source import MapSource
    from lowmem.mapping.map_task import MapTask
    from lowmem.mapping.source_rows import Reader
    from lowmem.protocol.context import Context

    Rows = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Mapping:
    """What one map reads, calls and writes.

    Attributes
    ----------
    rows
        Of one call.
    like
        Results of the shape and the type that all of them have; of no rows.
    first
        The result of the first call, if it was made already.
    notes
        What the report should say of the function.
    """

    source: MapSource
    unchanged: UnchangedFile
    reader: Reader
    function: Function
    rows: int
    like: Rows
    first: list[Rows]
    notes: tuple[str, ...]

    @property
    def block_rows(self) -> int:
        """Rows of one chunk of the result."""
        result_bytes = self.rows * self.like.dtype.itemsize
        result_bytes *= int(np.prod(self.like.shape[1:], dtype=np.int64))
        call_bytes = self.rows * self.source.row_bytes
        return self.rows * calls_in_block(call_bytes, result_bytes)

    def calls(self, first: int, last: int, held: int) -> Iterator[tuple[int, Rows]]:
        """Yield (first row, rows) of each call from row ``first`` to ``last``."""
        starts = range(first, last, self.rows)

        def read(index: int) -> tuple[int, Rows]:
            start = starts[index]
            return start, self.reader.read(start, min(start + self.rows, last))

        if held == 1:
            yield from map(read, range(len(starts)))
        else:
            yield from read_ahead(read, len(starts), queue_depth=held - 1)


def mapped(ctx: Context, task: MapTask) -> Generator[CommitPoint, None, Result]:
    """Map from the last commit on, offering one after each block."""
    source = task.source(ctx)
    # Before the first byte is read: a change from here on is seen by the next plan.
    file = identity_of_file(source.path)
    mapping = _begun(ctx, task, source)
    for note in () if ctx.state else mapping.notes:
        ctx.note(note)
    store, array = ctx.staging / task.out.store, task.out.array
    done = int(ctx.state.get("rows", 0))
    if "dtype" in ctx.state:
        _refuse_other_function(mapping, RowReader.open(store, array), done)
    write_group_attributes(store, _attributes(task, mapping))
    writer = RowWriter.open(
        store,
        array,
        row_shape=mapping.like.shape[1:],
        dtype=mapping.like.dtype,
        chunk_rows=mapping.block_rows,
        n_rows=done,
        codec=ctx.options["codec"],
    )
    described = {FILE: file, **_described(mapping)}
    for block in _blocks(mapping, done, source.n_rows, ctx.settings.get("held", 1)):
        writer.append(block)
        ctx.progress(writer.n_rows, source.n_rows)
        yield CommitPoint(
            items=len(block),
            state={"rows": writer.n_rows, **described},
            flush=writer.flush,
        )
    writer.flush()
    return Result(publish=[task.out.store], summary=_summary(mapping))


@contextmanager
def mapped_blocks(ctx: Context, task: MapTask) -> Iterator[RowBlocks]:
    """Open the source: any block of the result is mapped by itself."""
    mapping = _begun(ctx, task, task.source(ctx))

    def make(start: int, stop: int) -> Rows:
        (block,) = _blocks(mapping, start, stop, ctx.settings.get("held", 1))
        return block

    yield RowBlocks(
        store=task.out.store,
        array=task.out.array,
        n_rows=mapping.source.n_rows,
        block_rows=mapping.block_rows,
        row_shape=mapping.like.shape[1:],
        dtype=mapping.like.dtype.name,
        codec=ctx.options["codec"],
        make=make,
        attributes=_attributes(task, mapping),
        notes=mapping.notes,
        summary=_summary(mapping),
    )


def _attributes(task: MapTask, mapping: _Mapping) -> dict[str, Any]:
    return {MAKER: {"job": task.job, "rows": mapping.rows}}


def _described(mapping: _Mapping) -> dict[str, Any]:
    like = mapping.like
    return {"row_shape": list(like.shape[1:]), "dtype": like.dtype.name}


def _summary(mapping: _Mapping) -> dict[str, Any]:
    n_rows = mapping.source.n_rows
    return {"n": n_rows, "rows_of_a_call": mapping.rows, **_described(mapping)}


def _begun(ctx: Context, task: MapTask, source: MapSource) -> _Mapping:
    """Return the mapping, whose function was tried if nothing is done yet."""
    rows = task.rows(ctx, source)
    unchanged = UnchangedFile.at(source.path)
    reader = open_rows(source, call_rows=rows, held=ctx.settings.get("held", 1))
    function = Function(job=task.job, of_rows=task.loaded(ctx))
    first: list[Rows] = []
    notes: tuple[str, ...] = ()
    if "dtype" in ctx.state:
        like = np.empty((0, *ctx.state["row_shape"]), ctx.state["dtype"])
    else:
        result, is_exact = function.tried(reader.read(0, min(rows, source.n_rows)))
        if not is_exact:
            said = (
                "the last digits of the result depend on how many rows the function is "
                f"given at once: always {rows}, which belongs to the recipe"
            )
            notes = (said,)
        like, first = result[:0].copy(), [result]
    return _Mapping(
        source=source,
        unchanged=unchanged,
        reader=reader,
        function=function,
        rows=rows,
        like=like,
        first=first,
        notes=notes,
    )


def _refuse_other_function(mapping: _Mapping, made: RowReader, done: int) -> None:
    """Make the last call before the commit once more, and hold it against the store."""
    start = (done - 1) // mapping.rows * mapping.rows
    result = mapping.function(mapping.reader.read(start, done), start)
    mapping.function.refuse_unless_like(result, mapping.like, start)
    mapping.function.refuse_unless_same(result, made.read(start, done), start)


def _blocks(mapping: _Mapping, first: int, last: int, held: int) -> Iterator[Rows]:
    """Yield the results of whole blocks, in memory that is used again.

    None of a source that changed while they were made.

    Parameters
    ----------
    first, last
        The row that begins the first block, and the one behind the last block.
    """
    size = mapping.block_rows
    into, filled = None, 0
    for start, rows in mapping.calls(first, last, held):
        is_made = start == 0 and mapping.first
        result = mapping.first.pop() if is_made else mapping.function(rows, start)
        mapping.function.refuse_unless_like(result, mapping.like, start)
        stop = start + len(rows)
        if size == mapping.rows:
            mapping.unchanged.refuse_changed()
            yield result
            continue
        if into is None:
            into = np.empty((size, *mapping.like.shape[1:]), mapping.like.dtype)
        into[filled : filled + len(rows)] = result
        filled += len(rows)
        if filled == size or stop == last:
            mapping.unchanged.refuse_changed()
            yield into[:filled]
            filled = 0
