"""Memory of a tree of processes, read from processes that really hold it."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem.memory.pages import Process
from lowmem.memory.proc import field_bytes
from lowmem.memory.process_tree import (
    TreeSampler,
    anonymous_bytes,
    oom_kills,
    reset_peak,
)

MIB = 2**20
# Says so once it holds what it is told to, then waits for its input to end. It ends after
# its forks: a segment of System V is given back after the last of these has closed its
# output, and would count among what the machine had when the next test began.
HOLD = """
import contextlib, mmap, os, sys
{setup}
print("ready", flush=True)
sys.stdin.read()
with contextlib.suppress(ChildProcessError):
    while True:
        os.wait()
"""
needs_shm = pytest.mark.skipif(
    not os.access("/dev/shm", os.W_OK),
    reason="needs a writable /dev/shm",
)


@contextmanager
def child_of(setup):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(setup=setup)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.communicate()


@given(kib=st.integers(0, 2**40))
def test_a_field_of_a_status_is_read_in_bytes(kib):
    status = b"Name:\tpython\nVmHWM:\t  12 kB\nRssAnon:\t %d kB\nThreads:\t1\n" % kib
    assert field_bytes(status, b"RssAnon:") == kib * 1024
    assert field_bytes(status, b"RssShmem:") == 0


def test_memory_that_is_taken_and_given_back_is_seen():
    before = anonymous_bytes()
    region = mmap.mmap(-1, 64 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for place in range(0, len(region), 4096):
        region[place] = 1
    held = anonymous_bytes() - before
    region.close()
    assert 64 * MIB <= held < 70 * MIB
    assert anonymous_bytes() - before < 6 * MIB


# Python 3.13 names MAP_NORESERVE.
SPARSE = """
held = mmap.mmap(-1, 32 * 2**30, flags=mmap.MAP_PRIVATE | 0x4000, prot=mmap.PROT_READ)
for place in range(0, len(held), 2**21): held[place]
"""


def test_page_tables_of_a_mapping_that_is_touched_here_and_there_count_refined_too():
    with TreeSampler(os.getpid()) as tree, child_of(""):
        before = tree.read().ram_bytes
        exact_before = tree.refine().ram_bytes
        with child_of(SPARSE):
            # A table of 4 KiB for each 2 MiB.
            assert tree.read().ram_bytes - before > 62 * MIB
            assert tree.refine().ram_bytes - exact_before > 62 * MIB
            assert tree.read().ram_bytes - before > 62 * MIB


def test_what_the_kernel_holds_for_a_process_is_little_beside_what_it_has():
    setup = (
        "held = bytearray(64 * 2**20)\nfor p in range(0, len(held), 4096): held[p] = 1"
    )
    with TreeSampler(os.getpid()) as tree, child_of(setup) as process:
        tree.read()
        (found,) = (p for p in tree.members if p.pid == process.pid)
        assert found.anon_bytes > 64 * MIB
        # A table has 1/512 of what it maps; its mappings take no more than the tables.
        assert MIB // 8 < found.kernel_bytes < MIB


def test_what_a_process_has_is_what_its_status_says_in_whatever_order(monkeypatch):
    setup = "import ctypes, threading\nheld = b'x' * (9 * 2**20)"
    with child_of(setup) as process:
        found = Process.find(process.pid)
        text = found.status.read()
        lines = dict(line.split(b":", 1) for line in text.splitlines())
        kib = {
            name: int(value.split()[0])
            for name, value in lines.items()
            if b"kB" in value
        }
        shuffled = b"\n".join(sorted(text.splitlines(), reverse=True)) + b"\n"
        for given_text in (text, b"Name:\tVmHWM: 7 kB\n" + shuffled):
            monkeypatch.setattr(type(found.status), "read", lambda _, t=given_text: t)
            found.hwm_bytes = 0
            assert found.read()
            assert found.anon_bytes == kib[b"RssAnon"] * 1024 > 9 * MIB
            assert found.shared_bytes == kib[b"RssShmem"] * 1024
            assert found.data_bytes == kib[b"VmData"] * 1024
            assert found.hwm_bytes == kib[b"VmHWM"] * 1024
            tables = kib[b"VmPTE"] * 1024
            assert found.kernel_bytes == 2 * tables + (16 + 24) * 1024
        found.close()


def test_the_kernels_peak_begins_anew_where_the_kernel_allows_it():
    if not reset_peak(os.getpid()):
        pytest.skip("the kernel forbids clear_refs")
    with TreeSampler(os.getpid()) as tree:
        tree.reset_peaks()
        tree.read()
        low = tree.peak_bytes()
        region = mmap.mmap(-1, 64 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for place in range(0, len(region), 4096):
            region[place] = 1
        region.close()
        assert tree.peak_bytes() - low > 60 * MIB
        tree.reset_peaks()
        assert tree.peak_bytes() - low < 10 * MIB


def test_a_process_that_is_not_there_has_no_peak_to_reset():
    assert not reset_peak(2**22 + 1)


def test_kills_by_the_kernel_are_counted():
    kills = oom_kills()
    assert kills is None or isinstance(kills, int)


@pytest.mark.process
@pytest.mark.slow
def test_memory_that_is_lent_to_a_starting_program_counts_once():
    # What vfork does, but for good: a second process in the same address space.
    setup = """
