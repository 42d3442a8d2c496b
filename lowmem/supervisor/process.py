"""Worker processes: start, speak to, signal, kill, reap."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base.backends import VARIABLE, find_backend
from lowmem.base.errors import EXIT_JOB
from lowmem.base.files import make_folder, storage_errors
from lowmem.base.outside import BAD_JSON
from lowmem.base.signals import withheld
from lowmem.base.software import version_of
from lowmem.protocol.messages import Failed, answer_from_line, line_from_message
from lowmem.protocol.mirroring import mirror_answer_from_line
from lowmem.supervisor.device import device_environment
from lowmem.supervisor.lines import LONGEST_BYTES, Lines, LineTooLongError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from lowmem.base.clock import Clock
    from lowmem.protocol.messages import Answer, Message
    from lowmem.protocol.mirroring import MirrorAnswer

_PIPE_READ_BYTES = 2**16
# seconds between two looks for processes that were killed.
_REAP_INTERVAL_S = 0.005
# seconds for a killed helper to go: one that waits for a dead mount may never.
_LAST_LOOK_S = 5.0
# Processes that serve the supervisor itself, and outlive a worker.
_helpers: set[int] = set()
# Of what is no message, this much is shown.
_SHOWN_BYTES = 60


def worker_environment(
    device: str,
    inherited: Mapping[str, str] | None = None,
    *,
    vram_budget_bytes: int | None = None,
    vram_total_bytes: int | None = None,
) -> dict[str, str]:
    """Return the environment of a worker: fixed before it starts, or it has no effect.

    Parameters
    ----------
    device
        ``cpu`` hides every GPU from the frameworks.
    inherited
        The environment to build upon; this process's own where None.
    vram_budget_bytes, vram_total_bytes
        What the worker may use of its device, and what that holds in all.
    """
    environment = dict(os.environ if inherited is None else inherited)
    environment["PYTHONHASHSEED"] = "0"
    environment["PYTHONUNBUFFERED"] = "1"
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    backend = find_backend(environment)
    if backend.name is not None:
        environment[VARIABLE] = backend.name
    environment.setdefault("MPLBACKEND", "Agg")
    # Arrays up to 4 MiB are taken from the heap again and again: by default each one
    # from 128 KiB on is a mapping of its own, and its page faults cost more than the
    # arithmetic on it (counting the pairs of an analysis: 6 ms against 2).
    environment.setdefault("MALLOC_MMAP_THRESHOLD_", str(4 * 2**20))
    environment.setdefault("MALLOC_TRIM_THRESHOLD_", str(16 * 2**20))
    variables = device_environment(
        device=device,
        inherited=environment,
        vram_budget_bytes=vram_budget_bytes,
        vram_total_bytes=vram_total_bytes,
        jaxlib_version=version_of("jaxlib") if device == "gpu" else None,
    )
    for name, value in variables.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    return environment


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


class WorkerProcess:
    """One worker; owns the process and the pipes to it."""

    def __init__(
        self,
        request: Message,
        *,
        environment: Mapping[str, str],
        log: Path | int | None = None,
        inherited_fds: tuple[int, ...] = (),
    ) -> None:
        self._lines = Lines()
        self._is_open = True
        with _log_stream(log) as output:
            self._answers, worker_end = os.pipe()
            arguments = [worker_end, os.getpid(), *inherited_fds]
            try:
                # Until the worker can tell whose they are; see `lowmem.worker.signals`.
                with withheld():
                    self._process = subprocess.Popen(
                        [sys.executable, "-m", "lowmem.worker", *map(str, arguments)],
                        stdin=subprocess.PIPE,
                        stdout=output,
                        stderr=output,
                        pass_fds=(worker_end, *inherited_fds),
                        env=environment,
                        start_new_session=True,
                    )
            except OSError:
                os.close(self._answers)
                raise
            finally:
                os.close(worker_end)
        self.pid = self._process.pid
        # Readable once the worker has ended, even while a child of its keeps the pipe.
        self._pidfd = os.pidfd_open(self.pid)
        self.send(request)

    def send(self, message: Message) -> None:
        """Send one message; nothing happens if the worker has gone."""
        stream = self._process.stdin
        if stream is None:
            return
        with contextlib.suppress(BrokenPipeError):
            stream.write(line_from_message(message))
            stream.flush()

    def receive(self, timeout_s: float | None) -> list[Answer]:
        """Return the messages that have arrived, waiting at most ``timeout_s``.

        What is no message ends it all with a `Failed`: a job has written to a descriptor
        that is not its own, and what else it has spoilt nobody knows.
        """
        if not self._is_open:
            return []
        watched = [self._answers, self._pidfd]
        ready, _, _ = select.select(watched, [], [], timeout_s)
        if self._answers not in ready:
            self._is_open = not ready
            return []
        data = os.read(self._answers, _PIPE_READ_BYTES)
        if not data:
            self._is_open = False
        try:
            lines = self._lines.take(data)
        except LineTooLongError:
            return [self._spoilt(self._lines.rest)]
        answers: list[Answer] = []
        for line in lines:
            try:
                answers.append(answer_from_line(line))
            except BAD_JSON:
                return [*answers, self._spoilt(line)]
        return answers

    def _spoilt(self, found: bytes) -> Failed:
        self._is_open = False
        shown = repr(found[:_SHOWN_BYTES]) + ("..." if found[_SHOWN_BYTES:] else "")
        return Failed(
            kind="MessageError",
            exit_code=EXIT_JOB,
            message=f"its worker sent {shown}, expected a message of lowmem's of at most "
            f"{LONGEST_BYTES // 2**20} MiB. A job must not write to descriptors that it has "
            "not opened, and its summary must be short",
        )

    def wake(self) -> bool:
        """Let the worker go on if it was stopped; return whether it was.

        For what is this process's own to do, see `TreeSampler.held`.
        """
        # Its end is asked for too: without that, one that has ended would be an error.
        options = os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT
        found = os.waitid(os.P_PID, self.pid, options)
        if found is None or found.si_code != os.CLD_STOPPED:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)
        return True

    @property
    def is_open(self) -> bool:
        """Whether more messages may come."""
        return self._is_open

    def wait(self) -> Exit:
        """Reap the process, and return how it ended."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        _, status, usage = os.wait4(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        # Reaped here, for its resource usage: Popen must not wait for it again.
        self._process.returncode = code
        os.close(self._answers)
        os.close(self._pidfd)
        self._is_open = False
        return Exit(status=code, peak_bytes=usage.ru_maxrss * 1024)

    def has_exited(self) -> bool:
        """Return whether the process has ended, without waiting and without reaping."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, options) is not None

    def write_stacks(self) -> None:
        """Let the worker write every thread's stack; it does so at once, in C."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR1)

    def kill(
        self,
        find_others: Callable[[], Iterable[int]],
        clock: Clock,
        patience_s: float = 10.0,
    ) -> None:
        """Kill the worker, its group and what else is found, until nothing is.

        SIGKILL: a Python handler of SIGTERM ran 12.7 s late during one NumPy call. What
        was started while the others were being killed is found in the next round.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        remaining: set[int] = set()
        give_up_at = clock.monotonic() + patience_s
        while True:
            found = set(find_others()) - {self.pid} - _helpers
            remaining |= found
            for pid in remaining:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            remaining = {pid for pid in remaining if _is_alive(pid)}
            gone = self.has_exited() and not (remaining or found)
            if gone or clock.monotonic() > give_up_at:
                return
            clock.sleep(_REAP_INTERVAL_S)


def _is_alive(pid: int) -> bool:
    """Return whether a process lives; an adopted one is reaped here."""
    with contextlib.suppress(ChildProcessError):
        reaped, _ = os.waitpid(pid, os.WNOHANG)
        if reaped:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def _log_stream(log: Path | int | None) -> Iterator[int]:
    """Give a descriptor for what the worker's libraries print."""
    if log is None or isinstance(log, int):
        yield subprocess.DEVNULL if log is None else log
        return
    make_folder(log.parent)
    with storage_errors(log):
        stream = log.open("ab")
    with stream:
        yield stream.fileno()


