"""A job's history as values: what the fold over its records returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowmem.protocol.tempo import Tempo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.history.sittings import SittingHistory
    from lowmem.protocol.messages import Cycle
    from lowmem.protocol.planning import Device
    from lowmem.protocol.records import (
        AnyRecord,
        AttemptBegun,
        CycleEnded,
        Incident,
        JobBegun,
        JobEnded,
        Noted,
        Outcome,
        RunBegun,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What one setting showed in real runs.

    Attributes
    ----------
    held_bytes
        The peak of the whole job in a run that ended well; None if there was none.
    is_whole
        Whether all of that run had this setting; else it may need more.
    stopped_bytes
        The largest budget at which it was stopped since; None if it was not.
    """

    held_bytes: int | None = None
    is_whole: bool = True
    stopped_bytes: int | None = None


Setting = frozenset[tuple[str, int]]
Ceilings = dict[Setting, Ceiling]
# What a need of memory depends on beside the settings: `RunBegun.memory_key`, and where.
NeedKey = tuple[str, "Device"]
# The commands that begin a job.
_BEGINNING = {("run",), ("map",), ("exec",)}


def setting_key(settings: Mapping[str, int]) -> Setting:
    """Return settings as a key that does not depend on their order."""
    return frozenset(settings.items())


def _typed(begun: JobBegun | None) -> tuple[str, ...]:
    """Return the line that began a job.

    Of a job that another one needed, lowmem 0.1.0 recorded words that nobody can type.
    """
    is_told = begun is not None and begun.command[:1] in _BEGINNING
    return begun.command if begun is not None and is_told else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleHistory:
    """A cycle that ran.

    Attributes
    ----------
    outcome
        As it stands: a commit from before which work went on later is rolled back.
    worker
        The one that ran it; None if its record is lost, or it never became ready.
    """

    record: CycleEnded
    outcome: Outcome
    worker: AttemptBegun | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneRun:
    """One life of a job, from its beginning to the end that made it done.

    Attributes
    ----------
    begun
        Its first record; None if that is lost.
    device
        Where its last worker ran.
    """

    job: str
    begun: JobBegun | None
    ended: JobEnded
    device: Device = "cpu"

    @property
    def command(self) -> tuple[str, ...]:
        """The words after ``lowmem`` that began it; empty where they are not told."""
        return _typed(self.begun)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """All that happened to a job since it last began, oldest first.

    Attributes
    ----------
    cycles
        Every cycle that ran, whether or not it counts.
    workers
        Those that became ready.
    """

    cycles: tuple[CycleHistory, ...] = ()
    workers: tuple[AttemptBegun, ...] = ()
    incidents: tuple[Incident, ...] = ()
    notes: tuple[Noted, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHistory:
    """One job since it last began from nothing.

    Attributes
    ----------
    begun
        Its first record; None if it never began, or that is lost.
    run
        The newest run, which may be older than ``begun``.
    worker
        The newest worker that became ready.
    settings
        Those of the newest worker, ready or not.
    n_workers
        How many were started.
    last_attempt
        The largest number that a worker has; 0 if there was none.
    committed
        Indices of the cycles that count, ascending.
    newest_commit
        The cycle that was committed last, whether or not it counts.
    confirmed
        Committed cycles that a mirror has confirmed; None if it never did.
    ended
        The end that made it done; None while it is not.
    first, last
        Its oldest and its newest record, those of the mirror aside; None without any.
    place
        Of the newest among the records of all jobs.
    ram_peak_bytes, vram_peak_bytes
        The largest reading of any cycle or incident, of those that do not count too.
    run_peak_bytes
        The largest reading of any cycle of the newest run; None if none was measured.
    shown
        What its settings showed in all runs, of former lives too.
    detail
        Empty in a brief history.
    """

    job: str
    begun: JobBegun | None = None
    run: RunBegun | None = None
    worker: AttemptBegun | None = None
    settings: Mapping[str, int] = field(default_factory=dict)
    n_workers: int = 0
    last_attempt: int = 0
    committed: tuple[int, ...] = ()
    newest_commit: Cycle | None = None
    confirmed: int | None = None
    ended: JobEnded | None = None
    first: AnyRecord | None = None
    last: AnyRecord | None = None
    place: int = -1
    ram_peak_bytes: int | None = None
    vram_peak_bytes: int | None = None
    run_peak_bytes: int | None = None
    shown: Mapping[NeedKey, Ceilings] = field(default_factory=dict)
    detail: Detail = field(default_factory=Detail)

    @property
    def recipe(self) -> Mapping[str, object] | None:
        """What it was begun with; None if it never was."""
        return None if self.begun is None else self.begun.recipe

    @property
    def command(self) -> tuple[str, ...]:
        """The words after ``lowmem`` that continue it; empty where they are not told."""
        return _typed(self.begun)

    @property
    def is_done(self) -> bool:
        """Whether it has been completed."""
        return self.ended is not None

    @property
    def published(self) -> tuple[str, ...]:
        """Its results, once it is done."""
        return () if self.ended is None else self.ended.published

    @property
    def device(self) -> Device:
        """Where its newest worker ran."""
        return "cpu" if self.worker is None else self.worker.device

    @property
    def last_cycle(self) -> int:
        """Index of the newest commit that counts; -1 if there is none."""
        return self.committed[-1] if self.committed else -1

    @property
    def missing_cycles(self) -> tuple[int, ...]:
        """Indices below the newest that no record tells of."""
        known = frozenset(self.committed)
        return tuple(i for i in range(self.last_cycle) if i not in known)

    @property
    def durable(self) -> int:
        """Committed cycles that a mirror has confirmed."""
        return self.confirmed or 0

    @property
    def has_progress(self) -> bool:
        """Whether anything would be lost by starting anew."""
        return self.is_done or self.last_cycle >= 0

    @property
    def ram_budget_bytes(self) -> int:
        """That of the newest run; 0 if there was none."""
        return 0 if self.run is None else self.run.ram_budget_bytes

    @property
    def tempo(self) -> Tempo:
        """What steps and commits of the cycle committed last took."""
        cycle = self.newest_commit
        if cycle is None:
            return Tempo()
        return Tempo().after(cycle.longest_step_seconds, cycle.commit_seconds)

    @property
    def cycles(self) -> dict[int, Cycle]:
        """The cycles that count, by index; not in a brief history."""
        return {
            ran.record.cycle.index: ran.record.cycle
            for ran in self.detail.cycles
            if ran.outcome == "committed"
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a journal tells.

    Attributes
    ----------
    jobs
        By name, in the order in which they first ran.
    done
        The lives that were brought to an end, of all jobs, in the order of the ends.
    begun
        Every beginning from nothing, oldest first.
    sittings
        Those that are over, in the order of their ends, then the open ones; empty where
        they were not asked for.
    """

    jobs: Mapping[str, JobHistory] = field(default_factory=dict)
    done: tuple[DoneRun, ...] = ()
    begun: tuple[JobBegun, ...] = ()
    sittings: tuple[SittingHistory, ...] = ()

    def of(self, job: str) -> JobHistory:
        """Return the history of one job, empty if it has none."""
        return self.jobs.get(job) or JobHistory(job=job)
