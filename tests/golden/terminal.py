"""What is seen of a command: in a window, as an emulator shows it, or in a pipe.

The emulator is pyte: no line of this repository says what an escape sequence does. What
is added is which rows the terminal itself broke, since they are one line of the program's.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import pyte

from tests.processes.lowmem_runs import PATIENCE_S, until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

# seconds; a training takes 10, or minutes on a machine with other things to do.
LONGEST_S = 3 * PATIENCE_S
# Of a usual window; the emulator's own is as high as all that was written.
_HEIGHT = 24
# A program that is told no width draws for this one.
_UNTOLD = 80
_CTRL_C = "\x03"
# The key's echo falls wherever the cursor is just then.
_ECHO = "^C"


class Emulator(pyte.Screen):
    """A screen that knows which of its rows the terminal broke for want of columns."""

    def __init__(self, columns: int, lines: int) -> None:
        self._is_drawing = False
        self._continued: set[int] = set()
        super().__init__(columns, lines)

    def draw(self, data: str) -> None:
        # Begun at its first column, a row is a new line, however the cursor came there.
        if self.cursor.x == 0:
            self._continued.discard(self.cursor.y)
        self._is_drawing = True
        super().draw(data)
        self._is_drawing = False

    def linefeed(self) -> None:
        super().linefeed()
        keep = self._continued.add if self._is_drawing else self._continued.discard
        keep(self.cursor.y)

    def written(self) -> list[str]:
        """Return the lines that were written, whole, down to the last that is not empty."""
        lines: list[str] = []
        for number, row in enumerate(self.display):
            if number in self._continued:
                lines[-1] += row
            else:
                lines.append(row)
        return "\n".join(line.rstrip() for line in lines).rstrip("\n").split("\n")


def emulated(text: str, columns: int) -> list[str]:
    """Return the lines that a window shows once a text was written to it."""
    return replayed(text, columns, ())


@dataclass(frozen=True, slots=True)
class Resized:
    """A window got another width after so many characters had come."""

    after: int
    columns: int


def replayed(text: str, columns: int, changes: Sequence[Resized]) -> list[str]:
    """Return what a window shows whose width has changed in between.

    A window that grows has grown before anybody can draw for it. One that shrinks has
    shrunk before the first line that is drawn for its new width; what came since the
    change was drawn for the former one.
    """
    narrowest = min([columns, *(change.columns for change in changes)])
    # So high that nothing of what is written ever leaves it.
    screen = Emulator(columns, text.count("\n") + len(text) // narrowest + 2)
    stream = pyte.Stream(screen)
    fed = 0
    for change in changes:
        end = change.after
        if change.columns < screen.columns:
            end = _first_that_fits(text, end, change.columns)
        stream.feed(text[fed:end])
        screen.resize(columns=change.columns)
        fed = end
    stream.feed(text[fed:])
    return screen.written()


def _first_that_fits(text: str, after: int, columns: int) -> int:
    """Return where the first line drawn anew begins that is no wider than so much."""
    for drawn in re.finditer(r"\r([^\r\n]*)", text[after:]):
        if 0 < len(drawn[1].rstrip()) <= columns:
            return after + drawn.start()
    return len(text)


@dataclass(slots=True)
class _Reader:
    """Keeps all that comes from a descriptor, until its other end is closed."""

    source: int
    _data: bytes = b""
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while data := os.read(self.source, 65536):
                self._data += data
        except OSError:  # A terminal that nobody holds any more.
            return

    @property
    def text(self) -> str:
        return self._data.decode(errors="replace")

    def end(self) -> str:
        self._thread.join(LONGEST_S)
        assert not self._thread.is_alive(), "something still holds the terminal"
        os.close(self.source)
        return self.text


@dataclass(slots=True)
class Shown:
    """A command under way, in a window or in a pipe; it is killed when the block ends.

    Attributes
    ----------
    columns
        Of its window, 0 where that tells none; None for a pipe.
    """

    process: subprocess.Popen[bytes]
    columns: int | None
    _reader: _Reader
    _changes: list[Resized] = field(default_factory=list)

    @classmethod
    def start(
        cls,
        line: Sequence[str],
        columns: int | None,
        *,
        cwd: Path,
        env: Mapping[str, str],
    ) -> Shown:
        """Start a command; a window is its controlling terminal, as a shell's is."""
        if columns is None:
            ours, its = os.pipe()
            words, source = [*line], subprocess.DEVNULL
        else:
            ours, its = pty.openpty()
            _tell_width(ours, columns)
            words, source = ["setsid", "--ctty", *line], its
        process = subprocess.Popen(
            words, stdin=source, stdout=its, stderr=its, cwd=cwd, env=dict(env)
        )
        os.close(its)
        return cls(process, columns, _Reader(ours))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def last_columns(self) -> int | None:
        """The width that its window has now; None for a pipe."""
        return self._changes[-1].columns if self._changes else self.columns

    @property
    def text(self) -> str:
        """All that was written so far, also what was drawn over."""
        return self._reader.text

    def wait_for(self, words: str) -> None:
        """Wait until something has been written, in however many lines."""
        until(
            lambda: self._has_said(words) or self.process.poll() is not None,
            patience_s=LONGEST_S,
        )
        assert self._has_said(words), self.text

    def _has_said(self, words: str) -> bool:
        return words in " ".join(self.text.split())

    def type(self, keys: str) -> None:
        """Press keys; the terminal makes of them what it does for a person."""
        os.write(self._reader.source, keys.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        if self.columns is None:
            self.process.send_signal(signal.SIGINT)
        else:
            self.type(_CTRL_C)

    def resize(self, columns: int) -> None:
        """Give the window another width, as a person does with the mouse."""
        self._changes.append(Resized(len(self.text), columns))
        _tell_width(self._reader.source, columns)

    def end(self) -> tuple[int, list[str]]:
        """Wait for the end; return the exit code and the lines that are seen."""
        status = self.process.wait(LONGEST_S)
        text = self._reader.end()
        if self.columns is None:
            return status, text.rstrip("\n").split("\n")
        # The echo counts where a change of width is to be found.
        text = text.replace(_ECHO, "") if not self._changes else text
        return status, replayed(text, self.columns or _UNTOLD, self._changes)


def _tell_width(terminal: int, columns: int) -> None:
    fcntl.ioctl(
        terminal, termios.TIOCSWINSZ, struct.pack("HHHH", _HEIGHT, columns, 0, 0)
    )