import ctypes
held = b"x" * (60 * 2**20)
libc = ctypes.CDLL(None)
stack = ctypes.create_string_buffer(2**16)
top = (ctypes.addressof(stack) + 2**16) & ~15
libc.clone.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
CLONE_VM = 0x100
child = libc.clone(ctypes.cast(libc.pause, ctypes.c_void_p), top, CLONE_VM | 17, None)
print("ready", flush=True)
sys.stdin.read()
os.kill(child, 9)
os.waitpid(child, 0)
"""
    with TreeSampler(os.getpid()) as tree:
        with child_of(setup):
            before = anonymous_bytes()
            for reading in (tree.read(), tree.refine()):
                assert reading.n_processes == 3
                assert 60 * MIB < reading.ram_bytes - before < 90 * MIB
                assert reading.most_bytes - before < 90 * MIB
        tree.read()


@pytest.mark.process
@pytest.mark.slow
def test_a_child_counts_from_its_start_to_its_end():
    with TreeSampler(os.getpid()) as tree:
        alone = tree.read()
        assert alone.n_processes == 1
        with child_of("held = b'x' * (50 * 2**20)") as process:
            # A process can be seen a moment after it gets its id.
            tree.read()
            both = tree.read()
            assert tree.pids == [process.pid]
            assert both.ram_bytes - alone.ram_bytes > 50 * MIB
        after = tree.read()
        assert after.n_processes == 1
        assert tree.pids == []


@pytest.mark.process
@pytest.mark.slow
def test_processes_that_ended_and_are_not_waited_for_are_looked_at_once(monkeypatch):
    setup = """
for _ in range(50):
    if os.fork() == 0:
        os._exit(0)
for pid in map(int, os.listdir("/proc/self/task")):
    children = open(f"/proc/self/task/{pid}/children").read().split()
for child in children:
    os.waitid(os.P_PID, int(child), os.WEXITED | os.WNOWAIT)
later = sys.stdin.readline
sys.stdin = type("Input", (), {"read": lambda _: (later(), fork_one(), later())})()
def fork_one():
    if os.fork() == 0:
        held = b"x" * (30 * 2**20)
        print("forked", flush=True)
        later()
        os._exit(0)
"""
    found = []
    find = Process.find

    def noted(pid, *rest, **options):
        found.append(pid)
        return find(pid, *rest, **options)

    with TreeSampler(os.getpid()) as tree, child_of(setup) as process:
        for _ in range(3):
            tree.read()
        monkeypatch.setattr(Process, "find", noted)
        before = tree.read()
        for _ in range(40):
            tree.read()
        assert found == []
        assert tree.pids == [process.pid]
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "forked\n"
        tree.read()
        assert tree.read().ram_bytes - before.ram_bytes > 30 * MIB
        assert len(found) == 1


@pytest.mark.process
@pytest.mark.slow
def test_pages_shared_by_forks_count_once_when_refined():
    setup = """
held = b'x' * (60 * 2**20)
for _ in range(3):
    if os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
"""
    with TreeSampler(os.getpid()) as tree:
        with child_of(setup):
            tree.read()
            plain = tree.read()
            assert plain.n_processes == 5
            assert not plain.is_exact
            assert plain.most_bytes > 240 * MIB
            refined = tree.refine()
            assert refined.is_exact
            own = anonymous_bytes()
            assert 60 * MIB < refined.ram_bytes - own < 90 * MIB
            # The correction holds for the quick readings that follow.
            again = tree.read()
            assert abs(again.ram_bytes - refined.ram_bytes) < 5 * MIB
            # And while nobody writes, so does the bound: sharing raises no alarm.
            assert again.most_bytes - refined.ram_bytes < 10 * MIB
        tree.read()


@pytest.mark.process
@pytest.mark.slow
def test_pages_that_a_fork_copies_raise_the_bound_though_no_count_of_pages_changes():
    setup = """
