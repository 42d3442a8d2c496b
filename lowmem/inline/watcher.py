"""Watch another process from outside: the program of the watching process.

``python -m lowmem.inline.watcher ANSWERS_FD PID BUDGET_BYTES SIGNAL MODE``. It samples
the tree of PID, its parent, as the supervisor samples a job, by headroom. MODE says what
counts:

- ``total``: all that the tree has in use. When the budget is used up, what was started
  since is killed, that is reported, and SIGNAL sent to PID, which itself is never killed.
- ``growth``: what came on top of what was in use at the start. When the budget is used
  up, one child is killed with its descendants, and that is reported.

It takes orders from its standard input, see `watcher_messages`; the end of that ends
the watch.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.child import kill_all, signal_all
from lowmem.base.clock import SystemClock
from lowmem.base.lines import Lines
from lowmem.base.parent import begin, say
from lowmem.inline.descendants import descendants
from lowmem.inline.watcher_messages import (
    Breached,
    End,
    Ended,
    Follow,
    Pause,
    Ready,
    WatchChild,
    line_from_word,
    order_from_line,
)
from lowmem.memory.allocation import set_limit
from lowmem.memory.budget import RamBudget
from lowmem.memory.fill_rate import measured_fill_rate
from lowmem.memory.memory_watch import Watch
from lowmem.memory.proc import field_bytes
from lowmem.memory.process_tree import TreeSampler
from lowmem.memory.shared import SharedMemory
from lowmem.supervisor import decide
from lowmem.supervisor.priority import real_time_priority

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from lowmem.inline.watcher_messages import AnyOrder, AnyWord
    from lowmem.memory.memory_watch import Look
    from lowmem.memory.process_tree import TreeReading

# seconds between two signals, where the first was caught and nothing was given back.
_PATIENCE_S = 0.25
# seconds at most for the stacks of a killed process to reach their file: they are written
# in C, within 0.2 ms when measured, but only once its turn has come.
_STACKS_S = 0.5
_STACKS_LOOK_S = 0.005
_PIPE_READ_BYTES = 2**12
# An allocation limit is set anew when it is off by more than this.
_STEP_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class GrowthSampler:
    """Readings of a tree less what it held at the start."""

    tree: TreeSampler
    base_bytes: int

    def read(self) -> TreeReading:
        """Return a quick reading."""
        return self._less(self.tree.read())

    def refine(self) -> TreeReading:
        """Return an exact reading."""
        return self._less(self.tree.refine())

    def held(self) -> AbstractContextManager[None]:
        """Let the children take no step for the length of a block."""
        return self.tree.held()

    def _less(self, reading: TreeReading) -> TreeReading:
        return reading._replace(
            ram_bytes=max(0, reading.ram_bytes - self.base_bytes),
            least_bytes=max(0, reading.least_bytes - self.base_bytes),
            most_bytes=max(0, reading.most_bytes - self.base_bytes),
        )


@dataclass(slots=True)
class Watcher:
    """One watch, from its first reading to its end.

    Attributes
    ----------
    pid
        The process that is watched, with all that it starts.
    signal_number
        What it is sent when the budget is used up; 0 for nothing.
    """

    pid: int
    budget: RamBudget
    signal_number: int
    tree: TreeSampler
    sampler: GrowthSampler
    answers_fd: int
    _watch: Watch = field(init=False)
    _lines: Lines = field(default_factory=Lines)
    _clock: SystemClock = field(default_factory=SystemClock)
    _former_pids: frozenset[int] = frozenset()
    _child: int | None = None
    _stacks: Path | None = None
    _is_over: bool = False
    _peak_bytes: int = 0
    _limit_bytes: int = 0
    _most_bytes: int = 0
    _quiet_until: float = 0.0

    def __post_init__(self) -> None:
        self._watch = Watch(tree=self.sampler, budget=self.budget, clock=self._clock)

    def run(self) -> None:
        """Watch until told to end."""
        self.tree.reset_peaks()
        used_bytes = self.sampler.read().ram_bytes
        self._former_pids = frozenset(self.tree.pids)
        self._say(Ready(ram_bytes=used_bytes))
        while not self._is_over:
            self._watch.look(self._act)
            self._obey(self._watch.left_s)
        self._say(Ended(peak_bytes=self._peak_bytes, hwm_bytes=self.tree.peak_bytes()))

    def _act(self, found: Look) -> None:
        self._peak_bytes = max(self._peak_bytes, found.ram_bytes)
        event = decide.MemoryReading(found.pressure, found.verdict)
        _, order = decide.on_event(decide.LONE, event)
        is_quiet = self._clock.monotonic() < self._quiet_until
        if isinstance(order, decide.Kill) and not is_quiet:
            self._stop(
                Breached(
                    verdict=found.verdict,
                    ram_bytes=found.ram_bytes,
                    unmapped_bytes=self.tree.unmapped_bytes,
                )
            )

    def _stop(self, breached: Breached) -> None:
        if self._child is None:
            # Stopped, not killed yet: who waits for one is to hear of it at that line.
            signal_all(self._newcomers(), signal.SIGSTOP)
        else:
            self._kill_child(self._child)
        self._say(breached)
        if self.signal_number:
            signal_all([self.pid], self.signal_number)
        if self._child is None:
            kill_all(self._newcomers)
        self._quiet_until = self._clock.monotonic() + _PATIENCE_S

    def _kill_child(self, child: int) -> None:
        """Kill the child last: as long as it is there, it adopts what it has started.

        What it has started stands still while it writes its stacks; itself it can reserve
        no more than the budget.
        """
        signal_all(descendants(child), signal.SIGSTOP)
        with self.tree.held(but=child):
            signal_all([child], signal.SIGUSR1)
            self._await_stacks()
            signal_all([child], signal.SIGSTOP)
            kill_all(lambda: descendants(child))
            signal_all([child], signal.SIGKILL)

    def _await_stacks(self) -> None:
        """Wait until the stacks are there and grow no more."""
        former, give_up_at = 0, self._clock.monotonic() + _STACKS_S
        while self._stacks is not None and self._clock.monotonic() < give_up_at:
            self._clock.sleep(_STACKS_LOOK_S)
            size = self._stacks.stat().st_size
            if former and size == former:
                return
            former = size

    def _say(self, word: AnyWord) -> None:
        say(self.answers_fd, line_from_word(word))

    def _newcomers(self) -> list[int]:
        """Return what was started since the watch began."""
        self.tree.read()
        return [pid for pid in self.tree.pids if pid not in self._former_pids]

    def _reserved_bytes(self) -> int:
        """Return what the process had reserved when its resident pages were counted.

        Taken at any other moment, memory that it gave back in between would be allowed
        to it twice. A refinement counts later, so then the less of both moments.
        """
        status = Path(f"/proc/{self.pid}/status").read_bytes()
        return min(self.tree.root_data_bytes, field_bytes(status, b"VmData:"))

    def _limit(self, used_bytes: int) -> None:
        """Let the process reserve no more than the budget has left.

        Private writable memory counts as it is reserved, so that one allocation too many
        fails at its line before a page of it is touched.
        """
        left_bytes = max(0, self.budget.limit_bytes - used_bytes)
        limit = min(self._most_bytes, self._reserved_bytes() + left_bytes)
        if abs(limit - self._limit_bytes) > _STEP_BYTES:
            self._limit_bytes = limit
            set_limit(self.pid, limit)

    def _obey(self, wait_s: float) -> None:
        ready, _, _ = select.select([0], [], [], wait_s)
        if not ready:
            return
        said = os.read(0, _PIPE_READ_BYTES)
        self._is_over = not said
        for order in map(order_from_line, self._lines.take(said)):
            self._take(order)

    def _take(self, order: AnyOrder) -> None:
        match order:
            case Pause():
                self._watch.limit = None
            case Follow(most_bytes=most_bytes):
                self._watch.limit = self._limit
                self._most_bytes, self._limit_bytes = most_bytes, 0
            case WatchChild(pid=pid, stacks=stacks):
                self._child, self._stacks = pid, Path(stacks)
            case End():
                self._is_over = True


def main(
    answers_fd: int, pid: int, budget_bytes: int, signal_number: int, mode: str
) -> None:
    """Watch ``pid``; see the module."""
    begin(answers_fd, pid)
    shared = SharedMemory()
    budget = RamBudget(limit_bytes=budget_bytes, fill_rate=measured_fill_rate())
    apart = frozenset({os.getpid()})
    # Locked and urgent first: what it takes itself belongs to the first reading.
    with (
        real_time_priority(),
        TreeSampler(pid, shared, apart=apart, is_root_shared=True) as tree,
    ):
        shared.own(tree.root_shared_bytes())
        held = tree.refine().ram_bytes if mode == "growth" else 0
        sampler = GrowthSampler(tree, held)
        Watcher(pid, budget, signal_number, tree, sampler, answers_fd).run()


if __name__ == "__main__":
    answers_fd, pid, budget_bytes, number = map(int, sys.argv[1:5])
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        # The watched process has gone: there is nobody to tell.
        main(answers_fd, pid, budget_bytes, number, sys.argv[5])
