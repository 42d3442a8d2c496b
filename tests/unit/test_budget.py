"""The budget: thresholds, and a sampling that no filling can outrun."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem.memory.budget import (
    GUARD_BAND,
    LONGEST_INTERVAL_S,
    REACTION_S,
    SHORTEST_INTERVAL_S,
    Pressure,
    RamBudget,
)
from lowmem.memory.memory_watch import look
from lowmem.memory.process_tree import TreeReading

GIB = 2**30
limits = st.integers(GIB, 10**12)
# Bytes a second: from a slow machine to one at which the guard band ends.
rates = st.floats(1e9, 2e10)
shares = st.floats(0, 1)


@given(limit=st.integers(10**6, 10**12), rate=rates, share=st.floats(0, 2))
def test_pressure_rises_with_use_and_hard_comes_before_the_limit(limit, rate, share):
    budget = RamBudget(limit_bytes=limit, fill_rate=rate)
    used = round(limit * share)
    order = [Pressure.NORMAL, Pressure.SOFT, Pressure.HARD]
    assert order.index(budget.pressure(used)) <= order.index(budget.pressure(used + 1))
    if used >= limit:
        assert budget.pressure(used) is Pressure.HARD
    assert budget.soft_bytes < budget.hard_bytes < limit


@given(limit=limits, rate=st.floats(1e9, 1e11))
def test_the_guard_band_is_a_fiftieth_of_any_budget_of_a_gibibyte_or_more(limit, rate):
    guard = RamBudget(limit_bytes=limit, fill_rate=rate).guard_bytes
    assert guard == pytest.approx(GUARD_BAND * limit, abs=1)


@dataclass
class FakeMachine:
    """Fills its memory as fast as ``shares`` of ``rate`` allow, in a time of its own.

    Of what it holds, ``twice`` bytes are counted twice by a quick reading.
    """

    rate: float
    shares: list[float]
    used: float = 0.0
    twice: float = 0.0
    is_held: bool = False
    n_steps: int = 0
    n_refined: int = 0
    n_processes: int = 2

    def pass_time(self, seconds):
        if self.is_held:
            return
        share = self.shares[self.n_steps % len(self.shares)]
        self.used += self.rate * share * seconds
        self.n_steps += 1

    def reading(self, least, most):
        return TreeReading(
            ram_bytes=round(most),
            least_bytes=round(least),
            most_bytes=round(most),
            n_processes=self.n_processes,
        )

    def read(self):
        return self.reading(self.used, self.used + self.twice)

    def refine(self):
        self.n_refined += 1
        self.pass_time(0.014)
        return self.reading(self.used, self.used)

    @contextmanager
    def held(self):
        self.is_held = True
        yield
        self.is_held = False


def peak_when_watched(machine, budget, lateness, longer_s=0.0):
    """Return the use at the death of the job.

    ``lateness`` is a share of `REACTION_S`, ``longer_s`` what a reading takes beyond it.
    """
    while True:
        found = look(machine, budget, ExitStack())
        if found.pressure is Pressure.HARD:
            return machine.used
        late = lateness[machine.n_steps % len(lateness)] * REACTION_S
        machine.pass_time(found.next_in_s + late + longer_s)
        assert machine.n_steps < 10**4


speeds = st.lists(shares, min_size=1, max_size=5).filter(lambda s: max(s) > 0.2)


def some_level(budget, share):
    """Return a level below the threshold from which it is reached within a second."""
    return max(0.0, budget.hard_bytes - share * budget.fill_rate)


delays = st.lists(shares, min_size=1, max_size=5)


@given(limit=limits, rate=rates, start=shares, speeds=speeds, delays=delays)
def test_no_filling_passes_the_limit_from_any_level_at_any_fitful_rate(
    limit, rate, start, speeds, delays
):
    budget = RamBudget(limit_bytes=limit, fill_rate=rate)
    machine = FakeMachine(rate, speeds, used=some_level(budget, start))
    assert peak_when_watched(machine, budget, delays) <= limit + 1


@given(
    limit=limits,
    rate=rates,
    start=shares,
    twice=st.sampled_from([0.0, 0.5]),
    n_processes=st.integers(1, 400),
)
def test_no_number_of_processes_that_take_long_to_read_passes_the_limit(
    limit, rate, start, twice, n_processes
):
    budget = RamBudget(limit_bytes=limit, fill_rate=rate)
    # By a microbenchmark: some 20 microseconds for each process beyond the first few.
    longer_s = 20e-6 * max(0, n_processes - 8)
    if longer_s * rate > limit / 10:
        return
    machine = FakeMachine(
        rate,
        [1.0],
        used=some_level(budget, start),
        twice=twice * limit,
        n_processes=n_processes,
    )
    assert peak_when_watched(machine, budget, [1.0], longer_s) <= limit + 1


@given(limit=limits, rate=rates, start=shares, twice=shares, speeds=speeds)
def test_pages_counted_twice_neither_kill_too_early_nor_let_the_limit_be_passed(
    limit, rate, start, twice, speeds
):
    budget = RamBudget(limit_bytes=limit, fill_rate=rate)
    machine = FakeMachine(
        rate, speeds, used=some_level(budget, start), twice=twice * limit
    )
    peak = peak_when_watched(machine, budget, [1.0])
    assert budget.hard_bytes < peak <= limit + 1


@given(limit=limits, rate=rates)
def test_a_reaction_later_than_assumed_shows_that_the_bound_is_tight(limit, rate):
    """The proof's assumption is needed: twice the reaction may pass the limit."""
    budget = RamBudget(limit_bytes=limit, fill_rate=rate)
    machine = FakeMachine(rate, [1.0], used=0.0)
    # The whole headroom in one interval, as a limit of some size always allows.
    headroom_s = LONGEST_INTERVAL_S / 2 + REACTION_S
    machine.used = min(limit - headroom_s * rate, budget.hard_bytes)
    if machine.used < limit - headroom_s * rate or machine.used < 0:
        return
    found = look(machine, budget, ExitStack())
    machine.pass_time(found.next_in_s + 2 * REACTION_S)
    assert machine.used > limit


@given(share=st.floats(0, 0.99))
def test_what_is_exact_or_far_from_the_threshold_is_never_refined(share):
    budget = RamBudget(limit_bytes=GIB)
    machine = FakeMachine(1e9, [1.0], used=share * 0.9 * GIB)
    look(machine, budget, ExitStack())
    machine.twice = 0.03 * GIB
    look(machine, budget, ExitStack())
    assert machine.n_refined == 0


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_a_job_that_must_die_stands_still_from_its_count_to_its_end(share):
    budget = RamBudget(limit_bytes=GIB)
    used = share * budget.hard_bytes
    machine = FakeMachine(1e9, [1.0], used=used, twice=0.5 * GIB)
    with ExitStack() as holding:
        found = look(machine, budget, holding)
        assert machine.is_held is (found.pressure is Pressure.HARD) is (share > 1)
    assert not machine.is_held


@given(limit=limits, share=st.floats(0, 2))
def test_the_interval_is_never_shorter_nor_longer_than_allowed(limit, share):
    interval_s = RamBudget(limit_bytes=limit).next_interval_s(round(limit * share))
    assert SHORTEST_INTERVAL_S <= interval_s <= LONGEST_INTERVAL_S


@pytest.mark.parametrize("limit", [0, -1])
def test_a_budget_of_nothing_is_no_budget(limit):
    with pytest.raises(ValueError, match="must be > 0"):
        RamBudget(limit_bytes=limit)
