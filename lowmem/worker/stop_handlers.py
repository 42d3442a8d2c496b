"""Signals to stop are the supervisor's: a worker that gets one too goes on.

SLURM and others signal every process of a job at once. A worker that died of that could
not commit; its supervisor hears it as well and asks for the commit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING

from lowmem.base.stop_signals import STOP_SIGNALS, let_through

if TYPE_CHECKING:
    from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGHUP)


def leave_stops_to(supervisor_pid: int) -> None:
    """Survive signals to stop, and pass on the one that only this process gets.

    A limit of processor time counts each process by itself, and the worker is the one
    that uses it up.
    """

    def pass_on(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(supervisor_pid, number)

    # Handlers and not SIG_IGN, which programs that the job starts would inherit: they
    # could not be ended by SIGTERM.
    for number in STOP_SIGNALS:
        signal.signal(number, pass_on if number == signal.SIGXCPU else _go_on)
        # System calls of libraries are not to be interrupted.
        signal.siginterrupt(number, False)  # noqa: FBT003 - the call's own form
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _let_forks_be_ended()
    let_through()


def _go_on(_number: int, _frame: FrameType | None) -> None:
    """Do nothing."""


def _let_forks_be_ended() -> None:
    """Let a forked child be ended as any process, as `multiprocessing` ends its own.

    One that comes before the child has its handlers waits until it has: Python drops
    what comes between.
    """
    thread = threading.local()

    def hold() -> None:
        thread.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, thread.mask)

    def as_any_process() -> None:
        for number in _ENDING:
            signal.signal(number, signal.SIG_DFL)
        release()

    os.register_at_fork(
        before=hold, after_in_parent=release, after_in_child=as_any_process
    )
