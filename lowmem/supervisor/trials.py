"""Trial runs: the first steps of a job in a worker that is thrown away, for its peak.

A trial is a run like any other, in a private folder of its own, that ends at its first
commit: nothing that it makes is kept, and nothing is published. It is watched as every
worker is, and killed at the budget: then that size does not fit.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base.errors import EXIT_BUDGET, StoppedError
from lowmem.base.files import remove
from lowmem.memory.budget import Pressure, RamBudget
from lowmem.memory.gpu import GpuSampler
from lowmem.memory.machine import identity_of
from lowmem.memory.process import TreeSampler, anonymous_bytes
from lowmem.protocol.messages import (
    DEVICE_MEMORY_ERROR,
    Committed,
    Failed,
    Run,
    Started,
)
from lowmem.supervisor.last_moments import await_stacks
from lowmem.supervisor.process import WorkerProcess, worker_environment
from lowmem.supervisor.remembered import TrialPeak
from lowmem.supervisor.stacks import read_where
from lowmem.supervisor.suspend import Suspension
from lowmem.supervisor.urgency import stand_back, urgent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lowmem.base.clock import Clock
    from lowmem.base.workspace import Workspace
    from lowmem.memory.process import TreeReading
    from lowmem.protocol.job import Device
    from lowmem.protocol.messages import Answer, PlannedTrial
    from lowmem.supervisor.order import JobOrder

# seconds between two readings: short, since a trial has few steps to show its peak in.
_INTERVAL_S = 0.004
# No job can be called so.
_MARK = ".trial-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a trial runs on.

    Attributes
    ----------
    is_over
        Asked again and again; the trial ends once it returns True.
    """

    space: Workspace
    clock: Clock
    device: Device
    is_over: Callable[[], bool]


def measured(order: JobOrder, trial: PlannedTrial, bench: Bench) -> TrialPeak | None:
    """Return the peak of one trial; None if it failed for another reason than memory.

    Raises
    ------
    StoppedError
        If ``is_over`` ended it.
    """
    name = f"{order.name}{_MARK}{os.getpid()}"
    folder = bench.space.job(name)
    sweep_trials(folder.parent)
    try:
        return _watched(_request(order, trial, bench, name), order, trial, bench)
    finally:
        remove(folder)


def sweep_trials(folder: Path) -> None:
    """Remove what trials left in the jobs' folder whose process was killed."""
    for left in folder.glob(f"*{_MARK}*"):
        pid = left.name.rpartition("-")[2]
        if not (pid.isdecimal() and identity_of(int(pid))):
            remove(left)


def _request(order: JobOrder, trial: PlannedTrial, bench: Bench, name: str) -> Run:
    return Run(
        reference=order.reference,
        job=name,
        workspace=str(bench.space.root),
        options={**order.options, **trial.options},
        settings=trial.settings,
        recipe={},
        seed=order.seed,
        device=bench.device,
        ram_budget_bytes=order.ram_budget_bytes,
        vram_budget_bytes=order.vram_budget_bytes,
        cycle_steps=trial.points,
    )


def _watched(
    request: Run, order: JobOrder, trial: PlannedTrial, bench: Bench
) -> TrialPeak | None:
    with TreeSampler(os.getpid()) as tree:
        worker = WorkerProcess(
            request,
            environment=_environment(order, bench.device),
            log=bench.space.log(request.job),
        )
        watch = _Watch(
            tree,
            worker,
            RamBudget(limit_bytes=order.ram_budget_bytes),
            bench.space.stacks(request.job),
        )
        try:
            with urgent(), Suspension(bench.clock) as suspension:
                stand_back(worker.pid)
                is_whole = watch.to_the_end(bench, order.name, suspension)
        finally:
            worker.kill_with(tree.find_pids)
            worker.wait()
    if is_whole is None:
        return None
    return TrialPeak(
        settings=trial.settings,
        options=trial.options,
        # This process may be the command line, larger than what supervises a run.
        ram_bytes=max(0, watch.peak_bytes - anonymous_bytes()),
        is_whole=is_whole,
        ram_budget_bytes=order.ram_budget_bytes,
        where=watch.where,
    )


def _environment(order: JobOrder, device: Device) -> dict[str, str]:
    with GpuSampler() as sampler:
        gpu = sampler.read() if device == "gpu" else None
    return worker_environment(
        device,
        vram_budget_bytes=order.vram_budget_bytes,
        vram_total_bytes=gpu.total_bytes if gpu else None,
    )


class _Watch:
    """Reads a trial's memory until it has committed, or the budget is used up.

    Shared memory that the job does not map may be another program's, so it may end a
    trial, but is not remembered as a need of the job.
    """

    def __init__(
        self, tree: TreeSampler, worker: WorkerProcess, budget: RamBudget, stacks: Path
    ) -> None:
        self._tree = tree
        self._worker = worker
        self._budget = budget
        self._stacks = stacks
        self._is_ready = False
        self.peak_bytes = 0
        self.where: str | None = None

    def to_the_end(self, bench: Bench, job: str, suspension: Suspension) -> bool | None:
        """Return whether the trial stayed below the budget; None if it failed."""
        while self._worker.is_open:
            if bench.is_over():
                raise StoppedError(
                    job=job, reason="while its memory was being measured"
                )
            suspension.heed(self._tree)
            self._worker.wake()
            reading = self._read()
            if self._is_beyond(reading.ram_bytes - reading.unmapped_bytes):
                self._find_line(bench.clock)
                return False
            if self._is_beyond(reading.ram_bytes):
                return None
            next_s = self._budget.next_interval_s(reading.most_bytes)
            interval_s = min(next_s, _INTERVAL_S)
            for answer in self._worker.receive(interval_s):
                if isinstance(answer, Committed):
                    self._read()
                    return True
                if isinstance(answer, Failed):
                    self.where = answer.where
                    return _is_too_large(answer)
                self._is_ready = self._is_ready or isinstance(answer, Started)
        return None

    def _find_line(self, clock: Clock) -> None:
        """Ask which line the worker is at; one that is not ready would die of that."""
        if self._is_ready:
            room_bytes = self._budget.guard_bytes // 4
            with self._tree.held(but=self._worker.pid):
                await_stacks(self._worker, self._stacks, self._tree, clock, room_bytes)
            self.where = read_where(self._stacks)

    def _is_beyond(self, used_bytes: int) -> bool:
        return self._budget.pressure(used_bytes) is Pressure.HARD

    def _read(self) -> TreeReading:
        reading = self._tree.read()
        if self._is_beyond(reading.ram_bytes) and not reading.is_exact:
            reading = self._tree.refine()
        own_bytes = reading.ram_bytes - reading.unmapped_bytes
        self.peak_bytes = max(self.peak_bytes, own_bytes)
        return reading


def _is_too_large(failure: Answer) -> bool | None:
    """Return False for a trial that asked for too much RAM; None for another failure.

    What a device lacks is left to the run: its peak in RAM would be remembered as one
    that was too large.
    """
    if not isinstance(failure, Failed) or failure.exit_code != EXIT_BUDGET:
        return None
    return None if failure.kind == DEVICE_MEMORY_ERROR else False
