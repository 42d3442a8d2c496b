"""The budget: thresholds, and a sampling that no filling can outrun."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem.memory.budget import (
    FILL_RATE,
    GUARD_BAND,
    LONGEST_INTERVAL_S,
    SHORTEST_INTERVAL_S,
    Pressure,
    RamBudget,
)

limits = st.integers(10**9, 10**12)


@given(limit=limits, share=st.floats(0, 2))
def test_pressure_rises_with_use_and_hard_comes_before_the_limit(limit, share):
    budget = RamBudget(limit_bytes=limit)
    used = round(limit * share)
    order = [Pressure.NORMAL, Pressure.SOFT, Pressure.HARD]
    assert order.index(budget.pressure(used)) <= order.index(budget.pressure(used + 1))
    if used >= limit:
        assert budget.pressure(used) is Pressure.HARD
    assert budget.soft_bytes < budget.hard_bytes < limit


@given(limit=limits, share=st.floats(0, 1), spread=st.floats(0, 1))
def test_a_machine_that_fills_at_full_speed_never_passes_the_limit(
    limit, share, spread
):
    """A fake machine fills as fast as any can, from any level, at any fitful rate."""
    budget = RamBudget(limit_bytes=limit)
    used, now, readings = limit * share * (1 - GUARD_BAND), 0.0, 0
    while budget.pressure(round(used)) is not Pressure.HARD:
        interval_s = budget.next_interval_s(round(used))
        # Now full speed, now less: what counts is that the bound holds for each step.
        rate = FILL_RATE if readings % 2 else FILL_RATE * max(spread, 0.01)
        used, now, readings = used + rate * interval_s, now + interval_s, readings + 1
        assert readings < 10**5
    assert used <= limit
    # The guard band holds what the floor of the interval lets through.
    assert used <= budget.hard_bytes + FILL_RATE * SHORTEST_INTERVAL_S + 1


@given(limit=limits, share=st.floats(0, 2))
def test_the_interval_is_never_shorter_nor_longer_than_allowed(limit, share):
    interval_s = RamBudget(limit_bytes=limit).next_interval_s(round(limit * share))
    assert SHORTEST_INTERVAL_S <= interval_s <= LONGEST_INTERVAL_S


@pytest.mark.parametrize("limit", [0, -1])
def test_a_budget_of_nothing_is_no_budget(limit):
    with pytest.raises(ValueError, match="must be > 0"):
        RamBudget(limit_bytes=limit)
