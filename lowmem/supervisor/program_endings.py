"""What follows the end of a program of the user's: pure.

It ended by itself, and its exit code is the command's; or it was ended, and the code says
why. Here is also what the user is told.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lowmem.base.errors import EXIT_BUDGET, EXIT_STOPPED
from lowmem.base.units import format_budget, format_bytes
from lowmem.memory.shared import told_of_unmapped
from lowmem.supervisor.decide import MEMORY_VERDICTS, Leaving
from lowmem.supervisor.endings import (
    IN_TIME,
    MACHINE_IS_FULL,
    Broke,
    End,
    Ending,
    Finished,
    Restart,
)
from lowmem.supervisor.program_process import EXIT_STATUS
from lowmem.supervisor.stop_requests import asked_by

if TYPE_CHECKING:
    from lowmem.protocol.messages import Failed
    from lowmem.supervisor.decide import RunState

# What a shell adds to the number of the signal that ended a program.
_BY_SIGNAL = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTerms:
    """What a command may take, and what was asked of it.

    Attributes
    ----------
    retries_left
        How often it may be started again.
    asked
        Names of the signals that were passed on to it.
    """

    ram_budget_bytes: int
    retries_left: int
    asked: frozenset[str] = frozenset()


def on_program_end(
    run_state: RunState, terms: CommandTerms, ending: Ending
) -> Restart | End:
    """Decide what follows the end of one attempt at a command."""
    if isinstance(ending, Finished):
        return End(state="done", exit_code=0)
    assert isinstance(ending, Broke)  # noqa: S101 - no program is told to leave
    if ending.failure is not None:
        return _after_failure(run_state, terms, ending.failure)
    return _after_death(run_state, terms, ending)


def _after_death(
    run_state: RunState, terms: CommandTerms, ending: Broke
) -> Restart | End:
    if ending.verdict == "time":
        return _stopped(f"{IN_TIME}, so it was killed")
    if ending.verdict in MEMORY_VERDICTS:
        return _after_memory(run_state, terms, ending)
    if ending.signal in _allowed(run_state, terms):
        return _stopped(_why(run_state))
    number = getattr(signal, ending.signal or "", 0)
    told = f"it was ended by {ending.signal or 'a signal'}, which lowmem did not send"
    return _again_or(
        run_state,
        terms,
        End(state="failed", exit_code=_BY_SIGNAL + number, message=told),
    )


def _after_failure(
    run_state: RunState, terms: CommandTerms, failure: Failed
) -> Restart | End:
    code = failure.exit_code
    end = End(state="failed", exit_code=code, message=failure.message)
    if failure.kind != EXIT_STATUS:
        return end  # Its state could not be committed: again would be no better.
    if code == EXIT_STOPPED:
        return _stopped(f"it ended with exit code {code}: it is to be continued")
    numbers = {getattr(signal, name) for name in _allowed(run_state, terms)}
    if code - _BY_SIGNAL in numbers:
        return _stopped(_why(run_state))
    return _again_or(run_state, terms, end)


def _after_memory(
    run_state: RunState, terms: CommandTerms, ending: Broke
) -> Restart | End:
    if terms.retries_left:
        rung = run_state.rung + 1
        return Restart(
            run_state=replace(run_state, rung=rung),
            action=f"started again, with LOWMEM_RUNG={rung}",
        )
    used = ""
    if ending.ram_bytes:
        used = f" with {format_bytes(ending.ram_bytes)} in use"
        used += told_of_unmapped(ending.unmapped_bytes)
    where = f". Most of it had {ending.where}" if ending.where else ""
    budget = format_budget(terms.ram_budget_bytes)
    causes = {
        "machine_limit": MACHINE_IS_FULL,
        "kernel_oom": "the kernel killed it, since the machine has no memory left",
    }
    cause = causes.get(ending.verdict, f"its RAM budget of {budget} is used up")
    return End(
        state="refused",
        exit_code=EXIT_BUDGET,
        message=f"{cause},{used}{where}",
    )


def _again_or(run_state: RunState, terms: CommandTerms, end: End) -> Restart | End:
    is_asked = run_state.leaving is not None
    if not terms.retries_left or is_asked:
        return end
    return Restart(run_state=run_state, action=f"started again: {end.message}")


def _allowed(run_state: RunState, terms: CommandTerms) -> frozenset[str]:
    """Return the signals whose work its end may be."""
    is_late = run_state.leaving is Leaving.TIME
    return terms.asked | ({"SIGTERM"} if is_late else frozenset())


def _why(run_state: RunState) -> str:
    is_late = run_state.leaving is Leaving.TIME
    return IN_TIME if is_late else asked_by(run_state.stopped_by)


def _stopped(reason: str) -> End:
    return End(state="stopped", exit_code=EXIT_STOPPED, message=reason)
