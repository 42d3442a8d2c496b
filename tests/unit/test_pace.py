from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem.protocol.tempo import CLOSING_S, HEADROOM, Tempo
from lowmem.worker.pace import (
    COMMIT_SHARE,
    LONGEST_CYCLE_S,
    SHORTEST_CYCLE_S,
    Pace,
    optimal_interval_s,
)

SECONDS = st.floats(0, 1e5)
COSTS = st.floats(1e-3, 300)


@given(cost=st.floats(0, 11))
def test_a_commit_costs_at_most_its_share_of_a_cycle_chosen_by_time(cost):
    pace = Pace(cycle_steps=None, commit_cost_s=cost)
    assert cost <= COMMIT_SHARE * pace.target_s * (1 + 1e-9)
    assert SHORTEST_CYCLE_S <= pace.target_s <= LONGEST_CYCLE_S
    assert pace.is_due(steps=1, seconds=pace.target_s)
    assert not pace.is_due(steps=10**9, seconds=pace.target_s - 0.01)


def test_a_commit_that_takes_minutes_still_happens_every_ten():
    assert Pace(cycle_steps=None, commit_cost_s=300).target_s == LONGEST_CYCLE_S


def test_the_users_steps_count_whatever_the_time():
    pace = Pace(cycle_steps=3, commit_cost_s=100, time_budget_s=1e5)
    assert [pace.is_due(steps=n, seconds=10**6) for n in (1, 2, 3)] == [
        False,
        False,
        True,
    ]


# --- the interval that loses the least --------------------------------------------


def loss(interval_s, cost_s, mean_s):
    """What commits and failures take of each second: the reason for the formula."""
    return cost_s / interval_s + interval_s / (2 * mean_s)


@given(cost=COSTS, mean=st.floats(1e3, 1e6), factor=st.floats(0.05, 20))
def test_no_other_interval_loses_less_than_the_optimal_one(cost, mean, factor):
    best = optimal_interval_s(cost, mean)
    assert loss(best, cost, mean) <= loss(factor * best, cost, mean) * (1 + 1e-12)


def test_an_interval_is_never_longer_than_the_machine_is_likely_to_last():
    assert optimal_interval_s(600, 60) == 60


@given(cost=COSTS, budget=st.floats(1, 1e6))
def test_with_a_time_budget_a_cycle_is_the_longer_of_the_share_and_the_optimum(
    cost, budget
):
    without = Pace(cycle_steps=None, commit_cost_s=cost).target_s
    pace = Pace(cycle_steps=None, commit_cost_s=cost, time_budget_s=budget)
    assert pace.target_s == max(without, optimal_interval_s(cost, budget))


# --- the last commit in time ------------------------------------------------------


@given(step=SECONDS, commit=SECONDS, left=SECONDS, cycle_steps=st.none() | st.just(99))
def test_a_point_is_taken_whenever_the_next_one_may_be_too_late(
    step, commit, left, cycle_steps
):
    pace = Pace(cycle_steps=cycle_steps, tempo=Tempo(step_s=step, commit_s=commit))
    is_due = pace.is_due(steps=1, seconds=0.0, left_s=left)
    assert is_due == (left < HEADROOM * (step + commit) + CLOSING_S)


@given(
    steps=st.lists(st.floats(0.01, 5), min_size=1, max_size=60),
    commit=st.floats(0, 3),
    budget=st.floats(1, 100),
)
def test_the_last_commit_is_done_in_time_if_nothing_is_slower_than_it_was(
    steps, commit, budget
):
    """A job with a fake clock: steps as given, told to leave by the same rule."""
    longest = max(steps)
    tempo = Tempo(step_s=longest, commit_s=commit)
    pace = Pace(cycle_steps=None, tempo=tempo, commit_cost_s=commit)
    now, committed_at = 0.0, None
    for step in steps:
        now += step
        if pace.is_due(steps=1, seconds=0.0, left_s=budget - now):
            now += commit
            committed_at = now
            break
    first = steps[0] + commit
    if committed_at is not None and first < budget:
        assert committed_at <= budget


def test_a_tempo_keeps_the_longest_step_and_the_newest_commit():
    tempo = Tempo().after(2.0, 3.0).after(1.0, 0.5).after(None, None)
    assert (tempo.step_s, tempo.commit_s) == (2.0, 0.5)


@pytest.mark.parametrize("left", [None, 1e9])
def test_with_time_enough_nothing_is_hurried(left):
    assert not Pace(cycle_steps=2).is_due(steps=1, seconds=0.0, left_s=left)
