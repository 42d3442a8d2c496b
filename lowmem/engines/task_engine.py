"""What Dask and Ray have in common: a shard is a task, and a task is a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from lowmem.base.clock import SystemClock
from lowmem.engines.elsewhere import ShardTask, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem.engines.engine import LaunchOrder
    from lowmem.engines.launch_folder import LaunchFolder
    from lowmem.engines.next_step import ShardEnd

# What workers give for a task that they have taken.
Handle = TypeVar("Handle")
# seconds between two looks at what has ended.
_LOOK_S = 0.1


class Workers(Protocol[Handle]):
    """Somebody's workers, or some that are started here."""

    def connect(self) -> None:
        """Reach them, or start them; refuse those that are too small."""
        ...

    def disconnect(self) -> None:
        """Let go of them; end those that were started here."""
        ...

    def submit(self, index: int, text: str) -> Handle:
        """Have `lowmem.engines.elsewhere.run_shard` called with a text."""
        ...

    def end(self, index: int, handle: Handle) -> ShardEnd | None:
        """Return how a task has ended; None while it has not."""
        ...


class TaskEngine(Generic[Handle]):
    """Shards as tasks of workers; see `Engine`.

    Signals reach them through the folder of the launch, which they look into.
    """

    def __init__(
        self, order: LaunchOrder, folder: LaunchFolder, workers: Workers[Handle]
    ) -> None:
        self._order, self._folder, self._workers = order, folder, workers
        self._clock = SystemClock()
        self._running: dict[int, Handle] = {}
        self._n_signals, self._n_starts = 0, 0

    def __enter__(self) -> Self:
        try:
            self._workers.connect()
        except BaseException:
            self._workers.disconnect()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.disconnect()

    def start(self, indices: Sequence[int], left_s: float | None) -> None:
        """Start these shards; see `Engine`."""
        for index in indices:
            self._n_starts += 1
            task = ShardTask(
                index=index,
                attempt=self._n_starts,
                words=tuple(self._order.words_of(index, left_s)),
                folder=self._order.folder,
                launch=str(self._folder.path),
            )
            self._running[index] = self._workers.submit(index, text_of(task))

    def ended(self, wait_s: float) -> Sequence[ShardEnd]:
        """Return which have ended; see `Engine`."""
        until = self._clock.monotonic() + wait_s
        while True:
            looked = [
                self._workers.end(index, task) for index, task in self._running.items()
            ]
            ends = [end for end in looked if end is not None]
            if ends or self._clock.monotonic() >= until:
                break
            self._clock.sleep(_LOOK_S)
        for end in ends:
            del self._running[end.index]
        return ends

    def signal(self, number: int) -> None:
        """Hand a signal on; see `Engine`."""
        self._n_signals += 1
        self._folder.stop(self._n_signals, number)
