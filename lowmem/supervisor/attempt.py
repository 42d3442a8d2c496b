"""One worker's lifetime: start it, watch it, record its cycles, say how it ended.

The loop waits for a message or for the time of the next reading, whichever is first.
Whatever may wait for a disk or a terminal is done aside: the readings go on meanwhile.
Every decision is taken by `decide`; here are its effects.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from lowmem.memory.allocation import AllocationLimits
from lowmem.memory.budget import Pressure
from lowmem.memory.machine import read_machine
from lowmem.memory.process import oom_kills
from lowmem.memory.watch import look
from lowmem.protocol.messages import (
    Committed,
    Drain,
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
from lowmem.supervisor.device import await_device
from lowmem.supervisor.last_moments import await_memory, await_stacks
from lowmem.supervisor.ledger import CycleLedger
from lowmem.supervisor.process import WorkerProcess, log_tail, worker_environment
from lowmem.supervisor.stacks import read_where
from lowmem.supervisor.suspend import WOKEN, Suspension
from lowmem.supervisor.urgency import stand_back, urgent
from lowmem.supervisor.verdict import death, verdict_of_failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowmem.protocol.messages import Answer, Run
    from lowmem.protocol.records import Verdict
    from lowmem.supervisor.instruments import Instruments

# seconds between two looks at the device and at the mirror: each costs 0.2 ms.
_DEVICE_INTERVAL_S = 0.25


@dataclass(slots=True)
class Attempt:
    """One worker and the watch over it.

    Attributes
    ----------
    deadline
        Monotonic time at which the time budget ends; None for no limit.
    vram_base_bytes
        Device memory in use before the worker started, by others.
    vram_total_bytes, device_name
        Of the device; None where there is none.
    tempo
        What the job's steps and commits have been seen to take.
    startup_s
        What the worker took until it was ready; 0 until it is.
    """

    number: int
    request: Run
    course: decide.Course
    policy: decide.Policy
    tools: Instruments
    deadline: float | None = None
    vram_base_bytes: int = 0
    vram_total_bytes: int | None = None
    device_name: str | None = None
    last_journaled_cycle: int = -1
    tempo: Tempo = field(default_factory=Tempo)
    startup_s: float = 0.0
    _ledger: CycleLedger = field(init=False)
    _suspension: Suspension = field(init=False)
    _limits: AllocationLimits = field(default_factory=AllocationLimits)
    _holding: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _is_ready: bool = False
    _ending: decide.Ending | None = None
    _last_ram_bytes: int | None = None
    _last_vram_bytes: int | None = None
    _stops_seen: int = 0
    _next_look: float = 0.0
    _next_device_look: float = 0.0
    _next_poll: float = 0.0
    _machine_due: float = 0.0
    _began: float = 0.0

    def __post_init__(self) -> None:
        self._suspension = Suspension(self.tools.clock)
        self._ledger = CycleLedger(
            job=self.request.job,
            attempt=self.number,
            settings=self.request.settings,
            journal=self.tools.journal,
            tree=self.tools.tree,
            clock=self.tools.clock,
        )

    def watch(self) -> decide.Ending:
        """Run the worker to its end and return how it ended."""
        self._began = self.tools.clock.monotonic()
        self.course = decide.begin_attempt(self.course)
        kills_before = oom_kills()
        log = self.tools.space.log(self.request.job)
        log_began = log.stat().st_size if log.exists() else 0
        worker = WorkerProcess(
            self.request,
            environment=worker_environment(
                self.request.device,
                vram_budget_bytes=self.request.vram_budget_bytes,
                vram_total_bytes=self.vram_total_bytes,
            ),
            log=log,
            inherited_fds=(self.tools.lock_descriptor,),
        )
        try:
            with (
                urgent(),
                self._suspension,
                self.tools.journal.beside(partial(self._do, worker)),
                self.tools.mirror.beside(self.tools.aside.do),
            ):
                stand_back(worker.pid)
                self._loop(worker)
        finally:
            worker.kill_with(self.tools.tree.find_pids)
            exited = worker.wait()
        if self._ending is None:
            is_oom = kills_before is not None and (oom_kills() or 0) > kills_before
            tail = log_tail(log, since=log_began)
            verdict, signal = death(exited.status, is_oom_kill=is_oom, last=tail)
            self._ending = self._broke(verdict, signal=signal, detail=tail)
        if self.request.device == "gpu":
            tools, base = self.tools, self.vram_base_bytes
            is_there = await_device(tools.gpu, tools.clock, base)
            self._ending = decide.seen_from_device(self._ending, is_there=is_there)
        if not isinstance(self._ending, decide.Finished | decide.Left):
            self._ledger.cut(exited.peak_bytes)
        return self._ending

    def _loop(self, worker: WorkerProcess) -> None:
        monotonic = self.tools.clock.monotonic
        while worker.is_open and not self._is_over():
            # A message may come before the next reading is due: it needs none.
            if monotonic() >= self._next_look:
                self._look(worker)
            self._poll_mirror()
            self._look_at_requests(worker)
            if self._is_over():
                # What a killed worker still had in the pipe does not change the verdict;
                # a commit among it is found again on the disk.
                return
            for answer in worker.receive(max(0.0, self._next_look - monotonic())):
                if not self._is_over():
                    self._take(answer, worker)
            self._settle(worker)

    def _do(self, worker: WorkerProcess, work: Callable[[], None]) -> None:
        """Do a thing aside, and return once it is done."""
        self.tools.aside.do(work)
        self._settle(worker)

    def _settle(self, worker: WorkerProcess) -> None:
        """Watch until all that was given aside is done."""
        monotonic = self.tools.clock.monotonic
        aside = self.tools.aside
        while not (self._is_over() or aside.wait(self._next_look - monotonic())):
            self._look(worker)
            self._look_at_requests(worker)
        aside.wait()

    def _is_over(self) -> bool:
        return self._ending is not None

    # --- readings -----------------------------------------------------------------

    def _look(self, worker: WorkerProcess) -> None:
        """Take all readings that are due."""
        now = self.tools.clock.monotonic()
        self._next_look = now + self._look_at_memory(worker)
        self._look_at_machine(worker)

    def _look_at_memory(self, worker: WorkerProcess) -> float:
        """Take a reading, act upon it, and return when the next one is due."""
        found = look(
            self.tools.tree,
            self.policy.budget,
            self._holding,
            minds_soft=decide.minds_soft(self.course),
        )
        self._last_ram_bytes = found.ram_bytes
        self._ledger.note(found.ram_bytes)
        self.tools.telemetry.add(found.ram_bytes, None)
        self.tools.screen.memory(found.ram_bytes)
        if self._is_ready and self.request.is_followed:
            left_bytes = self.policy.budget.hard_bytes - found.ram_bytes
            self._limits.follow(self.tools.tree.members, left_bytes)
        if found.pressure is not Pressure.NORMAL:
            self._apply(found.pressure, "ram_limit", worker)
        self._holding.close()
        return found.next_in_s

    def _apply(
        self, pressure: Pressure, verdict: Verdict, worker: WorkerProcess
    ) -> None:
        self.course, order = decide.on_pressure(self.course, pressure)
        if order is decide.Order.KILL:
            # What the worker has started must not go on while it writes its stacks.
            with self.tools.tree.held(but=worker.pid):
                self._await_stacks(worker)
                worker.kill_with(self.tools.tree.find_pids)
            self._ending = self._broke(verdict)
            await_memory(self.tools.clock)
        elif order is decide.Order.DRAIN:
            # Now, since the kill may find no time to wait for them.
            self._write_stacks(worker)
            worker.tell(Drain())

    def _write_stacks(self, worker: WorkerProcess) -> None:
        """Ask for the stacks; a worker that is not ready would die of the signal."""
        if self._is_ready:
            worker.write_stacks()

    def _await_stacks(self, worker: WorkerProcess) -> None:
        """Wait for the stacks, for as long as the guard band allows."""
        if not self._is_ready:
            return
        tools, room_bytes = self.tools, self.policy.budget.guard_bytes // 4
        path = tools.space.stacks(self.request.job)
        await_stacks(worker, path, tools.tree, tools.clock, room_bytes)

    def _look_at_machine(self, worker: WorkerProcess) -> None:
        """Watch what lies outside the job: the whole machine and the device."""
        now = self.tools.clock.monotonic()
        if self._ending is None and now >= self._machine_due:
            machine = read_machine()
            self._machine_due = now + machine.next_look_s(self.policy.budget.fill_rate)
            if machine.is_exhausted:
                self._apply(Pressure.HARD, "machine_limit", worker)
        if now < self._next_device_look or self._ending is not None:
            return
        self._next_device_look = now + _DEVICE_INTERVAL_S
        if self.request.device == "gpu":
            self._look_at_device(worker)

    def _poll_mirror(self) -> None:
        """Hear of the mirror; not among the readings, since it writes records itself."""
        now = self.tools.clock.monotonic()
        if now >= self._next_poll:
            self._next_poll = now + _DEVICE_INTERVAL_S
            self.tools.mirror.poll()

    def _look_at_device(self, worker: WorkerProcess) -> None:
        device = self.tools.gpu.read()
        if device is None:
            if self.tools.gpu.is_lost:
                # The worker may hang in its driver for ever: it is not waited for.
                worker.kill_with(self.tools.tree.find_pids)
                self._ending = self._broke("error")
            return
        vram_bytes = max(0, device.used_bytes - self.vram_base_bytes)
        self._last_vram_bytes = vram_bytes
        self._ledger.note_vram(vram_bytes)
        self.tools.telemetry.add(self._last_ram_bytes or 0, vram_bytes)
        limit = self.request.vram_budget_bytes
        if limit is not None and vram_bytes > limit:
            self._apply(Pressure.HARD, "vram_limit", worker)

    # --- requests from outside ----------------------------------------------------

    def _look_at_requests(self, worker: WorkerProcess) -> None:
        """Act upon signals and the time budget."""
        if self._ending is not None:
            return
        self._suspension.heed(self.tools.tree)
        if self._suspension.wake(worker):
            self._show(WOKEN)
        stops = self.tools.stops
        if stops.count > self._stops_seen:
            self._stops_seen = stops.count
            self.course, _ = decide.on_leave_request(
                self.course, decide.Leaving.STOP, stops.by
            )
            self._show(f"{stops.by}: stopping at the next commit")
            worker.tell(Drain())
            if stops.is_urgent:
                worker.kill_with(self.tools.tree.find_pids)
                self._ending = self._broke("signal", signal=stops.by)
            return
        if self._left_s is not None and self._left_s <= 0:
            self._await_stacks(worker)
            worker.kill_with(self.tools.tree.find_pids)
            self._ending = self._broke("time")

    @property
    def _left_s(self) -> float | None:
        """Seconds until the time budget ends; None for no limit."""
        if self.deadline is None:
            return None
        return self.deadline - self.tools.clock.monotonic()

    # --- messages -----------------------------------------------------------------

    def _take(self, answer: Answer, worker: WorkerProcess) -> None:
        match answer:
            case Logged():
                self._show(answer.text)
                if answer.is_kept:
                    self._ledger.noted(answer.text)
            case Progressed():
                move = self.tools.screen.progress
                self.tools.aside.do(
                    partial(move, answer.done, answer.total, answer.note)
                )
            case Started():
                self._started(answer)
            case Committed():
                self._committed(answer, worker)
            case FinishedMessage():
                self._ending = decide.Finished(
                    published=answer.published,
                    summary=answer.summary,
                    results_sha256=answer.results_sha256,
                )
            case Failed():
                self._ending = self._failed(answer)
            case _:
                return

    def _show(self, text: str) -> None:
        self.tools.aside.do(partial(self.tools.screen.line, text))

    def _started(self, answer: Started) -> None:
        if answer.note:
            self._show(answer.note)
        last = answer.last_cycle
        # The job does not wait for what is written here: its cycle has begun.
        self._is_ready = True
        self.startup_s = self.tools.clock.monotonic() - self._began
        self._ledger.begin(answer.next_cycle)
        if last is not None and last.index > self.last_journaled_cycle:
            # Committed, then the supervisor was killed before it could write it down.
            self._ledger.recovered(last)
        self._ledger.started(answer, self.device_name)

    def _committed(self, answer: Committed, worker: WorkerProcess) -> None:
        used_bytes = self.tools.tree.read().ram_bytes
        self._ledger.committed(answer, used_bytes)
        self.tools.mirror.committed(self.request.job, answer.cycle.index)
        self.tempo = self.tempo.after(
            answer.cycle.longest_step_seconds, answer.cycle.commit_seconds
        )
        self._ledger.begin(answer.cycle.index + 1)
        if self._is_over():
            # Killed while the record was written: a child of its may work meanwhile.
            return
        self.course, goes_on = decide.on_commit(
            self.course,
            self.policy,
            used_bytes,
            is_last_chance=self.tempo.is_last_chance(self._left_s),
        )
        if goes_on:
            worker.tell(Proceed())
        else:
            self._ending = decide.Left()
            worker.tell(Leave())

    def _failed(self, failure: Failed) -> decide.Broke:
        return decide.Broke(
            verdict=verdict_of_failure(failure),
            ram_bytes=self._last_ram_bytes,
            vram_bytes=self._last_vram_bytes,
            where=failure.where,
            failure=failure,
        )

    def _broke(
        self, verdict: Verdict, *, signal: str | None = None, detail: str = ""
    ) -> decide.Broke:
        stacks = self.tools.space.stacks(self.request.job)
        return decide.Broke(
            verdict=verdict,
            signal=signal,
            ram_bytes=self._last_ram_bytes,
            vram_bytes=self._last_vram_bytes,
            unmapped_bytes=self.tools.tree.unmapped_bytes,
            where=read_where(stacks) if self._is_ready else None,
            detail=detail,
        )
