"""`lowmem plan`: what a job would need, as values, text and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from lowmem.base.units import format_bytes
from lowmem.base.workspace import Workspace
from lowmem.cli.execute import Orders
from lowmem.protocol.messages import PlannedRung
from lowmem.supervisor import ask
from lowmem.supervisor.order import (
    SUPERVISOR_BYTES,
    JobOrder,
    chosen_device,
    first_fitting_rung,
    format_size,
    needed_budget_bytes,
    plan_request,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """The plan of one job.

    Attributes
    ----------
    rungs
        Its ladder, largest settings first; empty where data are missing.
    chosen
        Index of the rung that a run would start with; None if none fits.
    missing
        Artefacts that must be made first.
    """

    job: str
    device: str
    ram_budget_bytes: int
    rungs: tuple[PlannedRung, ...]
    chosen: int | None
    missing: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether a run would start, once nothing is missing."""
        return bool(self.missing) or self.chosen is not None


def plans_of(orders: Orders, space: Workspace) -> list[JobPlan]:
    """Ask for the plan of every job that was ordered."""
    return [_plan(order, space) for order in orders.jobs]


def _plan(order: JobOrder, space: Workspace) -> JobPlan:
    device = chosen_device(order.device)
    planned = ask.plan(plan_request(order, space, device))
    return JobPlan(
        job=order.name,
        device=device,
        ram_budget_bytes=order.ram_budget_bytes,
        rungs=planned.rungs,
        chosen=first_fitting_rung(planned.rungs, order.ram_budget_bytes),
        missing=tuple(need.path for need in planned.missing),
    )


def _total_bytes(rung: PlannedRung) -> int | None:
    return None if rung.ram_bytes is None else rung.ram_bytes + SUPERVISOR_BYTES


def json_from_plans(plans: Sequence[JobPlan]) -> str:
    """Return the plans as JSON."""
    return json.dumps({"plans": [_as_json(plan) for plan in plans]}, indent=2)


def _as_json(plan: JobPlan) -> dict[str, object]:
    return {
        "job": plan.job,
        "device": plan.device,
        "ram_budget_bytes": plan.ram_budget_bytes,
        "fits": None if plan.missing else plan.fits,
        "missing": list(plan.missing),
        "settings": (
            plan.rungs[plan.chosen].settings if plan.chosen is not None else None
        ),
        "ram_peak_bytes": (
            _total_bytes(plan.rungs[plan.chosen]) if plan.chosen is not None else None
        ),
        "vram_peak_bytes": (
            plan.rungs[plan.chosen].vram_bytes if plan.chosen is not None else None
        ),
        "smallest_ram_budget_bytes": _smallest(plan),
        "ladder": [
            {
                "settings": rung.settings,
                "ram_peak_bytes": _total_bytes(rung),
                "vram_peak_bytes": rung.vram_bytes,
            }
            for rung in plan.rungs
        ],
    }


def _smallest(plan: JobPlan) -> int | None:
    if not plan.rungs or plan.rungs[-1].ram_bytes is None:
        return None
    return needed_budget_bytes(plan.rungs[-1])


def text_from_plans(plans: Sequence[JobPlan]) -> str:
    """Return the plans as a person reads them."""
    return "\n\n".join("\n".join(_lines(plan)) for plan in plans)


def _lines(plan: JobPlan) -> list[str]:
    budget = format_bytes(plan.ram_budget_bytes)
    head = f"{plan.job}: RAM budget {budget}, on the {plan.device}"
    if plan.missing:
        return [head, *(f"  needs {path} first" for path in plan.missing)]
    lines = [head]
    for index, rung in enumerate(plan.rungs):
        mark = "->" if index == plan.chosen else "  "
        lines.append(f"  {mark} {_settings_text(rung)}: {_need_text(rung)}")
    if plan.chosen is None:
        smallest = format_size(_smallest(plan) or 0)
        lines.append(f"  does not fit; the smallest budget that would is {smallest}")
    return lines


def _settings_text(rung: PlannedRung) -> str:
    pairs = (f"{name} {value}" for name, value in rung.settings.items())
    return ", ".join(pairs) or "the only setting"


def _need_text(rung: PlannedRung) -> str:
    total = _total_bytes(rung)
    if total is None:
        return "need unknown before it has run"
    vram = f" and {format_bytes(rung.vram_bytes)} of VRAM" if rung.vram_bytes else ""
    return f"peak about {format_bytes(total)}{vram}"
