"""Trials of a model at one batch after the other: its peaks, and the largest that holds.

Each trial is a process of its own, watched and killed as every worker is, so that none
passes the budget. What a trial was stopped for may be the doing of other programs: then it
says nothing of the model, and is made again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lowmem.base.errors import EXIT_BUDGET, EXIT_JOB, ReportedError
from lowmem.base.files import remove
from lowmem.base.units import format_bytes
from lowmem.memory.budget import RamBudget
from lowmem.memory.gpu import GpuSampler
from lowmem.memory.process_tree import anonymous_bytes
from lowmem.protocol.messages import DEVICE_MEMORY_ERROR, Committed, Failed, Run
from lowmem.supervisor.batch_search import (
    BatchTrial,
    Room,
    bounds_of,
    next_batch,
    predicted_at,
)
from lowmem.supervisor.device import JobDevice
from lowmem.supervisor.endings import Broke
from lowmem.supervisor.order import SUPERVISOR_BYTES
from lowmem.supervisor.processes import log_tail, worker_environment
from lowmem.supervisor.trials import stop_of, watched_trial
from lowmem.supervisor.verdict import verdict_of_death

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lowmem.supervisor.batch_search import Outcome
    from lowmem.supervisor.order import JobOrder
    from lowmem.supervisor.trials import TrialBench
    from lowmem.supervisor.watched import OneAnswer

# The setting of the job that a trial runs.
BATCH = "batch_size"
# Seconds to wait for others who have ended a trial, before the next one of the batch; and
# between two looks whether anybody still waits for the plan.
_WAITS_S = (2.0, 8.0, 20.0, 40.0)
_LOOK_S = 0.2
# How a place in the trial's own code begins, which tells the user nothing.
_OWN_FILES = ("work.py:", "opening.py:", "synthetic_rows.py:")
# Of a real training, what a trial of eight steps shows of it at the least: a
# convolutional autoencoder took 985 MB where its trial had taken 902
# (`benchmarks/model_plan.py`).
_TRIAL_SHARE = 0.92
# Of lowmem's workers alone: a training of the user's own has the heap as it is.
_OF_A_WORKER = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


HowEnded = Literal["whole", "stopped", "disturbed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one trial ended.

    Attributes
    ----------
    outcome
        ``whole``, ``stopped`` for what the model needs, or ``disturbed`` by others.
    """

    outcome: HowEnded
    ram_bytes: int
    vram_bytes: int | None
    where: str | None = None


def room_of(order: JobOrder) -> Room:
    """Return the largest peaks of a trial with which its batch is said to hold.

    From there to the kill there is room for what a real training takes beyond its trial.
    """
    soft_bytes = RamBudget(limit_bytes=order.ram_budget_bytes).soft_bytes
    return Room(
        ram_bytes=round(soft_bytes * _TRIAL_SHARE) - SUPERVISOR_BYTES,
        vram_bytes=order.vram_budget_bytes,
    )


def tried_batches(
    order: JobOrder,
    bench: TrialBench,
    batch_size: int,
    *,
    say: Callable[[str], None],
) -> list[BatchTrial]:
    """Try batches until the largest that holds is known, and return what they showed.

    Parameters
    ----------
    order
        Of a job whose one setting is its `BATCH`, and that commits when it is measured.
    batch_size
        What the user asks about.
    say
        Takes a line for the user, after each.

    Raises
    ------
    StoppedError
        If the bench's ``is_over`` ended a trial.
    ReportedError
        If the model's own code failed, or other programs ended a trial again and again.
    """
    room, trials = room_of(order), list[BatchTrial]()
    if bench.device == "cpu":
        room = room._replace(vram_bytes=None)
    while (size := next_batch(trials, batch_size, room)) is not None:
        began_s = bench.clock.monotonic()
        ended = _tried(order, bench, size, say)
        trial = BatchTrial(
            batch_size=size,
            ram_peak_bytes=ended.ram_bytes,
            vram_peak_bytes=ended.vram_bytes,
            outcome=_outcome(ended, room),
            predicted_ram_bytes=predicted_at(trials, size),
            seconds=round(bench.clock.monotonic() - began_s, 3),
            where=ended.where,
        )
        say(told_of(trial))
        if trial.outcome == "disturbed" and bounds_of(trials)[0] < batch_size:
            raise ReportedError(
                message=_told_of_others(order, size), exit_code=EXIT_BUDGET
            )
        trials.append(trial)
        if trial.outcome == "disturbed":
            break
    return trials


def _outcome(ended: Ended, room: Room) -> Outcome:
    if ended.outcome != "whole":
        return ended.outcome
    is_over = ended.ram_bytes > room.ram_bytes
    if room.vram_bytes is not None and ended.vram_bytes is not None:
        is_over |= ended.vram_bytes > room.vram_bytes
    return "above" if is_over else "held"


def told_of(trial: BatchTrial) -> str:
    """Return the line that says what a trial has shown."""
    how = {
        "held": "held",
        "above": "more than the budget leaves room for",
        "stopped": "stopped: it needs more",
        "disturbed": "ended by memory that others took",
    }[trial.outcome]
    vram = trial.vram_peak_bytes
    device = f" and {format_bytes(vram)} of VRAM" if vram is not None else ""
    where = f", in {trial.where}" if trial.where else ""
    peak = format_bytes(trial.ram_peak_bytes)
    return f"batch {trial.batch_size}: {peak}{device}, {how}{where}"


