"""Child processes: started, spoken to, killed and reaped. The one user of `subprocess`.

A `Child` is a Python module that runs beside this process:

    python -m MODULE ANSWERS_FD PARENT_PID ARGUMENTS

- It takes lines from its standard input, and answers by lines through a pipe that
  nothing else is written to. Pixels alone cross otherwise, in shared memory.
- It gets no signal that asks a run to stop, see `stop_signals`.
- It dies with the thread that started it, see `parent`; or where that must not be,
  ends with its input.
- It is ended by SIGKILL, and reaped here.

Not chosen: `multiprocessing`, which sends pickles.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from lowmem.base.clock import SystemClock
from lowmem.base.files import make_folder, storage_errors
from lowmem.base.lines import LONGEST_BYTES, Lines, one_line
from lowmem.base.stop_signals import withheld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

Process = subprocess.Popen[bytes]
Ended = subprocess.CompletedProcess[str]
PIPE, NOTHING = subprocess.PIPE, subprocess.DEVNULL
# What is printed to it may be seen by a person.
STANDARD_ERROR = 2

_PIPE_READ_BYTES = 2**16
# seconds between two looks for processes that were killed.
_REAP_S = 0.002
# seconds for a killed child to go: one that waits for a dead mount may never.
_GONE_WITHIN_S = 5.0
_clock = SystemClock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended.

    Attributes
    ----------
    status
        Its exit status; negative is the number of the signal that killed it.
    peak_bytes
        The kernel's high-water mark of its resident memory, file-backed pages included,
        since it was last reset.
    """

    status: int
    peak_bytes: int


class Owned:
    """A process that was started here: signalled, killed and reaped by nobody else.

    Attributes
    ----------
    pid
        Its own until it is reaped.
    """

    def __init__(self, process: Process, *, has_group: bool) -> None:
        self._process = process
        self._has_group = has_group
        self._exit: Exit | None = None
        self.pid = process.pid
        # Readable once it has ended, even while a child of its keeps a pipe.
        self._pidfd = os.pidfd_open(self.pid)

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens if it has gone."""
        if self._exit is None:
            signal_all([self.pid], number)

    def has_exited(self) -> bool:
        """Return whether it has ended, without waiting and without reaping."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return (
            self._exit is not None or os.waitid(os.P_PID, self.pid, options) is not None
        )

    def kill(self) -> None:
        """Kill it, and its group where it has one; it is reaped by `wait`."""
        if self._exit is None:
            kill = os.killpg if self._has_group else os.kill
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(self.pid, signal.SIGKILL)

    def wait(self) -> Exit:
        """Wait for its end, reap it, and return how it ended."""
        if self._exit is None:
            self._before_waiting()
            _, status, usage = os.wait4(self.pid, 0)
            code = os.waitstatus_to_exitcode(status)
            # Reaped here, for its resource usage: Popen must not wait for it again.
            self._process.returncode = code
            self._exit = Exit(status=code, peak_bytes=usage.ru_maxrss * 1024)
            self._close()
        return self._exit

    def _before_waiting(self) -> None:
        """Do what lets it end."""

    def _close(self) -> None:
        os.close(self._pidfd)


