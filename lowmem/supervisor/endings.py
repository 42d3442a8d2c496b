"""What follows the end of a worker: pure.

Covers: how a worker can end, and whether the job then is over, or goes on with another
worker, with less, or without its device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lowmem.base.errors import EXIT_BUDGET, EXIT_JOB, EXIT_STOPPED, EXIT_UNAVAILABLE
from lowmem.supervisor.decide import MEMORY_VERDICTS, Leaving, Policy, RunState
from lowmem.supervisor.stop_requests import asked_by

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.protocol.messages import Failed
    from lowmem.protocol.records import State, StopCause, Verdict

# Workers that die in a row without a single commit between them: then it is no accident.
CRASH_LIMIT = 3
# Workers that die in one run at all: a job that commits something each time before it
# dies would otherwise go on for ever.
DEATH_LIMIT = 20
# Errors that a worker reports by these names; see `lowmem.worker.failure`.
_DEVICE_ERRORS = frozenset({"DeviceLostError", "MissingDeviceError"})


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
        The reading that led to a kill; the largest of the cycle where memory ended it
        otherwise, or where it just died; else the last one.
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
# Why a larger budget would be of no use, and what tells who is the cause.
MACHINE_IS_FULL = (
    "the machine has no memory left beside what other programs use "
    "(`lowmem doctor` names the largest)"
)
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

    run_state: RunState
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
        return "stopped; the same command continues from the last commit"
    return "ended"


def seen_from_device(
    ending: Ending, *, is_there: bool, vram_bytes: int | None
) -> Ending:
    """Return the ending with what the device tells of it: its loss has many names."""
    if isinstance(ending, Broke):
        return replace(ending, is_device_lost=not is_there, vram_bytes=vram_bytes)
    return ending


def incident_of(run_state: RunState, ending: Ending) -> Broke | None:
    """Return what is recorded of the end of a worker; None where nothing happened."""
    if isinstance(ending, Broke):
        return ending
    if run_state.leaving is Leaving.TIME:
        return Broke(verdict="time")
    if run_state.leaving is Leaving.STOP and isinstance(ending, Left):
        return Broke(verdict="signal", signal=run_state.stopped_by or None)
    return None


def stopped_for(run_state: RunState, ending: Ending) -> StopCause | None:
    """Return why a worker was to end; None where nobody wanted it."""
    if isinstance(ending, Broke) and ending.verdict == "time":
        return "time"
    match run_state.leaving:
        case Leaving.TIME:
            return "time"
        case Leaving.STOP:
            return "signal"
        case _:
            return None


def on_ending(run_state: RunState, policy: Policy, ending: Ending) -> Restart | End:
    """Decide what follows the end of a worker."""
    match ending:
        case Finished():
            return End(state="done", exit_code=0)
        case Left():
            return _after_leaving(run_state)
        case Broke():
            if is_device_lost(run_state, ending):
                return _without_device(run_state, policy, ending)
            if ending.failure is None:
                return _after_death(run_state, policy, ending)
            return _after_failure(run_state, policy, ending, ending.failure)


def _after_leaving(run_state: RunState) -> Restart | End:
    if run_state.leaving is Leaving.RECYCLE:
        return Restart(run_state=run_state, action="replaced the worker")
    is_late = run_state.leaving is Leaving.TIME
    reason = IN_TIME if is_late else asked_by(run_state.stopped_by)
    return End(state="stopped", exit_code=EXIT_STOPPED, message=reason)


def _after_death(run_state: RunState, policy: Policy, ending: Broke) -> Restart | End:
    if ending.verdict == "time":
        return End(
            state="stopped",
            exit_code=EXIT_STOPPED,
            message=_WITHIN_A_STEP if run_state.cycles else _WITHOUT_COMMIT,
        )
    if run_state.leaving is Leaving.STOP:
        reason = f"killed, {asked_by(run_state.stopped_by)}"
        return End(state="stopped", exit_code=EXIT_STOPPED, message=reason)
    if ending.verdict in MEMORY_VERDICTS:
        return _with_less(run_state, policy)
    run_state = replace(
        run_state, crashes=run_state.crashes + 1, deaths=run_state.deaths + 1
    )
    if run_state.crashes >= CRASH_LIMIT or run_state.deaths >= DEATH_LIMIT:
        times = f"{run_state.deaths} times"
        if run_state.crashes >= CRASH_LIMIT:
            times = f"{run_state.crashes} times in a row without getting any further"
        return End(
            state="failed",
            exit_code=EXIT_JOB,
            message=f"the worker died {times} (last verdict: {_named(ending)}). "
            f"{ending.detail}".strip(),
        )
    return Restart(run_state=run_state, action="restarted with the same settings")


def _named(broke: Broke) -> str:
    return f"{broke.verdict} {broke.signal}" if broke.signal else broke.verdict


def _after_failure(
    run_state: RunState, policy: Policy, ending: Broke, failure: Failed
) -> Restart | End:
    if ending.verdict in MEMORY_VERDICTS:
        return _with_less(run_state, policy)
    state: State = "refused" if failure.exit_code == EXIT_BUDGET else "failed"
    return End(state=state, exit_code=failure.exit_code, message=failure.message)


def is_device_lost(run_state: RunState, ending: Broke) -> bool:
    """Return whether a worker ended because of its device, and was not ended by us."""
    if run_state.device == "cpu" or run_state.leaving is Leaving.STOP:
        return False
    if ending.verdict == "time":
        return False
    kind = ending.failure.kind if ending.failure else ""
    return ending.is_device_lost or kind in _DEVICE_ERRORS


def _without_device(
    run_state: RunState, policy: Policy, ending: Broke
) -> Restart | End:
    """Go on on the CPU, from the last commit, unless the user insists on the device."""
    said = f" ({ending.failure.message})" if ending.failure else ""
    if policy.is_device_demanded:
        return End(
            state="failed",
            exit_code=EXIT_UNAVAILABLE,
            message=f"the GPU can no longer be used{said}. Run it again with --device "
            "auto: it continues from its last commit, on what is there",
        )
    return Restart(
        run_state=replace(run_state, device="cpu", crashes=0, is_soft_spent=False),
        action="the GPU was lost: went on on the CPU",
    )


def _with_less(run_state: RunState, policy: Policy) -> Restart | End:
    """Go one rung down: the same settings would only end the same way."""
    rung = run_state.rung + 1
    if rung >= len(policy.ladder):
        return End(
            state="refused", exit_code=EXIT_BUDGET, message="at its smallest setting"
        )
    changed = {
        name: value
        for name, value in policy.ladder[rung].items()
        if policy.ladder[run_state.rung].get(name) != value
    }
    listed = ", ".join(f"{name} {value}" for name, value in changed.items())
    return Restart(
        run_state=replace(run_state, rung=rung, crashes=0, is_soft_spent=False),
        action=f"restarted with {listed}",
    )
