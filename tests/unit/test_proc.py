"""The reader of /proc: whatever a process's length, name or state, it is counted."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem.memory import newcomers
from lowmem.memory import process_tree as process_module
from lowmem.memory.pages import Process, Shares
from lowmem.memory.proc import StatusFile, field_bytes, parent_of
from lowmem.memory.process_tree import TreeSampler, anonymous_bytes
from tests.processes.lowmem_runs import until

MIB = 2**20
HELD_MIB = 50
# Begins what it is told to, and says so once it holds its memory.
PROGRAM = """
import ctypes, os, sys, threading, time
libc = ctypes.CDLL(None)
def hold():
    held = b"x" * (%d * 2**20)
    os.write(1, b"ready\\n")
    os.read(0, 1)
    os._exit(0)
{begin}
"""
BEGIN = {
    "in 800 groups": "os.setgroups(range(10**9, 10**9 + 800)); hold()",
    "named as a field": "libc.prctl(15, b'RssAnon:\\t 0 kB', 0, 0, 0); hold()",
    "named as a state": "libc.prctl(15, b'x) Z 1 1 1\\nS (', 0, 0, 0); hold()",
    "without its main thread": """
threading.Thread(target=hold).start()
libc.syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
""",
    "whose threads follow one another": """
def first():
    threading.Thread(target=hold).start()
    libc.syscall(exit_thread, 0)
exit_thread = {"x86_64": 60, "aarch64": 93}[os.uname().machine]
threading.Thread(target=first).start()
libc.syscall(exit_thread, 0)
""",
}


@contextmanager
def child_that(kind):
    program = (PROGRAM % HELD_MIB).replace("{begin}", BEGIN[kind])
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout.readline() == b"ready\n"
        yield child
    finally:
        child.communicate()


@pytest.mark.process
@pytest.mark.parametrize("kind", BEGIN)
def test_no_length_name_or_state_hides_the_memory_of_a_process(kind):
    if "groups" in kind and os.geteuid():
        pytest.skip("needs the rights of root to join groups")
    with TreeSampler(os.getpid()) as tree:
        with child_that(kind) as child:
            tree.read()
            quick, own = tree.read(), anonymous_bytes()
            assert quick.ram_bytes - own > HELD_MIB * MIB
            # Seen once, and then again and again.
            assert tree.read().ram_bytes - own > HELD_MIB * MIB
            assert tree.refine().ram_bytes - own > HELD_MIB * MIB
            assert tree.pids == [child.pid]
            assert parent_of(child.pid) == os.getpid()
        until(lambda: tree.find_pids() == [])
        assert tree.read().n_processes == 1


@given(n_groups=st.integers(0, 70_000), kib=st.integers(0, 2**40))
def test_a_status_of_any_length_is_read_whole(n_groups, kib):
    groups = " ".join(str(10**9 + number) for number in range(n_groups))
    text = f"Name:\tx\nState:\tS (sleeping)\nGroups:\t{groups}\nRssAnon:\t{kib} kB\n"
    with tempfile.TemporaryFile() as stream:
        stream.write(text.encode())
        stream.flush()
        status = StatusFile(1, os.dup(stream.fileno()))
        for _ in range(2):
            assert field_bytes(status.read(), b"RssAnon:") == kib * 1024
        status.close()


def test_a_zombie_is_gone_and_a_process_that_is_about_to_end_is_not():
    with tempfile.TemporaryFile() as stream:
        for state, threads, is_there in (
            ("Z (zombie)", 1, False),
            ("X (dead)", 0, False),
            ("R (running)", 1, True),
        ):
            os.truncate(stream.fileno(), 0)
            text = f"Name:\tx\nState:\t{state}\nThreads:\t{threads}\n"
            os.pwrite(stream.fileno(), text.encode(), 0)
            status = StatusFile(2**22 + 1, os.dup(stream.fileno()))
            assert (status.read() is not None) == is_there
            status.close()


@pytest.mark.process
def test_processes_beyond_the_descriptors_that_are_kept_are_counted_too(monkeypatch):
    monkeypatch.setattr(process_module, "_MOST_KEPT_OPEN", 1)
    with TreeSampler(os.getpid()) as tree:
        with child_that("named as a field"), child_that("named as a state"):
            tree.read()
            assert tree.read().ram_bytes - anonymous_bytes() > 2 * HELD_MIB * MIB
        until(lambda: tree.find_pids() == [])


@pytest.mark.process
def test_a_process_whose_parent_went_before_it_could_be_seen_is_found(monkeypatch):
    hidden = []
    # What other tests left behind lies among the children of this process as well.
    there = {path.name for path in Path("/proc").iterdir()}

    def parent_of_once_gone(pid):
        is_new = str(pid) not in there and pid not in hidden
        if is_new and parent_of(pid) == os.getpid():
            hidden.append(pid)
            # Its parent was listed, and had ended when it was asked for its own.
            return 2**22 + 1
        return parent_of(pid)

    with TreeSampler(os.getpid()) as tree:
        tree.read()
        monkeypatch.setattr(newcomers, "parent_of", parent_of_once_gone)
        with child_that("named as a field") as child:
            tree.read()
            until(lambda: tree.read() and tree.pids == [child.pid], patience_s=5)
            assert hidden == [child.pid]
        until(lambda: tree.find_pids() == [])


@pytest.mark.process
@pytest.mark.parametrize("kind", ["without its main thread", "named as a field"])
def test_a_thread_that_ends_while_it_is_looked_through_hides_no_memory(kind):
    with child_that(kind) as child:
        found = Process.find(child.pid)
        until(lambda: found.read() and found.anon_bytes > HELD_MIB * MIB)
        read_bytes, ended = Path.read_bytes, []

        def end_once(path):
            # As if the thread had ended between the reading of its status and this one.
            if path.name == "smaps_rollup" and not ended:
                ended.append(path)
                raise (ProcessLookupError, FileNotFoundError)[
                    kind == "named as a field"
                ]
            return read_bytes(path)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "read_bytes", end_once)
            assert found.shares().anon_bytes > HELD_MIB * MIB
        assert ended
    until(lambda: not found.read())
    assert found.shares() == Shares(0, 0)
    found.close()


@pytest.mark.process
def test_what_the_kernel_does_not_let_be_looked_into_counts_whole(monkeypatch):
    found = Process.find(os.getpid())
    found.read()

    def refuse(_):
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert found.shares() == Shares(found.anon_bytes, found.shared_bytes)
    assert found.anon_bytes > 0
    found.close()


def test_a_process_that_is_not_there_has_no_parent_and_no_status():
    assert parent_of(2**22 + 1) is None
    assert StatusFile.find(2**22 + 1) is None
    assert StatusFile.find(2**22 + 1, is_kept_open=False) is None
