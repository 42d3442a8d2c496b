"""What to do about what happened: state and event in, new state and order out.

Covers: one job from its first worker to its end. Does not cover: readings, clocks,
processes, the journal; those are `attempt` and `run`. Nothing here does I/O, so every
race is a test of three lines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from lowmem.base.errors import EXIT_BUDGET, EXIT_JOB, EXIT_STOPPED, EXIT_UNAVAILABLE
from lowmem.memory.budget import Pressure, RamBudget
from lowmem.supervisor.signals import asked_by

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.protocol.job import Device
    from lowmem.protocol.messages import Failed
    from lowmem.protocol.records import State, Verdict
    from lowmem.protocol.tempo import Tempo

# Workers that die in a row without a single commit between them: then it is no accident.
CRASH_LIMIT = 3
# Workers that die in one run at all: a job that commits something each time before it
# dies would otherwise go on for ever.
DEATH_LIMIT = 20
# Of the budget: growth of what a worker holds between cycles, before it is replaced.
GROWTH_SHARE = 0.25
_MEMORY_VERDICTS = frozenset({"ram_limit", "vram_limit", "machine_limit", "kernel_oom"})
# Errors that a worker reports by these names; see `lowmem.worker.failure`.
_DEVICE_ERRORS = frozenset({"DeviceLostError", "MissingDeviceError"})


class Order(Enum):
    """What to do to the worker now."""

    NOTHING = auto()
    DRAIN = auto()
    KILL = auto()


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
    """

    ladder: tuple[Mapping[str, int], ...]
    budget: RamBudget
    recycle_every: int | None = None
    is_device_demanded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
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


def begin_attempt(course: Course) -> Course:
    """Return the state in which a fresh worker starts."""
    return replace(course, cycles=0, leaving=None, first_end_bytes=None)


# --- while a worker runs ----------------------------------------------------------


def minds_soft(course: Course) -> bool:
    """Return whether soft pressure would change anything."""
    return course.leaving is None and not course.is_soft_spent


def on_pressure(course: Course, pressure: Pressure) -> tuple[Course, Order]:
    """Decide about a memory reading."""
    if pressure is Pressure.HARD:
        return course, Order.KILL
    if pressure is Pressure.SOFT and minds_soft(course):
        return replace(course, leaving=Leaving.RECYCLE), Order.DRAIN
    return course, Order.NOTHING


def on_leave_request(
    course: Course, reason: Leaving, by: str = ""
) -> tuple[Course, Order]:
    """Decide about a signal or the end of the time budget; the latest reason counts."""
    return replace(course, leaving=reason, stopped_by=by), Order.DRAIN


def on_commit(
    course: Course,
    policy: Policy,
    used_bytes: int | None,
    *,
    is_last_chance: bool = False,
) -> tuple[Course, bool]:
    """Decide about a commit: return whether the worker goes on.

    Parameters
    ----------
    used_bytes
        What the job holds after the clean-up; None if unknown.
    is_last_chance
        Whether another commit might come after the end of the time budget.
    """
    is_first = course.cycles == 0
    soft_at_once = is_first and course.leaving is Leaving.RECYCLE
    course = replace(
        course,
        cycles=course.cycles + 1,
        crashes=0,
        is_soft_spent=course.is_soft_spent or soft_at_once,
        first_end_bytes=used_bytes if is_first else course.first_end_bytes,
    )
    if is_last_chance and course.leaving is not Leaving.STOP:
        course = replace(course, leaving=Leaving.TIME)
    if course.leaving is None and _is_worn(course, policy, used_bytes):
        course = replace(course, leaving=Leaving.RECYCLE)
    return course, course.leaving is None


def _is_worn(course: Course, policy: Policy, used_bytes: int | None) -> bool:
    if policy.recycle_every is not None and course.cycles >= policy.recycle_every:
        return True
    if used_bytes is None or course.first_end_bytes is None:
        return False
    growth = used_bytes - course.first_end_bytes
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


# --- when a worker has ended ------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The job is done; see `lowmem.protocol.messages.Finished`."""

    published: tuple[str, ...]
    summary: Mapping[str, object]
    results_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The worker left after a commit, as it was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broke:
    """The worker ended otherwise.

    Attributes
    ----------
    failure
        What it said itself, if it could.
    ram_bytes
        The reading that led to a kill, or the last one.
    vram_bytes
        The newest reading of the device; None if there was none.
    unmapped_bytes
        The part of it that is new shared memory which the job does not map, whoever
        made it.
    is_device_lost
        Whether the device it ran on no longer answers.
    signal
        Name of the signal that ended it, or that asked for the end.
    """

    verdict: Verdict
    signal: str | None = None
    ram_bytes: int | None = None
    vram_bytes: int | None = None
    unmapped_bytes: int = 0
    where: str | None = None
    failure: Failed | None = None
    detail: str = ""
    is_device_lost: bool = False


Ending = Finished | Left | Broke

