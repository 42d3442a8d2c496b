"""The report page is renewed where the job does not feel it."""

from __future__ import annotations

import pytest

from lowmem.base.clock import SystemClock
from lowmem.memory.budget import RamBudget
from lowmem.supervisor.page_renewal import PAGE_BYTES, PageRenewal

BUDGET = RamBudget(limit_bytes=2**30)


class ByHand(SystemClock):
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock():
    return ByHand()


def is_due(page, used_bytes=2**28, left_s=None):
    return page.is_due(used_bytes, BUDGET, left_s=left_s)


def test_a_page_is_renewed_after_a_minute_and_then_at_a_hundredth_of_the_time(clock):
    def write():
        clock.now_s += 3

    page = PageRenewal(write, clock)
    assert not is_due(page)
    clock.now_s += 59
    assert not is_due(page)
    clock.now_s += 1
    assert is_due(page)
    page.renew()
    clock.now_s += 299
    assert not is_due(page)
    clock.now_s += 1
    assert is_due(page)


def test_a_page_needs_twice_its_room_below_the_soft_threshold(clock):
    page = PageRenewal(lambda: None, clock)
    clock.now_s += 60
    most = BUDGET.soft_bytes - 2 * PAGE_BYTES
    assert is_due(page, most)
    assert not is_due(page, most + 1)


def test_near_its_end_a_time_budget_is_the_jobs_own(clock):
    page = PageRenewal(lambda: None, clock)
    clock.now_s += 60
    assert is_due(page, left_s=61)
    assert not is_due(page, left_s=60)
