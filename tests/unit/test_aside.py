"""What may wait is done in its order, and what it raises is raised where it is asked for."""

from __future__ import annotations

import threading

import pytest

from lowmem.supervisor.aside import Aside

# seconds; nothing here takes as long.
PATIENCE_S = 30.0


def test_things_are_done_in_the_order_in_which_they_were_given():
    done = []
    with Aside() as aside:
        for number in range(100):
            aside.do(lambda number=number: done.append(number))
        assert aside.wait(PATIENCE_S)
        assert aside.is_idle
    assert done == list(range(100))


def test_who_waits_for_what_is_stuck_goes_on_after_the_time_that_he_gave():
    lets_go = threading.Event()
    with Aside() as aside:
        aside.do(lambda: lets_go.wait(PATIENCE_S))
        assert not aside.wait(0.01)
        # A time that has passed already is none.
        assert not aside.wait(-1.0)
        assert not aside.is_idle
        lets_go.set()
        assert aside.wait()


def test_what_it_raises_is_raised_once_and_the_rest_is_done():
    done = []

    def fails():
        raise OSError(28, "no space left")

    with Aside() as aside:
        aside.do(fails)
        aside.do(lambda: done.append(1))
        with pytest.raises(OSError, match="no space left"):
            aside.wait(PATIENCE_S)
        assert aside.wait(PATIENCE_S)
    assert done == [1]


def test_what_was_given_is_done_before_the_end():
    done = []
    with Aside() as aside:
        aside.do(lambda: done.append(1))
    assert done == [1]