class Child(Owned):
    """One module that runs beside this process; owns it and both pipes.

    A context manager: at its end the process is killed and reaped.

    Parameters
    ----------
    module
        Run as a program.
    arguments
        Of its command line, after the number of the pipe for its answers and that of
        this process.
    output
        A file, or an open descriptor, for what it and its libraries print.
    pass_fds
        Descriptors that it inherits.
    environment
        This process's own where None.
    is_apart
        Whether it has a session of its own: no key of a terminal reaches it then, and
        its whole group is killed with it.
    longest_bytes
        Of a line that it may send.

    Attributes
    ----------
    is_open
        Whether more lines may come.
    """

    def __init__(
        self,
        module: str,
        *arguments: object,
        output: Path | int = NOTHING,
        pass_fds: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        is_apart: bool = True,
        longest_bytes: int = LONGEST_BYTES,
    ) -> None:
        self._lines = Lines(longest_bytes)
        self.is_open = True
        with _opened(output) as stream:
            self._answers, its_end = os.pipe()
            words = ["-m", module, its_end, os.getpid(), *arguments]
            try:
                process = started(
                    [sys.executable, *map(str, words)],
                    stdin=PIPE,
                    stdout=stream,
                    stderr=stream,
                    pass_fds=(its_end, *pass_fds),
                    environment=environment,
                    is_apart=is_apart,
                )
            except OSError:
                os.close(self._answers)
                raise
            finally:
                os.close(its_end)
        super().__init__(process, has_group=is_apart)
        assert process.stdin is not None  # noqa: S101 - for the type checker
        self._orders = process.stdin
        os.set_blocking(self._orders.fileno(), False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def fileno(self) -> int:
        """Return the descriptor that is readable when there is something to take."""
        return self._answers

    def send(self, line: bytes, *, waits: bool = True) -> bool:
        """Send one line; return whether it went, which it does not where it has gone.

        Parameters
        ----------
        line
            With its end, and with no other within it.
        waits
            Whether to wait for room; else the line goes as a whole, or not at all.

        Raises
        ------
        ValueError
            If it is no line, or more than one; nothing was sent.
        """
        left = one_line(line)
        while left and not self._orders.closed:
            try:
                left = left[os.write(self._orders.fileno(), left) :]
            except BrokenPipeError:
                return False
            except BlockingIOError:
                if left is line and not waits:
                    return False
                if select.select([self._pidfd], [self._orders], [])[0]:
                    return False
        return not left

    def lines(self, timeout_s: float | None = 0.0) -> list[bytes]:
        """Return the lines that have arrived, waiting at most ``timeout_s``.

        Raises
        ------
        LineTooLongError
            If one does not end.
        """
        if not self.is_open:
            return []
        ready, _, _ = select.select([self._answers, self._pidfd], [], [], timeout_s)
        if ready and self._answers not in ready:
            # It has ended; its last line may have come after that was looked at.
            ready, _, _ = select.select([self._answers], [], [], 0)
            self.is_open = bool(ready)
        if not ready:
            return []
        data = os.read(self._answers, _PIPE_READ_BYTES)
        self.is_open = bool(data)
        return self._lines.take(data)

    @property
    def rest(self) -> bytes:
        """What has arrived of a line that has not ended."""
        return self._lines.rest

    def end(self) -> None:
        """Kill and reap it, unless it hangs in the kernel."""
        if self._orders.closed:
            return
        self.kill()
        give_up_at = _clock.monotonic() + _GONE_WITHIN_S
        while not self.has_exited() and _clock.monotonic() < give_up_at:
            _clock.sleep(_REAP_S)
        if self.has_exited():
            self.wait()
        else:
            self._close()

    def _before_waiting(self) -> None:  # type: ignore[explicit-override]
        self._orders.close()

    def _close(self) -> None:  # type: ignore[explicit-override]
        self.is_open = False
        self._orders.close()
        os.close(self._answers)
        super()._close()


@contextlib.contextmanager
def _opened(output: Path | int) -> Iterator[int]:
    """Give the descriptor of what a process prints to."""
    if isinstance(output, int):
        yield output
        return
    make_folder(output.parent)
    with storage_errors(output):
        stream = output.open("ab")
    with stream:
        yield stream.fileno()


def started(
    line: Sequence[str],
    *,
    stdin: int | None = NOTHING,
    stdout: int | None = NOTHING,
    stderr: int | None = NOTHING,
    pass_fds: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    is_apart: bool = False,
    is_grouped: bool = False,
    hears_stops: bool = False,
) -> Process:
    """Start a program.

    Parameters
    ----------
    stdin, stdout, stderr
        This process's own where None.
    is_apart
        Whether it has a session of its own.
    is_grouped
        Whether it has a process group of its own, in this session.
    hears_stops
        Whether it is to act upon signals to stop; else they are withheld from it.
    """
    with contextlib.nullcontext() if hears_stops else withheld():
        return subprocess.Popen(
            line,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            bufsize=0,
            pass_fds=pass_fds,
            env=environment,
            start_new_session=is_apart,
            process_group=0 if is_grouped else None,
        )


def ran(line: Sequence[str], *, timeout_s: float | None = None) -> Ended:
    """Run a program to its end.

    Raises
    ------
    OSError
        If it is not there; `TimeoutError` if it takes longer, and was killed.
    """
    with started(line, stdout=PIPE, stderr=PIPE) as process:
        try:
            out, errors = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise TimeoutError from error
        except BaseException:
            process.kill()
            raise
    printed = (text.decode(errors="replace") for text in (out, errors))
    return subprocess.CompletedProcess(line, process.returncode, *printed)


def signal_all(pids: Iterable[int], number: int) -> None:
    """Send a signal to processes, some of which may have gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def kill_all(find: Callable[[], Iterable[int]], patience_s: float = 10.0) -> None:
    """Kill what is found, until nothing is.

    SIGKILL: a Python handler of SIGTERM ran 12.7 s late during one NumPy call. What was
    started while the others were being killed is found in the next round.
    """
    give_up_at = _clock.monotonic() + patience_s
    while (found := tuple(find())) and _clock.monotonic() < give_up_at:
        signal_all(found, signal.SIGKILL)
        _clock.sleep(_REAP_S)
