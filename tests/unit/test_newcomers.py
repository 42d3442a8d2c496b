"""New processes are found by their ids: in a kernel of the test's own, and in this one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem.memory import newcomers
from lowmem.memory.newcomers import Newcomers, is_process, last_pid, listed
from lowmem.memory.process_tree import TreeSampler

SLEEPER = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]
# More ids than are given out between two looks, and fewer than in all of them.
ROOT, STRANGER, LOWEST, MOST = 300, 301, 300, 1000


class Kernel:
    """Gives out ids in order, from the lowest again after the last."""

    def __init__(self):
        self.last = STRANGER
        self.parents = {ROOT: 1, STRANGER: 1, 1: 0}
        self.threads = set()
        self.hidden = set()

    def start(self, parent, *, is_seen=True):
        """Start a process; one that is not seen has its id and nothing else yet."""
        pid = self._give()
        self.parents[pid] = parent
        if not is_seen:
            self.hidden.add(pid)
        return pid

    def start_thread(self):
        self.threads.add(self._give())

    def _give(self):
        taken = self.parents.keys() | self.threads
        while True:
            self.last = LOWEST if self.last == MOST else self.last + 1
            if self.last not in taken:
                return self.last

    def end(self, pid):
        """End a process; its children go to the root, which adopts them."""
        del self.parents[pid]
        self.hidden.discard(pid)
        for child, parent in self.parents.items():
            if parent == pid:
                self.parents[child] = ROOT

    def parent_of(self, pid):
        return None if pid in self.hidden else self.parents.get(pid)

    def is_process(self, pid):
        return pid in self.parents and pid not in self.hidden

    def listed(self):
        return {str(pid) for pid in self.parents if pid not in self.hidden} | {"self"}

    def tree(self):
        """Return what descends from the root and can be seen."""
        found = {ROOT}
        while True:
            more = {p for p, q in self.parents.items() if q in found} - found
            if not more:
                return found - self.hidden
            found |= more

    @contextmanager
    def installed(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(newcomers, "last_pid", lambda _: self.last)
            for name in ("parent_of", "is_process", "listed"):
                patch.setattr(newcomers, name, getattr(self, name))
            yield


class Follower:
    """Takes in what `Newcomers` tells, as a tree of processes does."""

    def __init__(self):
        self.newcomers, self.tree = Newcomers(), {ROOT}
        self.newcomers.know(ROOT)

    def look(self, kernel):
        for pid in [pid for pid in self.tree if pid not in kernel.parents]:
            self.tree.discard(pid)
            self.newcomers.forget(pid)
        parents = self.newcomers.look(self.tree)
        if parents is None:
            return
        found = True
        while found:
            found = False
            for pid, parent in list(parents.items()):
                if parent in self.tree:
                    self.tree.add(pid)
                    self.newcomers.know(pid)
                    del parents[pid]
                    found = True
        self.newcomers.settle(parents)


def end_one(kernel, draw):
    inside = sorted(kernel.tree() - {ROOT})
    if inside:
        kernel.end(draw.choice(inside))


def start_many(kernel, _):
    for _ in range(40):
        kernel.end(kernel.start(STRANGER))


def start_one(kernel, draw, *, is_seen=True):
    kernel.start(draw.choice(sorted(kernel.tree())), is_seen=is_seen)


STEPS = {
    "a child": start_one,
    "a child that is not seen yet": lambda kernel, draw: start_one(
        kernel, draw, is_seen=False
    ),
    "another program": lambda kernel, _: kernel.start(STRANGER),
    "a thread": lambda kernel, _: kernel.start_thread(),
    "many programs": start_many,
    "the end of one": end_one,
}


@given(
    rounds=st.lists(st.lists(st.sampled_from(list(STEPS)), max_size=8), max_size=12),
    draw=st.randoms(use_true_random=False),
)
def test_what_descends_from_the_root_is_found_as_soon_as_it_can_be_seen_and_nothing_else(
    rounds, draw
):
    kernel, follower = Kernel(), Follower()
    with kernel.installed():
        follower.look(kernel)
        for steps in rounds:
            for step in steps:
                STEPS[step](kernel, draw)
            # An id is out for no longer than until the next look but one.
            follower.look(kernel)
            kernel.hidden.clear()
            follower.look(kernel)
            assert follower.tree == kernel.tree()


def test_an_id_that_a_program_chose_is_found_by_the_list():
    kernel, follower = Kernel(), Follower()
    with kernel.installed():
        follower.look(kernel)
        kernel.parents[950] = ROOT
        for _ in range(newcomers._LIST_EVERY):
            kernel.start_thread()
            follower.look(kernel)
        assert 950 in follower.tree


def test_threads_and_what_is_not_there_are_no_processes():
    ready, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (ready.set(), done.wait()))
    thread.start()
    ready.wait()
    assert is_process(os.getpid())
    assert not is_process(thread.native_id)
    assert not is_process(2**22 + 1)
    done.set()
    thread.join()


def test_what_cannot_be_looked_at_may_be_a_process(monkeypatch):
    def refuse(_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert is_process(2**22 + 1)


@pytest.mark.process
def test_a_new_process_has_an_id_beyond_the_last_and_is_listed():
    with Newcomers() as found:
        before = last_pid(found._loadavg)
        with subprocess.Popen(SLEEPER, stdin=subprocess.PIPE) as child:
            assert str(child.pid) in listed()
            assert is_process(child.pid)
            after = last_pid(found._loadavg)
            # Unless they began anew at the lowest in between.
            assert before < child.pid <= after or after < before


@pytest.mark.process
def test_a_tree_finds_a_child_without_listing_all(monkeypatch):
    with TreeSampler(os.getpid()) as tree:
        tree.read()
        tree.read()
        tree.read()
        monkeypatch.setattr(newcomers, "_FEW", 2**22)
        monkeypatch.setattr(newcomers, "_LIST_EVERY", 2**22)
        monkeypatch.setattr(newcomers, "listed", lambda: pytest.fail("all were listed"))
        with subprocess.Popen(SLEEPER, stdin=subprocess.PIPE) as child:
            assert child.pid in tree.find_pids()
        assert child.pid not in tree.find_pids()
