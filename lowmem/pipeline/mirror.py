"""The mirror on the command line: what to keep, and what to take back before a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.config import read_config
from lowmem.base.errors import EXIT_STORAGE, OptionValueError, ReportedError
from lowmem.base.journal import whole_part
from lowmem.base.redo_log import finish_placing, is_placing
from lowmem.base.stderr import tell
from lowmem.pipeline.orders import RunOptions, with_config
from lowmem.supervisor.lock import WorkspaceLock
from lowmem.supervisor.mirror_client import MirrorPlan, ask_mirror, tell_done

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowmem.base.workspace import Workspace
    from lowmem.protocol.mirror_messages import Answered, RecoveredJob
    from lowmem.supervisor.session import Session

# seconds that a run with progress of its own waits for the mirror before it begins.
_PATIENCE_S = 60.0


def mirror_plan(options: RunOptions) -> MirrorPlan | None:
    """Return what is to be mirrored; None if nothing is.

    Raises
    ------
    OptionValueError
        If ``--mirror-data`` is given without ``--mirror``.
    """
    if options.mirror is not None:
        return MirrorPlan(url=options.mirror, has_data=options.mirror_data)
    if options.mirror_data:
        raise OptionValueError(
            option="--mirror-data", value="given", expected="--mirror URL beside it"
        )
    return None


def recover_first(space: Workspace, options: RunOptions) -> None:
    """Fill an empty workspace from its mirror, or take it to where that is.

    What an earlier recovery was about to put in its places comes first, mirror or not.

    Raises
    ------
    LowmemError
        If the mirror holds nothing whole, or cannot be read although the workspace is
        empty.
    """
    options = with_config(options, read_config(space.config).get("run", {}))
    plan = mirror_plan(options)
    if plan is None and not is_placing(space.recovering):
        return
    clock = SystemClock()
    with WorkspaceLock(space, clock):
        finish_placing(space.recovering, space.root)
        if plan is not None:
            _recover(plan, space, clock, speaker(options))


def _recover(
    plan: MirrorPlan, space: Workspace, clock: SystemClock, say: Callable[[str], None]
) -> None:
    is_new = not whole_part(space.journal)
    try:
        answer = ask_mirror(plan, space, clock, None if is_new else _PATIENCE_S)
    except ReportedError as error:
        if is_new or error.exit_code != EXIT_STORAGE:
            raise
        say("mirror: cannot be read now; the run continues without its comparison")
        return
    for line in lines_of(answer, plan.url):
        say(line)


def lines_of(answer: Answered, url: str) -> list[str]:
    """Return what the user should know of a recovery."""
    lines = [f"mirror: {note}" for note in answer.notes]
    if answer.jobs:
        jobs = ", ".join(_standing(job) for job in answer.jobs)
        lines.append(f"recovered from {url}: {jobs}")
    return lines


def _standing(job: RecoveredJob) -> str:
    if job.is_done:
        return f"{job.job} (done)"
    return f"{job.job} (cycles 0 to {job.generation})"


def tell_results(session: Session) -> None:
    """Tell the mirror of the results of earlier runs; it sends what it does not have."""
    root = session.space.root
    history = session.history()
    for job, own in history.jobs.items():
        is_there = all((root / name).exists() for name in own.published)
        if own.is_done and is_there:
            tell_done(session.mirror, history, job)


def speaker(options: RunOptions) -> Callable[[str], None]:
    """Return what shows the user one line, unless he wants silence."""

    def say(text: str) -> None:
        if not options.quiet:
            tell(text)

    return say
