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
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.errors import EXIT_JOB, BudgetError, ReportedError
from lowmem.base.units import format_budget, format_bytes
from lowmem.memory.budget import RamBudget
from lowmem.memory.fillrate import measured_fill_rate
from lowmem.memory.process import TreeSampler
from lowmem.memory.watch import Watch
from lowmem.protocol.messages import MEMORY_ERROR, Described, Failed, Planned
from lowmem.supervisor.adopt import adopting
from lowmem.supervisor.endings import Broke
from lowmem.supervisor.process import WorkerProcess, log_tail, worker_environment
from lowmem.supervisor.watched import OneAnswer, Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    budget = RamBudget(limit_bytes=budget_bytes, fill_rate=measured_fill_rate())
    with adopting(), TreeSampler(os.getpid()) as tree, _printed() as (log, path):
        former = frozenset(tree.find_pids())
        watched = Watched(
            worker=WorkerProcess(
                request, environment=worker_environment("cpu"), log=log
            ),
            watch=Watch(tree=tree, budget=budget, clock=SystemClock()),
            tree=tree,
            stacks=path,
            find_others=lambda: set(tree.find_pids()) - former,
            is_limited=True,
        )
        # The user's file is the first that it imports.
        watched.ready()
        planning = OneAnswer(watched, is_over, Described | Planned | Failed)
        ended = watched.to_the_end(planning)
        stop, answer = watched.ending, planning.answer
        if isinstance(stop, Broke) and stop.verdict == "signal":
            return None
        if isinstance(stop, Broke):
            raise _refusal(job, budget_bytes, _how(stop), stop.where)
        if isinstance(answer, Failed) and answer.kind == MEMORY_ERROR:
            how = f" ({answer.message})"
            raise _refusal(job, budget_bytes, "refused more", answer.where, how)
        if answer is None:
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


def _how(stop: Broke) -> str:
    is_machine = stop.verdict == "machine_limit"
    cause = ", since the machine had no memory left," if is_machine else ""
    return f"stopped{cause} at {format_bytes(stop.ram_bytes or 0)}"


def _refusal(
    job: str, budget_bytes: int, how: str, where: str | None, words: str = ""
) -> BudgetError:
    """Return what the user is told of a planner that needs too much."""
    place = f" in {where}" if where else ""
    return BudgetError(
        job=job,
        budget=format_budget(budget_bytes),
        problem="before it began, while it was read and planned, it was "
        f"{how}{place}{words}",
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
