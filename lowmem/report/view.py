"""A journal's history as a report; no clock, no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.history.fold import history_of
from lowmem.protocol.records import JobEnded
from lowmem.report.accounting import usage_of
from lowmem.report.digit_changes import changes_from, workers_from
from lowmem.report.schema import (
    Budgets,
    CycleReport,
    EventReport,
    JobReport,
    NoteReport,
    Report,
)
from lowmem.report.sitting_usage import sats_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lowmem.history.job_history import CycleHistory, History, JobHistory
    from lowmem.protocol.records import (
        AnyRecord,
        Incident,
        Noted,
        RunBegun,
        State,
    )


def report_from_records(
    workspace: str, records: Iterable[AnyRecord], *, is_live: bool
) -> Report:
    """Return the report of a workspace.

    Parameters
    ----------
    workspace
        Its path, as shown to the user.
    records
        The whole journal, oldest first.
    is_live
        Whether a run holds the workspace at this moment. Of the jobs that have not
        ended, the one that wrote last is then running; the others were cut off.

    Notes
    -----
    Time and memory grow with the number of records.
    """
    history = history_of(records, has_sittings=True)
    running = _open_job(history) if is_live else None
    return Report(
        workspace=workspace,
        jobs={
            name: _job(job, is_running=name == running)
            for name, job in history.jobs.items()
            if job.last is not None
        },
        usage=usage_of(sats_of(history.sittings, workspace, is_live=is_live)),
    )


def _open_job(history: History) -> str | None:
    """Return the job that wrote last, of those whose newest record is no end."""
    newest_first = sorted(
        history.jobs.values(), key=lambda job: job.place, reverse=True
    )
    is_open = (job.job for job in newest_first if not isinstance(job.last, JobEnded))
    return next(is_open, None)


def _job(history: JobHistory, *, is_running: bool) -> JobReport:
    begun, run, worker, detail = (
        history.begun,
        history.run,
        history.worker,
        history.detail,
    )
    end = None if is_running else _newest_end(history)
    unit = begun.unit if begun else "items"
    return JobReport(
        state=end.state if end else _open_state(is_running=is_running),
        device=worker.device if worker else None,
        seed=run.seed if run else None,
        budgets=_budgets(run),
        ram_peak_bytes=history.ram_peak_bytes,
        vram_peak_bytes=history.vram_peak_bytes,
        attempts=history.n_workers,
        reference=begun.reference if begun else history.job,
        command=history.command,
        unit=unit,
        begun_at=history.first.at if history.first else "",
        last_at=history.last.at if history.last else "",
        exit_code=end.exit_code if end else None,
        message=end.message if end else "",
        published=history.published,
        summary=history.ended.summary if history.ended else {},
        versions=worker.versions if worker else {},
        workers=workers_from(detail.workers),
        changes=changes_from(detail.cycles),
        cycles=tuple(_cycle(ran, unit) for ran in detail.cycles),
        events=tuple(_event(incident) for incident in detail.incidents),
        durable=_durable(history),
        notes=tuple(_notes(detail.notes)),
        recipe=history.recipe or {},
    )


def _newest_end(history: JobHistory) -> JobEnded | None:
    """Return the end that says where a job stands; None while it has none.

    A job that is done stays done, also where a repair of its results was cut or failed.
    """
    if history.ended is not None:
        return history.ended
    return history.last if isinstance(history.last, JobEnded) else None


def _open_state(*, is_running: bool) -> State:
    return "running" if is_running else "stopped"


def _budgets(run: RunBegun | None) -> Budgets:
    if run is None:
        return Budgets()
    return Budgets(
        ram_bytes=run.ram_budget_bytes,
        vram_bytes=run.vram_budget_bytes,
        time_s=run.time_budget_s,
    )


def _durable(history: JobHistory) -> int | None:
    if history.confirmed is None:
        return None
    return sum(index < history.confirmed for index in history.committed)


def _cycle(ran: CycleHistory, unit: str) -> CycleReport:
    record = ran.record
    cycle = record.cycle
    return CycleReport(
        index=cycle.index,
        attempt=record.attempt,
        outcome=ran.outcome,
        items=cycle.items,
        unit=unit,
        started_at=cycle.started_at,
        seconds=cycle.seconds,
        # 0 where it was cut, and where only the checkpoint tells of the commit.
        commit_seconds=cycle.commit_seconds or None,
        ram_start_bytes=record.ram_start_bytes,
        ram_peak_bytes=record.ram_peak_bytes,
        ram_end_bytes=record.ram_end_bytes,
        ram_returned_bytes=record.ram_returned_bytes,
        ram_hwm_bytes=record.ram_hwm_bytes,
        vram_peak_bytes=record.vram_peak_bytes,
        settings=cycle.settings,
    )


def _event(incident: Incident) -> EventReport:
    return EventReport(
        at=incident.at,
        attempt=incident.attempt,
        verdict=incident.verdict,
        signal=incident.signal,
        ram_bytes=incident.ram_bytes,
        vram_bytes=incident.vram_bytes,
        where=incident.where,
        action=incident.action,
    )


def _notes(notes: Iterable[Noted]) -> Iterator[NoteReport]:
    """Yield what the job noted; a worker started again says the same once more."""
    seen: set[str] = set()
    for note in notes:
        if note.text not in seen:
            seen.add(note.text)
            yield NoteReport(at=note.at, attempt=note.attempt, text=note.text)
