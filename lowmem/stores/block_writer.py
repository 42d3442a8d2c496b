"""Write a store from its blocks, in order, and be cut between any two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.protocol.commit_point import CommitPoint
from lowmem.protocol.job import Result
from lowmem.stores.row_writer import RowWriter, write_group_attributes

if TYPE_CHECKING:
    from collections.abc import Generator

    from lowmem.protocol.context import Context
    from lowmem.protocol.row_blocks import RowBlocks


def write_blocks(
    ctx: Context, blocks: RowBlocks
) -> Generator[CommitPoint, None, Result]:
    """Make the blocks that are not committed and write them, offering a commit after each.

    The same files whether the rows are made here or were made elsewhere: `RowBlocks.make`
    is asked for one block after the other.
    """
    for note in blocks.notes:
        ctx.note(note)
    store, done = ctx.staging / blocks.store, int(ctx.state.get("rows", 0))
    if blocks.attributes:
        write_group_attributes(store, blocks.attributes)
    writer = RowWriter.open(
        store,
        blocks.array,
        row_shape=blocks.row_shape,
        dtype=blocks.dtype,
        chunk_rows=blocks.block_rows,
        n_rows=done,
        codec=blocks.codec,
    )
    for block in range(-(-done // blocks.block_rows), blocks.n_blocks):
        start, stop = blocks.span(block)
        writer.append(blocks.make(start, stop))
        ctx.progress(stop, blocks.n_rows)
        yield CommitPoint(items=stop - start, state={"rows": stop}, flush=writer.flush)
    writer.flush()
    return Result(publish=[blocks.store], summary=blocks.summary)
