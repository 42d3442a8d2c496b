"""What ``lowmem status`` prints: where each job stands, one line a job."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from lowmem.base.units import format_budget, format_bytes
from lowmem.base.wrapping import wrapped
from lowmem.report.columns import format_columns, printable
from lowmem.report.live_line import text_of
from lowmem.report.next_command import command_here
from lowmem.report.shard_status import text_from_sharded
from lowmem.report.unrecorded import NOTHING_HAS_RUN
from lowmem.report.wording import day_and_time, share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.protocol.records import State
    from lowmem.report.columns import Row
    from lowmem.report.live_line import LiveState
    from lowmem.report.schema import JobReport, Report

_WIDTH = 100
_NUMBERS = frozenset({2, 3})
HEADER = (
    "job",
    "state",
    "cycles",
    "items",
    "RAM peak of budget",
    "last activity (UTC)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NowStatus:
    """How far a running job is at this moment; None is what is not known.

    Attributes
    ----------
    percent, left_s
        Of its items, and the seconds that the rest will take at its rate.
    done, total
        Items, committed or not, counted from its very start.
    rate
        Items a second, of late.
    """

    percent: float | None
    left_s: float | None
    done: int | None
    total: int | None
    rate: float | None
    cycle: int | None
    note: str
    ram_bytes: int | None
    ram_peak_bytes: int | None
    vram_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """Where one job stands.

    Attributes
    ----------
    cycles, items
        Those that are committed.
    durable
        Committed cycles that a mirror has confirmed; None if there is no mirror.
    next_command
        What carries the job on; None where nothing is left to do.
    message
        What its newest run said, if it did not end well.
    now
        Of the job that runs; None where it does not, or nothing tells of it.
    """

    state: State
    cycles: int
    items: int
    unit: str
    last_at: str
    ram_peak_bytes: int | None
    ram_budget_bytes: int | None
    next_command: str | None
    message: str
    durable: int | None = None
    now: NowStatus | None = None


def statuses(
    report: Report, standings: Mapping[str, LiveState] | None = None
) -> dict[str, JobStatus]:
    """Return where each job of the workspace stands, by name.

    Parameters
    ----------
    standings
        Of jobs that run, what they told last.
    """
    known = standings or {}
    return {
        name: _status(job, report.workspace, known.get(name))
        for name, job in report.jobs.items()
    }


def json_from_statuses(
    report: Report, standings: Mapping[str, LiveState] | None = None
) -> str:
    """Return the same as an indented JSON document."""
    document = {
        "schema": report.schema,
        "workspace": report.workspace,
        "jobs": statuses(report, standings),
        "shards": report.shards,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def text_from_statuses(
    report: Report,
    standings: Mapping[str, LiveState] | None = None,
    *,
    width: int = _WIDTH,
    unrecorded: str = "",
) -> str:
    """Return the table of jobs and, for each unfinished one, why and what carries it on.

    Of a job that runs, how far it is and what it uses now.

    Parameters
    ----------
    width
        Columns of the terminal; words take 100 of them at most.
    unrecorded
        See `told_of_unrecorded`.
    """
    columns, width = width, min(width, _WIDTH)
    rows = statuses(report, standings)
    lines = [f"Workspace {report.workspace}", ""]
    if not rows:
        if not report.shards:
            lines += wrapped(unrecorded or NOTHING_HAS_RUN, width)
        lines += text_from_sharded(report.shards, width=columns)
        return "\n".join(map(printable, lines))
    table = [row_of(name, status) for name, status in rows.items()]
    left = frozenset(range(len(HEADER))) - _NUMBERS
    lines += format_columns(HEADER, table, left=left, width=columns)
    for name, status in rows.items():
        if standings and name in standings:
            now = f"{name} now: {text_of(standings[name])}"
            lines += ["", *wrapped(now, width)]
        lines += _what_next(name, status, width)
    lines += text_from_sharded(report.shards, width=columns)
    return "\n".join(map(printable, lines))


def _what_next(name: str, status: JobStatus, width: int) -> list[str]:
    if status.next_command is None:
        return []
    reason = status.message or "was cut off; what it committed is kept."
    if status.state == "stopped" and not status.cycles:
        reason += " Nothing was committed yet: it starts over."
    return [
        "",
        *wrapped(f"{name}: {reason}", width),
        f"  {status.next_command}",
    ]


def _status(job: JobReport, workspace: str, standing: LiveState | None) -> JobStatus:
    is_over = job.state in {"done", "running"}
    typed = job.command or ("run", job.reference, "--workspace", workspace)
    words = command_here(typed, workspace)
    peaks = (job.ram_peak_bytes, standing.ram_peak_bytes if standing else None)
    return JobStatus(
        state=job.state,
        cycles=len(job.committed),
        items=job.items,
        unit=job.unit,
        last_at=job.last_at,
        ram_peak_bytes=max((peak for peak in peaks if peak is not None), default=None),
        ram_budget_bytes=job.budgets.ram_bytes,
        next_command=None if is_over else shlex.join(["lowmem", *words]),
        message=job.message,
        durable=job.durable,
        now=_now(standing) if standing else None,
    )


def _now(standing: LiveState) -> NowStatus:
    fraction, left_s = standing.fraction, standing.left_s
    return NowStatus(
        percent=None if fraction is None else round(100 * fraction, 1),
        left_s=None if left_s is None else round(left_s, 1),
        done=standing.done,
        total=standing.total,
        rate=standing.rate,
        cycle=standing.cycle,
        note=standing.note,
        ram_bytes=standing.ram_bytes,
        ram_peak_bytes=standing.ram_peak_bytes,
        vram_bytes=standing.vram_bytes,
    )


def row_of(name: str, status: JobStatus) -> Row:
    """Return the line of the table, below `HEADER`, of one job."""
    return (
        name,
        status.state,
        _cycles_text(status),
        f"{status.items:,} {status.unit}" if status.items else "-",
        _peak_text(status),
        day_and_time(status.last_at),
    )


def _cycles_text(status: JobStatus) -> str:
    if status.durable is None:
        return f"{status.cycles:,}"
    return f"committed {status.cycles:,}, durable {status.durable:,}"


def _peak_text(status: JobStatus) -> str:
    if status.ram_peak_bytes is None:
        return "not measured"
    peak = format_bytes(status.ram_peak_bytes)
    if status.ram_budget_bytes is None:
        return peak
    of_budget = share(status.ram_peak_bytes, status.ram_budget_bytes)
    return f"{peak} of {format_budget(status.ram_budget_bytes)} ({of_budget})"
