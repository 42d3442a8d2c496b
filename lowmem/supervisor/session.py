"""What the jobs of one command share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowmem.history.fold import history_of
from lowmem.supervisor.usage_meter import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lowmem.base.clock import Clock
    from lowmem.base.workspace import Workspace
    from lowmem.history.job_history import History
    from lowmem.memory.shared import SharedMemory
    from lowmem.protocol.records import AnyRecord
    from lowmem.supervisor.mirror_client import Mirror
    from lowmem.supervisor.stop_requests import StopRequests
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
    meter: Meter = field(default_factory=Meter)

    def history(self) -> History:
        """Return what the journal tells by now."""
        return history_of(self.read_records(), is_brief=True)
