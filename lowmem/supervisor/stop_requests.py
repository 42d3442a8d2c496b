"""Requests to stop: which signals came, counted."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Self

from lowmem.base.clock import Clock, SystemClock
from lowmem.base.stop_signals import STOP_SIGNALS, WARNINGS

_Handler = Callable[[int, FrameType | None], object] | int | None

# seconds. `timeout`, and others that send to a process and then to its group, send the
# same signal twice at once; a person's second Ctrl-C comes later than that.
_ECHO_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What signals have asked for so far.

    Attributes
    ----------
    count
        Requests, echoes and repeated warnings left out.
    demands
        Those of them that were no mere warnings.
    by
        Name of the signal that asked last; empty before the first.
    at_s
        Monotonic time of that signal.
    """

    count: int = 0
    demands: int = 0
    by: str = ""
    at_s: float = 0.0

    def after(self, number: int, at_s: float) -> Heard:
        """Return what is asked for once a signal has come.

        The first request stops a job at its next commit, whatever asks. A warning says
        nothing new after that: XCPU comes each second. A second demand is a user who
        will not wait.
        """
        name = signal.Signals(number).name
        is_warning = number in WARNINGS
        is_echo = name == self.by and at_s - self.at_s < _ECHO_S
        if is_echo or (is_warning and self.count):
            return self
        return Heard(
            count=self.count + 1,
            demands=self.demands + (not is_warning),
            by=name,
            at_s=at_s,
        )


@dataclass(slots=True)
class StopRequests:
    """Counts requests to stop; a context manager that owns the handlers.

    The first request stops the job at its next commit, a second demand at once.
    """

    clock: Clock = field(default_factory=SystemClock)
    _heard: Heard = field(default_factory=Heard)
    _came: deque[tuple[int, float]] = field(default_factory=deque)
    _former: dict[signal.Signals, _Handler] = field(default_factory=dict)

    @property
    def heard(self) -> Heard:
        """What they have asked for until now."""
        while self._came:
            self._heard = self._heard.after(*self._came.popleft())
        return self._heard

    @property
    def count(self) -> int:
        """How often a stop was asked for."""
        return self.heard.count

    @property
    def is_urgent(self) -> bool:
        """Whether whoever asks will not wait for a commit."""
        return self.heard.demands > 1

    @property
    def by(self) -> str:
        """Name of the signal that asked last; empty before the first."""
        return self.heard.by

    def __enter__(self) -> Self:
        self._former = handle_stops(lambda number, _: self.hear(number))
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def hear(self, number: int) -> None:
        """Take a signal: from a handler, which another signal's may interrupt."""
        # So nothing is read here that is written: what came is counted by who asks.
        self._came.append((number, self.clock.monotonic()))


def handle_stops(
    handler: Callable[[int, FrameType | None], object],
) -> dict[signal.Signals, _Handler]:
    """Have signals to stop handled, and return what handled them before.

    Those that are ignored stay so: ``nohup`` and its like ignore one on purpose.
    """
    former: dict[signal.Signals, _Handler] = {}
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            former[number] = signal.signal(number, handler)
    return former


def asked_by(name: str) -> str:
    """Return why a run ends that a signal has asked to.

    Examples
    --------
    >>> asked_by("SIGUSR1"), asked_by("")
    ('asked to, by SIGUSR1', 'asked to')
    """
    return f"asked to, by {name}" if name else "asked to"
