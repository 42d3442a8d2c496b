"""What follows the end of a command's program: its own code, or lowmem's."""

from __future__ import annotations

import signal
from dataclasses import replace
from types import SimpleNamespace

import pytest

from lowmem.protocol.messages import Failed
from lowmem.supervisor.decide import LONE, Leaving, TimeUp
from lowmem.supervisor.endings import Broke, End, Finished, Restart
from lowmem.supervisor.program_attempt import ProgramAttempt
from lowmem.supervisor.program_endings import CommandTerms, on_program_end
from lowmem.supervisor.program_process import EXIT_STATUS

MIB = 2**20


class Told:
    """A program that notes what it is sent."""

    def __init__(self):
        self.signals = []

    def signal(self, number):
        self.signals.append(number)


def attempt_with(left_s, time_budget_s):
    attempt = ProgramAttempt.__new__(ProgramAttempt)
    attempt.request = SimpleNamespace(time_budget_s=time_budget_s, device="cpu")
    attempt.deadline = 1000.0 + left_s
    attempt.tools = SimpleNamespace(clock=SimpleNamespace(monotonic=lambda: 1000.0))
    attempt._program = Told()
    attempt._watched = SimpleNamespace(run_state=LONE)
    attempt._is_grouped = attempt._is_warned = False
    attempt._early = []
    return attempt


@pytest.mark.parametrize(
    ("left_s", "budget_s", "is_warned"),
    [(10.1, 3600, False), (9.9, 3600, True), (1.1, 20, False), (0.9, 20, True)],
)
def test_a_twentieth_of_the_time_at_most_ten_seconds_is_left_to_end_in(
    left_s, budget_s, is_warned
):
    attempt = attempt_with(left_s, budget_s)
    assert attempt.happened() is attempt.happened() is None
    assert attempt._program.signals == ([signal.SIGTERM] if is_warned else [])
    assert (attempt._watched.run_state.leaving is Leaving.TIME) is is_warned
    assert attempt_with(0.0, budget_s).happened() == TimeUp()


TERMS = CommandTerms(ram_budget_bytes=10**9, retries_left=0)
ASKED = replace(TERMS, asked=frozenset({"SIGTERM"}))
STOPPING = replace(LONE, leaving=Leaving.STOP, stopped_by="SIGTERM")
LATE = replace(LONE, leaving=Leaving.TIME)


def test_new_shared_memory_of_a_program_past_its_budget_is_told():
    broke = Broke(verdict="ram_limit", ram_bytes=300 * MIB, unmapped_bytes=200 * MIB)
    end = on_program_end(LONE, TERMS, broke)
    told = "300.0 MiB in use, 200.0 MiB of it new shared memory or files in memory"
    assert told in end.message
    little = replace(broke, unmapped_bytes=MIB)
    assert on_program_end(LONE, TERMS, little).message.endswith("300.0 MiB in use")


def exits(code, kind=EXIT_STATUS):
    failure = Failed(kind=kind, exit_code=code, message="it says")
    return Broke(verdict="error", failure=failure)


def killed(name):
    return Broke(verdict="signal", signal=name)


@pytest.mark.parametrize(
    ("run_state", "terms", "ending", "state", "code"),
    [
        (LONE, TERMS, Finished(published=(), summary={}), "done", 0),
        (LONE, TERMS, exits(1), "failed", 1),
        (LONE, TERMS, exits(255), "failed", 255),
        # It says itself that it is to be continued.
        (LONE, TERMS, exits(75), "stopped", 75),
        (STOPPING, ASKED, killed("SIGTERM"), "stopped", 75),
        # A shell whose program ended by the signal.
        (STOPPING, ASKED, exits(143), "stopped", 75),
        (LONE, TERMS, exits(143), "failed", 143),
        (LONE, TERMS, killed("SIGTERM"), "failed", 143),
        # It answered in its own way, or died of something else.
        (STOPPING, ASKED, exits(3), "failed", 3),
        (STOPPING, ASKED, Finished(published=(), summary={}), "done", 0),
        (STOPPING, ASKED, Broke(verdict="crash", signal="SIGSEGV"), "failed", 139),
        (LATE, TERMS, killed("SIGTERM"), "stopped", 75),
        (LATE, TERMS, Broke(verdict="time"), "stopped", 75),
        (LONE, TERMS, Broke(verdict="ram_limit", ram_bytes=9), "refused", 73),
        (LONE, TERMS, Broke(verdict="machine_limit"), "refused", 73),
        (LONE, TERMS, Broke(verdict="kernel_oom"), "refused", 73),
        # Its state could not be committed: the code is that of the error.
        (LONE, replace(TERMS, retries_left=2), exits(74, "StorageError"), "failed", 74),
    ],
)
def test_an_end_has_the_programs_own_code_unless_lowmem_ended_it(
    run_state, terms, ending, state, code
):
    end = on_program_end(run_state, terms, ending)
    assert isinstance(end, End)
    assert (end.state, end.exit_code) == (state, code)


def test_a_program_that_others_leave_no_memory_leads_to_who_they_are():
    full = on_program_end(LONE, TERMS, Broke(verdict="machine_limit"))
    own = on_program_end(LONE, TERMS, Broke(verdict="ram_limit"))
    assert "`lowmem doctor` names the largest" in full.message
    assert "doctor" not in own.message


@pytest.mark.parametrize(
    ("ending", "rung"),
    [
        (exits(1), 0),
        (killed("SIGKILL"), 0),
        (Broke(verdict="ram_limit"), 1),
        (Broke(verdict="kernel_oom"), 1),
    ],
)
def test_a_retry_is_one_rung_further_only_where_memory_was_the_cause(ending, rung):
    again = on_program_end(LONE, replace(TERMS, retries_left=1), ending)
    assert isinstance(again, Restart)
    assert again.run_state.rung == rung


@pytest.mark.parametrize("ending", [exits(1), killed("SIGTERM"), exits(75)])
def test_what_was_asked_to_stop_is_not_started_again(ending):
    terms = replace(ASKED, retries_left=5)
    assert isinstance(on_program_end(STOPPING, terms, ending), End)
