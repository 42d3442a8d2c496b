"""What the watch does for every worker alike, with a worker and a machine of the test's own."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

import pytest

from lowmem.base.child import Exit
from lowmem.base.clock import SystemClock
from lowmem.memory import memory_watch
from lowmem.memory.budget import RamBudget
from lowmem.memory.machine import Machine
from lowmem.memory.memory_watch import Watch
from lowmem.memory.process_tree import TreeReading
from lowmem.protocol.messages import Described, Failed, Planned
from lowmem.supervisor.endings import Broke
from lowmem.supervisor.stacks import ENDS
from lowmem.supervisor.trials import stop_of
from lowmem.supervisor.watched import OneAnswer, Watched

GIB = 2**30
BUDGET = RamBudget(limit_bytes=GIB)


@dataclass
class Tree:
    """Readings one after the other, the last for ever."""

    readings: list
    unmapped_bytes: int = 0
    members: list = field(default_factory=list)

    def read(self):
        n_bytes = self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]
        return TreeReading(n_bytes, n_bytes, n_bytes, 1, self.unmapped_bytes)

    refine = read

    def held(self, but=None):  # noqa: ARG002 - the signature of the real one
        return contextlib.nullcontext()


class Worker:
    """A worker that sends what it is given, and then nothing."""

    # None that could be set back, or woken.
    pid = 2**22 + 1
    is_open = True
    stack_ends = ENDS

    def __init__(self, *messages):
        self.messages = list(messages)
        self.is_killed = False

    def receive(self, _):
        return [self.messages.pop(0)] if self.messages else []

    def wake(self):
        return False

    def speaker(self, _):
        return self.pid

    def write_stacks(self):
        pass

    def where(self, _):
        return None

    def kill_with(self, _):
        self.is_killed = True

    def wait(self):
        return Exit(status=-9, peak_bytes=0)


@pytest.fixture
def machine(monkeypatch):
    """The machine's memory, as the watch finds it."""
    found = {"available_bytes": 8 * GIB}
    monkeypatch.setattr(
        memory_watch, "read_machine", lambda: Machine(total_bytes=16 * GIB, **found)
    )
    return found


def watched_to_the_end(tmp_path, tree, *messages, is_over=lambda: False):
    watched = Watched(
        worker=Worker(*messages),
        watch=Watch(tree=tree, budget=BUDGET, clock=SystemClock()),
        tree=tree,
        stacks=tmp_path / "stacks",
        find_others=list,
        is_limited=False,
    )
    asking = OneAnswer(watched, is_over, Described | Planned | Failed)
    watched.to_the_end(asking)
    assert watched.worker.is_killed
    return asking


def test_a_worker_makes_room_for_others_where_the_machine_has_no_memory_left(
    tmp_path, machine
):
    machine["available_bytes"] = 0
    found = watched_to_the_end(tmp_path, Tree([GIB // 4]))
    assert found.watched.ending == Broke(verdict="machine_limit", ram_bytes=GIB // 4)
    # Others have taken it: that says nothing of what the trial needs.
    assert stop_of(found, "job") is None


@pytest.mark.usefixtures("machine")
def test_a_worker_is_killed_at_the_budget_and_a_trial_remembers_what_is_its_own(
    tmp_path,
):
    found = watched_to_the_end(tmp_path, Tree([GIB // 2, GIB]))
    assert found.watched.ending == Broke(verdict="ram_limit", ram_bytes=GIB)
    assert stop_of(found, "job") == found.watched.ending
    others = Tree([GIB // 2, GIB], unmapped_bytes=GIB // 2)
    found = watched_to_the_end(tmp_path, others)
    assert found.watched.ending.unmapped_bytes == GIB // 2
    assert found.peak_bytes == GIB // 2
    assert stop_of(found, "job") is None


@pytest.mark.usefixtures("machine")
def test_what_comes_with_the_answer_counts_and_nothing_after_it(tmp_path):
    tree = Tree([GIB // 4, GIB // 2, GIB])
    found = watched_to_the_end(tmp_path, tree, Described(jobs=()), Planned(rungs=()))
    assert found.answer == Described(jobs=())
    assert found.peak_bytes == GIB // 2
    assert found.watched.ending is None


@pytest.mark.usefixtures("machine")
def test_a_worker_of_one_answer_is_ended_at_once_when_nobody_wants_that(tmp_path):
    found = watched_to_the_end(tmp_path, Tree([1]), is_over=lambda: True)
    assert found.watched.ending == Broke(verdict="signal", ram_bytes=1)
    assert found.answer is None
