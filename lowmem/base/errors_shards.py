"""Errors of jobs whose blocks several processes share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Blocks that are named one by one.
_SHOWN = 5


class UndividedJobError(UsageError):
    """Raised when a job is to be divided whose blocks depend on each other."""

    def __init__(self, *, job: str, reason: str, typed: str = "") -> None:
        super().__init__(
            f"job {job} has no shards, since {reason}, expected one whose blocks are "
            f"made each by itself. Run it as a whole: lowmem run {typed or job}."
        )


class MissingBlocksError(DataError):
    """Raised when blocks are to be put together that are not all made yet.

    Parameters
    ----------
    n_blocks
        How many there are; 0 where nobody has begun.
    """

    def __init__(
        self,
        *,
        job: str,
        missing: Sequence[int],
        n_blocks: int,
        problem: str = "",
    ) -> None:
        self.missing = missing
        first = ", ".join(map(str, missing[:_SHOWN]))
        more = ", ..." if len(missing) > _SHOWN else ""
        what = f"block {first}{more}" if len(missing) == 1 else f"blocks {first}{more}"
        are = "is" if len(missing) == 1 else "are"
        found = problem or f"{are} not done"
        thing, found = (what, found) if n_blocks else ("every block", "is missing")
        super().__init__(
            thing=f"{thing} of {job}",
            problem=found,
            expected=f"all {n_blocks} blocks"
            if n_blocks
            else "the blocks of its shards",
            todo="Run its shards again: the command of any of them makes all that is left "
            "with --shard 0/1. Storage that lists late shows them later.",
        )


class DisputedBlockError(DataError):
    """Raised when two attempts at a block made different rows."""

    def __init__(self, *, job: str, blocks: Sequence[int]) -> None:
        n_more = len(blocks) - 1
        super().__init__(
            thing=f"block {blocks[0]} of {job}{f' and {n_more} more' * bool(n_more)}",
            problem="was made twice, and not with the same rows",
            expected="rows that follow from the recipe alone",
            todo="Another processor or release gives other digits, or the job draws "
            "at random without a seed. Make all blocks on machines of one kind: remove "
            "the folder .lowmem/shards of the workspace and run the shards again.",
        )
