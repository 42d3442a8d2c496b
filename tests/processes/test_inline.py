"""Budgets within a program: nesting, limits given back, and calls in another process."""

from __future__ import annotations

import mmap
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import lowmem
from lowmem.base.errors import UsageError
from lowmem.base.errors_inline import FunctionDiedError, ReturnValueError
from lowmem.base.units import format_bytes
from lowmem.inline.descendants import descendants
from lowmem.memory.process_tree import anonymous_bytes
from tests.processes.lowmem_runs import is_running, until

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.alone]

MIB = 2**20


def size(mib):
    """A budget of so much more than this process has now, with some for the watcher."""
    return anonymous_bytes() + (mib + 30) * MIB


def fill(mib):
    return b"x" * (mib * MIB)


# --- a block ----------------------------------------------------------------------


def test_a_smaller_budget_within_a_larger_one_counts_and_then_the_larger_one_again():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with lowmem.budget(ram=size(400)) as outer:
        with (
            pytest.raises(lowmem.BudgetExceededError, match="in fill"),
            lowmem.budget(ram=size(100)) as inner,
        ):
            fill(200)
        assert len(fill(200)) == 200 * MIB
        with pytest.raises(MemoryError):
            fill(1000)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert inner.peak_bytes < outer.peak_bytes
    assert outer.peak_bytes >= 200 * MIB


def test_a_larger_budget_within_a_smaller_one_gives_no_more():
    with (
        pytest.raises(lowmem.BudgetExceededError),
        lowmem.budget(ram=size(100)),
        lowmem.budget(ram="100G") as inner,
    ):
        fill(200)
    assert inner.ram_budget_bytes < 10**10


def test_what_is_in_use_already_counts_and_is_told_at_the_line_of_the_block():
    with (
        pytest.raises(lowmem.BudgetExceededError, match="before it began") as raised,
        lowmem.budget(ram="10MiB"),
    ):
        pytest.fail("the block must not run")
    assert "test_inline.py" in raised.value.where


def test_an_error_of_the_blocks_own_passes_and_everything_is_as_before():
    number = signal.SIGRTMIN + 7
    before = (
        resource.getrlimit(resource.RLIMIT_DATA),
        signal.getsignal(number),
        threading.excepthook,
    )
    with pytest.raises(ZeroDivisionError), lowmem.budget(ram="100G") as used:
        _ = 1 / 0
    after = (
        resource.getrlimit(resource.RLIMIT_DATA),
        signal.getsignal(number),
        threading.excepthook,
    )
    assert after == before
    assert used.hwm_bytes >= used.peak_bytes > 0


def test_memory_that_a_failed_block_held_in_its_functions_is_given_back():
    def hog():
        held = []
        while True:
            held.append(fill(1))

    before = anonymous_bytes()
    with pytest.raises(lowmem.BudgetExceededError), lowmem.budget(ram=size(200)):
        hog()
    assert anonymous_bytes() - before < 50 * MIB


def test_a_budget_shows_what_was_given_and_once_it_has_ended_what_was_used():
    with lowmem.budget(ram="100G") as used:
        assert repr(used) == "RAM budget 93.13 GiB (100 GB)"
    shown = f"RAM peak {format_bytes(used.peak_bytes)} of 93.13 GiB (100 GB)"
    assert repr(used) == shown


def test_another_thread_is_told_to_use_a_call_instead():
    errors = []

    def enter():
        try:
            with lowmem.budget(ram="100G"):
                pass
        except UsageError as error:
            errors.append(str(error))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert "lowmem.supervised" in errors[0]


# --- a call -----------------------------------------------------------------------


def test_a_call_needs_no_file_and_gives_its_memory_back():
    factor = np.arange(3.0)

    @lowmem.supervised(ram="300MiB")
    def scaled(n):
        held = np.ones(10**7)
        return {"pid": os.getpid(), "sum": held.sum(), "array": factor * n}

    before = anonymous_bytes()
    told = scaled(2)
    assert told["pid"] != os.getpid()
    assert told["sum"] == 10**7
    np.testing.assert_array_equal(told["array"], [0, 2, 4])
    assert anonymous_bytes() - before < 10 * MIB


def test_a_call_may_take_its_budget_beyond_what_the_caller_holds():
    held = fill(150)

    @lowmem.supervised(ram="100MiB")
    def more(mib):
        return len(fill(mib)) + len(held)

    assert more(60) == 210 * MIB
    with pytest.raises(lowmem.BudgetExceededError, match="in fill"):
        more(110)


def test_inherited_memory_that_a_call_writes_to_counts_against_its_budget():
    held = bytearray(fill(200))

    @lowmem.supervised(ram="100MiB")
    def rewritten(step):
        for place in range(0, len(held), step):
            held[place] = 1
        time.sleep(0.3)

    rewritten(10 * 4096)
    with pytest.raises(lowmem.BudgetExceededError, match="used up"):
        rewritten(4096)


