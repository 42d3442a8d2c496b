"""The sittings that a journal tells of, as the fold collects them.

A sitting begins when somebody types what runs a job, and ends with the end that its
supervisor writes. Where the next one begins before that, or the journal ends, it was
lost without a word. A repair that makes results again begins with its worker, and a run
that was refused for want of a GPU has its end alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowmem.protocol.records import PROGRAM

if TYPE_CHECKING:
    from lowmem.protocol.records import (
        AnyRecord,
        AttemptBegun,
        Incident,
        JobBegun,
        JobEnded,
        RunBegun,
        Spent,
    )


@dataclass(slots=True, kw_only=True)
class SittingHistory:
    """One run of one job under one supervisor.

    Attributes
    ----------
    first
        Its first record.
    is_program
        Whether the job is a program of the user's.
    last_at
        The time of its newest record.
    begun, end, incident
        Its beginning, its end and its newest incident; None without one.
    is_over
        Whether nothing more is told of it; without an end it was lost.
    is_gpu_lost
        Whether a worker lost its GPU.
    gpus
        What the driver calls the GPUs that its workers had.
    spent
        What was spent, with the time at which it was written down.
    """

    first: AnyRecord
    is_program: bool
    last_at: str
    begun: RunBegun | None = None
    end: JobEnded | None = None
    incident: Incident | None = None
    is_over: bool = False
    is_gpu_lost: bool = False
    gpus: list[str] = field(default_factory=list)
    spent: list[tuple[str, Spent]] = field(default_factory=list)
    _gpu_since: str | None = None
    _gpu_times: list[tuple[str, str]] = field(default_factory=list)

    @property
    def gpu_times(self) -> list[tuple[str, str]]:
        """Beginning and end of each time in which a worker had a GPU."""
        if self._gpu_since is None:
            return self._gpu_times
        return [*self._gpu_times, (self._gpu_since, self.last_at)]

    def started(self, record: AttemptBegun) -> None:
        """Take a worker that became ready."""
        self._gpu_over(record.at)
        if record.device == "gpu":
            self._gpu_since = record.at
            self.gpus.append(record.device_name or "a GPU")
        self.last_at = record.at

    def broke(self, record: Incident) -> None:
        """Take what ended a worker."""
        self._gpu_over(record.at)
        self.incident = record
        self.is_gpu_lost |= bool(record.is_gpu_lost)
        self.last_at = record.at

    def used(self, at: str, spent: Spent | None) -> None:
        """Take what was spent by then, where that is told."""
        self.last_at = at
        if spent is not None:
            self.spent.append((at, spent))

    def ended(self, record: JobEnded) -> None:
        """Take the end of the job."""
        is_told = self.begun is not None and self.begun.machine is not None
        if is_told and record.machine is None:
            # A repair's, long after: the supervisor itself said nothing.
            self._gpu_over(self.last_at)
            return
        self._gpu_over(record.at)
        self.end = record
        self.used(record.at, record.spent)

    def _gpu_over(self, at: str) -> None:
        if self._gpu_since is not None:
            self._gpu_times.append((self._gpu_since, at))
            self._gpu_since = None


@dataclass(slots=True)
class Sittings:
    """All of a journal.

    Notes
    -----
    Memory grows with the sittings, and by some 100 bytes a cycle of which something was
    recorded.
    """

    _programs: set[str] = field(default_factory=set)
    _over: list[SittingHistory] = field(default_factory=list)
    _open: dict[str, SittingHistory] = field(default_factory=dict)

    def job_begun(self, record: JobBegun) -> None:
        """Take what a job is, for the sittings that begin from now on."""
        self._programs.discard(record.job)
        if record.reference == PROGRAM:
            self._programs.add(record.job)

    def begin(self, record: AnyRecord) -> SittingHistory:
        """Begin a sitting of the record's job with it; one that was open is lost."""
        self.close(record.job)
        self._open[record.job] = self._of_its_own(record)
        return self._open[record.job]

    def of(self, record: AnyRecord, *, may_begin: bool = False) -> SittingHistory:
        """Return the sitting that a record is of: the job's open one.

        Where there is none, the record begins one; or else is of one that is not
        counted, since no supervisor wrote it.
        """
        found = self._open.get(record.job)
        if found is not None:
            return found
        return self.begin(record) if may_begin else self._of_its_own(record)

    def close(self, job: str) -> None:
        """Let nothing more be told of the open sitting of a job, if any."""
        if job in self._open:
            sitting = self._open.pop(job)
            sitting.is_over = True
            self._over.append(sitting)

    def all(self) -> tuple[SittingHistory, ...]:
        """Return those that are over, in the order of their ends, then the open ones."""
        return (*self._over, *self._open.values())

    def _of_its_own(self, record: AnyRecord) -> SittingHistory:
        is_program = record.job in self._programs
        return SittingHistory(first=record, is_program=is_program, last_at=record.at)
