"""Make a result again from its very beginning: all the runs that made it, one by one.

They run in a private workspace, under the same watch as any run, so a result that was
added to is made of its first source and then of each further one. Nothing takes the
place of a damaged file but the bytes that were published.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lowmem.base.errors import MissingArtefactError, RecipeChangedError
from lowmem.base.files import publish, remove
from lowmem.base.inside import place_in
from lowmem.base.workspace import Workspace
from lowmem.checkpoints.sums import digest_of_entries
from lowmem.integrity.published import not_as_published, sums_of_results
from lowmem.protocol.recipe import recipe_changes
from lowmem.report.read import read_records
from lowmem.supervisor.order import chosen_device
from lowmem.supervisor.run import plan_job, run_job
from lowmem.supervisor.telemetry import Journal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowmem.history.past import DoneRun
    from lowmem.protocol.messages import PlannedNeed
    from lowmem.supervisor.order import JobOrder
    from lowmem.supervisor.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One run to be made again: as it was, and the order that makes it so."""

    run: DoneRun
    order: JobOrder


def remake_results(
    steps: Sequence[Step], session: Session, wanted: Mapping[str, str]
) -> None:
    """Make files of a result again by the runs that made it; the history stays as it is.

    Parameters
    ----------
    steps
        All that made it, in their order.
    wanted
        The SHA-256 of each file when it was published, by its place; empty where nothing
        but the checksum of the whole result was recorded.

    Raises
    ------
    LowmemError
        If they could not be made as they were; then they are as before.

    Notes
    -----
    Disk: the whole result once more while it lasts. A cut loses it all.
    """
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
            for step in steps:
                _refuse_changes(step, inner)
                run_job(step.order, inner, _refuse_need)
        _refuse_other(steps[-1].run, space, wanted)
        for name in wanted:
            publish(space.root / name, place_in(session.space.root, name))
    finally:
        remove(folder)


def _refuse_changes(step: Step, session: Session) -> None:
    """Refuse a source that is no longer what it was, before it is read."""
    order = step.order
    device = chosen_device(order.device, uses_device=order.uses_device)
    planned = plan_job(order, session, device)
    for need in planned.missing:
        _refuse_need(need, order)
    begun = step.run.begun
    changes = recipe_changes(begun.recipe if begun else {}, planned.recipe)
    if changes:
        raise RecipeChangedError(job=order.name, changes=changes)


def _refuse_need(need: PlannedNeed, _: JobOrder) -> None:
    raise MissingArtefactError(path=Workspace.at(need.path).root, job=need.job)


def _refuse_other(run: DoneRun, space: Workspace, wanted: Mapping[str, str]) -> None:
    """Refuse what differs from what was published, or of which nobody can tell."""
    entries = sums_of_results(space.root, run.ended.published)
    if digest_of_entries(entries) == run.ended.results_sha256:
        return
    for name, sha256 in wanted.items():
        made = entries.get(name)
        if not sha256 or made is None or made.sha256 != sha256:
            raise not_as_published(name)
