"""Where a running job stands, told from one process to another.

The supervisor adds it to each line of the telemetry; whoever looks from elsewhere reads
the last line. Neither waits for the other, and nothing is written by who looks.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads the annotation
from typing import TYPE_CHECKING, Annotated

import msgspec

from lowmem.base.errors_outside import NotRegularError
from lowmem.base.outside import BAD_JSON, stream_of
from lowmem.report.live_line import LiveState

if TYPE_CHECKING:
    from pathlib import Path

    from lowmem.base.workspace import Workspace
    from lowmem.report.schema import JobReport, Report

# Bytes from the end in which the last whole line lies: one has some 300.
_TAIL_BYTES = 8192
# seconds; the lines of a job that runs are closer, so an older one tells of the past.
_FRESH_S = 10.0
_LONG_NOTE = 200


# A workspace may be anybody's: numbers that nothing here can be are no line of lowmem's.
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_Rate = Annotated[float, msgspec.Meta(ge=0, le=1e15)]


class Now(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a line that tells how far the job is; see `live.Standing`."""

    phase: str = ""
    elapsed_s: _Seconds = 0.0
    cycle: _Count | None = None
    done: _Count | None = None
    total: _Count | None = None
    rate: _Rate | None = None
    note: str = ""
    ram_peak_bytes: _Count | None = None
    vram_peak_bytes: _Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    ram_bytes: _Count
    vram_bytes: _Count | None = None
    now: Now | None = None


_decoder = msgspec.json.Decoder(_Line)


def now_from_standing(standing: LiveState) -> Now:
    """Return what a line of the telemetry tells beside the memory in use."""
    rate = standing.rate
    return Now(
        phase=standing.phase,
        elapsed_s=round(standing.elapsed_s, 1),
        cycle=standing.cycle,
        done=standing.done,
        total=standing.total,
        rate=None if rate is None else round(rate, 4),
        note=standing.note[:_LONG_NOTE],
        ram_peak_bytes=standing.ram_peak_bytes,
        vram_peak_bytes=standing.vram_peak_bytes,
    )


def read_standings(
    space: Workspace, report: Report, at: datetime
) -> dict[str, LiveState]:
    """Return where the running jobs of a workspace stand, by name.

    Parameters
    ----------
    at
        This moment: what was told long before it is not told again.
    """
    found = {
        name: read_standing(space.telemetry(name), name, job, at)
        for name, job in report.jobs.items()
        if job.state == "running"
    }
    return {name: one for name, one in found.items() if one is not None}


def read_standing(
    path: Path, name: str, job: JobReport, at: datetime
) -> LiveState | None:
    """Return where a running job stands; None where nothing tells it.

    Parameters
    ----------
    path
        Its telemetry, which may be absent, torn, or of an older lowmem.
    at
        This moment: what was told long before it is not told again.
    """
    line = _last_line(path)
    if line is None or line.now is None:
        return None
    if abs((at - line.at).total_seconds()) > _FRESH_S:
        return None
    now = line.now
    return LiveState(
        job=name,
        unit=job.unit,
        phase=now.phase,
        elapsed_s=now.elapsed_s,
        cycle=now.cycle,
        done=now.done,
        total=now.total,
        rate=now.rate,
        note=now.note,
        ram_bytes=line.ram_bytes,
        ram_peak_bytes=now.ram_peak_bytes,
        ram_budget_bytes=job.budgets.ram_bytes,
        vram_bytes=line.vram_bytes,
        vram_peak_bytes=now.vram_peak_bytes,
        vram_budget_bytes=job.budgets.vram_bytes,
    )


def _last_line(path: Path) -> _Line | None:
    try:
        with stream_of(path) as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _TAIL_BYTES))
            tail = stream.read(_TAIL_BYTES)
    except (OSError, NotRegularError):
        return None
    for line in reversed((tail or b"").splitlines()):
        with suppress(*BAD_JSON):
            return _decoder.decode(line)
    return None
