"""What each ordered job would need, asked of its planner and measured by trial runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.errors import MissingArtefactError
from lowmem.base.stderr import tell
from lowmem.history.fold import history_of
from lowmem.history.recorded import read_records
from lowmem.pipeline.compose import Orders, needed_order
from lowmem.pipeline.unread import is_unread
from lowmem.supervisor import planner
from lowmem.supervisor.forecast import smallest_budget_bytes
from lowmem.supervisor.order import JobOrder, chosen_device, plan_request
from lowmem.supervisor.prepare import prepare
from lowmem.supervisor.subreaper import become_subreaper
from lowmem.supervisor.trials import TrialBench

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lowmem.base.workspace import Workspace
    from lowmem.protocol.messages import Planned, PlannedRung
    from lowmem.protocol.planning import Device
    from lowmem.supervisor.known_peaks import TrialPeak


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """The plan of one job.

    Attributes
    ----------
    rungs
        Its ladder, largest settings first; empty where data are missing.
    formula_bytes
        What the job's formula alone says of each; None where it says nothing.
    chosen
        Index of the rung that a run would start with; None if none fits.
    missing
        Paths of what must be made first, and what is typed for the job that makes each.
    stop
        A trial that was stopped at the budget: what would do is then not known.
    """

    job: str
    device: str
    ram_budget_bytes: int
    rungs: tuple[PlannedRung, ...]
    formula_bytes: tuple[int | None, ...]
    chosen: int | None
    missing: Mapping[str, str]
    stop: TrialPeak | None = None

    @property
    def smallest_budget_bytes(self) -> int | None:
        """The smallest budget in which any setting is tried; None if not known."""
        is_told = self.chosen is not None or self.stop is None
        return smallest_budget_bytes(self.rungs) if is_told else None

    @property
    def fits(self) -> bool:
        """Whether a run would start, once nothing is missing."""
        return bool(self.missing) or self.chosen is not None


def plans_of(orders: Orders, space: Workspace) -> list[JobPlan]:
    """Ask for the plan of every job that was ordered; trial runs may be needed.

    Of a single job also for those that a run would begin with, for want of their results.
    """
    become_subreaper()
    plans: list[JobPlan] = []
    for order in orders.jobs:
        device = chosen_device(order.device, uses_device=order.uses_device)
        planned = planner.plan(plan_request(order, space, device))
        if len(orders.jobs) == 1:
            plans += _plans_of_needed(planned, order, orders, space)
        plans.append(_plan(order, planned, device, space))
    return plans


def _plans_of_needed(
    planned: Planned, order: JobOrder, orders: Orders, space: Workspace
) -> Iterator[JobPlan]:
    history = history_of(read_records(space.journal), is_brief=True)
    for need in planned.missing:
        if need.options is not None:
            recipe = history.of(need.job).recipe
            first = needed_order(need, order, orders, recipe, lambda: False)
            device = chosen_device(first.device, uses_device=first.uses_device)
            needed = planner.plan(plan_request(first, space, device))
            yield _plan(first, needed, device, space)


def refuse_if_nothing_is_planned(plans: Sequence[JobPlan]) -> None:
    """Refuse a plan of jobs none of which could be looked at, as their run would be.

    Raises
    ------
    MissingArtefactError
        With the first thing that is missing.
    """
    first = plans[0].missing
    if all(plan.missing for plan in plans):
        path, job = next(iter(first.items()))
        raise MissingArtefactError(path=Path(path), job=job)


def _plan(
    order: JobOrder, planned: Planned, device: Device, space: Workspace
) -> JobPlan:
    missing = {need.path: need.typed for need in planned.missing}
    rungs, chosen, stop = planned.rungs, None, None
    if not missing:
        bench = TrialBench(
            space=space, clock=SystemClock(), device=device, is_over=is_unread
        )
        records = list(read_records(space.journal))
        prepared = prepare(
            order,
            planned,
            bench,
            records,
            is_thorough=True,
            say=lambda text: tell(f"{order.name}: {text}"),
        )
        rungs, chosen, stop = prepared.rungs, prepared.start, prepared.stop
    return JobPlan(
        job=order.name,
        device=device,
        ram_budget_bytes=order.ram_budget_bytes,
        rungs=rungs,
        # Of smaller settings that cannot be used there is no rung.
        formula_bytes=tuple(rung.ram_bytes for rung in planned.rungs[: len(rungs)]),
        chosen=chosen,
        missing=missing,
        stop=stop,
    )
