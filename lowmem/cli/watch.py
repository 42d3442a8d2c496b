"""Where a run stands, told to whoever looks from elsewhere: once, or until it ends.

Reads the journal and the last line of the telemetry; writes nothing, and takes no lock.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace

from lowmem.base.clock import Clock
from lowmem.base.stderr import columns_of, tell, unless_gone, without_controls
from lowmem.base.workspace import Workspace
from lowmem.cli.boundary import StopSignal
from lowmem.report.live_line import LiveState, text_of
from lowmem.report.live_status import read_standings
from lowmem.report.read import read_report
from lowmem.report.schema import Report
from lowmem.report.shard_status import read_sharded
from lowmem.report.status import json_from_statuses, text_from_statuses
from lowmem.report.unrecorded import told_of_unrecorded
from lowmem.supervisor.lock import is_held
from lowmem.supervisor.screen import Line, is_terminal
from lowmem.supervisor.usage_meter import this_machine

# seconds between two looks, and between two lines where there is no terminal.
_LOOK_S = 1.0
_LINE_S = 60.0
# Columns where nobody tells how many there are.
_WIDEST = 100


def whole_report(space: Workspace, clock: Clock) -> Report:
    """Return the report of a workspace, with what the shards of its jobs are at."""
    report = read_report(space, is_live=is_held(space))
    sharded = read_sharded(report, space, clock, is_held, boot=this_machine().boot)
    return replace(report, shards=sharded)


def status_text(space: Workspace, clock: Clock) -> str:
    """Return where each job stands, as text for a terminal."""
    report = whole_report(space, clock)
    standings = read_standings(space, report, clock.now())
    width = columns_of(sys.stdout) or _WIDEST
    unrecorded = told_of_unrecorded(space)
    text = text_from_statuses(report, standings, width=width, unrecorded=unrecorded)
    return without_controls(text)


def status_json(space: Workspace, clock: Clock) -> str:
    """Return where each job stands, as a JSON document."""
    report = whole_report(space, clock)
    return json_from_statuses(report, read_standings(space, report, clock.now()))


def watch(space: Workspace, clock: Clock) -> None:
    """Print where each job stands, follow the run to its end, and print it once more.

    Where nobody runs the workspace there is nothing to follow. A signal ends the
    watching alone.
    """
    print(status_text(space, clock), flush=True)
    if not is_held(space):
        return
    try:
        _follow(space, clock)
    except StopSignal:
        tell("no longer watched; the run continues")
        return
    print(f"\n{status_text(space, clock)}", flush=True)


def _follow(space: Workspace, clock: Clock) -> None:
    look = _Look(space)
    shown = _Shown(clock)
    try:
        while is_held(space):
            shown.show(look.standing(clock))
            clock.sleep(_LOOK_S)
    finally:
        shown.close()


@dataclass(slots=True)
class _Look:
    """Reads where the running job stands; the journal only where it has grown."""

    space: Workspace
    _size: int = -1
    _report: Report | None = None

    def standing(self, clock: Clock) -> LiveState | None:
        """Return what the job that runs told last; None between two jobs."""
        journal = self.space.journal
        size = journal.stat().st_size if journal.exists() else 0
        if self._report is None or size != self._size:
            self._size = size
            self._report = read_report(self.space, is_live=True)
        found = read_standings(self.space, self._report, clock.now())
        return next(iter(found.values()), None)


@dataclass(slots=True)
class _Shown:
    """One line that moves, or one a minute where there is no terminal."""

    clock: Clock
    _line: Line | None = None
    _is_terminal: bool = field(default_factory=is_terminal)
    _due_s: float = 0.0

    def show(self, standing: LiveState | None) -> None:
        """Show where the job stands, if anything tells it."""
        if standing is None:
            return
        if not self._is_terminal:
            if self.clock.monotonic() >= self._due_s:
                self._due_s = self.clock.monotonic() + _LINE_S
                tell(f"{standing.job}: {text_of(standing)}")
            return
        with unless_gone():
            if self._line is None:
                self._line = Line(standing)
            self._line.standing = standing
            self._line.refresh()

    def close(self) -> None:
        """Leave the last line where it is."""
        if self._line is not None:
            with unless_gone():
                self._line.close()
