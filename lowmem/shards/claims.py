"""Who takes which block next, and which output counts: no clock, no folder, no process.

What is seen is a `BoardView`: the markers of a listing, which may lack the newest. So a claim
excludes nobody for certain. It saves work; the result rests on something else: a block's
rows are a function of the recipe and the block alone, each attempt writes under a name
of its own, and of several outputs `candidates` gives every reader the same order.

A lease is told by the watch of whoever waits: it has lapsed once a claim was seen for so
long without an output. So no two clocks are compared. One that was stopped or cut off
meanwhile may still finish: its output is one more of the same bytes.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowmem.shards.markers import Claim, Output, Void, marker_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lowmem.shards.markers import BlockAttempt, Marker


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardView:
    """What a listing told, each by its block.

    Attributes
    ----------
    n_blocks
        What the markers say of how many blocks there are: one number, unless two releases
        divide the rows differently.
    """

    claims: Mapping[int, frozenset[Claim]] = field(default_factory=dict)
    outputs: Mapping[int, frozenset[Output]] = field(default_factory=dict)
    voids: frozenset[BlockAttempt] = frozenset()
    n_blocks: frozenset[int] = frozenset()

    @classmethod
    def of(cls, names: Iterable[str]) -> BoardView:
        """Return what names tell, in any order and however often."""
        markers: set[Marker] = {m for name in names if (m := marker_of(name))}
        claims: defaultdict[int, set[Claim]] = defaultdict(set)
        outputs: defaultdict[int, set[Output]] = defaultdict(set)
        for marker in markers:
            match marker:
                case Claim():
                    claims[marker.attempt.block].add(marker)
                case Output():
                    outputs[marker.attempt.block].add(marker)
                case Void():
                    continue
        return cls(
            claims={block: frozenset(found) for block, found in claims.items()},
            outputs={block: frozenset(found) for block, found in outputs.items()},
            voids=frozenset(m.attempt for m in markers if isinstance(m, Void)),
            n_blocks=frozenset(m.attempt.n_blocks for m in markers),
        )


def candidates(view: BoardView, block: int) -> list[Output]:
    """Return the outputs of a block, the one that counts first.

    The newest attempt's, so that what a stale one writes late comes behind; of two of the
    same number, whose claimants did not see each other, that of the smaller token.
    """
    found = (o for o in view.outputs.get(block, ()) if o.attempt not in view.voids)
    return sorted(found, key=lambda o: (-o.attempt.number, o.attempt.token, o.sha256))


def is_done(view: BoardView, block: int) -> bool:
    """Return whether a block has an output that counts."""
    return bool(candidates(view, block))


def disputed(view: BoardView) -> list[int]:
    """Return the blocks whose outputs differ: the job gave two results of one recipe."""
    return [
        block
        for block in sorted(view.outputs)
        if len({output.sha256 for output in candidates(view, block)}) > 1
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimWatch:
    """Since when a claimant has seen the claims of others.

    Attributes
    ----------
    holder
        Who it is itself. A claim of the same name is that of a former process of this
        shard on this machine, whose lock is free: it has ended.
    since
        When each attempt was first seen, in seconds of a clock of its own.
    """

    holder: str
    since: Mapping[BlockAttempt, float] = field(default_factory=dict)

    def after(self, view: BoardView, now_s: float) -> ClaimWatch:
        """Return the watch, which has seen what is in view."""
        seen = {
            claim.attempt: self.since.get(claim.attempt, now_s)
            for claims in view.claims.values()
            for claim in claims
        }
        return ClaimWatch(holder=self.holder, since={**self.since, **seen})

    def is_live(self, claim: Claim, now_s: float) -> bool:
        """Return whether a claim of somebody else's is to be respected."""
        if claim.holder == self.holder:
            return False
        since_s = self.since.get(claim.attempt, now_s)
        return now_s - since_s < claim.lease_s


@dataclass(frozen=True, slots=True)
class Take:
    """Claim a block, by this number."""

    block: int
    number: int


@dataclass(frozen=True, slots=True)
class Wait:
    """All that is not done is at work elsewhere."""


@dataclass(frozen=True, slots=True)
class Over:
    """All is done."""


Step = Take | Wait | Over


def next_step(
    view: BoardView, watch: ClaimWatch, blocks: Iterable[int], *, now_s: float
) -> Step:
    """Return what a claimant does next about some blocks.

    The first block that is neither done nor claimed by anybody whose lease runs.
    """
    is_over = True
    for block in blocks:
        if is_done(view, block):
            continue
        is_over = False
        if not any(watch.is_live(claim, now_s) for claim in _at_work(view, block)):
            return Take(block, _next_number(view, block))
    return Over() if is_over else Wait()


def _at_work(view: BoardView, block: int) -> list[Claim]:
    """Return the claims of a block whose attempt has not ended with a damaged output."""
    claims = view.claims.get(block, frozenset())
    return [claim for claim in claims if claim.attempt not in view.voids]


def _next_number(view: BoardView, block: int) -> int:
    known = [c.attempt.number for c in view.claims.get(block, ())]
    known += [o.attempt.number for o in view.outputs.get(block, ())]
    return 1 + max(known, default=0)


def holds(view: BoardView, watch: ClaimWatch, own: Claim, *, now_s: float) -> bool:
    """Return whether a claim that was just written is the one to work on.

    Of several that were written at once, one withdraws before the work where it can see
    the other: the smaller number, of equal ones the larger token.
    """
    if is_done(view, own.attempt.block):
        return False
    return not any(
        _rank(other) < _rank(own)
        for other in _at_work(view, own.attempt.block)
        if watch.is_live(other, now_s)
    )


def _rank(claim: Claim) -> tuple[int, str]:
    return (-claim.attempt.number, claim.attempt.token)
