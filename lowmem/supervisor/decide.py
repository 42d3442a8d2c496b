"""What to do about what happened: state and event in, new state and order out.

Covers: one worker while it runs. What follows its end is decided in `endings`. Does not
cover: readings, clocks, processes, the journal; those are `watched`, `attempt` and `run`.
Nothing here does I/O, so every race is a test of three lines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from lowmem.memory.budget import Pressure, RamBudget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.protocol.planning import Device
    from lowmem.protocol.records import Verdict
    from lowmem.protocol.tempo import Tempo

# Of the budget: growth of what a worker holds between cycles, before it is replaced.
GROWTH_SHARE = 0.25
MEMORY_VERDICTS = frozenset({"ram_limit", "vram_limit", "machine_limit", "kernel_oom"})


class Leaving(Enum):
    """Why a worker is to leave at its next commit."""

    STOP = auto()
    TIME = auto()
    RECYCLE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What does not change while a job is supervised.

    Attributes
    ----------
    ladder
        Settings by rung, largest first.
    recycle_every
        Cycles after which a worker is replaced; None for never.
    is_device_demanded
        Whether the user insists on the device, so that there is no fallback.
    is_lone
        Whether what runs is a program of the user's, which is let go on after each
        commit: it is nobody's to replace.
    """

    ladder: tuple[Mapping[str, int], ...]
    budget: RamBudget
    recycle_every: int | None = None
    is_device_demanded: bool = False
    is_lone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """Where a job stands under supervision.

    Attributes
    ----------
    rung
        Index into the ladder.
    crashes
        Workers that died in a row without a commit between them.
    deaths
        Workers that died in this run, memory stops not counted.
    cycles
        Commits of this attempt.
    leaving
        Why the worker is to leave at its next commit; None if it is not.
    stopped_by
        Name of the signal that asks it to; empty where none did.
    is_soft_spent
        Whether a fresh worker came under pressure within its first cycle: replacing it
        would change nothing, so only the hard limit counts from then on.
    first_end_bytes
        What was in use after this attempt's first cycle.
    """

    rung: int = 0
    device: Device = "cpu"
    crashes: int = 0
    deaths: int = 0
    cycles: int = 0
    leaving: Leaving | None = None
    stopped_by: str = ""
    is_soft_spent: bool = False
    first_end_bytes: int | None = None


# Of a process that is not replaced, since another would do no better: it has to give one
# answer, or is somebody else's.
LONE = RunState(is_soft_spent=True)


def begin_attempt(run_state: RunState) -> RunState:
    """Return the state in which a fresh worker starts."""
    return replace(run_state, cycles=0, leaving=None, first_end_bytes=None)


# --- what happens, and what is done about it ---------------------------------------


@dataclass(frozen=True, slots=True)
class MemoryReading:
    """Memory was read.

    Attributes
    ----------
    verdict
        What was read: the job's RAM, its device, or the machine.
    """

    pressure: Pressure
    verdict: Verdict = "ram_limit"


@dataclass(frozen=True, slots=True)
class DeviceLost:
    """The device no longer answers."""


@dataclass(frozen=True, slots=True)
class Signalled:
    """Somebody wants an end.

    Attributes
    ----------
    by
        Name of the signal; empty where it was none.
    is_urgent
        Whether there is no commit to wait for, or nobody who will.
    """

    by: str = ""
    is_urgent: bool = False


@dataclass(frozen=True, slots=True)
class TimeUp:
    """The time budget is used up."""


Event = MemoryReading | DeviceLost | Signalled | TimeUp


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Ask the worker to leave at its next commit.

    Attributes
    ----------
    has_stacks
        Whether it is to write where its threads are.
    """

    has_stacks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """Kill the worker, and all that it has started.

    Attributes
    ----------
    has_stacks
        Whether it is to write where its threads are before that.
    """

    verdict: Verdict
    signal: str = ""
    has_stacks: bool = False


Action = Drain | Kill


def minds_soft(run_state: RunState) -> bool:
    """Return whether soft pressure would change anything."""
    return run_state.leaving is None and not run_state.is_soft_spent


def on_event(run_state: RunState, event: Event) -> tuple[RunState, Action | None]:
    """Decide about what happened; every kill of a worker is decided here."""
    order: Action | None = None
    match event:
        case MemoryReading(pressure=Pressure.HARD):
            order = Kill(verdict=event.verdict, has_stacks=True)
        case MemoryReading(pressure=Pressure.SOFT) if minds_soft(run_state):
            run_state = replace(run_state, leaving=Leaving.RECYCLE)
            # Now, since the kill may find no time to wait for them.
            order = Drain(has_stacks=True)
        case Signalled(by=by):
            # The latest reason counts.
            run_state = replace(run_state, leaving=Leaving.STOP, stopped_by=by)
            order = Kill(verdict="signal", signal=by) if event.is_urgent else Drain()
        case TimeUp():
            order = Kill(verdict="time", has_stacks=True)
        case DeviceLost():
            # It may hang in its driver for ever, so it is not waited for.
            order = Kill(verdict="error")
        case MemoryReading():
            pass
    return run_state, order


def on_commit(
    run_state: RunState,
    policy: Policy,
    used_bytes: int | None,
    *,
    is_last_chance: bool = False,
) -> tuple[RunState, bool]:
    """Decide about a commit: return whether the worker goes on.

    Parameters
    ----------
    used_bytes
        What the job holds after the clean-up; None if unknown.
    is_last_chance
        Whether another commit might come after the end of the time budget.
    """
    is_first = run_state.cycles == 0
    soft_at_once = is_first and run_state.leaving is Leaving.RECYCLE
    run_state = replace(
        run_state,
        cycles=run_state.cycles + 1,
        crashes=0,
        is_soft_spent=run_state.is_soft_spent or soft_at_once,
        first_end_bytes=used_bytes if is_first else run_state.first_end_bytes,
    )
    if policy.is_lone:
        return run_state, True
    if is_last_chance and run_state.leaving is not Leaving.STOP:
        run_state = replace(run_state, leaving=Leaving.TIME)
    if run_state.leaving is None and _is_worn(run_state, policy, used_bytes):
        run_state = replace(run_state, leaving=Leaving.RECYCLE)
    return run_state, run_state.leaving is None


def _is_worn(run_state: RunState, policy: Policy, used_bytes: int | None) -> bool:
    if policy.recycle_every is not None and run_state.cycles >= policy.recycle_every:
        return True
    if used_bytes is None or run_state.first_end_bytes is None:
        return False
    growth = used_bytes - run_state.first_end_bytes
    return growth > GROWTH_SHARE * policy.budget.limit_bytes


def has_time(left_s: float | None, startup_s: float, tempo: Tempo) -> bool:
    """Return whether a worker started now would get as far as a commit.

    Parameters
    ----------
    left_s
        Seconds until the time budget ends; None for no limit.
    startup_s
        What the last worker of this run took until it was ready; 0 for the first, which
        is started as long as there is any time at all.
    """
    if left_s is None:
        return True
    needed_s = startup_s + tempo.needed_s if startup_s else 0.0
    return left_s > needed_s
