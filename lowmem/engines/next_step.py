"""What a launch of shards does next, and with which exit code it ends. Pure.

- A shard that was stopped in good order (75) is started again while the launch goes on.
- One that was lost (its process was killed, its worker or node has gone) is started again
  at most `MOST_AGAIN` times. So is one that stops as soon as it is started.
- One that failed ends the launch: nothing more is started, the others are asked to stop.
- Once the launch itself is to end, what runs is asked to stop, and the end is 75.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from lowmem.base.errors import (
    EXIT_BUDGET,
    EXIT_DATA,
    EXIT_DONE,
    EXIT_JOB,
    EXIT_STOPPED,
    EXIT_STORAGE,
    EXIT_UNAVAILABLE,
    EXIT_USAGE,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_AGAIN = 3
# What a shell says of a process that a signal has killed: 128 and its number.
_BY_SIGNAL = 128
# seconds; a shard that stops sooner has not begun its work, and may never.
_AT_ONCE_S = 10.0
_FAILURES = frozenset(
    {EXIT_USAGE, EXIT_DATA, EXIT_UNAVAILABLE, EXIT_JOB, EXIT_BUDGET, EXIT_STORAGE}
)


class Standing(Enum):
    """Where a shard stands."""

    WAITING = auto()
    RUNNING = auto()
    DONE = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardEnd:
    """How a shard's process ended.

    Attributes
    ----------
    index
        Which shard, from 0.
    status
        Its exit status; negative where a signal has killed it, or what it ran in has
        gone with it.
    said
        The paragraph it has left, in one line; empty for none.
    lasted_s
        Seconds from its start to its end; infinite where nobody has told.
    """

    index: int
    status: int
    said: str = ""
    lasted_s: float = float("inf")

    @property
    def is_lost(self) -> bool:
        """Whether it was killed, and did not end by itself."""
        return self.status < 0 or self.status > _BY_SIGNAL


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardState:
    """What a launch knows of one shard.

    Attributes
    ----------
    n_again
        How often it was lost, or stopped at once.
    status
        Exit code of the launch if it ends for this shard.
    said
        What its last end has left to say.
    """

    standing: Standing = Standing.WAITING
    n_again: int = 0
    status: int = EXIT_DONE
    said: str = ""

    def started(self) -> ShardState:
        """Return the state once it was given to the engine."""
        return replace(self, standing=Standing.RUNNING)

    def ended(self, end: ShardEnd) -> ShardState:
        """Return the state once its process has ended."""
        if end.status == EXIT_DONE:
            return replace(self, standing=Standing.DONE, status=EXIT_DONE, said="")
        if end.is_lost or end.status == EXIT_STOPPED:
            return self._stopped(end)
        status = end.status if end.status in _FAILURES else EXIT_JOB
        return replace(self, standing=Standing.FAILED, status=status, said=end.said)

    def _stopped(self, end: ShardEnd) -> ShardState:
        counts = end.is_lost or end.lasted_s < _AT_ONCE_S
        n_again = self.n_again + counts
        return ShardState(
            standing=Standing.FAILED if n_again > MOST_AGAIN else Standing.WAITING,
            n_again=n_again,
            status=EXIT_STOPPED,
            said=end.said,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Give these shards to the engine."""

    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Halt:
    """Ask all that runs to stop, and wait for their ends."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for ends."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Put the blocks of all shards together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """End the launch.

    Attributes
    ----------
    status
        Its exit code.
    index
        The shard that it ends for, the first of them; None where it was stopped itself.
    """

    status: int
    index: int | None = None


Step = Start | Halt | Wait | Merge | End


def next_step(shards: Sequence[ShardState], *, is_to_end: bool) -> Step:
    """Return what a launch does, of how its shards stand.

    Parameters
    ----------
    is_to_end
        Whether somebody has asked the launch to stop, or its time is over.

    Examples
    --------
    >>> next_step([ShardState(), ShardState(standing=Standing.RUNNING)], is_to_end=False)
    Start(indices=(0,))
    >>> next_step([ShardState()], is_to_end=True)
    End(status=75, index=None)
    """
    by_standing: dict[Standing, list[int]] = {standing: [] for standing in Standing}
    for index, shard in enumerate(shards):
        by_standing[shard.standing].append(index)
    failed, waiting = by_standing[Standing.FAILED], by_standing[Standing.WAITING]
    if by_standing[Standing.RUNNING]:
        if is_to_end or failed:
            return Halt()
        return Start(indices=tuple(waiting)) if waiting else Wait()
    if failed:
        return End(status=shards[failed[0]].status, index=failed[0])
    if is_to_end:
        return End(status=EXIT_STOPPED)
    return Start(indices=tuple(waiting)) if waiting else Merge()
