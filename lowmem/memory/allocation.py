"""Let one allocation too many fail at its line, instead of being killed for it."""

from __future__ import annotations

import contextlib
import os
import resource
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowmem.memory.proc import PROC, field_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lowmem.memory.pages import Process

# Private memory that is reserved at once and never touched: the stacks of eight
# threads. Importing TensorFlow and training with it reserves 300 MiB more than it
# touches on two cores, in steps of at most 75.
_UNTOUCHED_BYTES = 64 * 2**20
# A limit is set anew when it is off by more than this.
_STEP_BYTES = 2**20


@dataclass(slots=True)
class AllocationLimits:
    """Keeps RLIMIT_DATA of each process of a job at what the budget has left.

    The kernel counts private writable memory as it is *reserved*, process by process,
    while the budget counts what is *resident* in all of them. So the limit of a process
    follows what it has reserved so far: it may reserve as much more as the job may
    still use. What it reserved without touching it does no harm.

    An allocation beyond that raises `MemoryError` in Python and NumPy, and
    ``ResourceExhaustedError`` in TensorFlow, before a page of it is touched. It is an
    outer guard only: shared memory and many small processes pass it.

    Never for a worker on a GPU: CUDA reserves the whole device's address space.
    """

    _limits: dict[int, int] = field(default_factory=dict)

    def follow(self, processes: Iterable[Process], left_bytes: int) -> None:
        """Set the limits after a reading that found ``left_bytes`` of budget unused."""
        for process in processes:
            limit = _limit(process.data_bytes, left_bytes)
            if abs(limit - self._limits.get(process.pid, 0)) > _STEP_BYTES:
                self._limits[process.pid] = limit
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    set_limit(process.pid, limit)


def limit_itself(budget_bytes: int) -> None:
    """Limit this process by a budget of its own, until `AllocationLimits` follows it.

    A job may ask for too much in its first line, before any reading was taken.
    """
    status = (PROC / "self" / "status").read_bytes()
    used_bytes = field_bytes(status, b"RssAnon:") + field_bytes(status, b"RssShmem:")
    limit = _limit(field_bytes(status, b"VmData:"), budget_bytes - used_bytes)
    set_limit(os.getpid(), limit)


def _limit(data_bytes: int, left_bytes: int) -> int:
    return data_bytes + max(0, left_bytes) + _UNTOUCHED_BYTES


def set_limit(pid: int, limit: int) -> None:
    """Let a process reserve so many bytes of private memory, if it may; see RLIMIT_DATA."""
    # The hard limit stays: this one must be able to rise again.
    _, most = resource.prlimit(pid, resource.RLIMIT_DATA)
    soft = limit if most < 0 else min(limit, most)
    resource.prlimit(pid, resource.RLIMIT_DATA, (soft, most))
