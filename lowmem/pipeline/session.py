"""Open what the jobs of one command share, and close it in order."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.history.recorded import read_records
from lowmem.memory.shared import SharedMemory
from lowmem.pipeline.mirror import mirror_plan, speaker, tell_results
from lowmem.supervisor.adopt import adopt_orphans
from lowmem.supervisor.fragments import remove_fragments
from lowmem.supervisor.mirroring import Mirror
from lowmem.supervisor.session import Session
from lowmem.supervisor.signals import StopRequests
from lowmem.supervisor.telemetry import Journal
from lowmem.supervisor.warden import Warden

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowmem.base.workspace import Workspace
    from lowmem.pipeline.orders import RunOptions
    from lowmem.supervisor.lock import WorkspaceLock


@contextmanager
def open_session(
    space: Workspace,
    lock: WorkspaceLock,
    options: RunOptions,
    deadline: float | None = None,
) -> Iterator[Session]:
    """Open what the jobs of one command share, in a workspace that is locked.

    Parameters
    ----------
    deadline
        Monotonic time at which the command's time budget ends; None for no limit.
    """
    clock = SystemClock()
    remove_fragments(space)
    with (
        Warden(),
        Journal(space, clock) as journal,
        StopRequests() as stops,
        Mirror(
            plan=mirror_plan(options),
            space=space,
            journal=journal,
            clock=clock,
            stops=stops,
            say=speaker(options),
            read_records=lambda: read_records(space.journal),
            deadline=deadline,
        ) as mirror,
    ):
        adopt_orphans()
        session = Session(
            space=space,
            clock=clock,
            journal=journal,
            stops=stops,
            lock_descriptor=lock.descriptor,
            shared=SharedMemory(),
            read_records=lambda: read_records(space.journal),
            mirror=mirror,
        )
        if mirror.plan is not None:
            tell_results(session)
        yield session
