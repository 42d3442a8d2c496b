"""What signals ask for, however many of them come."""

from __future__ import annotations

import signal
from datetime import UTC, datetime

import pytest

from lowmem.base.stop_signals import STOP_SIGNALS, WARNINGS, withheld
from lowmem.supervisor.stop_requests import Heard, StopRequests

DEMANDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedClock:
    """A clock that stands where a test sets it."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at_s, UTC)

    def monotonic(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.at_s += seconds


def heard(*signals: tuple[int, float]) -> Heard:
    asked = Heard()
    for number, at_s in signals:
        asked = asked.after(number, at_s)
    return asked


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_any_signal_to_stop_is_one_request_that_waits_for_a_commit(number):
    asked = heard((number, 5.0))
    assert (asked.count, asked.by) == (1, signal.Signals(number).name)
    assert asked.demands <= 1


@pytest.mark.parametrize("second", DEMANDS)
@pytest.mark.parametrize("first", DEMANDS)
def test_a_second_demand_will_not_wait(first, second):
    asked = heard((first, 5.0), (second, 5.5))
    assert (asked.count, asked.demands) == (2, 2)
    assert asked.by == signal.Signals(second).name


@pytest.mark.parametrize("warning", WARNINGS)
def test_a_warning_that_is_repeated_each_second_never_hurries_a_commit(warning):
    asked = heard(*((warning, float(n)) for n in range(20)))
    assert (asked.count, asked.demands) == (1, 0)


@pytest.mark.parametrize("warning", WARNINGS)
def test_the_signal_of_a_time_limit_after_its_warning_still_waits_for_the_commit(
    warning,
):
    asked = heard((warning, 0.0), (signal.SIGTERM, 50.0))
    assert (asked.count, asked.demands, asked.by) == (2, 1, "SIGTERM")
    assert asked.after(signal.SIGTERM, 52.0).demands == 2


def test_a_warning_after_a_demand_asks_for_nothing_more():
    once = heard((signal.SIGTERM, 0.0))
    assert once.after(signal.SIGXCPU, 3.0) == once


def test_the_same_signal_sent_to_a_process_and_to_its_group_is_one_request():
    once = heard((signal.SIGTERM, 1.0))
    assert once.after(signal.SIGTERM, 1.001) == once
    # A person, or a shorter flood of them, is not taken for an echo for ever.
    assert once.after(signal.SIGTERM, 1.09).after(signal.SIGTERM, 1.11).demands == 2


def test_requests_are_counted_while_the_handlers_are_in_place_and_those_put_back():
    clock = StoppedClock()
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    with StopRequests(clock=clock) as stops:
        assert (stops.count, stops.by, stops.is_urgent) == (0, "", False)
        signal.raise_signal(signal.SIGUSR2)
        assert (stops.count, stops.by, stops.is_urgent) == (1, "SIGUSR2", False)
        for _ in range(2):
            clock.at_s += 1
            signal.raise_signal(signal.SIGTERM)
        assert (stops.count, stops.by, stops.is_urgent) == (3, "SIGTERM", True)
    assert {number: signal.getsignal(number) for number in STOP_SIGNALS} == before


def test_a_demand_that_comes_within_the_handler_of_a_warning_is_not_lost():
    class Interrupted(StoppedClock):
        """A clock that a second signal finds in the midst of the first one's handler."""

        is_first = True

        def monotonic(self):
            now, self.is_first, is_first = self.at_s, False, self.is_first
            if is_first:
                signal.raise_signal(signal.SIGTERM)
            return now

    with StopRequests(clock=Interrupted()) as stops:
        signal.raise_signal(signal.SIGUSR1)
        assert (stops.count, stops.heard.demands) == (1, 1)


def test_a_signal_that_is_ignored_on_purpose_stays_ignored():
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequests() as stops:
            signal.raise_signal(signal.SIGHUP)
            assert stops.count == 0
    finally:
        signal.signal(signal.SIGHUP, former)


def test_a_signal_that_comes_while_signals_are_withheld_is_heard_afterwards():
    with StopRequests() as stops:
        with withheld():
            signal.raise_signal(signal.SIGUSR1)
            assert stops.count == 0
        assert stops.by == "SIGUSR1"