def _tried(
    order: JobOrder, bench: TrialBench, size: int, say: Callable[[str], None]
) -> Ended:
    """Return how a trial ended, made again where others ended it."""
    ended = _attempted(order, bench, size)
    for wait_s in _WAITS_S:
        if ended.outcome != "disturbed":
            break
        say(f"batch {size}: ended by memory that others took; tried again")
        until_s = bench.clock.monotonic() + wait_s
        while bench.clock.monotonic() < until_s and not bench.is_over():
            bench.clock.sleep(_LOOK_S)
        ended = _attempted(order, bench, size)
    return ended


def _told_of_others(order: JobOrder, size: int) -> str:
    return (
        f"the trial with {size} rows was ended {len(_WAITS_S) + 1} times by memory that "
        f"other programs took, expected {format_bytes(order.ram_budget_bytes)} to be "
        "left for it. Nothing is known of the model from that. End them, or wait for "
        "them, and plan again."
    )


def _attempted(order: JobOrder, bench: TrialBench, size: int) -> Ended:
    """Run one trial."""
    name = f"{order.name}-{size}"
    request = Run(
        reference=order.reference,
        job=name,
        workspace=str(bench.space.root),
        options=dict(order.options),
        settings={BATCH: size},
        recipe={},
        seed=order.seed,
        device=bench.device,
        ram_budget_bytes=order.ram_budget_bytes,
        vram_budget_bytes=order.vram_budget_bytes,
        cycle_steps=1,
        is_followed=bench.device == "cpu",
    )
    vram_bytes = [0]
    with GpuSampler() as sampler:
        device = None
        if bench.device == "gpu":
            device = JobDevice.before_a_worker(sampler)

        def note() -> None:
            used = device.read(bench.clock) if device is not None else None
            vram_bytes[0] = max(vram_bytes[0], used or 0)

        trying = watched_trial(
            request,
            bench,
            environment=_environment(order, bench.device, device),
            note=note,
        )
        if device is not None:
            device.is_back(bench.clock)
    ended = how_ended(trying, order.name, bench.space.log(name))
    remove(bench.space.job(name))
    return Ended(
        outcome=ended,
        ram_bytes=max(0, trying.peak_bytes - anonymous_bytes()),
        vram_bytes=vram_bytes[0] if device is not None else None,
        where=_where(trying) if ended == "stopped" else None,
    )


def _environment(
    order: JobOrder, device: str, found: JobDevice | None
) -> dict[str, str]:
    environment = worker_environment(
        device,
        vram_budget_bytes=order.vram_budget_bytes,
        vram_total_bytes=found.total_bytes if found is not None else None,
    )
    for variable in _OF_A_WORKER:
        if variable not in os.environ:
            environment.pop(variable, None)
    return environment


def how_ended(trying: OneAnswer, job: str, log: Path) -> HowEnded:
    """Return how a trial ended.

    Parameters
    ----------
    log
        What it and its libraries have printed.

    Raises
    ------
    StoppedError
        If an end was wanted.
    ReportedError
        If it failed for another reason than memory.
    """
    answer, stop = trying.answer, trying.watched.ending
    if isinstance(answer, Committed):
        return "whole"
    if stop_of(trying, job) is not None:
        return _whose(trying) if isinstance(answer, Failed) else "stopped"
    if isinstance(stop, Broke):
        return "disturbed"
    if isinstance(answer, Failed):
        if answer.kind == DEVICE_MEMORY_ERROR:
            return "stopped"
        raise ReportedError(
            message=f"the model cannot be tried: {answer.message}",
            exit_code=answer.exit_code,
            traceback=answer.traceback,
        )
    return _of_death(trying, log_tail(log))


def _of_death(trying: OneAnswer, printed: str) -> HowEnded:
    """Return how a trial ended that died without a word.

    Raises
    ------
    ReportedError
        If nothing tells that memory was the reason.
    """
    status = trying.watched.worker.wait().status
    verdict = verdict_of_death(status, is_oom_kill=False, last=printed)
    if verdict == "ram_limit":
        return _whose(trying)
    if verdict == "signal":
        # The kernel's own killer, or somebody: neither is the model's need.
        return "disturbed"
    raise ReportedError(
        message=f"the trial of the model ended with status {status} before it had "
        "answered",
        exit_code=EXIT_JOB,
        traceback=printed,
    )


def _whose(trying: OneAnswer) -> HowEnded:
    """Return whose doing it is that memory was refused to a trial.

    What may be allocated follows what is left of the budget, of which others may have
    taken some. Where they took less than lies between what is held and the kill, a batch
    that was refused would not have held without them either.
    """
    budget = trying.watched.watch.budget
    others_bytes = trying.watched.tree.unmapped_bytes
    is_theirs = others_bytes > budget.hard_bytes - budget.soft_bytes
    return "disturbed" if is_theirs else "stopped"


def _where(trying: OneAnswer) -> str | None:
    """Return the line of the user's at which a trial was stopped; None of lowmem's."""
    for found in (trying.watched.ending, trying.answer):
        if isinstance(found, Broke | Failed):
            is_own = (found.where or "").startswith(_OWN_FILES)
            return None if is_own else found.where
    return None
