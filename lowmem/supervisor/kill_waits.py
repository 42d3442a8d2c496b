"""What a kill waits for: the worker's stacks before it, and its memory after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.memory.machine import read_machine
from lowmem.supervisor.stacks import is_dumped, size_of

if TYPE_CHECKING:
    from pathlib import Path

    from lowmem.base.clock import Clock
    from lowmem.memory.process_tree import TreeSampler
    from lowmem.supervisor.processes import Worker

# seconds for the worker's stacks to reach their file before the kill: they are written
# in C, within 0.2 ms when measured, but only when the worker's turn has come.
_STACKS_S = 0.5
_STACKS_LOOK_S = 0.0002
# seconds, at most, for the memory of a killed job to come back; it has, once it rises by
# less than so many bytes between two looks.
_FREED_WITHIN_S = 2.0
_FREED_LOOK_S = 0.01
_STILL_BYTES = 16 * 2**20


def await_stacks(
    worker: Worker,
    path: Path,
    tree: TreeSampler,
    clock: Clock,
    room_bytes: int,
) -> None:
    """Ask a worker for its stacks, and wait for them while it grows no further.

    Parameters
    ----------
    path
        Where it writes them.
    room_bytes
        What it may take meanwhile.
    """
    before, give_up_at = size_of(path), clock.monotonic() + _STACKS_S
    most = tree.read().most_bytes + room_bytes
    worker.write_stacks()
    while not is_dumped(path, since=before, ends=worker.stack_ends):
        if clock.monotonic() >= give_up_at:
            return
        if tree.read().most_bytes > most:
            return
        clock.sleep(_STACKS_LOOK_S)


def await_memory(clock: Clock) -> None:
    """Wait until the memory of killed processes is back, before others start.

    The kernel may go on freeing after a process can no longer be seen.
    """
    give_up_at = clock.monotonic() + _FREED_WITHIN_S
    before, now = -_STILL_BYTES, read_machine().available_bytes
    while now - before >= _STILL_BYTES and clock.monotonic() < give_up_at:
        clock.sleep(_FREED_LOOK_S)
        before, now = now, read_machine().available_bytes
