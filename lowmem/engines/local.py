"""Shards on this machine, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from lowmem.base.clock import SystemClock
from lowmem.engines.shard_process import ShardProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem.engines.engine import LaunchOrder
    from lowmem.engines.launch_folder import LaunchFolder
    from lowmem.engines.next_step import ShardEnd

# seconds between two looks; a signal does not wake a sleep up.
_LOOK_S = 0.1


class LocalEngine:
    """Each shard a child of this process; see `Engine`."""

    def __init__(self, order: LaunchOrder, folder: LaunchFolder) -> None:
        self._order, self._folder = order, folder
        self._clock = SystemClock()
        self._running: list[ShardProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for shard in self._running:
            shard.kill()
            shard.end()

    def start(self, indices: Sequence[int], left_s: float | None) -> None:
        """Start these shards; see `Engine`."""
        for index in indices:
            self._running.append(
                ShardProcess(
                    index,
                    self._order.words_of(index, left_s),
                    folder=self._order.folder,
                    log=self._folder.log(index),
                )
            )

    def ended(self, wait_s: float) -> Sequence[ShardEnd]:
        """Return which have ended; see `Engine`."""
        until = self._clock.monotonic() + wait_s
        while not (over := [shard for shard in self._running if shard.has_ended()]):
            if self._clock.monotonic() >= until:
                return ()
            self._clock.sleep(_LOOK_S)
        self._running = [shard for shard in self._running if shard not in over]
        return [shard.end() for shard in over]

    def signal(self, number: int) -> None:
        """Hand a signal on; see `Engine`."""
        for shard in self._running:
            shard.signal(number)
