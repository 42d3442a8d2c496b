"""The supervisor's child processes: what crosses to a worker and to the mirror."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Protocol

from lowmem.base.backends import VARIABLE, find_backend
from lowmem.base.child import NOTHING, Child, kill_all
from lowmem.base.errors import EXIT_JOB
from lowmem.base.files import storage_errors
from lowmem.base.lines import LONGEST_BYTES, LineTooLongError
from lowmem.base.outside import BAD_JSON
from lowmem.base.software import version_of
from lowmem.protocol.messages import Failed, answer_from_line, line_from_message
from lowmem.protocol.mirror_messages import mirror_answer_from_line
from lowmem.supervisor.device import device_environment
from lowmem.supervisor.stacks import ENDS, read_where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from lowmem.base.child import Exit, Owned
    from lowmem.memory.process_tree import TreeSampler
    from lowmem.protocol.messages import Answer, Message
    from lowmem.protocol.mirror_messages import MirrorAnswer

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


class Worker(Protocol):
    """What is watched: a worker of lowmem's, or a program of the user's.

    Attributes
    ----------
    stack_ends
        How the stacks that it writes may end.
    """

    pid: int
    is_open: bool
    stack_ends: tuple[bytes, ...]

    def receive(self, timeout_s: float | None) -> list[Answer]:
        """Return what it says, waiting at most ``timeout_s``."""

    def tell(self, message: Message) -> None:
        """Send it one message."""

    def wake(self) -> bool:
        """Let it go on if it was stopped, and is not to be; return whether it was."""

    def speaker(self, tree: TreeSampler) -> int | None:
        """Return which process can write its stacks; None if none can."""

    def write_stacks(self) -> None:
        """Let that process write them."""

    def where(self, stacks: Path) -> str | None:
        """Return where it was when it was last looked at; None if nothing tells."""

    def kill_with(self, find_others: Callable[[], Iterable[int]]) -> None:
        """Kill it, and what else is found, until nothing is left."""

    def wait(self) -> Exit:
        """Wait for its end, and return how it ended."""


class WorkerProcess(Child):
    """One worker."""

    stack_ends: tuple[bytes, ...] = ENDS

    def __init__(
        self,
        request: Message,
        *,
        environment: Mapping[str, str],
        log: Path | int = NOTHING,
        inherited_fds: tuple[int, ...] = (),
    ) -> None:
        super().__init__(
            "lowmem.worker",
            *inherited_fds,
            output=log,
            pass_fds=inherited_fds,
            environment=environment,
        )
        self.tell(request)

    def tell(self, message: Message) -> None:
        """Send one message; nothing happens if the worker has gone."""
        self.send(line_from_message(message))

    def receive(self, timeout_s: float | None) -> list[Answer]:
        """Return the messages that have arrived, waiting at most ``timeout_s``.

        What is no message ends it all with a `Failed`: a job has written to a descriptor
        that is not its own, and what else it has spoilt nobody knows.
        """
        try:
            lines = self.lines(timeout_s)
        except LineTooLongError:
            return [self._spoilt(self.rest)]
        answers: list[Answer] = []
        for line in lines:
            try:
                answers.append(answer_from_line(line))
            except BAD_JSON:
                return [*answers, self._spoilt(line)]
        return answers

    def _spoilt(self, found: bytes) -> Failed:
        self.is_open = False
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
        self.signal(signal.SIGCONT)
        return True

    def write_stacks(self) -> None:
        """Let the worker write every thread's stack; it does so at once, in C."""
        self.signal(signal.SIGUSR1)

    def speaker(self, tree: TreeSampler) -> int:  # noqa: ARG002 - of every worker
        """Return the process that can write its stacks."""
        return self.pid

    def where(self, stacks: Path) -> str | None:
        """Return the line that it was at, from its stacks."""
        return read_where(stacks)

    def kill_with(self, find_others: Callable[[], Iterable[int]]) -> None:
        """Kill the worker, its group and what else is found, until nothing is left."""
        kill_with_others(self, find_others)


def helper_pids() -> frozenset[int]:
    """Return the processes that serve the supervisor itself, and outlive a worker."""
    return frozenset(_helpers)


def kill_with_others(process: Owned, find_others: Callable[[], Iterable[int]]) -> None:
    """Kill a process, its group and what else is found, until nothing is left."""
    process.kill()
    left: set[int] = set()

    def still_there() -> set[int]:
        left.update(set(find_others()) - {process.pid} - _helpers)
        left.intersection_update({pid for pid in left if _is_alive(pid)})
        return left if process.has_exited() else left | {process.pid}

    kill_all(still_there)


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


def log_tail(log: Path, *, since: int = 0, n_lines: int = 15) -> str:
    """Return the last lines that a worker's libraries printed from byte ``since`` on."""
    if not log.exists():
        return ""
    with storage_errors(log), log.open("rb") as stream:
        stream.seek(max(since, log.stat().st_size - 8192))
        lines = stream.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-n_lines:])


class HelperProcess(Child):
    """A process that serves the supervisor; nothing that it does can make this one wait."""

    def __init__(
        self, module: str, request: Message, *, log: Path | int = NOTHING
    ) -> None:
        # Its messages are lowmem's own, and may list all chunks of a store.
        super().__init__(module, output=log, longest_bytes=sys.maxsize)
        _helpers.add(self.pid)
        self.tell(request)

    def tell(self, message: Message) -> bool:
        """Send one message; return whether there was room for it."""
        return self.send(line_from_message(message), waits=False)

    def receive(self, timeout_s: float = 0.0) -> list[MirrorAnswer]:
        """Return the messages that have arrived."""
        return [mirror_answer_from_line(line) for line in self.lines(timeout_s)]

    def end(self) -> None:  # type: ignore[explicit-override]
        """Kill and reap it, unless it hangs in the kernel."""
        super().end()
        _helpers.discard(self.pid)