held = bytearray(60 * 2**20)
for place in range(0, len(held), 4096): held[place] = 1
child = os.fork()
if child == 0:
    while line := os.read(0, 1):
        for place in range(0, len(held), 4096): held[place] = 2
        os.write(1, b"copied\\n")
    os._exit(0)
# Reads no input itself while the fork does: it might take what is meant for that.
print("ready", flush=True)
os.waitpid(child, 0)
"""
    with TreeSampler(os.getpid()) as tree:
        with child_of(setup) as process:
            tree.read()
            refined = tree.refine()
            process.stdin.write("x")
            process.stdin.flush()
            assert process.stdout.readline() == "copied\n"
            after = tree.read()
            assert after.ram_bytes - refined.ram_bytes < 10 * MIB
            assert after.most_bytes - refined.ram_bytes > 60 * MIB
            with tree.held():
                assert tree.refine().ram_bytes - refined.ram_bytes > 55 * MIB
        tree.read()


@needs_shm
@pytest.mark.alone
@pytest.mark.process
@pytest.mark.slow
def test_a_mapped_file_in_memory_counts_once():
    setup = """
import tempfile
stream = tempfile.TemporaryFile(dir="/dev/shm")
os.truncate(stream.fileno(), 40 * 2**20)
mapped = mmap.mmap(stream.fileno(), 0)
for place in range(0, len(mapped), 4096):
    mapped[place] = 1
"""
    with TreeSampler(os.getpid()) as tree:
        with child_of("pass"):
            tree.read()
            bare = tree.read().ram_bytes
        with child_of(setup):
            tree.read()
            assert not tree.read().is_exact
            held = tree.refine().ram_bytes - bare
        assert 35 * MIB < held < 60 * MIB


@pytest.mark.alone
@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["anonymous", "memfd", "System V"])
def test_shared_memory_without_a_name_counts_once_in_every_reading(kind):
    make = {
        "anonymous": "mapped = mmap.mmap(-1, 40 * 2**20)",
        "memfd": """
descriptor = os.memfd_create("held")
os.truncate(descriptor, 40 * 2**20)
mapped = mmap.mmap(descriptor, 0)
""",
        "System V": """
import ctypes
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
number = libc.shmget(0, 40 * 2**20, 0o600)
place = libc.shmat(number, None, 0)
libc.shmctl(number, 0, None)
mapped = (ctypes.c_char * (40 * 2**20)).from_address(place)
""",
    }[kind]
    setup = f"""{make}
for place in range(0, len(mapped), 4096):
    mapped[place] = b"1" if {kind == "System V"} else 1
if os.fork() == 0:
    sum(mapped[place] == 1 for place in range(0, len(mapped), 4096))
    sys.stdin.read()
    os._exit(0)
"""
    with TreeSampler(os.getpid()) as tree:
        with child_of(setup):
            tree.read()
            quick, before = tree.read(), anonymous_bytes()
            assert quick.least_bytes - before > 40 * MIB
            assert 40 * MIB < tree.refine().ram_bytes - before < 80 * MIB
        tree.read()


@needs_shm
@pytest.mark.alone
@pytest.mark.process
@pytest.mark.slow
def test_a_file_in_memory_that_nobody_maps_counts_as_growth():
    setup = """
import tempfile
stream = tempfile.TemporaryFile(dir="/dev/shm")
stream.write(b"x" * (40 * 2**20))
stream.flush()
"""
    with (
        TreeSampler(os.getpid()) as tree,
        child_of(setup),
    ):
        tree.read()
        before = anonymous_bytes()
        assert tree.refine().ram_bytes - before > 40 * MIB


def test_what_the_root_takes_itself_is_seen_within_eight_readings():
    with TreeSampler(os.getpid()) as tree, mmap.mmap(-1, 40 * MIB) as held:
        before = tree.read().ram_bytes
        held.write(b"x" * len(held))
        after = [tree.read().ram_bytes for _ in range(8)]
    assert after[-1] - before > 39 * MIB
    # A refinement, and a peak, read everything.
    with TreeSampler(os.getpid()) as tree, mmap.mmap(-1, 40 * MIB) as held:
        before = tree.read().ram_bytes
        held.write(b"x" * len(held))
        assert tree.refine().ram_bytes - before > 39 * MIB
