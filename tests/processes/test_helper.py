"""A helper answers, says how it ended, and never outlives who asks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from lowmem.base.stop_signals import STOP_SIGNALS
from lowmem.worker.helper import Helper
from tests.processes.lowmem_runs import until

pytestmark = pytest.mark.process

MODULE = "tests.processes.answering"
ROOT = Path(__file__).parents[2]

# Starts a helper, says its number, and waits to be killed.
ASKER = f"""
import sys, time
from lowmem.worker.helper import Helper
helper = Helper("{MODULE}", "1")
helper.ask(b"turn x")
print(helper.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def helper(monkeypatch):
    monkeypatch.chdir(ROOT)
    with Helper(MODULE, "2") as helper:
        yield helper


def test_answers_come_in_order_whatever_their_length(helper):
    long = os.urandom(300_000)
    for word in (b"abc", b"", long, b"d\n\0e"):
        assert helper.ask(b"turn " + word) == 2 * word[::-1]


def test_signals_to_stop_are_for_others_to_act_upon(helper):
    for number in STOP_SIGNALS:
        os.kill(helper.pid, number)
    assert helper.ask(b"turn abc") == 2 * b"cba"


def test_what_a_helper_prints_is_no_answer_but_goes_to_standard_error(
    monkeypatch, capfd
):
    monkeypatch.chdir(ROOT)
    with Helper(MODULE, "1") as helper:
        assert helper.ask(b"print hello") == b"olleh"
    assert capfd.readouterr() == ("", "hello\nstraight\n")


def test_memory_refused_to_a_helper_is_refused_to_who_asks(helper):
    with pytest.raises(MemoryError, match="memory was lacking in tests"):
        helper.ask(b"no-memory")
    with pytest.raises(MemoryError):
        helper.ask(b"turn abc")


def test_a_helper_that_was_killed_counts_as_lack_of_memory(helper):
    os.kill(helper.pid, signal.SIGKILL)
    with pytest.raises(MemoryError):
        helper.ask(b"turn abc")


def test_an_error_in_a_helper_is_one_of_who_asks_and_leaves_its_traceback(
    monkeypatch, capfd
):
    monkeypatch.chdir(ROOT)
    ended = f"{MODULE} ended with status 1"
    with Helper(MODULE, "1") as helper, pytest.raises(ChildProcessError, match=ended):
        helper.ask(b"fail of this")
    assert "ValueError: of this" in capfd.readouterr().err


def test_a_helper_is_gone_once_its_block_ends(monkeypatch):
    monkeypatch.chdir(ROOT)
    with Helper(MODULE, "1") as helper:
        pid = helper.pid
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)


def test_a_helper_outlives_the_thread_that_started_it(monkeypatch):
    monkeypatch.chdir(ROOT)
    started = []

    def start():
        helper = Helper(MODULE, "1")
        started.append(helper)
        helper.ask(b"turn it is there")

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    until(lambda: not Path(f"/proc/self/task/{thread.native_id}").exists())
    with started[0] as helper:
        assert helper.ask(b"turn abc") == b"cba"


def test_a_helper_ends_with_a_worker_that_is_killed():
    asker = subprocess.Popen(
        [sys.executable, "-c", ASKER], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    helper = psutil.Process(int(asker.stdout.readline()))
    assert helper.is_running()
    asker.kill()
    asker.communicate()
    deadline = time.monotonic() + 20
    while helper.is_running() and helper.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
