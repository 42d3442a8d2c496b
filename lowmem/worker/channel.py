"""The worker's ends of the pipes: answers go up, orders come down."""

from __future__ import annotations

import contextlib
import io
import os
import queue
import sys
import threading
from typing import TYPE_CHECKING, TextIO

from msgspec.structs import replace

from lowmem.base.parent import say
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
    from lowmem.protocol.messages import Cycle, Failed, Message, WorkerOrder

# seconds; a person cannot read more, and each message wakes the supervisor.
_PROGRESS_INTERVAL_S = 1.0
# What a job prints on one line, or notes, is cut here. The message is then shorter than
# what a pipe takes whole (4,096 bytes), so that no other process's gets into its midst.
LONGEST_LINE = 3_000
# What it says of its failure, and each half of a traceback.
LONGEST_ERROR = 30_000


class Channel:
    """Messages to and from the supervisor; satisfies most of `cycles.Overseer`."""

    def __init__(self, requests: BinaryIO, answers_fd: int, clock: Clock) -> None:
        self._requests = requests
        self._answers_fd = answers_fd
        self._clock = clock
        self._sending = threading.Lock()
        self._drain = threading.Event()
        self._verdicts: queue.SimpleQueue[WorkerOrder | None] = queue.SimpleQueue()
        self._next_progress = 0.0
        self._next_epoch = 0.0
        self._unsent: Progressed | None = None

    @classmethod
    def of_this_process(cls, answers_fd: int, clock: Clock) -> Channel:
        """Return the channel over standard input, which is the job's no longer.

        A job that reads its input, or closes it, must not take the supervisor's orders
        with it: it finds the input at its end.
        """
        own = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        return cls(os.fdopen(own, "rb"), answers_fd, clock)

    def read_request(self) -> bytes:
        """Return the one request, as a line; empty if the supervisor has gone."""
        return self._requests.readline()

    def listen(self) -> None:
        """Take orders from here on, in a thread of its own."""
        threading.Thread(target=self._listen, name="lowmem-orders", daemon=True).start()

    def _listen(self) -> None:
        # A job may close what is not its own: it then leaves at its next commit.
        with contextlib.suppress(OSError, ValueError):
            for line in self._requests:
                order = order_from_line(line)
                if isinstance(order, Drain):
                    self._drain.set()
                else:
                    self._verdicts.put(order)
        self._verdicts.put(None)

    def send(self, message: Message) -> None:
        """Send one message; the process ends if the supervisor has gone."""
        with self._sending:
            say(self._answers_fd, line_from_message(message))

    def fail(self, failure: Failed) -> None:
        """Send why the job cannot go on, in a length that can be read."""
        message = cut_middle(failure.message, LONGEST_LINE)
        traceback = cut_middle(failure.traceback)
        self.send(replace(failure, message=message, traceback=traceback))

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

    def show_line(self, text: str, *, n_dropped: int = 0) -> None:
        """Show one line to the user, cut at `LONGEST_LINE` bytes; see `cut`."""
        self.send(Logged(text=cut(text, n_dropped=n_dropped)))

    def keep_line(self, text: str) -> None:
        """Show one line to the user, cut likewise, and have it kept in the report."""
        self.send(Logged(text=cut(text), is_kept=True))

    def show_progress(self, done: int, total: int | None, note: str) -> None:
        """Show how far the job is, at most once a second, at its end and an epoch's."""
        now = self._clock.monotonic()
        former, message = self._unsent, Progressed(done=done, total=total, note=note)
        self._unsent = message
        if former is not None and now >= self._next_epoch and _is_next(former, message):
            # It alone has what the whole epoch came to.
            self._next_epoch = now + _PROGRESS_INTERVAL_S
            self._send_progress(former)
        if now >= self._next_progress or done == total:
            self._next_progress = now + _PROGRESS_INTERVAL_S
            self._unsent = None
            self._send_progress(message)

    def _send_progress(self, message: Progressed) -> None:
        self.send(replace(message, note=cut(message.note)))


def _is_next(former: Progressed, message: Progressed) -> bool:
    """Return whether a note names another epoch than the one before it."""
    before, after = (one.note.partition(",")[0] for one in (former, message))
    return before.startswith("epoch ") and before != after


def cut(text: str, longest: int = LONGEST_LINE, *, n_dropped: int = 0) -> str:
    """Return a text, what is beyond ``longest`` bytes of it replaced by its length.

    What no encoding can hold, a lone surrogate, becomes a question mark.

    Parameters
    ----------
    n_dropped
        Characters of it that were left out before.

    Examples
    --------
    >>> cut("ab" * 10, longest=6)
    'ababab ... [14 more characters]'
    """
    kept, size = [], 0
    for character in text[: longest + 1]:
        size += _size(character)
        if size > longest:
            break
        kept.append(character)
    whole = "".join(kept).encode(errors="replace").decode()
    n_more = len(text) - len(kept) + n_dropped
    return f"{whole} ... [{n_more:,} more characters]" if n_more else whole


def cut_middle(text: str, longest: int = LONGEST_ERROR) -> str:
    """Return the beginning and the end of a text, each of at most so many characters."""
    text = text.encode(errors="replace").decode()
    if len(text) <= 2 * longest:
        return text
    n_left = len(text) - 2 * longest
    return f"{text[:longest]}\n... [{n_left:,} characters]\n{text[-longest:]}"


def _size(character: str) -> int:
    """Return the bytes that a character takes in a message."""
    if character in '"\\':
        return 2
    return 6 if character < " " else len(character.encode(errors="replace"))


class LineForwarder(io.TextIOBase):
    """A text stream that sends what a job prints to the user, line by line.

    It is no terminal: progress bars are drawn by the supervisor. Of a line that does not
    end, no more is kept than is shown.
    """

    encoding = "utf-8"
    # `typing.override`, which mypy would have here, came with Python 3.12.

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel
        self._rest = ""
        self._n_dropped = 0

    def write(self, text: str) -> int:  # type: ignore[explicit-override]
        """Send every whole line of ``text``."""
        place = 0
        while (end := text.find("\n", place)) >= 0:
            self._keep(text, place, end)
            self._send()
            place = end + 1
        self._keep(text, place, len(text))
        return len(text)

    def flush(self) -> None:  # type: ignore[explicit-override]
        """Send what is left of a line."""
        if self._rest:
            self._send()

    def _keep(self, text: str, start: int, end: int) -> None:
        room = max(0, LONGEST_LINE - len(self._rest))
        self._rest += text[start : min(end, start + room)]
        self._n_dropped += max(0, end - start - room)

    def _send(self) -> None:
        self._channel.show_line(self._rest, n_dropped=self._n_dropped)
        self._rest, self._n_dropped = "", 0


def forward_prints(channel: Channel) -> None:
    """Let ``print`` in a job reach the user; the C library's output goes to the log."""
    stream: TextIO = LineForwarder(channel)  # type: ignore[assignment]
    sys.stdout = stream
