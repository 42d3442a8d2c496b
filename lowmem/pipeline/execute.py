"""Run what was ordered: the jobs in order, within one lock and one journal."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.mounts import is_in_memory
from lowmem.base.stderr import filled, tell
from lowmem.base.units import (
    format_budget,
    format_bytes,
    format_measured,
    format_seconds,
)
from lowmem.history.provenance import additions_to
from lowmem.memory.shared import WORTH_TELLING_BYTES
from lowmem.pipeline.command_session import open_session
from lowmem.pipeline.compose import Orders, needed_order, order_of
from lowmem.pipeline.orders import PIPELINE
from lowmem.report.unrecorded import told_of_unrecorded
from lowmem.supervisor import planner
from lowmem.supervisor.lock import WorkspaceLock
from lowmem.supervisor.order import SUPERVISOR_BYTES, JobOrder
from lowmem.supervisor.page_renewal import PAGE_BYTES
from lowmem.supervisor.run import RunNeeded, run_job
from lowmem.supervisor.short_programs import run_report

if TYPE_CHECKING:
    from lowmem.base.workspace import Workspace
    from lowmem.history.job_history import DoneRun, JobHistory
    from lowmem.protocol.told_jobs import PlannedNeed
    from lowmem.supervisor.session import Session

# Columns of a line of words.
_LONGEST = 88


def execute(orders: Orders, space: Workspace) -> None:
    """Run the jobs in order; the first that does not end well ends it all.

    Raises
    ------
    LowmemError
        With the exit code of the command.
    """
    unrecorded = told_of_unrecorded(space)
    with (
        WorkspaceLock(space, SystemClock()) as lock,
        open_session(space, lock, orders.options, orders.jobs[0].deadline) as session,
    ):

        def is_over() -> bool:
            return session.stops.count > 0

        def run_needed(need: PlannedNeed, order: JobOrder) -> None:
            recorded = session.history().of(need.job).recipe
            needed = needed_order(need, order, orders, recorded, is_over)
            _run_one(needed, session, run_needed)

        if is_in_memory(space.root) and not orders.jobs[0].is_quiet:
            tell(
                f"{space.root} lies in memory: what is written there counts against the "
                "RAM budget, and is lost with the machine. A folder on a disk does neither."
            )
        # A mirror may have brought the records back by now.
        if unrecorded and not any(session.read_records()):
            tell(filled(unrecorded, _LONGEST))
        for order in orders.jobs:
            _run_one(order, session, run_needed)
        if not order.is_quiet:
            tell(line_of_next(order.name, str(space.root), is_shard=bool(order.shard)))


def _run_one(order: JobOrder, session: Session, run_needed: RunNeeded) -> None:
    added = _lost_additions(order, session)
    _run_and_report(order, session, run_needed)
    for run in added:
        again = _within(
            order_of(run, session.space, budget_bytes=order.ram_budget_bytes), order
        )
        if not order.is_quiet:
            words = f"{order.name}: what was added to it is lost too, so again"
            tell(f"{words}: {' '.join(again.command)}")
        _run_and_report(again, session, run_needed)


def _within(again: JobOrder, order: JobOrder) -> JobOrder:
    """Return an order within the budgets and the time of another."""
    return replace(
        again,
        ram_budget_bytes=order.ram_budget_bytes,
        vram_budget_bytes=order.vram_budget_bytes,
        time_budget_s=order.time_budget_s,
        deadline=order.deadline,
        cycle_steps=order.cycle_steps,
        recycle_every=order.recycle_every,
        is_quiet=order.is_quiet,
    )


def _run_and_report(order: JobOrder, session: Session, run_needed: RunNeeded) -> None:
    began_s = session.clock.monotonic()
    try:
        news = _run(order, session, run_needed)
    finally:
        # A page is of the whole workspace.
        if order.shard is None:
            _write_page(order, session)
    if not order.is_quiet:
        tell(news)
        results, took = lines_at_the_end(
            session.history().of(order.name),
            str(session.space.root),
            took_s=session.clock.monotonic() - began_s,
            ram_budget_bytes=order.ram_budget_bytes,
        )
        # Of a shard nothing is published.
        for line in (results, took) if order.shard is None else (took,):
            tell(line)


def _run(order: JobOrder, session: Session, run_needed: RunNeeded) -> str:
    if order.shard is None and not order.is_merge:
        return run_job(order, session, run_needed)
    from lowmem.supervisor import shard_run  # noqa: PLC0415 - see `shard_orders`

    if order.shard is not None:
        return shard_run.run_shard(order, session, order.shard)
    return shard_run.run_merge(order, session)


def _write_page(order: JobOrder, session: Session) -> None:
    """Write the report page, if there is room for its process; say so if not."""
    page, shared = session.space.report, session.shared
    shared.read()
    if not has_room_for_page(order.planned_budget_bytes, shared.growth_bytes):
        left = format_bytes(shared.growth_bytes)
        tell(
            f"{page} was not written: since the run began the machine has {left} more of "
            "shared memory, and the budget leaves no room beside it. Remove what was left "
            f"behind (see `ipcs -m`, /dev/shm), then: lowmem report {session.space.root} "
            f"--html {page}"
        )
    elif not run_report(session.space.root, page):
        tell(f"{page} could not be written")


def has_room_for_page(budget_bytes: int, left_bytes: int) -> bool:
    """Return whether the page's process fits beside what a job has left in shared memory.

    The job has ended by then, so only what nobody maps is still there: segments, files in
    memory. Where it is little, the page is written whatever the budget.

    Examples
    --------
    >>> has_room_for_page(400 * 2**20, 350 * 2**20), has_room_for_page(50 * 2**20, 0)
    (False, True)
    """
    if left_bytes < WORTH_TELLING_BYTES:
        return True
    return left_bytes + SUPERVISOR_BYTES + PAGE_BYTES <= budget_bytes


def _lost_additions(order: JobOrder, session: Session) -> tuple[DoneRun, ...]:
    """Return what other jobs had added to results that this one has to make again."""
    if order.is_restart:
        return ()
    history = session.history()
    names = history.of(order.name).published
    lost = [name for name in names if not (session.space.root / name).exists()]
    return additions_to(
        order.name, lost, history, planner.adds_to_others(session.space)
    )


# --- what is told once jobs are done -----------------------------------------------


def lines_at_the_end(
    job: JobHistory, workspace: str, *, took_s: float, ram_budget_bytes: int
) -> tuple[str, str]:
    """Return two lines: results; time of this run, and peak of the job.

    Parameters
    ----------
    workspace
        Its absolute path.
    took_s
        Seconds of this run.
    """
    results = ", ".join(job.published) or "none"
    peak = format_measured(job.ram_peak_bytes)
    of_budget = f"RAM peak {peak} of {format_budget(ram_budget_bytes)}"
    return (
        f"  results  {results} in {workspace}",
        f"  took     {format_seconds(took_s)}, {of_budget}",
    )


def line_of_next(job: str, workspace: str, *, is_shard: bool = False) -> str:
    """Return the line that names the command after the last job of a command."""
    where = ["--workspace", workspace]
    if is_shard:
        merge = shlex.join(["lowmem", "merge", job, *where])
        return f"  next     {merge}, once all shards are done"
    following = PIPELINE[PIPELINE.index(job) + 1 :] if job in PIPELINE else ()
    words = ["run", following[0], *where] if following else ["report", workspace]
    return f"  next     {shlex.join(['lowmem', *words])}"
