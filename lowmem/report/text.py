"""What ``lowmem report`` prints: a report as plain text, 100 columns wide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.units import format_bytes, format_measured, format_seconds
from lowmem.base.wrapping import wrapped
from lowmem.report.columns import format_columns, printable
from lowmem.report.excerpt import excerpt
from lowmem.report.shard_status import text_from_sharded
from lowmem.report.tables import tables_in, without_tables
from lowmem.report.unrecorded import NOTHING_HAS_RUN
from lowmem.report.wording import (
    budget_texts,
    change_text,
    count,
    cycles_text,
    day_and_time,
    devices_text,
    event_name,
    event_reading,
    mebibytes,
    pairs,
    share,
    value_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lowmem.report.columns import Row
    from lowmem.report.schema import CycleReport, EventReport, JobReport, Report

WIDTH = 100
_AT_MOST = 16
_OUTCOME = 2
_INDENT = "  "

_LEGEND = (
    "RAM in MiB: anonymous and shared memory of the whole process tree. freed: what the "
    "clean-up after a cycle gave back. hwm: the kernel's own peak, file-backed pages "
    "included."
)


def text_from_report(
    report: Report,
    *,
    has_all_cycles: bool = False,
    unrecorded: str = "",
    width: int = WIDTH,
) -> str:
    """Return the report as text.

    Parameters
    ----------
    has_all_cycles
        Show every cycle, however many; otherwise a long list is cut in its middle.
    unrecorded
        See `told_of_unrecorded`.
    width
        Columns of the terminal; 100 of them at most are used.
    """
    limit = min(width, WIDTH)
    lines = [f"Workspace {report.workspace}"]
    if not (report.jobs or report.shards):
        lines += ["", *wrapped(unrecorded or NOTHING_HAS_RUN, limit)]
    for name, job in report.jobs.items():
        lines += ["", *_job_lines(name, job, limit, has_all_cycles=has_all_cycles)]
    if any(job.cycles for job in report.jobs.values()):
        lines += ["", *wrapped(_LEGEND, limit)]
    lines += text_from_sharded(report.shards, width=limit)
    return "\n".join(map(printable, lines))


def _job_lines(
    name: str, job: JobReport, limit: int, *, has_all_cycles: bool
) -> Iterator[str]:
    heading = f"{name}: {job.state}"
    yield heading
    yield "=" * len(heading)
    yield from _facts(job, limit)
    if job.cycles:
        yield ""
        at_most = len(job.cycles) if has_all_cycles else _AT_MOST
        yield from _indented(_cycle_table(job, max(at_most, _AT_MOST), limit))
    if job.events:
        yield from ("", "  Events")
        for event in job.events:
            at = day_and_time(event.at)
            yield from _wrapped(f"{at}  {_event_text(event)}", "    ", limit)
            yield from _wrapped(f"-> {event.action}", "      ", limit)
    if job.notes:
        yield from ("", "  Notes")
        for note in job.notes:
            yield from _wrapped(f"{day_and_time(note.at)}  {note.text}", "    ", limit)
    if job.summary:
        yield from _results(job, limit)


def _results(job: JobReport, limit: int) -> Iterator[str]:
    yield from ("", "  Results")
    singles = without_tables(job.summary)
    width = max(map(len, singles), default=0)
    for key, value in singles.items():
        yield from _wrapped(f"{key:<{width}}  {value_text(value)}", "    ", limit)
    for key, table in tables_in(job.summary).items():
        columns = format_columns(
            table.header,
            table.rows,
            left=frozenset({0}),
            width=limit - 3 * len(_INDENT),
        )
        yield from (
            "",
            f"    {key}",
            *(f"{3 * _INDENT}{line}".rstrip() for line in columns),
        )


def _facts(job: JobReport, limit: int) -> Iterator[str]:
    """Yield what holds of the job as a whole, a line each."""
    seed = "" if job.seed is None else f", seed {job.seed}"
    yield from _wrapped(f"device    {devices_text(job)}{seed}", "  ", limit)
    for change in job.changes:
        yield from _wrapped(f"changed   {change_text(change, job.unit)}", "  ", limit)
    yield from _wrapped(
        f"budget    {', '.join(budget_texts(job.budgets))}", "  ", limit
    )
    yield from _wrapped(f"peak      {', '.join(_peaks(job))}", "  ", limit)
    if job.cycles:
        done = count(job.items, job.unit)
        took = f"{done} in {format_seconds(job.seconds)}"
        yield from _wrapped(f"cycles    {cycles_text(job)}: {took}", "  ", limit)
    last = f"last activity {day_and_time(job.last_at)} UTC"
    yield from _wrapped(f"attempts  {job.attempts}, {last}", "  ", limit)
    if job.message:
        yield from _wrapped(f"message   {job.message}", "  ", limit)


def _peaks(job: JobReport) -> Iterator[str]:
    ram = f"RAM {format_measured(job.ram_peak_bytes)}"
    of_budget = share(job.ram_peak_bytes, job.budgets.ram_bytes)
    yield f"{ram} ({of_budget} of the budget)" if of_budget else ram
    if job.vram_peak_bytes is not None:
        yield f"VRAM {format_bytes(job.vram_peak_bytes)}"


def _cycle_table(job: JobReport, at_most: int, limit: int) -> list[str]:
    """Return the table of cycles; settings stand in a line of their own when they change."""
    has_vram = job.vram_peak_bytes is not None
    header = (
        *("cycle", "try", "outcome", job.unit, "seconds", "commit"),
        *("start", "peak", "end", "freed", "hwm"),
        *(("VRAM",) if has_vram else ()),
    )
    rows: list[Row | str] = []
    settings: object = {}
    for cycle in excerpt(job.cycles, at_most=at_most):
        if isinstance(cycle, int):
            rows.append(f"... {count(cycle, 'more')} ...")
            continue
        if cycle.settings != settings:
            settings = cycle.settings
            rows.append(f"with {pairs(cycle.settings)}")
        rows.append(_cycle_row(cycle, has_vram=has_vram))
    width = limit - len(_INDENT)
    return format_columns(header, rows, left=frozenset({_OUTCOME}), width=width)


def _cycle_row(cycle: CycleReport, *, has_vram: bool) -> Row:
    commit = cycle.commit_seconds
    ram = (
        cycle.ram_start_bytes,
        cycle.ram_peak_bytes,
        cycle.ram_end_bytes,
        cycle.ram_returned_bytes,
        cycle.ram_hwm_bytes,
    )
    vram = (cycle.vram_peak_bytes,) if has_vram else ()
    return (
        str(cycle.index),
        str(cycle.attempt),
        cycle.outcome.replace("_", " "),
        f"{cycle.items:,}",
        f"{cycle.seconds:.2f}",
        "-" if commit is None else f"{commit:.2f}",
        *map(mebibytes, (*ram, *vram)),
    )


def _event_text(event: EventReport) -> str:
    reading = f" at {event_reading(event)}" if event_reading(event) else ""
    place = f", in {event.where}" if event.where else ""
    return f"{event_name(event)} in attempt {event.attempt}{reading}{place}"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"{_INDENT}{line}".rstrip() for line in lines)


def _wrapped(text: str, indent: str, limit: int) -> Sequence[str]:
    """Return a long text as lines, the later ones set in."""
    return wrapped(text, limit, first=indent, later=indent + "  ")
