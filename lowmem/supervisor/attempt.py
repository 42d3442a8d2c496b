"""One worker's lifetime in a run: its cycles recorded, its end told.

What watches it is `watched`. Whatever may wait for a disk or a terminal is done aside:
the readings go on meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from lowmem.checkpoints.generations import committed_cycle, generation_path
from lowmem.memory.budget import Pressure
from lowmem.memory.memory_watch import Watch
from lowmem.memory.process_tree import oom_kills
from lowmem.protocol.messages import (
    Committed,
    Failed,
    Leave,
    Logged,
    Proceed,
    Progressed,
    Started,
)
from lowmem.protocol.messages import Finished as FinishedMessage
from lowmem.protocol.tempo import Tempo
from lowmem.supervisor import decide
from lowmem.supervisor.cycle_ledger import CycleLedger
from lowmem.supervisor.endings import Broke, Ending, Finished, Left, seen_from_device
from lowmem.supervisor.processes import WorkerProcess, log_tail, worker_environment
from lowmem.supervisor.suspend import WOKEN
from lowmem.supervisor.user_messages import told_of_stop
from lowmem.supervisor.verdict import death, verdict_of_failure
from lowmem.supervisor.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lowmem.memory.memory_watch import Look
    from lowmem.protocol.messages import Answer, Cycle, Run
    from lowmem.supervisor.attempt_tools import AttemptTools
    from lowmem.supervisor.device import JobDevice
    from lowmem.supervisor.page_renewal import PageRenewal
    from lowmem.supervisor.processes import Worker

# seconds between two looks at the mirror: each costs 0.2 ms.
_POLL_INTERVAL_S = 0.25


@dataclass(slots=True)
class Attempt:
    """One worker of a run.

    Attributes
    ----------
    deadline
        Monotonic time at which the time budget ends; None for no limit.
    tempo
        What the job's steps and commits have been seen to take.
    startup_s
        What the worker took until it was ready; 0 until it is.
    page
        Renews the report page between cycles; None where nothing does.
    """

    number: int
    request: Run
    policy: decide.Policy
    device: JobDevice
    tools: AttemptTools
    last_journaled_cycle: int
    deadline: float | None = None
    tempo: Tempo = field(default_factory=Tempo)
    startup_s: float = 0.0
    page: PageRenewal | None = None
    _ledger: CycleLedger = field(init=False)
    _watched: Watched = field(init=False)
    _stops_seen: int = 0
    _next_poll: float = 0.0
    _next_draw: float = 0.0
    _began: float = 0.0

    def __post_init__(self) -> None:
        self._ledger = CycleLedger(
            job=self.request.job,
            attempt=self.number,
            next_cycle=self.last_journaled_cycle + 1,
            settings=self.request.settings,
            journal=self.tools.journal,
            tree=self.tools.tree,
            meter=self.tools.meter,
            clock=self.tools.clock,
        )

    def run(self, run_state: decide.RunState) -> tuple[Ending, decide.RunState]:
        """Run the worker to its end; return how it ended, and where that leaves the job."""
        tools, request = self.tools, self.request
        self._began = tools.clock.monotonic()
        tools.background.do(tools.screen.begin)
        kills_before = oom_kills()
        log = tools.space.log(request.job)
        log_began = log.stat().st_size if log.exists() else 0
        worker = self._start(log)
        self._watched = Watched(
            worker=worker,
            watch=Watch(tree=tools.tree, budget=self.policy.budget, clock=tools.clock),
            tree=tools.tree,
            stacks=tools.space.stacks(request.job),
            find_others=tools.tree.find_pids,
            is_limited=request.is_followed,
            run_state=decide.begin_attempt(run_state),
        )
        with tools.journal.beside(self._do), tools.mirror.beside(tools.background.do):
            exited = self._watched.to_the_end(self)
        ending = self._watched.ending
        if ending is None:
            is_oom = kills_before is not None and (oom_kills() or 0) > kills_before
            tail = log_tail(log, since=log_began)
            verdict, signal = death(exited.status, is_oom_kill=is_oom, last=tail)
            ending = self._watched.broke(verdict, signal=signal, detail=tail)
            # Its newest reading may be one of after its end, when all was given back.
            ending = replace(ending, ram_bytes=self._ledger.peak_bytes)
        if request.device == "gpu":
            is_there = self.device.is_back(tools.clock)
            ending = seen_from_device(
                ending, is_there=is_there, vram_bytes=self.device.used_bytes
            )
        if not isinstance(ending, Finished | Left):
            self._ledger.cut(exited.peak_bytes, self._committed_unseen())
        return ending, self._watched.run_state

    def _start(self, log: Path) -> Worker:
        """Start what is watched; what its libraries print goes to ``log``."""
        request = self.request
        return WorkerProcess(
            request,
            environment=worker_environment(
                request.device,
                vram_budget_bytes=request.vram_budget_bytes,
                vram_total_bytes=self.device.total_bytes,
            ),
            log=log,
            inherited_fds=(self.tools.lock_descriptor,),
        )

    def _committed_unseen(self) -> Cycle | None:
        """Return the cycle under way, if it is on the disk although no message came."""
        index = self._ledger.under_way
        if index is None:
            return None
        folder = self.tools.space.checkpoints(self.request.job)
        return committed_cycle(generation_path(folder, index))

    # --- while it runs ------------------------------------------------------------

    def noted(self, found: Look) -> None:
        """Keep a reading."""
        self._ledger.note(found.ram_bytes)
        self.tools.telemetry.add(found.ram_bytes, None)
        self.tools.screen.progress.used(found.ram_bytes)

    def happened(self) -> decide.Event | None:
        """Return what the user, the clock or the device wants, if anything."""
        stops = self.tools.stops
        if stops.count > self._stops_seen:
            self._stops_seen = stops.count
            self._show(self._told_of_stop())
            return decide.Signalled(stops.by, is_urgent=stops.is_urgent)
        if self._left_s is not None and self._left_s <= 0:
            return decide.TimeUp()
        return self._look_at_device() if self.request.device == "gpu" else None

    def _told_of_stop(self) -> str:
        under_way = self._ledger.under_way
        is_ready = under_way is not None
        n_before = self.last_journaled_cycle + 1
        return told_of_stop(
            self.tools.stops.heard,
            self.tools.screen.progress.standing(self.tools.clock.monotonic()),
            n_committed=n_before if under_way is None else under_way,
            since_commit_s=self._ledger.took_s if is_ready else None,
        )

    def _look_at_device(self) -> decide.Event | None:
        used_bytes = self.device.read(self.tools.clock)
        if self.device.is_lost:
            return decide.DeviceLost()
        if used_bytes is None:
            return None
        self._ledger.note_vram(used_bytes)
        self.tools.screen.progress.used_of_device(used_bytes)
        self.tools.telemetry.add(self._watched.ram_bytes or 0, used_bytes)
        limit = self.request.vram_budget_bytes
        if limit is None or used_bytes <= limit:
            return None
        return decide.MemoryReading(Pressure.HARD, "vram_limit")

    @property
    def _left_s(self) -> float | None:
        """Seconds until the time budget ends; None for no limit."""
        if self.deadline is None:
            return None
        return self.deadline - self.tools.clock.monotonic()

    def between_messages(self) -> None:
        """Hear of the mirror, and watch until all that was given aside is done."""
        now = self.tools.clock.monotonic()
        if now >= self._next_poll:
            self._next_poll = now + _POLL_INTERVAL_S
            self.tools.mirror.poll()
        if now >= self._next_draw and self.tools.background.is_idle:
            # A terminal that takes nothing is not given more and more.
            self._next_draw = now + self.tools.screen.redraw_s
            if self.tools.screen.is_due:
                self.tools.background.do(self.tools.screen.tick)
        self._wait()

    def _do(self, work: Callable[[], None]) -> None:
        """Do a thing aside, and return once it is done."""
        self.tools.background.do(work)
        self._wait()

    def _wait(self) -> None:
        watched, background = self._watched, self.tools.background
        while not (watched.is_over or background.wait(watched.watch.left_s)):
            watched.step(self)
        background.wait()

    def woken(self) -> None:
        """Tell the user."""
        self._show(WOKEN)

    def _show(self, text: str) -> None:
        self.tools.background.do(partial(self.tools.screen.line, text))

    # --- messages -----------------------------------------------------------------

    def take(self, answer: Answer) -> None:
        """Take one message of the worker."""
        match answer:
            case Logged():
                self._show(answer.text)
                if answer.is_kept:
                    self._ledger.noted(answer.text)
            case Progressed():
                move = self.tools.screen.moved
                self.tools.background.do(
                    partial(move, answer.done, answer.total, answer.note)
                )
            case Started():
                self._started(answer)
            case Committed():
                self._committed(answer)
            case FinishedMessage():
                self._watched.over(
                    Finished(
                        published=answer.published,
                        summary=answer.summary,
                        results_sha256=answer.results_sha256,
                    )
                )
            case Failed():
                self._failed(answer)
            case _:
                return

    def _failed(self, failure: Failed) -> None:
        verdict = verdict_of_failure(failure)
        is_memory = verdict in decide.MEMORY_VERDICTS
        ending = Broke(
            verdict=verdict,
            # On the way to its message, a failed allocation gave back what it was beside.
            ram_bytes=self._ledger.peak_bytes if is_memory else self._watched.ram_bytes,
            where=failure.where,
            failure=failure,
        )
        self._watched.over(ending)

    def _started(self, answer: Started) -> None:
        if answer.note:
            self._show(answer.note)
        last = answer.last_cycle
        # The job does not wait for what is written here: its cycle has begun.
        self.startup_s = self.tools.clock.monotonic() - self._began
        self._begin_cycle(answer.next_cycle)
        if last is not None and last.index > self.last_journaled_cycle:
            # Committed, then the supervisor was killed before it could write it down.
            self._ledger.recovered(last)
        self._ledger.started(answer, self.device.name)

    def _begin_cycle(self, index: int) -> None:
        self._ledger.begin(index)
        self.tools.screen.progress.cycle = index

    def _committed(self, answer: Committed) -> None:
        watched = self._watched
        used_bytes = self.tools.tree.read().ram_bytes
        self._ledger.committed(answer, used_bytes)
        self.tools.mirror.committed(self.request.job, answer.cycle.index)
        self.tempo = self.tempo.after(
            answer.cycle.longest_step_seconds, answer.cycle.commit_seconds
        )
        self._begin_cycle(answer.cycle.index + 1)
        self._renew_page(used_bytes)
        if watched.is_over:
            # Killed while the record was written: a child of its may work meanwhile.
            return
        watched.run_state, goes_on = decide.on_commit(
            watched.run_state,
            self.policy,
            used_bytes,
            is_last_chance=self.tempo.is_last_chance(self._left_s),
        )
        if goes_on:
            watched.worker.tell(Proceed())
        else:
            watched.over(Left())
            watched.worker.tell(Leave())

    def _renew_page(self, used_bytes: int) -> None:
        """Renew the report page if that is due; the worker waits for it."""
        page, index = self.page, self._ledger.under_way
        if page is None or index is None or self._watched.is_over:
            return
        if not page.is_due(used_bytes, self.policy.budget, left_s=self._left_s):
            return
        self._do(page.renew)
        if not self._watched.is_over:
            # Neither its time nor its memory is the cycle's.
            self._ledger.begin(index)
            # What the page took is the job's again: a reading sets its limits anew. It
            # may end the run, and is then the cycle's last.
            self._watched.look(self)