def test_after_a_stop_for_memory_the_next_arguments_are_tried():
    tried = []

    @lowmem.supervised(ram="100MiB", retries=({"mib": 150}, {"mib": 10}))
    def block(mib):
        return len(fill(mib)) // MIB

    assert block(mib=200) == 10
    with pytest.raises(lowmem.BudgetExceededError):
        lowmem.supervised(ram="100MiB")(lambda: tried.append(fill(200)))()


def fill_file_in_memory(mib):
    descriptor = os.memfd_create("file")
    try:
        for _ in range(mib // 8):
            os.write(descriptor, fill(8))
        time.sleep(60)  # until it is stopped
    finally:
        os.close(descriptor)


# What nobody maps, told in MiB: all of the file but what was taken of it too late.
TOLD = r"with [\d.]+ MiB in use, (\d+)\.\d MiB of it new shared memory or files in memory\."


def test_what_is_new_shared_memory_of_a_call_past_its_budget_is_told():
    with pytest.raises(lowmem.BudgetExceededError, match=TOLD) as caught:
        lowmem.supervised(ram="100M")(fill_file_in_memory)(200)
    assert 50 < int(re.search(TOLD, str(caught.value))[1]) <= 201
    with pytest.raises(lowmem.BudgetExceededError) as caught:
        lowmem.supervised(ram="100M")(fill)(200)
    assert "shared memory" not in str(caught.value)


def test_what_is_new_shared_memory_of_a_block_past_its_budget_is_told():
    with (
        pytest.raises(lowmem.BudgetExceededError, match=TOLD),
        lowmem.budget(ram=size(100)),
    ):
        fill_file_in_memory(200)


def test_a_call_is_watched_wherever_its_temporary_files_are(tmp_path, monkeypatch):
    folder = tmp_path / "a folder"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    @lowmem.supervised(ram="100MiB")
    def shares():
        # No limit of the kernel's stops it, only the watch.
        held = mmap.mmap(-1, 200 * MIB)
        for place in range(0, len(held), mmap.PAGESIZE):
            held[place] = 1

    with pytest.raises(lowmem.BudgetExceededError, match="in shares"):
        shares()


def test_an_exception_comes_back_with_its_name_traceback_and_line():
    @lowmem.supervised(ram="100MiB")
    def divide(n):
        return 1 / n

    with pytest.raises(lowmem.FunctionError) as raised:
        divide(0)
    assert raised.value.kind == "ZeroDivisionError"
    assert "return 1 / n" in raised.value.traceback
    assert raised.value.where.endswith("in divide")


def test_a_value_that_cannot_cross_is_named_by_its_place():
    @lowmem.supervised(ram="100MiB")
    def returns(what):
        return what

    for value, place in (
        ({"a": [1, object()]}, r"result\['a'\]\[1\] is of type object"),
        (np.array([object()]), "an array of objects"),
        ({1, 2}, "of type set"),
    ):
        with pytest.raises(ReturnValueError, match=place):
            returns(value)


def test_a_call_that_takes_too_long_is_ended_at_its_line_with_all_that_it_started():
    @lowmem.supervised(ram="100MiB", time="1s")
    def endless():
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
        time.sleep(600)

    with pytest.raises(lowmem.TimeExceededError) as raised:
        endless()
    assert raised.value.where.endswith("in endless")
    assert descendants(os.getpid()) == []


def test_what_a_call_leaves_running_ends_with_it():
    @lowmem.supervised(ram="100MiB")
    def leaves():
        pid = os.fork()
        if pid == 0:
            os.setsid()
            time.sleep(600)
        return pid

    assert not is_running(leaves())


def test_a_call_whose_process_dies_says_how():
    @lowmem.supervised(ram="100MiB")
    def dies():
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(FunctionDiedError, match="signal 9"):
        dies()


def test_calls_of_several_threads_take_turns_and_do_not_count_for_each_other():
    @lowmem.supervised(ram="100MiB")
    def most(n):
        held = fill(70)
        time.sleep(0.2)
        return n + len(held) - len(held)

    found = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(most(n))) for n in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 1]


@pytest.mark.parametrize("code", [3, "no data", None])
def test_a_call_that_ends_the_program_ends_its_caller_with_the_same_code(code):
    @lowmem.supervised(ram="200MiB")
    def leave():
        sys.exit(code)

    with pytest.raises(SystemExit) as end:
        leave()
    assert end.value.code == code


INTERRUPTED = """
import os, pathlib, sys, time, lowmem
@lowmem.supervised(ram="100MiB")
def endless():
    pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
    time.sleep(600)
try:
    endless()
except KeyboardInterrupt:
    sys.exit(7)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_call_ends_with_an_interrupt_of_its_caller_and_with_its_death(
    tmp_path, number
):
    pid = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED, pid]) as caller:
        until(lambda: pid.exists() and pid.read_text())
        caller.send_signal(number)
        assert caller.wait(60) == (7 if number == signal.SIGINT else -number)
    child = int(Path(pid).read_text())
    until(lambda: not is_running(child))
