"""`lowmem doctor` as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from lowmem.base.units import format_budget, format_bytes

if TYPE_CHECKING:
    from lowmem.places.examination import Examination
    from lowmem.places.place import Place

SCHEMA = 1


def json_from_examination(found: Examination) -> str:
    """Return what was found as an indented JSON document."""
    return json.dumps({"schema": SCHEMA, **asdict(found)}, indent=2)


def _backend_text(found: Examination) -> str:
    if found.backend is None:
        return "none is installed"
    said = {
        "variable": "KERAS_BACKEND says so",
        "file": "Keras' own file says so",
        "installed": "the first that is installed",
    }
    return f"{found.backend}: {said[found.backend_said_by]}"


def text_from_examination(found: Examination) -> str:
    """Return what was found as a person reads them."""
    limit = found.cgroup_limit_bytes
    gpu = "none: jobs run on the CPU"
    if found.gpu is not None:
        gpu = f"{found.gpu}, {format_bytes(found.vram_total_bytes or 0)}"
    rows = {
        "place": found.place.name,
        "system": f"{found.system}, Python {found.python}",
        "cores": str(found.cores),
        "RAM": f"{format_bytes(found.ram_total_bytes)}, "
        f"{format_bytes(found.ram_available_bytes)} available",
        "control group": f"limit {format_bytes(limit)}" if limit else "no limit",
        "GPU": gpu,
        "Keras backend": _backend_text(found),
        "disk here": f"{format_bytes(found.disk_free_bytes)} free",
        "packages": ", ".join(f"{n} {v}" for n, v in found.versions.items() if v),
        "RAM budget": f"{format_budget(found.ram_budget_bytes)} by default",
        "VRAM budget": f"{format_budget(found.vram_budget_bytes)} by default"
        if found.vram_budget_bytes
        else "none",
    }
    lines = [f"{name:<14} {value}" for name, value in rows.items()]
    lines += _place_lines(found.place)
    if not found.problems:
        return "\n".join([*lines, "", "Nothing is wrong."])
    return "\n".join([*lines, "", "Problems:", *(f"- {p}" for p in found.problems)])


def _place_lines(place: Place) -> list[str]:
    """Return what ends a run here, and what to type."""
    lines = []
    if place.limits:
        lines += ["", "Limits here:"]
        for limit in place.limits:
            mark = " (documented, not measured)" if limit.source == "documented" else ""
            lines.append(f"- {limit.text}{mark}")
    if place.advice:
        lines += ["", "Suggested here:", *(f"  {line}" for line in place.advice)]
    return lines
