"""Shards as tasks of a Ray cluster, somebody's or one that is started here.

Ray pickles what it sends; of a launch that is the name of `run_shard` and a text, and a
text comes back.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

import ray

from lowmem.base.errors import EXIT_JOB
from lowmem.base.errors_engines import EngineUnavailableError, SmallSlotError
from lowmem.base.stop_signals import handlers_kept, withheld
from lowmem.base.units import format_budget
from lowmem.engines.elsewhere import end_from_text, run_shard
from lowmem.engines.next_step import ShardEnd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.engines.engine import LaunchOrder

_LOST = -9
# seconds for a cluster to answer.
_PATIENCE_S = 30.0
# The least that Ray takes for its object store, in which a text needs next to nothing.
_STORE_BYTES = 80 * 2**20


class RayWorkers:
    """See `Workers`."""

    def __init__(self, order: LaunchOrder) -> None:
        self._order = order

    def connect(self) -> None:
        """Reach them, or start them here; see `Workers`."""
        self._refuse_silent()
        # Ray's own end this process, by SIGABRT.
        with handlers_kept(), withheld():
            self._begin()

    def _refuse_silent(self) -> None:
        """Refuse an address at which nobody listens: Ray tries it again without end."""
        host, _, port = self._order.address.rpartition(":")
        if not host or not port.isdecimal() or "/" in host:
            return
        try:
            socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_S).close()
        except (OSError, OverflowError) as error:
            raise self._unavailable(error) from error

    def _begin(self) -> None:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            if self._order.address:
                ray.init(address=self._order.address, **quiet)
                self._refuse_small([dict(node["Resources"]) for node in _nodes()])
            else:
                n_shards = self._order.n_shards
                ray.init(
                    address="local",
                    num_cpus=n_shards,
                    _memory=n_shards * self._order.shard_ram_bytes,
                    object_store_memory=_STORE_BYTES,
                    include_dashboard=False,
                    **quiet,
                )
        except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
            if isinstance(error, SmallSlotError):
                raise
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> EngineUnavailableError:
        where = self._order.address or "this machine"
        return EngineUnavailableError(
            engine="Ray",
            problem=f"at {where} does not answer: {error}",
            expected="a cluster that runs",
            todo="Start one by `ray start --head`, or leave --engine-address out to have one "
            "started here.",
        )

    def _refuse_small(self, nodes: list[dict[str, float]]) -> None:
        """Refuse a cluster none of whose nodes has what a shard is to be given."""
        need = self._order.shard_ram_bytes
        if any(n.get("memory", 0) >= need and n.get("CPU", 0) >= 1 for n in nodes):
            return
        most = max(
            nodes, key=lambda node: node.get("memory", 0), default={"memory": 0.0}
        )
        raise SmallSlotError(
            place="Ray's largest node",
            found=f"{format_budget(int(most.get('memory', 0)))} of memory and "
            f"{most.get('CPU', 0):g} processors",
            expected=f"{format_budget(need)}, the budget of a shard, and 1 processor",
            todo="Give `ray start` more --memory; or a smaller --shard-ram.",
        )

    def disconnect(self) -> None:
        """Let go of them; see `Workers`."""
        ray.shutdown()

    def submit(self, index: int, text: str) -> ray.ObjectRef:
        """Have a shard run; see `Workers`."""
        task = ray.remote(
            num_cpus=1, memory=self._order.shard_ram_bytes, max_retries=0
        )(run_shard)
        return task.options(name=f"lowmem-{self._order.job}-{index}").remote(text)

    def end(self, index: int, handle: ray.ObjectRef) -> ShardEnd | None:
        """Return how a task has ended; see `Workers`."""
        over, _ = ray.wait([handle], timeout=0)
        if not over:
            return None
        try:
            return end_from_text(str(ray.get(handle)))
        except ray.exceptions.RayTaskError as error:
            return ShardEnd(index=index, status=EXIT_JOB, said=f"Ray says: {error}")
        except ray.exceptions.RayError as error:
            # Its worker or node has died, or Ray has killed it for want of memory.
            return ShardEnd(index=index, status=_LOST, said=f"Ray says: {error}")


def _nodes() -> list[Mapping[str, Mapping[str, float]]]:
    return [node for node in ray.nodes() if node["Alive"]]
