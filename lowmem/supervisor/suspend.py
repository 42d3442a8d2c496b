"""Ctrl-Z and its like, taken so that a job stands still while nobody watches it.

A terminal sends SIGTSTP to the supervisor alone, since a worker has a session of its
own: the watch would stop, and the job go on. So the signal is noted, the job's processes
are stopped, and only then does this process stop, by the signal's own action, as its
shell expects. SIGCONT (``fg``, ``bg``) comes back here, and the job is let go.

Not covered: SIGSTOP, which no process can catch. A supervisor that somebody stops by it
watches nothing until it is continued; until then each process of a job on the CPU keeps
the limit of private memory that it was last given, and shared memory and new processes
have none. Its first reading after that kills what is over the budget.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from lowmem.base.clock import Clock
    from lowmem.memory.process_tree import TreeSampler
    from lowmem.supervisor.processes import Worker

    _Handler = Callable[[int, FrameType | None], object] | int | None

# Ctrl-Z; and what a process in the background gets for reading from, or writing to, a
# terminal that is not its own.
_SIGNALS = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
# A stop takes effect once a process is about to leave the kernel: so often it is asked.
_ROUNDS = 200
_ROUND_S = 0.002
WOKEN = "its worker had been stopped, and continues; Ctrl-Z stops a run as a whole"


class Suspension:
    """Takes the signals that stop a process; a context manager that owns the handlers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: int | None = None
        self._has_woken = False
        self._former: dict[signal.Signals, _Handler] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                # Who ignores them, or has a use for them, goes on to.
                if signal.getsignal(number) is signal.SIG_DFL:
                    self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        if self._asked is not None:
            # It came when there was nothing left to hold.
            signal.raise_signal(self._asked)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._asked = number

    def heed(self, tree: TreeSampler) -> None:
        """If this process is to stop: hold the job, stop, and go on with it later."""
        if self._asked is None:
            return
        with contextlib.ExitStack() as held:
            for _ in range(_ROUNDS):
                held.enter_context(tree.held())
                if tree.is_still():
                    break
                self._clock.sleep(_ROUND_S)
            self._stop(self._asked)
            self._asked = None

    def wake(self, worker: Worker) -> bool:
        """Let a worker go on that was stopped; return whether to say so: once.

        Nobody else would, and the run would hang.
        """
        is_first = worker.wake() and not self._has_woken
        self._has_woken |= is_first
        return is_first

    def _stop(self, number: int) -> None:
        """Do what the signal does by default; return when this process is continued."""
        signal.signal(number, signal.SIG_DFL)
        # To this thread, so that nothing more is done before it takes effect.
        signal.pthread_kill(threading.get_ident(), number)
        signal.signal(number, self._note)
