"""Stories of jobs, told as the records that a supervisor writes, beside a plain model.

The model knows the disk: which commits a job could go on from. It knows nothing of
records, and what is asked of a story's journal is held against it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from lowmem.history.fold import history_of_job
from lowmem.protocol.messages import Cycle
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
from lowmem.repair.journal_plan import roll_back

if TYPE_CHECKING:
    from lowmem.protocol.records import AnyRecord

# `append` publishes what `ingest` does; `train` needs `ingest`.
PUBLISHED = {
    "ingest": ("images.zarr", "labels.csv"),
    "append": ("images.zarr",),
    "train": ("model",),
}
JOBS = (*["train"] * 4, "ingest", "append")
NEED_A_WORKER = {
    "commit",
    "commit unrecorded",
    "stop at the limit",
    "end",
    "stop",
    "crash before ready",
}

# Commits are what most else is about, so most happenings are.
HAPPENINGS = (
    *["commit"] * 9,
    *["commit unrecorded", "lose a checkpoint"] * 3,
    *["stop at the limit", "end", "mirror"] * 2,
    "repair",
    "restart",
    "run",
    "crash before ready",
    "replace the worker",
    "kill the supervisor",
    "stop",
    "note",
    "repair the results",
    "cut such a repair",
)
happenings = st.lists(
    st.tuples(st.sampled_from(HAPPENINGS), st.sampled_from(JOBS), st.integers(1, 400)),
    min_size=8,
    max_size=40,
)


@dataclass
class Life:
    """What is true of a job since it last began; no record tells it."""

    recipe: int
    # Items of each commit that the disk holds.
    disk: list[int] = field(default_factory=list)
    # How many of them the supervisor has heard of, and the mirror confirmed.
    told: int = 0
    durable: int = 0
    n_workers: int = 0
    peak: int | None = None
    is_done: bool = False
    digest: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass
class Story:
    """A workspace and its journal."""

    records: list[AnyRecord] = field(default_factory=list)
    lives: dict[str, Life] = field(default_factory=dict)
    # The worker at work and its job: only one at a time.
    live: str | None = None
    attempt: int = 0
    block: int = 4
    number: int = 0
    owners: dict[str, str] = field(default_factory=dict)
    makers: list[tuple[str, int]] = field(default_factory=list)
    showed: dict[str, dict[int, tuple[str, int]]] = field(default_factory=dict)
    # The largest reading since somebody last typed the job.
    run_peaks: dict[str, int] = field(default_factory=dict)

    def tell(self, happenings: list[tuple[str, str, int]]) -> Story:
        for what, job, number in happenings:
            self.number += 1
            if self.live is None and what in NEED_A_WORKER:
                self._run(job, number)
            getattr(self, "_" + what.replace(" ", "_"))(job, number)
        return self

    def settle(self) -> Story:
        """Let each job that is not done go on once more, as the next run would."""
        self.live = None
        for job, life in self.lives.items():
            if not life.is_done:
                self._run(job, 1)
                self.live = None
        return self

    # --- what happens ---------------------------------------------------------------

    def _run(self, job: str, number: int) -> None:
        """Somebody types it, also while another's job needs this one first."""
        if job not in self.lives:
            self._begin(job)
        life = self.lives[job]
        if life.is_done:
            return
        self._add(
            RunBegun,
            job,
            seed=1,
            ram_budget_bytes=1000 + number,
            vram_budget_bytes=None,
            time_budget_s=None,
            memory_key="k",
        )
        self.run_peaks.pop(job, None)
        self.budget = 1000 + number
        self.block = 4
        self._start(job)

    def _begin(self, job: str) -> None:
        self.lives[job] = Life(recipe=self.number)
        recipe = {"number": self.number}
        self._add(JobBegun, job, reference=job, recipe=recipe, unit="rows")

    def _start(self, job: str) -> None:
        """A worker becomes ready, as `Attempt` writes it down."""
        life = self.lives[job]
        life.n_workers += 1
        self.attempt = life.n_workers
        self.live = job
        n = len(life.disk)
        life.told, life.durable = n, min(life.durable, n)
        if n - 1 > history_of_job(job, self.records).last_cycle:
            self._cycle(job, n - 1, "committed", life.disk[-1], peak=None)
        self._add(
            AttemptBegun,
            job,
            attempt=self.attempt,
            device="cpu",
            next_cycle=n,
            settings={"block": self.block},
            versions={},
        )

    def _commit(self, _: str, number: int) -> None:
        if self.live:
            life = self.lives[self.live]
            life.disk.append(number)
            life.told = len(life.disk)
            self._cycle(
                self.live, life.told - 1, "committed", number, peak=100 + number
            )

    def _commit_unrecorded(self, _: str, number: int) -> None:
        if self.live:
            self.lives[self.live].disk.append(number)
            self.live = None

    def _stop_at_the_limit(self, _: str, number: int) -> None:
        job = self.live
        if job:
            self._cut(job, number, "ram_limit")
            showed = self.showed.setdefault(job, {})
            what, known = showed.get(self.block, ("", 0))
            worst = max(self.budget, known if what == "stopped" else 0)
            showed[self.block] = ("stopped", worst)
            self.block = 2
            self._start(job)

    def _crash_before_ready(self, _: str, number: int) -> None:
        job = self.live
        if job:
            self._cut(job, number, "crash")
            self.lives[job].n_workers += 1
            self.attempt = self.lives[job].n_workers
            self._cut(job, number, "crash")
            if number % 2:
                self._start(job)
            else:
                self.live = None

    def _cut(self, job: str, number: int, verdict: str) -> None:
        index = len(self.lives[job].disk)
        self._cycle(job, index, "interrupted", 0, peak=900 + number)
        self._add(
            Incident,
            job,
            attempt=self.attempt,
            verdict=verdict,
            ram_bytes=900,
            where=None,
            action="",
        )

    def _replace_the_worker(self, _: str, __: int) -> None:
        if self.live:
            self._start(self.live)

    def _kill_the_supervisor(self, _: str, __: int) -> None:
        self.live = None

    def _lose_a_checkpoint(self, job: str, number: int) -> None:
        """The newest is damaged once nobody works; the next worker passes it over."""
        job = self.live or job
        self.live = None
        life = self.lives.get(job)
        if life and not life.is_done and len(life.disk) > 1:
            life.disk.pop()
            match number % 3:
                case 1:
                    self._run(job, number)
                case 2:
                    self._repair(job, number)

    def _repair(self, job: str, _: int) -> None:
        life = self.lives.get(job)
        if life and life.disk and self.live != job:
            newest = len(life.disk) - 1
            if not life.is_done:
                life.told = min(life.told, newest + 1)
                life.durable = min(life.durable, life.told)
            self.records += roll_back(self.records, job, newest, at="")

    def _end(self, _: str, __: int) -> None:
        job = self.live
        if not job:
            return
        life = self.lives[job]
        life.is_done, life.digest = True, f"{job} {self.number}"
        self.live = None
        self._add_end(job)
        self.owners |= dict.fromkeys(PUBLISHED[job], job)
        self.makers.append((job, life.recipe))

    def _add_end(self, job: str) -> None:
        self._add(
            JobEnded,
            job,
            state="done",
            exit_code=0,
            published=PUBLISHED[job],
            results_sha256=self.lives[job].digest,
        )

    def _stop(self, _: str, __: int) -> None:
        if self.live:
            self._add(JobEnded, self.live, state="stopped", exit_code=75, message="x")
            self.live = None

    def _restart(self, job: str, number: int) -> None:
        if job in self.lives:
            self._begin(job)
            self._run(job, number)

    def _mirror(self, job: str, _: int) -> None:
        last = history_of_job(job, self.records).last_cycle
        if last >= 0:
            self.lives[job].durable = max(self.lives[job].durable, last + 1)
            self._add(Mirrored, job, generation=last, is_done=False)

    def _note(self, _: str, number: int) -> None:
        if self.live:
            text = f"note {number % 3}"
            self._add(Noted, self.live, attempt=self.attempt, text=text)
            notes = self.lives[self.live].notes
            notes += [] if text in notes else [text]

    def _repair_the_results(self, job: str, _: int) -> None:
        """A worker makes files of a finished job again; its end is told once more."""
        if self._begin_repair(job):
            self._add_end(job)

    def _cut_such_a_repair(self, job: str, number: int) -> None:
        if self._begin_repair(job):
            self._cut(job, number, "signal")

    def _begin_repair(self, job: str) -> bool:
        life = self.lives.get(job)
        if not (life and life.is_done and self.live is None):
            return False
        life.n_workers += 1
        self.attempt = life.n_workers
        self._add(
            AttemptBegun,
            job,
            attempt=self.attempt,
            device="cpu",
            next_cycle=history_of_job(job, self.records).last_cycle + 1,
            settings={"block": 2},
            versions={},
        )
        self.block = 2
        return True

    # --- records --------------------------------------------------------------------

    def _cycle(
        self, job: str, index: int, outcome: str, items: int, *, peak: int | None
    ) -> None:
        life = self.lives[job]
        if peak is not None:
            life.peak = max(peak, life.peak or 0)
            self.run_peaks[job] = max(peak, self.run_peaks.get(job, 0))
        self._add(
            CycleEnded,
            job,
            attempt=self.attempt,
            outcome=outcome,
            cycle=cycle_of(index, items, self.block),
            ram_peak_bytes=peak,
        )

    def _add(self, kind: type[AnyRecord], job: str, **facts: object) -> None:
        self.records.append(kind(job=job, at=f"{self.number:04d}", **facts))


def cycle_of(index: int, items: int, block: int = 4) -> Cycle:
    return Cycle(
        index=index,
        items=items,
        started_at="",
        seconds=1.0,
        commit_seconds=0.1,
        settings={"block": block},
    )


stories = happenings.map(lambda told: Story().tell(told))
