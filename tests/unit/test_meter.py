"""What was spent, held against what the kernel tells of a process by other ways."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap

import pytest

from lowmem.supervisor.usage_meter import Meter, this_machine

pytestmark = [pytest.mark.process, pytest.mark.slow]

MB = 10**6
# Works for some time of its own, by its own clock of that, writes what is known, waits.
WORKS = """
import sys, time
seconds, path, n_bytes = float(sys.argv[1]), sys.argv[2], int(sys.argv[3])
while time.process_time() < seconds:
    pass
with open(path, "wb") as stream:
    stream.write(bytes(n_bytes))
with open(path, "rb") as stream:
    assert len(stream.read()) == n_bytes
print("ready", flush=True)
sys.stdin.read()
"""
STARTS_ANOTHER = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {works!r}, *sys.argv[1:]])
child.wait()
"""


def started(code, *words):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def await_word(process):
    assert process.stdout.readline() == "ready\n"


def of_reaped_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def of_this_process():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def test_a_child_is_told_while_it_lives_and_once_in_all(tmp_path):
    meter, before, own = Meter(), of_reaped_children(), of_this_process()
    child = started(WORKS, 0.5, tmp_path / "x", 7 * MB)
    await_word(child)
    alive = meter.spent([child.pid])
    child.communicate("")
    after = meter.spent()
    truth = of_reaped_children() - before
    own = of_this_process() - own
    told = alive.cpu_s + after.cpu_s
    assert alive.cpu_s >= 0.5 - 0.02
    # Of each of two processes a tick of 10 ms may be cut off, in programs and kernel.
    assert truth - 0.05 <= told <= truth + own + 0.05
    assert alive.written_bytes >= 7 * MB
    assert alive.read_bytes >= 7 * MB
    assert after.written_bytes < MB


def test_what_a_grandchild_spent_is_told_whether_it_lives_or_has_ended(tmp_path):
    code = STARTS_ANOTHER.format(works=WORKS)
    meter, before = Meter(), of_reaped_children()
    child = started(code, 0.3, tmp_path / "x", 3 * MB)
    await_word(child)
    # The grandchild is not named: it is told when it has been reaped.
    first = meter.spent([child.pid])
    assert first.written_bytes < 3 * MB
    child.communicate("")
    second = meter.spent()
    assert second.written_bytes >= 3 * MB
    assert first.cpu_s + second.cpu_s >= of_reaped_children() - before - 0.05


def test_a_child_that_was_killed_is_told_too(tmp_path):
    meter = Meter()
    child = started(WORKS, 0.3, tmp_path / "x", 2 * MB)
    await_word(child)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    found = meter.spent()
    assert found.cpu_s >= 0.3 - 0.02
    assert found.written_bytes >= 2 * MB


def test_a_process_that_is_left_out_for_a_while_is_never_told_twice(tmp_path):
    meter = Meter()
    child = started(WORKS, 0.3, tmp_path / "x", 2 * MB)
    await_word(child)
    n_bytes = [meter.spent([child.pid]).written_bytes for _ in range(3)]
    # As one that has ended and is not reaped yet is missing from the tree.
    n_bytes += [meter.spent().written_bytes, meter.spent([child.pid]).written_bytes]
    child.communicate("")
    n_bytes.append(meter.spent().written_bytes)
    assert min(n_bytes) >= 0
    assert 2 * MB <= sum(n_bytes) < 3 * MB


def test_where_the_kernel_counts_no_bytes_they_are_not_told(tmp_path):
    meter = Meter(proc=tmp_path)
    found = meter.spent()
    assert found.cpu_s is not None
    assert found.read_bytes is None
    assert found.disk_written_bytes is None


def test_an_account_without_one_field_tells_the_others(tmp_path):
    (tmp_path / str(os.getpid())).mkdir()
    account = tmp_path / str(os.getpid()) / "io"
    account.write_text("rchar: 5\nwchar: 6\nread_bytes: 7\n")
    meter = Meter(proc=tmp_path)
    account.write_text("rchar: 15\nwchar: 106\nread_bytes: 7\n")
    found = meter.spent()
    assert (found.read_bytes, found.written_bytes) == (10, 100)
    assert (found.disk_read_bytes, found.disk_written_bytes) == (0, None)


def test_a_machine_is_told_by_its_name():
    found = this_machine()
    assert found.name == os.uname().nodename
    assert found.cores == len(os.sched_getaffinity(0))
    assert found.ram_bytes > 0
