"""From which cycle on a result need not equal, to the bit, that of an unbroken run.

Cut and continued on the same device with the same software, a job gives the same bits.
Another device, or another release of a library, may round otherwise from there on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.protocol.records import AttemptBegun, CycleEnded
from lowmem.report.schema import ChangeReport, WorkerReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lowmem.protocol.records import AnyRecord
    from lowmem.report.schema import CycleReport

_CPU = "the CPU"


def workers_from_records(records: Iterable[AnyRecord]) -> tuple[WorkerReport, ...]:
    """Return the workers that became ready, oldest first."""
    return tuple(
        WorkerReport(
            attempt=record.attempt,
            at=record.at,
            device=record.device,
            device_name=record.device_name,
            next_cycle=record.next_cycle,
        )
        for record in records
        if isinstance(record, AttemptBegun)
    )


def changes_from_records(
    records: Sequence[AnyRecord], cycles: Sequence[CycleReport]
) -> tuple[ChangeReport, ...]:
    """Return where committed work went on under other conditions than before it.

    Parameters
    ----------
    cycles
        Those of the report, one for each cycle that the records tell of, in order.
        Attempts whose work was lost change nothing.
    """
    return tuple(_changes(_committed(records, cycles)))


def _committed(
    records: Iterable[AnyRecord], cycles: Sequence[CycleReport]
) -> Iterator[tuple[CycleReport, AttemptBegun]]:
    """Yield each cycle that counts with the attempt that ran it."""
    begun: AttemptBegun | None = None
    remaining = iter(cycles)
    for record in records:
        if isinstance(record, AttemptBegun):
            begun = record
        elif isinstance(record, CycleEnded) and record.outcome != "rolled_back":
            # One that was rolled back tells of a former cycle, and is none itself.
            cycle = next(remaining)
            if cycle.outcome == "committed" and begun is not None:
                yield cycle, begun


def _changes(
    committed: Iterable[tuple[CycleReport, AttemptBegun]],
) -> Iterator[ChangeReport]:
    before: AttemptBegun | None = None
    n_items = 0
    for cycle, begun in committed:
        what = _differences(before, begun) if before else []
        if what:
            yield ChangeReport(
                cycle=cycle.index,
                attempt=begun.attempt,
                items_before=n_items,
                what="; ".join(what),
            )
        before = begun
        n_items += cycle.items


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
