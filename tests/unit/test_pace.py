from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lowmem.worker.pace import (
    COMMIT_SHARE,
    LONGEST_CYCLE_S,
    SHORTEST_CYCLE_S,
    Pace,
)


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
    pace = Pace(cycle_steps=3, commit_cost_s=100)
    assert [pace.is_due(steps=n, seconds=10**6) for n in (1, 2, 3)] == [
        False,
        False,
        True,
    ]
