"""Trial runs: the first steps of a job in a worker that is thrown away, for its peak.

A trial is a run like any other, in a private folder of its own, that ends at its first
commit: nothing that it makes is kept, and nothing is published. It is watched as every
worker is, and killed at the budget: then that size does not fit.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from lowmem.base.errors import EXIT_BUDGET, StoppedError
from lowmem.base.files import remove
from lowmem.memory.budget import RamBudget
from lowmem.memory.fill_rate import measured_fill_rate
from lowmem.memory.gpu import GpuSampler
from lowmem.memory.machine import identity_of
from lowmem.memory.memory_watch import Watch
from lowmem.memory.process_tree import TreeSampler, anonymous_bytes
from lowmem.protocol.messages import (
    DEVICE_MEMORY_ERROR,
    SETTING_REFUSED_ERROR,
    Committed,
    Failed,
    Marked,
    Run,
)
from lowmem.supervisor.endings import Broke
from lowmem.supervisor.known_peaks import TrialPeak
from lowmem.supervisor.processes import WorkerProcess, worker_environment
from lowmem.supervisor.watched import OneAnswer, Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lowmem.base.clock import Clock
    from lowmem.base.workspace import Workspace
    from lowmem.protocol.messages import Answer, PlannedTrial
    from lowmem.protocol.planning import Device
    from lowmem.supervisor.order import JobOrder
    from lowmem.supervisor.setting_comparison import Marks

# seconds between two readings: short, since a trial has few steps to show its peak in.
_INTERVAL_S = 0.004
# Commit points: more than any trial has.
_ENDLESS = 2**62
# No job can be called so.
_MARK = ".trial-"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialBench:
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


def measured(
    order: JobOrder,
    trial: PlannedTrial,
    bench: TrialBench,
    *,
    marks: Marks | None = None,
    marks_at: Sequence[int] = (),
) -> TrialPeak | None:
    """Return the peak of one trial; None if it failed for another reason than memory.

    Parameters
    ----------
    marks
        If given, takes what the trial had made by the numbers of items at which it tells.
    marks_at
        Those numbers: the trial goes on to the first that it meets. At each of its points
        where empty.

    Raises
    ------
    StoppedError
        If ``is_over`` ended it.
    """
    name = f"{order.name}{_MARK}{os.getpid()}"
    folder = bench.space.job(name)
    sweep_trials(folder.parent)
    try:
        request = _request(order, trial, bench, name)
        if marks is not None:
            steps = _ENDLESS if marks_at else request.cycle_steps
            request = replace(request, marks_at=tuple(marks_at), cycle_steps=steps)
        return _watched(request, order, trial, bench, {} if marks is None else marks)
    finally:
        remove(folder)


def sweep_trials(folder: Path) -> None:
    """Remove what trials left in the jobs' folder whose process was killed."""
    for left in folder.glob(f"*{_MARK}*"):
        pid = left.name.rpartition("-")[2]
        if not (pid.isdecimal() and identity_of(int(pid))):
            remove(left)


def _request(order: JobOrder, trial: PlannedTrial, bench: TrialBench, name: str) -> Run:
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
        part=bench.space.part,
        is_followed=bench.device == "cpu",
    )


def _watched(
    request: Run, order: JobOrder, trial: PlannedTrial, bench: TrialBench, marks: Marks
) -> TrialPeak | None:
    def keep(answer: Answer) -> None:
        if isinstance(answer, Marked):
            marks[answer.items] = answer.parts

    environment = _environment(order, bench.device)
    trying = watched_trial(request, bench, environment=environment, hear=keep)
    stop = stop_of(trying, order.name)
    refusal = _refusal(trying.answer)
    if not isinstance(trying.answer, Committed) and stop is None and not refusal:
        return None
    # What was refused was never in use: it needs more than the budget all the same.
    hard_bytes = trying.watched.watch.budget.hard_bytes
    least_bytes = hard_bytes if stop is not None else 0
    return TrialPeak(
        settings=trial.settings,
        options=trial.options,
        # This process may be the command line, larger than what supervises a run.
        ram_bytes=max(0, max(trying.peak_bytes, least_bytes) - anonymous_bytes()),
        is_whole=stop is None and not refusal,
        ram_budget_bytes=order.ram_budget_bytes,
        where=stop.where if stop is not None else None,
        refusal=refusal,
    )


def watched_trial(
    request: Run,
    bench: TrialBench,
    *,
    environment: Mapping[str, str],
    hear: Callable[[Answer], None] = lambda _: None,
    note: Callable[[], None] = lambda: None,
) -> OneAnswer:
    """Run a trial to its first commit or its end, within the budget; return what it told.

    Parameters
    ----------
    hear, note
        Are told of each answer, and that a reading was taken.
    """
    budget = RamBudget(
        limit_bytes=request.ram_budget_bytes, fill_rate=measured_fill_rate()
    )
    with TreeSampler(os.getpid()) as tree:
        watched = Watched(
            worker=WorkerProcess(
                request, environment=environment, log=bench.space.log(request.job)
            ),
            watch=Watch(
                tree=tree, budget=budget, clock=bench.clock, longest_s=_INTERVAL_S
            ),
            tree=tree,
            stacks=bench.space.stacks(request.job),
            find_others=tree.find_pids,
            is_limited=request.is_followed,
        )
        trying = OneAnswer(
            watched, bench.is_over, Committed | Failed, hear=hear, note=note
        )
        watched.to_the_end(trying)
    return trying


def _refusal(answer: object) -> str:
    """Return why the job refused the settings of a trial; empty where it did not."""
    is_refused = isinstance(answer, Failed) and answer.kind == SETTING_REFUSED_ERROR
    return answer.message if is_refused and isinstance(answer, Failed) else ""


def _environment(order: JobOrder, device: Device) -> dict[str, str]:
    with GpuSampler() as sampler:
        gpu = sampler.read() if device == "gpu" else None
    return worker_environment(
        device,
        vram_budget_bytes=order.vram_budget_bytes,
        vram_total_bytes=gpu.total_bytes if gpu else None,
    )


def stop_of(trying: OneAnswer, job: str) -> Broke | Failed | None:
    """Return what ended a trial for lack of RAM; None for one that did not.

    Shared memory that the job does not map may be another program's, and what the machine
    lacks others have taken: either may end a trial, but is not remembered as a need of
    the job. What a device lacks is left to the run: its peak in RAM would be remembered
    as one that was too large.

    Raises
    ------
    StoppedError
        If an end was wanted.
    """
    watched, answer = trying.watched, trying.answer
    stop = watched.ending
    if isinstance(stop, Broke) and stop.verdict == "signal":
        raise StoppedError(job=job, reason="while its memory was being measured")
    if isinstance(stop, Broke) and stop.verdict == "ram_limit":
        own_bytes = (stop.ram_bytes or 0) - stop.unmapped_bytes
        return stop if own_bytes > watched.watch.budget.hard_bytes else None
    if not isinstance(answer, Failed) or answer.exit_code != EXIT_BUDGET:
        return None
    return None if answer.kind == DEVICE_MEMORY_ERROR else answer
