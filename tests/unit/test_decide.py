"""Every race of supervision as a short test: state and event in, decision out."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem.memory.budget import Pressure, RamBudget
from lowmem.protocol.messages import DEVICE_MEMORY_ERROR, MEMORY_ERROR, Failed
from lowmem.protocol.tempo import Tempo
from lowmem.supervisor.decide import (
    GROWTH_SHARE,
    DeviceLost,
    Drain,
    Kill,
    Leaving,
    MemoryReading,
    Policy,
    RunState,
    Signalled,
    TimeUp,
    begin_attempt,
    has_time,
    on_commit,
    on_event,
)
from lowmem.supervisor.endings import (
    CRASH_LIMIT,
    DEATH_LIMIT,
    Broke,
    End,
    Finished,
    Left,
    Restart,
    action_of,
    incident_of,
    is_device_lost,
    on_ending,
    seen_from_device,
    stopped_for,
)
from lowmem.supervisor.verdict import verdict_of_failure

BUDGET = 1000
POLICY = Policy(
    ladder=({"block": 8}, {"block": 4}, {"block": 2}),
    budget=RamBudget(limit_bytes=BUDGET),
)
KILL, DRAIN = Kill(verdict="ram_limit", has_stacks=True), Drain(has_stacks=True)
MEMORY = ("ram_limit", "vram_limit", "machine_limit", "kernel_oom")


def failed(exit_code, kind="Error"):
    return Failed(kind=kind, exit_code=exit_code, message="what it said")


def on_pressure(run_state, pressure):
    return on_event(run_state, MemoryReading(pressure))


def asked_to_leave(run_state, reason):
    """By a signal; or as it is from the last commit in time on."""
    if reason is Leaving.STOP:
        return on_event(run_state, Signalled())
    return on_commit(run_state, POLICY, 10, is_last_chance=True)[0], Drain()


# --- pressure ---------------------------------------------------------------------


def test_no_pressure_changes_nothing():
    assert on_pressure(RunState(), Pressure.NORMAL) == (RunState(), None)


def test_soft_pressure_asks_once_for_a_commit():
    run_state, order = on_pressure(RunState(), Pressure.SOFT)
    assert (run_state.leaving, order) == (Leaving.RECYCLE, DRAIN)
    assert on_pressure(run_state, Pressure.SOFT) == (run_state, None)


@pytest.mark.parametrize("leaving", [None, *Leaving])
@pytest.mark.parametrize("is_soft_spent", [False, True])
def test_hard_pressure_kills_in_every_state(leaving, is_soft_spent):
    run_state = RunState(leaving=leaving, is_soft_spent=is_soft_spent)
    assert on_pressure(run_state, Pressure.HARD) == (run_state, KILL)


def test_soft_then_hard_is_a_kill_and_the_next_worker_has_less():
    run_state, _ = on_pressure(RunState(), Pressure.SOFT)
    run_state, order = on_pressure(run_state, Pressure.HARD)
    assert order == KILL
    verdict = on_ending(run_state, POLICY, Broke(verdict="ram_limit"))
    assert verdict.run_state.rung == 1


def test_a_fresh_worker_under_soft_pressure_is_replaced_only_once():
    run_state, _ = on_pressure(begin_attempt(RunState()), Pressure.SOFT)
    run_state, goes_on = on_commit(run_state, POLICY, 960)
    assert not goes_on
    verdict = on_ending(run_state, POLICY, Left())
    assert isinstance(verdict, Restart)
    run_state = begin_attempt(verdict.run_state)
    assert on_pressure(run_state, Pressure.SOFT) == (run_state, None)
    assert on_commit(run_state, POLICY, 960)[1]


def test_soft_pressure_after_a_good_first_cycle_may_be_replaced_again_and_again():
    run_state, _ = on_commit(begin_attempt(RunState()), POLICY, 500)
    run_state, _ = on_pressure(run_state, Pressure.SOFT)
    run_state, goes_on = on_commit(run_state, POLICY, 960)
    assert not goes_on
    assert not run_state.is_soft_spent
    assert on_pressure(begin_attempt(run_state), Pressure.SOFT)[1] == DRAIN


@pytest.mark.parametrize("verdict", ["ram_limit", "vram_limit", "machine_limit"])
@pytest.mark.parametrize("leaving", [None, *Leaving])
def test_whatever_memory_is_used_up_the_worker_is_killed_for_that(verdict, leaving):
    run_state = RunState(leaving=leaving)
    order = Kill(verdict=verdict, has_stacks=True)
    assert on_event(run_state, MemoryReading(Pressure.HARD, verdict)) == (
        run_state,
        order,
    )


@pytest.mark.parametrize("leaving", [None, *Leaving])
def test_the_end_of_the_time_kills_a_worker_and_asks_where_it_is(leaving):
    run_state = RunState(leaving=leaving)
    order = Kill(verdict="time", has_stacks=True)
    assert on_event(run_state, TimeUp()) == (run_state, order)


@pytest.mark.parametrize("leaving", [None, *Leaving])
def test_a_worker_whose_device_is_gone_is_killed_and_not_waited_for(leaving):
    run_state = RunState(device="gpu", leaving=leaving)
    assert on_event(run_state, DeviceLost()) == (run_state, Kill(verdict="error"))
    broke = seen_from_device(Broke(verdict="error"), is_there=False, vram_bytes=5)
    assert (broke.is_device_lost, broke.vram_bytes) == (True, 5)
    if leaving is not Leaving.STOP:
        assert on_ending(run_state, POLICY, broke).run_state.device == "cpu"


@pytest.mark.parametrize("leaving", [None, *Leaving])
def test_who_will_not_wait_for_a_commit_has_the_worker_killed(leaving):
    event = Signalled("SIGINT", is_urgent=True)
    run_state, order = on_event(RunState(leaving=leaving), event)
    assert order == Kill(verdict="signal", signal="SIGINT")
    end = on_ending(run_state, POLICY, Broke(verdict="signal", signal="SIGINT"))
    assert (end.state, end.message) == ("stopped", "killed, asked to, by SIGINT")


# --- leaving ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "words"), [(Leaving.STOP, "asked to"), (Leaving.TIME, "time budget")]
)
def test_a_worker_asked_to_leave_does_so_at_its_next_commit(reason, words):
    run_state, order = asked_to_leave(RunState(), reason)
    assert order == Drain()
    run_state, goes_on = on_commit(run_state, POLICY, 10)
    assert not goes_on
    end = on_ending(run_state, POLICY, Left())
    assert (end.state, end.exit_code) == ("stopped", 75)
    assert words in end.message


def test_what_the_user_and_the_journal_are_told_of_a_stop_names_its_signal():
    run_state, _ = on_event(RunState(), Signalled("SIGUSR1"))
    run_state, _ = on_commit(run_state, POLICY, 10)
    assert on_ending(run_state, POLICY, Left()).message == "asked to, by SIGUSR1"
    assert incident_of(run_state, Left()) == Broke(verdict="signal", signal="SIGUSR1")
    killed = Broke(verdict="signal", signal="SIGKILL")
    assert (
        on_ending(run_state, POLICY, killed).message == "killed, asked to, by SIGUSR1"
    )
    assert incident_of(run_state, killed) is killed
    assert incident_of(RunState(leaving=Leaving.TIME), Left()) == Broke(verdict="time")
    # A worker that is only replaced, and a job that is done, are no incidents.
    assert incident_of(RunState(leaving=Leaving.RECYCLE), Left()) is None
    assert incident_of(run_state, Finished(published=(), summary={})) is None


def test_a_stop_while_a_worker_is_being_replaced_stops():
    run_state, _ = on_pressure(RunState(), Pressure.SOFT)
    run_state, _ = on_event(run_state, Signalled())
    run_state, _ = on_commit(run_state, POLICY, 10)
    assert on_ending(run_state, POLICY, Left()).exit_code == 75


def test_pressure_after_a_stop_does_not_turn_it_into_a_replacement():
    run_state, _ = on_event(RunState(), Signalled())
    run_state, order = on_pressure(run_state, Pressure.SOFT)
    assert (run_state.leaving, order) == (Leaving.STOP, None)


@pytest.mark.parametrize("verdict", ["signal", "crash", *MEMORY])
def test_a_worker_that_dies_after_a_stop_was_asked_ends_the_run_resumable(verdict):
    run_state = RunState(leaving=Leaving.STOP)
    end = on_ending(run_state, POLICY, Broke(verdict=verdict))
    assert (end.state, end.exit_code) == ("stopped", 75)


@pytest.mark.parametrize(
    ("cycles", "words"), [(3, "killed"), (0, "before this run's first commit")]
)
def test_a_kill_at_the_end_of_the_time_is_resumable_and_says_what_it_cost(
    cycles, words
):
    end = on_ending(RunState(cycles=cycles), POLICY, Broke(verdict="time"))
    assert (end.state, end.exit_code) == ("stopped", 75)
    assert words in end.message
    assert "continues from the last commit" in action_of(end)


@pytest.mark.parametrize("leaving", [None, Leaving.RECYCLE, Leaving.TIME])
def test_after_the_last_commit_in_time_no_worker_goes_on_nor_is_one_started(leaving):
    run_state, goes_on = on_commit(
        RunState(leaving=leaving), POLICY, 10, is_last_chance=True
    )
    assert not goes_on
    end = on_ending(run_state, POLICY, Left())
    assert (end.state, end.exit_code) == ("stopped", 75)
    assert "time budget" in end.message


def test_a_stop_in_the_last_moments_is_still_told_as_a_stop():
    run_state = RunState(leaving=Leaving.STOP)
    run_state, _ = on_commit(run_state, POLICY, 10, is_last_chance=True)
    assert on_ending(run_state, POLICY, Left()).message == "asked to"


def test_a_worker_is_started_only_where_there_is_time_for_it_to_get_to_a_commit():
    tempo = Tempo(step_s=2.0, commit_s=2.0)
    assert has_time(None, 100.0, tempo)
    assert has_time(5.0 + tempo.needed_s + 0.1, 5.0, tempo)
    assert not has_time(5.0 + tempo.needed_s, 5.0, tempo)
    # Of the first worker nothing is known: any time may do.
    assert has_time(0.1, 0.0, tempo)
    assert not has_time(0.0, 0.0, tempo)


def test_a_job_that_finishes_while_it_is_asked_to_stop_is_done():
    run_state, _ = on_event(RunState(), Signalled())
    end = on_ending(run_state, POLICY, Finished(published=(), summary={}))
    assert (end.state, end.exit_code) == ("done", 0)


# --- replacement ------------------------------------------------------------------


def test_a_worker_is_replaced_every_k_cycles():
    policy = replace(POLICY, recycle_every=3)
    run_state = begin_attempt(RunState())
    answers = []
    for _ in range(3):
        run_state, goes_on = on_commit(run_state, policy, 10)
        answers.append(goes_on)
    assert answers == [True, True, False]
    assert begin_attempt(run_state).cycles == 0


def test_a_worker_is_replaced_when_it_has_grown_by_a_share_of_the_budget():
    run_state, _ = on_commit(begin_attempt(RunState()), POLICY, 100)
    most = 100 + round(GROWTH_SHARE * BUDGET)
    assert on_commit(run_state, POLICY, most)[1]
    assert not on_commit(run_state, POLICY, most + 1)[1]


def test_growth_is_counted_from_the_first_commit_of_the_same_worker():
    run_state, _ = on_commit(begin_attempt(RunState()), POLICY, 600)
    assert on_commit(run_state, POLICY, 610)[1]
    run_state = begin_attempt(run_state)
    assert run_state.first_end_bytes is None


def test_unknown_memory_replaces_nobody():
    run_state, _ = on_commit(begin_attempt(RunState()), POLICY, None)
    assert on_commit(run_state, POLICY, None)[1]
    assert on_commit(run_state, POLICY, 999)[1]


# --- the ladder -------------------------------------------------------------------


@pytest.mark.parametrize("verdict", MEMORY)
def test_memory_kills_go_down_the_ladder_to_the_refusal(verdict):
    run_state, actions = RunState(), []
    while isinstance(
        answer := on_ending(run_state, POLICY, Broke(verdict=verdict)), Restart
    ):
        run_state = answer.run_state
        actions.append(answer.action)
    assert actions == ["restarted with block 4", "restarted with block 2"]
    assert (answer.state, answer.exit_code) == ("refused", 73)


def test_only_what_changes_is_named():
    policy = Policy(
        ladder=({"batch": 64, "micro": 64}, {"batch": 64, "micro": 32}),
        budget=RamBudget(limit_bytes=1),
    )
    answer = on_ending(RunState(), policy, Broke(verdict="ram_limit"))
    assert answer.action == "restarted with micro 32"


def test_a_smaller_rung_begins_without_the_past_of_the_larger():
    run_state = RunState(crashes=2, is_soft_spent=True)
    answer = on_ending(run_state, POLICY, Broke(verdict="ram_limit"))
    assert (answer.run_state.crashes, answer.run_state.is_soft_spent) == (0, False)


@pytest.mark.parametrize("verdict", MEMORY)
def test_an_error_for_lack_of_memory_goes_down_the_ladder_too(verdict):
    broke = Broke(verdict=verdict, failure=failed(73, "MemoryError"))
    assert on_ending(RunState(), POLICY, broke).run_state.rung == 1
    assert on_ending(RunState(rung=2), POLICY, broke).exit_code == 73


# --- crashes ----------------------------------------------------------------------


def test_crashes_in_a_row_end_the_run_and_show_the_last_words():
    run_state = RunState()
    for _ in range(CRASH_LIMIT - 1):
        answer = on_ending(run_state, POLICY, Broke(verdict="crash"))
        assert answer.action == "restarted with the same settings"
        assert answer.run_state.rung == run_state.rung
        run_state = begin_attempt(answer.run_state)
    end = on_ending(run_state, POLICY, Broke(verdict="crash", detail="last words"))
    assert (end.state, end.exit_code) == ("failed", 70)
    assert "last words" in end.message


def test_a_commit_forgives_all_crashes_before_it():
    run_state = RunState(crashes=CRASH_LIMIT - 1)
    run_state, _ = on_commit(run_state, POLICY, 10)
    assert isinstance(on_ending(run_state, POLICY, Broke(verdict="crash")), Restart)


# --- errors of the job ------------------------------------------------------------


@pytest.mark.parametrize("code", [2, 65, 70, 74])
def test_an_error_of_the_job_ends_the_run_with_its_own_status(code):
    end = on_ending(RunState(), POLICY, Broke(verdict="error", failure=failed(code)))
    assert (end.state, end.exit_code, end.message) == ("failed", code, "what it said")


def test_a_refusal_by_the_job_itself_is_a_refusal():
    end = on_ending(RunState(), POLICY, Broke(verdict="error", failure=failed(73)))
    assert (end.state, end.exit_code) == ("refused", 73)


@pytest.mark.parametrize("kind", ["DeviceLostError", "MissingDeviceError"])
def test_a_lost_gpu_is_replaced_by_the_cpu_unless_it_was_demanded(kind):
    run_state = RunState(device="gpu")
    broke = Broke(verdict="error", failure=failed(69, kind))
    answer = on_ending(run_state, POLICY, broke)
    assert answer.run_state.device == "cpu"
    # On the CPU the same error is final, so the fallback cannot go round.
    assert on_ending(answer.run_state, POLICY, broke).exit_code == 69
    demanded = replace(POLICY, is_device_demanded=True)
    assert on_ending(run_state, demanded, broke).exit_code == 69


@pytest.mark.parametrize("failure", [None, failed(70)], ids=["silent", "any error"])
def test_whatever_a_worker_dies_of_when_its_gpu_is_gone_it_goes_on_on_the_cpu(failure):
    broke = Broke(verdict="crash", failure=failure, is_device_lost=True)
    run_state = RunState(device="gpu", crashes=CRASH_LIMIT - 1)
    answer = on_ending(run_state, POLICY, broke)
    assert (answer.run_state.device, answer.run_state.crashes) == ("cpu", 0)
    assert "GPU was lost" in answer.action
    end = on_ending(run_state, replace(POLICY, is_device_demanded=True), broke)
    assert (end.state, end.exit_code) == ("failed", 69)
    stopping = replace(run_state, leaving=Leaving.STOP)
    assert on_ending(stopping, POLICY, broke).exit_code in {70, 75}


@pytest.mark.parametrize(
    ("run_state", "ending", "cause"),
    [
        (RunState(leaving=Leaving.TIME), Left(), "time"),
        (RunState(leaving=Leaving.STOP), Left(), "signal"),
        (RunState(leaving=Leaving.STOP), Broke(verdict="signal"), "signal"),
        (RunState(leaving=Leaving.STOP), Broke(verdict="ram_limit"), "signal"),
        (RunState(), Broke(verdict="time"), "time"),
        (RunState(leaving=Leaving.STOP), Broke(verdict="time"), "time"),
        (RunState(leaving=Leaving.RECYCLE), Left(), None),
        (RunState(), Broke(verdict="error", failure=failed(75)), None),
    ],
)
def test_why_a_worker_was_to_end_is_told(run_state, ending, cause):
    assert stopped_for(run_state, ending) == cause


def test_a_gpu_is_lost_where_the_worker_had_one_and_nobody_ended_it():
    gone = Broke(verdict="crash", is_device_lost=True)
    assert is_device_lost(RunState(device="gpu"), gone)
    assert not is_device_lost(RunState(device="cpu"), gone)
    assert not is_device_lost(RunState(device="gpu", leaving=Leaving.STOP), gone)
    assert not is_device_lost(RunState(device="gpu"), replace(gone, verdict="time"))
    assert not is_device_lost(RunState(device="gpu"), Broke(verdict="crash"))


def test_a_missing_package_is_not_a_missing_gpu():
    broke = Broke(verdict="error", failure=failed(69, "MissingDependencyError"))
    assert on_ending(RunState(device="gpu"), POLICY, broke).exit_code == 69


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        (MEMORY_ERROR, "ram_limit"),
        (DEVICE_MEMORY_ERROR, "vram_limit"),
        ("BudgetError", "error"),
    ],
)
def test_what_a_worker_says_was_lacking_is_the_verdict(kind, verdict):
    assert verdict_of_failure(failed(73, kind)) == verdict


def test_too_little_memory_on_the_device_is_met_with_a_smaller_setting():
    broke = Broke(verdict="vram_limit", failure=failed(73, DEVICE_MEMORY_ERROR))
    answer = on_ending(RunState(device="gpu"), POLICY, broke)
    assert (answer.run_state.rung, answer.run_state.device) == (1, "gpu")
    assert answer.action == "restarted with block 4"


# --- whatever happens -------------------------------------------------------------

BREAKS = [Broke(verdict=v) for v in (*MEMORY, "signal", "crash", "time")] + [
    Broke(verdict="error", failure=failed(code)) for code in (2, 65, 69, 70, 73, 74)
]
BREAKS += [replace(broke, is_device_lost=True) for broke in BREAKS]
EVENTS = st.one_of(
    st.sampled_from(list(Pressure)).map(lambda p: ("pressure", p)),
    st.sampled_from([Leaving.STOP, Leaving.TIME]).map(lambda r: ("leave", r)),
    st.integers(0, BUDGET).map(lambda n: ("commit", n)),
    st.sampled_from(BREAKS).map(lambda b: ("broke", b)),
)


@given(events=st.lists(EVENTS, max_size=40))
def test_every_course_of_events_gives_an_allowed_decision(events):
    run_state = begin_attempt(RunState(device="gpu"))
    for kind, fact in events:
        if kind == "pressure":
            run_state, order = on_pressure(run_state, fact)
            assert (order == KILL) == (fact is Pressure.HARD)
            continue
        if kind == "leave":
            run_state, _ = asked_to_leave(run_state, fact)
            continue
        if kind == "commit":
            was_leaving = run_state.leaving
            run_state, goes_on = on_commit(run_state, POLICY, fact)
            assert run_state.crashes == 0
            assert not (goes_on and was_leaving)
            if goes_on:
                continue
        answer = on_ending(run_state, POLICY, fact if kind == "broke" else Left())
        if isinstance(answer, End):
            assert answer.exit_code in {2, 65, 69, 70, 73, 74, 75}
            return
        assert 0 <= answer.run_state.rung < len(POLICY.ladder)
        assert answer.run_state.crashes < CRASH_LIMIT
        run_state = begin_attempt(answer.run_state)


def test_restarts_without_a_commit_between_them_end_after_a_bounded_number():
    longest = 0
    for kinds in itertools.product(["crash", "ram_limit"], repeat=9):
        run_state = RunState()
        for number, verdict in enumerate(kinds, start=1):
            answer = on_ending(run_state, POLICY, Broke(verdict=verdict))
            if isinstance(answer, End):
                break
            run_state = begin_attempt(answer.run_state)
            longest = max(longest, number)
    # Two crashes on each rung, and the steps between the rungs.
    assert longest == len(POLICY.ladder) * CRASH_LIMIT - 1


def test_a_job_that_dies_after_every_commit_does_not_go_on_for_ever():
    run_state, policy = (
        RunState(),
        Policy(ladder=({},), budget=RamBudget(limit_bytes=10**9)),
    )
    for deaths in range(1, DEATH_LIMIT + 1):
        run_state, _ = on_commit(run_state, policy, None)
        verdict = on_ending(run_state, policy, Broke(verdict="signal"))
        if deaths < DEATH_LIMIT:
            assert isinstance(verdict, Restart)
            run_state = verdict.run_state
    assert isinstance(verdict, End)
    assert (verdict.state, verdict.exit_code) == ("failed", 70)
