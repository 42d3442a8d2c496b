"""What a launch asks of an engine, and what it tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem.engines.next_step import ShardEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOrder:
    """What is to be launched.

    Attributes
    ----------
    engine
        Its name.
    job, workspace
        The job's own name; the workspace's absolute path.
    n_shards
        How many shards there are.
    shard_words, merge_words
        The words after ``lowmem`` of a shard, to which ``--shard I/N`` and what is left of
        the time are added; and of the merge.
    folder
        Current folder of all: words may name files relative to it.
    shard_ram_bytes
        RAM budget of each shard.
    deadline
        Monotonic time at which the launch's time budget ends; None for no limit.
    scheduler
        Address of a Dask scheduler or a Ray cluster; empty for one of its own, here.
    engine_options
        Options of `sbatch`, each ``NAME=VALUE`` or ``NAME``.
    """

    engine: str
    job: str
    workspace: str
    n_shards: int
    shard_words: tuple[str, ...]
    merge_words: tuple[str, ...]
    folder: str
    shard_ram_bytes: int
    deadline: float | None
    is_quiet: bool
    address: str = ""
    engine_options: tuple[str, ...] = ()

    def words_of(self, index: int, left_s: float | None) -> list[str]:
        """Return the words after ``lowmem`` of one shard."""
        command, *rest = self.shard_words
        own = ["--shard", f"{index}/{self.n_shards}"]
        own += [] if left_s is None else ["--time-budget", f"{max(left_s, 1.0):.1f}s"]
        return [command, *own, *rest]


class Engine(Protocol):
    """Starts shards and tells of their ends; a context manager.

    At its end nothing of what it has started goes on.
    """

    def __enter__(self) -> Self:
        """Begin, and refuse what cannot hold a shard before any is started."""
        ...

    def __exit__(self, *_: object) -> None:
        """End whatever still runs."""
        ...

    def start(self, indices: Sequence[int], left_s: float | None) -> None:
        """Start these shards.

        Parameters
        ----------
        left_s
            Seconds that each may take; None for no limit.
        """
        ...

    def ended(self, wait_s: float) -> Sequence[ShardEnd]:
        """Return which have ended since this was last asked.

        Parameters
        ----------
        wait_s
            How long to wait for one, about.
        """
        ...

    def signal(self, number: int) -> None:
        """Hand a signal to stop on to every shard that runs."""
        ...
