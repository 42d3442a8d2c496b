"""Make damaged files of results again, under the same watch as any run.

By one job alone, where it can make just those; else by all the runs that made them, from
the first source on, in a private workspace. Nothing takes the place of a damaged file but
the bytes that were published, and the history stays as it is.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.containment import place_in
from lowmem.base.errors import MissingArtefactError
from lowmem.base.errors_recipe import RecipeChangedError
from lowmem.base.files import publish, remove
from lowmem.base.workspace import Workspace
from lowmem.checkpoints.sums import digest_of_entries
from lowmem.history.recorded import read_records
from lowmem.integrity.published import not_as_published, sums_of_results
from lowmem.pipeline.compose import order_of
from lowmem.protocol.messages import Finished, Rebuild
from lowmem.protocol.recipe import recipe_changes
from lowmem.supervisor.order import chosen_device
from lowmem.supervisor.run import SupervisedRun, plan_job, prepare_job, run_job
from lowmem.supervisor.telemetry import Journal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.history.job_history import DoneRun
    from lowmem.protocol.messages import Planned
    from lowmem.protocol.planning import Device
    from lowmem.protocol.told_jobs import PlannedNeed
    from lowmem.repair.recompute_plan import Recomputation
    from lowmem.supervisor.order import JobOrder
    from lowmem.supervisor.session import Session


def recompute(session: Session, wanted: Recomputation) -> None:
    """Make files again, by one run's job or by all the runs that made them.

    Raises
    ------
    LowmemError
        If they could not be made as they were; then they are as before.
    """
    if wanted.is_alone:
        _by_one_job(session, wanted)
    else:
        _by_all_runs(session, wanted)


def _by_one_job(session: Session, wanted: Recomputation) -> None:
    (run,) = wanted.runs
    order = order_of(run, session.space)
    device = chosen_device(order.device, uses_device=order.uses_device)
    planned = _planned_as_it_was(order, run, session, device)
    history = session.history().of(run.job)
    files = Rebuild(
        files=wanted.files,
        rows=wanted.rows,
        next_cycle=history.last_cycle + 1,
        finished=Finished(
            published=run.ended.published,
            summary=run.ended.summary,
            results_sha256=run.ended.results_sha256,
        ),
    )
    prepared = prepare_job(order, session, planned, device)
    SupervisedRun(
        order, session, prepared, planned.recipe, history, device, rebuild=files
    ).to_the_end()


def _by_all_runs(session: Session, wanted: Recomputation) -> None:
    """Make the whole result once more beside this one; a cut loses it all."""
    folder = session.space.private / "remaking"
    remove(folder)
    space = Workspace.at(folder / session.space.root.name)
    try:
        with Journal(space, session.clock) as journal:
            inner = replace(
                session,
                space=space,
                journal=journal,
                read_records=lambda: read_records(space.journal),
                mirror=replace(session.mirror, plan=None),
            )
            for run in wanted.runs:
                order = order_of(run, session.space)
                device = chosen_device(order.device, uses_device=order.uses_device)
                _planned_as_it_was(order, run, inner, device)
                run_job(order, inner, _refuse_need)
        _refuse_other(wanted.runs[-1], space, wanted.files)
        for name in wanted.files:
            publish(space.root / name, place_in(session.space.root, name))
    finally:
        remove(folder)


def _planned_as_it_was(
    order: JobOrder, run: DoneRun, session: Session, device: Device
) -> Planned:
    """Return the plan; refuse a source that is no longer what it was, before it is read."""
    planned = plan_job(order, session, device)
    for need in planned.missing:
        _refuse_need(need, order)
    changes = recipe_changes(run.begun.recipe if run.begun else {}, planned.recipe)
    if changes:
        raise RecipeChangedError(job=order.name, changes=changes)
    return planned


def _refuse_need(need: PlannedNeed, _: JobOrder) -> None:
    raise MissingArtefactError(path=Path(need.path), job=need.job, typed=need.typed)


def _refuse_other(run: DoneRun, space: Workspace, wanted: Mapping[str, str]) -> None:
    """Refuse what differs from what was published, or of which nobody can tell."""
    entries = sums_of_results(space.root, run.ended.published)
    if digest_of_entries(entries) == run.ended.results_sha256:
        return
    for name, sha256 in wanted.items():
        made = entries.get(name)
        if not sha256 or made is None or made.sha256 != sha256:
            raise not_as_published(name)
