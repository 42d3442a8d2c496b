"""Make files of a finished result again, under the same watch as any run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.errors import MissingArtefactError, RecipeChangedError
from lowmem.protocol.recipe import recipe_changes
from lowmem.supervisor.order import chosen_device
from lowmem.supervisor.run import SupervisedRun, plan_job, prepare_job

if TYPE_CHECKING:
    from lowmem.protocol.messages import Rebuild
    from lowmem.supervisor.order import JobOrder
    from lowmem.supervisor.session import Session


def rebuild_results(order: JobOrder, session: Session, wanted: Rebuild) -> None:
    """Make files of a finished result again; the job's history stays as it is.

    Raises
    ------
    LowmemError
        If they could not be made as they were; then they are as before.
    """
    device = chosen_device(order.device, uses_device=order.uses_device)
    planned = plan_job(order, session, device)
    for need in planned.missing:
        raise MissingArtefactError(path=Path(need.path), job=need.job)
    history = session.past().of(order.name)
    changes = recipe_changes(history.recipe or {}, planned.recipe)
    if changes:
        raise RecipeChangedError(job=order.name, changes=changes)
    prepared = prepare_job(order, session, planned, device)
    run = SupervisedRun(
        order, session, prepared, planned.recipe, history, device, rebuild=wanted
    )
    run.to_the_end()
