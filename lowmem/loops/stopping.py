"""Whether somebody wants a loop to end: a signal, or its time is over.

The signals are taken over when this is asked first: a loop that never asks would not end
by them any more.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

from lowmem.base.stop_signals import STOP_SIGNALS

if TYPE_CHECKING:
    from types import FrameType

    from lowmem.base.clock import Clock

# Ctrl-C and a notebook's stop button are the interpreter's own.
HEARD = tuple(number for number in STOP_SIGNALS if number != signal.SIGINT)
# Batch systems send these again and again; the others are sent twice by who means it.
_ONCE = (signal.SIGTERM, signal.SIGHUP)


class Stopping:
    """Hears the signals to stop from the first question on, until `release`.

    Parameters
    ----------
    time_s
        Seconds from now after which the loop is to end; None for no end.
    """

    def __init__(self, clock: Clock, time_s: float | None) -> None:
        self._clock = clock
        self._ends_at = None if time_s is None else clock.monotonic() + time_s
        self._former: dict[int, Any] = {}
        # Forked children inherit the handlers, and are not who is asked to end.
        self._hears_in: int | None = None
        self._is_heard = False

    def is_asked(self) -> bool:
        """Return whether the loop is to end."""
        is_main = threading.current_thread() is threading.main_thread()
        if self._hears_in is None and is_main:
            self._take_over()
        is_over = self._ends_at is not None and self._clock.monotonic() >= self._ends_at
        return self._is_heard or is_over

    def release(self) -> None:
        """Leave the signals to whoever had them."""
        for number, former in self._former.items():
            # Somebody may have taken them over since.
            if signal.getsignal(number) == self._hear:
                signal.signal(number, former)
        self._hears_in = None

    def _take_over(self) -> None:
        self._hears_in = os.getpid()
        for number in HEARD:
            former = signal.getsignal(number)
            # Ignored on purpose, as by nohup, or taken by a library in C.
            if former not in {signal.SIG_IGN, None}:
                self._former[number] = former
                signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        former = self._former[number]
        is_ours = self._hears_in == os.getpid()
        self._is_heard = self._is_heard or is_ours
        if number in _ONCE or not is_ours:
            signal.signal(number, former)
        if callable(former):
            former(number, frame)
        elif not is_ours:
            # What the system does by default, nobody else can do.
            signal.raise_signal(number)
