"""Let the supervisor run at once when it is due, however busy the machine is."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
# Of the worker, where the supervisor may not be raised: both then compete with the
# machine's other work, and the supervisor comes first.
_WORKER_NICENESS = 5
# seconds for which one thread of the supervisor may keep the interpreter from another:
# by default 5 ms, in which a job can fill 40 MB.
_SWITCH_S = 0.0001


@contextlib.contextmanager
def real_time_priority() -> Iterator[None]:
    """Take real-time priority where it is allowed, and stay in memory.

    The supervisor works for a fraction of a millisecond at a time, so nobody waits for
    it; a child starts with ordinary priority. Pages that it has touched are locked: of
    a machine that runs out of memory the kernel drops code first.
    """
    former, former_switch_s = os.sched_getscheduler(0), sys.getswitchinterval()
    libc = ctypes.CDLL(None)
    raise_thread()
    sys.setswitchinterval(_SWITCH_S)
    libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)
    try:
        yield
    finally:
        libc.munlockall()
        sys.setswitchinterval(former_switch_s)
        os.sched_setscheduler(0, former, os.sched_param(0))


def raise_thread() -> None:
    """Give the calling thread real-time priority, where it is allowed."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(
            0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1)
        )


def lower_priority(worker_pid: int) -> None:
    """Let a worker come after the supervisor, if that could not be raised itself."""
    if os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.setpriority(os.PRIO_PROCESS, worker_pid, _WORKER_NICENESS)
