"""What the journal says about a job so far: a fold over its records, pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lowmem.protocol.records import (
    AttemptBegun,
    CycleEnded,
    JobBegun,
    JobEnded,
    Mirrored,
    RunBegun,
)
from lowmem.protocol.tempo import Tempo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lowmem.protocol.records import AnyRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One job's past.

    Attributes
    ----------
    recipe
        What it was begun with; None if it never was.
    is_done
        Whether it has been completed.
    published
        Its results, once it is done.
    last_cycle
        Index of the last committed cycle in the journal; -1 if none.
    durable
        Committed cycles that a mirror has confirmed.
    attempts
        Workers that became ready.
    settings
        Those of the last attempt.
    ram_budget_bytes
        That of the last run.
    tempo
        What steps and commits of the last committed cycle took.
    """

    recipe: Mapping[str, object] | None = None
    is_done: bool = False
    published: tuple[str, ...] = ()
    last_cycle: int = -1
    durable: int = 0
    attempts: int = 0
    settings: Mapping[str, int] = field(default_factory=dict)
    ram_budget_bytes: int = 0
    tempo: Tempo = field(default_factory=Tempo)

    @property
    def has_progress(self) -> bool:
        """Whether anything would be lost by starting anew."""
        return self.is_done or self.last_cycle >= 0


def history_of(job: str, records: Iterable[AnyRecord]) -> History:
    """Return the past of one job."""
    history = History()
    for record in records:
        if record.job == job:
            history = _after(history, record)
    return history


def _after(history: History, record: AnyRecord) -> History:  # noqa: PLR0911 - one a record
    match record:
        case JobBegun():
            return History(recipe=record.recipe)
        case RunBegun():
            return replace(history, ram_budget_bytes=record.ram_budget_bytes)
        case AttemptBegun():
            return replace(history, attempts=record.attempt, settings=record.settings)
        case CycleEnded(outcome="committed"):
            cycle = record.cycle
            tempo = Tempo().after(cycle.longest_step_seconds, cycle.commit_seconds)
            return replace(history, last_cycle=cycle.index, tempo=tempo)
        case CycleEnded(outcome="rolled_back"):
            last = min(history.last_cycle, record.cycle.index - 1)
            durable = min(history.durable, last + 1)
            return replace(history, last_cycle=last, durable=durable)
        case Mirrored():
            return replace(history, durable=max(history.durable, record.generation + 1))
        case JobEnded(state="done"):
            return replace(history, is_done=True, published=record.published)
        case _:
            return history
