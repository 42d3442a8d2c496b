"""The watching process as its parent sees it: start, orders, what it says, end."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from typing import TYPE_CHECKING, Literal, Self

from lowmem.base.errors import InternalError
from lowmem.inline.messages import Breached, Ended, Ready, word_from_line

if TYPE_CHECKING:
    from types import TracebackType

    from lowmem.inline.messages import AnyWord

_PIPE_READ_BYTES = 2**16
# seconds; starting it took 0.15, on a busy machine 1.
_START_S = 60.0
# seconds; ending it took 0.01, with processes to kill 0.1.
_END_S = 20.0


class Watch:
    """One watching process; a context manager that owns it and the pipes to it.

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
        self._buffer = b""
        self._has_begun = False
        arguments = [os.getpid(), budget_bytes, signal_number, mode]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lowmem.inline.watcher", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            # Ctrl-C in a terminal, and Jupyter's interrupt, reach the whole group.
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        self._output = self._process.stdout

    def __enter__(self) -> Self:
        try:
            # A signal of its own may come, and be heard, before its first word is taken.
            while not self._has_begun and self._take_in(_START_S):
                pass
        finally:
            if not self._has_begun:
                self._reap()
        if not self._has_begun:
            raise InternalError(problem="the watching process did not begin")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def fileno(self) -> int:
        """Return the descriptor that is readable when there is something to `take`."""
        return self._output.fileno()

    def order(self, words: str) -> None:
        """Give an order; see `watcher`."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(words.encode() + b"\n")

    def take(self) -> Breached | None:
        """Return a breach that was not taken yet, without waiting."""
        before = self.breached
        while self._take_in(0.0):
            pass
        return None if self.breached is before else self.breached

    def end(self) -> Ended | None:
        """End the watch and return its peaks; None if the watcher was killed."""
        if self._process.returncode is None:
            self.order("end")
            try:
                while self.ended is None and self._take_in(_END_S):
                    pass
            finally:
                self._reap()
        return self.ended

    def _next(self, timeout_s: float) -> AnyWord | None:
        while b"\n" not in self._buffer:
            if not self._fill(timeout_s):
                return None
        line, _, self._buffer = self._buffer.partition(b"\n")
        return word_from_line(line)

    def _take_in(self, timeout_s: float) -> bool:
        """Take in one message; return whether there was one."""
        word = self._next(timeout_s)
        if isinstance(word, Ready):
            self.start_bytes, self._has_begun = word.ram_bytes, True
        elif isinstance(word, Breached):
            self.breached = word
        elif isinstance(word, Ended):
            self.ended = word
        return word is not None

    def _fill(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._output], [], [], timeout_s)
        data = os.read(self._output.fileno(), _PIPE_READ_BYTES) if ready else b""
        self._buffer += data
        return bool(data)

    def _reap(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.kill()
        self._process.wait()
