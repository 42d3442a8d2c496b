"""What the jobs of one command share, and how a job begins in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base.errors import RecipeChangedError
from lowmem.base.files import remove
from lowmem.history.fold import past_of
from lowmem.protocol.recipe import recipe_changes
from lowmem.protocol.records import JobBegun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lowmem.base.clock import Clock
    from lowmem.base.workspace import Workspace
    from lowmem.history.past import JobPast, Past
    from lowmem.memory.shared import SharedMemory
    from lowmem.protocol.messages import Planned
    from lowmem.protocol.records import AnyRecord
    from lowmem.supervisor.mirroring import Mirror
    from lowmem.supervisor.order import JobOrder
    from lowmem.supervisor.signals import StopRequests
    from lowmem.supervisor.telemetry import Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What one ``lowmem run`` holds open while its jobs run."""

    space: Workspace
    clock: Clock
    journal: Journal
    stops: StopRequests
    lock_descriptor: int
    shared: SharedMemory
    read_records: Callable[[], Iterable[AnyRecord]]
    mirror: Mirror

    def past(self) -> Past:
        """Return what the journal tells by now."""
        return past_of(self.read_records(), is_brief=True)


def begin_job(
    order: JobOrder, session: Session, history: JobPast, planned: Planned
) -> JobPast:
    """Return the history to build upon, empty if the job begins anew.

    Raises
    ------
    RecipeChangedError
        If there is progress made with another recipe, and no ``--restart``.
    """
    recipe = planned.recipe
    changes = recipe_changes(history.recipe or {}, recipe)
    is_gone = history.is_done and (
        planned.standing == "open"
        or not all((session.space.root / name).exists() for name in history.published)
    )
    # Also after a crash between the two lines at the end of this function.
    is_lost = history.last_cycle >= 0 and not session.space.job(order.name).exists()
    if history.recipe is not None and not (order.is_restart or is_gone or is_lost):
        if not changes or (history.is_done and planned.standing == "done"):
            return history
        if history.has_progress:
            raise RecipeChangedError(job=order.name, changes=changes)
    remove(session.space.job(order.name))
    session.journal.write(
        JobBegun(
            job=order.name,
            at=session.journal.now(),
            reference=order.reference,
            command=order.command,
            recipe=dict(recipe),
            unit=order.unit,
        )
    )
    return session.past().of(order.name)
