"""What a launch of shards is refused for before any of them is started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.config import read_config
from lowmem.base.errors import DataError, MissingArtefactError
from lowmem.base.errors_engines import SmallShareError
from lowmem.base.errors_recipe import RecipeChangedError
from lowmem.base.stderr import tell
from lowmem.base.units import format_budget
from lowmem.history.fold import history_of
from lowmem.history.recorded import read_records
from lowmem.memory.machine import default_ram_budget_bytes, read_machine
from lowmem.pipeline.orders import chosen_budgets, with_config
from lowmem.protocol.recipe import recipe_changes
from lowmem.supervisor import planner
from lowmem.supervisor.forecast import fits, smallest_budget_bytes
from lowmem.supervisor.order import (
    chosen_device,
    format_size,
    is_inside,
    plan_request,
)
from lowmem.supervisor.prepare import prepare
from lowmem.supervisor.subreaper import become_subreaper
from lowmem.supervisor.trials import TrialBench
from lowmem.supervisor.user_messages import refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowmem.base.workspace import Workspace
    from lowmem.pipeline.orders import RunBudgets, RunOptions
    from lowmem.protocol.messages import Planned
    from lowmem.protocol.planning import Device
    from lowmem.supervisor.order import JobOrder


def whole_budgets(options: RunOptions, space: Workspace) -> tuple[RunBudgets, bool]:
    """Return the budgets of a launch, and whether somebody chose that of its RAM.

    Raises
    ------
    UsageError
        If an option, or lowmem.toml, is wrong.
    """
    options = with_config(options, read_config(space.config).get("run", {}))
    budgets = chosen_budgets(
        options,
        default_ram_bytes=default_ram_budget_bytes(read_machine()),
        default_vram_bytes=None,
    )
    return budgets, options.ram_budget is not None


def refuse_unfit(
    order: JobOrder,
    space: Workspace,
    *,
    is_here: bool,
    is_replacing: bool,
    whole_bytes: Callable[[int], int],
) -> Device:
    """Refuse what every shard, or the merge, would refuse; return where they compute.

    Parameters
    ----------
    order
        Of one shard, with its budget.
    is_here
        Whether this machine runs the shards: then what is in doubt is measured by trials.
    is_replacing
        Whether the merge replaces another result.
    whole_bytes
        Returns the RAM budget of the launch whose shards have so much each.

    Raises
    ------
    MissingArtefactError
        If what the job needs is not there.
    RecipeChangedError
        If the workspace holds another result, which the merge would not replace.
    SmallShareError
        If the smallest settings do not fit a shard's budget; it tells the launch's.
    DataError
        If the job's file lies inside the workspace: the merge does not run that unasked.
    """
    if is_inside(order.reference, space):
        raise DataError(
            thing=order.reference,
            problem="is a job's file inside the workspace, where a copy may have put it",
            expected="one outside, that a merge may run without being asked",
            todo="Move it out of the workspace.",
        )
    device = _device(order, is_here=is_here)
    planned = planner.plan(plan_request(order, space, device))
    for need in planned.missing:
        raise MissingArtefactError(path=Path(need.path), job=need.job, typed=need.typed)
    if is_here and not is_replacing:
        _refuse_other_result(order, space, planned)
    _refuse_small(order, space, planned, device, whole_bytes, is_here=is_here)
    return device


def _device(order: JobOrder, *, is_here: bool) -> Device:
    """Return where shards compute, as far as this machine can tell of others."""
    if is_here:
        return chosen_device(order.device, uses_device=order.uses_device)
    return "gpu" if order.device == "gpu" else "cpu"


def _refuse_other_result(order: JobOrder, space: Workspace, planned: Planned) -> None:
    own = history_of(read_records(space.journal), is_brief=True).of(order.name)
    changes = recipe_changes(own.recipe or {}, planned.recipe)
    if own.is_done and changes:
        raise RecipeChangedError(
            job=order.name, changes=changes, held=f"a finished result of {order.name}"
        )


def _refuse_small(
    order: JobOrder,
    space: Workspace,
    planned: Planned,
    device: Device,
    whole_bytes: Callable[[int], int],
    *,
    is_here: bool,
) -> None:
    """Refuse a share that the job's settings do not fit; elsewhere by its formula alone."""
    rungs, stop = planned.rungs, None
    if is_here:
        become_subreaper()
        bench = TrialBench(
            space=space, clock=SystemClock(), device=device, is_over=lambda: False
        )
        prepared = prepare(
            order,
            planned,
            bench,
            list(read_records(space.journal)),
            is_thorough=False,
            say=lambda text: None if order.is_quiet else tell(f"{order.name}: {text}"),
        )
        if prepared.start is not None:
            return
        rungs, stop = prepared.rungs, prepared.stop
    elif any(fits(rung, order.planned_budget_bytes) for rung in rungs):
        return
    available_bytes = read_machine().available_bytes if is_here else 2**63
    smallest = None if stop else smallest_budget_bytes(rungs)
    raise SmallShareError(
        n_shards=order.shard.count if order.shard else 1,
        share=format_budget(order.ram_budget_bytes),
        said=str(refusal(order, rungs, stop, available_bytes=available_bytes)),
        whole="" if smallest is None else format_size(whole_bytes(smallest)),
    )
