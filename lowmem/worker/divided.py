"""A job that is divided: the work of one shard, and what puts all blocks together.

Both take the place of the job's own generator, so that cycles, commits, budgets and
signals are those of any run. A shard publishes nothing: what it makes goes to the board.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lowmem.base.clock import SystemClock
from lowmem.base.errors import DataError
from lowmem.base.errors_shards import MissingBlocksError
from lowmem.base.software import software_versions
from lowmem.protocol.commit_point import CommitPoint
from lowmem.protocol.job import Result
from lowmem.protocol.row_blocks import RowBlocks
from lowmem.shards.board import Board
from lowmem.shards.claiming import Claimant
from lowmem.shards.claims import candidates
from lowmem.shards.complete import refuse_incomplete
from lowmem.shards.shard import Shard
from lowmem.shards.storage import Folder
from lowmem.stores.block_writer import write_blocks
from lowmem.worker.block_file import (
    head_and_rows,
    head_of,
    parts_of,
    told_from,
    told_of,
)
from lowmem.worker.registry import blocks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from numpy.typing import NDArray

    from lowmem.protocol.context import Context
    from lowmem.protocol.division import Division
    from lowmem.protocol.job import Job
    from lowmem.protocol.messages import Run
    from lowmem.shards.claims import BoardView
    from lowmem.worker.block_file import Head

    Points = Generator[CommitPoint, None, Result]

_WAITING = (
    "all that is left of this share is claimed by others: it waits for them, or for their "
    "leases to end"
)
# seconds before the end of the time budget in which nothing is waited for any more.
_IN_TIME_S = 5.0


def divided(
    job: Job, request: Run, division: Division, is_draining: Callable[[], bool]
) -> Job:
    """Return the job whose work is what ``division`` asks for."""
    clock = SystemClock()
    board = Board(Folder(Path(division.board)), clock)
    if division.is_merge:
        return replace(job, work=lambda ctx: _merged(ctx, job.name, board))

    def is_wanted_elsewhere() -> bool:
        left_s = None
        if request.deadline is not None:
            left_s = request.deadline - clock.monotonic()
        return is_draining() or (left_s is not None and left_s < _IN_TIME_S)

    def work(ctx: Any) -> Points:  # noqa: ANN401 - the worker's context
        with blocks_of(job)(ctx) as blocks:
            claimant = Claimant(
                job=job.name,
                board=board,
                shard=Shard(index=division.index, count=division.count),
                n_blocks=blocks.n_blocks,
                holder=division.holder,
                lease_s=division.lease_s,
                clock=clock,
                is_wanted_elsewhere=is_wanted_elsewhere,
                tell_waiting=lambda: ctx.log(_WAITING),
            )
            return (yield from _made(ctx, job.name, blocks, claimant))

    # Its results are the board's, and its outputs those of who puts them together.
    return replace(job, work=work, outputs=())


# --- one shard ----------------------------------------------------------------------


def _made(ctx: Context, job: str, blocks: RowBlocks, claimant: Claimant) -> Points:
    """Make the blocks of one share, offering a commit after each."""
    for note in blocks.notes:
        ctx.note(note)
    head = head_of(job, blocks)
    told = told_of(blocks, software_versions(os.environ), ctx.device)
    n_made = int(ctx.state.get("blocks", 0))
    for claim in claimant.claims():
        if claim is None:
            # Nothing to do but to wait for others, which is not to hold up an end.
            yield CommitPoint(state={"blocks": n_made}, is_due=True)
            continue
        start, stop = blocks.span(claim.attempt.block)
        rows = blocks.make(start, stop)
        parts = parts_of(head, rows, n_rows=stop - start)
        is_own = claimant.board.publish(claim, parts, made_by=told)
        del rows, parts
        n_made += is_own
        _show(ctx, blocks, claimant, stop)
        yield CommitPoint(items=(stop - start) * is_own, state={"blocks": n_made})
    return Result(summary={"shard": str(claimant.shard), "blocks": n_made})


def _show(ctx: Context, blocks: RowBlocks, claimant: Claimant, row: int) -> None:
    """Show how far the share is, in rows: as far as the last block that was made here."""
    own = claimant.blocks
    first, last = blocks.span(own.start)[0], blocks.span(own.stop - 1)[1]
    ctx.progress(row - first, last - first)


# --- all shards ---------------------------------------------------------------------


def _merged(ctx: Context, job: str, board: Board) -> Points:
    """Put the blocks together in the order of their rows.

    Raises
    ------
    MissingBlocksError
        If some are not done.
    DisputedBlockError
        If one was made twice, with two results.
    DataError
        If blocks are damaged, or of two releases that do not fit together.
    """
    view = board.whole_view()
    refuse_incomplete(job, view)
    taken = _Taken(board=board, job=job, view=view)
    head = taken.block(0)[0]
    blocks = RowBlocks(
        store=head.store,
        array=head.array,
        n_rows=head.n_rows,
        block_rows=head.block_rows,
        row_shape=head.row_shape,
        dtype=np.dtype(head.dtype).name,
        codec=head.codec,
        attributes=head.attributes,
        notes=taken.notes(),
        summary=head.summary,
        make=lambda start, _: taken.rows(start, head),
    )
    return (yield from write_blocks(ctx, blocks))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """The outputs that count."""

    board: Board
    job: str
    view: BoardView

    def block(self, block: int) -> tuple[Head, NDArray[Any]]:
        """Return the head and the rows of a block.

        A damaged output is taken back, so that the shard makes the block again.
        """
        for output in candidates(self.view, block):
            data = self.board.rows(output)
            if data is not None:
                return head_and_rows(data, output.attempt.file)
            self.board.void(output)
        raise MissingBlocksError(
            job=self.job,
            missing=[block],
            n_blocks=next(iter(self.view.n_blocks)),
            problem="is damaged: its SHA-256 is not that recorded when it was made",
        )

    def rows(self, start: int, expected: Head) -> NDArray[Any]:
        """Return the rows of the block that begins at a row."""
        block = start // expected.block_rows
        head, rows = self.block(block)
        if head != expected:
            raise DataError(
                thing=f"block {block} of {self.job}",
                problem=f"says {msgspec.json.encode(head).decode()}",
                expected=f"what the first says: {msgspec.json.encode(expected).decode()}",
                todo="Have the same release of lowmem make all blocks.",
            )
        return rows

    def notes(self) -> list[str]:
        """Return what the shards noted, each once; and that machines differ, if they do."""
        notes: dict[str, None] = {}
        kinds: Counter[str] = Counter()
        for block in sorted(self.view.outputs):
            told = told_from(self.board.made_by(candidates(self.view, block)[0]))
            notes |= dict.fromkeys(told.notes)
            kinds[_said(told.made_by)] += 1
        if len(kinds) > 1:
            of_each = "; ".join(f"{n} by {kind}" for kind, n in kinds.most_common())
            said = (
                f"the blocks were made by {len(kinds)} kinds of machine or software, "
                f"whose last digits may differ: {of_each}"
            )
            notes[said] = None
        return list(notes)


def _said(made_by: Mapping[str, str]) -> str:
    words = (f"{name} {made_by[name]}" for name in sorted(made_by))
    return ", ".join(words) or "an unknown one"
