"""Render a report as one self-contained HTML page: no script, nothing from elsewhere."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from lowmem.base.clock import timestamp
from lowmem.base.units import (
    format_budget,
    format_bytes,
    format_measured,
    format_seconds,
)
from lowmem.report import usage_text, wording
from lowmem.report.charts import bar_chart, curve_charts
from lowmem.report.excerpt import excerpt
from lowmem.report.scales import HEIGHT, WIDTH
from lowmem.report.status import statuses
from lowmem.report.tables import known, tables_in, without_tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from lowmem.report.accounting import Usage, UsageRow
    from lowmem.report.charts import BarChart, CurveChart
    from lowmem.report.figures import Gallery
    from lowmem.report.readings import TelemetryReading
    from lowmem.report.schema import CycleReport, JobReport, Report
    from lowmem.report.training import TrainingChart

_MOST_ROWS = 300
# Days and jobs, and sittings; `lowmem usage` has them all.
_MOST_USAGE_ROWS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """What the template shows of one job."""

    name: str
    job: JobReport
    curves: Sequence[CurveChart]
    bars: BarChart | None
    rows: Sequence[CycleReport | int]
    training: Sequence[TrainingChart]
    command: str
    next_command: str | None


def page_from_report(
    report: Report,
    *,
    readings: Mapping[str, Sequence[TelemetryReading]],
    gallery: Gallery,
    generated_at: datetime,
    training: Sequence[TrainingChart] = (),
    unrecorded: str = "",
) -> str:
    """Return the page, the same for the same arguments.

    Parameters
    ----------
    readings
        Telemetry by job; a job may have none.
    gallery
        The figures to embed.
    generated_at
        The moment to state on the page.
    training
        Curves of the model's history, shown with the job that wrote it.
    unrecorded
        See `told_of_unrecorded`.

    Notes
    -----
    Every value is escaped, since names, paths and messages are the user's. Of a job with
    thousands of cycles, the page shows an excerpt; the JSON report holds them all.
    """
    standing = statuses(report)
    views = [
        JobView(
            name=name,
            job=job,
            curves=curve_charts(name, job, readings.get(name, ())),
            bars=bar_chart(name, job),
            rows=excerpt(job.cycles, at_most=_MOST_ROWS),
            training=training if name == "train" else (),
            command=shlex.join(["lowmem", *job.command]) if job.command else "",
            next_command=standing[name].next_command,
        )
        for name, job in report.jobs.items()
    ]
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            report=report,
            views=views,
            gallery=gallery,
            unrecorded=unrecorded,
            generated_at=timestamp(generated_at),
        )
    )


def _usage_rows(usage: Usage) -> Sequence[UsageRow]:
    """Return the rows that the page shows: the newest days, each job, all together."""
    return (*usage.days[-_MOST_USAGE_ROWS:], *usage.jobs, usage.total)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lowmem.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "budget": format_budget,
        "bytes": format_bytes,
        "hours": usage_text.hours,
        "mebibytes": wording.mebibytes,
        "pairs": wording.pairs,
        "seconds": format_seconds,
        "size": format_measured,
        "value": wording.value_text,
        "when": wording.day_and_time,
    }
    environment.globals |= {
        "budget_texts": wording.budget_texts,
        "change_text": wording.change_text,
        "chart_height": HEIGHT,
        "chart_width": WIDTH,
        "count": wording.count,
        "counts_text": usage_text.counts_text,
        "ended_text": usage_text.ended_text,
        "length_text": usage_text.length_text,
        "most_sittings": _MOST_USAGE_ROWS,
        "unrecorded_text": usage_text.unrecorded_text,
        "usage_rows": _usage_rows,
        "known": known,
        "tables_in": tables_in,
        "without_tables": without_tables,
        "cycles_text": wording.cycles_text,
        "devices_text": wording.devices_text,
        "event_name": wording.event_name,
        "event_reading": wording.event_reading,
        "plural": wording.plural,
        "share": wording.share,
    }
    return environment
