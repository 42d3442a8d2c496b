"""`lowmem doctor` as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from lowmem.base.units import format_budget, format_bytes
from lowmem.places.examination import WORTH_NAMING_BYTES
from lowmem.report.columns import printable

if TYPE_CHECKING:
    from lowmem.memory.programs import Program
    from lowmem.places.disk_speed import DiskSpeed
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


def _cores_text(found: Examination) -> str:
    if found.physical_cores is None:
        return str(found.cores)
    return (
        f"{found.cores} to use; physical cores of the machine: {found.physical_cores}"
    )


def _programs_text(found: Examination) -> str:
    """Return which programs hold most of the RAM, and of how many they are."""
    shown = found.largest_programs
    if not shown:
        return f"none of {found.n_programs} holds {format_bytes(WORTH_NAMING_BYTES)} of RAM"
    told = ", ".join(map(_program_text, shown))
    return f"the largest {len(shown)} of {found.n_programs}: {told}"


def _program_text(program: Program) -> str:
    whose = "yours" if program.is_yours else f"of {program.user}"
    size = format_bytes(program.ram_bytes)
    bound = "up to " if program.is_at_most else ""
    return f"{program.name} (id {program.pid}, {whose}) {bound}{size}"


def _speed_text(disk: DiskSpeed) -> str:
    """Return how fast a disk is, and why no more could be written to it."""
    speed = ""
    if disk.bytes_per_s is not None:
        speed = f"takes {format_bytes(disk.bytes_per_s)}/s"
    cut = "" if disk.problem is None else f"cannot be written to: {disk.problem}"
    return ", then ".join(filter(None, (speed, cut)))


def _kept_rows(found: Examination) -> dict[str, str]:
    kept = found.disk_speeds[1:]
    told = "; ".join(f"{one.folder} {_speed_text(one)}" for one in kept)
    return {"disk kept": told} if kept else {}


def text_from_examination(found: Examination) -> str:
    """Return what was found as a person reads them."""
    limit = found.cgroup_limit_bytes
    gpu = "none: jobs run on the CPU"
    if found.gpu is not None:
        gpu = f"{found.gpu}, {format_bytes(found.vram_total_bytes or 0)}"
    rows = {
        "place": found.place.name,
        "system": f"{found.system}, Python {found.python}",
        "cores": _cores_text(found),
        "RAM": f"{format_bytes(found.ram_total_bytes)}, "
        f"{format_bytes(found.ram_available_bytes)} available",
        "programs": _programs_text(found),
        "control group": f"limit {format_bytes(limit)}" if limit else "no limit",
        "GPU": gpu,
        "Keras backend": _backend_text(found),
        "disk here": f"{format_bytes(found.disk_free_bytes)} free, "
        f"{_speed_text(found.disk_speeds[0])}",
        **_kept_rows(found),
        "packages": ", ".join(f"{n} {v}" for n, v in found.versions.items() if v),
        "RAM budget": f"{format_budget(found.ram_budget_bytes)} by default",
        "VRAM budget": f"{format_budget(found.vram_budget_bytes)} by default"
        if found.vram_budget_bytes
        else "none",
    }
    lines = [f"{name:<14} {value}" for name, value in rows.items()]
    lines += _place_lines(found.place)
    if found.problems:
        lines += ["", "Problems:", *(f"- {p}" for p in found.problems)]
    else:
        lines += ["", "Nothing is wrong."]
    # Programs call themselves as they like.
    return "\n".join(map(printable, lines))


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