IN_TIME = "the time budget is used up"
# A job whose step never fits would be killed for ever.
_WITHIN_A_STEP = (
    "the time budget ended within a step, so its worker was killed; what it did after "
    "its last commit is done again"
)
_WITHOUT_COMMIT = (
    "the time budget ended before this run's first commit; if that happens again, a "
    "larger --time-budget is needed"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Start another worker; ``action`` says what changes."""

    course: Course
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The run of this job is over."""

    state: State
    exit_code: int
    message: str = ""


def action_of(verdict: Restart | End) -> str:
    """Return what was done about the end of a worker, in the words of the report."""
    if isinstance(verdict, Restart):
        return verdict.action
    if verdict.state == "stopped":
        return "stopped; the same command goes on from the last commit"
    return "ended"


def seen_from_device(ending: Ending, *, is_there: bool) -> Ending:
    """Return the ending, the loss of the device in it: that has many names."""
    if isinstance(ending, Broke) and not is_there:
        return replace(ending, is_device_lost=True)
    return ending


def on_ending(course: Course, policy: Policy, ending: Ending) -> Restart | End:
    """Decide what follows the end of a worker."""
    match ending:
        case Finished():
            return End(state="done", exit_code=0)
        case Left():
            return _after_leaving(course)
        case Broke():
            if _is_device_lost(course, ending):
                return _without_device(course, policy, ending)
            if ending.failure is None:
                return _after_death(course, policy, ending)
            return _after_failure(course, policy, ending, ending.failure)


def _after_leaving(course: Course) -> Restart | End:
    if course.leaving is Leaving.RECYCLE:
        return Restart(course=course, action="replaced the worker")
    is_late = course.leaving is Leaving.TIME
    reason = IN_TIME if is_late else asked_by(course.stopped_by)
    return End(state="stopped", exit_code=EXIT_STOPPED, message=reason)


def _after_death(course: Course, policy: Policy, ending: Broke) -> Restart | End:
    if ending.verdict == "time":
        return End(
            state="stopped",
            exit_code=EXIT_STOPPED,
            message=_WITHIN_A_STEP if course.cycles else _WITHOUT_COMMIT,
        )
    if course.leaving is Leaving.STOP:
        reason = f"killed, {asked_by(course.stopped_by)}"
        return End(state="stopped", exit_code=EXIT_STOPPED, message=reason)
    if ending.verdict in _MEMORY_VERDICTS:
        return _with_less(course, policy)
    course = replace(course, crashes=course.crashes + 1, deaths=course.deaths + 1)
    if course.crashes >= CRASH_LIMIT or course.deaths >= DEATH_LIMIT:
        times = f"{course.deaths} times"
        if course.crashes >= CRASH_LIMIT:
            times = f"{course.crashes} times in a row without getting any further"
        return End(
            state="failed",
            exit_code=EXIT_JOB,
            message=f"the worker died {times} (last verdict: {_named(ending)}). "
            f"{ending.detail}".strip(),
        )
    return Restart(course=course, action="restarted with the same settings")


def _named(broke: Broke) -> str:
    return f"{broke.verdict} {broke.signal}" if broke.signal else broke.verdict


def _after_failure(
    course: Course, policy: Policy, ending: Broke, failure: Failed
) -> Restart | End:
    if ending.verdict in _MEMORY_VERDICTS:
        return _with_less(course, policy)
    state: State = "refused" if failure.exit_code == EXIT_BUDGET else "failed"
    return End(state=state, exit_code=failure.exit_code, message=failure.message)


def _is_device_lost(course: Course, ending: Broke) -> bool:
    """Return whether a worker ended because of its device, and was not ended by us."""
    if course.device == "cpu" or course.leaving is Leaving.STOP:
        return False
    if ending.verdict == "time":
        return False
    kind = ending.failure.kind if ending.failure else ""
    return ending.is_device_lost or kind in _DEVICE_ERRORS


def _without_device(course: Course, policy: Policy, ending: Broke) -> Restart | End:
    """Go on on the CPU, from the last commit, unless the user insists on the device."""
    said = f" ({ending.failure.message})" if ending.failure else ""
    if policy.is_device_demanded:
        return End(
            state="failed",
            exit_code=EXIT_UNAVAILABLE,
            message=f"the GPU can no longer be used{said}. Run it again with --device "
            "auto: it goes on from its last commit, on what is there",
        )
    return Restart(
        course=replace(course, device="cpu", crashes=0, is_soft_spent=False),
        action="the GPU was lost: went on on the CPU",
    )


def _with_less(course: Course, policy: Policy) -> Restart | End:
    """Go one rung down: the same settings would only end the same way."""
    rung = course.rung + 1
    if rung >= len(policy.ladder):
        return End(
            state="refused", exit_code=EXIT_BUDGET, message="at its smallest setting"
        )
    changed = {
        name: value
        for name, value in policy.ladder[rung].items()
        if policy.ladder[course.rung].get(name) != value
    }
    listed = ", ".join(f"{name} {value}" for name, value in changed.items())
    return Restart(
        course=replace(course, rung=rung, crashes=0, is_soft_spent=False),
        action=f"restarted with {listed}",
    )
