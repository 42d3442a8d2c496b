"""Run a command of a terminal within a notebook: its lines, and one line that is renewed.

The command gets a terminal of its own, so it shows its progress as often as it does in
any other; in a pipe it would show it twice a minute. What it renews by a carriage
return becomes one output that is renewed in its place: as part of the text each state
would stay in the notebook, some hundred thousand of them in a night. And if the kernel
ends, the terminal hangs up: lowmem commits and stops, as it does for a closed window.

Covers no movements of the cursor but the carriage return. Needs Linux.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
from typing import TYPE_CHECKING, Protocol

from lowmem.base.child import started

if TYPE_CHECKING:
    from collections.abc import Sequence

    from IPython.display import DisplayHandle

    from lowmem.base.child import Process

# lines and columns; about what a notebook shows without folding.
_WINDOW = (24, 100)
_READ_BYTES = 2**16
# seconds between two looks at whether the command has ended, if it says nothing.
_LOOK_S = 0.2
# The terminal becomes the command's own: only then does it hang up with the kernel.
_LOGIN = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"


def show(command: Sequence[str], shown: Written | None = None) -> int:
    """Run a command, its lines shown in the notebook; return its exit code.

    Parameters
    ----------
    command
        A program's full path, and its arguments.
    shown
        Takes what it writes, instead of the notebook.

    Notes
    -----
    An interrupt of the cell goes on to the command, as Ctrl-C does, and its end is
    waited for.
    """
    ours, its = pty.openpty()
    try:
        _prepare(its)
        line = [sys.executable, "-I", "-S", "-c", _LOGIN, *command]
        process = started(line, stdin=its, stdout=its, stderr=its, hears_stops=True)
        os.close(its)
        shown = shown or TerminalLines()
        while not _is_ended(process, ours, shown):
            pass
        shown.close()
        return process.wait()
    finally:
        os.close(ours)


def _prepare(terminal: int) -> None:
    """Give a terminal its size; it leaves the ends of lines as they are written."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *_WINDOW, 0, 0))
    settings = termios.tcgetattr(terminal)
    settings[1] &= ~termios.OPOST
    termios.tcsetattr(terminal, termios.TCSANOW, settings)


def _is_ended(process: Process, terminal: int, shown: Written) -> bool:
    """Show what there is; return whether there will be no more."""
    try:
        if not select.select([terminal], [], [], _LOOK_S)[0]:
            # A process that it left behind may hold the terminal open.
            return process.poll() is not None
        data = os.read(terminal, _READ_BYTES)
    except OSError:  # Nobody holds the other end.
        return True
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        return False
    shown.take(data)
    return False


class Written(Protocol):
    """Takes what a command writes to its terminal."""

    def take(self, data: bytes) -> None:
        """Take a part."""

    def close(self) -> None:
        """There is no more."""


class TerminalLines:
    """What a terminal shows: lines that stay, and the one that is being written."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._open = ""
        self._renewed = _Renewed()

    def take(self, data: bytes) -> None:
        """Show what the command wrote."""
        *whole, self._open = (self._open + self._decoder.decode(data)).split("\n")
        for line in whole:
            self._end(line)
        if "\r" in self._open:  # Else it is the beginning of a line that stays.
            self._renewed.show(after_returns(self._open))

    def close(self) -> None:
        """Show the last line, if it has no end."""
        if after_returns(self._open):
            self._end(self._open)

    def _end(self, line: str) -> None:
        text = after_returns(line)
        if self._renewed.is_shown and is_renewal(line):
            self._renewed.show(text)
            self._renewed.leave()
        else:
            sys.stdout.write(f"{text}\n")


def after_returns(line: str) -> str:
    """Return what is seen of a line once its carriage returns have been obeyed."""
    seen = ""
    for part in line.split("\r"):
        seen = part + seen[len(part) :]
    return seen.rstrip()


def is_renewal(line: str) -> bool:
    """Return whether a line's end is its own next state, not a line in its place.

    For a line in its place the renewed one is first overwritten with blanks.
    """
    _, *parts = line.split("\r")
    return bool(parts) and not any(part.isspace() for part in parts[-2:])


class _Renewed:
    """One output of a notebook, renewed in its place; nothing outside of one."""

    def __init__(self) -> None:
        self._text = ""
        self._handle: DisplayHandle | None = None

    @property
    def is_shown(self) -> bool:
        return self._handle is not None

    def show(self, text: str) -> None:
        """Have it hold this text."""
        if text == self._text or "IPython" not in sys.modules:
            return
        from IPython.core.getipython import get_ipython  # noqa: PLC0415 - it is loaded
        from IPython.display import display  # noqa: PLC0415

        if get_ipython() is None:
            return
        sys.stdout.flush()  # Else lines before it would come after it.
        content = {"text/plain": text}
        if self._handle is None:
            self._handle = display(  # type: ignore[no-untyped-call]
                content, raw=True, display_id=True
            )
        else:
            self._handle.update(  # type: ignore[no-untyped-call]
                content, raw=True
            )
        self._text = text

    def leave(self) -> None:
        """Leave it as it is: the next line is another."""
        self._text, self._handle = "", None
