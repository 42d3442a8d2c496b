"""The watching process as its parent sees it: start, orders, what it says, end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from lowmem.base.child import Child
from lowmem.base.errors import InternalError
from lowmem.inline.watcher_messages import (
    Breached,
    End,
    Ended,
    Ready,
    line_from_word,
    word_from_line,
)

if TYPE_CHECKING:
    from lowmem.inline.watcher_messages import AnyOrder

# seconds; starting it took 0.15, on a busy machine 1.
_START_S = 60.0
# seconds; ending it took 0.01, with processes to kill 0.1.
_END_S = 20.0


class WatcherProcess:
    """One watching process; a context manager that owns it.

    Attributes
    ----------
    start_bytes
        What was in use when it began, as the budget counts it.
    breached
        Set once the budget has been used up; see `take`.
    ended
        Peaks, once the watch is over.
    """

    def __init__(
        self,
        *,
        budget_bytes: int,
        mode: Literal["total", "growth"],
        signal_number: int = 0,
    ) -> None:
        self.start_bytes = 0
        self.breached: Breached | None = None
        self.ended: Ended | None = None
        self._has_begun = False
        self._child = Child("lowmem.inline.watcher", budget_bytes, signal_number, mode)

    def __enter__(self) -> Self:
        try:
            # A signal of its own may come, and be heard, before its first word is taken.
            while not self._has_begun and self._take_in(_START_S):
                pass
        finally:
            if not self._has_begun:
                self._child.end()
        if not self._has_begun:
            raise InternalError(problem="the watching process did not begin")
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def fileno(self) -> int:
        """Return the descriptor that is readable when there is something to `take`."""
        return self._child.fileno()

    def order(self, order: AnyOrder) -> None:
        """Give an order; nothing happens if the watcher has gone."""
        self._child.send(line_from_word(order))

    def take(self) -> Breached | None:
        """Return a breach that was not taken yet, without waiting."""
        before = self.breached
        while self._take_in(0.0):
            pass
        return None if self.breached is before else self.breached

    def end(self) -> Ended | None:
        """End the watch and return its peaks; None if the watcher was killed."""
        self.order(End())
        try:
            while self.ended is None and self._take_in(_END_S):
                pass
        finally:
            self._child.end()
        return self.ended

    def _take_in(self, timeout_s: float) -> bool:
        """Take in what has come; return whether there was anything."""
        lines = self._child.lines(timeout_s)
        for word in map(word_from_line, lines):
            if isinstance(word, Ready):
                self.start_bytes, self._has_begun = word.ram_bytes, True
            elif isinstance(word, Breached):
                self.breached = word
            else:
                self.ended = word
        return bool(lines)
