"""From which cycle on a result need not equal, to the bit, that of an unbroken run.

Cut and continued on the same device with the same software, a job gives the same bits.
Another device, or another release of a library, may round otherwise from there on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.report.schema import ChangeReport, WorkerReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lowmem.history.job_history import CycleHistory
    from lowmem.protocol.records import AttemptBegun

_CPU = "the CPU"


def workers_from(workers: Iterable[AttemptBegun]) -> tuple[WorkerReport, ...]:
    """Return the workers that became ready, oldest first."""
    return tuple(
        WorkerReport(
            attempt=worker.attempt,
            at=worker.at,
            device=worker.device,
            device_name=worker.device_name,
            next_cycle=worker.next_cycle,
        )
        for worker in workers
    )


def changes_from(cycles: Iterable[CycleHistory]) -> tuple[ChangeReport, ...]:
    """Return where committed work went on under other conditions than before it.

    Attempts whose work was lost change nothing.
    """
    return tuple(_changes(cycles))


def _changes(cycles: Iterable[CycleHistory]) -> Iterator[ChangeReport]:
    before: AttemptBegun | None = None
    n_items = 0
    for ran in cycles:
        now = ran.worker
        if ran.outcome != "committed" or now is None:
            continue
        what = _differences(before, now) if before else []
        if what:
            yield ChangeReport(
                cycle=ran.record.cycle.index,
                attempt=now.attempt,
                items_before=n_items,
                what="; ".join(what),
            )
        before = now
        n_items += ran.record.cycle.items


def _differences(before: AttemptBegun, now: AttemptBegun) -> list[str]:
    found = []
    if (before.device, before.device_name) != (now.device, now.device_name):
        found.append(f"from {_place(before)} to {_place(now)}")
    for name, version in now.versions.items():
        old = before.versions.get(name)
        if old is not None and old != version:
            found.append(f"from {name} {old} to {version}")
    return found


def _place(attempt: AttemptBegun) -> str:
    return _CPU if attempt.device == "cpu" else attempt.device_name or "a GPU"
