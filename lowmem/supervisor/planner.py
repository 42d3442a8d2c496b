"""One planner's lifetime: it imports the user's file, so it is watched like a worker.

An array that is loaded at the top of a file, or the list of names of a large archive, is
memory that the user's machine must give before any job has begun. So a planner has the
job's budget: what it may allocate is limited, its tree is read by headroom, and what it
has started ends with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.errors import EXIT_JOB, BudgetError, ReportedError
from lowmem.base.units import format_budget, format_bytes
from lowmem.memory.allocation import AllocationLimits
from lowmem.memory.budget import Pressure, RamBudget
from lowmem.memory.fillrate import measured_fill_rate
from lowmem.memory.machine import read_machine
from lowmem.memory.process import TreeSampler
from lowmem.memory.watch import look
from lowmem.protocol.messages import MEMORY_ERROR, Described, Failed, Planned
from lowmem.supervisor.adopt import adopting
from lowmem.supervisor.last_moments import await_memory, await_stacks
from lowmem.supervisor.process import WorkerProcess, log_tail, worker_environment
from lowmem.supervisor.stacks import read_where
from lowmem.supervisor.suspend import Suspension
from lowmem.supervisor.urgency import stand_back, urgent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lowmem.base.clock import Clock
    from lowmem.protocol.messages import Answer, Describe, Plan


def asked(
    request: Describe | Plan,
    *,
    job: str,
    budget_bytes: int,
    is_over: Callable[[], bool],
) -> Answer | None:
    """Return a planner's answer; None if ``is_over`` ended it.

    Parameters
    ----------
    job
        What it is asked about, as the user names it.

    Raises
    ------
    BudgetError
        If it needs more than the budget.
    ReportedError
        If the job's code failed, or ended it.
    """
    clock = SystemClock()
    with adopting(), TreeSampler(os.getpid()) as tree, _printed() as (log, path):
        budget = RamBudget(limit_bytes=budget_bytes, fill_rate=measured_fill_rate())
        former = frozenset(tree.find_pids())
        worker = WorkerProcess(request, environment=worker_environment("cpu"), log=log)
        planner = _Planner(worker, tree, budget, clock, job, path, former)
        try:
            with urgent(), Suspension(clock) as suspension:
                stand_back(worker.pid)
                answer = planner.to_the_end(is_over, suspension)
        finally:
            worker.kill(planner.newcomers, clock)
            ended = worker.wait()
        if answer is None and not planner.was_cut:
            raise _silent(job, ended.status, log_tail(path))
    return answer


@contextlib.contextmanager
def _printed() -> Iterator[tuple[int, Path]]:
    """Give a file for what a planner's libraries print, and its stacks.

    In memory, where it counts: a plan writes nothing to the workspace.
    """
    descriptor = os.memfd_create("lowmem-planner")
    try:
        yield descriptor, Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


@dataclass(slots=True)
class _Planner:
    """Reads a planner's memory until it has answered, or the budget is used up."""

    worker: WorkerProcess
    tree: TreeSampler
    budget: RamBudget
    clock: Clock
    job: str
    path: Path
    former: frozenset[int]
    was_cut: bool = False
    _limits: AllocationLimits = field(default_factory=AllocationLimits)
    _machine_due: float = 0.0

    def to_the_end(
        self, is_over: Callable[[], bool], suspension: Suspension
    ) -> Answer | None:
        """Return the answer; None if it gave none."""
        while self.worker.is_open:
            if is_over():
                self.was_cut = True
                return None
            suspension.heed(self.tree)
            self.worker.wake()
            for message in self.worker.receive(self._look()):
                if isinstance(message, Failed) and message.kind == MEMORY_ERROR:
                    raise self._refused(message)
                if isinstance(message, Described | Planned | Failed):
                    return message
        return None

    def newcomers(self) -> set[int]:
        """Return what runs now that did not before it was asked."""
        return set(self.tree.find_pids()) - self.former

    def _look(self) -> float:
        """Take a reading, act upon it, and return when the next one is due."""
        with contextlib.ExitStack() as holding:
            found = look(self.tree, self.budget, holding, minds_soft=False)
            left_bytes = self.budget.hard_bytes - found.ram_bytes
            self._limits.follow(self.tree.members, left_bytes)
            if found.pressure is Pressure.HARD:
                raise self._stopped(found.ram_bytes, "stopped")
            if self._is_machine_exhausted():
                raise self._stopped(
                    found.ram_bytes, "stopped, since the machine had no memory left,"
                )
        return found.next_in_s

    def _is_machine_exhausted(self) -> bool:
        now = self.clock.monotonic()
        if now < self._machine_due:
            return False
        machine = read_machine()
        self._machine_due = now + machine.next_look_s(self.budget.fill_rate)
        return machine.is_exhausted

    def _stopped(self, ram_bytes: int, how: str) -> BudgetError:
        """Kill it, and return what the user is told."""
        with self.tree.held(but=self.worker.pid):
            room_bytes = self.budget.guard_bytes // 4
            await_stacks(self.worker, self.path, self.tree, self.clock, room_bytes)
            self.worker.kill(self.newcomers, self.clock)
        await_memory(self.clock)
        where = read_where(self.path)
        place = f" in {where}" if where else ""
        return self._error(f"{how} at {format_bytes(ram_bytes)}{place}")

    def _refused(self, failure: Failed) -> BudgetError:
        place = f" in {failure.where}" if failure.where else ""
        return self._error(f"refused more{place} ({failure.message})")

    def _error(self, what: str) -> BudgetError:
        return BudgetError(
            job=self.job,
            budget=format_budget(self.budget.limit_bytes),
            problem=f"before it began, while it was read and planned, it was {what}",
            needed="a larger size",
        )


def _silent(job: str, status: int, tail: str) -> ReportedError:
    """Return what the user is told of a planner that ended without an answer."""
    how = f"ended with status {status}"
    if status < 0:
        how = f"was ended by {signal.Signals(-status).name}"
    return ReportedError(
        message=f"job {job} failed: the process that read and planned it {how} before it "
        "had answered",
        exit_code=EXIT_JOB,
        traceback=tail,
    )
