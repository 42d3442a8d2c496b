"""Fold the records of a journal into a report; no clock, no file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from lowmem.protocol.records import (
    AttemptBegun,
    CycleEnded,
    Incident,
    JobBegun,
    JobEnded,
    Mirrored,
    Noted,
    RunBegun,
)
from lowmem.report.moves import changes_from_records, workers_from_records
from lowmem.report.schema import (
    Budgets,
    CycleReport,
    EventReport,
    JobReport,
    NoteReport,
    Report,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lowmem.protocol.records import AnyRecord, State

_R = TypeVar("_R")


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
    by_job: dict[str, list[AnyRecord]] = {}
    newest_last: dict[str, None] = {}
    mirrored: dict[str, int] = {}
    for record in records:
        if isinstance(record, Mirrored):
            # Written whenever the mirror is done: says nothing of where the job stands.
            mirrored[record.job] = record.generation
            continue
        if isinstance(record, JobBegun):
            mirrored.pop(record.job, None)
        by_job.setdefault(record.job, []).append(record)
        newest_last.pop(record.job, None)
        newest_last[record.job] = None
    is_open = (
        name
        for name in reversed(newest_last)
        if not isinstance(by_job[name][-1], JobEnded)
    )
    running = next(is_open, None) if is_live else None
    return Report(
        workspace=workspace,
        jobs={
            name: _with_durable(
                _job_from_records(own, is_running=name == running), mirrored.get(name)
            )
            for name, own in by_job.items()
        },
    )


def _with_durable(job: JobReport, generation: int | None) -> JobReport:
    if generation is None:
        return job
    durable = sum(cycle.index <= generation for cycle in job.committed)
    return replace(job, durable=durable)


def _job_from_records(history: Sequence[AnyRecord], *, is_running: bool) -> JobReport:
    records = _since_begun(history)
    begun = _last(JobBegun, records)
    # Searched in all the history, since a run may be recorded before it begins a job.
    run = _last(RunBegun, history)
    attempt = _last(AttemptBegun, records)
    newest = records[-1]
    result = _last_result(records)
    ended = newest if isinstance(newest, JobEnded) else None
    unit = begun.unit if begun else "items"
    cycles = tuple(_cycles(records, unit))
    events = tuple(_events(records))
    ram = [cycle.ram_peak_bytes for cycle in cycles]
    ram += [event.ram_bytes for event in events]
    return JobReport(
        state=ended.state if ended else _open_state(is_running=is_running),
        device=attempt.device if attempt else None,
        seed=run.seed if run else None,
        budgets=_budgets(run),
        ram_peak_bytes=_largest(ram),
        vram_peak_bytes=_largest(cycle.vram_peak_bytes for cycle in cycles),
        attempts=_count_attempts(records),
        reference=begun.reference if begun else newest.job,
        command=begun.command if begun else (),
        unit=unit,
        begun_at=records[0].at,
        last_at=newest.at,
        exit_code=ended.exit_code if ended else None,
        message=ended.message if ended else "",
        published=result.published if result else (),
        summary=result.summary if result else {},
        versions=attempt.versions if attempt else {},
        workers=workers_from_records(records),
        changes=changes_from_records(records, cycles),
        cycles=cycles,
        events=events,
        notes=tuple(_notes(records)),
    )


def _since_begun(history: Sequence[AnyRecord]) -> Sequence[AnyRecord]:
    """Return the records from the newest `JobBegun` on; all, where there is none."""
    for place in reversed(range(len(history))):
        if isinstance(history[place], JobBegun):
            return history[place:]
    return history


def _last(kind: type[_R], records: Sequence[AnyRecord]) -> _R | None:
    return next((one for one in reversed(records) if isinstance(one, kind)), None)


def _largest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


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


def _last_result(records: Sequence[AnyRecord]) -> JobEnded | None:
    """Return the newest end that came with a result.

    A later run may have been refused, or have found its job done: the result stays.
    """
    ends = (one for one in reversed(records) if isinstance(one, JobEnded))
    return next((end for end in ends if end.published or end.summary), None)


def _count_attempts(records: Sequence[AnyRecord]) -> int:
    """Return how many workers were started.

    Counted are the pairs (run, attempt), so that it does not matter whether attempts
    are numbered through; one that died before it was ready has only an `Incident`.
    """
    seen: set[tuple[int, int]] = set()
    n_runs = 0
    for record in records:
        if isinstance(record, RunBegun):
            n_runs += 1
        elif isinstance(record, AttemptBegun | CycleEnded | Incident):
            seen.add((n_runs, record.attempt))
    return len(seen)


def _cycles(records: Sequence[AnyRecord], unit: str) -> list[CycleReport]:
    """Return every cycle, those that were lost or done again marked as such."""
    cycles: list[CycleReport] = []
    for record in records:
        if isinstance(record, AttemptBegun):
            _roll_back(cycles, record.next_cycle)
        elif isinstance(record, CycleEnded) and record.outcome == "rolled_back":
            # A repair found that its checkpoint is lost.
            _roll_back(cycles, record.cycle.index)
        elif isinstance(record, CycleEnded):
            if record.outcome == "committed":
                _roll_back(cycles, record.cycle.index)
            cycles.append(_cycle_from_record(record, unit))
    return cycles


def _roll_back(cycles: list[CycleReport], next_cycle: int) -> None:
    """Mark the committed cycles from ``next_cycle`` on, which is about to run again."""
    for place in reversed(range(len(cycles))):
        cycle = cycles[place]
        if cycle.outcome != "committed":
            continue
        if cycle.index < next_cycle:
            return
        cycles[place] = replace(cycle, outcome="rolled_back")


def _cycle_from_record(record: CycleEnded, unit: str) -> CycleReport:
    cycle = record.cycle
    return CycleReport(
        index=cycle.index,
        attempt=record.attempt,
        outcome=record.outcome,
        items=cycle.items,
        unit=unit,
        started_at=cycle.started_at,
        seconds=cycle.seconds,
        commit_seconds=(
            None if record.outcome == "interrupted" else cycle.commit_seconds
        ),
        ram_start_bytes=record.ram_start_bytes,
        ram_peak_bytes=record.ram_peak_bytes,
        ram_end_bytes=record.ram_end_bytes,
        ram_returned_bytes=record.ram_returned_bytes,
        ram_hwm_bytes=record.ram_hwm_bytes,
        vram_peak_bytes=record.vram_peak_bytes,
        settings=cycle.settings,
    )


def _events(records: Sequence[AnyRecord]) -> Iterator[EventReport]:
    for record in records:
        if isinstance(record, Incident):
            yield EventReport(
                at=record.at,
                attempt=record.attempt,
                verdict=record.verdict,
                signal=record.signal,
                ram_bytes=record.ram_bytes,
                vram_bytes=record.vram_bytes,
                where=record.where,
                action=record.action,
            )


def _notes(records: Sequence[AnyRecord]) -> Iterator[NoteReport]:
    """Yield what the job noted; a worker started again says the same once more."""
    seen: set[str] = set()
    for record in records:
        if isinstance(record, Noted) and record.text not in seen:
            seen.add(record.text)
            yield NoteReport(at=record.at, attempt=record.attempt, text=record.text)
