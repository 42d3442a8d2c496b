"""A program of the user's as the watch sees it: what it does is told as a worker would.

It says nothing to lowmem but by the files of `exec_files`, and by its end. A commit
takes as long as its state folder is large, so it is made aside, and the watch goes on.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base.child import signal_all
from lowmem.base.errors import EXIT_JOB, LowmemError
from lowmem.base.foreground_program import Program
from lowmem.base.stderr import without_controls
from lowmem.memory.proc import catches, command_of
from lowmem.protocol.messages import Committed, Failed, Finished, Proceed, Started
from lowmem.supervisor.processes import kill_with_others
from lowmem.supervisor.stacks import PROGRAM_ENDS, read_where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from lowmem.checkpoints.manifest import Phase
    from lowmem.memory.process_tree import TreeSampler
    from lowmem.protocol.messages import Answer, Cycle, Message
    from lowmem.supervisor.exec_files import ExecFiles

# seconds at most between two looks at what the program has written.
_LOOK_S = 0.1
# Of a process that is asked for its stacks: nobody else sends it, see `site/sitecustomize.py`.
STACKS_SIGNAL = signal.SIGRTMAX - 5
# `Failed.kind` of a program that ended by itself with a code of its own.
EXIT_STATUS = "ExitStatus"
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The kernel's high-water mark of one process; ``is_bound`` where it may be less."""

    n_bytes: int
    is_bound: bool = False


@dataclass(slots=True)
class _Commit:
    """A commit that is being made aside."""

    phase: Phase
    cycle: Cycle | None = None
    error: LowmemError | None = None


class ProgramProcess(Program):
    """One attempt at a command.

    Parameters
    ----------
    exec_files
        Ready for this attempt.
    settings
        Of the rung that it runs on; recorded with each commit.
    do_background
        Has something done beside the watch, which waits for it before it goes on.

    Attributes
    ----------
    is_open
        Whether there is more to hear of it.
    """

    stack_ends: tuple[bytes, ...] = PROGRAM_ENDS

    def __init__(
        self,
        line: Sequence[str],
        exec_files: ExecFiles,
        *,
        settings: dict[str, int],
        environment: Mapping[str, str],
        pass_fds: Sequence[int],
        is_grouped: bool,
        do_background: Callable[[Callable[[], None]], None],
    ) -> None:
        super().__init__(
            line, environment=environment, pass_fds=pass_fds, is_grouped=is_grouped
        )
        self.is_open = True
        self._exec_files = exec_files
        self._settings = settings
        self._do_aside = do_background
        self._has_begun = False
        self._is_complete = False
        self._commit: _Commit | None = None
        self._largest = ""
        self._largest_mark_bytes = 0
        self._speaker: int | None = None

    def receive(self, timeout_s: float | None) -> list[Answer]:
        """Return what is new of it, waiting at most ``timeout_s``."""
        if not self._has_begun:
            self._has_begun = True
            return [self._started()]
        if self._commit is not None:
            return self._committed(self._commit)
        has_ended = self.await_end(
            _LOOK_S if timeout_s is None else min(timeout_s, _LOOK_S)
        )
        if has_ended:
            return self._ended()
        if self._exec_files.is_commit_wanted():
            self._begin_commit("running")
            return []
        progress = self._exec_files.progress()
        return [] if progress is None else [progress]

    def _started(self) -> Started:
        newest = self._exec_files.newest
        return Started(
            device="cpu",
            next_cycle=self._exec_files.next_cycle,
            last_cycle=None if newest is None else newest.manifest.cycle,
            versions={},
        )

    def _ended(self) -> list[Answer]:
        """Return how it ended, after the commit that belongs to its end."""
        status = self.wait().status
        if status == 0 and not self._is_complete:
            self._is_complete = True
            self._begin_commit("publishing")
            return []
        if self._exec_files.is_commit_wanted() and not self._is_complete:
            # It asked, and did not wait for the answer: nobody changes its state now.
            self._begin_commit("running")
            return []
        self.is_open = False
        if status == 0:
            return [Finished(published=(), summary={"exit_code": 0})]
        if status > 0:
            message = f"it ended with exit code {status}, its own"
            return [Failed(kind=EXIT_STATUS, exit_code=status, message=message)]
        return []

    def _begin_commit(self, phase: Phase) -> None:
        commit = self._commit = _Commit(phase)

        def make() -> None:
            try:
                commit.cycle = self._exec_files.commit(self._settings, phase)
            except LowmemError as error:
                commit.error = error

        self._do_aside(make)

    def _committed(self, commit: _Commit) -> list[Answer]:
        self._commit = None
        if commit.cycle is not None:
            return [Committed(cycle=commit.cycle, ram_returned_bytes=None)]
        error = commit.error
        return [
            Failed(
                kind=type(error).__name__,
                exit_code=EXIT_JOB if error is None else error.exit_code,
                message=str(error),
            )
        ]

    def tell(self, message: Message) -> None:
        """Answer a commit; what else a worker is told says nothing to it."""
        if isinstance(message, Proceed):
            self._exec_files.answer()

    def wake(self) -> bool:
        """Leave it stopped, if it was: whoever stopped it is to let it go on."""
        return False

    # --- where it was -------------------------------------------------------------

    def speaker(self, tree: TreeSampler) -> int | None:
        """Return the largest of its processes, if that can write its stacks."""
        members = tree.members
        if not members:
            return None
        largest = max(members, key=lambda one: one.anon_bytes + one.shared_bytes)
        self._largest_mark_bytes = largest.hwm_bytes
        self._largest = f"{_shown(command_of(largest.pid))} (pid {largest.pid})"
        is_one = catches(largest.pid, STACKS_SIGNAL)
        self._speaker = largest.pid if is_one else None
        return self._speaker

    def peak(self) -> Peak:
        """Return the kernel's mark of its largest process, once it has ended."""
        n_bytes = max(self.wait().peak_bytes, self._largest_mark_bytes)
        if n_bytes:
            return Peak(n_bytes=n_bytes)
        return Peak(n_bytes=self.least_mark_bytes, is_bound=True)

    def write_stacks(self) -> None:
        """Let that process write them."""
        if self._speaker is not None:
            signal_all([self._speaker], STACKS_SIGNAL)

    def where(self, stacks: Path) -> str | None:
        """Return the process that had most, and its line if it told one."""
        if not self._largest:
            return None
        line = read_where(stacks)
        return self._largest if line is None else f"{line}, {self._largest}"

    def kill_with(self, find_others: Callable[[], Iterable[int]]) -> None:
        """Kill it, and what else is found, until nothing is left."""
        kill_with_others(self, find_others)


def _shown(command: str) -> str:
    """Return a command on part of a line."""
    command = " ".join(command.split())
    is_long = len(command) > _SHOWN_CHARACTERS
    return without_controls(command[:_SHOWN_CHARACTERS]) + ("..." if is_long else "")
