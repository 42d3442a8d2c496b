"""`lowmem plan` as text and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lowmem.base.units import format_budget, format_bytes
from lowmem.supervisor.order import SUPERVISOR_BYTES, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem.pipeline.job_plans import JobPlan
    from lowmem.protocol.messages import PlannedRung
    from lowmem.supervisor.known_peaks import TrialPeak

SCHEMA = 1
# How a prediction is known, for the user.
_SOURCES = {
    "unknown": "unknown",
    "analytic": "by formula",
    "calibrated": "by trial runs",
    "remembered": "as in a former run",
}


def _total_bytes(rung: PlannedRung) -> int | None:
    return _with_supervisor(rung.ram_bytes)


def _with_supervisor(ram_bytes: int | None) -> int | None:
    return None if ram_bytes is None else ram_bytes + SUPERVISOR_BYTES


def json_from_plans(plans: Sequence[JobPlan]) -> str:
    """Return the plans as JSON."""
    document = {"schema": SCHEMA, "plans": [_as_json(plan) for plan in plans]}
    return json.dumps(document, indent=2)


def _as_json(plan: JobPlan) -> dict[str, object]:
    start = None if plan.chosen is None else plan.rungs[plan.chosen]
    return {
        "job": plan.job,
        "device": plan.device,
        "ram_budget_bytes": plan.ram_budget_bytes,
        "fits": None if plan.missing else plan.fits,
        "missing": list(plan.missing),
        "settings": start and start.settings,
        "ram_peak_bytes": start and _total_bytes(start),
        "vram_peak_bytes": start and start.vram_bytes,
        "source": start and start.source,
        "smallest_ram_budget_bytes": plan.smallest_budget_bytes,
        "ladder": [
            {
                "settings": rung.settings,
                "ram_peak_bytes": _total_bytes(rung),
                "vram_peak_bytes": rung.vram_bytes,
                "source": rung.source,
                "formula_ram_peak_bytes": _with_supervisor(formula),
            }
            for rung, formula in zip(plan.rungs, plan.formula_bytes, strict=True)
        ],
    }


def text_from_plans(plans: Sequence[JobPlan]) -> str:
    """Return the plans as a person reads them."""
    return "\n\n".join("\n".join(_lines(plan)) for plan in plans)


def _lines(plan: JobPlan) -> list[str]:
    budget = format_budget(plan.ram_budget_bytes)
    head = f"{plan.job}: RAM budget {budget}, on the {plan.device}"
    if plan.missing:
        needs = (f"  needs {p} first: lowmem run {j}" for p, j in plan.missing.items())
        return [head, *needs]
    lines = [head]
    for index, rung in enumerate(plan.rungs):
        mark = "->" if index == plan.chosen else "  "
        lines.append(f"  {mark} {_settings_text(rung)}: {_need_text(rung)}")
    smallest = plan.smallest_budget_bytes
    if plan.chosen is None:
        lines.append("  does not fit")
        lines += [_stop_text(plan.stop)] if plan.stop else []
    if smallest is not None:
        lines.append(f"  the smallest budget that would do: {format_size(smallest)}")
    return lines


def _stop_text(stop: TrialPeak) -> str:
    where = f", in {stop.where}" if stop.where else ""
    size = format_bytes(stop.ram_bytes + SUPERVISOR_BYTES)
    return f"  a trial run was stopped at {size}{where}: it needs more"


def _settings_text(rung: PlannedRung) -> str:
    pairs = (f"{name} {value}" for name, value in rung.settings.items())
    return ", ".join(pairs) or "the only setting"


def _need_text(rung: PlannedRung) -> str:
    total = _total_bytes(rung)
    if total is None:
        return "need unknown before it has run"
    vram = f" and {format_bytes(rung.vram_bytes)} of VRAM" if rung.vram_bytes else ""
    return f"peak about {format_bytes(total)}{vram} ({_SOURCES[rung.source]})"
