"""Open what the jobs of one command share, and close it in order."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.files import remove
from lowmem.history.recorded import read_records
from lowmem.memory.shared import SharedMemory
from lowmem.pipeline.mirror import mirror_plan, speaker, tell_results
from lowmem.supervisor.mirror_client import Mirror
from lowmem.supervisor.reaper import Reaper
from lowmem.supervisor.session import Session
from lowmem.supervisor.stop_requests import StopRequests
from lowmem.supervisor.subreaper import become_subreaper
from lowmem.supervisor.telemetry import Journal
from lowmem.supervisor.trials import sweep_trials

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowmem.base.workspace import Workspace
    from lowmem.pipeline.orders import RunOptions
    from lowmem.supervisor.lock import WorkspaceLock

# Copies for the mirror, files from it, and results in the making for a repair.
_SCRATCH = ("mirroring", "restoring", "remaking")
_REBUILD = "rebuild"


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
    remove_scratch(space)
    with (
        Reaper(),
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
        become_subreaper()
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


def remove_scratch(space: Workspace) -> None:
    """Remove what killed processes have left behind; nothing that anything goes on from.

    Only of a workspace whose lock is held: nobody else works in it then. What commits
    and publishing leave is removed or finished by themselves, where the next one
    begins.
    """
    for name in _SCRATCH:
        remove(space.private / name)
    for job in space.job_names():
        remove(space.job(job) / _REBUILD)
    sweep_trials(space.job(""))
