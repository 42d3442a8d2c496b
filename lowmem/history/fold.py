"""The fold over a journal's records: the one place that knows what they mean together.

Four rules say which cycles count. A beginning forgets all before it, unless it goes on from
a run that asked for less: then it forgets that run's end alone. A commit counts. A
worker that goes on at cycle n, a repair that finds cycle n lost, and a cycle n that is
committed once more each take back the commits from n on. And a job that is done stays
done until it begins anew, whatever a repair does to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lowmem.history.job_history import (
    Ceiling,
    CycleHistory,
    Detail,
    DoneRun,
    History,
    JobHistory,
    setting_key,
)
from lowmem.history.sittings import Sittings
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

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lowmem.history.job_history import Ceilings, NeedKey, Setting
    from lowmem.protocol.messages import Cycle
    from lowmem.protocol.records import AnyRecord


def history_of(
    records: Iterable[AnyRecord], *, is_brief: bool = False, has_sittings: bool = False
) -> History:
    """Return what a journal tells.

    Parameters
    ----------
    records
        The whole journal, oldest first.
    is_brief
        Whether to leave out `JobHistory.detail`, whose size grows with the number of
        cycles: 0.9 kB each, where all else takes 45 bytes. For the supervisor.
    has_sittings
        Whether to collect the sittings.
    """
    jobs: dict[str, _Job] = {}
    done: list[DoneRun] = []
    begun: list[JobBegun] = []
    sittings = Sittings() if has_sittings else None
    for place, record in enumerate(records):
        job = jobs.setdefault(record.job, _Job(job=record.job, is_brief=is_brief))
        job.take(record, place)
        if sittings is not None:
            job.sit(record, sittings)
        if isinstance(record, JobBegun) and not record.extents:
            begun.append(record)
        elif isinstance(record, JobEnded) and record.state == "done":
            done += job.done(record)
    return History(
        jobs={name: job.history() for name, job in jobs.items()},
        done=tuple(done),
        begun=tuple(begun),
        sittings=() if sittings is None else sittings.all(),
    )


def history_of_job(job: str, records: Iterable[AnyRecord]) -> JobHistory:
    """Return the history of one job, without its detail."""
    own = (record for record in records if record.job == job)
    return history_of(own, is_brief=True).of(job)


def taken_back_from(record: AnyRecord) -> int | None:
    """Return the cycle from which a record takes back its job's commits; None for none."""
    match record:
        case AttemptBegun():
            return record.next_cycle
        case CycleEnded(outcome="committed" | "rolled_back"):
            # The latter is a repair's, which found the checkpoint lost: no worker ran.
            return record.cycle.index
        case _:
            return None