def log_tail(log: Path, *, since: int = 0, n_lines: int = 15) -> str:
    """Return the last lines that a worker's libraries printed from byte ``since`` on."""
    if not log.exists():
        return ""
    with storage_errors(log), log.open("rb") as stream:
        stream.seek(max(since, log.stat().st_size - 8192))
        lines = stream.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-n_lines:])


class HelperProcess:
    """A process that serves the supervisor; nothing that it does can make this one wait."""

    def __init__(
        self, module: str, request: Message, *, log: Path | None = None
    ) -> None:
        # Its messages are lowmem's own, and may list all chunks of a store.
        self._lines = Lines(sys.maxsize)
        with _log_stream(log) as output:
            self._answers, helper_end = os.pipe()
            try:
                with withheld():
                    self._process = subprocess.Popen(
                        [
                            sys.executable,
                            "-m",
                            module,
                            str(helper_end),
                            str(os.getpid()),
                        ],
                        stdin=subprocess.PIPE,
                        stdout=output,
                        stderr=output,
                        pass_fds=(helper_end,),
                        start_new_session=True,
                    )
            except OSError:
                os.close(self._answers)
                raise
            finally:
                os.close(helper_end)
        self.pid = self._process.pid
        self.is_open = True
        _helpers.add(self.pid)
        self._order_end = self._process.stdin.fileno() if self._process.stdin else -1
        os.set_blocking(self._answers, False)
        os.set_blocking(self._order_end, False)
        self.tell(request)

    def tell(self, message: Message) -> bool:
        """Send one message; return whether there was room for it."""
        try:
            # Shorter than what a pipe takes at once, or not at all.
            os.write(self._order_end, line_from_message(message))
        except BlockingIOError:
            return False
        except BrokenPipeError:
            self.is_open = False
            return False
        return True

    def receive(self, timeout_s: float = 0.0) -> list[MirrorAnswer]:
        """Return the messages that have arrived."""
        ready, _, _ = select.select([self._answers], [], [], timeout_s)
        if not ready:
            return []
        data = os.read(self._answers, _PIPE_READ_BYTES)
        if not data:
            self.is_open = False
        return [mirror_answer_from_line(line) for line in self._lines.take(data)]

    def end(self, clock: Clock) -> None:
        """Kill it, and wait until it has gone, unless it hangs in the kernel."""
        self.is_open = False
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.kill()
        give_up_at = clock.monotonic() + _LAST_LOOK_S
        while self._process.poll() is None and clock.monotonic() < give_up_at:
            clock.sleep(_REAP_INTERVAL_S)
        os.close(self._answers)
        _helpers.discard(self.pid)
