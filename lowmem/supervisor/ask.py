"""Ask a planner: a short-lived worker that describes jobs and predicts their memory.

The supervisor never imports the code of a job: a user's file may import TensorFlow at
its top. A planner costs a tenth of a second and takes all that with it when it ends.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.errors import InternalError, ReportedError, StoppedError
from lowmem.protocol.messages import Describe, Described, Failed, Planned
from lowmem.supervisor.order import is_inside
from lowmem.supervisor.process import WorkerProcess, worker_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lowmem.base.workspace import Workspace
    from lowmem.history.past import DoneRun
    from lowmem.protocol.messages import Answer, JobDescription, Plan

# seconds between two looks whether the user still wants the answer. There is no limit
# otherwise: a plan may import a framework, or look at every file of a slow mount.
_LOOK_S = 0.2


def describe(references: Iterable[str] = ()) -> tuple[JobDescription, ...]:
    """Return the descriptions of jobs; of all installed ones where none is named."""
    answer = _ask(Describe(jobs=tuple(references)), lambda: False)
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
        except ReportedError:
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
    """
    answer = _ask(request, is_over)
    if answer is None:
        raise StoppedError(job=request.reference, reason="while it was being planned")
    if not isinstance(answer, Planned):
        raise InternalError(problem=f"the planner answered {type(answer).__name__}")
    return answer


def _ask(request: Describe | Plan, is_over: Callable[[], bool]) -> Answer | None:
    clock = SystemClock()
    worker = WorkerProcess(request, environment=worker_environment("cpu"))
    answer: Answer | None = None
    try:
        while answer is None and worker.is_open:
            if is_over():
                return None
            for message in worker.receive(_LOOK_S):
                if isinstance(message, Described | Planned | Failed):
                    answer = message
    finally:
        worker.kill([], clock)
        worker.wait()
    if isinstance(answer, Failed):
        raise ReportedError(
            message=answer.message,
            exit_code=answer.exit_code,
            traceback=answer.traceback,
        )
    if answer is None:
        raise InternalError(problem="the planner ended without an answer")
    return answer
