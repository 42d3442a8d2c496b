"""What a journal says there should be of each job: a fold over its records, pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowmem.protocol.records import AttemptBegun, CycleEnded, JobBegun, JobEnded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lowmem.protocol.job import Device
    from lowmem.protocol.messages import Cycle
    from lowmem.protocol.records import AnyRecord


@dataclass(slots=True, kw_only=True)
class JobPast:
    """One job since it last began from nothing.

    Attributes
    ----------
    begun
        Its first record; None if that is lost.
    ended
        The end that made it done; None while it is not.
    device
        Where its newest worker ran.
    cycles
        Those committed and not rolled back, by index.
    """

    begun: JobBegun | None = None
    ended: JobEnded | None = None
    device: Device = "cpu"
    cycles: dict[int, Cycle] = field(default_factory=dict)

    @property
    def last_cycle(self) -> int:
        """Index of the newest commit; -1 if there is none."""
        return max(self.cycles, default=-1)

    @property
    def missing_cycles(self) -> tuple[int, ...]:
        """Indices below the newest that no record tells of."""
        known = self.cycles.keys()
        return tuple(i for i in range(self.last_cycle) if i not in known)


def pasts_of(records: Iterable[AnyRecord]) -> dict[str, JobPast]:
    """Return the past of each job, in the order in which they first ran."""
    pasts: dict[str, JobPast] = {}
    for record in records:
        if isinstance(record, JobBegun):
            # Where it stood in the order is kept.
            pasts[record.job] = JobPast(begun=record)
        _take(pasts.setdefault(record.job, JobPast()), record)
    return pasts


def _take(past: JobPast, record: AnyRecord) -> None:
    match record:
        case AttemptBegun():
            past.device = record.device
            for index in [i for i in past.cycles if i >= record.next_cycle]:
                del past.cycles[index]
        case CycleEnded(outcome="committed"):
            past.cycles[record.cycle.index] = record.cycle
        case CycleEnded(outcome="rolled_back"):
            for index in [i for i in past.cycles if i >= record.cycle.index]:
                del past.cycles[index]
        case JobEnded(state="done"):
            past.ended = record
        case _:
            return
