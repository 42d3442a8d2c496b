"""Signals that are to reach a program of the user's, each once.

Whoever sends one to this process means the program. A terminal sends its own (Ctrl-C,
a hang-up) to all processes in front, the program among them, as long as it shares
this process's group: those are not passed on. Which is which only the kernel tells, in
what comes with a signal; a handler does not see that, so the signals are held back and
asked for.

Where there is no terminal the program has a group of its own, and what is sent to
this process's whole group (by `timeout`, by a batch system) reaches it once, from here.
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lowmem.base.stop_signals import STOP_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

PASSED_ON = (*STOP_SIGNALS, signal.SIGQUIT)
# `si_code` of what a process has sent; the kernel's own are above.
_SENT_BY_A_PROCESS = 0


@contextmanager
def held_back() -> Iterator[None]:
    """Hold back what is passed on for a block, in this thread and those that it starts."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


@contextmanager
def as_by_hand() -> Iterator[list[int]]:
    """Let a program that is started in a block hear all signals; give those that came.

    They came to this process before there was anybody to pass them on to.
    """
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    former = {
        number: signal.signal(number, note)
        for number in PASSED_ON
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    try:
        yield came
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in former.items():
            signal.signal(number, handler)


def next_heard(*, is_grouped: bool) -> tuple[int, bool] | None:
    """Return a signal that has come, and whether to pass it on; None if none has.

    Parameters
    ----------
    is_grouped
        Whether the program has a group of its own.
    """
    found = signal.sigtimedwait(PASSED_ON, 0)
    if found is None:
        return None
    is_ours_alone = found.si_code <= _SENT_BY_A_PROCESS
    is_limit = found.si_signo == signal.SIGXCPU
    return found.si_signo, is_grouped or is_ours_alone or is_limit


def has_terminal() -> bool:
    """Return whether this process belongs to a terminal."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    os.close(descriptor)
    return True
