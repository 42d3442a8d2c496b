"""Go from claim to claim: list, decide, claim, look again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowmem.shards.board import GROUP
from lowmem.shards.claims import ClaimWatch, Over, Take, holds, next_step
from lowmem.shards.complete import refuse_two_divisions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lowmem.base.clock import Clock
    from lowmem.shards.board import Board
    from lowmem.shards.markers import Claim
    from lowmem.shards.shard import Shard

# seconds between two looks where all that is left is at work elsewhere.
LOOK_S = 2.0
# A lease is at least so many times the longest block that its holder has made.
_LEASES = 3


@dataclass(slots=True)
class Claimant:
    """One shard, which claims its blocks one after the other.

    Attributes
    ----------
    job
        Whose blocks these are, for messages.
    lease_s
        Seconds after which others may take a block over: the smallest that is claimed.
    is_wanted_elsewhere
        Asked while it waits: whether to give up waiting for now.
    tell_waiting
        Called as it begins to wait for others.
    """

    job: str
    board: Board
    shard: Shard
    n_blocks: int
    holder: str
    lease_s: int
    clock: Clock
    is_wanted_elsewhere: Callable[[], bool] = lambda: False
    tell_waiting: Callable[[], None] = lambda: None
    _longest_s: float = 0.0
    _watch: ClaimWatch = field(init=False)

    def __post_init__(self) -> None:
        self._watch = ClaimWatch(holder=self.holder)

    @property
    def blocks(self) -> range:
        """Those of its share."""
        return self.shard.blocks(self.n_blocks)

    def claims(self) -> Iterator[Claim | None]:
        """Yield each block that is its to make, until all of its share are done.

        None where it should give up waiting for others; drawn again, it waits on.
        """
        groups, is_waiting = self._groups(), False
        while groups and not self.board.is_merged:
            claim, groups = self._next(groups)
            if claim is not None:
                is_waiting = False
                began_s = self.clock.monotonic()
                yield claim
                took_s = self.clock.monotonic() - began_s
                self._longest_s = max(self._longest_s, took_s)
            elif groups:
                if not is_waiting:
                    is_waiting = True
                    self.tell_waiting()
                if self.is_wanted_elsewhere():
                    yield None
                self.clock.sleep(LOOK_S)

    def _groups(self) -> dict[int, range]:
        """Return the blocks of its share by the folder that they lie in."""
        blocks = self.blocks
        found: dict[int, range] = {}
        for group in range(blocks.start // GROUP, -(-blocks.stop // GROUP)):
            first, last = group * GROUP, (group + 1) * GROUP
            found[group] = range(max(first, blocks.start), min(last, blocks.stop))
        return {group: own for group, own in found.items() if own}

    def _next(self, groups: dict[int, range]) -> tuple[Claim | None, dict[int, range]]:
        """Return the next claim, if one is to be had, and the groups that are not done."""
        left = dict(groups)
        for group, blocks in groups.items():
            step = self._step(group, blocks)
            while isinstance(step, Take):
                claim = self._claimed(group, step)
                if claim is not None:
                    return claim, left
                step = self._step(group, blocks)
            if isinstance(step, Over):
                del left[group]
        return None, left

    def _step(self, group: int, blocks: range) -> object:
        view = self.board.view(group)
        refuse_two_divisions(self.job, {*view.n_blocks, self.n_blocks})
        now_s = self.clock.monotonic()
        self._watch = self._watch.after(view, now_s)
        return next_step(view, self._watch, blocks, now_s=now_s)

    def _claimed(self, group: int, step: Take) -> Claim | None:
        """Claim a block; None where another's claim goes before."""
        claim = self.board.claim(
            step.block,
            n_blocks=self.n_blocks,
            number=step.number,
            lease_s=max(self.lease_s, round(_LEASES * self._longest_s)),
            holder=self.holder,
        )
        view = self.board.view(group)
        now_s = self.clock.monotonic()
        self._watch = self._watch.after(view, now_s)
        return claim if holds(view, self._watch, claim, now_s=now_s) else None
