"""The signals that ask a run to stop, and how a process keeps from dying of them.

People send INT (Ctrl-C), TERM and HUP; batch systems warn by USR1 or USR2 before they
end a job, and the kernel by XCPU once a limit of processor time is passed. They often
send to whole groups of processes, or to all of a job. So only the supervisor acts upon
them: whatever it starts is started with them withheld, which lasts through `exec`.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a batch system, or the kernel, announces an end by; each may come many times.
WARNINGS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, *WARNINGS)


@contextmanager
def withheld() -> Iterator[None]:
    """Hold back all signals to stop for a block; what it starts never gets them.

    Those that come meanwhile are delivered at its end. A program that is started inside
    keeps them withheld until it lets them through itself; SIGKILL ends it as ever.
    """
    former = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Handle signals to stop as before, once a block is over whose library has its own.

    Set again even where Python knows of no change: a library of C++ does not tell it.
    """
    former = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            if handler is not None:
                signal.signal(number, handler)


def withhold() -> None:
    """Hold back all signals to stop from here on, across `exec` too."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def let_through() -> None:
    """Let signals to stop come, those too that were held back."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
