"""What of a job that is divided into shards a worker is asked for."""

from __future__ import annotations

import msgspec


class Division(msgspec.Struct, frozen=True, kw_only=True):
    """One shard's blocks, or all blocks that the shards have made.

    Attributes
    ----------
    board
        The folder that the shards share, see `lowmem.shards.board`.
    index, count
        Which shard of how many; a count of 0 asks for the blocks to be put together.
    holder
        Who claims.
    lease_s
        See `lowmem.shards.claiming`.
    """

    board: str
    index: int = 0
    count: int = 0
    holder: str = ""
    lease_s: int = 0

    @property
    def is_merge(self) -> bool:
        """Whether all blocks are to be put together."""
        return not self.count
