"""What the watch over one worker needs, in one value: opened, and closed in order."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.memory.process_tree import TreeSampler
from lowmem.supervisor.background import BackgroundThread
from lowmem.supervisor.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowmem.base.clock import Clock
    from lowmem.base.workspace import Workspace
    from lowmem.supervisor.mirror_client import Mirror
    from lowmem.supervisor.screen import Screen
    from lowmem.supervisor.session import Session
    from lowmem.supervisor.stop_requests import StopRequests
    from lowmem.supervisor.telemetry import Journal
    from lowmem.supervisor.usage_meter import Meter


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptTools:
    """What the watching needs: a session's, and the attempt's own."""

    space: Workspace
    clock: Clock
    tree: TreeSampler
    journal: Journal
    telemetry: Telemetry
    screen: Screen
    stops: StopRequests
    lock_descriptor: int
    mirror: Mirror
    background: BackgroundThread
    meter: Meter


@contextmanager
def attempt_tools(
    session: Session, attempt: int, screen: Screen
) -> Iterator[AttemptTools]:
    """Open what an attempt has for itself."""
    background = BackgroundThread()
    telemetry = Telemetry(
        session.space, attempt, session.clock, background, screen.progress
    )
    with (
        screen,
        TreeSampler(os.getpid(), session.shared) as tree,
        telemetry,
        # Ends before what it writes to is closed.
        background,
    ):
        yield AttemptTools(
            space=session.space,
            clock=session.clock,
            tree=tree,
            journal=session.journal,
            telemetry=telemetry,
            screen=screen,
            stops=session.stops,
            lock_descriptor=session.lock_descriptor,
            mirror=session.mirror,
            background=background,
            meter=session.meter,
        )
