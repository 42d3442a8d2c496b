"""The one reader of a process in /proc: whole texts, whatever their length and its state.

Three things fool a reader that takes the first 4,096 bytes of ``status`` at their word. A
process in some hundred groups has them listed before its memory. A process whose first
thread has ended while others live shows no memory at all, and is there nevertheless;
what it has is in the status of any thread that lives. And a process may call itself
``RssAnon: 0 kB``: a field counts only at the beginning of a line, which no name can hold.

Gone is a process when the kernel says so: its descriptor finds none, or it is a zombie
without threads. Whatever else shows no memory has none for the moment, and stays.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PROC = Path("/proc")
# What a status has mostly less than; where it does not, more is read from then on.
_TEXT_BYTES = 4096
_KIB = 1024
_ENDED = (b"Z", b"X")
# Threads may end while they are looked at: so often, until one is met alive.
_ROUNDS = 8
# Fields of ``stat`` behind the command name.
_STATE, _PARENT, _STARTED = 0, 1, 19


def field_bytes(text: bytes, name: bytes, start: int = 0) -> int:
    r"""Return one ``kB`` field of a /proc text in bytes; 0 where it is absent.

    Parameters
    ----------
    start
        Where to begin, if it is known to come later.

    Examples
    --------
    >>> field_bytes(b"Name:\tRssAnon: 0 kB\nRssAnon:\t   3 kB\n", b"RssAnon:")
    3072
    """
    place = text.find(b"\n" + name, start)
    if place < 0:
        return 0
    place += 1 + len(name)
    return int(text[place : place + 20].split(None, 1)[0]) * _KIB


def stat_fields(pid: int) -> list[bytes]:
    """Return the fields of ``stat`` behind the command name; empty once it has gone.

    Raises
    ------
    PermissionError
        If /proc hides the process.
    """
    # Each new process of the whole machine is asked: a plain read is a third of the cost.
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except (FileNotFoundError, ProcessLookupError):
        return []
    try:
        stat = os.read(descriptor, _TEXT_BYTES)
    except ProcessLookupError:
        return []
    finally:
        os.close(descriptor)
    # The command name may hold spaces, brackets and line ends: count from the last bracket.
    return stat.rpartition(b")")[2].split()


def parent_of(pid: int) -> int | None:
    """Return the parent of a process, 0 for none that can be seen; None once it has gone."""
    try:
        fields = stat_fields(pid)
    except OSError:  # Hidden: another user's.
        return 0
    return int(fields[_PARENT]) if fields else None


def has_stopped(pid: int) -> bool:
    """Return whether a process is stopped, as by SIGSTOP, has ended, or has gone."""
    with contextlib.suppress(OSError):
        fields = stat_fields(pid)
        return not fields or fields[_STATE] in (b"T", b"t", *_ENDED)
    return True


def command_of(pid: int) -> str:
    """Return the words that a process was started with, or what it calls itself.

    The program by its last name alone; empty once it has gone.
    """
    folder = PROC / str(pid)
    with contextlib.suppress(OSError):
        words = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        words[0] = words[0].rpartition(b"/")[2] or (folder / "comm").read_bytes()
        return b" ".join(words).strip().decode(errors="replace")
    return ""


def catches(pid: int, number: int) -> bool:
    """Return whether a process handles a signal; False once it has gone."""
    try:
        status = (PROC / str(pid) / "status").read_bytes()
    except OSError:
        return False
    return bool(int(_word(status, b"\nSigCgt:") or b"0", 16) >> (number - 1) & 1)


@dataclass(slots=True)
class StatusFile:
    """The status of one process; it stays true even if the process's id is reused.

    Attributes
    ----------
    descriptor
        Of the process's own status; -1 where it is opened for each reading, and the
        process told from a later one of its id by when it was started.
    """

    pid: int
    descriptor: int
    _started: bytes = b""
    _thread: int = -1
    _thread_id: str = ""
    _n_bytes: int = _TEXT_BYTES

    @classmethod
    def find(cls, pid: int, *, is_kept_open: bool = True) -> Self | None:
        """Return that of a live process, else None."""
        if is_kept_open:
            try:
                return cls(pid, os.open(f"/proc/{pid}/status", os.O_RDONLY))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                return None
            except OSError:
                pass  # Too many files are open: it must be counted all the same.
        with contextlib.suppress(PermissionError):
            started = _started(pid)
            return cls(pid, -1, started) if started else None
        return None

    @property
    def folder(self) -> Path:
        """Where the files of a thread are that has memory."""
        whole = PROC / str(self.pid)
        return whole / "task" / self._thread_id if self._thread_id else whole

    def read(self) -> bytes | None:
        """Return the text with the memory of the process; None once it has gone.

        Without memory lines if there is none just now: a process that is about to end.
        """
        if self._thread >= 0 or self.descriptor < 0:
            return self._looked_for()
        try:
            text = os.pread(self.descriptor, self._n_bytes, 0)
        except ProcessLookupError:
            return None
        if b"\nRssAnon:" in text and len(text) < self._n_bytes:
            return text
        return self._looked_for()

    def _looked_for(self) -> bytes | None:
        """Return the text of the process, or of a living thread if its first has ended."""
        text: bytes | None = b""
        for _ in range(_ROUNDS):
            text = self._thread_text() or self._own_text()
            if text is None or b"\nRssAnon:" in text:
                return text
            if _has_ended(text):
                return None
            self._find_thread()
            if self._thread < 0:
                break
        return text

    def _own_text(self) -> bytes | None:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if self.descriptor >= 0:
                return self._whole(self.descriptor)
            if _started(self.pid) == self._started:
                descriptor = os.open(f"/proc/{self.pid}/status", os.O_RDONLY)
                try:
                    return self._whole(descriptor)
                finally:
                    os.close(descriptor)
        return None

    def _thread_text(self) -> bytes:
        """Return the text of the thread that was read last; empty once that has ended."""
        if self._thread < 0:
            return b""
        with contextlib.suppress(ProcessLookupError):
            text = self._whole(self._thread)
            if b"\nRssAnon:" in text:
                return text
        self._forget_thread()
        return b""

    def _find_thread(self) -> None:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for name in os.listdir(f"/proc/{self.pid}/task"):  # noqa: PTH208 - see stat_fields
                if name == str(self.pid):
                    continue
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    path = f"/proc/{self.pid}/task/{name}/status"
                    self._thread, self._thread_id = os.open(path, os.O_RDONLY), name
                    if self._thread_text():
                        return

    def _whole(self, descriptor: int) -> bytes:
        """Return a text whole, and remember how long it was."""
        while len(text := os.pread(descriptor, self._n_bytes, 0)) == self._n_bytes:
            self._n_bytes *= 2
        return text

    def _forget_thread(self) -> None:
        if self._thread >= 0:
            os.close(self._thread)
        self._thread, self._thread_id = -1, ""

    def close(self) -> None:
        """Forget the process."""
        self._forget_thread()
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _started(pid: int) -> bytes:
    """Return when a process was started, in the kernel's ticks; empty once it has gone."""
    fields = stat_fields(pid)
    return fields[_STARTED] if fields else b""


def _has_ended(status: bytes) -> bool:
    """Return whether nothing of a process is left but its exit status."""
    state = _word(status, b"\nState:")
    return state[:1] in _ENDED and int(_word(status, b"\nThreads:") or b"0") <= 1


def _word(status: bytes, name: bytes) -> bytes:
    place = status.find(name) + len(name)
    return status[place : place + 20].split(None, 1)[0] if place >= len(name) else b""
