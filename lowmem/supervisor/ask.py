"""Ask a planner: a short-lived worker that describes jobs and predicts their memory.

The supervisor never imports the code of a job: a user's file may import TensorFlow at
its top. A planner costs a tenth of a second and takes all that with it when it ends. It
has the budget of a run, see `planner`; time has no limit: a plan may import a framework,
or look at every file of a slow mount.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from lowmem.base.errors import BudgetError, InternalError, ReportedError, StoppedError
from lowmem.memory.machine import default_ram_budget_bytes, read_machine
from lowmem.protocol.messages import Describe, Described, Failed, Planned
from lowmem.supervisor.order import is_inside
from lowmem.supervisor.planner import asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lowmem.base.workspace import Workspace
    from lowmem.history.past import DoneRun
    from lowmem.protocol.messages import Answer, JobDescription, Plan


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
        RAM that the look into their files may take; what a run has by default where None.
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
    answer = asked(request, job=job, budget_bytes=budget_bytes, is_over=is_over)
    if isinstance(answer, Failed):
        raise ReportedError(
            message=answer.message,
            exit_code=answer.exit_code,
            traceback=answer.traceback,
        )
    return answer
