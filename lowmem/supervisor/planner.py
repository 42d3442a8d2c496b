"""Ask a planner: a short-lived worker that describes jobs and predicts their memory.

The supervisor never imports the code of a job: a user's file may import TensorFlow at
its top. A planner costs a tenth of a second and takes all that with it when it ends.
Time has no limit: a plan may import a framework, or look at every file of a slow mount.

An array that is loaded at the top of a file, or the list of names of a large archive, is
memory that the user's machine must give before any job has begun. So a planner has the
job's budget: what it may allocate is limited, its tree is read by headroom, and what it
has started ends with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.errors import (
    EXIT_JOB,
    BudgetError,
    InternalError,
    ReportedError,
    StoppedError,
)
from lowmem.base.units import format_budget, format_bytes
from lowmem.memory.budget import RamBudget
from lowmem.memory.fill_rate import measured_fill_rate
from lowmem.memory.machine import default_ram_budget_bytes, read_machine
from lowmem.memory.memory_watch import Watch
from lowmem.memory.process_tree import TreeSampler
from lowmem.protocol.messages import MEMORY_ERROR, Describe, Described, Failed, Planned
from lowmem.supervisor.endings import Broke
from lowmem.supervisor.order import is_inside
from lowmem.supervisor.processes import WorkerProcess, log_tail, worker_environment
from lowmem.supervisor.subreaper import as_subreaper
from lowmem.supervisor.user_messages import stopped_for_the_machine
from lowmem.supervisor.watched import OneAnswer, Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lowmem.base.errors import LowmemError
    from lowmem.base.workspace import Workspace
    from lowmem.history.job_history import DoneRun
    from lowmem.protocol.messages import Answer, Plan
    from lowmem.protocol.told_jobs import JobDescription


def describe(
    references: Iterable[str] = (),
    *,
    budget_bytes: int | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> tuple[JobDescription, ...]:
    """Return the descriptions of jobs; of all installed ones where none is named.

    Parameters
    ----------
    budget_bytes
        RAM that the look into their files may take; what a run has by default where
        None.
    is_over
        Asked again and again; the look ends once it returns True.

    Raises
    ------
    BudgetError
        If it takes more.
    StoppedError
        If ``is_over`` ended it.
    """
    if budget_bytes is None:
        budget_bytes = default_ram_budget_bytes(read_machine())
    names = tuple(references)
    answer = _ask(
        Describe(jobs=names), ", ".join(names) or "list", budget_bytes, is_over
    )
    if answer is None:
        raise StoppedError(job=", ".join(names), reason="while it was being read")
    if not isinstance(answer, Described):
        raise InternalError(problem=f"the planner answered {type(answer).__name__}")
    return answer.jobs


def adds_to_others(space: Workspace) -> Callable[[DoneRun], bool]:
    """Return what tells of a run whether it added to what was there.

    Of a job whose file is gone nobody can tell, and one inside the workspace is not
    looked into unasked: it counts as one that did not.
    """

    @cache
    def is_adding(reference: str) -> bool:
        if is_inside(reference, space):
            return False
        try:
            (description,) = describe([reference])
        except (ReportedError, BudgetError):
            return False
        return description.is_adding

    return lambda run: is_adding(run.begun.reference if run.begun else run.job)


def plan(request: Plan, is_over: Callable[[], bool] = lambda: False) -> Planned:
    """Return the ladder of a job with its predictions, and its recipe.

    Parameters
    ----------
    is_over
        Asked again and again; planning ends once it returns True.

    Raises
    ------
    StoppedError
        If ``is_over`` ended it.
    BudgetError
        If it took more than the job's budget.
    """
    answer = _ask(request, request.reference, request.ram_budget_bytes, is_over)
    if answer is None:
        raise StoppedError(job=request.reference, reason="while it was being planned")
    if not isinstance(answer, Planned):
        raise InternalError(problem=f"the planner answered {type(answer).__name__}")
    return answer


def _ask(
    request: Describe | Plan,
    job: str,
    budget_bytes: int,
    is_over: Callable[[], bool],
) -> Answer | None:
    answer = _answer_of(request, job=job, budget_bytes=budget_bytes, is_over=is_over)
    if isinstance(answer, Failed):
        raise ReportedError(
            message=answer.message,
            exit_code=answer.exit_code,
            traceback=answer.traceback,
        )
    return answer


# --- its lifetime ------------------------------------------------------------------


def _answer_of(
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
        If the job's code failed, or ended it, or other programs fill the machine.
    """
    budget = RamBudget(limit_bytes=budget_bytes, fill_rate=measured_fill_rate())
    with as_subreaper(), TreeSampler(os.getpid()) as tree, _printed() as (log, path):
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
            raise error_of_stop(job, budget_bytes, stop)
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


def error_of_stop(job: str, budget_bytes: int, stop: Broke) -> LowmemError:
    """Return what the user is told of a planner that was stopped for its memory."""
    used = f" at {format_bytes(stop.ram_bytes or 0)}"
    if stop.verdict == "machine_limit":
        return stopped_for_the_machine(
            job,
            budget_bytes,
            at=f"{used}, before it began",
            then="the same command tries again",
        )
    return _refusal(job, budget_bytes, f"stopped{used}", stop.where)


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
