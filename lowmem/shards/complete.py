"""Whether the blocks of a job can be put together: all there, and one of each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError
from lowmem.base.errors_shards import DisputedBlockError, MissingBlocksError
from lowmem.shards.claims import disputed, is_done

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lowmem.shards.claims import BoardView


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockTally:
    """How far the shards of a job are.

    Attributes
    ----------
    n_blocks
        How many blocks there are; None where nobody has begun, or two releases say so
        differently.
    missing
        Those that are not done.
    n_claimed
        Of those, how many somebody has claimed, alive or not.
    """

    n_blocks: int | None
    missing: Sequence[int]
    n_claimed: int

    @property
    def n_done(self) -> int:
        """Blocks that are done."""
        return (self.n_blocks or 0) - len(self.missing)

    @property
    def is_complete(self) -> bool:
        """Whether all are done."""
        return self.n_blocks is not None and not self.missing


def tally_of(view: BoardView) -> BlockTally:
    """Return how far the shards are that a view tells of."""
    n_blocks = next(iter(view.n_blocks)) if len(view.n_blocks) == 1 else None
    missing = [b for b in range(n_blocks or 0) if not is_done(view, b)]
    n_claimed = sum(bool(view.claims.get(block)) for block in missing)
    return BlockTally(n_blocks=n_blocks, missing=missing, n_claimed=n_claimed)


def refuse_two_divisions(job: str, n_blocks: Collection[int]) -> None:
    """Refuse blocks of one number beside those of another: they hold other rows.

    Raises
    ------
    DataError
        Naming both.
    """
    if len(n_blocks) > 1:
        raise DataError(
            thing=f"the blocks of {job}",
            problem=f"are {' and '.join(map(str, sorted(n_blocks)))} in number",
            expected="one number, that of one release of lowmem",
            todo="Have the release that made the first make the others, or remove the "
            "folder .lowmem/shards of the workspace.",
        )


def refuse_incomplete(job: str, view: BoardView) -> None:
    """Refuse to put blocks together that are not all there, or are two of one.

    Raises
    ------
    MissingBlocksError
        If some are not done.
    DisputedBlockError
        If one was made twice, with two results.
    DataError
        If the markers do not agree on how many blocks there are.
    """
    refuse_two_divisions(job, view.n_blocks)
    tally = tally_of(view)
    if not tally.is_complete:
        raise MissingBlocksError(
            job=job, missing=tally.missing, n_blocks=tally.n_blocks or 0
        )
    if blocks := disputed(view):
        raise DisputedBlockError(job=job, blocks=blocks)
