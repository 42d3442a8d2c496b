"""Ask a planner: a short-lived worker that describes jobs and predicts their memory.

The supervisor never imports the code of a job: a user's file may import TensorFlow at
its top. A planner costs a tenth of a second and takes all that with it when it ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.errors import InternalError, ReportedError
from lowmem.protocol.messages import Describe, Described, Failed, Planned
from lowmem.supervisor.process import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lowmem.protocol.messages import Answer, JobDescription, Plan

# seconds; importing a user's file may load a framework.
_PATIENCE_S = 120.0


def describe(references: Iterable[str] = ()) -> tuple[JobDescription, ...]:
    """Return the descriptions of jobs; of all installed ones where none is named."""
    answer = _ask(Describe(jobs=tuple(references)))
    if not isinstance(answer, Described):
        raise InternalError(problem=f"the planner answered {type(answer).__name__}")
    return answer.jobs


def plan(request: Plan) -> Planned:
    """Return the ladder of a job with its predictions, and its recipe."""
    answer = _ask(request)
    if not isinstance(answer, Planned):
        raise InternalError(problem=f"the planner answered {type(answer).__name__}")
    return answer


def _ask(request: Describe | Plan) -> Answer:
    clock = SystemClock()
    give_up_at = clock.monotonic() + _PATIENCE_S
    worker = WorkerProcess(request, device="cpu")
    answer: Answer | None = None
    try:
        while answer is None and worker.is_open and clock.monotonic() < give_up_at:
            for message in worker.receive(1.0):
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
