"""Requests to stop: SIGINT and SIGTERM, counted."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_Handler = Callable[[int, FrameType | None], object] | int | None

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class StopRequests:
    """Counts requests to stop; a context manager that owns the handlers.

    The first request stops the job at its next commit, the second at once.
    """

    count: int = 0
    _former: dict[signal.Signals, _Handler] = field(default_factory=dict)

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            # ``nohup`` and its like ignore a signal on purpose.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
