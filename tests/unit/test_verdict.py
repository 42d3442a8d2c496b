"""Who ended a worker that sent nothing."""

from __future__ import annotations

import signal

import pytest

from lowmem.supervisor.verdict import death, verdict_of_death


@pytest.mark.parametrize(
    ("status", "is_oom_kill", "verdict"),
    [
        (-signal.SIGKILL, True, "kernel_oom"),
        (-signal.SIGKILL, False, "signal"),
        (-signal.SIGTERM, True, "signal"),
        (-signal.SIGSEGV, True, "crash"),
        (-signal.SIGABRT, False, "crash"),
        (0, False, "crash"),
        (3, True, "crash"),
    ],
)
def test_the_exit_status_tells_who_ended_a_silent_worker(status, is_oom_kill, verdict):
    assert verdict_of_death(status, is_oom_kill=is_oom_kill) == verdict


@pytest.mark.parametrize(
    ("status", "is_oom_kill", "told"),
    [
        (-signal.SIGKILL, False, ("signal", "SIGKILL")),
        (-signal.SIGSEGV, False, ("crash", "SIGSEGV")),
        (-signal.SIGKILL, True, ("kernel_oom", None)),
        (3, False, ("crash", None)),
    ],
)
def test_the_signal_that_ended_a_worker_is_named_where_it_tells_more(
    status, is_oom_kill, told
):
    assert death(status, is_oom_kill=is_oom_kill) == told


def test_an_abort_over_a_failed_allocation_is_a_stop_for_memory():
    said = "terminate called after throwing an instance of 'std::bad_alloc'"
    died = verdict_of_death(-signal.SIGABRT, is_oom_kill=False, last=said)
    assert died == "ram_limit"
