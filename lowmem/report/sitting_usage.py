"""What each sitting used, by day: a view of the sittings that a journal tells of.

Days are those of UTC. Time is divided at midnight; processor time and bytes count on the
day on which they were written down, at the end of a cycle.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lowmem.base.errors import EXIT_UNAVAILABLE
from lowmem.protocol.records import body_from_record
from lowmem.report.accounting import Amounts, Sat, Sitting, summed
from lowmem.report.wording import moment_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lowmem.history.sittings import SittingHistory
    from lowmem.protocol.records import Spent, Verdict
    from lowmem.report.accounting import Ended, GpuOutcome

# Nobody sits so long at a job: a clock was set meanwhile, so the length is not known.
_LONGEST = timedelta(days=366)
_DAY = timedelta(days=1)

Span = tuple[datetime, datetime]


def sats_of(
    sittings: Iterable[SittingHistory], workspace: str, *, is_live: bool
) -> list[Sat]:
    """Return sittings with what each of them used by day.

    Parameters
    ----------
    is_live
        Whether a run holds the workspace: then the sitting that wrote last, of those
        without an end, is not lost.
    """
    told = list(sittings)
    left = [one for one in told if not one.is_over]
    running = max(left, key=lambda one: one.last_at, default=None)
    return [_sat(one, workspace, is_running=is_live and one is running) for one in told]


def _sat(one: SittingHistory, workspace: str, *, is_running: bool) -> Sat:
    parts = _parts(one)
    end = one.end
    ended = _ended(one, is_running=is_running)
    machines = (one.begun and one.begun.machine, end and end.machine)
    return Sat(
        sitting=Sitting(
            workspace=workspace,
            job=one.first.job,
            machine=next((machine for machine in machines if machine), None),
            began_at=one.first.at,
            ended=ended,
            exit_code=end.exit_code if end else None,
            signal=one.incident.signal if one.incident and ended == "signal" else None,
            gpu=_gpu(one, ended),
            gpus=tuple(dict.fromkeys(one.gpus)),
            used=summed(parts.values()),
        ),
        first=body_from_record(one.first),
        last_at=one.last_at,
        parts=parts,
    )


def _ended(one: SittingHistory, *, is_running: bool) -> Ended:
    if one.end is None:
        return "running" if is_running else "lost"
    match one.end.state:
        case "done":
            return "done"
        case "stopped":
            # Journals of before told it only of a worker's end.
            verdict = one.incident.verdict if one.incident else None
            return _stop(one.end.stopped_for or verdict)
        case "refused":
            is_device = one.end.exit_code == EXIT_UNAVAILABLE
            return "no_gpu" if is_device else "budget"
        case _:
            return "failed"


def _stop(cause: Verdict | None) -> Ended:
    if cause == "time":
        return "deadline"
    return "signal" if cause == "signal" else "stopped"


def _gpu(one: SittingHistory, ended: Ended) -> GpuOutcome | None:
    if ended == "no_gpu":
        return "absent"
    if one.is_gpu_lost:
        return "lost"
    return one.begun.gpu if one.begun else None


# --- what was used, by day ----------------------------------------------------------


def _parts(one: SittingHistory) -> dict[str | None, Amounts]:
    pieces: list[tuple[str | None, Amounts]] = []
    spans = [_span(began, end) for began, end in one.gpu_times]
    known = [span for span in spans if span is not None]
    is_gpu_known = len(known) == len(spans) and not one.is_program
    sat = _span(one.first.at, one.last_at)
    if sat is None:
        pieces.append((_day(one.first.at), Amounts()))
    else:
        none = 0.0 if is_gpu_known else None
        pieces += [
            (day, Amounts(seconds=seconds, gpu_seconds=none))
            for day, seconds in _by_day(sat)
        ]
    if is_gpu_known:
        pieces += [
            (day, Amounts(gpu_seconds=seconds))
            for span in known
            for day, seconds in _by_day(span)
        ]
    pieces += [(_day(at), _amounts(spent)) for at, spent in one.spent]
    days: dict[str | None, list[Amounts]] = {}
    for day, amounts in pieces:
        days.setdefault(day, []).append(amounts)
    return {day: summed(amounts) for day, amounts in days.items()}


def _amounts(spent: Spent) -> Amounts:
    return Amounts(
        cpu_seconds=_known(spent.cpu_s),
        read_bytes=_whole(spent.read_bytes),
        written_bytes=_whole(spent.written_bytes),
        disk_read_bytes=_whole(spent.disk_read_bytes),
        disk_written_bytes=_whole(spent.disk_written_bytes),
    )


def _known(value: float | None) -> float | None:
    """Return what can have been spent; a journal may be anybody's."""
    return value if value is not None and 0 <= value < _LONGEST_CPU_S else None


def _whole(value: int | None) -> int | None:
    return value if value is not None and value >= 0 else None


# Of one cycle, on the largest machines: above, it is no measurement.
_LONGEST_CPU_S = 1e12


def _span(began: str, ended: str) -> Span | None:
    """Return a beginning and an end; None if they cannot be both."""
    start, end = moment_of(began), moment_of(ended)
    if start is None or end is None or not timedelta() <= end - start <= _LONGEST:
        return None
    return start, end


def _day(at: str) -> str | None:
    moment = moment_of(at)
    return None if moment is None else moment.date().isoformat()


def _by_day(span: Span) -> Iterator[tuple[str, float]]:
    """Yield the days of a span, with the seconds of it in each."""
    start, end = span
    while True:
        day = datetime(start.year, start.month, start.day, tzinfo=UTC)
        # The last day that there is has no next.
        is_last = day.date() == end.date()
        over = end if is_last else day + _DAY
        yield day.date().isoformat(), (over - start).total_seconds()
        if is_last:
            return
        start = over
