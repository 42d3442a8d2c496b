"""Shards as tasks of a Dask scheduler, somebody's or one that is started here.

Dask pickles what it sends; of a launch that is the name of `run_shard` and a text, and a
text comes back.
"""

from __future__ import annotations

import logging
import os
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

import distributed

from lowmem.base.errors import EXIT_JOB
from lowmem.base.errors_engines import EngineUnavailableError, SmallSlotError
from lowmem.base.stop_signals import withheld
from lowmem.base.units import format_budget
from lowmem.engines.elsewhere import end_from_text, run_shard
from lowmem.engines.next_step import ShardEnd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.engines.engine import LaunchOrder

# seconds for a scheduler, or for the first worker of one, to answer.
_PATIENCE_S = 30.0
_LOST = -9
_NAME = "Dask's scheduler"


class DaskWorkers:
    """See `Workers`."""

    def __init__(self, order: LaunchOrder) -> None:
        self._order = order
        self._cluster: distributed.LocalCluster | None = None
        self._client: distributed.Client | None = None

    def connect(self) -> None:
        """Reach them, or start them here; see `Workers`."""
        # Once it is started, it lets signals through that were held back.
        resource_tracker.ensure_running()
        # What is started here is ended by the launch, and by no key of the terminal.
        with withheld():
            try:
                self._client = distributed.Client(self._address(), timeout=_PATIENCE_S)
                self._client.wait_for_workers(1, timeout=_PATIENCE_S)
            except (OSError, TimeoutError, ValueError) as error:
                raise self._unavailable(error) from error
        if self._cluster is None:
            self._refuse_small(_workers(self._client))

    def _address(self) -> str:
        if self._order.address:
            return self._order.address
        self._cluster = distributed.LocalCluster(
            n_workers=self._order.n_shards,
            threads_per_worker=1,
            # It counts its workers' own memory alone; a shard's supervisor holds a shard.
            memory_limit=0,
            host="127.0.0.1",
            dashboard_address=None,
            # At its end each worker tells at length that its scheduler has gone.
            silence_logs=logging.CRITICAL,
        )
        return str(self._cluster.scheduler_address)

    def _unavailable(self, error: Exception) -> EngineUnavailableError:
        where = f" at {self._order.address}" if self._order.address else ""
        return EngineUnavailableError(
            engine=_NAME,
            problem=f"{where} does not answer, or has no worker: {error}".strip(),
            expected="one with a worker at least",
            todo="Start `dask scheduler` and `dask worker ADDRESS`, or leave --engine-address "
            "out to have both started here.",
        )

    def _refuse_small(self, workers: Mapping[str, Mapping[str, object]]) -> None:
        """Refuse workers of which one thread's share of memory is less than a shard's."""
        need = self._order.shard_ram_bytes
        for address, worker in sorted(workers.items()):
            n_threads = int(str(worker["nthreads"])) or 1
            limit = int(str(worker["memory_limit"] or 0))
            if limit and limit // n_threads < need:
                raise SmallSlotError(
                    place=f"Dask's worker {address}",
                    found=f"a memory limit of {format_budget(limit)} and {n_threads} "
                    f"at once, which is {format_budget(limit // n_threads)} for each",
                    expected=f"{format_budget(need)}, the budget of a shard, for each",
                    todo="Give its `dask worker` fewer --nthreads or a larger "
                    "--memory-limit; or a smaller --shard-ram.",
                )

    def disconnect(self) -> None:
        """Let go of them; see `Workers`."""
        if self._client is not None:
            self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def submit(self, index: int, text: str) -> distributed.Future:
        """Have a shard run; see `Workers`."""
        assert self._client is not None  # noqa: S101 - for the type checker
        # A key of its own: of equal ones Dask would give a former answer.
        key = f"lowmem-{self._order.job}-{index}-{os.urandom(4).hex()}"
        return self._client.submit(run_shard, text, key=key, pure=False, retries=0)

    def end(self, index: int, handle: distributed.Future) -> ShardEnd | None:
        """Return how a task has ended; see `Workers`."""
        match handle.status:
            case "pending":
                return None
            case "finished":
                return end_from_text(str(handle.result()))
            case "error":
                return _broken(index, handle.exception())
            case _:
                return ShardEnd(
                    index=index, status=_LOST, said="its task was lost by the scheduler"
                )


def _workers(client: distributed.Client) -> Mapping[str, Mapping[str, object]]:
    try:
        info = client.scheduler_info(n_workers=-1)
    except TypeError:  # Releases before 2025.4 tell of all.
        info = client.scheduler_info()
    workers: Mapping[str, Mapping[str, object]] = info["workers"]
    return workers


def _broken(index: int, error: BaseException | None) -> ShardEnd:
    """Return the end of a task that raised, or whose worker died again and again."""
    said = f"Dask says: {type(error).__name__}: {error}"
    if isinstance(error, distributed.scheduler.KilledWorker):
        return ShardEnd(index=index, status=_LOST, said=said)
    return ShardEnd(index=index, status=EXIT_JOB, said=said)
