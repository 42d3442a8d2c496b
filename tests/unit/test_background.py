"""What may wait is done in its order, and what it raises is raised where it is asked for."""

from __future__ import annotations

import sys
import threading

import pytest

from lowmem.base.clock import SystemClock
from lowmem.base.workspace import Workspace
from lowmem.history.recorded import read_records
from lowmem.protocol.mirror_messages import Troubled
from lowmem.protocol.records import JobBegun
from lowmem.supervisor import mirror_client
from lowmem.supervisor.background import BackgroundThread
from lowmem.supervisor.mirror_client import Mirror, MirrorPlan
from lowmem.supervisor.priority import real_time_priority
from lowmem.supervisor.telemetry import Journal

# seconds; nothing here takes as long.
PATIENCE_S = 30.0


def test_things_are_done_in_the_order_in_which_they_were_given():
    done = []
    with BackgroundThread() as background:
        for number in range(100):
            background.do(lambda number=number: done.append(number))
        assert background.wait(PATIENCE_S)
        assert background.is_idle
    assert done == list(range(100))


def test_who_waits_for_what_is_stuck_goes_on_after_the_time_that_he_gave():
    lets_go = threading.Event()
    with BackgroundThread() as background:
        background.do(lambda: lets_go.wait(PATIENCE_S))
        assert not background.wait(0.01)
        # A time that has passed already is none.
        assert not background.wait(-1.0)
        assert not background.is_idle
        lets_go.set()
        assert background.wait()


def test_what_it_raises_is_raised_once_and_the_rest_is_done():
    done = []

    def fails():
        raise OSError(28, "no space left")

    with BackgroundThread() as background:
        background.do(fails)
        background.do(lambda: done.append(1))
        with pytest.raises(OSError, match="no space left"):
            background.wait(PATIENCE_S)
        assert background.wait(PATIENCE_S)
    assert done == [1]


def test_what_was_given_is_done_before_the_end():
    done = []
    with BackgroundThread() as background:
        background.do(lambda: done.append(1))
    assert done == [1]


def test_a_thread_that_works_keeps_the_watch_from_the_interpreter_for_a_moment_only():
    """The default would let a job fill 40 MB meanwhile."""
    former = sys.getswitchinterval()
    ends = threading.Event()

    def works():
        while not ends.is_set():
            pass

    with real_time_priority(), BackgroundThread() as background:
        assert sys.getswitchinterval() <= 0.0001
        background.do(works)
        assert not background.wait(0.01)
        ends.set()
    assert sys.getswitchinterval() == former


# --- what is left to it while a worker is watched ----------------------------------


def begun(job):
    return JobBegun(job=job, at="", reference=job, recipe={}, unit="images")


def test_a_journal_leaves_its_records_to_another_for_a_block(tmp_path):
    space, left = Workspace.at(tmp_path), []
    with Journal(space, SystemClock()) as journal:
        with journal.beside(left.append):
            journal.write(begun("first"))
            assert list(read_records(space.journal)) == []
        left[0]()
        journal.write(begun("second"))
    found = list(read_records(space.journal))
    assert [record.job for record in found] == ["first", "second"]


class Troubling:
    """A mirror's process that has a complaint each time it is heard."""

    is_open = True

    def __init__(self, *_, **__):
        pass

    def tell(self, _):
        return True

    def receive(self, *_):
        return [Troubled(problem="no room there")]


def test_a_mirror_leaves_what_it_says_to_another_for_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr(mirror_client, "HelperProcess", Troubling)
    said, left = [], []
    mirror = Mirror(
        plan=MirrorPlan(url="anywhere"),
        space=Workspace.at(tmp_path),
        journal=None,
        clock=SystemClock(),
        stops=None,
        say=said.append,
        read_records=list,
    )
    with mirror.beside(left.append):
        mirror.poll()
        assert said == []
    left[0]()
    assert "no room there" in said[0]
    mirror.poll()
    assert len(said) == 2