@dataclass(slots=True, kw_only=True)
class _Life:
    """Of a job, what a new beginning forgets."""

    begun: JobBegun | None = None
    first: AnyRecord | None = None
    worker: AttemptBegun | None = None
    settings: Mapping[str, int] = field(default_factory=dict)
    seen: set[tuple[int, int]] = field(default_factory=set)
    # Ascending; and, unless brief, where each is among `cycles`.
    committed: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    newest_commit: Cycle | None = None
    confirmed: int | None = None
    ended: JobEnded | None = None
    ram_peak_bytes: int | None = None
    vram_peak_bytes: int | None = None
    # By what memory depends on: the peaks of this life so far.
    peaks: dict[NeedKey, dict[Setting, int]] = field(default_factory=dict)
    tried: set[Setting] = field(default_factory=set)
    keys: set[NeedKey] = field(default_factory=set)
    cycles: list[CycleHistory] = field(default_factory=list)
    workers: list[AttemptBegun] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    notes: list[Noted] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Job:
    """Where the fold stands with one job."""

    job: str
    is_brief: bool
    life: _Life = field(default_factory=_Life)
    run: RunBegun | None = None
    n_runs: int = 0
    # Of the run's newest worker that became ready; None until there is one.
    run_worker: AttemptBegun | None = None
    run_peak_bytes: int | None = None
    last: AnyRecord | None = None
    place: int = -1
    shown: dict[NeedKey, Ceilings] = field(default_factory=dict)
    former: DoneRun | None = None

    def take(self, record: AnyRecord, place: int) -> None:
        """Take the job's next record."""
        if isinstance(record, Mirrored):
            # Written whenever the mirror is done: says nothing of where the job stands.
            self.life.confirmed = max(record.generation + 1, self.life.confirmed or 0)
            return
        if isinstance(record, JobBegun):
            self._begun(record)
        self.last, self.place = record, place
        self.life.first = self.life.first or record
        self._fall_back(taken_back_from(record))
        match record:
            case RunBegun():
                self.run, self.run_worker = record, None
                self.run_peak_bytes = None
                self.n_runs += 1
            case AttemptBegun():
                self._started(record)
            case CycleEnded(outcome="committed" | "interrupted"):
                self._cycle(record)
            case Incident():
                self._broke(record)
            case Noted() if not self.is_brief:
                self.life.notes.append(record)
            case _:
                return

    def _begun(self, record: JobBegun) -> None:
        if not record.extents:
            self.life = _Life()
        self.life.begun, self.life.ended = record, None

    def sit(self, record: AnyRecord, sittings: Sittings) -> None:
        """Take the record into the job's sitting; those of a supervisor may begin one."""
        match record:
            case JobBegun():
                sittings.job_begun(record)
            case RunBegun():
                sittings.begin(record).begun = record
            case AttemptBegun():
                sittings.of(record, may_begin=True).started(record)
            case Incident():
                sittings.of(record).broke(record)
            case CycleEnded(outcome="committed" | "interrupted", spent=spent):
                is_supervisors = spent is not None
                sittings.of(record, may_begin=is_supervisors).used(record.at, spent)
            case JobEnded():
                is_supervisors = record.machine is not None
                sittings.of(record, may_begin=is_supervisors).ended(record)
                sittings.close(self.job)
            case Noted():
                sittings.of(record).last_at = record.at
            case _:
                # Of no sitting: what a repair found, what a mirror has.
                return

    # --- what counts ----------------------------------------------------------------

    def _started(self, record: AttemptBegun) -> None:
        life = self.life
        self.run_worker = life.worker = record
        life.settings = record.settings
        life.seen.add((self.n_runs, record.attempt))
        life.keys.update(self._need_keys())
        if not self.is_brief:
            life.workers.append(record)

    def _fall_back(self, next_cycle: int | None) -> None:
        """Take back the commits from ``next_cycle`` on: they are done again, or lost."""
        life = self.life
        if next_cycle is None:
            return
        while life.committed and life.committed[-1] >= next_cycle:
            life.committed.pop()
            life.confirmed = _smaller(life.confirmed, next_cycle)
            if not self.is_brief:
                place = life.places.pop()
                life.cycles[place] = replace(life.cycles[place], outcome="rolled_back")

    def _cycle(self, record: CycleEnded) -> None:
        life = self.life
        life.seen.add((self.n_runs, record.attempt))
        # A worker that was stopped before it was ready has no record but this.
        life.settings = record.cycle.settings
        if record.outcome == "committed":
            life.committed.append(record.cycle.index)
            life.newest_commit = record.cycle
        self._measured(record)
        if self.is_brief:
            return
        if record.outcome == "committed":
            life.places.append(len(life.cycles))
        life.cycles.append(
            CycleHistory(record=record, outcome=record.outcome, worker=life.worker)
        )

    # --- what memory showed ---------------------------------------------------------

    def _need_keys(self) -> list[NeedKey]:
        """Return what memory depends on now; until a worker is ready, for any device."""
        if self.run is None:
            return []
        if self.run_worker is not None:
            return [(self.run.memory_key, self.run_worker.device)]
        return [(self.run.memory_key, "cpu"), (self.run.memory_key, "gpu")]

    def _measured(self, record: CycleEnded) -> None:
        life = self.life
        life.ram_peak_bytes = _larger(life.ram_peak_bytes, record.ram_peak_bytes)
        self.run_peak_bytes = _larger(self.run_peak_bytes, record.ram_peak_bytes)
        life.vram_peak_bytes = _larger(life.vram_peak_bytes, record.vram_peak_bytes)
        setting = setting_key(record.cycle.settings)
        life.tried.add(setting)
        for key in self._need_keys():
            peaks = life.peaks.setdefault(key, {})
            peaks[setting] = max(record.ram_peak_bytes or 0, peaks.get(setting, 0))

    def _broke(self, record: Incident) -> None:
        life = self.life
        life.seen.add((self.n_runs, record.attempt))
        life.ram_peak_bytes = _larger(life.ram_peak_bytes, record.ram_bytes)
        life.vram_peak_bytes = _larger(life.vram_peak_bytes, record.vram_bytes)
        if not self.is_brief:
            life.incidents.append(record)
        if record.verdict != "ram_limit" or self.run is None:
            return
        setting = setting_key(life.settings)
        for key in self._need_keys():
            shown = self.shown.setdefault(key, {})
            known = shown.get(setting, Ceiling())
            worst = max(self.run.ram_budget_bytes, known.stopped_bytes or 0)
            shown[setting] = Ceiling(stopped_bytes=worst)

    def _held(self) -> None:
        """Take the peak of the settings that the job ended well with."""
        life = self.life
        setting = setting_key(life.settings)
        is_whole = len(life.tried) == 1 and len(life.keys) == 1
        for key in self._need_keys():
            peak = life.peaks.get(key, {}).get(setting)
            if peak:
                self.shown.setdefault(key, {})[setting] = Ceiling(
                    held_bytes=peak, is_whole=is_whole
                )

    # --- ends -----------------------------------------------------------------------

    def done(self, record: JobEnded) -> list[DoneRun]:
        """Take the end that makes the job done; return it unless it is told once more.

        A repair records the end of a life again, and a run that finds its job done may
        record one without a result: only the first counts.
        """
        life = self.life
        if life.ended is not None and not (record.published or record.summary):
            return []
        run = DoneRun(
            job=self.job,
            begun=life.begun if life.ended is None else None,
            ended=record,
            device="cpu" if life.worker is None else life.worker.device,
        )
        is_again = run.begun is None and _is_same_end(self.former, record)
        life.ended = record
        self._held()
        if is_again:
            return []
        self.former = run
        return [run]

    def history(self) -> JobHistory:
        """Return the job's history as it is now."""
        life = self.life
        return JobHistory(
            job=self.job,
            begun=life.begun,
            run=self.run,
            worker=life.worker,
            settings=life.settings,
            n_workers=len(life.seen),
            last_attempt=max((number for _, number in life.seen), default=0),
            committed=tuple(life.committed),
            newest_commit=life.newest_commit,
            confirmed=life.confirmed,
            ended=life.ended,
            first=life.first,
            last=self.last,
            place=self.place,
            ram_peak_bytes=life.ram_peak_bytes,
            vram_peak_bytes=life.vram_peak_bytes,
            run_peak_bytes=self.run_peak_bytes,
            shown=self.shown,
            detail=Detail(
                cycles=tuple(life.cycles),
                workers=tuple(life.workers),
                incidents=tuple(life.incidents),
                notes=tuple(life.notes),
            ),
        )


def _is_same_end(former: DoneRun | None, record: JobEnded) -> bool:
    if former is None:
        return False
    one = former.ended
    return (one.published, one.results_sha256) == (
        record.published,
        record.results_sha256,
    )


def _smaller(one: int | None, other: int) -> int | None:
    return None if one is None else min(one, other)


def _larger(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other)
