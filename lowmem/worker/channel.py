"""The worker's ends of the pipes: answers go up, orders come down."""

from __future__ import annotations

import io
import os
import queue
import sys
import threading
from typing import TYPE_CHECKING, TextIO

from lowmem.protocol.messages import (
    Committed,
    Drain,
    Logged,
    Proceed,
    Progressed,
    line_from_message,
    order_from_line,
)

if TYPE_CHECKING:
    from typing import BinaryIO

    from lowmem.base.clock import Clock
    from lowmem.protocol.messages import Cycle, Message, Order

# seconds; a person cannot read more, and each message wakes the supervisor.
_PROGRESS_INTERVAL_S = 1.0


class Channel:
    """Messages to and from the supervisor; satisfies most of `cycles.Overseer`."""

    def __init__(self, requests: BinaryIO, answers_fd: int, clock: Clock) -> None:
        self._requests = requests
        self._answers_fd = answers_fd
        self._clock = clock
        self._sending = threading.Lock()
        self._drain = threading.Event()
        self._verdicts: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._next_progress = 0.0

    def read_request(self) -> bytes:
        """Return the one request, as a line; empty if the supervisor has gone."""
        return self._requests.readline()

    def listen(self) -> None:
        """Take orders from here on, in a thread of its own."""
        threading.Thread(target=self._listen, name="lowmem-orders", daemon=True).start()

    def _listen(self) -> None:
        for line in self._requests:
            order = order_from_line(line)
            if isinstance(order, Drain):
                self._drain.set()
            else:
                self._verdicts.put(order)
        self._verdicts.put(None)

    def send(self, message: Message) -> None:
        """Send one message; the process ends if the supervisor has gone."""
        data = line_from_message(message)
        try:
            with self._sending:
                while data:
                    data = data[os.write(self._answers_fd, data) :]
        except BrokenPipeError:
            os._exit(1)

    def forked(self) -> None:
        """Forget, in a forked child, a lock that a thread of the parent may hold."""
        self._sending = threading.Lock()

    def is_draining(self) -> bool:
        """Return whether the supervisor waits for the next commit."""
        return self._drain.is_set()

    def committed(self, cycle: Cycle, returned_bytes: int) -> bool:
        """Report a commit and wait for the answer; False means to leave."""
        self._drain.clear()
        self.send(Committed(cycle=cycle, ram_returned_bytes=returned_bytes))
        return isinstance(self._verdicts.get(), Proceed)

    def show_line(self, text: str) -> None:
        """Show one line to the user."""
        self.send(Logged(text=text))

    def keep_line(self, text: str) -> None:
        """Show one line to the user, and have it kept in the report."""
        self.send(Logged(text=text, is_kept=True))

    def show_progress(self, done: int, total: int | None, note: str) -> None:
        """Show how far the job is, at most once a second and at its end."""
        now = self._clock.monotonic()
        if now >= self._next_progress or done == total:
            self._next_progress = now + _PROGRESS_INTERVAL_S
            self.send(Progressed(done=done, total=total, note=note))


class LineForwarder(io.TextIOBase):
    """A text stream that sends what a job prints to the user, line by line.

    It is no terminal: progress bars are drawn by the supervisor.
    """

    encoding = "utf-8"
    # `typing.override`, which mypy would have here, came with Python 3.12.

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel
        self._rest = ""

    def write(self, text: str) -> int:  # type: ignore[explicit-override]
        """Send every whole line of ``text``."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._channel.show_line(line)
        return len(text)

    def flush(self) -> None:  # type: ignore[explicit-override]
        """Send what is left of a line."""
        if self._rest:
            self._channel.show_line(self._rest)
            self._rest = ""


def forward_prints(channel: Channel) -> None:
    """Let ``print`` in a job reach the user; the C library's output goes to the log."""
    stream: TextIO = LineForwarder(channel)  # type: ignore[assignment]
    sys.stdout = stream
