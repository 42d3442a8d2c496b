"""Repair what can be repaired, in one lock, and look again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock, timestamp
from lowmem.base.errors import LowmemError, ReportedError, StoppedError
from lowmem.base.redo_log import finish_placing
from lowmem.pipeline.command_session import open_session
from lowmem.pipeline.mirror import lines_of
from lowmem.pipeline.orders import RunOptions
from lowmem.repair.check import verify
from lowmem.repair.findings import MirrorRelation
from lowmem.repair.mirror_check import (
    inspected_with,
    restore_checkpoints,
    restore_results,
    tidied,
    told_with,
)
from lowmem.repair.private_files import read_history, recorded_results, repair_progress
from lowmem.repair.recompute import recompute
from lowmem.repair.recompute_plan import recomputations
from lowmem.supervisor.lock import WorkspaceLock
from lowmem.supervisor.mirror_client import MirrorPlan, ask_mirror
from lowmem.supervisor.planner import adds_to_others

if TYPE_CHECKING:
    from lowmem.base.workspace import Workspace
    from lowmem.repair.findings import Finding, Verification
    from lowmem.supervisor.session import Session


@dataclass(slots=True)
class Repair:
    """What a repair did.

    Attributes
    ----------
    done
        In words, what was repaired and what is lost.
    failed
        In words, what could not be.
    """

    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def repair(space: Workspace, mirror: str | None = None) -> tuple[Verification, Repair]:
    """Repair a workspace; return what is left to be found, and what was done.

    Parameters
    ----------
    mirror
        Where damaged files are looked for before they are made again; None for nowhere.

    Raises
    ------
    WorkspaceLockedError
        If a run is at work in it.
    StoppedError
        If it was asked to stop.

    Notes
    -----
    The journal comes first, since it says what the results must be, and which mirror's
    lineage is its own; then what the mirror still holds; then the results, job by job in
    the order in which they were made, since later ones are made of them.
    """
    clock = SystemClock()
    told = Repair()
    with WorkspaceLock(space, clock) as lock:
        finish_placing(space.recovering, space.root)
        problem = "" if mirror is None else _restore(space, mirror, told)
        found = verify(space)
        told.done += repair_progress(space, found.findings, now=timestamp(clock.now()))
        # A list of checksums that is there again may tell more.
        damaged = [f for f in verify(space).findings if f.remedy == "recompute"]
        if damaged:
            with open_session(space, lock, RunOptions()) as session:
                _recompute_all(session, damaged, told)
        left = verify(space)
        if mirror is not None:
            left = _with_mirror(space, mirror, left, problem, told)
        return left, told


def _restore(space: Workspace, mirror: str, told: Repair) -> str:
    """Take what the mirror holds; return why it could not be read, empty if it was."""
    try:
        plan = MirrorPlan(url=mirror)
        answer = ask_mirror(plan, space, SystemClock(), is_repair=True)
        if answer.is_changed:
            told.done += lines_of(answer, mirror)
        told.done += restore_checkpoints(space, mirror)
        told.done += restore_results(space, mirror)
    except ReportedError as error:
        return str(error)
    return ""


def _with_mirror(
    space: Workspace, mirror: str, left: Verification, problem: str, told: Repair
) -> Verification:
    """Return what is left with the mirror's own damage, which is removed if it may be."""
    if problem:
        return replace(left, mirror=MirrorRelation(url=mirror, problem=problem))
    found, inspected = inspected_with(left, space, mirror)
    if inspected is None or not left.is_whole:
        return found
    try:
        rest, texts = tidied(space, mirror, found, inspected)
    except ReportedError as error:
        told.failed.append(f"mirror: {error}")
        return found
    told.done += texts
    return told_with(left, space, mirror, rest)


def _recompute_all(session: Session, damaged: list[Finding], told: Repair) -> None:
    space = session.space
    history = read_history(space)
    recorded = {job: recorded_results(space, job) for job in history.jobs}
    for wanted in recomputations(damaged, history, recorded, adds_to_others(space)):
        try:
            recompute(session, wanted)
        except StoppedError:
            raise
        except LowmemError as error:
            told.failed.append(str(error))
            continue
        told.done += [
            f"{wanted.job}: made {path} again, equal to the bit"
            for path in wanted.files
        ]
