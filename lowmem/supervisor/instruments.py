"""What the watch over a worker needs, in one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowmem.base.clock import Clock
    from lowmem.base.workspace import Workspace
    from lowmem.memory.process import TreeSampler
    from lowmem.supervisor.aside import Aside
    from lowmem.supervisor.meter import Meter
    from lowmem.supervisor.mirroring import Mirror
    from lowmem.supervisor.screen import Screen
    from lowmem.supervisor.signals import StopRequests
    from lowmem.supervisor.telemetry import Journal, Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """What the watching needs; all of it is opened and closed by `run`."""

    space: Workspace
    clock: Clock
    tree: TreeSampler
    journal: Journal
    telemetry: Telemetry
    screen: Screen
    stops: StopRequests
    lock_descriptor: int
    mirror: Mirror
    aside: Aside
    meter: Meter
